"""Questions and answers: articles and stories over REST."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel
from pydantic_core import from_json, to_json

from api.access.auth import may_read
from api.gateway import Gateway
from api.problems import RETRY_AFTER, ProblemError, documented, only
from api.routes import caching
from api.routes.pages import Limit
from api.stream import filters
from api.stream.backlog import Unavailable
from api.stream.cursor import Cursors
from api.stream.filters import Filter, FilterError
from api.stream.stream_event import Event, Facets
from services.events import Article, Story
from services.store import Window

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
_PROBLEMS = documented(401, 403, 404, 422, 503)
# Stories looked at for one answer; a rare filter finds nothing older.
_MOST_LOOKED_AT = 10_000
# Stories looked at before others get their turn.
_AT_ONCE = 100


class Stories(BaseModel):
    """Stories, newest first."""

    stories: list[Story]


@router.get(
    "/v1/articles/{article_id}",
    dependencies=[Depends(only())],
    response_class=Response,
    responses={200: {"model": Article, "headers": caching.HEADERS}, **caching.NOT_MODIFIED, **_PROBLEMS},
)
async def article(request: Request, article_id: str) -> Response:
    """The newest revision of an article. Its ``story`` is the one that it is in now, whatever the stream told."""
    gateway: Gateway = request.app.state.gateway
    place = await gateway.answered(gateway.store.locate(article_id))
    event = None if place is None else await _event(gateway, place.offset)
    told = from_json(event.data) if event is not None and event.facets.type == "article" else None
    # A store that outlived its Kafka points at something else.
    if place is None or event is None or told is None or told["id"] != article_id:
        raise ProblemError(404, "no article with this id is kept")
    now = await gateway.answered(gateway.store.survivor(place.moved or told["story"]))
    data = event.data if told["story"] == now else to_json(told | {"story": now})
    return caching.answer(request, data, seconds=caching.ASK_AGAIN)


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
    dependencies=[Depends(only("window", "limit", repeatable=("language", "entity", "topic")))],
    response_class=Response,
    responses={
        200: {"model": Stories, "headers": caching.HEADERS},
        **caching.NOT_MODIFIED,
        **documented(401, 403, 422, 503),
    },
)
async def stories(  # noqa: PLR0913 - one parameter each
    request: Request,
    *,
    window: Window = "24h",
    language: Annotated[list[str], Query()] = [],  # noqa: B006 - FastAPI copies it
    entity: Annotated[list[str], Query()] = [],  # noqa: B006
    topic: Annotated[list[str], Query()] = [],  # noqa: B006
    limit: Limit = 50,
) -> Response:
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
    found = await gateway.answered(_listed(gateway, since, wanted, limit))
    body = Stories(stories=found).model_dump_json().encode()
    return caching.answer(request, body, seconds=caching.SOON)


async def _listed(gateway: Gateway, since: datetime, wanted: Filter, limit: int) -> list[Story]:
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
    return list(found.values())


@router.get(
    "/v1/stories/{story_id}",
    dependencies=[Depends(only())],
    response_class=Response,
    responses={
        200: {"model": Story, "headers": caching.HEADERS},
        301: _MERGED,
        **caching.NOT_MODIFIED,
        **_PROBLEMS,
    },
)
async def story(request: Request, story_id: str) -> Response:
    """One story as it is now; for one that was merged a redirect to the story that has its articles now."""
    gateway: Gateway = request.app.state.gateway
    found = await gateway.answered(gateway.store.story(story_id)) or await _old_story(gateway, story_id)
    if found is None:
        raise ProblemError(404, "no story with this id is kept")
    status, headers = 200, {}
    if found.merged_into is not None:
        survivor = await gateway.answered(gateway.store.survivor(found.merged_into))
        # Relative to the address that was asked for, whatever stands before it on the way to the client.
        status, headers = 301, {"Location": quote(survivor, safe="")}
    return caching.answer(request, found.encode(), seconds=caching.ASK_AGAIN, status=status, headers=headers)


async def _old_story(gateway: Gateway, story_id: str) -> Story | None:
    """A story that is none of the newest, as it lies on Kafka."""
    place = await gateway.answered(gateway.store.locate(story_id))
    event = None if place is None else await _event(gateway, place.offset)
    if event is None or event.facets.type != "story":
        return None
    found = Story.model_validate_json(event.data)
    return found if found.id == story_id else None
