"""Anything at all on any topic stops nothing: generated and named records among ordinary articles.

A whole Khabar runs while foreign producers write to all of its topics. ``HYPOTHESIS_PROFILE`` chooses how many records
they write.
"""

import asyncio
import json
import random
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import pytest

from enrich.annotate import annotate
from enrich.group.grouper import Grouper
from enrich.group.snapshots import EntrySegment
from services import kafka as clients
from services import kafka_topics
from services.connections import Bootstrap, KafkaServers
from services.events import Article, ArticleIn, Trend
from services.store import Store
from tests import foreign
from tests.harness import ARRIVAL, eventually, log_of, raw
from tests.test_system import System, up

RECORDS = hypothesis.settings().max_examples * 40
ARTICLES = 24
SOURCE = "ordinary.example"
SEED = 13

Record = tuple[bytes | None, bytes | None, list[tuple[str | bytes, bytes | None]]]

_TIMES = [
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-14:00",
    "2999-01-01T00:00:00Z",
    "2026-11-30T00:00:00+23:59",
    "2026-11-30T00:00:00",
    "-0001-01-01T00:00:00Z",
]
_ODD: list[Any] = [
    None, True, -1, 0, 2**31, 2**63, 10**400, 1.5, 1e308, float("nan"), float("inf"), "", "\x00", "\x1b]0;x\x07",
    "\u202e", "\u2028", "x" * 100_000, [], {}, [None], {"": None}, [[[[]]]], *_TIMES,
]  # fmt: skip
_BYTES = [
    None, b"", b"\x00", b"\xff\xfe", b"{", b"[]", b"null", b"NaN", b'"x"', b"7", b"[" * 100_000, b'{"a":' * 50_000,
    b'{"id": "\\ud800"}', "«مقال»".encode("cp1256"), b"KGE1", b"KGE1" + b"\xff" * 60,
]  # fmt: skip
_NAMES: list[str | bytes] = [
    "type", "part", "input", "entry", "khabar-retried", "khabar-offset", "khabar-partition", "khabar-time",
    "khabar-topic", "khabar-cause", "khabar-truncated", "khabar-sha256", "trace", "", b"\xff\xfe", "\x1b[2J",
]  # fmt: skip
_CONTENTS = [
    None, b"", b"article", b"story", b"trend", b"fence", b"bogus", b"\xff", b"1/1", b"1/2", b"2/2", b"0/0", b"9/1",
    b"0", b"-1", b"99999999999999", b"9" * 5_000, b"2026-11-30", b"0001-01-01T00:00:00+14:00", b"articles.raw",
    b"__consumer_offsets", b"\x01" + b"\xff" * 900, b"\x01" + b"\x00" * 1_200 + b"{}",
]  # fmt: skip
_RECORD_TIMES = [None, None, None, 0, 1, 86_400_000, -2, -100_000_000_000_000]


def templates() -> dict[str, list[tuple[dict[str, Any], list[tuple[str | bytes, bytes | None]]]]]:
    """Records of each topic as Khabar writes them, as JSON and headers, to be changed."""
    plain = raw(ArticleIn(text="A foreign vessel reached the old harbour on Monday.", source="foreign.example"), "f")
    annotated = annotate(plain)
    output = Grouper(timedelta(hours=72)).process(annotated)
    assert output is not None
    times = {"started": ARRIVAL, "at": ARRIVAL}
    trend = Trend(kind="entity", id="Q1", name="n", window="1h", phase="end", count=1, expected=1, score=1, **times)
    article: list[tuple[str | bytes, bytes | None]] = [
        ("type", b"article"), ("input", b"0"), ("part", b"1/1"), ("entry", output.entry[:-7]),
    ]  # fmt: skip
    return {
        "articles.raw": [(json.loads(plain.encode()), [])],
        "articles.annotated": [(json.loads(annotated.encode()), [])],
        "updates": [
            (json.loads(output.article.encode()), article),
            (json.loads(output.stories[0].encode()), [("type", b"story"), ("input", b"0"), ("part", b"2/2")]),
            (json.loads(trend.encode()), [("type", b"trend")]),
        ],
        "articles.rejected": [({}, [("khabar-stage", b"group"), ("khabar-cause", b"c"), ("khabar-offset", b"3")])],
        "group.entries": [({}, [])],
    }


