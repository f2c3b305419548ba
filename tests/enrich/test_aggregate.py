"""Aggregate: the store follows the log, and recovers what it has lost."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enrich.aggregate.counter import Aggregate, Uncountable, UpdateRecord, batches
from services import kafka as clients
from services import kafka_topics
from services.cli import cli
from services.clock import utc_now
from services.embedded.kafka import Kafka
from services.embedded.process import free_port
from services.embedded.valkey import Valkey
from services.store import Batch, Store
from tests.api.conftest import an_article, an_entity
from tests.enrich.logs import Log

NOW = datetime.now(UTC)


async def counted(store: Store) -> int:
    """The number of articles counted."""
    return (await store.top("language", "all", limit=1)).total


def make(store: Store, log: Log) -> Aggregate:
    """A worker's aggregate as it starts."""
    return Aggregate(store, log.bootstrap, topic=log.topic)


async def test_records_are_counted_once(store: Store, log: Log) -> None:
    """Also when they are delivered repeatedly and in different batches."""
    await log.write(*(an_article() for _ in range(20)))
    records = await log.read()
    aggregate = make(store, log)
    for batch in (records[:7], records[3:12], records[3:12], records, records[15:]):
        assert await aggregate.apply(batch) == []
    assert await counted(store) == 20
    assert aggregate.reached == 19


async def test_a_store_that_lost_everything_is_restored(store: Store, log: Log) -> None:
    """With the next batch, all records before it are read from Kafka again; numbers are complete."""
    await log.write(*(an_article() for _ in range(30)))
    records = await log.read()
    aggregate = make(store, log)
    await aggregate.apply(records[:20])
    await store.redis.flushdb()
    await aggregate.apply(records[20:])
    assert await counted(store) == 30
    state = await store.state(await clients.read_log_id(log.bootstrap, log.topic))
    assert (state.applied, state.complete.since, state.complete.rebuilding) == (29, None, False)


async def test_a_store_that_went_back_in_time_catches_up(store: Store, log: Log) -> None:
    """As after a crash that cost it its last second: the missing records are replayed, and none is counted twice."""
    await log.write(*(an_article() for _ in range(12)))
    records = await log.read()
    await make(store, log).apply(records[:5])
    # The store has never seen the records from 5 to 8.
    await make(store, log).apply(records[9:])
    assert await counted(store) == 12


async def test_a_tick_restores_the_store(store: Store, log: Log) -> None:
    """Without new records a tick replays what is missing, for a new worker as for a running one."""
    await log.write(*(an_article() for _ in range(8)))
    fresh = make(store, log)
    await fresh.tick()
    assert await counted(store) == 8
    await store.redis.flushdb()
    await fresh.tick()
    assert await counted(store) == 8


async def test_numbers_have_the_time_since_which_they_are_complete(store: Store, log: Log) -> None:
    """Records that Kafka no longer keeps are not counted; numbers are complete from the first kept article on."""
    articles = [an_article(received_at=NOW.replace(microsecond=0)) for _ in range(10)]
    await log.write(*articles)
    await log.delete_before(6)
    await make(store, log).tick()
    assert await counted(store) == 4
    state = await store.state(await clients.read_log_id(log.bootstrap, log.topic))
    assert state.complete.since == NOW.replace(microsecond=0)


async def test_a_gap_of_which_kafka_keeps_nothing(store: Store, log: Log) -> None:
    """A log whose records were deleted does not block the records after them; numbers are incomplete before these."""
    await log.write(*(an_article() for _ in range(10)))
    records = await log.read()
    await make(store, log).apply(records[:2])
    await log.delete_before(10)
    await log.write(an_article())
    await make(store, log).apply(await log.read(10))
    assert await counted(store) == 3
    assert (await store.state(await clients.read_log_id(log.bootstrap, log.topic))).complete.since is not None


async def test_a_store_of_another_log_is_counted_again(store: Store, log: Log) -> None:
    """Its counts are not mixed with those of the log, and are complete only since that log's first article."""
    other = Log(log.bootstrap, kafka_topics.REJECTED.name)
    await log.write(*(an_article(received_at=NOW.replace(microsecond=0)) for _ in range(3)))
    batch = Batch()
    batch.add_article(0, an_article())
    await store.apply(await clients.read_log_id(other.bootstrap, other.topic), batch, now=NOW)
    log_id = await clients.read_log_id(log.bootstrap, log.topic)
    assert (await store.state(log_id)).complete.rebuilding
    await make(store, log).tick()
    assert await counted(store) == 3
    state = await store.state(log_id)
    assert (state.complete.rebuilding, state.complete.since) == (False, NOW.replace(microsecond=0))


@pytest.mark.parametrize("sample", ["shorter", "other"])
async def test_a_log_of_which_an_older_copy_was_put_back(store: Store, log: Log, sample: str) -> None:
    """Records are missing that the store has counted, and others may be at their offsets: all is counted again.

    What was lost was counted before, so the numbers are complete only from now on.
    """
    await log.write(*(an_article(received_at=NOW.replace(microsecond=0)) for _ in range(3)))
    began = utc_now().replace(microsecond=0)
    log_id = await clients.read_log_id(log.bootstrap, log.topic)
    batch = Batch()
    for offset in range(5 if sample == "shorter" else 2):
        batch.add_article(offset, an_article())
        batch.sample = (offset, 1)
    await store.apply(log_id, batch, now=NOW)
    assert await make(store, log).apply((await log.read())[2:]) == []
    await make(store, log).tick()
    assert await counted(store) == 3
    state = await store.state(log_id)
    assert not state.complete.rebuilding
    assert state.complete.since is not None and state.complete.since >= began


