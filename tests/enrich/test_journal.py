"""Group's memory through every way in which a worker can end, on the real broker."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from enrich.group.grouper import Grouper, GroupOutput
from enrich.group.journal import Journal, JournalConfig, JournalEntry
from enrich.group.snapshots import Due, Stretch
from enrich.stage import RecordProducer
from services import fencing, kafka_topics
from services import kafka as clients
from services.embedded.kafka import Kafka
from services.events import Article, Story
from services.kafka import Output
from tests.harness import eventually, log_of

WINDOW = timedelta(hours=72)
NOW = datetime.now(UTC)
_names = itertools.count()


def entry(number: int, stories: int = 1, kind: str = "entry") -> bytes:
    """What stands for a step in these tests."""
    return f"{kind}.{number}.{stories}".encode()


def stories_of(number: int, stories: int) -> tuple[Story, ...]:
    """The stories told in a step."""
    base = {"title": "", "languages": [], "size": 1, "sources": [], "entities": [], "topics": [], "articles": []}
    times = {"first_published": NOW, "last_published": NOW}
    return tuple(Story.model_validate(base | times | {"id": f"story.{number}.{at}"}) for at in range(stories))


def step(number: int, stories: int = 1, arrived: datetime = NOW, kind: str = "entry") -> JournalEntry:
    """The step of input ``number``."""
    values = {"id": f"article.{number}", "revision": 1, "text": "", "received_at": arrived, "story": "", "topics": []}
    unknown = dict.fromkeys(("source", "url", "title", "published_at", "duplicate_of", "similarity"))
    article = Article.model_validate(values | unknown | {"language": "ar", "language_score": 1, "entities": []})
    return JournalEntry(number, GroupOutput(article, stories_of(number, stories), entry(number, stories, kind)))


class Recorder(Grouper):
    """A grouper that only notes what it is given back."""

    def __init__(self) -> None:
        self.restored: list[bytes] = []

    def restore(self, entries: Iterable[bytes]) -> None:
        """Refuses entries of another version."""
        for one in entries:
            if one.startswith(b"other"):
                raise ValueError("another version")
            self.restored.append(one)

    def told_last(self) -> tuple[Story, ...]:
        """As told for the last entry."""
        _, number, stories = self.restored[-1].decode().split(".")
        return stories_of(int(number), int(stories))


class Leaky(RecordProducer):
    """An outlet that Kafka refuses some records of."""

    def __init__(self, bootstrap: str, refused: set[int]) -> None:
        super().__init__(bootstrap)
        self._refused = refused
        self._sent = itertools.count()

    async def send(self, outputs: Iterable[Output]) -> None:
        """Fails when the number of the call is among the refused."""
        if next(self._sent) in self._refused:
            raise KafkaError("refused")
        await super().send(outputs)


class World:
    """Two topics and the workers that come and go."""

    def __init__(self, bootstrap: str) -> None:
        name = f"journal.{next(_names)}"
        self.place = JournalConfig(bootstrap, f"{name}.updates", f"{name}.entries")
        self.outlet = RecordProducer(bootstrap)
        self.open_journals: list[Journal] = []
        self.next = 0

    async def create(self, *names: str) -> None:
        """Create the topics (again)."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.place.bootstrap)
        await admin.start()
        config = kafka_topics.UPDATES.config
        response = await admin.create_topics([NewTopic(name, 1, 1, topic_configs=config) for name in names])
        assert not any(code for _, code, *_ in response.topic_errors)
        await admin.close()

    async def anew(self, name: str) -> None:
        """Delete a topic and create it again."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.place.bootstrap)
        await admin.start()
        await admin.delete_topics([name])

        async def gone() -> bool:
            return name not in await admin.list_topics()

        await eventually(gone)
        await admin.close()
        await self.create(name)

    async def worker(self, *, refused: set[int] | None = None) -> Journal:
        """A worker that takes over."""
        outlet = Leaky(self.place.bootstrap, refused) if refused else self.outlet
        journal = await Journal.open(self.place, Recorder(), WINDOW, outlet)
        self.open_journals.append(journal)
        return journal

    async def write(self, count: int, *, refused: set[int] | None = None, stories: int = 1) -> Journal:
        """A worker takes over, tells ``count`` steps in batches, and is gone."""
        journal = await self.worker(refused=refused)
        for first in range(0, count, 97):
            some = range(self.next + first, self.next + min(count, first + 97))
            await journal.append([step(number, stories) for number in some])
        if journal._copying is not None:
            await journal._copying
        self.next += count
        return journal

    async def cut_short(self, stories: int, parts: int) -> None:
        """A worker tells one more input and is killed when only some of its records are appended."""
        source = JournalConfig(self.place.bootstrap, f"{self.place.updates}.elsewhere.{self.next}", self.place.entries)
        await self.create(source.updates)
        journal = await Journal.open(source, Recorder(), WINDOW, self.outlet)
        await journal.append([step(self.next, stories)])
        journal.close()
        records = (await log_of(source.bootstrap, kafka_topics.Topic(source.updates)))[1:]
        pen = await fencing.FencedProducer.acquire(self.place.bootstrap, self.place.updates)
        await pen.append([(record.key, record.value, list(record.headers)) for record in records[:parts]])
        pen.close()
        self.next += 1

    async def lay(
        self, topic: str, value: bytes, headers: clients.Headers | None = None, at: int | None = None
    ) -> None:
        """A record of somebody's own."""
        async with clients.producer(self.place.bootstrap) as producer:
            await producer.send_and_wait(topic, value, headers=headers or [], timestamp_ms=at)

    async def copies(self) -> list[bytes]:
        """The values on the topic of copies."""
        return [record.value for record in await log_of(self.place.bootstrap, kafka_topics.Topic(self.place.entries))]


