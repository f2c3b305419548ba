"""A worker in this process, on a real Kafka: bad records, an absent store, a start after partial output."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from enrich.annotate import annotate
from enrich.app import Intervals, create_app
from enrich.group.grouper import Grouper
from services import deadletters, groups, kafka_topics
from services import kafka as clients
from services.embedded.kafka import Kafka
from services.embedded.valkey import Valkey
from services.events import Article, ArticleIn
from services.fencing import FencedProducer
from services.groups import GROUP
from services.settings import Settings
from services.store import Store
from tests.enrich.workers import Worker, empty_topics, running
from tests.harness import eventually, log_of, raw, service, updates

WINDOW = timedelta(hours=72)


@dataclass
class Own:
    """Servers and one worker of this module alone."""

    kafka: Kafka
    valkey: Valkey
    settings: Settings
    worker: Worker


@pytest.fixture(scope="module")
async def own(workers_kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    """Kafka with empty topics, an empty Valkey and a worker with all stages."""
    base = tmp_path_factory.mktemp("worker")
    valkey = Valkey(base / "valkey")
    await valkey.start()
    await empty_topics(workers_kafka.bootstrap, raw_partitions=2, window_hours=30 * 24)
    settings = Settings(kafka=workers_kafka.bootstrap, redis=valkey.url, data_dir=base, session_timeout=2)
    async with running(settings, intervals=Intervals(trends=1.0)) as worker:
        yield Own(workers_kafka, valkey, settings, worker)
    await valkey.stop()


async def send(kafka: Kafka, topic: kafka_topics.KafkaTopic, value: bytes, key: bytes = b"k") -> None:
    """One record with a header."""
    async with clients.producer(kafka.bootstrap) as producer:
        await producer.send_and_wait(topic.name, value, key=key, headers=[("trace", b"1")])


async def published(kafka: Kafka, article_id: str) -> Article:
    """The article event of an id, once it is there."""

    async def find() -> Article | None:
        found = [e for e in await updates(kafka.bootstrap) if isinstance(e, Article) and e.id == article_id]
        return found[0] if found else None

    result: Article = await eventually(find)
    return result


async def test_bad_records_become_dead_letters_and_stop_nothing(own: Own) -> None:
    """Each stage keeps any record that it cannot process with the cause, and goes on with the next."""
    kafka = own.kafka
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


async def test_articles_go_on_while_the_store_is_away_and_numbers_catch_up(own: Own) -> None:
    """Without the store events still come out; when it is back, what it missed is counted."""
    kafka, valkey = own.kafka, own.valkey
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


async def test_an_emptied_store_is_filled_again_without_new_records(own: Own) -> None:
    """The worker checks the store periodically: what is missing is read back from Kafka, and counts are complete."""
    valkey = own.valkey
    store = Store(valkey.url)
    before = (await store.top("language", "all", limit=5)).items
    assert before
    await store.redis.flushdb()

    async def filled() -> bool:
        return (await store.top("language", "all", limit=5)).items == before

    await eventually(filled)
    log = await clients.read_log_id(own.kafka.bootstrap)
    state = await store.state(log)
    assert (state.complete.since, state.complete.rebuilding) == (None, False)
    await store.close()


async def test_a_worker_that_is_stopped_exits_cleanly_and_the_next_one_goes_on(own: Own) -> None:
    """SIGTERM gives exit status 0; what came meanwhile is processed by the next worker."""
    kafka, settings = own.kafka, own.settings
    await own.worker.stop()
    given = {"kafka": settings.kafka, "redis": settings.redis, "data_dir": settings.data_dir, "session_timeout": 2}
    async with service("enrich", log=settings.data_dir / "enrich.log", **given) as child:
        await send(kafka, kafka_topics.RAW, raw(ArticleIn(text="توقفت القطارات عن العمل"), "sooner-1").encode())
        await published(kafka, "sooner-1")
        child.process._child.terminate()
        assert await child.process.wait() == 0
    await send(kafka, kafka_topics.RAW, raw(ArticleIn(text="عادت القطارات إلى العمل"), "later-1").encode())
    await own.worker.start()
    await published(kafka, "later-1")


async def test_workers_with_different_stages_share_the_work(own: Own) -> None:
    """They are one consumer group: each gets the partitions of its own stages' topics only."""
    await own.worker.stop()
    parts = [{"annotate"}, {"group", "aggregate"}, {"annotate", "aggregate"}]
    workers = [Worker(own.settings, stages=stages) for stages in parts]
    await asyncio.gather(*(worker.start() for worker in workers))

    async def shared() -> bool:
        return await groups.stable_members(own.kafka.bootstrap, GROUP) == len(workers)

    await eventually(shared)
    store = Store(own.valkey.url)
    before = (await store.top("language", "all", limit=1)).total
    for number, text in enumerate(("أقلعت الطائرة الأولى", "هبطت الطائرة الثانية", "تأخرت الطائرة الثالثة")):
        article = raw(ArticleIn(text=text), f"parts-{number}")
        await send(own.kafka, kafka_topics.RAW, article.encode(), key=b"%d" % number)
        await published(own.kafka, article.id)

    async def counted() -> bool:
        return (await store.top("language", "all", limit=1)).total == before + 3

    await eventually(counted)
    assigned = [{partition.topic for partition in worker.app.consumer.assignment()} for worker in workers]
    names = {"annotate": "articles.raw", "group": "articles.annotated", "aggregate": "updates"}
    for topics, stages in zip(assigned, parts, strict=True):
        assert topics <= {names[stage] for stage in stages}
    assert set().union(*assigned) == set(names.values())
    # Without the only worker that groups, articles wait for the next one.
    await workers[1].stop()
    await send(own.kafka, kafka_topics.RAW, raw(ArticleIn(text="انتظر الركاب طويلا"), "parts-3").encode())
    await asyncio.gather(*(worker.stop() for worker in (workers[0], workers[2])))
    await store.close()
    await own.worker.start()
    await published(own.kafka, "parts-3")


