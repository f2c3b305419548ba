"""A feed server in a separate process; each number in a path is another feed.

=================== ==================================================================
``/etag/N``         never changes; a request with its ETag gets a 304
``/same/N``         never changes, and has no ETag
``/changing/N``     has one new item in each answer
=================== ==================================================================
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import click
import uvloop

from benchmarks.ingest.documents import KINDS
from benchmarks.receivers import Child, prepare, report

_KIND = "RSS, content:encoded"
_ETAG = b'"unchanged"'
# New items of a feed, until the first one comes again.
_TURNS = 200


class _Site(asyncio.Protocol):
    """One connection."""

    def __init__(self, unchanged: bytes, changing: list[bytes], counts: "Counter[str]") -> None:
        self._unchanged = unchanged
        self._changing = changing
        self._counts = counts
        self._rest = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As ``asyncio.Protocol``."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """As ``asyncio.Protocol``."""
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for request in requests:
            path = request.split(b" ", 2)[1].decode()
            self._counts[path] += 1
            if self._transport is not None:
                self._transport.write(self._answer(path, request))

    def _answer(self, path: str, request: bytes) -> bytes:
        tag = b"ETag: " + _ETAG + b"\r\n" if path.startswith("/etag/") else b""
        if tag and _ETAG in request:
            return b"HTTP/1.1 304 Not Modified\r\n" + tag + b"\r\n"
        if path.startswith("/changing/"):
            body = self._changing[self._counts[path] % len(self._changing)]
        elif path.startswith(("/etag/", "/same/")):
            body = self._unchanged
        else:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/rss+xml\r\n%bContent-Length: %d\r\n\r\n"
        return head % (tag, len(body)) + body


async def _serve(items: int) -> None:
    feed = KINDS[_KIND](items + _TURNS)
    counts: Counter[str] = Counter()
    unchanged = feed.document(count=items)
    changing = [feed.document(first=_TURNS - turn, count=items) for turn in range(_TURNS)]
    server = await asyncio.get_running_loop().create_server(
        lambda: _Site(unchanged, changing, counts), "127.0.0.1", 0, backlog=4_096
    )
    report(port=server.sockets[0].getsockname()[1], size=len(unchanged))
    while await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
        report(requests=counts.total())


@click.command(hidden=True)
@click.argument("items", type=int)
def serve(items: int) -> None:
    """Serve feeds of so many items until stdin ends; each line of it is answered with the number of requests."""
    prepare()
    uvloop.run(_serve(items))


class Site:
    """A running feed server. ``url``: its address; ``size``: bytes of a document."""

    def __init__(self, child: Child) -> None:
        self._child = child
        started = child.read()
        self.url = f"http://127.0.0.1:{started['port']}"
        self.size = int(started["size"])

    def requests(self) -> int:
        """The number of requests so far."""
        return int(self._child.ask("count")["requests"])


@contextmanager
def site(items: int) -> Iterator[Site]:
    """Start one, with this number of items in each feed."""
    with Child.of("ingest", "serve", items) as child:
        yield Site(child)