@pytest.fixture
async def world(kafka: Kafka) -> AsyncIterator[World]:
    """Empty topics."""
    one = World(kafka.bootstrap)
    await one.create(one.place.updates, one.place.entries)
    yield one
    for journal in one.open_journals:
        journal.close()
    await one.outlet.close()


async def nothing(world: World) -> None:
    """The first start of all."""


async def few(world: World) -> None:
    """Less than one batch."""
    await world.write(3)


async def tail_only(world: World) -> None:
    """Too few for a copy."""
    await world.write(400)


async def copied_to_the_end(world: World) -> None:
    """The last copy reaches the end."""
    await world.write(97 * 6)


async def copied_and_tail(world: World) -> None:
    """Some entries are not copied yet."""
    await world.write(1_300)


async def many_short_lives(world: World) -> None:
    """No worker lives long enough to copy its own entries."""
    for _ in range(9):
        await world.write(130)


async def lives_without_work(world: World) -> None:
    """Workers that take over and write nothing."""
    await world.write(700)
    for _ in range(3):
        await world.write(0)
    await world.write(20)


async def several_stories_a_step(world: World) -> None:
    """Steps of several records, more and fewer."""
    await world.write(600, stories=3)
    await world.write(20, stories=2)


async def ended_after_the_article(world: World) -> None:
    """The story is owed."""
    await world.write(30)
    await world.cut_short(stories=1, parts=1)


async def ended_among_stories(world: World) -> None:
    """Two of three stories are owed, right behind a copy."""
    await world.write(600)
    await world.cut_short(stories=3, parts=2)


async def ended_at_the_first_article(world: World) -> None:
    """The very first input is unfinished."""
    await world.cut_short(stories=2, parts=1)


async def ended_again_and_again(world: World) -> None:
    """At every place of a step, complete ones among them."""
    for parts in (1, 2, 3, 1, 4, 2):
        await world.cut_short(stories=3, parts=parts)
        await world.write(120)


async def no_copies(world: World) -> None:
    """Kafka took none."""
    await world.write(1_300, refused=set(range(100)))


async def copies_lost_at_the_start(world: World) -> None:
    """Kafka refused the first one."""
    await world.write(1_300, refused={0})


async def copies_lost_in_the_middle(world: World) -> None:
    """Kafka refused the second one of several."""
    await world.write(2_000, refused={1})


async def topic_of_copies_deleted(world: World) -> None:
    """All comes from ``updates``."""
    await world.write(1_300)
    await world.anew(world.place.entries)


async def topic_of_copies_deleted_then_more(world: World) -> None:
    """The next worker copies anew."""
    await world.write(1_300)
    await world.anew(world.place.entries)
    await world.write(800)


async def copies_written_twice(world: World) -> None:
    """Every one of them comes again."""
    await world.write(1_300)
    for value in await world.copies():
        await world.lay(world.place.entries, value)
    await world.write(700)


async def copies_that_overlap(world: World) -> None:
    """As when a worker that was paused writes one late, and its successor has cut elsewhere."""
    await world.write(1_300)
    stretches = [Stretch.decode(value) for value in await world.copies()]
    await world.anew(world.place.entries)
    frames = [frame for stretch in stretches for frame in stretch.entries]
    for first, last in ((0, 300), (200, 500), (100, 400), (500, 520), (450, 900)):
        due = Due(frames[first][0])
        for frame in frames[first : last + 1]:
            due.add(*frame)
        number = int(frames[last][1].split(b".")[1])
        await world.lay(world.place.entries, due.cut(frames[last][0] + 1, number).encode())


async def foreign_records(world: World) -> None:
    """Records of an older version, of other writers, of nobody; values and headers in every mixture."""
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
            await world.lay(world.place.updates, b"?", headers)
        good = Stretch(0, 10**9, 5, ((3, b"other"),)).encode()
        for value in (b"", b"?", b"KGE1", good, good[:-1], good[:40], good + b"\0", Stretch(0, 5, 5, ()).encode()):
            await world.lay(world.place.entries, value)


async def updates_begun_anew(world: World) -> None:
    """Copies of a log that was deleted say nothing about the one that has its name now."""
    world.next = 50_000
    await world.write(1_300)
    await world.anew(world.place.updates)
    world.next = 0
    await world.write(900)


