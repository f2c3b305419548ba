"""The Faust app: the pipeline in order.

articles.raw ─► annotate ─► articles.annotated ─► group ─► updates ─► aggregate ─► store

Explicit topics, no tables, no ``group_by``, no exactly-once mode: a record is done when what it produced is
acknowledged, and every stage answers the same when it sees a record again.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import faust
from faust.types import EventT, StreamT
from mode.supervisors import CrashingSupervisor

from enrich import aggregate as counting
from enrich import journal, memory, recognition
from enrich.annotate import annotate as annotated
from enrich.boilerplate import Boilerplate
from enrich.group import Grouper, entry_of
from enrich.stage import RECORDS, Outlet, Output, batches, dead_letter, insist
from services import kafka, topics
from services import settings as settings_module
from services.events import AnnotatedArticle, RawArticle
from services.groups import GROUP
from services.store import Batch, Store

settings = settings_module.current()

app = faust.App(
    GROUP,
    broker=f"kafka://{settings.kafka_servers.replace(',', ';')}",
    key_serializer="raw",
    value_serializer="raw",
    topic_allow_declare=False,
    topic_disable_leader=True,
    web_enabled=False,
    consumer_auto_offset_reset="earliest",
    broker_session_timeout=settings.session_timeout,
    broker_heartbeat_interval=settings.session_timeout / 10,
    broker_commit_interval=0.5,
    broker_max_poll_records=500,
    stream_buffer_maxsize=512,
    datadir=settings.data_dir / "faust",
)


def _topic(topic: topics.Topic) -> Any:
    return app.topic(topic.name, key_type=bytes, value_type=bytes)


# A failure that no stage foresaw ends the worker; started again, it takes up what was not done. Faust's own way
# is to restart the agent alone, without the records it had in hand.
_agent = partial(app.agent, supervisor_strategy=CrashingSupervisor)

# What annotate lets pass, group can publish with its own headers beside it.
_LARGEST = kafka.MAX_RECORD_BYTES - 1_000_000

outlet = Outlet(settings.kafka_servers)
recognizer = recognition.load(settings.ner, settings.ner_model)
store = Store(settings.redis_url)
window = timedelta(hours=settings.story_window_hours)


@_agent(_topic(topics.RAW))
async def annotate(stream: StreamT[bytes]) -> None:
    """articles.raw → articles.annotated. Scales with partitions and workers.

    An article is understood by itself; all that is remembered is what its source repeats.
    """
    repeated: Boilerplate | None = None
    async for events in batches(stream, limit=128):
        if repeated is None:
            repeated = await insist("annotate", partial(memory.read_back, settings.kafka_servers))
        # In a thread, so that the loop keeps its heartbeats while the processor is busy with text.
        outputs = await asyncio.to_thread(_annotate_all, events, repeated)
        await insist("annotate", partial(outlet.send, outputs))
        RECORDS.labels("annotate").inc(len(events))


def _annotate_all(events: Sequence[EventT], repeated: Boilerplate) -> list[Output]:
    # Partitions come one after the other; group shall see their articles in the order in which they arrived.
    return [_annotate_one(event, repeated) for event in sorted(events, key=lambda event: event.message.timestamp)]


def _annotate_one(event: EventT, repeated: Boilerplate) -> Output:
    try:
        raw = RawArticle.model_validate_json(event.value or b"")
        article = annotated(raw, event.message.offset, recognizer=recognizer, memory=repeated)
        value = article.encode()
        if len(value) > _LARGEST:
            raise ValueError(f"annotated it has {len(value)} bytes, more than the {_LARGEST} that a record may have")
        return Output(topics.ANNOTATED.name, article.id.encode(), value)
    except Exception as error:  # whatever an article does to us, the next one is not its fault
        return dead_letter(event, "annotate", error)


class _Group:
    """The one writer's state, read back when the partition came to this worker."""

    def __init__(self) -> None:
        self.grouper: Grouper | None = None
        self.last_input = -1
        self.busy = asyncio.Lock()

    def forget(self) -> None:
        self.grouper = None

    async def process(self, events: list[EventT]) -> None:
        """Publish what these events come to. Safe to repeat: what is on ``updates`` is not written again."""
        if self.grouper is None:
            self.grouper, self.last_input, owed = await journal.read_back(
                settings.kafka_servers, window, int(time.time() * 1000)
            )
            await outlet.send(owed)
        outputs: list[Output] = []
        for event in events:
            outputs += self._one(self.grouper, event)
        await outlet.send(outputs)

    def _one(self, grouper: Grouper, event: EventT) -> list[Output]:
        offset = event.message.offset
        if offset <= self.last_input:
            return []
        try:
            article = AnnotatedArticle.model_validate_json(event.value or b"")
            told = grouper.process(article)
        except Exception as error:
            return [dead_letter(event, "group", error)]
        if told is None:
            return []
        return [
            journal.article_output(told[0], entry_of(article), offset),
            journal.story_output(told[1], offset),
        ]


_group = _Group()


@_agent(_topic(topics.ANNOTATED))
async def group(stream: StreamT[bytes]) -> None:
    """articles.annotated → updates. One partition, one writer, state within the window."""
    async for events in batches(stream, limit=200):
        async with _group.busy:
            # Fetched before a rebalance that may have given the partition to another worker: not ours to write.
            mine = [event for event in events if event.message.generation_id == app.consumer_generation_id]
            if mine:
                await insist("group", partial(_group.process, mine), forget=_group.forget)
        RECORDS.labels("group").inc(len(events))


@app.on_partitions_revoked.connect
async def _let_go(app: Any, revoked: Any, **_: Any) -> None:
    """A batch in flight is finished before the partition goes; the next owner then reads all of it back."""
    async with _group.busy:
        _group.forget()


@_agent(_topic(topics.UPDATES))
async def aggregate(stream: StreamT[bytes]) -> None:
    """updates → store. Each batch and its offset in one atomic script; what was applied is skipped."""
    log_name = await insist("aggregate", partial(counting.log_name, settings.kafka_servers))
    async for events in batches(stream, limit=500):
        batch, rejected = Batch(), []
        for event in events:
            message = event.message
            try:
                counting.add(batch, message.offset, message.headers, event.value, int(message.timestamp * 1000))
            except Exception as error:
                batch.add_nothing(message.offset)
                rejected.append(dead_letter(event, "aggregate", error))
        await insist("aggregate", partial(outlet.send, rejected))
        await insist("aggregate", partial(store.apply, log_name, batch))
        RECORDS.labels("aggregate").inc(len(events))
