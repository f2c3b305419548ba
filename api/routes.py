"""Questions and answers: articles, stories and aggregates over REST."""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel
from pydantic_core import from_json, to_json

from api import filters
from api.auth import may_read
from api.backlog import Unavailable
from api.cursor import Cursors
from api.events import Event, Facets
from api.filters import FilterError
from api.gateway import Gateway
from api.problems import RETRY_AFTER, ProblemError, documented
from services.events import Article, Story
from services.store import Dimension, Window

router = APIRouter(tags=["questions"], dependencies=[Depends(may_read)])

_SPANS: dict[Window, timedelta] = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
}
_MERGED: dict[str, Any] = {
    "model": Story,
    "description": "The story was merged: `Location` is the one that has its articles now, the body its last state.",
    "headers": {"Location": {"schema": {"type": "string"}}},
}
Limit = Annotated[int, Query(ge=1, le=1_000)]
_Dependency = Callable[[Request], Coroutine[None, None, None]]
# Stories looked at for one answer; a rare filter finds nothing older.
_MOST_LOOKED_AT = 10_000
# Stories looked at before others get their turn.
_AT_ONCE = 100


class Item(BaseModel):
    """How often one id was counted."""

    id: str
    name: str
    count: int


class Aggregates(BaseModel):
    """The most frequent ids of a window, and how many articles it holds."""

    by: Dimension
    window: Window
    total: int
    duplicates: int
    items: list[Item]


class Stories(BaseModel):
    """Stories, newest first."""

    stories: list[Story]


def _only(*single: str, repeatable: Collection[str] = ()) -> _Dependency:
    """Dependency of a route with these query parameters. Raises ``ProblemError`` on others and on repetitions."""
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


@router.get(
    "/v1/articles/{article_id}",
    dependencies=[Depends(_only())],
    response_class=Response,
    responses={200: {"model": Article}, **documented(401, 403, 404, 422, 503)},
)
async def article(request: Request, article_id: str) -> Response:
    """The newest revision of an article. Its ``story`` is the one that it is in now, whatever the stream told."""
    gateway: Gateway = request.app.state.gateway
    place = await gateway.store.place(article_id)
    event = None if place is None else await _event(gateway, place.offset)
    told = from_json(event.data) if event is not None and event.facets.type == "article" else None
    # A store that outlived its Kafka points at something else.
    if place is None or event is None or told is None or told["id"] != article_id:
        raise ProblemError(404, "no article with this id is kept")
    data = event.data if told["story"] == place.story else to_json(told | {"story": place.story})
    return Response(data, media_type="application/json")


async def _event(gateway: Gateway, offset: int) -> Event | None:
    cursors: Cursors | None = gateway.follower.cursors
    try:
        if cursors is None:
            raise Unavailable
        return gateway.log.get(offset) or await gateway.backlog.event(offset, cursors)
    except Unavailable:
        raise ProblemError(503, "articles cannot be read at the moment", headers=RETRY_AFTER) from None


@router.get(
    "/v1/stories",
    dependencies=[Depends(_only("window", "limit", repeatable=("language", "entity", "topic")))],
    responses=documented(401, 403, 422, 503),
)
async def stories(  # noqa: PLR0913 - one parameter each
    request: Request,
    *,
    window: Window = "24h",
    language: Annotated[list[str], Query()] = [],  # noqa: B006 - FastAPI copies it
    entity: Annotated[list[str], Query()] = [],  # noqa: B006
    topic: Annotated[list[str], Query()] = [],  # noqa: B006
    limit: Limit = 50,
) -> Stories:
    """Stories with an article that arrived in the window, newest first; filters as for the stream.

    The newest 10,000 stories of the window are looked at.
    """
    gateway: Gateway = request.app.state.gateway
    given = {"language": language, "entity": entity, "topic": topic}
    try:
        wanted = filters.parse((name, value) for name, values in given.items() for value in values)
    except FilterError as error:
        raise ProblemError(422, str(error), field=error.name) from None
    since = datetime.fromtimestamp(0, UTC) if window == "all" else datetime.now(UTC) - _SPANS[window]
    found: dict[str, Story] = {}  # by id: a story may come again while new ones move the pages
    looked_at = 0
    async for one in gateway.store.stories(since):
        if wanted.admits(Facets.of_story(one)):
            found.setdefault(one.id, one)
        looked_at += 1
        if len(found) >= limit or looked_at >= _MOST_LOOKED_AT:
            break
        if looked_at % _AT_ONCE == 0:
            await asyncio.sleep(0)
    return Stories(stories=list(found.values()))


@router.get(
    "/v1/stories/{story_id}",
    dependencies=[Depends(_only())],
    response_model=Story,
    responses={301: _MERGED, **documented(401, 403, 404, 422, 503)},
)
async def story(request: Request, story_id: str) -> Story | Response:
    """One story as it is now; for one that was merged a redirect to the story that has its articles now."""
    gateway: Gateway = request.app.state.gateway
    found = await gateway.store.story(story_id)
    if found is None:
        raise ProblemError(404, "no story with this id is kept")
    if found.merged_into is None:
        return found
    survivor = await gateway.store.survivor(found.merged_into)
    # Relative to the address that was asked for, whatever stands before it on the way to the client.
    headers = {"Location": quote(survivor, safe="")}
    return Response(found.model_dump_json(), 301, headers=headers, media_type="application/json")


@router.get(
    "/v1/aggregates",
    dependencies=[Depends(_only("by", "window", "limit"))],
    responses=documented(401, 403, 422, 503),
)
async def aggregates(request: Request, by: Dimension, window: Window = "24h", limit: Limit = 10) -> Aggregates:
    """What is counted most in a window that ends now: each revision of an article once, duplicates included."""
    gateway: Gateway = request.app.state.gateway
    top = await gateway.store.top(by, window, limit=limit, now=datetime.now(UTC))
    items = [Item(id=one.id, name=one.name, count=one.count) for one in top.items]
    return Aggregates(by=by, window=window, total=top.total, duplicates=top.duplicates, items=items)