async def test_boilerplate_of_a_source_is_known_after_a_restart(own: Own) -> None:
    """The closing line of three unrelated articles is boilerplate in the third, and in the next worker's first."""
    kafka, worker = own.kafka, own.worker
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
    await worker.stop()
    await worker.start()
    await send(kafka, kafka_topics.RAW, articles[3].encode(), key=b"same partition")
    fourth = await published(kafka, "blurb-3")
    assert [fourth.text[span.start : span.end] for span in fourth.boilerplate] == [blurb]


async def test_snapshots_are_kept_for_longer_than_the_window(own: Own) -> None:
    """With a window of thirty days, group's entries are kept for longer than that; articles for 7 days as always."""
    kafka = own.kafka
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


async def test_partial_output_of_an_input_is_completed_before_the_next(own: Own) -> None:
    """When a worker ends after an article and before its story, the next one publishes the story first, and once."""
    kafka, worker = own.kafka, own.worker
    await worker.stop()
    before = await updates(kafka.bootstrap)
    end = (await log_of(kafka.bootstrap, kafka_topics.ANNOTATED))[-1].offset
    output = Grouper(WINDOW).process(annotate(raw(ArticleIn(text="بدأ موسم الحصاد في السهول الشمالية"), "partial-1")))
    assert output is not None
    fenced = await FencedProducer.acquire(kafka.bootstrap, kafka_topics.UPDATES.name)
    headers = [("type", b"article"), ("input", b"%d" % (end + 1)), ("part", b"1/2"), ("entry", output.entry)]
    await fenced.append([(b"partial-1", output.article.encode(), headers)])
    fenced.close()
    await send(kafka, kafka_topics.ANNOTATED, b"the input whose output is partial")
    await worker.start()
    text = "أغلقت المدارس أبوابها بسبب العاصفة"
    await send(kafka, kafka_topics.RAW, raw(ArticleIn(text=text), "partial-2").encode())
    await published(kafka, "partial-2")
    after = (await updates(kafka.bootstrap))[len(before) :]
    assert [event.id for event in after[:3]] == ["partial-1", output.stories[0].id, "partial-2"]
    assert after[1].encode() == output.stories[0].encode()
    await worker.stop()
    await worker.start()
    await send(kafka, kafka_topics.RAW, raw(ArticleIn(text="وصلت سفينة الأبحاث إلى القطب"), "partial-3").encode())
    await published(kafka, "partial-3")
    last = (await updates(kafka.bootstrap))[len(before) + 4 :]
    assert last[0].id == "partial-3", "nothing is published again"


async def test_inputs_that_were_committed_but_not_published_are_published(own: Own) -> None:
    """Group continues after what it has published, not at the committed offset: nothing is left out."""
    kafka, worker = own.kafka, own.worker
    text = "بدأت قمة المناخ في العاصمة صباح اليوم"
    await send(kafka, kafka_topics.RAW, raw(ArticleIn(text=text), "published").encode())
    await published(kafka, "published")
    await worker.stop()
    left_out = [
        annotate(raw(ArticleIn(text=f"رست السفينة رقم {at} في الميناء القديم"), f"left-{at}")) for at in range(3)
    ]
    for one in left_out:
        await send(kafka, kafka_topics.ANNOTATED, one.encode())
    await _commit_all(kafka, kafka_topics.ANNOTATED)
    await worker.start()
    await send(kafka, kafka_topics.RAW, raw(ArticleIn(text="افتتح الوزير جسرا جديدا على النهر"), "next").encode())
    await published(kafka, "next")
    articles = [event.id for event in await updates(kafka.bootstrap) if isinstance(event, Article)]
    assert articles[-5:] == ["published", "left-0", "left-1", "left-2", "next"]


def test_an_unknown_stage_is_refused(own: Own) -> None:
    """The error names the stages that exist; no stage at all is refused, too."""
    for stages in ({"grouping"}, {"group", "grouping"}, set()):
        with pytest.raises(ValueError, match="stages are annotate, group, aggregate, not"):
            create_app(own.settings, stages=stages)


async def _commit_all(kafka: Kafka, topic: kafka_topics.KafkaTopic) -> None:
    """Commit for the workers' group what they have not read, as a worker that is killed at the wrong moment might."""
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
