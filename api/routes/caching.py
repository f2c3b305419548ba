"""How long answers may be kept, and what a client that has one already is told (RFC 9111, RFC 9110)."""

from hashlib import blake2b
from typing import Any, Final

from fastapi import Request
from fastapi.responses import Response

from api.access.auth import Keys

#: For how many seconds what is asked of a window may be kept: the longer the window, the less a minute changes it.
SECONDS: Final = {"15m": 1, "1h": 2, "24h": 5, "7d": 10, "all": 10}
#: Stories and trends: what is new is worth seeing soon.
SOON: Final = 2
#: May be kept, and is asked for again each time.
ASK_AGAIN: Final = 0

NOT_MODIFIED: Final[dict[int | str, dict[str, Any]]] = {304: {"description": "As it was: `If-None-Match` names it."}}
HEADERS: Final[dict[str, Any]] = {
    "ETag": {"description": "Changes with the content.", "schema": {"type": "string"}},
    "Cache-Control": {"description": "How long it may be kept.", "schema": {"type": "string"}},
}


def answer(
    request: Request, body: bytes, *, seconds: int | None, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """JSON that may be kept for so many seconds, or 304 when the client names it as what it has.

    ``seconds`` None: nobody may keep it. Where keys are needed, only who asked may keep it.
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
    if status == 200 and _names(request.headers.getlist("if-none-match"), tag):
        return Response(status_code=304, headers=sent)
    return Response(body, status, sent, media_type="application/json")


def _names(given: list[str], tag: str) -> bool:
    # Compared weakly: whether a client calls its tag strong makes no difference.
    wanted = tag.removeprefix("W/")
    tags = [one.strip().removeprefix("W/") for line in given for one in line.split(",")]
    return wanted in tags or tags == ["*"]