def generated(chance: random.Random, count: int) -> Iterator[tuple[str, Record]]:
    """Records for all topics."""
    known = templates()
    segment = EntrySegment(3, 5, 2, ((4, b"\x01entry"),)).encode()
    for number in range(count):
        topic = chance.choice(list(known))
        body, headers = chance.choice(known[topic])
        body, headers = dict(body), list(headers)
        if topic == "group.entries" and chance.random() < 0.5:
            cut = chance.randrange(len(segment))
            value: bytes | None = chance.choice([segment, segment[:cut], segment[:cut] + b"\xff" + segment[cut + 1 :]])
            if value == segment:
                value = struct.pack("<4sqqq", b"KGE1", -5, 2**62, 2**62) + segment[28:]
        elif not body or chance.random() < 0.3:
            value = chance.choice([*_BYTES, chance.randbytes(chance.randrange(200))])
        else:
            if "id" in body:
                body["id"] = f"foreign-{number}"
            for name in chance.sample(list(body), k=min(len(body), chance.choice([0, 1, 1, 1, 2, 5]))):
                if chance.random() < 0.2:
                    del body[name]
                else:
                    body[name] = chance.choice(_ODD)
            value = json.dumps(body).encode()
        for _ in range(chance.choice([0, 0, 1, 2])):
            headers.append((chance.choice(_NAMES), chance.choice(_CONTENTS)))
        chance.shuffle(headers)
        yield topic, (chance.choice([None, b"", b"k", b"\xff"]), value, headers)


def named() -> Iterator[tuple[str, Record, int | None]]:
    """Records that once stopped something, with their times."""
    yield "updates", (b"x", b"{}", [("type", None)]), None
    yield "updates", (b"x", b"{}", [("type", b"bogus"), ("part", None)]), None
    yield "updates", (b"x", b'{"kind": "entity", "id": "Q1"}', [("type", b"trend")]), -100_000_000_000_000
    yield "updates", (b"x", None, [("type", b"article"), ("input", b"9" * 17), ("part", b"1/1"), ("entry", b"x")]), None
    yield "articles.raw", (b"k", b"not json at all", [("trace", None)]), None
    yield "articles.rejected", (None, None, [("khabar-retried", None)]), -100_000_000_000_000
    future = raw(ArticleIn(text="A foreign ship from another time", source="foreign.example"), "foreign-future")
    for at in ("2999-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"):
        for topic, article in (("articles.raw", future), ("articles.annotated", annotate(future))):
            yield topic, (b"k", json.dumps(json.loads(article.encode()) | {"received_at": at}).encode(), []), None


@dataclass
class Outcome:
    """What was seen of a Khabar among foreign records."""

    sent: list[str] = field(default_factory=list)
    published: Counter[str] = field(default_factory=Counter)
    duplicates: dict[str, str | None] = field(default_factory=dict)
    counted: int = -1
    listed: list[dict[str, Any]] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    restarts: dict[str, bool] = field(default_factory=dict)
    commands: dict[str, tuple[int, str]] = field(default_factory=dict)
    streamed: Counter[str] = field(default_factory=Counter)
    log: str = ""


def ordinary(number: int) -> dict[str, Any]:
    """An ordinary article. Each fourth has the text of the one before."""
    same = number - (number % 4 == 3)
    words = " ".join(f"word{same}x{at}" for at in range(30))
    return {"text": f"The council of town {same} met today. {words}", "guid": f"g{number}", "source": SOURCE}


async def write_foreign(bootstrap: Bootstrap, chance: random.Random, records: list[tuple[str, Record]]) -> None:
    """Write these records in batches, and a transaction after each batch."""
    by_topic: dict[str, list[Record]] = {}
    for topic, record in records:
        by_topic.setdefault(topic, []).append(record)
    for topic, batch in by_topic.items():
        codec = chance.choice([None, "gzip", "snappy", "lz4", "zstd"])
        await foreign.send_batch(bootstrap, topic, batch, codec=codec, timestamp=chance.choice(_RECORD_TIMES))
    await foreign.transaction(bootstrap, chance.choice(list(by_topic)), [b"{}", b"{}"], commit=chance.random() < 0.3)


async def end_with_markers(bootstrap: Bootstrap) -> None:
    """Every topic ends with the marker of an aborted transaction."""
    article = raw(ArticleIn(text="This was never published"), "aborted").encode()
    await asyncio.gather(
        *(foreign.transaction(bootstrap, topic.name, [article], commit=False) for topic in kafka_topics.ALL)
    )


def successor(system: System, killed: psutil.Process) -> psutil.Process | None:
    """The worker that runs in place of one that was killed, once there is one."""
    with suppress(psutil.NoSuchProcess):
        running = system.child("enrich-1")
        return running if running.pid != killed.pid else None
    return None


