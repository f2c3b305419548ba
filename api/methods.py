"""HTTP methods as RFC 9110 has them: HEAD wherever there is GET, OPTIONS, and ``Allow`` with all methods of an address.

FastAPI does none of this: a route knows only its own methods, and the second route of an address is not asked.
"""

from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class MethodsMiddleware:
    """Answers HEAD and OPTIONS from the routes of ``routed``, and completes ``Allow`` in 405."""

    def __init__(self, app: ASGIApp, routed: FastAPI) -> None:
        self._inner = app
        self._routed = routed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" and (allow := self._allow(scope)):
            await Response(status_code=HTTPStatus.NO_CONTENT, headers={"Allow": allow})(scope, receive, send)
            return
        head = scope["method"] == "HEAD"
        ended = False

        async def answer(message: MutableMapping[str, Any]) -> None:
            nonlocal ended
            if ended:
                return
            if message["type"] == "http.response.start" and message["status"] == HTTPStatus.METHOD_NOT_ALLOWED:
                MutableHeaders(scope=message)["Allow"] = self._allow(scope)
            await send(message)
            if head:
                # A stream would not end by itself; now it sees a client that has disconnected.
                ended = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        # A copy, because routing changes it.
        await self._inner({**scope, "method": "GET" if head else scope["method"]}, receive, answer)

    def _allow(self, scope: Scope) -> str:
        """The methods of the address; empty when there is nothing at it."""
        # An address with routes is no value of another one's parameter: /v1/feeds/check is no feed.
        listed = self._routed.openapi()["paths"].get(scope["path"], {})
        found = [
            method
            for method in _METHODS
            if (not listed or method.lower() in listed)
            and any(
                route.matches({**scope, "method": method})[0] is Match.FULL
                # Only files are mounted.
                and (method == "GET" or not isinstance(route, Mount))
                for route in self._routed.routes
            )
        ]
        if "GET" in found:
            found.insert(1, "HEAD")
        return ", ".join([*found, "OPTIONS"]) if found else ""
