"""Pushes through the gateway, with a small upstream in place of ingest."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from functools import partial

import aiohttp
import pytest
from aiohttp import web

from services.embedded.process import free_port
from tests.api.conftest import Running, Start
from tests.harness import hashed

_ARTICLES = json.dumps([{"text": "خبر"}]).encode()


class Upstream:
    """Answers as configured and records the requests."""

    def __init__(self) -> None:
        self.answer: Callable[[], web.Response] = web.Response
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.drop = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Record the request, byte for byte."""
        body = await request.content.read()
        self.requests.append(({name.lower(): value for name, value in request.headers.items()}, body))
        if self.drop:
            assert request.transport is not None
            request.transport.close()
        return self.answer()


@pytest.fixture
async def upstream(start: Start) -> AsyncIterator[tuple[Upstream, Running]]:
    """An upstream, and a gateway that forwards to it."""
    fake = Upstream()
    app = web.Application()
    app.router.add_post("/v1/articles", fake.handle)
    app.router.add_get("/readyz", _ready)
    runner = web.AppRunner(app, auto_decompress=False)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with start(ingest_url=f"http://127.0.0.1:{port}/", max_body_bytes=10_000) as gateway:
        yield fake, gateway
    await runner.cleanup()


async def _ready(_: web.Request) -> web.Response:
    return web.Response()


async def test_a_push_and_its_answer_are_forwarded_unchanged(upstream: tuple[Upstream, Running]) -> None:
    """Body, type and encoding reach ingest unchanged; status, body, type and Retry-After are returned."""
    fake, gateway = upstream
    compressed = gzip.compress(_ARTICLES)
    for status, answer, headers in (
        (202, b'{"accepted":[{"index":0,"id":"x"}],"rejected":[]}', {"Content-Type": "application/json"}),
        (422, b'{"status":422}', {"Content-Type": "application/problem+json"}),
        (503, b'{"status":503}', {"Content-Type": "application/problem+json", "Retry-After": "7"}),
    ):
        fake.answer = partial(web.Response, status=status, body=answer, headers=headers)
        sent = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        async with gateway.http.post(f"{gateway.url}/v1/articles", data=compressed, headers=sent) as response:
            assert (response.status, await response.read()) == (status, answer)
            for name, value in headers.items():
                assert response.headers[name] == value
        got, body = fake.requests.pop()
        assert body == compressed
        assert (got["content-type"], got["content-encoding"]) == ("application/x-ndjson", "gzip")


async def test_ingest_learns_on_whose_behalf_a_push_is(start: Start, upstream: tuple[Upstream, Running]) -> None:
    """The gateway sends its token, the client's key or address, and the key's sources; not what a client claims."""
    fake, gateway = upstream
    claimed = {"Khabar-Client": "me", "Khabar-Sources": "any", "Authorization": "Bearer me"}
    async with gateway.http.post(f"{gateway.url}/v1/articles", data=_ARTICLES, headers=claimed):
        pass
    got, _ = fake.requests.pop()
    assert got["khabar-client"] == "127.0.0.1"
    assert "khabar-sources" not in got
    assert "authorization" not in got
    (key,) = hashed("bound")
    settings = {"ingest_url": gateway.gateway.settings.ingest_url, "ingest_token": "a-token-of-the-gateway"}
    async with start(api_keys=(f"{key}:write:sources=b|a%20c",), **settings) as closed:
        sent = {"X-API-Key": "bound", **claimed, "Authorization": ""}
        async with closed.http.post(f"{closed.url}/v1/articles", data=_ARTICLES, headers=sent) as response:
            assert response.status == 200
    got, _ = fake.requests.pop()
    assert got["authorization"] == "Bearer a-token-of-the-gateway"
    assert got["khabar-client"] == key.removeprefix("sha256:")
    assert got["khabar-sources"] == "a%20c|b"


async def test_a_chunked_body_is_forwarded(upstream: tuple[Upstream, Running]) -> None:
    """Without a length, chunks are forwarded as they arrive."""
    fake, gateway = upstream

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(_ARTICLES), 5):
            yield _ARTICLES[at : at + 5]
            await asyncio.sleep(0.01)

    async with gateway.http.post(f"{gateway.url}/v1/articles", data=pieces()) as response:
        assert response.status == 200
    assert fake.requests[0][1] == _ARTICLES


async def test_lines_of_any_length_are_forwarded(upstream: tuple[Upstream, Running]) -> None:
    """NDJSON may be longer than a document; a long answer is passed on as it is."""
    fake, gateway = upstream
    answer = b'{"accepted":[%s],"rejected":[]}' % b",".join(b'{"index":%d,"id":"x"}' % n for n in range(100_000))
    fake.answer = partial(web.Response, status=202, body=answer, headers={"Content-Type": "application/json"})
    headers = {"Content-Type": "application/x-ndjson; charset=utf-8"}
    body = b'{"text":"a"}\n' * 5_000
    async with gateway.http.post(f"{gateway.url}/v1/articles", data=body, headers=headers) as response:
        assert (response.status, response.content_type) == (202, "application/json")
        assert await response.read() == answer
    assert fake.requests[0][1] == body


async def test_too_large_a_body_is_413(upstream: tuple[Upstream, Running]) -> None:
    """With a length before anything is forwarded; without one as soon as the limit is exceeded."""
    fake, gateway = upstream

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1_000
            await asyncio.sleep(0)

    for data in (b"x" * 10_001, endless()):
        try:
            async with gateway.http.post(f"{gateway.url}/v1/articles", data=data) as response:
                assert (response.status, response.content_type) == (413, "application/problem+json")
        except aiohttp.ClientOSError:
            assert not isinstance(data, bytes)  # the server may stop reading while the client still writes
    assert (await gateway.get("/readyz"))[1]["checks"]["ingest"] == "ok"
    assert all(len(body) <= 10_000 for _, body in fake.requests)


async def test_a_lost_connection_says_that_articles_may_have_been_accepted(
    upstream: tuple[Upstream, Running],
) -> None:
    """Once part of the body was sent the outcome is unknown: 503 says that a retry is safe. It is forwarded once."""
    fake, gateway = upstream
    fake.drop = True
    async with gateway.http.post(f"{gateway.url}/v1/articles", data=_ARTICLES) as response:
        problem = await response.json(content_type=None)
        assert (response.status, response.headers["Retry-After"]) == (503, "2")
        assert "may have been accepted" in problem["detail"]
    assert len(fake.requests) == 1


async def test_without_ingest_nothing_was_accepted(start: Start) -> None:
    """The answer is 503 with Retry-After and says that nothing was accepted."""
    async with start(ingest_url=f"http://127.0.0.1:{free_port()}") as gateway:
        response = await gateway.http.post(f"{gateway.url}/v1/articles", data=_ARTICLES)
        async with response:
            problem = await response.json(content_type=None)
            assert (response.status, response.content_type) == (503, "application/problem+json")
            assert response.headers["Retry-After"]
            assert "nothing was accepted" in problem["detail"]
