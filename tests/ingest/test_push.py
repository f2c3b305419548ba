"""``POST /v1/articles`` over real HTTP into a real Kafka."""

import asyncio
import contextlib
import gzip
import json
import random
import tempfile
import time
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ingest.budget import FREE_BYTES, BodyBudget, Exhausted
from ingest.producer import Intake
from services import kafka_topics, request_body
from services.embedded.kafka import Kafka
from services.embedded.process import free_port
from services.events import ArticleIn, RawArticle
from services.identity import article_id
from services.settings import Settings
from tests.harness import eventually, service
from tests.ingest.conftest import NOW, Post, on_kafka, posting, raw, serving

NDJSON = "application/x-ndjson"
GOOD = {"text": "نص الخبر", "source": "example.org"}


def good(name: str) -> dict:
    """A valid article with this name."""
    return {**GOOD, "guid": name}


def expected(article: dict) -> str:
    """The id of an article."""
    return article_id(ArticleIn.model_validate(article))


async def test_one_object(post: Post, kafka: Kafka) -> None:
    """One object is accepted with its id and is on articles.raw with all its fields and its time of arrival."""
    article = {
        **good("one"),
        "title": " عنوان ",
        "url": "https://example.org/1",
        "published_at": "2025-02-28T10:00:00+03:00",
        "authors": ["هدى"],
        "language": "ar",
        "unknown": 1,
    }
    answer = await post(json.dumps(article))
    assert answer.status == 202
    assert answer.body == {"accepted": [{"index": 0, "id": expected(article)}], "rejected": []}
    (record,) = (await raw(kafka.bootstrap))[expected(article)]
    assert record.received_at == NOW
    assert record.model_dump(exclude={"id", "received_at"}) == ArticleIn.model_validate(article).model_dump()


async def test_array_and_ndjson_agree(post: Post) -> None:
    """An array and NDJSON (blank lines, CRLF, a byte-order mark) of the same articles get the same response."""
    articles = [good(f"many-{number}") for number in range(3)]
    array = await post(json.dumps(articles), "application/json; charset=UTF-8")
    lines = "\ufeff\r\n" + "\r\n\n".join(json.dumps(article, ensure_ascii=False) for article in articles) + "\n"
    assert array.status == 202
    assert array.body == (await post(lines.encode(), NDJSON)).body
    assert [row["index"] for row in array.body["accepted"]] == [0, 1, 2]


async def test_line_separators_inside_strings(post: Post) -> None:
    """Only a line feed ends a line: U+2028 and U+0085 inside a text do not."""
    article = {"text": "سطر\u2028آخر\u0085هنا"}
    answer = await post(json.dumps(article, ensure_ascii=False).encode(), NDJSON)
    assert answer.body["accepted"] == [{"index": 0, "id": expected(article)}]


async def test_mixed(post: Post, kafka: Kafka) -> None:
    """Valid articles among invalid ones are accepted; each invalid one is listed with index, field and cause."""
    first, last = good("mixed-first"), good("mixed-last")
    items = [first, {"text": " "}, {**GOOD, "published_at": "yesterday"}, 7, {**GOOD, "url": "ftp://x/"}, last]
    answer = await post(json.dumps(items))
    assert answer.status == 202
    assert answer.body["accepted"] == [{"index": 0, "id": expected(first)}, {"index": 5, "id": expected(last)}]
    errors = {row["index"]: row["error"] for row in answer.body["rejected"]}
    assert errors.keys() == {1, 2, 3, 4}
    assert errors[1] == "text: text or html is required and must not be blank"
    assert errors[2].startswith("published_at: ")
    assert errors[3] == "must be a JSON object"
    assert errors[4] == "url: must be an http or https address"
    found = await raw(kafka.bootstrap)
    assert len(found[expected(first)]) == len(found[expected(last)]) == 1


async def test_broken_lines(post: Post) -> None:
    """A line that is not JSON, not UTF-8 or nested too deeply does not affect the other lines."""
    fine = json.dumps(good("after-broken")).encode()
    deep = b'{"text": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    answer = await post(b"\n".join([b"{", b'{"text": "\xff"}', deep, fine]), NDJSON)
    assert answer.status == 202
    assert [row["index"] for row in answer.body["accepted"]] == [3]
    causes = [row["error"] for row in answer.body["rejected"]]
    assert causes[0].startswith("not JSON: ")
    assert causes[1].startswith("not UTF-8: ")
    assert causes[2] == "not JSON: nested too deeply"


