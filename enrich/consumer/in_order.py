"""Batches of a stream in the order in which their articles arrived."""

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from faust.types import EventT, StreamT

from enrich.consumer.arrival_order import ArrivalOrder
from enrich.stage import source_record
from services import kafka_topics

_ARRIVAL: Final = "arrived"
_TIME: Final = re.compile(rb"-?\d{1,12}\.\d{6}")


async def batches_in_order(
    stream: StreamT[Any],
    topic: kafka_topics.KafkaTopic,
    limit: int,
    idle_topics: set[str],
) -> AsyncIterator[tuple[Sequence[EventT], Sequence[EventT]]]:
    """As ``batches``, but in the order in which the articles arrived, and with those held back for it.

    An event is acknowledged when all before it in the log are done too.
    """
    manual = stream.noack()
    events = aiter(manual.events())
    order: ArrivalOrder[EventT] = ArrivalOrder()
    # The events that are not acknowledged, as they are in the log, and the offsets of those that are done.
    unfinished: deque[EventT] = deque()
    done: set[int] = set()
    waiting: asyncio.Future[EventT | None] | None = None
    try:
        while True:
            if not order:
                idle_topics.add(topic.name)
            waiting = waiting or asyncio.ensure_future(anext(events, None))
            await asyncio.wait({waiting}, timeout=order.wait(time.monotonic()))
            idle_topics.discard(topic.name)
            if waiting.done():
                event, waiting = waiting.result(), None
                for _ in range(limit):
                    if event is None:
                        return
                    at = _arrival(event)
                    order.add(event, at, time.time() - at, time.monotonic())
                    unfinished.append(event)
                    if manual.channel.empty():
                        break
                    event = await anext(events, None)
            generation = manual.app.consumer_generation_id
            # Events from before a rebalance are delivered again.
            if any(event.message.generation_id != generation for event in unfinished):
                order.drop(partial(_is_outdated, generation))
                unfinished = deque(event for event in unfinished if event.message.generation_id == generation)
                done.intersection_update(event.message.offset for event in unfinished)
            ready = order.take(time.monotonic())
            if not ready:
                continue
            done.update(event.message.offset for event in ready)
            yield ready, [event for event in unfinished if event.message.offset not in done]
            while unfinished and unfinished[0].message.offset in done:
                event = unfinished.popleft()
                done.discard(event.message.offset)
                if event.message.generation_id == manual.app.consumer_generation_id:
                    await manual.ack(event)
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.wait({waiting})


def _is_outdated(generation: int, event: EventT) -> bool:
    return bool(event.message.generation_id != generation)


def arrival_header(received_at: datetime) -> tuple[str, bytes]:
    """The header that says when an article arrived, so that the records can be put in order unread."""
    return _ARRIVAL, f"{received_at.timestamp():.6f}".encode()


def _arrival(event: EventT) -> float:
    """When the article of a record arrived (s since 1970), or when the record was written where that is not known."""
    found = next((value for name, value in source_record(event).headers if name == _ARRIVAL), None) or b""
    return float(found) if _TIME.fullmatch(found) else float(event.message.timestamp or 0.0)
