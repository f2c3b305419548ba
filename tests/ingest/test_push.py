"""``POST /v1/articles`` over real HTTP into a real Kafka."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from http import HTTPStatus

import aiohttp
import pytest

from ingest.producer import Intake
from services.embedded.kafka import Kafka
from services.events import ArticleIn
from services.identity import article_id
from services.settings import Settings
from tests.ingest.conftest import NOW, Post, posting, raw, serving

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
