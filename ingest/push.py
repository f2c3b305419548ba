"""The HTTP API of ingest: ``POST /v1/articles``, health and metrics.

It has no API keys: the gateway has, and forwards pushes with the token of ingest.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ingest.access import Access, NotAdmitted, OwnHosts
from ingest.budget import BodyBudget, Claim, Exhausted
from ingest.long_push import SMALL_BYTES, LineReader, LongPush, prepare
from ingest.producer import REFUSED, Intake, PreparedRecord, Unavailable
from ingest.refusal import CLOSE, LATER, MAYBE_ACCEPTED, NOTHING_ACCEPTED, Refusal, refuse, refuse_all
from ingest.results import Results, ResultsResponse
from services import problems, request_body
from services.blocking import run_in_thread
from services.decompression import Corrupt, Oversized, decompressor
from services.events import Accepted, ArticleIn, Problem, PushResult, Rejected
from services.parsing import InvalidArticle, MalformedBody, TooMany, articles
from services.settings import Settings

REQUESTS = Counter("khabar_ingest_requests_total", "Pushes by response status", ["status"])
SECONDS = Histogram("khabar_ingest_request_seconds", "Seconds from the first byte of a push to its response")

_JSON = "application/json"
_NDJSON = "application/x-ndjson"
_ENCODINGS = ("gzip", "zstd")
# All bodies may take this many times the size limit of one body; further requests get a 503.
_BODIES = 8
# Further connections get a 503.
CONNECTIONS = 1_000
# The results of all long pushes: one of them has room for 1.2 million articles.
_RESULT_BYTES = 128_000_000


@dataclass(frozen=True)
class _Pushed:
    """The articles of a body: ready to be written or rejected, each with its index. ``size``: of the plain body."""

    prepared: list[tuple[int, PreparedRecord]]
    rejected: list[tuple[int, InvalidArticle]]
    size: int


class _Pushes:
    """What all pushes share: limits, the budget for bodies, and the turn to read one.

    Bodies are unpacked, parsed and checked in a thread, one at a time: each takes many times its size for a moment.
    """

    def __init__(self, settings: Settings, intake: Intake) -> None:
        self.settings = settings
        self.intake = intake
        self.access = Access(settings)
        self.budget = BodyBudget(settings.max_body_bytes * _BODIES, CONNECTIONS)
        self.results = BodyBudget(_RESULT_BYTES, CONNECTIONS)
        self.turn = asyncio.Lock()


def create_app(settings: Settings, intake: Intake) -> FastAPI:
    """The application that writes pushed articles to ``intake``, within the limits of ``settings``."""
    app = FastAPI(title="Khabar ingest", docs_url=None, redoc_url=None)
    pushes = _Pushes(settings, intake)

    app.add_middleware(OwnHosts, access=pushes.access)

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
                answer = await _push(request, pushes)
            except Refusal as refusal:
                REQUESTS.labels(refusal.problem.status).inc()
                raise
            except ClientDisconnect:
                REQUESTS.labels("gone").inc()
                return Response(status_code=400)  # the client has disconnected and will not read it
            REQUESTS.labels(202).inc()
            return answer

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
            refuse(503, f"not ready: {error}", headers=LATER)
        return {"status": "ready"}

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return app


async def _push(request: Request, pushes: _Pushes) -> Response:
    try:
        pushes.access.check_token(request)
    except NotAdmitted as refused:
        refuse(refused.status, str(refused), headers={**CLOSE, **(refused.headers or {})})
    kind, encoding = _content_type(request), _content_encoding(request)
    try:
        with pushes.budget.request(pushes.access.client(request)) as claim:
            if kind == _NDJSON:
                return await _accept_lines(request, pushes, claim, encoding)
            result = await _accept(request, pushes, claim, encoding)
            return Response(result.encode(), status_code=202, media_type=_JSON)
    except Exhausted as error:
        refuse(error.status, f"{NOTHING_ACCEPTED}: {error}", headers={**CLOSE, "Retry-After": "1"})


async def _accept_lines(request: Request, pushes: _Pushes, claim: Claim, encoding: str) -> Response:
    """Read, check and write articles while they arrive, one a line. Raises ``Refusal`` or ``Exhausted``."""
    settings, sources = pushes.settings, pushes.access.sources(request)
    reader = LineReader(
        encoding,
        pushes.intake,
        lambda article: _not_of(sources, article.source),
        most=settings.max_articles,
        longest=settings.max_body_bytes,
    )
    results = Results(pushes.results, pushes.access.client(request))
    try:
        push = LongPush(reader, results, claim, pushes.intake, pushes.turn, encoding=encoding)
        await push.accept(request)
        if not results.accepted:
            if push.first_rejected is None:
                refuse(422, "the request holds no article")
            refuse_all(*push.first_rejected, count=results.rejected)
    except BaseException:
        results.close()
        raise
    return ResultsResponse(results, status_code=202, media_type=_JSON)


async def _accept(request: Request, pushes: _Pushes, claim: Claim, encoding: str) -> PushResult:
    """Read, check and write the articles of a JSON document. Raises ``Refusal`` or ``Exhausted``."""
    body = await _body(request, pushes.settings.max_body_bytes, claim)
    small = encoding == "identity" and len(body) <= SMALL_BYTES
    async with pushes.turn:
        sources = pushes.access.sources(request)
        work = partial(_result, body, pushes.settings, pushes.intake, encoding=encoding, sources=sources)
        pushed = work() if small else await run_in_thread(work, name="push")
    del body, work
    if isinstance(pushed, Refusal):
        raise pushed
    claim.hold(pushed.size)
    rejected = pushed.rejected
    if not pushed.prepared:
        REFUSED.labels("push").inc(len(rejected))
        refuse_all(*rejected[0], count=len(rejected))
    try:
        refused = await pushes.intake.write([prepared for _, prepared in pushed.prepared], way="push")
    except asyncio.CancelledError:
        # A request is cancelled only when the service stops.
        refuse(503, f"{MAYBE_ACCEPTED}: the service stopped before Kafka acknowledged", headers=LATER)
    except Unavailable as error:
        refuse(503, f"{MAYBE_ACCEPTED if error.sent else NOTHING_ACCEPTED}: {error}", headers=LATER)
    accepted = [one for place, one in enumerate(pushed.prepared) if place not in refused]
    rejected = sorted(
        rejected + [(pushed.prepared[place][0], InvalidArticle(cause, "text")) for place, cause in refused.items()],
        key=lambda one: one[0],
    )
    REFUSED.labels("push").inc(len(rejected))
    if not accepted:
        refuse_all(*rejected[0], count=len(rejected))
    return PushResult(
        accepted=[Accepted(index=index, id=prepared.id) for index, prepared in accepted],
        rejected=[Rejected(index=index, error=str(invalid)) for index, invalid in rejected],
    )


def _not_of(sources: Collection[str] | None, source: str | None) -> InvalidArticle | None:
    """Why this client, who may push articles of ``sources`` (None: of any), may not push one of ``source``."""
    if sources is None or source in sources:
        return None
    cause = f"this API key may push articles of {', '.join(sorted(sources))} only, not of {source or 'no source'}"
    return InvalidArticle(cause, "source", forbidden=True)


def _result(
    body: bytes, settings: Settings, intake: Intake, *, encoding: str, sources: Collection[str] | None
) -> "_Pushed | Refusal":
    """As ``_read``, but return the refusal, without the frames and errors through which it keeps the body in memory."""
    try:
        return _read(body, settings, intake, encoding=encoding, sources=sources)
    except Refusal as refusal:
        refusal.__context__ = refusal.__cause__ = None
        return refusal.with_traceback(None)


def _read(
    body: bytes, settings: Settings, intake: Intake, *, encoding: str, sources: Collection[str] | None
) -> _Pushed:
    """Unpack, parse and check a body, one article after the other; ``sources``: None or those that are allowed.

    Raises ``Refusal``.
    """
    try:
        unpacking = decompressor(encoding, settings.max_body_bytes)
        body = unpacking.feed(body)
        unpacking.finish()
    except Oversized:
        _too_large(settings.max_body_bytes)
    except Corrupt as error:
        refuse(400, str(error))
    pushed = _Pushed([], [], len(body))
    try:
        found = articles(body, most=settings.max_articles)
        if not len(found):
            refuse(422, "the request holds no article")
        for index, article in found:
            record = prepare(article, intake, lambda one: _not_of(sources, one.source))
            if isinstance(record, InvalidArticle):
                pushed.rejected.append((index, record))
            else:
                pushed.prepared.append((index, record))
    except MalformedBody as error:
        refuse(400, str(error))
    except TooMany as error:
        refuse(413, str(error))
    return pushed


def _content_type(request: Request) -> str:
    """The content type, ``application/json`` or ``application/x-ndjson`` in UTF-8; any other is refused."""
    kind, *parameters = request.headers.get("content-type", "").lower().split(";")
    charset = next((p.split("=", 1)[1].strip(' "') for p in parameters if p.strip().startswith("charset=")), "utf-8")
    if kind.strip() not in {_JSON, _NDJSON} or charset not in {"utf-8", "utf8", "us-ascii"}:
        detail = f"send {_JSON} or {_NDJSON} in UTF-8"
        refuse(415, detail, field="Content-Type", headers={"Accept": f"{_JSON}, {_NDJSON}"})
    return kind.strip()


def _content_encoding(request: Request) -> str:
    """The content encoding, ``identity``, ``gzip`` or ``zstd``; any other is refused."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower().removeprefix("x-")
    if encoding not in {"identity", *_ENCODINGS}:
        detail = f"{encoding} is not understood; send {' or '.join(_ENCODINGS)} or no encoding"
        refuse(415, detail, field="Content-Encoding", headers={"Accept-Encoding": ", ".join(_ENCODINGS)})
    return encoding


