"""Articles and stories over REST."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel
from pydantic_core import from_json, to_json

from api.access.auth import may_ask
from api.gateway import Gateway
from api.problems import RETRY_AFTER, ProblemError, documented, only
from api.routes import caching
from api.routes.pages import Limit
from api.stream import filters
from api.stream.backlog import Unavailable
from api.stream.cursor import Cursors
from api.stream.filters import FilterError
from api.stream.stream_event import Event
from services.events import Article, Story
from services.store import Window, layout
from services.store.layout import Facet

router = APIRouter(tags=["questions"], dependencies=[Depends(may_ask)])

_SPANS: dict[Window, timedelta] = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
}
_MERGED: dict[str, Any] = {
    "model": Story,
    "description": "The story was merged: `Location` is the story that has its articles now, the body its last state.",
    "headers": {"Location": {"schema": {"type": "string"}}},
}
_PROBLEMS = documented(401, 403, 404, 422, 429, 503)
# Stories that are looked at for one answer.
_MAX_EXAMINED = 10_000
# Stories that are parsed and encoded before other tasks run.
_BATCH_STORIES = 20


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
    """The newest revision of an article. Its ``story`` is the present one, which may differ from the stream's."""
    gateway: Gateway = request.app.state.gateway
    location = await gateway.with_store_timeout(gateway.store.locate(article_id))
    event = None if location is None else await _event(gateway, location.offset)
    published = from_json(event.data) if event is not None and event.facets.type == "article" else None
    # When the store is older than Kafka, its offsets refer to other records.
    if location is None or event is None or published is None or published["id"] != article_id:
        raise ProblemError(404, "no article with this id is kept")
    story_id = await gateway.with_store_timeout(gateway.store.survivor(location.moved or published["story"]))
    data = event.data if published["story"] == story_id else to_json(published | {"story": story_id})
    return caching.answer(request, data, seconds=caching.REVALIDATE)


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
        **documented(401, 403, 422, 429, 503),
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
    """Stories with an article that arrived in the window, newest first. Filters work as for the stream.

    Of the stories that have a value of the rarest filter, the newest 10,000 are searched.
    """
    gateway: Gateway = request.app.state.gateway
    given = {"language": language, "entity": entity, "topic": topic}
    try:
        wanted = filters.parse((name, value) for name, values in given.items() for value in values)
    except FilterError as error:
        raise ProblemError(422, str(error), field=error.name) from None
    since = datetime.fromtimestamp(0, UTC) if window == "all" else gateway.now() - _SPANS[window]
    facets = {facet: wanted.values.get(facet, ()) for facet in layout.STORY_FACETS}
    found = await gateway.with_store_timeout(_matching(gateway, since, facets, limit))
    body = b'{"stories":[' + b",".join(found) + b"]}"
    return caching.answer(request, body, seconds=caching.SOON)


async def _matching(
    gateway: Gateway, since: datetime, wanted: Mapping[Facet, Collection[str]], limit: int
) -> list[bytes]:
    """The stories, encoded."""
    found: dict[str, bytes] = {}  # by id: a story is read again when new ones shift the pages
    async for one in gateway.store.stories(since, wanted, examined=_MAX_EXAMINED):
        found.setdefault(one.id, one.encode())
        if len(found) >= limit:
            break
        if len(found) % _BATCH_STORIES == 0:
            await asyncio.sleep(0)
    return [*found.values()]


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
    """One story as it is now; for a merged story, a redirect to the story that has its articles now."""
    gateway: Gateway = request.app.state.gateway
    found = await gateway.with_store_timeout(gateway.store.story(story_id)) or await _old_story(gateway, story_id)
    if found is None:
        raise ProblemError(404, "no story with this id is kept")
    status, headers = 200, {}
    if found.merged_into is not None:
        survivor = await gateway.with_store_timeout(gateway.store.survivor(found.merged_into))
        # Relative to the request's address, because a proxy may serve the gateway under a path prefix.
        status, headers = 301, {"Location": quote(survivor, safe="")}
    return caching.answer(request, found.encode(), seconds=caching.REVALIDATE, status=status, headers=headers)


async def _old_story(gateway: Gateway, story_id: str) -> Story | None:
    """A story that is not among the newest, read from Kafka."""
    location = await gateway.with_store_timeout(gateway.store.locate(story_id))
    event = None if location is None else await _event(gateway, location.offset)
    if event is None or event.facets.type != "story":
        return None
    found = Story.model_validate_json(event.data)
    return found if found.id == story_id else None
