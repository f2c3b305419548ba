"""Pages of a long answer: where the next one and the one before it are (RFC 8288)."""

from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Query, Request

_FARTHEST = 100_000
Limit = Annotated[int, Query(ge=1, le=1_000, description="How many at most.")]
Offset = Annotated[int, Query(ge=0, le=_FARTHEST, description="How many of the first are left out.")]

HEADERS: Final[dict[str, Any]] = {
    "Link": {
        "description": "The pages beside this one, `next` and `prev`, relative to this address.",
        "schema": {"type": "string"},
    }
}


def links(request: Request, *, offset: int, limit: int, size: int) -> dict[str, str]:
    """The header ``Link`` for a page of something that has ``size`` items, where there is another page."""
    found = []
    # Only the query: whatever stands before the path on the way to the client stays as it is.
    if size > offset + limit <= _FARTHEST:
        found.append(f'<{_query(request, offset + limit, limit)}>; rel="next"')
    if offset:
        found.append(f'<{_query(request, max(0, offset - limit), limit)}>; rel="prev"')
    return {"Link": ", ".join(found)} if found else {}


def _query(request: Request, offset: int, limit: int) -> str:
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in {"offset", "limit"}]
    return "?" + urlencode([*kept, ("limit", limit), ("offset", offset)])
