"""Errors as problem documents (RFC 9457): the form of every answer of the gateway that is not a success."""

from collections.abc import Callable, Collection, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException

from services import problems
from services.events import Problem

RETRY_AFTER = {"Retry-After": "2"}
STORE_UNAVAILABLE = "the store of aggregates and stories cannot be reached; the stream continues"

_Dependency = Callable[[Request], Coroutine[None, None, None]]


class ProblemError(Exception):
    """Ends a request with a problem document. ``extra`` are members in addition to the standard ones."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
        **extra: str,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.headers = headers
        self.extra = extra


def response(error: ProblemError) -> JSONResponse:
    """The answer that reports the error."""
    return problems.response(problems.problem(error.status, error.detail, error.field), error.headers, **error.extra)


def documented(*statuses: int, **members: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """These statuses as problem documents, for the ``responses`` of a route in OpenAPI.

    ``members`` are the schemas of additional members that they always have.
    """
    schema: dict[str, Any] = {"$ref": "#/components/schemas/Problem"}
    if members:
        schema = {"allOf": [schema, {"type": "object", "properties": members, "required": sorted(members)}]}
    found: dict[int | str, dict[str, Any]] = {
        status: {"description": HTTPStatus(status).phrase, "content": {problems.MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }
    if 503 in found:
        found[503]["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return found


def only(*single: str, repeatable: Collection[str] = ()) -> _Dependency:
    """Dependency of a route with these query parameters. Raises ``ProblemError`` for others and for repetitions."""
    known = (*single, *repeatable)

    async def check(request: Request) -> None:
        names = [name for name, _ in request.query_params.multi_items()]
        for name in names:
            if name not in known:
                which = f"known are {', '.join(known)}" if known else "there are none here"
                raise ProblemError(422, f"unknown parameter {name[:60]!r}; {which}", field=name[:60])
            if name not in repeatable and names.count(name) > 1:
                raise ProblemError(422, f"{name} is given twice", field=name)

    return check


def install(app: FastAPI) -> None:
    """Turn every error into a problem document, and describe that in OpenAPI."""

    @app.exception_handler(ProblemError)
    async def _problem(_: Request, error: ProblemError) -> JSONResponse:
        return response(error)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        detail = error.detail
        if error.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
            detail = "there is nothing at this address"
        return response(ProblemError(error.status_code, detail, headers=error.headers))

    @app.exception_handler(RequestValidationError)
    async def _validation(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = str(first["loc"][-1])
        return response(ProblemError(422, f"{field}: {first['msg']}", field=field))

    @app.exception_handler(RedisError)
    async def _store(_: Request, __: RedisError) -> JSONResponse:
        return response(ProblemError(503, STORE_UNAVAILABLE, headers=RETRY_AFTER))

    @app.exception_handler(Exception)
    async def _bug(_: Request, __: Exception) -> JSONResponse:
        return response(ProblemError(500, problems.INTERNAL_ERROR))

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            schemas = schema.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = Problem.model_json_schema()
            # FastAPI describes its own form of validation errors, which the gateway never sends.
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            for path in schema["paths"].values():
                for operation in path.values():
                    if "422" in operation["responses"]:
                        operation["responses"]["422"] = documented(422)[422]
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
