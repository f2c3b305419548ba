"""Liveness, readiness and metrics; none of them needs a key."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import aiohttp
import structlog
from aiokafka.errors import KafkaError
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import AwareDatetime, BaseModel, Field
from pydantic_core import from_json
from redis import RedisError

from api.access.auth import Forbidden, Unauthorized, header_key
from api.gateway import Gateway
from api.stream.backlog import TooOld, Unavailable
from services import conditions, kafka_topics
from services.errors import reason
from services.groups import GROUP, StallWatch, deleted_unread
from services.store import State
from services.store.feeds import Feeds, FeedStatus

log = structlog.get_logger(__name__)

router = APIRouter(tags=["health"])

_TIMEOUT = 2.0
# A report is reused for this long: anyone may request it, and that must cost Kafka, ingest and the store nothing.
_REUSE_SECONDS = 0.5
# An event that is older than this should have been counted.
_COUNTED_AFTER = timedelta(seconds=10)
# How many records without an event (such as write fences) are skipped to find the next event.
_MAX_SKIPPED = 20
_OK = conditions.OK
# What a check that fails with an error says to those who have no key: errors contain internal names and addresses.
_FAILED = "failed; the gateway's log has the cause"
# Asking Kafka for all positions opens connections.
_CHECK_SECONDS = 10.0
_STAGES = {
    kafka_topics.RAW.name: "annotate",
    kafka_topics.ANNOTATED.name: "group",
    kafka_topics.UPDATES.name: "aggregate",
}


class Counting(BaseModel):
    """How complete the numbers are.

    ``complete``: all events but the latest are counted; ``behind``: older events are not counted yet;
    ``rebuilding``: everything is being counted again; ``unavailable``: the store does not answer.
    """

    state: Literal["complete", "rebuilding", "behind", "unavailable"]
    complete_since: AwareDatetime | None = Field(
        description="In the state complete: everything that arrived since then is counted; null: since the beginning."
    )
    behind: int | None = Field(description="Events that are not counted yet; null: unknown.")
    progress: float | None = Field(None, description="While rebuilding: the fraction that is done, 0 to 1.")


class Ready(BaseModel):
    """Whether a pushed article would be processed, and the state of each part: ``ok`` or the reason why not.

    ``stages`` is there while one stands still, ``disk`` and ``processes`` under ``khabar up``. A reason that may
    contain internal names is only given with a key that may read; the log has it in any case. ``lost``: by topic, how
    many records Kafka has deleted before they were read. ``feeds``: how many have which status; failing ones do not
    make the gateway unready.
    """

    ready: bool
    checks: dict[str, str]
    aggregates: Counting
    lost: dict[str, int] = {}
    feeds: dict[FeedStatus, int] = {}


@dataclass
class _Found:
    """What two of the checks find out in addition."""

    end: int | None = None
    state: State | None = None


class Readiness:
    """Whether a pushed article would be processed, checked at most every half second."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._report: Ready | None = None
        # Errors of failed checks, by check.
        self._errors: dict[str, str] = {}
        self._checked_at = float("-inf")
        self._checking = asyncio.Lock()
        self._stalls = StallWatch(gateway.settings.kafka_servers, _STAGES, time.monotonic)
        self._stalled: list[str] = []
        self._lost: dict[str, int] = {}
        self._feeds: dict[FeedStatus, int] = {}
        self._stages_checked_at = float("-inf")

    async def run(self) -> None:
        """Check regularly, so that the metrics are current and a stage that stands still is found; never ends."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            try:
                report = await self.report()
                self._gateway.metrics.note_checks({name: state == _OK for name, state in report.checks.items()})
            except Exception:
                log.exception("readiness_check_failed")

    async def report(self, *, details: bool = False) -> Ready:
        """The whole report; ``details``: with the errors of checks that failed.

        Kafka and ingest decide on ``ready``; all else is only reported: what was pushed is kept until it is mended.
        """
        found = await self._checked()
        return found.model_copy(update={"checks": found.checks | self._errors}) if details else found

    async def _checked(self) -> Ready:
        async with self._checking:
            if self._report is None or time.monotonic() - self._checked_at > _REUSE_SECONDS:
                found = _Found()
                names = ("kafka", "ingest", "store")
                running = (self._kafka(found), self._ingest(), self._store(found))
                errors: dict[str, str] = {}
                reasons, other = await asyncio.gather(
                    asyncio.gather(*(_reason(name, check, errors) for name, check in zip(names, running, strict=True))),
                    self._conditions(),
                )
                self._log_new(errors)
                checks = dict(zip(names, reasons, strict=True)) | other
                ready = checks["kafka"] == checks["ingest"] == _OK
                counting = await self._counting(found)
                self._report = Ready(
                    ready=ready, checks=checks, aggregates=counting, lost=self._lost, feeds=self._feeds
                )
                self._checked_at = time.monotonic()
            return self._report

    def _log_new(self, errors: dict[str, str]) -> None:
        for name, error in errors.items():
            if name not in self._errors:
                log.warning("readiness_check_failed", check=name, error=error)
        self._errors = errors

    async def _kafka(self, found: _Found) -> str:
        found.end = await self._gateway.follower.end()
        return _OK if self._gateway.follower.caught_up.is_set() else "still reading updates"

    async def _conditions(self) -> dict[str, str]:
        """Stages that stand still, if any, and what ``khabar up`` knows of its disk and processes."""
        now = time.monotonic()
        if now - self._stages_checked_at >= _CHECK_SECONDS:
            self._stages_checked_at = now
            try:
                async with asyncio.timeout(_TIMEOUT):
                    self._stalled = await self._stalls.check()
                    self._lost = await deleted_unread(self._gateway.settings.kafka_servers, GROUP)
            except (KafkaError, OSError, TimeoutError):
                self._stalled = []  # the check of Kafka says so
            with contextlib.suppress(RedisError, TimeoutError):  # the check of the store says so
                async with asyncio.timeout(_TIMEOUT):
                    counts = (await Feeds(self._gateway.store.redis).summary(most=0)).counts
                    self._feeds = {status: number for status, number in counts.items() if number}
        stages = {"stages": "; ".join(self._stalled)} if self._stalled else {}
        return stages | await asyncio.to_thread(conditions.checks, self._gateway.settings)

    async def _ingest(self) -> str:
        url = f"{self._gateway.settings.ingest_url.rstrip('/')}/readyz"
        async with self._gateway.http.get(url, timeout=aiohttp.ClientTimeout(total=_TIMEOUT)) as answer:
            return _OK if answer.status == 200 else f"not ready: {answer.status}"

    async def _store(self, found: _Found) -> str:
        cursors = self._gateway.follower.cursors
        # Which log it is is unknown until Kafka was reached once; the request still shows whether the store answers.
        found.state = await self._gateway.store.state("" if cursors is None else cursors.log)
        try:
            await self._gateway.store.check_writable()
        except RedisError as error:
            return reason(error)
        return _OK

    async def _counting(self, found: _Found) -> Counting:
        state = found.state
        if state is None:
            return Counting(state="unavailable", complete_since=None, behind=None)
        since, applied = state.complete.since, state.applied
        if self._gateway.follower.cursors is None:
            name: Literal["rebuilding", "complete"] = "rebuilding" if state.complete.rebuilding else "complete"
            return Counting(state=name, complete_since=since, behind=None)
        log = self._gateway.log
        end = log.end if found.end is None else found.end
        # What Kafka has deleted will never be counted. Ask for its oldest offset only if that can matter.
        oldest = await self._oldest() if state.complete.rebuilding or applied + 1 < log.start else 0
        behind = max(0, end - max(applied + 1, oldest))
        if state.complete.rebuilding:
            left, whole = (max(0, (state.goal or 0) - at) for at in (max(applied, oldest - 1), oldest - 1))
            progress = round(1 - left / whole, 3) if whole else 0.0
            return Counting(state="rebuilding", complete_since=since, behind=behind, progress=progress)
        late = behind > 0 and self._is_late(applied + 1)
        return Counting(state="behind" if late else "complete", complete_since=since, behind=behind)

    def _is_late(self, offset: int) -> bool:
        """Whether the event at this offset, or the next one, is older than ``_COUNTED_AFTER``."""
        log = self._gateway.log
        if offset < log.start:
            return True
        for event in filter(None, map(log.get, range(offset, min(offset + _MAX_SKIPPED, log.end)))):
            head = from_json(event.line[: event.data_at] + b"null}")
            return self._gateway.now() - datetime.fromisoformat(head["time"]) > _COUNTED_AFTER
        return False

    async def _oldest(self) -> int:
        try:
            async with asyncio.timeout(_TIMEOUT):
                return await self._gateway.backlog.oldest()
        except (Unavailable, TooOld, TimeoutError):
            return 0


async def _reason(name: str, check: Awaitable[str], errors: dict[str, str]) -> str:
    """The result of a check. What may be shown only to operators is added to ``errors``."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            return await check
    except TimeoutError:
        return f"no answer within {_TIMEOUT:g} s"
    except Exception as error:  # any error is a reason
        errors[name] = f"{type(error).__name__}: {error}"[:300]
        return _FAILED


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def alive() -> dict[str, str]:
    """200 as long as the process answers."""
    return {"status": "ok"}


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    response_class=Response,
    responses={
        200: {"model": Ready},
        503: {"model": Ready, "description": "A part that articles need is missing; the body says which."},
    },
)
async def ready(request: Request) -> Response:
    """200 when a pushed article would be processed. The store is not needed for that, only for the numbers."""
    readiness: Readiness = request.app.state.readiness
    gateway: Gateway = request.app.state.gateway
    report = await readiness.report(details=_has_key(gateway, request))
    body = report.model_dump(mode="json")
    if report.aggregates.progress is None:
        del body["aggregates"]["progress"]
    return JSONResponse(body, 200 if report.ready else 503, headers={"Cache-Control": "no-store"})


def _has_key(gateway: Gateway, request: Request) -> bool:
    try:
        return gateway.keys.check(header_key(request.headers), "read") is not None
    except (Unauthorized, Forbidden):
        return False


@router.head("/metrics", include_in_schema=False)
@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Metrics for Prometheus."""
    gateway: Gateway = request.app.state.gateway
    return Response(gateway.metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})
