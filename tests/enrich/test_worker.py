"""A real worker on the real broker: bad records, an absent store, a start after a half-written input."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from enrich.annotate import annotate
from enrich.group.grouper import Grouper
from services import deadletters, kafka_topics
from services import kafka as clients
from services.embedded.kafka import Kafka
from services.embedded.valkey import Valkey
from services.events import Article, ArticleIn
from services.fencing import FencedProducer
from services.groups import GROUP
from services.store import Store
from tests.harness import Child, eventually, log_of, raw, service, updates

WINDOW = timedelta(hours=72)


@pytest.fixture(scope="module")
async def own(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Kafka, Valkey, Child]]:
    """Kafka, Valkey and one worker of this module's own."""
    base = tmp_path_factory.mktemp("worker")
    kafka, valkey = Kafka(base / "kafka"), Valkey(base / "valkey")
    await asyncio.gather(kafka.start(), valkey.start())
    await kafka_topics.ensure(kafka.bootstrap, raw_partitions=2, replication=1, window_hours=30 * 24)
    settings = {"kafka": kafka.bootstrap, "redis": valkey.url, "data_dir": base, "session_timeout": 2}
    async with service("enrich", log=base / "enrich.log", **settings) as child:
        yield kafka, valkey, child
    await asyncio.gather(kafka.stop(), valkey.stop())


async def send(kafka: Kafka, topic: kafka_topics.Topic, value: bytes, key: bytes = b"k") -> None:
    """One record with a header of its own."""
    async with clients.producer(kafka.bootstrap) as producer:
        await producer.send_and_wait(topic.name, value, key=key, headers=[("trace", b"1")])


async def published(kafka: Kafka, article_id: str) -> Article:
    """The article event of an id, once it is there."""

    async def find() -> Article | None:
        found = [e for e in await updates(kafka.bootstrap) if isinstance(e, Article) and e.id == article_id]
        return found[0] if found else None

    result: Article = await eventually(find)
    return result


async def test_bad_records_become_dead_letters_and_stop_nothing(own: tuple[Kafka, Valkey, Child]) -> None:
    """Whatever lies on a topic, each stage keeps it with its cause and goes on with the next."""
    kafka, _, _ = own
    good = raw(ArticleIn(text="وصل الوفد إلى القاهرة مساء اليوم"), "good-1")
    bad = {
        b"not json": "annotate",
        b"\xff\xfe\x00": "annotate",
        b"": "annotate",
        b"[]": "annotate",
        b'{"id": "x"}': "annotate",
        raw(ArticleIn(text="۱۲۳ !!"), "blank").encode(): "annotate",
    }
    for value in bad:
        await send(kafka, kafka_topics.RAW, value)
    await send(kafka, kafka_topics.ANNOTATED, b'{"id": 7}')
    await send(kafka, kafka_topics.RAW, good.encode())
    assert (await published(kafka, "good-1")).text == good.text

    async def letters() -> list[deadletters.DeadLetter]:
        found = [letter async for letter in deadletters.read(kafka.bootstrap)]
        return found if len(found) == len(bad) + 1 else []

    found = await eventually(letters)
    assert {letter.value: letter.stage for letter in found} == bad | {b'{"id": 7}': "group"}
    assert all(letter.headers == [("trace", b"1")] and letter.cause for letter in found)


async def test_articles_go_on_while_the_store_is_away_and_numbers_catch_up(
    own: tuple[Kafka, Valkey, Child],
) -> None:
    """Without the store events still come out; back again, it counts what it missed."""
    kafka, valkey, _ = own
    store = Store(valkey.url)

    async def total() -> int:
        return (await store.top("language", "all", limit=1)).total

    before = await total()
    await valkey.stop()
    await send(kafka, kafka_topics.RAW, raw(ArticleIn(text="افتتح المعرض أبوابه للزوار"), "away-1").encode())
    await published(kafka, "away-1")
    await valkey.start()

    async def caught_up() -> bool:
        return await total() == before + 1

    await eventually(caught_up)
    await store.close()


async def test_an_emptied_store_is_filled_again_though_nothing_comes(own: tuple[Kafka, Valkey, Child]) -> None:
    """The worker looks now and then: what is missing is read back from Kafka, and the numbers are complete."""
    _, valkey, _ = own
    store = Store(valkey.url)
    before = (await store.top("language", "all", limit=5)).items
    assert before
    await store.redis.flushdb()

    async def filled() -> bool:
        return (await store.top("language", "all", limit=5)).items == before

    await eventually(filled)
    log = f"{await clients.cluster_id(own[0].bootstrap)}/updates-0"
    state = await store.state(log)
    assert (state.complete.since, state.complete.rebuilding) == (None, False)
    await store.close()


async def test_numbers_of_a_lost_kafka_do_not_hold_up_those_of_the_next(own: tuple[Kafka, Valkey, Child]) -> None:
    """The store remembers how far it is in this very log; a Kafka begun anew starts at offset 0 and is counted."""
    kafka, valkey, _ = own
    store = Store(valkey.url)
    (log,) = [name async for name, _ in store.redis.hscan_iter("{khabar}:applied")]
    assert log == f"{await clients.cluster_id(kafka.bootstrap)}/updates-0"
    await store.close()


async def test_a_worker_told_to_stop_ends_cleanly_and_the_next_carries_on(own: tuple[Kafka, Valkey, Child]) -> None:
    """SIGTERM gives exit status 0; what came meanwhile is done by the next worker."""
    kafka, _, child = own
    child.process._child.terminate()
    assert await child.process.wait() == 0
    await send(kafka, kafka_topics.RAW, raw(ArticleIn(text="عادت القطارات إلى العمل"), "later-1").encode())
    await child.start()
    await published(kafka, "later-1")


