"""Caching of responses: ``Cache-Control`` (RFC 9111), ``ETag`` and ``If-None-Match`` (RFC 9110)."""

from hashlib import blake2b
from typing import Any, Final

from fastapi import Request
from fastapi.responses import Response

from api.access.auth import Keys

#: Seconds for which numbers of a window may be cached: the longer the window, the more slowly they change.
SECONDS: Final = {"15m": 1, "1h": 2, "24h": 5, "7d": 10, "all": 10}
#: Stories and trends: new ones should be seen soon.
SOON: Final = 2
#: May be cached, but has to be revalidated each time.
REVALIDATE: Final = 0

NOT_MODIFIED: Final[dict[int | str, dict[str, Any]]] = {
    304: {"description": "Unchanged: `If-None-Match` has its `ETag`."}
}
HEADERS: Final[dict[str, Any]] = {
    "ETag": {"description": "Changes with the content.", "schema": {"type": "string"}},
    "Cache-Control": {"description": "How long it may be cached.", "schema": {"type": "string"}},
}


def answer(
    request: Request, body: bytes, *, seconds: int | None, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """JSON that may be cached for ``seconds``, or 304 when the client already has it.

    ``seconds`` None: it may not be cached. With keys, only the client itself may cache it.
    """
    sent = dict(headers or {})
    keys: Keys = request.app.state.gateway.keys
    if keys.required:
        sent["Vary"] = "Authorization, X-API-Key"
    if seconds is None:
        return Response(body, status, {"Cache-Control": "no-store"} | sent, media_type="application/json")
    sent["ETag"] = tag = f'W/"{blake2b(body, digest_size=12).hexdigest()}"'
    age = f"max-age={seconds}" if seconds else "no-cache"
    sent["Cache-Control"] = f"{'private' if keys.required else 'public'}, {age}"
    if status == 200 and _contains(request.headers.getlist("if-none-match"), tag):
        return Response(status_code=304, headers=sent)
    return Response(body, status, sent, media_type="application/json")


def _contains(given: list[str], tag: str) -> bool:
    # Weak comparison: it makes no difference whether the client's tag is strong.
    wanted = tag.removeprefix("W/")
    tags = [one.strip().removeprefix("W/") for line in given for one in line.split(",")]
    return wanted in tags or tags == ["*"]
