"""The HTTP side of ingest: ``POST /v1/articles``, health and metrics.

Who may push is the gateway's business: this service listens where only the gateway and its like reach it.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, NoReturn

from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ingest.gzipped import Corrupt, Gunzip, Oversized
from ingest.producer import REFUSED, Intake, Sealed, TooLarge, Unavailable
from services import problems
from services.events import Accepted, ArticleIn, Problem, PushResult, Rejected
from services.parsing import InvalidArticle, check, parse
from services.settings import Settings

REQUESTS = Counter("khabar_ingest_requests_total", "Pushes by the status of their answer", ["status"])
SECONDS = Histogram("khabar_ingest_request_seconds", "Time from the first byte of a push to its answer")

_JSON = "application/json"
_NDJSON = "application/x-ndjson"
# A body that takes longer is not coming.
_READ_SECONDS = 60.0
# Bodies being read at one time may take this many times the largest allowed one; more have to come again.
_BODIES = 8
# Of what was answered with 503.
_NOTHING = "nothing was accepted"
_PERHAPS = "some or all may still have been accepted; sending all of them again is safe"


class Refusal(Exception):
    """A request that is answered with a problem instead of a result."""

    def __init__(self, problem: Problem, headers: dict[str, str] | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.headers = headers or {}


class Budget:
    """Memory that all bodies being read share."""

    def __init__(self, limit: int) -> None:
        self.left = limit


def create_app(settings: Settings, intake: Intake) -> FastAPI:
    """The application that pushes to ``intake``, within the limits of ``settings``."""
    app = FastAPI(title="Khabar ingest", docs_url=None, redoc_url=None)
    budget = Budget(settings.max_body_bytes * _BODIES)

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
                return Response(status_code=400)  # nobody is there to read it
            REQUESTS.labels(202).inc()
            return Response(result.encode(), status_code=202, media_type=_JSON)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        """Kafka answers, so that a push would be accepted."""
        try:
            await intake.check()
        except Unavailable as error:
            _refuse(503, f"not ready: {error}", headers={"Retry-After": "5"})
        return {"status": "ready"}

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return app


async def _push(request: Request, settings: Settings, intake: Intake, budget: Budget) -> PushResult:
    kind = _content_type(request)
    body = await _body(request, settings.max_body_bytes, budget)
    count = 0
    accepted: list[tuple[int, Sealed]] = []
    faults: list[tuple[int, InvalidArticle]] = []
    for index, item in enumerate(_items(body, kind, settings.max_articles)):
        count += 1
        checked = check(item)
        if isinstance(checked, InvalidArticle):
            faults.append((index, checked))
            continue
        try:
            accepted.append((index, intake.seal(checked)))
        except TooLarge as error:
            field, _, cause = str(error).partition(": ")
            faults.append((index, InvalidArticle(cause, field)))
        if index % 50 == 49:
            await asyncio.sleep(0)  # a push of a thousand articles lets others have their turn
    REFUSED.labels("push").inc(len(faults))
    if not accepted:
        _refuse_all(count, faults)
    try:
        await intake.write([sealed for _, sealed in accepted], way="push")
    except asyncio.CancelledError:
        # Only the end of the service cancels a request.
        _refuse(503, f"{_PERHAPS}: the service stopped before Kafka acknowledged", headers={"Retry-After": "5"})
    except Unavailable as error:
        _refuse(503, f"{_PERHAPS if error.sent else _NOTHING}: {error}", headers={"Retry-After": "5"})
    return PushResult(
        accepted=[Accepted(index=index, id=sealed.id) for index, sealed in accepted],
        rejected=[Rejected(index=index, error=str(fault)) for index, fault in faults],
    )


def _content_type(request: Request) -> str:
    """``application/json`` or ``application/x-ndjson``, in UTF-8; anything else is refused."""
    kind, *parameters = request.headers.get("content-type", "").lower().split(";")
    charset = next((p.split("=", 1)[1].strip(' "') for p in parameters if p.strip().startswith("charset=")), "utf-8")
    if kind.strip() not in {_JSON, _NDJSON} or charset not in {"utf-8", "utf8", "us-ascii"}:
        detail = f"send {_JSON} or {_NDJSON} in UTF-8"
        _refuse(415, detail, field="Content-Type", headers={"Accept": f"{_JSON}, {_NDJSON}"})
    return kind.strip()


async def _body(request: Request, limit: int, budget: Budget) -> bytes:
    """The whole body, decompressed; never more than ``limit`` bytes of it are held."""
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
                    _refuse(503, f"{_NOTHING}: too many large requests at one time", headers={"Retry-After": "1"})
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


def _items(body: bytes, kind: str, most: int) -> Iterator[object]:
    """The articles of a body as Python objects; a ``InvalidArticle`` for a line that is not JSON.

    Refuses the whole request when a JSON body is not JSON, or there are more than ``most``.
    """
    if kind == _NDJSON:
        lines = [line for line in body.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
        _check_count(len(lines), most)
        for line in lines:
            yield parse(line)
        return
    parsed = parse(body)
    if isinstance(parsed, InvalidArticle):
        _refuse(400, parsed.cause)
    items = parsed if isinstance(parsed, list) else [parsed]
    _check_count(len(items), most)
    yield from items


def _check_count(count: int, most: int) -> None:
    if count > most:
        _refuse(413, f"{count} articles in one request, at most {most} are allowed")
    if count == 0:
        _refuse(422, "the request holds no article")


def _refuse_all(count: int, faults: list[tuple[int, InvalidArticle]]) -> NoReturn:
    index, fault = faults[0]
    of = f" (none of {count} articles is acceptable)" if count > 1 else ""
    _refuse(400 if fault.malformed else 422, f"index {index}: {fault}{of}", field=fault.field)


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
            _NDJSON: {"schema": {"type": "string", "description": "one article a line"}},
        },
    },
    "responses": {
        "400": {"description": "not JSON, not UTF-8, not gzip", **_PROBLEM},
        "408": {"description": "the body came too slowly", **_PROBLEM},
        "413": {"description": "too large, or too many articles", **_PROBLEM},
        "415": {"description": "another content type or encoding", **_PROBLEM},
        "422": {"description": "none is acceptable; field names the first offending one", **_PROBLEM},
        "503": {
            "description": "Kafka cannot take them; detail says whether some may have been accepted; come again",
            **_PROBLEM,
        },
    },
}