async def _body(request: Request, limit: int, claim: Claim) -> bytes:
    """The whole body as it was sent. More than ``limit`` bytes are refused while reading."""
    if int(request.headers.get("content-length", 0)) > limit:
        _too_large(limit)
    body = bytearray()

    def take(chunk: bytes) -> None:
        if len(body) + len(chunk) > limit:
            _too_large(limit)
        claim.hold(len(body) + len(chunk))
        body.extend(chunk)

    try:
        await request_body.receive(request.stream(), take)
    except request_body.TooSlow as error:
        refuse(408, str(error), headers=CLOSE)
    return bytes(body)


def _too_large(limit: int) -> NoReturn:
    refuse(413, f"a body may have {limit} bytes, decompressed too", headers=CLOSE)


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
        "403": {"description": "the client may not push articles of this source", **_PROBLEM},
        "401": {"description": "the token of this service is missing or wrong", **_PROBLEM},
        "400": {"description": "not JSON, not UTF-8, not as Content-Encoding says", **_PROBLEM},
        "408": {"description": "the body arrived too slowly", **_PROBLEM},
        "413": {"description": "too large, or too many articles or values", **_PROBLEM},
        "415": {"description": "another content type or encoding", **_PROBLEM},
        "422": {"description": "no article is valid; field names the first invalid field", **_PROBLEM},
        "421": {"description": "addressed to a host that is not served", **_PROBLEM},
        "429": {"description": "too many large requests of one client; retry later", **_PROBLEM},
        "503": {
            "description": "Kafka is unavailable; detail says whether some may have been accepted; retry later",
            **_PROBLEM,
        },
    },
}
