"""Who may speak to ingest: who has its token; without a token, programs on this machine or in a private network.

``khabar up`` makes a token at each start; separate services have it in ``KHABAR_INGEST_TOKEN``. Without a token, a web
page whose name resolves to this machine (DNS rebinding) could push: only hosts that no other site can have are served.
"""

import hmac
from collections.abc import Collection
from http import HTTPStatus
from urllib.parse import unquote

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.refusal import CLOSE
from services import problems
from services.forwarding import CLIENT_HEADER, SOURCES_HEADER
from services.http_server import is_private_host
from services.settings import Settings


class NotAdmitted(Exception):
    """The request is not served: with this status, and the cause as message."""

    def __init__(self, status: HTTPStatus, cause: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(cause)
        self.status = status
        self.headers = headers


class OwnHosts:
    """Middleware that refuses requests to other hosts. (Not of Starlette's base class, which costs each push much.)"""

    def __init__(self, app: ASGIApp, access: "Access") -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As an ASGI application."""
        app = self._app
        if scope["type"] == "http":
            try:
                self._access.check_host(Request(scope))
            except NotAdmitted as refused:
                app = problems.response(problems.problem(refused.status, str(refused)), CLOSE)
        await app(scope, receive, send)


class Access:
    """Decides by the token and the ``Host`` header."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.ingest_token
        self._hosts: Collection[str] = settings.origin_hosts

    def check_host(self, request: Request) -> None:
        """Return when the host that the request is addressed to may be served. Raises ``NotAdmitted`` 421."""
        host = request.headers.get("host", "")
        if self._token is None and not is_private_host(host, self._hosts):
            cause = (
                f"this service does not serve the host {host[:200]!r}: use an IP address, localhost or a name without "
                "a dot, set KHABAR_INGEST_TOKEN, or list it in KHABAR_ORIGINS"
            )
            raise NotAdmitted(HTTPStatus.MISDIRECTED_REQUEST, cause)

    def check_token(self, request: Request) -> None:
        """Return when the request has the token, if there is one. Raises ``NotAdmitted`` 401."""
        if self._token is None:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token.encode()):
            cause = "this service takes articles with its token only (KHABAR_INGEST_TOKEN); push to the gateway"
            raise NotAdmitted(HTTPStatus.UNAUTHORIZED, cause, {"WWW-Authenticate": 'Bearer realm="khabar ingest"'})

    def client(self, request: Request) -> str:
        """The client on whose behalf the request is: as the gateway says, whom the token proves; else its address."""
        named = request.headers.get(CLIENT_HEADER) if self._token is not None else None
        return named or (request.client.host if request.client else "")

    def sources(self, request: Request) -> frozenset[str] | None:
        """The sources whose articles may be in the request; None: any."""
        named = request.headers.get(SOURCES_HEADER)
        return None if named is None else frozenset(map(unquote, named.split("|")))