async def test_uncountable_records_are_returned_and_block_nothing(store: Store, log: Log) -> None:
    """Their offset counts as done; other records are counted, both when first applied and when replayed."""
    await log.write(an_article(), b"nonsense", an_article())
    uncountable = await make(store, log).apply(await log.read())
    assert [one.offset for one in uncountable] == [1]
    assert "nonsense" in str(uncountable[0].error) or "JSON" in str(uncountable[0].error)
    assert await counted(store) == 2
    assert await make(store, log).rebuild() == 2
    assert await counted(store) == 2


async def test_a_rebuild_counts_what_kafka_keeps(store: Store, log: Log) -> None:
    """It clears what the store holds and reports progress; keys of other programs stay."""
    await log.write(*(an_article() for _ in range(2_500)))
    await store.redis.set("another", 1)
    await make(store, log).apply((await log.read())[:700])
    await store.redis.hincrby(next(iter(await store.redis.keys("*:n:language:d:*"))), "ar", 17)
    seen: list[tuple[int, int]] = []
    assert await make(store, log).rebuild(lambda reached, goal: seen.append((reached, goal))) == 2_499
    assert await counted(store) == 2_500
    assert (await store.top("language", "all", limit=1)).items[0].count == 2_500
    assert seen == [(999, 2_499), (1_999, 2_499), (2_499, 2_499)]
    assert await store.redis.get("another") == "1"


async def test_a_rebuild_while_a_worker_runs(store: Store, log: Log) -> None:
    """Both count the same log at the same time; every article is counted once."""
    await log.write(*(an_article() for _ in range(3_000)))
    records = await log.read()
    worker, command = make(store, log), make(store, log)
    await worker.apply(records[:1_500])

    async def work() -> None:
        for first in range(1_500, 3_000, 50):
            await worker.apply(records[first : first + 50])

    await asyncio.gather(work(), command.rebuild(), work(), make(store, log).rebuild())
    await worker.tick()
    assert await counted(store) == 3_000


async def test_the_command_rebuilds(store: Store, kafka: Kafka, valkey: Valkey, tmp_path: Path) -> None:
    """``khabar rebuild aggregates`` prints since when numbers are complete, and names a store it cannot reach."""
    await store.redis.set("{khabar}:n:language:d:1:0", "damaged")
    environment = {"KHABAR_KAFKA": kafka.bootstrap, "KHABAR_REDIS": valkey.url, "KHABAR_DATA_DIR": str(tmp_path)}
    done = await asyncio.to_thread(CliRunner().invoke, cli, ["rebuild", "aggregates"], env=environment)
    assert done.exit_code == 0, done.output
    assert "numbers are complete since the beginning" in done.output
    async with clients.reader(kafka.bootstrap, kafka_topics.UPDATES.name) as reader:
        assert await store.applied(await clients.read_log_id(kafka.bootstrap)) == await reader.end() - 1
    assert not await store.redis.exists("{khabar}:n:language:d:1:0")
    unreachable = environment | {"KHABAR_REDIS": f"redis://127.0.0.1:{free_port()}/0"}
    failed = await asyncio.to_thread(CliRunner().invoke, cli, ["rebuild", "aggregates"], env=unreachable)
    assert failed.exit_code == 1
    assert "the store cannot be written" in failed.output + str(failed.exception)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(st.tuples(st.integers(0, 39), st.integers(1, 15)), st.just("lost"), st.just("tick"), st.just("new")),
        max_size=12,
    )
)
async def test_numbers_are_exact_after_anything(
    store: Store, forty: Callable[[], Awaitable[tuple[Log, list[UpdateRecord]]]], steps: Sequence[object]
) -> None:
    """Repeated batches in any order, a store that is emptied, new workers: in the end each article is counted once."""
    log, records = await forty()
    await store.redis.flushdb()
    aggregate = make(store, log)
    for step in steps:
        match step:
            case "lost":
                await store.redis.flushdb()
            case "tick":
                await aggregate.tick()
            case "new":
                aggregate = make(store, log)
            case (int(first), int(length)):
                await aggregate.apply(records[first : first + length])
    await aggregate.tick()
    await aggregate.apply(records)
    assert await counted(store) == 40
    entities = (await store.top("entity", "all", limit=100)).items
    assert {entity.id: entity.count for entity in entities} == {f"Q{number}": 8 for number in range(5)}


@pytest.fixture
def forty(log: Log) -> Callable[[], Awaitable[tuple[Log, list[UpdateRecord]]]]:
    """A log of forty articles about five entities, written on first use."""
    found: list[tuple[Log, list[UpdateRecord]]] = []

    async def get() -> tuple[Log, list[UpdateRecord]]:
        if not found:
            await log.write(*(an_article(entities=[an_entity(f"Q{number % 5}")]) for number in range(40)))
            found.append((log, await log.read()))
        return found[0]

    return get


def test_records_are_batched_by_runs_of_offsets() -> None:
    """A record that does not follow the one before starts a new batch; repeated records within a batch are skipped."""
    value = an_article().encode()
    records = [UpdateRecord(offset, 0, [("type", b"article")], value) for offset in (3, 4, 4, 3, 5, 9, 10, 2)]
    uncountable: list[Uncountable] = []
    assert [(batch.first, batch.last) for batch in batches(records, uncountable)] == [(3, 5), (9, 10), (2, 2)]
    assert uncountable == []
