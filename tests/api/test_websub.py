"""Requests of WebSub's hubs through the gateway, with a small upstream in place of ingest."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from services.embedded.process import free_port
from tests.api.conftest import Start
from tests.harness import hashed

CALLBACK = f"/v1/websub/{'a' * 26}.{'B_-c' * 8}"
TOKEN = "t" * 30


class Upstream:
    """Records the requests, and answers with what they had."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.requests: list[tuple[web.Request, bytes]] = []

    async def handle(self, request: web.Request) -> web.Response:
        """Answer the challenge, or 202."""
        self.requests.append((request, await request.read()))
        if request.method == "POST":
            return web.Response(status=503, headers={"Retry-After": "5"})
        return web.Response(text=request.query["hub.challenge"], headers={"X-Content-Type-Options": "nosniff"})


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """A running upstream."""
    port = free_port()
    made = Upstream(port)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield made
    await runner.cleanup()


async def test_hubs_reach_ingest_without_a_key(start: Start, upstream: Upstream) -> None:
    """Verifications and deliveries are forwarded byte for byte with ingest's token, addressed to any host."""
    settings = {"ingest_url": upstream.url, "public_url": "https://news.example", "ingest_token": TOKEN}
    async with start(api_keys=hashed("secret"), **settings) as gateway:
        query = "hub.mode=subscribe&hub.topic=https%3A%2F%2Fa.example%2Ff%3Fx%3D1%26y&hub.challenge=a%2Bb+c"
        async with gateway.http.get(f"{gateway.url}{CALLBACK}?{query}", headers={"Host": "news.example"}) as answer:
            assert (answer.status, await answer.text()) == (200, "a+b c")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.content_type == "text/plain"
        request, _ = upstream.requests.pop()
        assert request.path == CALLBACK
        assert request.query["hub.topic"] == "https://a.example/f?x=1&y"
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        body = b"<feed>\xff</feed>"
        sent = {"Content-Type": "application/atom+xml", "X-Hub-Signature": "sha1=abc", "Authorization": "Bearer no"}
        async with gateway.http.post(f"{gateway.url}{CALLBACK}", data=body, headers=sent) as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "5"
        request, got = upstream.requests.pop()
        assert got == body
        assert request.headers["X-Hub-Signature"] == "sha1=abc"
        assert request.headers["Content-Type"] == "application/atom+xml"
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"


async def test_without_a_public_address_there_are_no_callbacks(start: Start, upstream: Upstream) -> None:
    """Without KHABAR_PUBLIC_URL nothing is forwarded; nor is what cannot be a callback, or is too large."""
    async with start(ingest_url=upstream.url) as gateway:
        answer = await gateway.http.post(f"{gateway.url}{CALLBACK}", data=b"x")
        assert answer.status == 404
    settings = {"ingest_url": upstream.url, "public_url": "https://news.example", "max_feed_bytes": 10_000}
    async with start(**settings) as gateway:
        for path in ("/v1/websub/..%2Farticles", "/v1/websub/", "/v1/websub/a/b"):
            async with gateway.http.get(f"{gateway.url}{path}") as answer:
                assert answer.status == 404, path
        with_body = gateway.http.post(f"{gateway.url}{CALLBACK}", data=b"x" * 10_001)
        async with with_body as answer:
            assert answer.status == 413
    assert not [one for one, _ in upstream.requests if one.content_length != 10_001]


async def test_ingest_that_is_away_makes_hubs_try_again(start: Start) -> None:
    """While ingest cannot be reached, hubs get a 503."""
    away = f"http://127.0.0.1:{free_port()}"
    async with start(ingest_url=away, public_url="https://news.example") as gateway:
        async with gateway.http.post(f"{gateway.url}{CALLBACK}", data=b"x") as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) > 0
        with pytest.raises(aiohttp.ClientError):
            await gateway.http.get(away)
