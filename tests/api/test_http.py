"""HTTP below the routes: every request is answered as RFC 9110 and 9112 have it, whatever its form."""

import asyncio
import json
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from websockets import http11

from api.http_protocol import BoundedHttp
from tests.api.conftest import Running, Start
from tests.api.raw import raw
from tests.harness import eventually

_CLOSE = "Connection: close\r\n"
_UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n"
)


@dataclass
class Answer:
    """One answer on a raw connection."""

    status: int
    headers: dict[str, str]
    body: bytes

    def problem(self) -> dict[str, Any]:
        """The problem document that it has to be."""
        assert self.headers["content-type"] == "application/problem+json"
        found: dict[str, Any] = json.loads(self.body)
        assert found["status"] == self.status
        return found


async def _send(gateway: Running, data: bytes, *, seconds: float = 10) -> list[Answer]:
    """All answers until the gateway closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        writer.write(data)
        async with asyncio.timeout(seconds):
            received = await reader.read()
    finally:
        writer.close()
    answers = []
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        status = int(first.split()[1])
        size = 0 if status in {100, 101, 204, 304} else int(headers.get("content-length", len(received)))
        answers.append(Answer(status, headers, received[:size]))
        received = received[size:]
    return answers


async def _ask(gateway: Running, line: str, *headers: str, body: bytes = b"", **options: Any) -> Answer:
    """The one answer to a request."""
    head = "".join(f"{one}\r\n" for one in (line, *headers))
    (answer,) = await _send(gateway, f"{head}\r\n".encode() + body, **options)
    return answer


_HOST = "Host: 127.0.0.1"
_LONG = "x" * 70_000
_MANY = [f"X-{number}: y" for number in range(200)]

# Request line, headers, body; status and a word of the problem's detail.
_REFUSED = [
    ("FOO / HTTP/1.1", [_HOST], b"", 501, "method"),
    ("\x16\x03\x01 / HTTP/1.1", [_HOST], b"", 501, "method"),
    ("CONNECT x:80 HTTP/1.1", [_HOST], b"", 501, "CONNECT"),
    ("GET / HTTP/3.0", [_HOST], b"", 505, "HTTP/1.1"),
    ("GET / HTTP/2.0", [_HOST], b"", 505, "HTTP/1.1"),
    ("PRI * HTTP/2.0", [], b"SM\r\n\r\n", 505, "HTTP/1.1"),
    ("GET /", [], b"", 505, "HTTP/1.1"),
    ("GET / HTTP/1.1", [], b"", 400, "Host"),
    ("GET / HTTP/1.1", [_HOST, _HOST], b"", 400, "Host"),
    ("GET / HTTP/1.1", [_HOST, "A: b", " folded"], b"", 400, "whitespace"),
    ("GET / HTTP/1.1", [_HOST, "A: \0"], b"", 400, "header value"),
    ("GET /?q=خبر HTTP/1.1", [_HOST], b"", 400, "url"),
    ("POST /v1/articles HTTP/1.1", [_HOST, "Content-Length: 3", "Content-Length: 4"], b"abc", 400, "Content-Length"),
    ("POST /v1/articles HTTP/1.1", [_HOST, "Content-Length: -3"], b"", 400, "Content-Length"),
    (
        "POST /v1/articles HTTP/1.1",
        [_HOST, "Content-Length: 3", "Transfer-Encoding: chunked"],
        b"0\r\n\r\n",
        400,
        "Transfer-Encoding",
    ),
    ("POST /v1/articles HTTP/1.1", [_HOST, "Transfer-Encoding: gzip"], b"abc", 400, "Transfer-Encoding"),
    ("POST /v1/webhooks HTTP/1.1", [_HOST, "Transfer-Encoding: chunked"], b"zz\r\n", 400, "chunk"),
    (f"GET /healthz?x={_LONG} HTTP/1.1", [_HOST], b"", 414, "65536"),
    ("GET /healthz HTTP/1.1", [_HOST, f"Cookie: {_LONG}"], b"", 431, "65536"),
    ("GET /healthz HTTP/1.1", [_HOST, *_MANY], b"", 431, "128"),
]
_UPGRADES = [line for line in _UPGRADE.split("\r\n") if line]
_REFUSED_UPGRADES = [
    ("GET /v1/stream HTTP/1.1", [_HOST, *_UPGRADES, "Content-Length: 5"], b"", 400, "body"),
    ("GET /v1/stream HTTP/1.1", [_HOST, *_UPGRADES, "Content-Length: 5"], b"GET /", 400, "body"),
    ("GET /v1/stream HTTP/1.1", [_HOST, *_UPGRADES, "Transfer-Encoding: chunked"], b"", 400, "body"),
    ("GET /v1/stream HTTP/1.1", [_HOST, *_UPGRADES, *_MANY], b"", 431, "128"),
    ("GET /v1/stream HTTP/1.1", [_HOST, *_UPGRADES, f"Cookie: {_LONG}"], b"", 431, "65536"),
    (f"GET /v1/stream?q={_LONG} HTTP/1.1", [_HOST, *_UPGRADES], b"", 414, "65536"),
    ("GET /v1/stream HTTP/1.1", [_HOST, *_UPGRADES[:2], _UPGRADES[3]], b"", 400, "Sec-WebSocket-Key"),
    ("GET /v1/stream HTTP/1.1", [_HOST, *_UPGRADES[:3]], b"", 426, "Version"),
    ("GET /v1/stream HTTP/1.1", [_HOST, *_UPGRADES[:3], "Sec-WebSocket-Version: 7"], b"", 426, "Version"),
]


@pytest.mark.parametrize(("line", "headers", "body", "status", "word"), [*_REFUSED, *_REFUSED_UPGRADES])
async def test_a_request_that_cannot_be_served_is_refused_with_its_reason(  # noqa: PLR0913, PLR0917
    gateway: Running, line: str, headers: list[str], body: bytes, status: int, word: str
) -> None:
    """With a problem document; then the connection is closed, at once."""
    answer = await _ask(gateway, line, *headers, body=body, seconds=2)
    assert answer.status == status
    assert word in answer.problem()["detail"]
    assert answer.headers["connection"].lower() == "close"


async def test_a_head_is_refused_also_in_pieces(gateway: Running) -> None:
    """As soon as it is too large, even if it never ends."""
    for start, status in ((b"GET /?" + b"x" * 200_000, 414), (b"GET / HTTP/1.1\r\nA: " + b"x" * 200_000, 431)):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        for at in range(0, len(start), 10_000):
            writer.write(start[at : at + 10_000])
            await writer.drain()
            await asyncio.sleep(0)
        assert (await reader.readline()).split()[1] == b"%d" % status
        writer.close()


async def test_an_answer_to_head_has_no_body_also_when_refused(gateway: Running) -> None:
    """It has the headers of the problem alone."""
    answer = await _ask(gateway, "HEAD / HTTP/1.1")
    assert (answer.status, answer.body) == (400, b"")
    assert int(answer.headers["content-length"]) > 0


async def test_requests_before_a_refused_one_are_answered_first(gateway: Running) -> None:
    """In their order, on one connection."""
    good = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    answers = await _send(gateway, good + good + b"FOO / HTTP/1.1\r\n\r\n" + good)
    assert [one.status for one in answers] == [200, 200, 501]


@pytest.mark.parametrize("size", [15, 108])
async def test_long_filters_work_over_websocket_as_over_sse(gateway: Running, size: int) -> None:
    """Up to 60 KB in the address, where an Arabic letter takes six bytes."""
    values = sorted(f"{number}{'خ' * size}" for number in range(10, 100))
    async with gateway.stream(source=",".join(values)) as subscriber:
        assert sorted((await subscriber.next())["filter"]["source"]) == values
    async with gateway.http.get(f"{gateway.url}/v1/events", params={"source": ",".join(values)}) as response:
        assert response.status == 200


async def test_large_headers_pass_a_websocket_handshake(gateway: Running) -> None:
    """A browser sends all cookies of its site: 11.7 KB are no obstacle."""
    cookies = {"Cookie": "; ".join(f"sso{number}={'x' * 3_900}" for number in range(3))}
    async with gateway.stream(headers=cookies) as subscriber:
        assert (await subscriber.next())["type"] == "subscribed"


async def test_a_handshake_that_websockets_refuses_is_answered(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its limits are lower than those of the gateway, and uvicorn would wait for ever."""
    monkeypatch.setattr(http11, "MAX_LINE_LENGTH", 100)
    answer = await _ask(gateway, f"GET /v1/stream?q={'x' * 200} HTTP/1.1", _HOST, *_UPGRADES, seconds=2)
    assert answer.status == 414
    assert "no more than 100 bytes" in answer.problem()["detail"]