BAD = {
    "no body": ('{"title": "x"}', 422, "text"),
    "blank body": ('{"text": " \\n", "html": ""}', 422, "text"),
    "text of a wrong type": ('{"text": 5}', 422, "text"),
    "text too long": ('{"text": "%s"}' % ("x" * 99_000), 202, None),  # within its limit: the control
    "title too long": ('{"text": "x", "title": "%s"}' % ("y" * 2_001), 422, "title"),
    "date without a zone": ('{"text": "x", "published_at": "2025-01-01T00:00:00"}', 422, "published_at"),
    "date that is none": ('{"text": "x", "published_at": "gestern"}', 422, "published_at"),
    "url of another kind": ('{"text": "x", "url": "javascript:alert(1)"}', 422, "url"),
    "malformed url": ('{"text": "x", "url": "http://[::1"}', 422, "url"),
    "authors no list": ('{"text": "x", "authors": "me"}', 422, "authors"),
    "language no tag": ('{"text": "x", "language": "Arabic language"}', 422, "language"),
    "half a surrogate pair": ('{"text": "x", "title": "\\ud800"}', 422, "title"),
    "a string": ('"news"', 422, None),
    "a number of too many digits": ('{"text": %s}' % ("1" * 5_000), 400, None),
    "NaN": ('{"text": "x", "score": NaN}', 400, None),
    "empty body": ("", 400, None),
    "empty array": ("[]", 422, None),
    "cut off": ('{"text": "x"', 400, None),
    "not UTF-8": (b'{"text": "\xc3\x28"}', 400, None),
    "UTF-16": ('{"text": "x"}'.encode("utf-16"), 400, None),
    "nested too deeply": ("[" * 40_000 + "]" * 40_000, 400, None),
    "array of nothing good": ('[{"text": ""}, {"text": "x", "guid": 1}]', 422, "text"),
    "too many": ("[" + "{}," * 150 + "{}]", 413, None),
    "too large": ('{"text": "%s"}' % ("x" * 100_001), 413, None),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_input(name: str, post: Post, kafka: Kafka) -> None:
    """Invalid input gets a problem document with the right status and field; the next request is accepted."""
    body, status, field = BAD[name]
    answer = await post(body)
    assert answer.status == status, answer.body
    if status != 202:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.body["status"] == status
        assert answer.body["type"] == "about:blank"
        assert answer.body["title"] == HTTPStatus(status).phrase
        assert answer.body["detail"]
        assert answer.body.get("field") == field
        if field:
            assert answer.body["detail"].startswith(f"index 0: {field}: ")
    after = good(f"after {name}")
    answer = await post(json.dumps(after))
    assert answer.status == 202
    assert answer.body["accepted"] == [{"index": 0, "id": expected(after)}]


async def test_good_after_bad_is_written(post: Post, kafka: Kafka) -> None:
    """Every article that was sent after invalid input is on articles.raw exactly once."""
    names = [f"again {name}" for name in BAD]
    for name, (body, _, _) in zip(names, BAD.values(), strict=True):
        await post(body)
        await post(json.dumps(good(name)))
    found = await raw(kafka.bootstrap)
    for name in names:
        (record,) = found[expected(good(name))]
        assert record.guid == name
        assert record.text == GOOD["text"]


@pytest.mark.parametrize("kind", [None, "text/plain", "application/xml", "application/json; charset=windows-1256"])
async def test_content_type(kind: str | None, post: Post) -> None:
    """Another content type or charset, or none, gets 415 with the header as field."""
    answer = await post(json.dumps(GOOD).encode(), kind)
    assert answer.status == 415
    assert answer.body["field"] == "Content-Type"
    assert answer.body["title"] == HTTPStatus(415).phrase


async def test_gzip(post: Post) -> None:
    """A compressed body is accepted."""
    article = good("gzip")
    answer = await post(gzip.compress(json.dumps(article).encode()), Content_Encoding="gzip")
    assert answer.body["accepted"] == [{"index": 0, "id": expected(article)}]


async def test_bad_gzip(post: Post) -> None:
    """A zip bomb gets 413, a body that is not gzip or truncated 400, an unknown encoding 415."""
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 100_000
    assert (await post(bomb, Content_Encoding="gzip")).status == 413
    assert (await post(b"{}", Content_Encoding="gzip")).status == 400
    assert (await post(gzip.compress(json.dumps(GOOD).encode())[:-4], Content_Encoding="gzip")).status == 400
    unknown = await post(b"{}", Content_Encoding="br")
    assert unknown.status == 415
    assert unknown.body["field"] == "Content-Encoding"


async def test_too_large_without_a_length(post: Post) -> None:
    """The size limit is enforced while reading when there is no Content-Length."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b" " * 10_000

    assert (await post(endless())).status == 413


async def test_oversized_record(kafka: Kafka, intake: Intake, settings: Settings) -> None:
    """An article that does not fit into a Kafka record is rejected by field; the other one is accepted."""
    large = {"text": "\u0001" * 1_000_000, "html": "\u0001" * 1_000_000}
    other = good("after large")
    async with serving(settings, intake) as url, posting(url) as post:
        answer = await post(json.dumps([large, other]))
    assert answer.status == 202, answer.body
    assert [row["index"] for row in answer.body["accepted"]] == [1]
    assert answer.body["rejected"][0]["error"].startswith("text: the article takes ")


async def test_many_at_once(post: Post, kafka: Kafka) -> None:
    """Every id in a 202 response is on Kafka, also when many clients push at the same time."""
    bodies = [[good(f"crowd-{push}-{number}") for number in range(20)] for push in range(30)]
    answers = await asyncio.gather(*(post(json.dumps(body)) for body in bodies))
    ids = [row["id"] for answer in answers for row in answer.body["accepted"]]
    assert len(set(ids)) == 600
    found = await raw(kafka.bootstrap)
    assert all(len(found[one]) == 1 for one in ids)


async def test_same_article_twice(post: Post) -> None:
    """An article that is sent again, or with another text and the same guid, has the same id."""
    ids = set()
    for text in ("first", "first", "second"):
        answer = await post(json.dumps({"text": text, "guid": "revised", "source": "s"}))
        ids.add(answer.body["accepted"][0]["id"])
    assert len(ids) == 1


async def test_health_and_metrics(url: str) -> None:
    """Health, readiness and metrics respond; an unknown path and a wrong method get problem documents."""
    async with aiohttp.ClientSession(url) as session:
        assert (await session.get("/healthz")).status == 200
        assert (await session.get("/readyz")).status == 200
        metrics = await (await session.get("/metrics")).text()
        assert 'khabar_ingest_accepted_total{way="push"}' in metrics
        assert 'khabar_ingest_requests_total{status="202"}' in metrics
        for path, status in (("/nothing", 404), ("/v1/articles", 405)):
            answer = await session.get(path)
            assert (answer.status, answer.content_type) == (status, "application/problem+json")
            assert (await answer.json(content_type=None))["title"] == HTTPStatus(status).phrase
        paths = (await (await session.get("/openapi.json")).json())["paths"]
        assert "503" in paths["/v1/articles"]["post"]["responses"]


async def test_urls_and_names_are_cleaned_at_the_door(post: Post, kafka: Kafka) -> None:
    """A line break in a URL is refused, naming the field; control characters do not reach Kafka."""
    refused = await post(json.dumps({"text": "x", "url": 'http://a.example/\n"><b>'}))
    assert (refused.status, refused.body["field"]) == (422, "url")
    answer = await post(
        json.dumps({"text": "x", "guid": "controls", "source": "a\0b\x1b\u202ec", "authors": ["\u202ex"]})
    )
    (record,) = (await raw(kafka.bootstrap))[answer.body["accepted"][0]["id"]]
    assert (record.source, record.authors) == ("a b c", ["x"])


@pytest.mark.parametrize(
    ("form", "status"),
    [(b"[%s]", 413), (b'{"text":"a","x":[%s]}', 413), (b'{"text":"a"}\n{"text":"b","x":[%s]}', 202)],
)
@pytest.mark.parametrize("unit", [b"[]", b'{"a":0}'])
async def test_a_body_of_many_values_takes_no_memory(form: bytes, status: int, unit: bytes) -> None:
    """A few KB that unpack to millions of values are refused without building them, and delay nobody."""
    many = form % b",".join([unit] * (15_900_000 // (len(unit) + 1)))
    async with own_service() as (url, process), posting(url) as post, aiohttp.ClientSession(url) as session:
        await post(b"{}")
        before = process.memory_info().rss
        kind = NDJSON if status == 202 else "application/json"
        pushing = asyncio.create_task(post(gzip.compress(many, 1), kind, Content_Encoding="gzip"))
        slowest = peak = 0.0
        while not pushing.done():
            started = time.monotonic()
            async with session.get("/healthz") as response:
                assert response.status == 200
            slowest = max(slowest, time.monotonic() - started)
            peak = max(peak, process.memory_info().rss - before)
            await asyncio.sleep(0.005)
        answer = await pushing
    assert answer.status == (503 if status == 202 else status)  # 503: this service has no Kafka
    if status == 413:
        assert "more than" in answer.body["detail"]
    assert peak < 80_000_000
    assert slowest < 1.0


@contextlib.asynccontextmanager
async def own_service(**settings: object) -> AsyncIterator[tuple[str, psutil.Process]]:
    """An ingest service in a separate process, without Kafka."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        async with service(
            "ingest", log=Path(directory, "log"), kafka=f"127.0.0.1:{free_port()}", ingest_port=port, **settings
        ) as child:
            url = f"http://127.0.0.1:{port}"

            async def answers() -> bool:
                try:
                    async with aiohttp.ClientSession() as session, session.get(f"{url}/healthz") as response:
                        return response.status == 200
                except aiohttp.ClientError:
                    return False

            await eventually(answers)
            yield url, psutil.Process(child.process.pid)


