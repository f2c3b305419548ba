"""What Kafka refuses for what it is, and what group does not foresee: a dead letter, and nothing waits."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from enrich import stage
from enrich.annotate import annotate
from enrich.group import stories
from enrich.group.grouper import Grouper, InvalidArticle
from enrich.group.writer import Writer
from enrich.stage import RecordProducer
from services import deadletters, kafka_topics
from services import kafka as clients
from services.connections import Bootstrap, client_options
from services.deadletters import SourceRecord
from services.embedded.kafka import Kafka
from services.events import AnnotatedArticle, Article, ArticleIn
from services.kafka import Output
from services.settings import Settings
from tests.enrich.workers import empty_topics, running
from tests.harness import ARRIVAL, eventually, raw, updates

WINDOW = timedelta(hours=72)


@pytest.fixture
async def own(workers_kafka: Kafka, tmp_path: Path) -> AsyncIterator[Settings]:
    """Settings for a Kafka with empty topics of Khabar."""
    await empty_topics(workers_kafka.bootstrap, raw_partitions=1)
    yield Settings(kafka=workers_kafka.bootstrap, redis="redis://127.0.0.1:9", data_dir=tmp_path, session_timeout=2)


async def limit(bootstrap: Bootstrap, topic: str, size: int) -> None:
    """The broker refuses larger records on this topic from now on."""
    admin = AIOKafkaAdminClient(**client_options(bootstrap))
    await admin.start()
    config = {"max.message.bytes": str(size)}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=config)])
    await admin.close()


def incompressible(size: int) -> str:
    """Text that a codec does not make smaller."""
    return "".join(map(chr, np.random.default_rng(7).integers(0x4E00, 0x9000, size // 3)))


async def letters(bootstrap: Bootstrap) -> list[deadletters.DeadLetter]:
    """All dead letters."""
    return [letter async for letter in deadletters.read(bootstrap)]


@pytest.mark.parametrize("topic", [kafka_topics.ANNOTATED, kafka_topics.UPDATES])
async def test_an_article_that_is_too_large_for_a_broker_becomes_a_dead_letter(
    own: Settings, topic: kafka_topics.KafkaTopic
) -> None:
    """The broker takes smaller records than Khabar writes; the articles before and after it come out, each once."""
    bootstrap = own.kafka_servers
    await limit(bootstrap, topic.name, 60_000)
    large = ArticleIn(text=f"A large article. {incompressible(150_000)}")
    articles = [raw(ArticleIn(text=f"The harbour of town {n} was opened again."), f"small-{n}") for n in range(4)]
    articles.insert(2, raw(large, "large"))
    async with clients.producer(bootstrap) as producer:
        for article in articles:
            await producer.send(kafka_topics.RAW.name, article.encode(), key=b"k")
        await producer.flush()

    async def published() -> list[str]:
        found = [event.id for event in await updates(bootstrap) if isinstance(event, Article)]
        return found if len(found) >= 4 else []

    async with running(own, stages=["annotate", "group"]):
        assert await eventually(published) == ["small-0", "small-1", "small-2", "small-3"]
        (letter,) = await letters(bootstrap)
    assert letter.stage == ("annotate" if topic is kafka_topics.ANNOTATED else "group")
    assert "MessageSizeTooLargeError" in letter.cause
    assert b'"large"' in (letter.value or b"")


async def test_a_dead_letter_that_its_topic_refuses_keeps_the_beginning(own: Settings) -> None:
    """With the length and hash of the whole, and a retry sends the whole from its own topic."""
    bootstrap = own.kafka_servers
    await limit(bootstrap, kafka_topics.REJECTED.name, 200_000)
    value = b"{" + incompressible(400_000).encode()
    async with clients.producer(bootstrap) as producer:
        sent = await producer.send_and_wait(kafka_topics.RAW.name, value, key=b"k", headers=[("trace", None)])
    own_producer = RecordProducer(bootstrap)
    record = SourceRecord(sent.topic, sent.partition, sent.offset, b"k", value, [("trace", None)])
    await own_producer.send_letters([(record, "annotate", "ValueError: no")])
    await own_producer.close()
    (letter,) = await letters(bootstrap)
    assert letter.value == value[: deadletters.KEPT_BYTES]
    assert letter.truncated is not None
    assert letter.truncated.length == len(value)
    assert [problem async for _, problem in deadletters.retry(bootstrap, deadletters.read(bootstrap))] == [None]
    assert await letters(bootstrap) == []
    async with clients.reader(bootstrap, kafka_topics.RAW.name) as reader:
        again = [one async for one in reader.between(sent.offset + 1, await reader.end())]
    assert [(one.value, one.key, list(one.headers)) for one in again] == [(value, b"k", [("trace", None)])]


async def test_a_retry_of_a_beginning_needs_the_original(own: Settings) -> None:
    """Where Kafka has another record, or none, at its place, the retry says so and the letter stays."""
    bootstrap = own.kafka_servers
    async with clients.producer(bootstrap) as producer:
        sent = await producer.send_and_wait(kafka_topics.RAW.name, b"another")
        for offset in (sent.offset, sent.offset + 50):
            record = SourceRecord(kafka_topics.RAW.name, 0, offset, None, b"x" * clients.MAX_RECORD_BYTES)
            await clients.produce_batch(producer, [deadletters.output(record, stage="s", cause="c")], within=20)
    problems = [problem async for _, problem in deadletters.retry(bootstrap, deadletters.read(bootstrap))]
    assert "another record" in str(problems[0])
    assert "no longer keeps the original" in str(problems[1])
    assert len(await letters(bootstrap)) == 2


def an_article(article_id: str, text: str, arrived: datetime = ARRIVAL, **changes: Any) -> AnnotatedArticle:
    """An annotated article, with changes that annotate would not make."""
    return annotate(raw(ArticleIn(text=text), article_id, arrived)).model_copy(update=changes)


TEXT = "The old bridge over the river was closed on Monday after engineers found cracks in two of its pillars."


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": "AAAA"},
        {"sketch": "A"},
        {"fingerprint": "00"},
        {"fingerprint": "zz"},
        {"sequence": 2**70},
        {"shingles": 2**40},
        {"terms": "////////"},
        {"meaning": "AA=="},
        {"event_title": "AA==", "event_text": "AA=="},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_refused_article_does_not_move_the_window(changes: dict[str, Any]) -> None:
    """A worker that saw it and one that did not group the next article alike."""
    grouper = Grouper(WINDOW, 100)
    grouper.process(an_article("a", TEXT))
    with pytest.raises(InvalidArticle):
        grouper.process(an_article("bad", "Another text", ARRIVAL + timedelta(hours=80), **changes))
    copy = grouper.process(an_article("c", TEXT, ARRIVAL + timedelta(hours=1)))
    assert copy is not None
    assert copy.article.duplicate_of == "a"


def test_opposed_articles_do_not_stop_the_split_of_a_story() -> None:
    """Sentence vectors may have negative similarities."""
    scores = np.full((8, 8), 0.6, np.float32)
    scores[7, :] = scores[:, 7] = -0.2
    np.fill_diagonal(scores, 2.0)
    assert stories._bisect(scores).tolist() == [False] * 7 + [True]


async def _grouped(
    own: Settings, inputs: list[tuple[AnnotatedArticle, int]], prepare: Callable[[Writer], None] = lambda _: None
) -> list[Article]:
    """The articles that one writer publishes for these inputs, each with the time of its record."""
    bootstrap = own.kafka_servers
    async with clients.producer(bootstrap) as producer:
        for article, at in inputs:
            await producer.send_and_wait(kafka_topics.ANNOTATED.name, article.encode(), timestamp_ms=at)
    letters_to = RecordProducer(bootstrap)
    writer = Writer(own, letters_to)
    prepare(writer)
    async with clients.reader(bootstrap, kafka_topics.ANNOTATED.name) as reader:
        records = [
            SourceRecord(one.topic, one.partition, one.offset, one.key, one.value, one.headers, one.timestamp)
            async for one in reader.between(await reader.oldest(), await reader.end())
        ]
    await writer.process(records)
    writer.reset()
    await letters_to.close()
    return [event for event in await updates(bootstrap) if isinstance(event, Article)]


async def test_an_article_from_the_future_does_not_move_the_window(own: Settings) -> None:
    """It arrived when Kafka took its record, and the copies around it are recognised."""
    now = datetime.now(UTC).replace(microsecond=0)
    at = int(now.timestamp() * 1000)
    first, future, copy = await _grouped(
        own,
        [
            (an_article("first", TEXT, now), at),
            (an_article("future", "A ship from another time", datetime(2999, 1, 1, tzinfo=UTC)), at),
            (an_article("copy", TEXT, now), at),
        ],
    )
    assert future.received_at == now
    assert copy.duplicate_of == first.id


async def test_an_exception_that_nobody_foresaw_leaves_the_state_of_the_log(
    own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The article is a dead letter; those before and after it come out as if it had never been there."""
    choose = stories.Stories.join

    def failing(self: stories.Stories, article: Any, *rest: Any, **options: Any) -> int:
        number = choose(self, article, *rest, **options)
        if article.id == "broken":
            raise ZeroDivisionError("after the window was changed")
        return number

    monkeypatch.setattr(stories.Stories, "join", failing)
    at = int(ARRIVAL.timestamp() * 1000)
    inputs = [(an_article(name, TEXT), at) for name in ("first", "broken", "second", "third")]
    published = await _grouped(own, inputs)
    assert [article.id for article in published] == ["first", "second", "third"]
    assert [article.duplicate_of for article in published] == [None, "first", "first"]
    (letter,) = await letters(own.kafka_servers)
    assert letter.cause == "ZeroDivisionError: after the window was changed"


async def test_a_producer_that_does_not_start_is_given_up(monkeypatch: pytest.MonkeyPatch, kafka: Kafka) -> None:
    """The start has the same bound as the rest, and the next attempt begins with a new producer."""
    monkeypatch.setattr(stage, "_PRODUCE_TIMEOUT", 0.5)
    producer = RecordProducer("127.0.0.1:9")
    with pytest.raises(KafkaError):
        await producer.send([Output("x", None, b"")])
    producer._bootstrap = kafka.bootstrap
    monkeypatch.setattr(stage, "_PRODUCE_TIMEOUT", 30.0)
    assert await producer.send([Output(kafka_topics.RAW.name, None, b"")]) == []
    await producer.close()
