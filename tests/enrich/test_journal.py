"""Group's journal after every way in which a worker can end, on a real broker."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from enrich.group.grouper import Grouper, GroupOutput
from enrich.group.journal import Journal, JournalConfig, JournalEntry
from enrich.group.snapshots import EntrySegment, PendingSegment
from enrich.stage import RecordProducer
from services import fencing, kafka_topics
from services import kafka as clients
from services.embedded.kafka import Kafka
from services.events import Article, Story
from services.kafka import Output, RecordRefused
from tests.harness import eventually, log_of

WINDOW = timedelta(hours=72)
NOW = datetime.now(UTC)
_names = itertools.count()


def entry(number: int, stories: int = 1, kind: str = "entry") -> bytes:
    """The bytes that replace an entry in these tests."""
    return f"{kind}.{number}.{stories}".encode()


def stories_of(number: int, stories: int) -> tuple[Story, ...]:
    """The stories of a step."""
    base = {"title": "", "languages": [], "size": 1, "sources": [], "entities": [], "topics": [], "articles": []}
    times = {"first_published": NOW, "last_published": NOW}
    return tuple(Story.model_validate(base | times | {"id": f"story.{number}.{at}"}) for at in range(stories))


def step(number: int, stories: int = 1, arrived: datetime = NOW, kind: str = "entry") -> JournalEntry:
    """The journal entry of input ``number``."""
    values = {"id": f"article.{number}", "revision": 1, "text": "", "received_at": arrived, "story": "", "topics": []}
    unknown = dict.fromkeys(("source", "url", "title", "published_at", "duplicate_of", "similarity"))
    article = Article.model_validate(values | unknown | {"language": "ar", "language_score": 1, "entities": []})
    return JournalEntry(number, GroupOutput(article, stories_of(number, stories), entry(number, stories, kind)))


class Recorder(Grouper):
    """A grouper that only records the entries it restores."""

    def __init__(self) -> None:
        self.restored: list[bytes] = []

    def restore(self, entries: Iterable[bytes]) -> None:
        """Rejects entries of another version."""
        for one in entries:
            if one.startswith(b"other"):
                raise ValueError("another version")
            self.restored.append(one)

    def last_stories(self) -> tuple[Story, ...]:
        """The stories of the last entry."""
        _, number, stories = self.restored[-1].decode().split(".")
        return stories_of(int(number), int(stories))


class FailingProducer(RecordProducer):
    """A producer some of whose calls fail."""

    def __init__(self, bootstrap: str, failing: set[int]) -> None:
        super().__init__(bootstrap)
        self._failing = failing
        self._calls = itertools.count()

    async def send(self, outputs: Iterable[Output]) -> list[RecordRefused]:
        """Fails when the number of the call is one of those."""
        if next(self._calls) in self._failing:
            raise KafkaError("failed")
        return await super().send(outputs)


class World:
    """Two topics, and the workers that write to them one after the other."""

    def __init__(self, bootstrap: str) -> None:
        name = f"journal.{next(_names)}"
        self.config = JournalConfig(bootstrap, f"{name}.updates", f"{name}.entries")
        self.producer = RecordProducer(bootstrap)
        self.open_journals: list[Journal] = []
        self.next = 0

    async def create(self, *names: str) -> None:
        """Create the topics (again)."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.config.bootstrap)
        await admin.start()
        topic_config = kafka_topics.UPDATES.config
        response = await admin.create_topics([NewTopic(name, 1, 1, topic_configs=topic_config) for name in names])
        assert not any(code for _, code, *_ in response.topic_errors)
        await admin.close()

    async def recreate(self, name: str) -> None:
        """Delete a topic and create it again."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.config.bootstrap)
        await admin.start()
        await admin.delete_topics([name])

        async def gone() -> bool:
            return name not in await admin.list_topics()

        await eventually(gone)
        await admin.close()
        await self.create(name)

    async def worker(self, *, failing: set[int] | None = None) -> Journal:
        """A worker that takes over."""
        producer = FailingProducer(self.config.bootstrap, failing) if failing else self.producer
        journal = await Journal.open(self.config, Recorder(), WINDOW, producer)
        self.open_journals.append(journal)
        return journal

    async def write(self, count: int, *, failing: set[int] | None = None, stories: int = 1) -> Journal:
        """A worker takes over, publishes ``count`` steps in batches, and ends."""
        journal = await self.worker(failing=failing)
        for first in range(0, count, 97):
            batch = range(self.next + first, self.next + min(count, first + 97))
            await journal.append([step(number, stories) for number in batch])
        if journal._snapshot is not None:
            await journal._snapshot
        self.next += count
        return journal

    async def write_partially(self, stories: int, parts: int) -> None:
        """A worker processes one more input and is killed when only some of its records are appended."""
        source = JournalConfig(
            self.config.bootstrap, f"{self.config.updates}.elsewhere.{self.next}", self.config.entries
        )
        await self.create(source.updates)
        journal = await Journal.open(source, Recorder(), WINDOW, self.producer)
        await journal.append([step(self.next, stories)])
        journal.close()
        records = (await log_of(source.bootstrap, kafka_topics.KafkaTopic(source.updates)))[1:]
        writer = await fencing.FencedProducer.acquire(self.config.bootstrap, self.config.updates)
        await writer.append([(record.key, record.value, list(record.headers)) for record in records[:parts]])
        writer.close()
        self.next += 1

    async def write_record(
        self, topic: str, value: bytes, headers: clients.Headers | None = None, at: int | None = None
    ) -> None:
        """Write any record, as another program may."""
        async with clients.producer(self.config.bootstrap) as producer:
            await producer.send_and_wait(topic, value, headers=headers or [], timestamp_ms=at)

    async def snapshots(self) -> list[bytes]:
        """The values on the topic of snapshots."""
        return [
            record.value for record in await log_of(self.config.bootstrap, kafka_topics.KafkaTopic(self.config.entries))
        ]


@pytest.fixture
async def world(kafka: Kafka) -> AsyncIterator[World]:
    """Empty topics."""
    one = World(kafka.bootstrap)
    await one.create(one.config.updates, one.config.entries)
    yield one
    for journal in one.open_journals:
        journal.close()
    await one.producer.close()


async def nothing(world: World) -> None:
    """The very first start."""


async def few(world: World) -> None:
    """Less than one batch."""
    await world.write(3)


async def tail_only(world: World) -> None:
    """Too few for a snapshot."""
    await world.write(400)


async def snapshots_to_the_end(world: World) -> None:
    """The last snapshot reaches the end."""
    await world.write(97 * 6)


async def snapshots_and_tail(world: World) -> None:
    """The last entries are not in a snapshot yet."""
    await world.write(1_300)


async def many_short_workers(world: World) -> None:
    """No worker runs long enough to write a snapshot of its own entries."""
    for _ in range(9):
        await world.write(130)


async def workers_without_work(world: World) -> None:
    """Workers take over and publish nothing."""
    await world.write(700)
    for _ in range(3):
        await world.write(0)
    await world.write(20)


async def several_stories_per_step(world: World) -> None:
    """Steps with several records."""
    await world.write(600, stories=3)
    await world.write(20, stories=2)


async def ended_after_the_article(world: World) -> None:
    """The story record is missing."""
    await world.write(30)
    await world.write_partially(stories=1, parts=1)


async def ended_among_stories(world: World) -> None:
    """Two of three story records are missing, right after a snapshot."""
    await world.write(600)
    await world.write_partially(stories=3, parts=2)


async def ended_at_the_first_article(world: World) -> None:
    """The output of the very first input is incomplete."""
    await world.write_partially(stories=2, parts=1)


async def ended_repeatedly(world: World) -> None:
    """After each record of a step, also after the last."""
    for parts in (1, 2, 3, 1, 4, 2):
        await world.write_partially(stories=3, parts=parts)
        await world.write(120)


async def no_snapshots(world: World) -> None:
    """All snapshots failed."""
    await world.write(1_300, failing=set(range(100)))


async def snapshot_lost_at_the_start(world: World) -> None:
    """The first snapshot failed."""
    await world.write(1_300, failing={0})


async def snapshot_lost_in_the_middle(world: World) -> None:
    """The second of several snapshots failed."""
    await world.write(2_000, failing={1})


async def snapshot_topic_deleted(world: World) -> None:
    """All entries are restored from ``updates``."""
    await world.write(1_300)
    await world.recreate(world.config.entries)


async def snapshot_topic_deleted_then_more(world: World) -> None:
    """The next worker writes snapshots again."""
    await world.write(1_300)
    await world.recreate(world.config.entries)
    await world.write(800)


async def snapshots_written_twice(world: World) -> None:
    """Every snapshot is repeated."""
    await world.write(1_300)
    for value in await world.snapshots():
        await world.write_record(world.config.entries, value)
    await world.write(700)


async def overlapping_snapshots(world: World) -> None:
    """As when a paused worker writes one late, and its successor has cut segments at other offsets."""
    await world.write(1_300)
    segments = [EntrySegment.decode(value) for value in await world.snapshots()]
    await world.recreate(world.config.entries)
    frames = [frame for segment in segments for frame in segment.entries]
    for first, last in ((0, 300), (200, 500), (100, 400), (500, 520), (450, 900)):
        pending = PendingSegment(frames[first][0])
        for frame in frames[first : last + 1]:
            pending.add(*frame)
        number = int(frames[last][1].split(b".")[1])
        await world.write_record(world.config.entries, pending.cut(frames[last][0] + 1, number).encode())


async def foreign_records(world: World) -> None:
    """Records of an older version and of other programs, with all kinds of values and headers."""
    old: clients.Headers = [("type", b"article"), ("input", b"7"), ("part", b"1"), ("entry", b'{"sequence": 1}')]
    for _ in range(3):
        await world.write(250)
        for headers in (
            old,
            [("type", b"trend")],
            [("type", b"article"), ("input", b"99999"), ("part", b"2/1"), ("entry", b"x")],
            [("type", b"story"), ("input", b"-1"), ("part", b"2/2")],
            [("type", b"article"), ("input", b"99999"), ("part", b"1/2")],
            [("part", b"\xff/\xff")],
            [],
        ):
            await world.write_record(world.config.updates, b"?", headers)
        good = EntrySegment(0, 10**9, 5, ((3, b"other"),)).encode()
        for value in (b"", b"?", b"KGE1", good, good[:-1], good[:40], good + b"\0", EntrySegment(0, 5, 5, ()).encode()):
            await world.write_record(world.config.entries, value)


async def updates_recreated(world: World) -> None:
    """Snapshots of a deleted log are not used for the log that now has its name."""
    world.next = 50_000
    await world.write(1_300)
    await world.recreate(world.config.updates)
    world.next = 0
    await world.write(900)


async def an_article_without_a_story(world: World) -> None:
    """Steps with one record."""
    await world.write(5, stories=0)


CASES: list[Callable[[World], Awaitable[None]]] = [
    nothing,
    few,
    tail_only,
    snapshots_to_the_end,
    snapshots_and_tail,
    many_short_workers,
    workers_without_work,
    several_stories_per_step,
    ended_after_the_article,
    ended_among_stories,
    ended_at_the_first_article,
    ended_repeatedly,
    no_snapshots,
    snapshot_lost_at_the_start,
    snapshot_lost_in_the_middle,
    snapshot_topic_deleted,
    snapshot_topic_deleted_then_more,
    snapshots_written_twice,
    overlapping_snapshots,
    foreign_records,
    updates_recreated,
    an_article_without_a_story,
]


@pytest.mark.parametrize("case", CASES, ids=[case.__name__ for case in CASES])
async def test_the_next_worker_restores_every_step_once(world: World, case: Callable[[World], Awaitable[None]]) -> None:
    """All steps are restored once and in order, and each input's records are on the log once."""
    await case(world)
    for _ in range(2):  # what one recovery writes must not mislead the next one
        journal = await world.worker()
        assert isinstance(journal.grouper, Recorder)
        numbers = [int(one.split(b".")[1]) for one in journal.grouper.restored]
        assert numbers == list(range(world.next))
        assert journal.last_input == world.next - 1
        parts = [
            (int(headers["input"]), headers["part"].decode())
            for headers in (
                dict(r.headers)
                for r in await log_of(world.config.bootstrap, kafka_topics.KafkaTopic(world.config.updates))
            )
            if headers.get("type") in (b"article", b"story")
            and len(headers.get("part", b"").split(b"/")) == 2
            and headers["input"].isdigit()
            and int(headers["input"]) < world.next
        ]
        totals = {number: int(part.split("/")[1]) for number, part in parts}
        assert parts == [(n, f"{at}/{totals[n]}") for n in range(world.next) for at in range(1, totals[n] + 1)]


