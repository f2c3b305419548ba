"""Paging of long results: links to the next and the previous page (RFC 8288)."""

from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Query, Request

_MAX_OFFSET = 100_000
Limit = Annotated[int, Query(ge=1, le=1_000, description="Maximum number of results.")]
Offset = Annotated[int, Query(ge=0, le=_MAX_OFFSET, description="Number of results to skip.")]

HEADERS: Final[dict[str, Any]] = {
    "Link": {
        "description": "The next and previous page, `next` and `prev`, relative to this address.",
        "schema": {"type": "string"},
    }
}


def links(request: Request, *, offset: int, limit: int, size: int) -> dict[str, str]:
    """The header ``Link`` for a page of ``size`` results; none when there is no other page."""
    found = []
    # Only the query, because a proxy may serve the gateway under a path prefix.
    if size > offset + limit <= _MAX_OFFSET:
        found.append(f'<{_query(request, offset + limit, limit)}>; rel="next"')
    if offset:
        found.append(f'<{_query(request, max(0, offset - limit), limit)}>; rel="prev"')
    return {"Link": ", ".join(found)} if found else {}


def _query(request: Request, offset: int, limit: int) -> str:
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in {"offset", "limit"}]
    return "?" + urlencode([*kept, ("limit", limit), ("offset", offset)])