async def test_refused_handshakes_leave_nothing_open(gateway: Running) -> None:
    """The connections of refused handshakes are gone while their clients still hold them, most of them at once."""
    before = len(gateway.server.server_state.connections)
    held = []
    for line, headers, body, *_ in _REFUSED_UPGRADES * 10:
        sock = socket.create_connection(("127.0.0.1", gateway.port))
        sock.sendall("".join(f"{one}\r\n" for one in (line, *headers, "")).encode() + body)
        held.append(sock)
        await asyncio.sleep(0)
    await eventually(lambda: len(gateway.server.server_state.connections) <= before + 32, seconds=1)
    await eventually(lambda: len(gateway.server.server_state.connections) <= before, seconds=5)
    for sock in held:
        sock.close()


async def test_unfinished_heads_count_as_connections_of_their_address(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From their first byte, and no longer than until the head is complete or was refused."""
    monkeypatch.setattr("api.access.limits._client", lambda address: address)  # the loopback is not exempt
    async with start(max_connections_per_address=3) as gateway:
        addresses = gateway.server.app.state.addresses
        heads = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(3)]
        for _, writer in heads:
            writer.write(b"GET /v1/stream HTTP/1.1\r\n")
        await eventually(lambda: addresses._open.total() == 3)
        answer = await _ask(gateway, "GET /healthz HTTP/1.1", _HOST)
        assert answer.status == 429
        assert answer.headers["retry-after"] == "5"
        for _, writer in heads:
            writer.write(f"{_HOST}\r\n{_CLOSE}\r\n".encode())
        for reader, writer in heads:
            assert (await reader.read()).startswith(b"HTTP/1.1 426 ")
            writer.close()
        assert addresses._open.total() == 0


async def test_blank_lines_do_not_keep_a_connection(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines before a request are allowed, but the time of the head runs."""
    monkeypatch.setattr(BoundedHttp, "head_seconds", 0.3)
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(request)
    await reader.readuntil(b"}")
    writer.write(b"\r\n")
    async with asyncio.timeout(3):
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_a_body_that_does_not_end_gets_408(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the answer to the request; with an answer already sent, the connection is only closed."""
    monkeypatch.setattr(BoundedHttp, "body_seconds", 0.3)
    headers = (_HOST, "Content-Type: application/json", "Content-Length: 10")
    answer = await _ask(gateway, "POST /v1/webhooks HTTP/1.1", *headers, body=b"{", seconds=3)
    assert answer.status == 408
    assert "body" in answer.problem()["detail"]
    assert (await _ask(gateway, "POST /healthz HTTP/1.1", *headers, body=b"{", seconds=3)).status == 405


async def test_expect_100_continue_is_answered_before_the_body(gateway: Running) -> None:
    """The client sends its body only then; a refusal that needs no body comes without."""
    loop = asyncio.get_running_loop()
    head = f"{_HOST}\r\n{_CLOSE}Content-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", gateway.port))
        await loop.sock_sendall(sock, f"POST /v1/webhooks HTTP/1.1\r\n{head}".encode())
        assert (await loop.sock_recv(sock, 100)).startswith(b"HTTP/1.1 100 ")
        await loop.sock_sendall(sock, b"{}")
        assert (await loop.sock_recv(sock, 1_000)).startswith(b"HTTP/1.1 422 ")
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(f"POST /healthz HTTP/1.1\r\n{head}".encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 405 ")
    writer.close()


async def test_other_upgrades_are_ignored(gateway: Running) -> None:
    """``curl --http2`` offers HTTP/2 with each request; its body arrives, and so does the next request."""
    body = b"{}"
    upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n"
    first = (
        f"POST /v1/webhooks HTTP/1.1\r\n{_HOST}\r\n{upgrade}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n"
    )
    second = f"GET /healthz HTTP/1.1\r\n{_HOST}\r\n{_CLOSE}\r\n"
    answers = await _send(gateway, first.encode() + body + second.encode())
    assert [one.status for one in answers] == [422, 200]
    assert answers[0].problem()["field"] == "url"


@pytest.mark.parametrize(
    ("line", "headers"),
    [("GET /v1/stream HTTP/1.0", [_CLOSE.strip(), *_UPGRADES]), ("GET /v1/stream HTTP/1.1", [_HOST, _CLOSE.strip()])],
)
async def test_the_stream_without_an_upgrade_says_what_is_missing(
    gateway: Running, line: str, headers: list[str]
) -> None:
    """426; HTTP/1.0 cannot upgrade, whatever its headers say."""
    answer = await _ask(gateway, line, *headers)
    assert answer.status == 426
    assert "WebSocket" in answer.problem()["detail"]


async def test_http_1_0_gets_no_chunks(gateway: Running) -> None:
    """The stream ends with the connection, other answers have their length, and neither is kept alive."""
    with socket.create_connection(("127.0.0.1", gateway.port)) as sock:
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, b"GET /v1/events HTTP/1.0\r\n\r\n")
        received = b""
        async with asyncio.timeout(5):
            while b"event: heartbeat" not in received:
                received += await loop.sock_recv(sock, 4_096)
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()
    assert body.startswith(b"retry: ")
    answer = await _ask(gateway, "GET /healthz HTTP/1.0")
    assert answer.body == b'{"status":"ok"}'
    assert answer.headers["connection"] == "close"


async def test_an_absolute_target_counts_instead_of_the_host(start: Start) -> None:
    """As RFC 9112 wants it; so its host is also the one that the origin is compared with."""
    async with start(wait=False) as gateway:
        assert (await _ask(gateway, "GET http://127.0.0.1/healthz?x HTTP/1.1", "Host: y", _CLOSE.strip())).status == 200
        own = f"127.0.0.1:{gateway.port}"
        async with raw(gateway, target=f"http://{own}/v1/stream?language=ar", host="y", origin=f"http://{own}"):
            pass
        headers = ("Host: 127.0.0.1", "Origin: http://127.0.0.1", _CLOSE.strip())
        assert (await _ask(gateway, "GET http://127.0.0.2/healthz HTTP/1.1", *headers)).status == 403


def _addresses(gateway: Running) -> list[tuple[str, set[str]]]:
    """The addresses of the OpenAPI document with example ids, and their methods."""
    paths = gateway.server.app.openapi()["paths"]
    return [(quote(path.replace("{", "x").replace("}", "")), {one.upper() for one in it}) for path, it in paths.items()]


async def test_every_address_knows_its_methods(gateway: Running) -> None:
    """OPTIONS lists them, another method gets 405 with the same list, and both are without a body or a problem."""
    for path, methods in [*_addresses(gateway), ("/", {"GET"}), ("/dashboard/dom.js", {"GET"}), ("/docs", {"GET"})]:
        allowed = methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
        answer = await _ask(gateway, f"OPTIONS {path} HTTP/1.1", _HOST, _CLOSE.strip())
        assert (answer.status, answer.body) == (204, b""), path
        assert set(answer.headers["allow"].split(", ")) == allowed, path
        answer = await _ask(gateway, f"MKCOL {path} HTTP/1.1", _HOST, _CLOSE.strip())
        assert answer.problem()["status"] == 405, path
        assert set(answer.headers["allow"].split(", ")) == allowed, path
    assert (await _ask(gateway, "OPTIONS * HTTP/1.1", _HOST, _CLOSE.strip())).status == 204
    assert (await _ask(gateway, "OPTIONS /nowhere HTTP/1.1", _HOST, _CLOSE.strip())).status == 404


async def test_head_is_get_without_a_body(gateway: Running) -> None:
    """At every address: same status, same headers; and the stream does not stay open."""
    changing = {"date", "transfer-encoding", "etag", "content-length"}
    paths = [path for path, methods in _addresses(gateway) if "GET" in methods]
    for path in [*paths, "/", "/dashboard/dom.js", "/docs", "/openapi.json"]:
        head = await _ask(gateway, f"HEAD {path} HTTP/1.1", _HOST, _CLOSE.strip())
        assert head.body == b"", path
        async with gateway.http.get(gateway.url + path, headers={"Connection": "close"}) as get:
            assert head.status == get.status, path
            names = {name.lower() for name in get.headers} - changing
            assert set(head.headers) - changing == names, path
    assert await gateway.http.head(f"{gateway.url}/healthz")


async def test_a_page_of_a_listed_origin_may_ask_before_it_sends(start: Start) -> None:
    """A preflight of CORS names what the page may send; one of another origin is refused."""
    async with start(origins=("https://news.example",), wait=False) as gateway:
        asked = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization")
        answer = await _ask(
            gateway, "OPTIONS /v1/articles HTTP/1.1", _HOST, "Origin: https://news.example", *asked, _CLOSE.strip()
        )
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == "https://news.example"
        assert "authorization" in answer.headers["access-control-allow-headers"].lower()
        other = await _ask(
            gateway, "OPTIONS /v1/articles HTTP/1.1", _HOST, "Origin: https://evil.example", *asked, _CLOSE.strip()
        )
        assert other.status in {400, 403}
        assert "access-control-allow-origin" not in other.headers
