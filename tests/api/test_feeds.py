"""Feeds through the gateway, with ingest beside it."""

import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from aiohttp import web

from services.embedded.process import free_port
from tests.api.conftest import Running, Start
from tests.harness import hashed

_FEEDS = "/v1/feeds"


class Upstream:
    """Answers as configured and records the requests: their methods and targets, headers and bodies."""

    def __init__(self) -> None:
        self.answer: Callable[[], web.Response] = web.Response
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Record the request."""
        head = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((f"{request.method} {request.path_qs}", head, await request.read()))
        return self.answer()


@pytest.fixture
async def upstream() -> AsyncIterator[tuple[Upstream, str]]:
    """What stands in for ingest, and its URL."""
    fake = Upstream()
    app = web.Application(client_max_size=10_000_000)
    app.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield fake, f"http://127.0.0.1:{port}"
    await runner.cleanup()


async def _ask(gateway: Running, method: str, path: str, **request: Any) -> tuple[int, Any, dict[str, str]]:
    async with gateway.http.request(method, f"{gateway.url}{path}", **request) as response:
        body = await response.read()
        content = json.loads(body) if body and "json" in response.content_type else body
        return response.status, content, {name.lower(): value for name, value in response.headers.items()}


async def test_requests_and_answers_are_forwarded_unchanged(upstream: tuple[Upstream, str], start: Start) -> None:
    """Method, path, query and body reach ingest; status, body and what a client needs of the head come back."""
    fake, url = upstream
    async with start(ingest_url=url) as gateway:
        for method, path, body, status in (
            ("GET", "?status=ok&limit=5", b"", 200),
            ("POST", "", b'{"url": "https://a.example"}', 201),
            ("POST", "/check", b'{"url": "https://a.example"}', 200),
            ("POST", "/import?names=true", b"<opml/>", 200),
            ("PATCH", "/abc", b'{"paused": true}', 200),
            ("DELETE", "/abc", b"", 204),
            ("POST", "/abc/poll", b"", 202),
            ("GET", "/abc", b"", 404),
        ):
            answer = b"" if status == 204 else b'{"x":1}'
            head = {"Content-Type": "application/json", "Location": "/v1/feeds/abc", "Link": '<?x>; rel="next"'}
            fake.answer = partial(web.Response, status=status, body=answer, headers=head | {"X-Internal": "1"})
            got, content, headers = await _ask(gateway, method, f"{_FEEDS}{path}", data=body or None)
            assert (got, content if answer else None) == (status, {"x": 1} if answer else None), path
            assert (headers["location"], headers["link"]) == (head["Location"], head["Link"])
            assert "x-internal" not in headers
            target, _, sent = fake.requests.pop()
            assert (target, sent) == (f"{method} {_FEEDS}{path}", body)
        fake.answer = partial(web.Response, body=b"<opml/>", headers={"Content-Type": "text/x-opml; charset=utf-8"})
        got, content, headers = await _ask(gateway, "GET", f"{_FEEDS}.opml")
        assert (got, content, headers["content-type"]) == (200, b"<opml/>", "text/x-opml; charset=utf-8")


async def test_reading_needs_read_and_everything_else_write(upstream: tuple[Upstream, str], start: Start) -> None:
    """Ingest gets the token, the key and its sources, never what a client claims."""
    fake, url = upstream
    reader, writer = hashed("reads:read", "writes:write")
    keys = (reader, f"{writer}:sources=b|a%20c")
    async with start(ingest_url=url, ingest_token="the-token-of-ingest", api_keys=keys) as gateway:
        requests = [("GET", ""), ("GET", ".opml"), ("GET", "/abc")]
        changes = [("POST", ""), ("POST", "/check"), ("POST", "/import"), ("PATCH", "/a"), ("DELETE", "/a")]
        for allowed, other, paths in (
            ("reads", "writes", requests),
            ("writes", "reads", [*changes, ("POST", "/a/poll")]),
        ):
            for method, path in paths:
                claimed = {"Khabar-Client": "me", "Khabar-Sources": "any"}
                assert (await _ask(gateway, method, _FEEDS + path))[0] == 401
                refused = await _ask(gateway, method, _FEEDS + path, headers=claimed | {"X-API-Key": other})
                assert refused[0] == 403, path
                assert fake.requests == []
                answer = await _ask(gateway, method, _FEEDS + path, headers=claimed | {"X-API-Key": allowed})
                assert answer[0] == 200, path
                _, got, _ = fake.requests.pop()
                assert got["authorization"] == "Bearer the-token-of-ingest"
                assert got["khabar-client"] != "me"
                assert got.get("khabar-sources") == (None if allowed == "reads" else "a%20c|b")
                assert "x-api-key" not in got


async def test_wrong_requests_do_not_reach_ingest(upstream: tuple[Upstream, str], start: Start) -> None:
    """An unknown parameter or value, a body that is too large, an id that is none."""
    fake, url = upstream
    async with start(ingest_url=url) as gateway:
        for method, path, body, status, field in (
            ("GET", "?colour=red", None, 422, "colour"),
            ("GET", "?status=bad", None, 422, "status"),
            ("GET", "?limit=501", None, 422, "limit"),
            ("POST", "/import?names=perhaps", b"x", 422, "names"),
            ("POST", "", b"x" * 65_537, 413, None),
            ("GET", "/a%3Fb", None, 404, None),
            ("DELETE", "/%2e%2e", None, 404, None),
        ):
            got, problem, _ = await _ask(gateway, method, _FEEDS + path, data=body)
            assert (got, problem.get("field")) == (status, field), path
        assert fake.requests == []


async def test_without_ingest_the_answer_says_so(start: Start) -> None:
    """503 with Retry-After."""
    async with start(ingest_url=f"http://127.0.0.1:{free_port()}") as gateway:
        status, problem, headers = await _ask(gateway, "GET", _FEEDS)
        assert (status, headers["retry-after"]) == (503, "2")
        assert "ingest does not answer" in problem["detail"]


async def test_feeds_are_described(gateway: Running) -> None:
    """In OpenAPI: every operation with its bodies, answers and problems."""
    _, schema, _ = await gateway.get("/openapi.json")
    operations = {
        (method.upper(), path): operation
        for path, methods in schema["paths"].items()
        if path.startswith(_FEEDS)
        for method, operation in methods.items()
    }
    assert len(operations) == 9
    for (method, path), operation in operations.items():
        assert {"401", "403", "429", "503"} <= operation["responses"].keys(), path
        assert ("requestBody" in operation) == (
            method == "PATCH" or (path in {_FEEDS, "/v1/feeds/check", "/v1/feeds/import"} and method == "POST")
        )
    add = operations["POST", _FEEDS]["requestBody"]["content"]["application/json"]["schema"]
    assert {"url", "source", "language", "interval", "headers", "user", "password", "full_text"} <= add[
        "properties"
    ].keys()
