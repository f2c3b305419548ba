"""Aggregates, time series and trends over REST, each by one round trip to the store."""

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, Field
from pydantic_core import to_json

from api.access.auth import may_ask
from api.gateway import Gateway
from api.problems import ProblemError, documented, only
from api.routes import caching, pages
from api.routes.pages import Limit, Offset
from services.events import Trend, TrendKind, TrendWindow
from services.store import Completeness, Dimension, Span, Window, layout

router = APIRouter(tags=["questions"], dependencies=[Depends(may_ask)])

Counted = Literal["total", Dimension]
Period = Literal["15m", "1h", "24h", "7d", "all"]
Step = Literal["1m", "10m", "1h", "1d"]

_PERIODS: Final[dict[Period, int]] = {"15m": 900, "1h": 3_600, "24h": 86_400, "7d": 7 * 86_400, "all": 30 * 86_400}
# The buckets of which span, and how many, make one step.
_STEPS: Final[dict[Step, tuple[Span, int]]] = {"1m": ("m", 1), "10m": ("m", 10), "1h": ("h", 1), "1d": ("d", 1)}
_TOTALS = ("articles", "duplicates")
# As many as fit into a chart: the default step is the finest with no more points.
_MAX_POINTS = 170
_MAX_ID_CHARACTERS = 500


class Item(BaseModel):
    """How often one id was counted; ``sources``: the approximate number of different sources, when requested."""

    id: str
    name: str
    count: int
    sources: int | None = None


class Completed(BaseModel):
    """Whether the numbers are complete.

    ``complete_since``: everything that arrived since then is counted; null: since the beginning. ``rebuilding``: not
    yet, because everything is being counted again.
    """

    complete_since: AwareDatetime | None
    rebuilding: bool


class Aggregates(Completed):
    """The most frequent ids of a window, and how many articles it holds.

    The window is from ``since`` to ``until``; ``size`` is the number of ids in it. ``error``, when present, is the
    most by which a count may be too low.
    """

    by: Dimension
    window: Window
    total: int
    duplicates: int
    items: list[Item]
    size: int
    since: AwareDatetime
    until: AwareDatetime
    error: int | None = None


class Point(BaseModel):
    """How often something was counted in the step that began at ``time``."""

    time: AwareDatetime
    count: int


class Timeseries(Completed):
    """Counts of one id step by step, oldest first, zeros included; the last step is not over yet."""

    by: Counted
    id: str
    window: Period
    step: Step
    points: list[Point]


class Trends(BaseModel):
    """The present trends, the most surprising first."""

    trends: list[Trend] = Field(description="As they were published last.")


