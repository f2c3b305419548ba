"""Reads of the shared log and the backlog: bounded in time, whatever the filter costs."""

import asyncio
import itertools
import json
from collections.abc import Callable

from api.stream.backlog import Backlog, _Pages
from api.stream.cursor import Cursors
from api.stream.filters import Filter
from api.stream.log import SCAN_SECONDS, Log
from api.stream.stream_event import Event, Facets
from tests.api.conftest import Start, Updates, an_article

_CURSORS = Cursors("one")


def _ticking(seconds: float) -> Callable[[], float]:
    """A clock that advances by a step each time it is read."""
    return itertools.count(0, seconds).__next__


def _event(offset: int, text: str) -> Event:
    head, data = b'{"data":', json.dumps({"text": text}).encode()
    return Event(offset, _CURSORS.encode(offset), head + data + b"}", len(head), Facets(type="article"))


def _log(count: int, clock: Callable[[], float]) -> Log:
    """A log of this many events, every third with the word, and three offsets without an event at its end."""
    log = Log(64_000_000, clock)
    log.append([_event(offset, "خبر" if offset % 3 else "زلزال") for offset in range(count)], count + 3)
    return log


def test_a_scan_ends_in_time_and_resumes_where_it_stopped() -> None:
    """However short the scans, their chunks together are what one scan finds, and their positions reach the end."""
    wanted = Filter(q=frozenset(["زلزال"]))
    whole = _log(100, _ticking(0)).read(0, wanted)
    assert (len(whole.events), whole.position) == (34, 103)
    for scanned in (1, 2, 7, 99, 100):
        log = _log(100, _ticking(SCAN_SECONDS / scanned * 1.001))
        position, found, reads = 0, [], 0
        while position < log.end:
            chunk = log.read(position, wanted)
            # Never beyond what was scanned, even when nothing matched.
            assert position < chunk.position <= max(position + scanned, 103 * (position + scanned >= 100))
            # The same read returns the same chunk, encoded once.
            assert log.read(position, wanted) is chunk
            found += chunk.events
            position = chunk.position
            reads += 1
        assert [one.offset for one in found] == [one.offset for one in whole.events]
        assert position == whole.position
        assert reads >= 100 // scanned
        late = _event(103, "زلزال")
        log.append([late], 104)
        assert log.read(position, wanted).events == (late,)


async def test_a_search_in_long_texts_does_not_block_others(start: Start, updates: Updates) -> None:
    """A subscriber whose ``q`` has to normalise megabytes gets all events, in many steps of a few milliseconds."""
    articles = [an_article(text="كلمة " * 20_000 + ("زلزال" if n == 39 else "")) for n in range(40)]
    async with start() as gateway:
        async with gateway.stream() as subscriber:
            cursor = (await subscriber.next())["cursor"]
            await updates.send(*articles)
            await subscriber.events(len(articles))
        log, steps = gateway.gateway.log, []
        read = log.read

        def counting(position: int, wanted: Filter) -> object:
            chunk = read(position, wanted)
            steps.append(chunk.position - position)
            return chunk

        log.read = counting  # type: ignore[method-assign,assignment]
        async with gateway.stream(cursor=cursor, q="زلزال") as subscriber:
            got = await subscriber.events(1)
        assert [one["data"]["id"] for one in got] == [one.id for one in articles if "زلزال" in one.text]
        assert max(steps) < len(articles)


async def test_a_slow_read_of_the_backlog_ends_in_time(start: Start, updates: Updates) -> None:
    """However long matching takes, each read advances and ends before the timeout for Kafka."""
    articles = [an_article(language="tr" if n % 3 else "ar", text="كلمة " * 4_000) for n in range(40)]
    offsets = await updates.send(*articles)
    async with start() as gateway:
        cursors = gateway.gateway.hub.cursors
        backlog = Backlog(gateway.gateway.settings.kafka_servers, _ticking(0.4))
        tidy = asyncio.create_task(backlog.reap_idle())
        await asyncio.sleep(0)
        try:
            position, stop, found, reads = offsets[0], offsets[-1] + 1, [], 0
            while position < stop:
                chunk = await backlog.read(position, stop, Filter(language=frozenset(["tr"])), cursors)
                assert chunk.position > position
                found += chunk.events
                position = chunk.position
                reads += 1
        finally:
            tidy.cancel()
            await asyncio.gather(tidy, return_exceptions=True)
    assert [json.loads(one.data)["id"] for one in found] == [one.id for one in articles if one.language == "tr"]
    assert reads > 2


async def test_a_read_continues_where_the_log_ended(start: Start, updates: Updates) -> None:
    """Also when a page ended at that offset, by size or by offset: the next read advances."""
    sizes = (10, 160_000, 10, 10)
    offsets = await updates.send(*[an_article(text="ك" * size) for size in sizes])
    first, end = offsets[0], offsets[-1] + 1
    async with start() as gateway:
        cursors = gateway.gateway.hub.cursors
        backlog = Backlog(gateway.gateway.settings.kafka_servers)
        tidy = asyncio.create_task(backlog.reap_idle())
        await asyncio.sleep(0)
        try:
            for stop in range(first + 1, end):
                backlog._pages = _Pages(1)
                position, found = first, 0
                while position < end:
                    chunk = await backlog.read(position, stop if position < stop else end, Filter(), cursors)
                    assert chunk.position > position
                    position, found = chunk.position, found + len(chunk.events)
                assert found == len(offsets)
        finally:
            tidy.cancel()
            await asyncio.gather(tidy, return_exceptions=True)