async def test_most_entries_are_restored_from_snapshots(world: World) -> None:
    """Otherwise recovery would take as long as reading every article again."""
    await world.write(2_600)
    assert (await world.worker()).recovered | {"from_updates": 0} == {
        "from_snapshots": 2_328,
        "from_updates": 0,
        "foreign": 0,
        "rejected": 0,
    }


async def test_entries_of_another_version_do_not_prevent_a_start(world: World) -> None:
    """They are skipped and counted; inputs processed by that version are not published again."""
    journal = await world.worker()
    await journal.append([step(number, kind="other" if number % 3 else "entry") for number in range(700)])
    await journal.append([step(700, kind="other")])
    successor = await world.worker()
    assert isinstance(successor.grouper, Recorder)
    assert successor.grouper.restored == [entry(number) for number in range(0, 700, 3)]
    assert successor.last_input == 700
    assert successor.recovered["rejected"] == 701 - len(successor.grouper.restored)


async def test_only_the_window_is_restored(world: World) -> None:
    """From a window and some minutes before the last article's arrival on, however late group published it."""
    old = int((NOW - WINDOW - timedelta(hours=2)).timestamp() * 1000)
    for number, at in enumerate((old, old + 3_600_000, old + 3 * 3_600_000)):
        one = step(number, stories=0)
        headers = [("type", b"article"), ("input", b"%d" % number), ("part", b"1/1"), ("entry", one.output.entry)]
        await world.write_record(world.config.updates, one.output.article.encode(), headers, at)
    journal = await world.worker()
    assert isinstance(journal.grouper, Recorder)
    assert journal.grouper.restored == [entry(2, 0)]
    await journal.append([step(3, arrived=NOW - timedelta(hours=1, minutes=30))])
    later = await world.worker()
    assert isinstance(later.grouper, Recorder)
    assert later.grouper.restored == [entry(1, 0), entry(2, 0), entry(3)]


