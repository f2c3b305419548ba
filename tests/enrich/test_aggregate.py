"""Aggregate: the store follows the log, whatever it has lost."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enrich.aggregate.counter import Aggregate, Record, Refused, batches
from services import kafka as clients
from services import kafka_topics
from services.cli import cli
from services.embedded.kafka import Kafka
from services.embedded.process import free_port
from services.embedded.valkey import Valkey
from services.store import Store
from tests.api.conftest import an_article, an_entity
from tests.enrich.logs import Log

NOW = datetime.now(UTC)


async def counted(store: Store) -> int:
    """Articles that are counted."""
    return (await store.top("language", "all", limit=1)).total


def make(store: Store, written: Log) -> Aggregate:
    """A worker's aggregate, as it begins."""
    return Aggregate(store, written.bootstrap, topic=written.topic)


async def test_what_comes_is_counted_once(store: Store, written: Log) -> None:
    """However often and in whatever pieces a worker is given it."""
    await written.write(*(an_article() for _ in range(20)))
    records = await written.read()
    numbers = make(store, written)
    for piece in (records[:7], records[3:12], records[3:12], records, records[15:]):
        assert await numbers.apply(piece) == []
    assert await counted(store) == 20
    assert numbers.reached == 19


async def test_a_store_that_lost_everything_gets_it_back(store: Store, written: Log) -> None:
    """With the next record, all before it are read from Kafka again; numbers are complete."""
    await written.write(*(an_article() for _ in range(30)))
    records = await written.read()
    numbers = make(store, written)
    await numbers.apply(records[:20])
    await store.redis.flushdb()
    await numbers.apply(records[20:])
    assert await counted(store) == 30
    state = await store.state(await clients.read_log_id(written.bootstrap, written.topic))
    assert (state.applied, state.complete.since, state.complete.rebuilding) == (29, None, False)


async def test_a_store_that_went_back_in_time_catches_up(store: Store, written: Log) -> None:
    """As after a crash that cost it its last second: what it lacks is read back, and nothing twice."""
    await written.write(*(an_article() for _ in range(12)))
    records = await written.read()
    await make(store, written).apply(records[:5])
    # For the store the records from 5 to 8 were never there.
    await make(store, written).apply(records[9:])
    assert await counted(store) == 12


async def test_nothing_needs_to_come_for_it(store: Store, written: Log) -> None:
    """A tick finds what is missing, for a worker that has just begun as for one that has been here."""
    await written.write(*(an_article() for _ in range(8)))
    fresh = make(store, written)
    await fresh.tick()
    assert await counted(store) == 8
    await store.redis.flushdb()
    await fresh.tick()
    assert await counted(store) == 8


async def test_numbers_say_since_when_they_are_complete(store: Store, written: Log) -> None:
    """Of what Kafka no longer keeps nothing can be counted; from the first article after it on all is."""
    articles = [an_article(received_at=NOW.replace(microsecond=0)) for _ in range(10)]
    await written.write(*articles)
    await written.delete_before(6)
    await make(store, written).tick()
    assert await counted(store) == 4
    state = await store.state(await clients.read_log_id(written.bootstrap, written.topic))
    assert state.complete.since == NOW.replace(microsecond=0)


async def test_a_gap_of_which_nothing_is_kept(store: Store, written: Log) -> None:
    """A log that was emptied holds nobody up."""
    await written.write(*(an_article() for _ in range(10)))
    records = await written.read()
    await make(store, written).apply(records[:2])
    await written.delete_before(10)
    await written.write(an_article())
    await make(store, written).apply(await written.read(10))
    assert await counted(store) == 3


async def test_what_cannot_be_counted_is_told_and_stops_nothing(store: Store, written: Log) -> None:
    """Its offset counts as done; the others are counted, at once as when they are read back."""
    await written.write(an_article(), b"nonsense", an_article())
    refused = await make(store, written).apply(await written.read())
    assert [one.offset for one in refused] == [1]
    assert "nonsense" in str(refused[0].error) or "JSON" in str(refused[0].error)
    assert await counted(store) == 2
    assert await make(store, written).rebuild() == 2
    assert await counted(store) == 2