def _responses(model: type[BaseModel], headers: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    fine = {"model": model, "headers": caching.HEADERS | headers}
    return {200: fine, **caching.NOT_MODIFIED, **documented(401, 403, 422, 429, 503)}


@router.get(
    "/v1/aggregates",
    dependencies=[Depends(only("by", "window", "limit", "offset", "sources"))],
    response_class=Response,
    responses=_responses(Aggregates, pages.HEADERS),
)
async def aggregates(  # noqa: PLR0913 - one parameter each
    request: Request,
    *,
    by: Annotated[Dimension, Query(description="What is counted; `pair`: two entities in the same article.")],
    window: Annotated[Window, Query(description="`story` has no `all`, `pair` only `24h`.")] = "24h",
    limit: Limit = 10,
    offset: Offset = 0,
    sources: Annotated[bool, Query(description="Also count the sources of each `entity` or `story`.")] = False,
) -> Response:
    """The most frequent ids of a window that ends now. Each revision of an article counts once, duplicates too."""
    if window not in layout.windows(by):
        raise _invalid("window", window, layout.windows(by), f"by={by}")
    if sources and by not in {"entity", "story"}:
        raise ProblemError(422, f"sources are counted with by=entity and by=story, not with by={by}", field="sources")
    gateway: Gateway = request.app.state.gateway
    top = await gateway.with_store_timeout(gateway.store.top(by, window, limit=limit, offset=offset, sources=sources))
    body: dict[str, Any] = {
        "by": by,
        "window": window,
        "total": top.total,
        "duplicates": top.duplicates,
        "items": [
            {"id": one.id, "name": one.name, "count": one.count}
            | ({} if one.sources is None else {"sources": one.sources})
            for one in top.items
        ],
        "size": top.size,
        "since": top.since,
        "until": top.until,
        **({"error": top.error} if top.error else {}),
        **_completeness(top.complete),
    }
    headers = pages.links(request, offset=offset, limit=limit, size=top.size)
    return caching.answer(request, to_json(body), seconds=_max_age(window, top.complete), headers=headers)


@router.get(
    "/v1/timeseries",
    dependencies=[Depends(only("by", "id", "window", "step"))],
    response_class=Response,
    responses=_responses(Timeseries, {}),
)
async def timeseries(
    request: Request,
    *,
    by: Annotated[Counted, Query(description="What is counted; `total`: all articles.")],
    name: Annotated[
        str | None,
        Query(
            alias="id",
            min_length=1,
            max_length=_MAX_ID_CHARACTERS,
            description="With `total`: `articles` or `duplicates`.",
        ),
    ] = None,
    window: Annotated[Period, Query(description="`story` has `15m`, `1h` and `24h`, `pair` only `24h`.")] = "24h",
    step: Annotated[Step | None, Query(description="By default the finest with no more than 170 points.")] = None,
) -> Response:
    """How often one id was counted in each step of a window that ends now. Steps are aligned to UTC."""
    if by == "total":
        name = name or "articles"
        if name not in _TOTALS:
            raise _invalid("id", name, _TOTALS, "by=total")
    if name is None:
        raise ProblemError(422, f"id: which {by} is missing", field="id")
    steps = _steps(by, window)
    if not steps:
        raise _invalid("window", window, [one for one in _PERIODS if _steps(by, one)], f"by={by}")
    if step is not None and step not in steps:
        raise _invalid("step", step, steps, f"by={by} and window={window}")
    step = step or _step(steps, window)
    span, buckets = _STEPS[step]
    gateway: Gateway = request.app.state.gateway
    now = layout.bucket(span, gateway.now())
    # The present step, and those before it that fill the window.
    last = now // buckets
    first = last + 1 - _PERIODS[window] // _seconds(step)
    found = await gateway.with_store_timeout(
        gateway.store.series(by, name, span, first=first * buckets, last=now, step=buckets)
    )
    points = [{"time": begins, "count": count} for begins, count in found.points]
    body = {"by": by, "id": name, "window": window, "step": step, "points": points} | _completeness(found.complete)
    return caching.answer(request, to_json(body), seconds=_max_age(window, found.complete))


@router.get(
    "/v1/trends",
    dependencies=[Depends(only("window", "kind", "limit", "offset"))],
    response_class=Response,
    responses=_responses(Trends, pages.HEADERS),
)
async def trends(
    request: Request,
    *,
    window: Annotated[TrendWindow | None, Query(description="Only trends in this window.")] = None,
    kind: Annotated[TrendKind | None, Query(description="Only trends of this kind.")] = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> Response:
    """What is named more often than its own past and the present volume predict, the most surprising first."""
    gateway: Gateway = request.app.state.gateway
    found = [
        trend
        for trend in await gateway.with_store_timeout(gateway.store.trends())
        if trend.phase != "end" and window in {None, trend.window} and kind in {None, trend.kind}
    ]
    found.sort(key=lambda trend: (-trend.score, trend.kind, trend.id, trend.window))
    body = to_json({"trends": found[offset : offset + limit]})
    headers = pages.links(request, offset=offset, limit=limit, size=len(found))
    return caching.answer(request, body, seconds=caching.SOON, headers=headers)


def _steps(by: Counted, period: Period) -> list[Step]:
    """The steps into which a period of a dimension can be divided, finest first."""
    return [
        step
        for step, (span, _) in _STEPS.items()
        if span in layout.SPANS[by]
        and _PERIODS[period] <= _covered_seconds(by, span)
        and _PERIODS[period] % _seconds(step) == 0
        and _PERIODS[period] > _seconds(step)
    ]


def _step(steps: list[Step], period: Period) -> Step:
    """The default step."""
    return next((step for step in steps if _PERIODS[period] // _seconds(step) <= _MAX_POINTS), steps[-1])


def _covered_seconds(by: Counted, span: Span) -> int:
    """For how many seconds, at least, buckets of this span are kept."""
    buckets = layout.SPANS[by][span]
    count = max(view.buckets for view in buckets.views) if buckets.dropped else buckets.kept
    return count * layout.SECONDS[span]


def _seconds(step: Step) -> int:
    span, buckets = _STEPS[step]
    return layout.SECONDS[span] * buckets


def _completeness(complete: Completeness) -> dict[str, Any]:
    return {"complete_since": complete.since, "rebuilding": complete.rebuilding}


def _max_age(window: str, complete: Completeness) -> int | None:
    return None if complete.rebuilding else caching.SECONDS[window]


def _invalid(field: str, value: str, valid: Iterable[str], where: str) -> ProblemError:
    detail = f"{field} cannot be {value[:60]!r} with {where}; valid: {', '.join(valid)}"
    return ProblemError(422, detail, field=field)