async def test_a_journal_that_lost_its_fence_notices(world: World) -> None:
    """It cannot append, and renewing reports that its state is out of date; otherwise renewing changes nothing."""
    first = await world.worker()
    await first.append([step(0)])
    assert await first.renew()
    await first.append([step(1)])
    second = await world.worker()
    with pytest.raises(fencing.Fenced):
        await first.append([step(2)])
    await second.append([step(2)])
    assert not await first.renew()
    with pytest.raises(fencing.Fenced):
        await second.append([step(3)])


async def test_trends_in_between_change_nothing(world: World) -> None:
    """Records that others write to ``updates``, and their fences, do not make the state out of date."""
    journal = await world.worker()
    await journal.append([step(0)])
    trends = await fencing.FencedProducer.acquire(world.config.bootstrap, world.config.updates, "trends")
    await trends.append([(b"entity:15m:Q1", b"{}", [("type", b"trend")])])
    assert await journal.renew()
    await journal.append([step(1)])
    await trends.append([(b"entity:15m:Q1", b"{}", [("type", b"trend")])])
    trends.close()
    later = await world.worker()
    assert isinstance(later.grouper, Recorder)
    assert later.grouper.restored == [entry(0), entry(1)]
    assert later.recovered["foreign"] == 0
    with pytest.raises(fencing.Fenced):
        await journal.append([step(2)])