@contextlib.asynccontextmanager
async def stalled(url: str, head: str, body: bytes) -> AsyncIterator[asyncio.StreamReader]:
    """A request whose body does not end; yields its response."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(f"POST /v1/articles HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode() + body)
        await writer.drain()
        yield reader
    finally:
        writer.close()


async def test_stalled_uploads_of_one_client_leave_room_for_others(
    kafka: Kafka, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight of 16 MB: two wait, and end with 408 at the first pause; meanwhile all other pushes are accepted."""
    monkeypatch.setattr(request_body, "GRACE_SECONDS", 2.0)
    settings = Settings(kafka=kafka.bootstrap, ingest_token="t" * 20)
    head = (
        "Content-Type: application/json\r\nContent-Length: 16000000\r\nAuthorization: Bearer tttttttttttttttttttt\r\n"
    )
    async with serving(settings, intake) as url, posting(url) as post, contextlib.AsyncExitStack() as held:
        responses = []
        for _ in range(8):
            sending = stalled(url, f"{head}Khabar-Client: one\r\n", b'{"text":"' + b"a" * 15_000_000)
            with contextlib.suppress(ConnectionError):  # refused before all was sent
                responses.append(await held.enter_async_context(sending))
        for client, size in (("other", 900_000), ("one", 30_000)):
            article = {"text": "x" * size, "guid": f"among stalled {client}"}
            token = {"Authorization": f"Bearer {settings.ingest_token}", "Khabar_Client": client}
            assert (await post(json.dumps(article), **token)).status == 202
        ends = []
        async with asyncio.timeout(10):
            for response in responses:
                with contextlib.suppress(ConnectionError):
                    ends.append((await response.read())[:12])
        assert b"HTTP/1.1 408" in ends