async def test_what_a_source_repeats_is_known_after_a_restart(own: tuple[Kafka, Valkey, Child]) -> None:
    """The closing line of three unrelated articles is boilerplate in the third, and in the next worker's first."""
    kafka, _, child = own
    blurb = "تابعوا آخر أخبار الميناء والمدينة القديمة على مدار الساعة من مراسلينا في كل مكان."
    bodies = [
        "افتتح الصيادون سوقا جديدة للأسماك عند الرصيف الشرقي صباحا.",
        "حصد فريق المدرسة كأس الشطرنج بعد مباراة طويلة مع جاره.",
        "وزعت البلدية شتلات الزيتون على سكان الحي الغربي بالمجان.",
        "عثر الغواصون على جرار فخارية قرب المنارة المهجورة.",
    ]
    articles = [
        raw(ArticleIn(text=f"{body}\n\n{blurb}", source="port.example"), f"blurb-{at}")
        for at, body in enumerate(bodies)
    ]
    for article in articles[:3]:
        await send(kafka, kafka_topics.RAW, article.encode(), key=b"same partition")
    third = await published(kafka, "blurb-2")
    assert [third.text[span.start : span.end] for span in third.boilerplate] == [blurb]
    await child.process.stop()
    await child.start()
    await send(kafka, kafka_topics.RAW, articles[3].encode(), key=b"same partition")
    fourth = await published(kafka, "blurb-3")
    assert [fourth.text[span.start : span.end] for span in fourth.boilerplate] == [blurb]


async def test_what_group_remembers_is_kept_for_as_long_as_it_looks_back(own: tuple[Kafka, Valkey, Child]) -> None:
    """With a window of thirty days entries are kept for more than that, articles for as long as always."""
    kafka, _, _ = own
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    days = {}
    for topic in (kafka_topics.UPDATES, kafka_topics.ENTRIES):
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name)])
        ((*_, settings),) = answer.resources
        days[topic.name] = next(
            int(value) / kafka_topics.DAY_MS for name, value, *_ in settings if name == "retention.ms"
        )
    await admin.close()
    assert days == {"updates": 7, "group.entries": 31}


async def test_what_an_input_still_owes_is_written_before_the_next(own: tuple[Kafka, Valkey, Child]) -> None:
    """A worker that ended between an article and its story leaves a debt, which the next worker pays first, once."""
    kafka, _, child = own
    await child.process.stop()
    before = await updates(kafka.bootstrap)
    end = (await log_of(kafka.bootstrap, kafka_topics.ANNOTATED))[-1].offset
    told = Grouper(WINDOW).process(annotate(raw(ArticleIn(text="بدأ موسم الحصاد في السهول الشمالية"), "owed-1")))
    assert told is not None
    pen = await FencedProducer.acquire(kafka.bootstrap, kafka_topics.UPDATES.name)
    headers = [("type", b"article"), ("input", b"%d" % (end + 1)), ("part", b"1/2"), ("entry", told.entry)]
    await pen.append([(b"owed-1", told.article.encode(), headers)])
    pen.close()
    await send(kafka, kafka_topics.ANNOTATED, b"the input that was told by half")
    await child.start()
    await send(kafka, kafka_topics.RAW, raw(ArticleIn(text="أغلقت المدارس أبوابها بسبب العاصفة"), "owed-2").encode())
    await published(kafka, "owed-2")
    after = (await updates(kafka.bootstrap))[len(before) :]
    assert [event.id for event in after[:3]] == ["owed-1", told.stories[0].id, "owed-2"]
    assert after[1].encode() == told.stories[0].encode()
    await child.process.stop()
    await child.start()
    await send(kafka, kafka_topics.RAW, raw(ArticleIn(text="وصلت سفينة الأبحاث إلى القطب"), "owed-3").encode())
    await published(kafka, "owed-3")
    last = (await updates(kafka.bootstrap))[len(before) + 4 :]
    assert last[0].id == "owed-3", "nothing is told again"


async def test_what_was_committed_but_not_told_is_told(own: tuple[Kafka, Valkey, Child]) -> None:
    """Group goes on behind what it has told, whatever offset the consumer group has: nothing is left out."""
    kafka, _, child = own
    await send(kafka, kafka_topics.RAW, raw(ArticleIn(text="بدأت قمة المناخ في العاصمة صباح اليوم"), "told").encode())
    await published(kafka, "told")
    await child.process.stop()
    left_out = [
        annotate(raw(ArticleIn(text=f"رست السفينة رقم {at} في الميناء القديم"), f"left-{at}")) for at in range(3)
    ]
    for one in left_out:
        await send(kafka, kafka_topics.ANNOTATED, one.encode())
    await _commit_all(kafka, kafka_topics.ANNOTATED)
    await child.start()
    await send(kafka, kafka_topics.RAW, raw(ArticleIn(text="افتتح الوزير جسرا جديدا على النهر"), "next").encode())
    await published(kafka, "next")
    articles = [event.id for event in await updates(kafka.bootstrap) if isinstance(event, Article)]
    assert articles[-5:] == ["told", "left-0", "left-1", "left-2", "next"]


async def _commit_all(kafka: Kafka, topic: kafka_topics.Topic) -> None:
    """Commit for the workers' group what they have not seen, as a worker that dies at the wrong moment might."""
    partition = TopicPartition(topic.name, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, group_id=GROUP, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]

        async def committed() -> bool:  # refused while the group still has its last member
            try:
                await consumer.commit({partition: end})
            except KafkaError:
                return False
            return True

        await eventually(committed)
    finally:
        await consumer.stop()
