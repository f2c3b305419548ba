"""The HTTP API of ingest: ``POST /v1/articles``, health and metrics.

It has no authentication: the gateway does that, and only the gateway and trusted clients can reach this service.
"""

import asyncio
from typing import Any, NoReturn

from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ingest.gzipped import Corrupt, Gunzip, Oversized
from ingest.producer import REFUSED, Intake, PreparedRecord, TooLarge, Unavailable
from services import problems
from services.events import Accepted, ArticleIn, Problem, PushResult, Rejected
from services.parsing import Articles, InvalidArticle, MalformedBody, articles
from services.settings import Settings

REQUESTS = Counter("khabar_ingest_requests_total", "Pushes by response status", ["status"])
SECONDS = Histogram("khabar_ingest_request_seconds", "Seconds from the first byte of a push to its response")

_JSON = "application/json"
_NDJSON = "application/x-ndjson"
# The maximum time to read a body.
_READ_SECONDS = 60.0
# All bodies being read may take this many times the size limit of one body; further requests get a 503.
_BODIES = 8
# In the detail of a 503: whether articles may have been accepted.
_NOTHING_ACCEPTED = "nothing was accepted"
_MAYBE_ACCEPTED = "some or all may still have been accepted; sending all of them again is safe"


class Refusal(Exception):
    """The request is refused: the response is this problem document."""

    def __init__(self, problem: Problem, headers: dict[str, str] | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.headers = headers or {}


class MemoryBudget:
    """The memory, in bytes, that is left for all bodies being read."""

    def __init__(self, limit: int) -> None:
        self.left = limit


def create_app(settings: Settings, intake: Intake) -> FastAPI:
    """The application that writes pushed articles to ``intake``, within the limits of ``settings``."""
    app = FastAPI(title="Khabar ingest", docs_url=None, redoc_url=None)
    budget = MemoryBudget(settings.max_body_bytes * _BODIES)

    @app.exception_handler(Refusal)
    async def _refused(_: Request, refusal: Refusal) -> Response:
        return problems.response(refusal.problem, refusal.headers)

    @app.exception_handler(HTTPException)
    async def _http_error(_: Request, error: HTTPException) -> Response:
        return problems.response(problems.problem(error.status_code, error.detail), error.headers)

    @app.exception_handler(Exception)
    async def _unexpected(_: Request, __: Exception) -> Response:
        return problems.response(problems.problem(500, problems.INTERNAL_ERROR))

    @app.post("/v1/articles", status_code=202, response_model=PushResult, openapi_extra=_OPENAPI)
    async def push(request: Request) -> Response:
        """Accept articles: one JSON object, an array, or one object a line (NDJSON)."""
        with SECONDS.time():
            try:
                result = await _push(request, settings, intake, budget)
            except Refusal as refusal:
                REQUESTS.labels(refusal.problem.status).inc()
                raise
            except ClientDisconnect:
                REQUESTS.labels("gone").inc()
                return Response(status_code=400)  # the client has disconnected and will not read it
            REQUESTS.labels(202).inc()
            return Response(result.encode(), status_code=202, media_type=_JSON)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        """Kafka responds, so that a push would be accepted."""
        try:
            await intake.check()
        except Unavailable as error:
            _refuse(503, f"not ready: {error}", headers={"Retry-After": "5"})
        return {"status": "ready"}

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return app


async def _push(request: Request, settings: Settings, intake: Intake, budget: MemoryBudget) -> PushResult:
    kind = _content_type(request)
    body = await _body(request, settings.max_body_bytes, budget)
    pushed = _articles(body, kind, settings.max_articles)
    accepted: list[tuple[int, PreparedRecord]] = []
    rejected: list[tuple[int, InvalidArticle]] = []
    for index, article in pushed:
        if isinstance(article, InvalidArticle):
            rejected.append((index, article))
            continue
        try:
            accepted.append((index, intake.prepare(article)))
        except TooLarge as error:
            rejected.append((index, InvalidArticle(error.cause, error.field)))
        if index % 50 == 49:
            await asyncio.sleep(0)  # so that a push of a thousand articles does not block other requests
    REFUSED.labels("push").inc(len(rejected))
    if not accepted:
        _refuse_all(len(pushed), *rejected[0])
    try:
        await intake.write([prepared for _, prepared in accepted], way="push")
    except asyncio.CancelledError:
        # A request is cancelled only when the service stops.
        _refuse(503, f"{_MAYBE_ACCEPTED}: the service stopped before Kafka acknowledged", headers={"Retry-After": "5"})
    except Unavailable as error:
        _refuse(503, f"{_MAYBE_ACCEPTED if error.sent else _NOTHING_ACCEPTED}: {error}", headers={"Retry-After": "5"})
    return PushResult(
        accepted=[Accepted(index=index, id=prepared.id) for index, prepared in accepted],
        rejected=[Rejected(index=index, error=str(invalid)) for index, invalid in rejected],
    )


def _content_type(request: Request) -> str:
    """The content type, ``application/json`` or ``application/x-ndjson`` in UTF-8; any other is refused."""
    kind, *parameters = request.headers.get("content-type", "").lower().split(";")
    charset = next((p.split("=", 1)[1].strip(' "') for p in parameters if p.strip().startswith("charset=")), "utf-8")
    if kind.strip() not in {_JSON, _NDJSON} or charset not in {"utf-8", "utf8", "us-ascii"}:
        detail = f"send {_JSON} or {_NDJSON} in UTF-8"
        _refuse(415, detail, field="Content-Type", headers={"Accept": f"{_JSON}, {_NDJSON}"})
    return kind.strip()


async def _body(request: Request, limit: int, budget: MemoryBudget) -> bytes:
    """The whole body, decompressed. More than ``limit`` bytes are refused while reading."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", "x-gzip"}:
        detail = f"{encoding} is not understood; send gzip or no encoding"
        _refuse(415, detail, field="Content-Encoding", headers={"Accept-Encoding": "gzip"})
    if int(request.headers.get("content-length", 0)) > limit:
        _too_large(limit)
    gunzip = None if encoding == "identity" else Gunzip(limit)
    chunks: list[bytes] = []
    size = received = 0
    try:
        async with asyncio.timeout(_READ_SECONDS):
            async for chunk in request.stream():
                received += len(chunk)
                plain = gunzip.feed(chunk) if gunzip else chunk
                size += len(plain)
                budget.left -= len(plain)
                if size > limit or received > limit:
                    _too_large(limit)
                if budget.left < 0:
                    detail = f"{_NOTHING_ACCEPTED}: too many large requests at one time"
                    _refuse(503, detail, headers={"Retry-After": "1"})
                chunks.append(plain)
        if gunzip:
            gunzip.finish()
    except Oversized:
        _too_large(limit)
    except Corrupt as error:
        _refuse(400, str(error))
    except TimeoutError:
        _refuse(408, f"the body did not arrive within {_READ_SECONDS:.0f} s")
    finally:
        budget.left += size
    return b"".join(chunks)


def _articles(body: bytes, kind: str, limit: int) -> Articles:
    """The articles of a body. Refuses a body that is not JSON, or that has none or more than ``limit``."""
    try:
        found = articles(body, lines=kind == _NDJSON)
    except MalformedBody as error:
        _refuse(400, str(error))
    if len(found) > limit:
        _refuse(413, f"{len(found)} articles in one request, at most {limit} are allowed")
    if not len(found):
        _refuse(422, "the request holds no article")
    return found


def _refuse_all(count: int, index: int, invalid: InvalidArticle) -> NoReturn:
    """Refuse a request in which all articles are invalid; ``index`` and ``invalid``: the first of them."""
    of = f" (none of {count} articles is acceptable)" if count > 1 else ""
    _refuse(400 if invalid.malformed else 422, f"index {index}: {invalid}{of}", field=invalid.field)


def _too_large(limit: int) -> NoReturn:
    _refuse(413, f"a body may have {limit} bytes, decompressed too")


def _refuse(status: int, detail: str, *, field: str | None = None, headers: dict[str, str] | None = None) -> NoReturn:
    raise Refusal(problems.problem(status, detail, field), headers)


_PROBLEM = {"content": {problems.MEDIA_TYPE: {"schema": Problem.model_json_schema()}}}
_ONE: dict[str, Any] = ArticleIn.model_json_schema()
_OPENAPI: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            _JSON: {"schema": {"anyOf": [_ONE, {"type": "array", "items": _ONE, "minItems": 1}]}},
            _NDJSON: {"schema": {"type": "string", "description": "one article per line"}},
        },
    },
    "responses": {
        "400": {"description": "not JSON, not UTF-8, not gzip", **_PROBLEM},
        "408": {"description": "the body arrived too slowly", **_PROBLEM},
        "413": {"description": "too large, or too many articles", **_PROBLEM},
        "415": {"description": "another content type or encoding", **_PROBLEM},
        "422": {"description": "no article is valid; field names the first invalid field", **_PROBLEM},
        "503": {
            "description": "Kafka is unavailable; detail says whether some may have been accepted; retry later",
            **_PROBLEM,
        },
    },
}