def test_one_client_takes_a_quarter_of_the_budget() -> None:
    """Of bytes and of requests; small bodies are free, and everything is given back at the end of a request."""
    budget = BodyBudget(4_000_000, 8)
    with budget.request("one") as first, budget.request("one") as second:
        first.hold(FREE_BYTES + 900_000)
        second.hold(FREE_BYTES + 100_000)
        with pytest.raises(Exhausted) as refused:
            second.hold(FREE_BYTES + 100_001)
        assert refused.value.client
        with pytest.raises(Exhausted), budget.request("one"):
            pass
        with contextlib.ExitStack() as others:
            for name in "abc":
                others.enter_context(budget.request(name)).hold(FREE_BYTES + 1_000_000)
            late = others.enter_context(budget.request("late"))
            late.hold(FREE_BYTES)
            with pytest.raises(Exhausted) as refused:
                late.hold(FREE_BYTES + 1)
            assert not refused.value.client
    with budget.request("one") as again:
        again.hold(FREE_BYTES + 1_000_000)
    assert (budget._used, budget._clients) == (0, {})


async def test_a_body_that_stalls_is_answered_and_closed(
    kafka: Kafka, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compressed or not, with a length or in chunks: 408 says what is expected."""
    monkeypatch.setattr(request_body, "GRACE_SECONDS", 0.2)
    async with serving(Settings(kafka=kafka.bootstrap), intake) as url:
        packed = gzip.compress(b" " * 1_000_000)[:-9]
        for head, body in (
            ("Content-Type: application/json\r\nContent-Length: 100\r\n", b"{"),
            ("Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n", b"2\r\n{}\r\n"),
            (f"Content-Type: {NDJSON}\r\nContent-Encoding: gzip\r\nContent-Length: 99999\r\n", packed),
        ):
            async with stalled(url, head, body) as response, asyncio.timeout(5):
                answer = await response.read()
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"too slowly" in answer


async def test_without_the_token_nothing_is_accepted(kafka: Kafka, intake: Intake) -> None:
    """401 with a challenge; health and metrics need no token. With the token any host may be addressed."""
    settings = Settings(kafka=kafka.bootstrap, ingest_token="a-token-of-the-gateway")
    async with serving(settings, intake) as url, posting(url) as post, aiohttp.ClientSession(url) as session:
        for wrong in (
            {},
            {"Authorization": "Bearer a-token-of-the-gatewax"},
            {"Authorization": "a-token-of-the-gateway"},
        ):
            answer = await post(json.dumps(GOOD), **wrong)
            assert (answer.status, "WWW-Authenticate" in answer.headers) == (401, True)
        right = {"Authorization": "Bearer a-token-of-the-gateway", "Host": "ingest.news.example"}
        assert (await post(json.dumps(good("with a token")), **right)).status == 202
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await session.get(path)).status == 200


async def test_a_page_whose_name_resolves_here_cannot_push(kafka: Kafka, intake: Intake) -> None:
    """Without a token only hosts that no other site can have are served (DNS rebinding)."""
    settings = Settings(kafka=kafka.bootstrap, origins=("https://news.example",))
    async with serving(settings, intake) as url, posting(url) as post:
        for host in ("evil.example", "evil.example:8001", "127.0.0.1.evil.example", "evil@evil.example"):
            answer = await post(json.dumps(GOOD), Host=host)
            assert (answer.status, answer.headers["Content-Type"]) == (421, "application/problem+json")
        for host in ("127.0.0.1:8001", "[::1]", "localhost:1", "ingest:8001", "news.example"):
            assert (await post(json.dumps(good(f"to {host}")), Host=host)).status == 202


async def test_a_key_bound_to_sources_pushes_no_others(post: Post) -> None:
    """403 names the source; among articles of its own sources, those of others are rejected."""
    bound = {"Khabar_Sources": "example.org|Al%20Jazeera"}
    answer = await post(json.dumps({**good("bound"), "source": "evil.example"}), **bound)
    assert (answer.status, answer.body["field"]) == (403, "source")
    assert "not of evil.example" in answer.body["detail"]
    assert (await post(json.dumps({"text": "of no source"}), **bound)).status == 403
    articles = [good("mine"), {**good("mine"), "source": "x"}, {**good("mine"), "source": "Al Jazeera"}]
    answer = await post(json.dumps(articles), **bound)
    assert [one["index"] for one in answer.body["accepted"]] == [0, 2]
    assert [one["index"] for one in answer.body["rejected"]] == [1]


async def test_an_article_that_kafka_refuses_is_rejected(
    kafka: Kafka, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker may take smaller records than Khabar writes: the article is rejected, the others are written."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("small", 1, 1, topic_configs={"max.message.bytes": "100000"})])
    await admin.close()
    monkeypatch.setattr(kafka_topics, "RAW", kafka_topics.KafkaTopic("small"))
    chance = random.Random(1)
    large = [{"text": chance.randbytes(size).hex()} for size in (150_000, 160_000)]
    small = [{"text": chance.randbytes(500).hex()} for _ in range(20)]
    intake = Intake(kafka.bootstrap)
    try:
        async with serving(settings, intake) as url, posting(url) as post:
            alone, mixed, other = await asyncio.gather(
                post(json.dumps(large[0])),
                post(json.dumps([*small[:7], large[1], *small[7:15], large[0]])),
                post(json.dumps(small[15:])),
            )
    finally:
        await intake.close()
    assert (alone.status, alone.body["field"]) == (422, "text")
    assert "too large" in alone.body["detail"]
    assert mixed.status == 202, mixed.body
    assert [one["index"] for one in mixed.body["rejected"]] == [7, 16]
    assert (other.status, other.body["rejected"]) == (202, [])
    written = {record.key.decode() for record in await on_kafka(kafka.bootstrap, "small", 1)}
    assert written == {expected(article) for article in small}


async def test_a_record_is_what_the_model_of_raw_articles_gives(intake: Intake) -> None:
    """A record on articles.raw is the JSON of a ``RawArticle``, byte for byte."""
    article = ArticleIn(text='نص "x"\n', title="t", published_at=NOW, authors=["a"], guid="g", source="s")
    raw_article = RawArticle(**dict(article), id=article_id(article), received_at=NOW)
    assert intake.prepare(article) == (raw_article.id, raw_article.encode())