@pytest.fixture(scope="module")
async def outcome(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Outcome]:
    """Foreign records and ordinary articles in turn, the worker killed in between."""
    data_dir: Path = tmp_path_factory.mktemp("foreign")
    chance, found = random.Random(SEED), Outcome()
    async with up(data_dir) as system:
        endpoints = json.loads((data_dir / "endpoints.json").read_text())
        bootstrap = KafkaServers(endpoints["kafka"], **endpoints["kafka_access"])
        store = Store(endpoints["redis"])
        gateway, worker = system.child("api"), system.child("enrich-1")
        cursor = await system.now()
        await end_with_markers(bootstrap)
        for topic, record, at in named():
            await foreign.send_batch(bootstrap, topic, [record], timestamp=at)
        for size, codec in ((8_388_500, None), (20_000_000, "gzip")):
            await foreign.send_batch(bootstrap, "articles.raw", [(b"large", b"x" * size, [])], codec=codec)
        records = list(generated(chance, RECORDS))
        for number in range(ARTICLES):
            found.sent += await system.post(ordinary(number))
            if number % 4 == 1:
                part = RECORDS * 4 // ARTICLES
                await write_foreign(bootstrap, chance, records[number // 4 * part :][:part])
            if number == ARTICLES // 2:
                found.restarts["worker before it was killed"] = not worker.is_running()
                worker.kill()
                worker = await eventually(partial(successor, system, worker))
        await end_with_markers(bootstrap)
        try:
            await observe(system, bootstrap, store, cursor, found)
        finally:
            await store.close()
        found.restarts["worker"] = not worker.is_running() or system.child("enrich-1").pid != worker.pid
        found.restarts["gateway"] = not gateway.is_running() or system.child("api").pid != gateway.pid
        found.log = (data_dir / "log" / "enrich-1.log").read_text()
    yield found


async def observe(system: System, bootstrap: Bootstrap, store: Store, cursor: str, found: Outcome) -> None:
    """Wait until all ordinary articles are published and counted; then look at everything."""
    wanted = set(found.sent)

    async def published() -> bool:
        events = [event for event in await _articles(bootstrap) if event.id in wanted]
        found.published = Counter(event.id for event in events)
        found.duplicates = {event.id: event.duplicate_of for event in events}
        return found.published.keys() == wanted

    async def counted() -> bool:
        top = await store.top("source", "all", limit=50)
        found.counted = next((one.count for one in top.items if one.id == SOURCE), 0)
        return found.counted >= len(wanted)

    with suppress(AssertionError):
        await eventually(published, seconds=20)
        await eventually(counted, seconds=10)
    for command in (["status", "--json"], ["dead-letters", "list", "--json"], ["dead-letters", "list"]):
        status, out, err = await system.khabar(*command)
        found.commands[" ".join(command)] = status, err
        if command[0] == "status":
            found.status = json.loads(out)
        elif command[-1] == "--json":
            found.listed = [json.loads(line) for line in out.splitlines()]
    large = next(letter["number"] for letter in found.listed if letter["key"] == "large")
    for verb in ("show", "retry"):
        status, _, err = await system.khabar("dead-letters", verb, str(large))
        found.commands[f"dead-letters {verb}"] = status, err
    with suppress(TimeoutError, OSError):
        events = await system.received(wanted, cursor=cursor, seconds=3)
        found.streamed = Counter(event["data"]["id"] for event in events if event["data"]["id"] in wanted)


async def _articles(bootstrap: Bootstrap) -> list[Article]:
    """The articles on ``updates`` that can be read."""
    found = []
    for record in await log_of(bootstrap, kafka_topics.UPDATES):
        if clients.header(record.headers, "type") == "article":
            with suppress(ValueError):
                found.append(Article.model_validate_json(record.value or b""))
    return found


async def test_each_ordinary_article_comes_out_once_and_is_counted_once(outcome: Outcome) -> None:
    """On ``updates`` and in the numbers."""
    assert outcome.published == Counter(outcome.sent)
    assert outcome.counted == ARTICLES


async def test_copies_are_still_recognised(outcome: Outcome) -> None:
    """No record, whatever its time, moves the window past the articles in it."""
    for number in range(3, ARTICLES, 4):
        assert outcome.duplicates[outcome.sent[number]] == outcome.sent[number - 1], number


async def test_the_worker_is_never_restarted(outcome: Outcome) -> None:
    """Except for the one that was killed, whose successor restores its state among the foreign records."""
    assert not outcome.restarts["worker before it was killed"]
    assert not outcome.restarts["worker"], outcome.log[-3_000:]
    assert "Traceback" not in outcome.log


async def test_status_and_dead_letters_go_on(outcome: Outcome) -> None:
    """They show what was refused, and no ordinary article is among it."""
    failed = {name: err for name, (status, err) in outcome.commands.items() if status and name != "status --json"}
    assert not failed
    assert "Traceback" not in outcome.commands["status --json"][1]
    assert outcome.status["kafka"]["dead_letters"] == len(outcome.listed) > 0
    assert not [one for one in outcome.listed if one["key"] in outcome.sent]


async def test_subscribers_get_each_ordinary_article_once(outcome: Outcome) -> None:
    """The gateway passes the foreign records and is never restarted."""
    assert not outcome.restarts["gateway"]
    assert outcome.streamed == Counter(outcome.sent)
    assert outcome.status["healthy"], outcome.status