async def test_a_rebuild_counts_what_kafka_keeps(store: Store, written: Log) -> None:
    """From nothing, whatever the store says; with its progress told; another program's keys stay."""
    await written.write(*(an_article() for _ in range(2_500)))
    await store.redis.set("another", 1)
    await make(store, written).apply((await written.read())[:700])
    await store.redis.hincrby(next(iter(await store.redis.keys("*:n:language:d:*"))), "ar", 17)
    seen: list[tuple[int, int]] = []
    assert await make(store, written).rebuild(lambda reached, goal: seen.append((reached, goal))) == 2_499
    assert await counted(store) == 2_500
    assert (await store.top("language", "all", limit=1)).items[0].count == 2_500
    assert seen == [(999, 2_499), (1_999, 2_499), (2_499, 2_499)]
    assert await store.redis.get("another") == "1"


async def test_a_rebuild_beside_a_worker(store: Store, written: Log) -> None:
    """Both count the same log at the same time; every article counts once."""
    await written.write(*(an_article() for _ in range(3_000)))
    records = await written.read()
    worker, command = make(store, written), make(store, written)
    await worker.apply(records[:1_500])

    async def work() -> None:
        for first in range(1_500, 3_000, 50):
            await worker.apply(records[first : first + 50])

    await asyncio.gather(work(), command.rebuild(), work(), make(store, written).rebuild())
    await worker.tick()
    assert await counted(store) == 3_000


async def test_the_command_rebuilds(store: Store, kafka: Kafka, valkey: Valkey, tmp_path: Path) -> None:
    """``khabar rebuild aggregates`` says since when numbers are complete, and names what cannot be reached."""
    await store.redis.set("{khabar}:n:language:d:1:0", "damaged")
    environment = {"KHABAR_KAFKA": kafka.bootstrap, "KHABAR_REDIS": valkey.url, "KHABAR_DATA_DIR": str(tmp_path)}
    done = await asyncio.to_thread(CliRunner().invoke, cli, ["rebuild", "aggregates"], env=environment)
    assert done.exit_code == 0, done.output
    assert "numbers are complete since the beginning" in done.output
    async with clients.reader(kafka.bootstrap, kafka_topics.UPDATES.name) as reader:
        assert await store.applied(await clients.read_log_id(kafka.bootstrap)) == await reader.end() - 1
    assert not await store.redis.exists("{khabar}:n:language:d:1:0")
    away = environment | {"KHABAR_REDIS": f"redis://127.0.0.1:{free_port()}/0"}
    refused = await asyncio.to_thread(CliRunner().invoke, cli, ["rebuild", "aggregates"], env=away)
    assert refused.exit_code == 1
    assert "the store cannot be written" in refused.output + str(refused.exception)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(st.tuples(st.integers(0, 39), st.integers(1, 15)), st.just("lost"), st.just("tick"), st.just("new")),
        max_size=12,
    )
)
async def test_numbers_are_exact_after_anything(
    store: Store, forty: Callable[[], Awaitable[tuple[Log, list[Record]]]], steps: Sequence[object]
) -> None:
    """Pieces of the log again and in any order, a store that is emptied, other workers: at last each counts once."""
    written, records = await forty()
    await store.redis.flushdb()
    numbers = make(store, written)
    for step in steps:
        match step:
            case "lost":
                await store.redis.flushdb()
            case "tick":
                await numbers.tick()
            case "new":
                numbers = make(store, written)
            case (int(first), int(length)):
                await numbers.apply(records[first : first + length])
    await numbers.tick()
    await numbers.apply(records)
    assert await counted(store) == 40
    entities = (await store.top("entity", "all", limit=100)).items
    assert {entity.id: entity.count for entity in entities} == {f"Q{number}": 8 for number in range(5)}


@pytest.fixture
def forty(written: Log) -> Callable[[], Awaitable[tuple[Log, list[Record]]]]:
    """A log of forty articles about five entities, written when it is first asked for."""
    found: list[tuple[Log, list[Record]]] = []

    async def get() -> tuple[Log, list[Record]]:
        if not found:
            await written.write(*(an_article(entities=[an_entity(f"Q{number % 5}")]) for number in range(40)))
            found.append((written, await written.read()))
        return found[0]

    return get


def test_records_are_added_up_by_runs() -> None:
    """What does not follow is a batch of its own; what comes again within one is left out."""
    value = an_article().encode()
    records = [Record(offset, 0, [("type", b"article")], value) for offset in (3, 4, 4, 3, 5, 9, 10, 2)]
    refused: list[Refused] = []
    assert [(batch.first, batch.last) for batch in batches(records, refused)] == [(3, 5), (9, 10), (2, 2)]
    assert refused == []