async def an_article_without_a_story(world: World) -> None:
    """Steps of one record."""
    await world.write(5, stories=0)


CASES: list[Callable[[World], Awaitable[None]]] = [
    nothing,
    few,
    tail_only,
    copied_to_the_end,
    copied_and_tail,
    many_short_lives,
    lives_without_work,
    several_stories_a_step,
    ended_after_the_article,
    ended_among_stories,
    ended_at_the_first_article,
    ended_again_and_again,
    no_copies,
    copies_lost_at_the_start,
    copies_lost_in_the_middle,
    topic_of_copies_deleted,
    topic_of_copies_deleted_then_more,
    copies_written_twice,
    copies_that_overlap,
    foreign_records,
    updates_begun_anew,
    an_article_without_a_story,
]


@pytest.mark.parametrize("case", CASES, ids=[case.__name__ for case in CASES])
async def test_the_next_worker_knows_every_step_once(world: World, case: Callable[[World], Awaitable[None]]) -> None:
    """Whatever happened: all steps, in order, once; and every input's records are on the log, once."""
    await case(world)
    for _ in range(2):  # what a recovery writes itself must not mislead the next one
        journal = await world.worker()
        assert isinstance(journal.grouper, Recorder)
        numbers = [int(one.split(b".")[1]) for one in journal.grouper.restored]
        assert numbers == list(range(world.next))
        assert journal.last_input == world.next - 1
        parts = [
            (int(headers["input"]), headers["part"].decode())
            for headers in (
                dict(r.headers) for r in await log_of(world.place.bootstrap, kafka_topics.Topic(world.place.updates))
            )
            if headers.get("type") in (b"article", b"story")
            and len(headers.get("part", b"").split(b"/")) == 2
            and headers["input"].isdigit()
            and int(headers["input"]) < world.next
        ]
        totals = {number: int(part.split("/")[1]) for number, part in parts}
        assert parts == [(n, f"{at}/{totals[n]}") for n in range(world.next) for at in range(1, totals[n] + 1)]


async def test_most_of_a_long_memory_comes_from_copies(world: World) -> None:
    """Else recovery would take as long as reading every article again."""
    await world.write(2_600)
    assert (await world.worker()).recovered | {"from_updates": 0} == {
        "from_copies": 2_328,
        "from_updates": 0,
        "foreign": 0,
        "refused": 0,
    }


async def test_entries_of_another_version_do_not_keep_group_from_starting(world: World) -> None:
    """They are left out and counted; inputs told by that version are not told again."""
    journal = await world.worker()
    await journal.append([step(number, kind="other" if number % 3 else "entry") for number in range(700)])
    await journal.append([step(700, kind="other")])
    again = await world.worker()
    assert isinstance(again.grouper, Recorder)
    assert again.grouper.restored == [entry(number) for number in range(0, 700, 3)]
    assert again.last_input == 700
    assert again.recovered["refused"] == 701 - len(again.grouper.restored)


async def test_only_the_window_is_read_back(world: World) -> None:
    """A window and some minutes before the last article arrived, however late group told of it."""
    old = int((NOW - WINDOW - timedelta(hours=2)).timestamp() * 1000)
    for number, at in enumerate((old, old + 3_600_000, old + 3 * 3_600_000)):
        one = step(number, stories=0)
        headers = [("type", b"article"), ("input", b"%d" % number), ("part", b"1/1"), ("entry", one.told.entry)]
        await world.lay(world.place.updates, one.told.article.encode(), headers, at)
    journal = await world.worker()
    assert isinstance(journal.grouper, Recorder)
    assert journal.grouper.restored == [entry(2, 0)]
    await journal.append([step(3, arrived=NOW - timedelta(hours=1, minutes=30))])
    behind = await world.worker()
    assert isinstance(behind.grouper, Recorder)
    assert behind.grouper.restored == [entry(1, 0), entry(2, 0), entry(3)]


async def test_a_journal_whose_pen_was_taken_is_told_so(world: World) -> None:
    """It cannot append, and renewed it knows that its memory is out of date; else renewing changes nothing."""
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


async def test_trends_between_change_nothing(world: World) -> None:
    """What others tell on ``updates``, and the fences of their pens, are no reason to read everything back."""
    journal = await world.worker()
    await journal.append([step(0)])
    herald = await fencing.FencedProducer.acquire(world.place.bootstrap, world.place.updates, "trends")
    await herald.append([(b"entity:15m:Q1", b"{}", [("type", b"trend")])])
    assert await journal.renew()
    await journal.append([step(1)])
    await herald.append([(b"entity:15m:Q1", b"{}", [("type", b"trend")])])
    herald.close()
    later = await world.worker()
    assert isinstance(later.grouper, Recorder)
    assert later.grouper.restored == [entry(0), entry(1)]
    assert later.recovered["foreign"] == 0
    with pytest.raises(fencing.Fenced):
        await journal.append([step(2)])
