"""NDJSON of any length: written while it arrives, in constant memory, with a result for each line."""

import asyncio
import contextlib
import gzip
import json
import re
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import psutil
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ingest import long_push, push
from ingest.long_push import LineReader
from ingest.producer import Intake
from services import request_body, zstd
from services.embedded.kafka import Kafka
from services.embedded.process import free_port
from services.events import ArticleIn
from services.identity import article_id
from services.settings import Settings
from tests.harness import eventually, service
from tests.ingest.conftest import Post, posting, raw, serving

NDJSON = "application/x-ndjson"
PACK: dict[str, Callable[[bytes], bytes]] = {"identity": bytes, "gzip": gzip.compress, "zstd": zstd.compress}


@pytest.fixture
async def post(kafka: Kafka, intake: Intake) -> AsyncIterator[Post]:
    """Posts to a server that takes documents of a MB and 150 articles."""
    settings = Settings(kafka=kafka.bootstrap, max_body_bytes=1_000_000, max_articles=150)
    async with serving(settings, intake) as url, posting(url) as function:
        yield function


def lines(name: str, count: int, size: int = 20) -> list[dict]:
    """Articles whose guids no other test uses."""
    return [
        {"text": f"نص {number} {'ب' * size}", "source": "long", "guid": f"{name}-{number}"} for number in range(count)
    ]


def ndjson(articles: list[dict]) -> bytes:
    """One a line."""
    return b"".join(json.dumps(article, ensure_ascii=False).encode() + b"\n" for article in articles)


def ids(articles: list[dict]) -> list[str]:
    """The ids of articles."""
    return [article_id(ArticleIn.model_validate(article)) for article in articles]


def accepted_before(detail: str) -> int:
    """How many articles were accepted before a push was refused, as its detail says."""
    found = re.search(r"of the first \d+ articles (\d+) were accepted", detail)
    return int(found[1]) if found else 0


@pytest.mark.parametrize("encoding", PACK)
async def test_more_than_any_limit_of_a_document(encoding: str, post: Post, kafka: Kafka) -> None:
    """Thousands of lines, larger than a JSON document may be: all are accepted, in order, and are on Kafka once."""
    sent = lines(f"many {encoding}", 2_500, size=500)
    body = ndjson(sent)
    assert len(body) > 2_000_000
    answer = await post(PACK[encoding](body), NDJSON, Content_Encoding=encoding)
    assert answer.status == 202
    assert answer.body == {"accepted": [{"index": n, "id": one} for n, one in enumerate(ids(sent))], "rejected": []}
    found = await raw(kafka.bootstrap)
    assert [found[one][0].text for one in ids(sent)] == [article["text"] for article in sent]
    assert all(len(found[one]) == 1 for one in ids(sent))


async def test_what_is_wrong_with_a_line_costs_that_line(post: Post) -> None:
    """Broken, blank, overlong and invalid lines anywhere in a long body: each has its index and cause."""
    sent = ndjson(lines("among broken", 400)).splitlines(keepends=True)
    sent[0] = b"\xef\xbb\xbf" + sent[0]
    sent[7] = b"\r\n \n{\n"
    sent[200] = b'{"text": "%s"}\n' % (b"x" * 1_000_000)
    sent[201] = b'{"text": "%s"}\n' % (b"x" * 5_000_000)
    sent[399] = b'{"text": " "}'
    answer = await post(b"".join(sent), NDJSON)
    assert answer.status == 202
    causes = {row["index"]: row["error"].partition(":")[0] for row in answer.body["rejected"]}
    too_long = "the line has more than 1000000 bytes"
    assert causes == {7: "not JSON", 200: too_long, 201: too_long, 399: "text"}
    assert [row["index"] for row in answer.body["accepted"]] == [n for n in range(400) if n not in causes]


async def test_nothing_good_in_a_long_body(post: Post) -> None:
    """The status is that of the first line, the detail counts them."""
    answer = await post(b'{"text": ""}\n' * 400, NDJSON)
    assert (answer.status, answer.body["field"]) == (422, "text")
    assert "none of 400" in answer.body["detail"]
    assert (await post(b"{\n" * 400, NDJSON)).status == 400
    assert (await post(b" " * 3_000_000, NDJSON)).status == 413
    assert (await post(b"\n" * 300_000, NDJSON)).status == 422


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_a_damaged_end_says_what_was_accepted(encoding: str, kafka: Kafka, intake: Intake) -> None:
    """400 names the encoding and how many articles before were accepted; those are on Kafka."""
    sent = lines(f"cut {encoding}", 300, size=2_000)
    body = PACK[encoding](ndjson(sent[:200])) + PACK[encoding](ndjson(sent[200:]))[:-3]
    async with serving(Settings(kafka=kafka.bootstrap, max_articles=50), intake) as url, posting(url) as post:
        answer = await post(body, NDJSON, Content_Encoding=encoding)
    assert answer.status == 400
    detail = answer.body["detail"]
    assert detail.startswith(f"the {encoding} body ends too early; of the first ")
    accepted = accepted_before(detail)
    assert accepted >= 200
    found = await raw(kafka.bootstrap)
    assert sum(one in found for one in ids(sent)) == accepted


