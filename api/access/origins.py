"""Which web pages may use the gateway: its own, and those of ``KHABAR_ORIGINS``.

A browser sends the origin of the page with every WebSocket and with every request that could do harm; a page cannot
change it. Programs send none and are admitted. The gateway's own origin has the host and port that the request was
addressed to.

Without keys that is not enough: a page may resolve its own name to 127.0.0.1 (DNS rebinding). Its requests are then of
the same origin, and browsers send no ``Origin`` with a GET of the same origin. A gateway without keys therefore answers
only requests whose ``Host`` no other site can have: an IP address, ``localhost``, a name without a dot (as in a
container network), a host of ``KHABAR_ORIGINS``, or ``KHABAR_HOST``. Only ``/healthz`` and
the callbacks of WebSub are exempt.
"""

import asyncio
import ipaddress
from collections.abc import Iterable
from contextlib import ExitStack
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from api import problems
from api.access.limits import Addresses, TooMany
from api.problems import ProblemError

_PORTS = {"http": 80, "https": 443}
_SSE = "/v1/events"
# Reveals nothing, and probes use any name.
_ANY_HOST = "/healthz"
# Hubs of WebSub use the public address. What they may do is decided by the callback URL, which nobody can guess.
_CALLBACKS = "/v1/websub/"
# Browsers send the origin also with module scripts, and a proxy may have changed Host. The page's files are public.
_FILES = "/dashboard/"
_REQUEST_HEADERS = ("Authorization", "X-API-Key", "Content-Type", "Content-Encoding", "Last-Event-ID", "If-None-Match")
_RESPONSE_HEADERS = ("ETag", "Link", "Location", "Retry-After", "WWW-Authenticate")
_PREFLIGHT_SECONDS = 600


class Origins:
    """Decides which requests of browsers are served.

    ``any_host``: requests may be addressed to any host, because they need a key. ``hosts``: further names of the
    gateway besides those of the listed origins.
    """

    def __init__(self, listed: Iterable[str], *, any_host: bool, hosts: Iterable[str] = ()) -> None:
        self.listed = frozenset(listed)
        self._any_host = any_host or "*" in self.listed
        self._hosts = {*(host.lower() for host in hosts), *(urlsplit(origin).hostname for origin in self.listed)}

    def check(self, headers: Headers, path: str = "/") -> None:
        """Return when a request with these headers may be served. Raises ``ProblemError`` 403 or 421."""
        if path != _ANY_HOST and not path.startswith(_CALLBACKS):
            self._check_host(headers)
        if path.startswith(_FILES):
            return
        origin = headers.get("origin")
        if origin is None or "*" in self.listed or origin.lower() in self.listed:
            return
        if not self._is_own(origin, headers.get("host", "")):
            detail = f"pages of {origin[:200]!r} may not use this gateway; KHABAR_ORIGINS lists those that may"
            raise ProblemError(403, detail)

    def _check_host(self, headers: Headers) -> None:
        if self._any_host:
            return
        for given in headers.getlist("host"):
            if given and not self._is_safe(_hostname(given)):
                detail = (
                    f"without API keys this gateway does not answer for the host {given[:200]!r}: "
                    "add its origin to KHABAR_ORIGINS, or set KHABAR_API_KEYS"
                )
                raise ProblemError(421, detail, field="Host")

    def _is_own(self, origin: str, host: str) -> bool:
        try:
            page = urlsplit(origin)
            addressed = urlsplit(f"//{host}")
            port = _PORTS[page.scheme]
            same = (page.hostname, page.port or port) == (addressed.hostname, addressed.port or port)
        except (KeyError, ValueError):
            return False
        return same and page.hostname is not None and (self._any_host or self._is_safe(page.hostname))

    def _is_safe(self, host: str | None) -> bool:
        """Whether no other site can have this host: see the module's docstring."""
        if not host:
            return False
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return host in self._hosts or "." not in host
        return True


def _hostname(host: str) -> str | None:
    try:
        found = urlsplit(f"//{host}")
        _ = found.port  # raises when it is not a number
    except ValueError:
        return None
    return None if found.path or found.query or found.fragment or found.username is not None else found.hostname


class AdmissionMiddleware:
    """Checks origin and host of every request and, for streams, the limit of the client's address."""

    def __init__(self, app: ASGIApp, origins: Origins, addresses: Addresses) -> None:
        self._inner = app
        self._origins = origins
        self._addresses = addresses
        self._admitting = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or reject it; a WebSocket before it is accepted."""
        if scope["type"] not in {"http", "websocket"}:
            await self._inner(scope, receive, send)
            return
        try:
            self._origins.check(Headers(scope=scope), scope["path"])
        except ProblemError as error:
            await _reject(problems.response(error), scope, receive, send)
            return
        if scope["type"] == "http" and scope["path"] != _SSE:
            await self._inner(scope, receive, send)
            return
        # One new stream per iteration of the loop: a thousand that arrive at once do not block other tasks.
        async with self._admitting:
            await asyncio.sleep(0)
        client = scope.get("client")
        with ExitStack() as held:
            try:
                held.enter_context(self._addresses.connection(client[0] if client else None))
            except TooMany as error:
                await _reject(problems.response(error.as_problem()), scope, receive, send)
                return
            await self._inner(scope, receive, send)


async def _reject(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)


def install(app: FastAPI, origins: Origins, addresses: Addresses) -> None:
    """Add the admission middleware, and around it the CORS headers that let listed pages read the answers."""
    app.add_middleware(AdmissionMiddleware, origins=origins, addresses=addresses)
    if origins.listed:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(origins.listed),
            allow_methods=("GET", "POST", "PATCH", "DELETE"),
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_RESPONSE_HEADERS,
            max_age=_PREFLIGHT_SECONDS,
        )
