"""A web server that sends whatever bytes a test wants, and breaks off, stalls or redirects when it wants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Headers = dict[str, str]


@dataclass(frozen=True)
class Request:
    """A request: its path with the query, and its headers with names in lower case."""

    path: str
    headers: Headers


Answer = bytes | Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Misbehaving:
    """The server. ``answers``: by path without the query; ``requests``: in order; ``most``: at the same time."""

    host: str
    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    now: int = 0
    most: int = 0
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str, login: str = "") -> str:
        """The URL of a path."""
        return f"http://{login}{self.host}:{self.port}{path}"

    def serve(self, path: str, body: bytes = b"", status: int = 200, length: int | None = None, **headers: str) -> str:
        """Serve this body. ``length``: what ``Content-Length`` says instead of the truth. Returns the URL."""
        head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body) if length is None else length}"]
        head += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.answers[path] = "\r\n".join([*head, "Connection: close", "", ""]).encode("utf-8", "surrogateescape") + body
        return self.url(path)

    def redirect(self, path: str, target: str, status: int = 302, **headers: str) -> str:
        """Redirect a path. Returns its URL."""
        return self.serve(path, status=status, Location=target, **headers)

    def asked(self, path: str) -> list[Headers]:
        """The headers of the requests for a path."""
        return [request.headers for request in self.requests if request.path.partition("?")[0] == path]

    async def stall(self, _request: Request, _writer: asyncio.StreamWriter) -> None:
        """An answer that never comes."""
        await self.closing.wait()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close the connection."""
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            start = await reader.readexactly(1)
            if start == b"\x16":  # TLS
                writer.write(b"HTTP/1.1 400 X\r\n\r\n")
                return
            first, *lines = (start + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            request = Request(first.split(" ")[1], headers)
            self.requests.append(request)
            answer = self.answers.get(request.path.partition("?")[0], b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n")
            if isinstance(answer, bytes):
                writer.write(answer)
            else:
                await answer(request, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.now -= 1
            writer.close()


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n", **headers: str) -> bytes:
    """A whole response in chunks. ``end``: what comes after them."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n{lines}\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


@asynccontextmanager
async def misbehaving(host: str = "127.0.0.1") -> AsyncIterator[Misbehaving]:
    """A running server on a free port."""
    made = Misbehaving(host)
    server = await asyncio.start_server(made.handle, host, 0, limit=1 << 20)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        try:
            yield made
        finally:
            made.closing.set()