async def test_articles_are_written_while_the_body_arrives(
    kafka: Kafka, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the end of the body; then the client pauses for too long: 408 says what was accepted."""
    monkeypatch.setattr(request_body, "GRACE_SECONDS", 1.5)
    monkeypatch.setattr(long_push, "_SLICE_SECONDS", 0.1)
    sent = lines("live", 4)

    async def slowly() -> AsyncIterator[bytes]:
        for article in sent:
            yield ndjson([article])
            await asyncio.sleep(0.2)
        await eventually(written)
        await asyncio.sleep(5)

    async def written() -> bool:
        return ids(sent)[2] in await raw(kafka.bootstrap)

    async with serving(Settings(kafka=kafka.bootstrap), intake) as url, posting(url) as post:
        answer = await post(slowly(), NDJSON)
    assert answer.status == 408
    assert accepted_before(answer.body["detail"]) >= 3


async def test_a_line_has_to_end_in_time(kafka: Kafka, intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that arrives fast enough and never ends is 408; many short ones may take longer than that."""
    monkeypatch.setattr(request_body, "MAX_SECONDS", 0.8)
    monkeypatch.setattr(long_push, "_SLICE_SECONDS", 0.1)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"[" * 1_000
            await asyncio.sleep(0.05)

    async def steady() -> AsyncIterator[bytes]:
        for article in lines("steady", 24):
            yield ndjson([article])
            await asyncio.sleep(0.05)

    async with serving(Settings(kafka=kafka.bootstrap), intake) as url, posting(url) as post:
        answer = await post(endless(), NDJSON)
        assert (answer.status, "each line" in answer.body["detail"]) == (408, True)
        assert len((await post(steady(), NDJSON)).body["accepted"]) == 24


async def test_clients_that_stop_in_the_middle_leave_nothing(kafka: Kafka, intake: Intake) -> None:
    """However many long pushes of one client are cut off, its next one has the whole of its share."""
    settings = Settings(kafka=kafka.bootstrap)

    async def cut_off() -> AsyncIterator[bytes]:
        yield ndjson(lines("gone", 100))
        yield b'{"text": "' + b"x" * 6_000_000
        raise ConnectionError

    async with serving(settings, intake) as url, posting(url) as post:
        for _ in range(12):
            with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                await post(cut_off(), NDJSON)

        async def accepted() -> bool:
            large = {"text": "x", "source": "y", "ignored": "z" * 15_000_000}
            return (await post(ndjson([large]), NDJSON)).status == 202

        await eventually(accepted, 10)


async def test_too_many_results(kafka: Kafka, intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The results are bounded too: 413 says how many articles were accepted."""
    monkeypatch.setattr(push, "_RESULT_BYTES", 40_000)
    sent = lines("too many results", 6_000)
    async with serving(Settings(kafka=kafka.bootstrap), intake) as url, posting(url) as post:
        answer = await post(ndjson(sent), NDJSON)
    assert answer.status == 413
    accepted = accepted_before(answer.body["detail"])
    assert 2_000 <= accepted < 6_000
    assert "send fewer articles at a time" in answer.body["detail"]
    found = await raw(kafka.bootstrap)
    assert all(one in found for one in ids(sent)[:accepted])


async def test_memory_is_constant(kafka: Kafka) -> None:
    """100 MB, compressed to a few, take a fraction of it, and others are served meanwhile."""
    article = {"source": "memory", "text": "نص " * 15_000}
    packed = zstd.compress(b"".join(ndjson([{**article, "guid": str(number)}]) for number in range(1_200)))
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        async with (
            service("ingest", log=Path(directory, "log"), kafka=kafka.bootstrap, ingest_port=port) as child,
            posting(f"http://127.0.0.1:{port}") as post,
        ):

            async def answers() -> bool:
                try:
                    return (await post(b'{"text": "x"}')).status == 202
                except aiohttp.ClientError:
                    return False

            await eventually(answers)
            process = psutil.Process(child.process.pid)
            before = process.memory_info().rss
            pushing = asyncio.create_task(post(packed, NDJSON, Content_Encoding="zstd"))
            peak = 0
            while not pushing.done():
                peak = max(peak, process.memory_info().rss - before)
                await asyncio.sleep(0.01)
            answer = await pushing
    assert answer.status == 202
    assert len(answer.body["accepted"]) == 1_200
    assert peak < 60_000_000


@hypothesis_settings(max_examples=150, deadline=None)
@given(
    body=st.lists(st.sampled_from([b"1", b"{}", b"[[1]]", b"\n", b"\n", b"\r\n", b" ", b"12345678901234567890"])),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=10),
    encoding=st.sampled_from(sorted(PACK)),
    most=st.integers(1, 4),
)
def test_lines_are_those_of_the_whole_body(body: list[bytes], sizes: list[int], encoding: str, most: int) -> None:
    """However a body is cut into chunks, its articles are its lines that are not blank, each with its index."""
    whole = b"".join(body)
    reader = LineReader(encoding, Intake("none:1"), lambda _: None, most=most, longest=25)
    packed = PACK[encoding](whole)
    found = []
    at = 0
    while at < len(packed):
        size = sizes[at % len(sizes)]
        reader.add(packed[at : at + size])
        at += size
        while (part := reader.next()) is not None:
            assert len(part) <= most
            found += part.rejected
    while (part := reader.next(end=True)) is not None:
        found += part.rejected
    wanted = [one for one in whole.split(b"\n") if one.strip() or len(one) > 25]
    assert [index for index, _ in found] == list(range(len(wanted)))
    assert [cause.too_long for _, cause in found] == [len(one) > 25 for one in wanted]


async def test_a_large_window_is_refused(post: Post) -> None:
    """A zstd frame may make its reader allocate as much as it says: more than 8 MB is refused, as RFC 9659 has it."""
    frame = b"\x28\xb5\x2f\xfd\x00" + bytes([(27 - 10) << 3]) + b"\x01\x00\x00"
    for kind in (NDJSON, "application/json"):
        answer = await post(frame, kind, Content_Encoding="zstd")
        assert answer.status == 400
        assert "window" in answer.body["detail"]
