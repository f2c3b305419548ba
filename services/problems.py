"""Errors over HTTP as problem documents (RFC 9457), the same from ingest and from the gateway."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi.responses import JSONResponse

from services.events import Problem

MEDIA_TYPE = "application/problem+json"
INTERNAL_ERROR = "Internal error; see the service log."


def problem(status: int, detail: str, field: str | None = None) -> Problem:
    """A problem without a type (about:blank), whose title then has to be the phrase of its status."""
    return Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, field=field)


def response(found: Problem, headers: Mapping[str, str] | None = None, **extra: object) -> JSONResponse:
    """The answer that reports a problem. ``extra`` are members in addition to the standard ones."""
    body = found.model_dump(exclude_none=True) | extra
    return JSONResponse(body, found.status, headers=headers, media_type=MEDIA_TYPE)
