"""``/v1/feeds`` of ingest: add, list, change, remove, check and poll feeds; import and export lists of them.

The gateway forwards these requests with the token of ingest, as it forwards pushes: it has the API keys.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import urlencode

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from redis.exceptions import RedisError
from starlette.requests import ClientDisconnect

from ingest.access import Access, NotAdmitted
from ingest.feeds import discovery, opml
from ingest.feeds.check import check
from ingest.feeds.opml import NoList, Outline
from ingest.feeds.websub import WebSub
from ingest.web import Access as Login
from ingest.web import WebClient, check_headers, without_credentials
from services import problems, request_body
from services.addresses import PrivateAddress
from services.blocking import run_in_thread
from services.characters import web_address
from services.resolver import ThreadedResolver, check_literal, check_public
from services.settings import Settings
from services.store.feeds import DAYS, STATUSES, AlreadyThere, Feed, FeedOptions, Feeds, TooManyFeeds
from services.subscriptions import (
    MAX_LIST_BYTES,
    MAX_PAGE,
    MAX_URL,
    CheckFeed,
    FeedChanges,
    FeedOut,
    FeedsOut,
    ImportedFeed,
    ImportResult,
    NewFeed,
)

log = structlog.get_logger(__name__)

_MAX_BODY_BYTES: Final = 64 * 1024
_CLOSE: Final = {"Connection": "close"}
_NO_STORE: Final = {"Cache-Control": "no-store"}
_LATER: Final = {"Retry-After": "2"}
# Requests that wait for other people's servers, at a time; further ones get a 429.
_MAX_FETCHING: Final = 8
_FETCH_SECONDS: Final = 60.0
# A store that takes longer counts as unavailable.
_STORE_SECONDS: Final = 3.0
_DAY_SECONDS: Final = 86_400
# The scheme that feeds once had, before or instead of their own.
_FEED_SCHEME = re.compile(r"feed:(?=//|https?://)", re.IGNORECASE)
_UNAVAILABLE: Final = "the store of feeds cannot be reached"

_Model = TypeVar("_Model", bound=BaseModel)
_T = TypeVar("_T")
Sources = Collection[str] | None
"""The sources that a client may use; None: any."""


class Refused(Exception):
    """The request is refused: the response is a problem document, with these members in addition."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        field: str | None = None,
        headers: dict[str, str] | None = None,
        **extra: object,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.headers = headers
        self.extra = extra


class FeedsApi:
    """The feeds of the store, and what the requests about them share. The poller asks the store for due feeds."""

    def __init__(self, settings: Settings, feeds: Feeds, web: WebClient, websub: WebSub | None = None) -> None:
        self.settings = settings
        self.access = Access(settings)
        self._feeds = feeds
        self._web = web
        self._websub = websub
        self._resolver = ThreadedResolver()
        self._fetching = 0
        self._importing = asyncio.Lock()

    # ---- one feed ----

    async def add(self, asked: NewFeed, sources: Sources) -> FeedOut:
        """Add a feed, or with ``discover`` the feed of a page. Raises ``Refused``."""
        if asked.source is not None:
            _check_source(sources, asked.source)
        options = await self._options(asked)
        if asked.discover:
            options = await self._discovered(asked, options)
        _check_source(sources, options.source_name)
        try:
            feed_id = await self._feeds.add(options, most=self.settings.max_feeds)
        except AlreadyThere as error:
            cause = "this feed is subscribed to already"
            raise Refused(409, cause, field="url", code="already_there", id=error.feed_id) from None
        except TooManyFeeds as error:
            raise Refused(409, str(error), code="too_many_feeds") from None
        log.info("feed_added", feed=options.url, id=feed_id)
        return await self.get(feed_id)

    async def _options(self, asked: NewFeed) -> FeedOptions:
        """What was asked for, checked, with the URL as it was given. Raises ``Refused``."""
        url = asked.url.strip()
        if "://" not in url and asked.discover:
            url = f"https://{url}"
        options = _options(asked, url)
        await self._check_address(options.url)
        return options

    async def _discovered(self, asked: NewFeed, options: FeedOptions) -> FeedOptions:
        """The options of the feed that is at the address, or the only one of the page there. Raises ``Refused``."""
        async with self._turn():
            try:
                found = await discovery.discover(
                    options.url if "://" in asked.url else asked.url,
                    self._web,
                    access=_login(options),
                    max_bytes=self.settings.max_feed_bytes,
                )
            except discovery.Unreachable as error:
                cause = f"the address cannot be read: {error}"
                raise Refused(422, cause, field="url", code=error.failure.kind) from None
        feeds = [found.first] if found.first.content is not None else found.feeds
        if not feeds:
            cause = f"there is no feed at this address, and none was found on the site: {found.first.error}"
            raise Refused(422, cause, field="url", code="no_feed")
        if len(feeds) > 1:
            shown = [one.model_dump(mode="json") for one in discovery.described(feeds)]
            cause = f"the page has {len(feeds)} feeds: add those that you want by their addresses"
            raise Refused(409, cause, field="url", code="several_feeds", feeds=shown)
        chosen = FeedOptions(url=feeds[0].url)
        same_host = chosen.host == options.host
        return _options(asked, feeds[0].url, user=options.user, password=options.password, login=same_host)

    async def get(self, feed_id: str) -> FeedOut:
        """One feed. Raises ``Refused`` 404."""
        return _out(await self._found(feed_id))

    async def change(self, feed_id: str, asked: FeedChanges, sources: Sources) -> FeedOut:
        """Change options of a feed, pause or resume it. Raises ``Refused``."""
        feed = await self._found(feed_id, sources)
        given = {name: getattr(asked, name) for name in asked.model_fields_set}
        paused = given.pop("paused", None)
        empty: dict[str, object] = {"interval": 0.0, "headers": {}, "full_text": False}
        changed = {name: empty.get(name, "") if value is None else value for name, value in given.items()}
        _check_headers(asked.headers)
        if "source" in changed:
            _check_source(sources, str(changed["source"]) or feed.options.host)
        if not await self._feeds.change(feed_id, paused=paused, **changed):
            raise _unknown()
        return await self.get(feed_id)

    async def remove(self, feed_id: str, sources: Sources) -> None:
        """Remove a feed. Raises ``Refused``."""
        feed = await self._found(feed_id, sources)
        if feed.options.origin == "file":
            raise Refused(409, "this feed is in the file that KHABAR_FEEDS names: remove it there")
        if not await self._feeds.remove(feed_id):
            raise _unknown()
        if self._websub is not None:
            self._websub.end(feed)
        log.info("feed_removed", feed=feed.options.url, id=feed_id)

    async def poll(self, feed_id: str, sources: Sources) -> FeedOut:
        """Poll a feed now. Raises ``Refused``."""
        feed = await self._found(feed_id, sources)
        if not await self._feeds.poll_now(feed_id):
            if feed.status == "paused":
                raise Refused(409, "this feed is paused: resume it first")
            raise _unknown()
        return await self.get(feed_id)

    async def _found(self, feed_id: str, sources: Sources = None) -> Feed:
        feed = await self._feeds.get(feed_id) if feed_id.isascii() and feed_id.isalnum() else None
        if feed is None:
            raise _unknown()
        _check_source(sources, feed.options.source_name)
        return feed

    # ---- all feeds ----

    async def page(self, status: str | None, url: str | None, offset: int, limit: int) -> FeedsOut:
        """A page of the feeds, or the one with a URL."""
        if url is not None:
            try:
                feed = await self._feeds.find(_web_address(url))
            except ValueError:
                feed = None
            found = [feed] if feed is not None and status in {None, feed.status} else []
            _, _, counts = await self._feeds.page(limit=0)
            return FeedsOut(feeds=[*map(_out, found)], total=len(found), counts={**counts})
        found, total, counts = await self._feeds.page(status=status, offset=offset, limit=limit)  # type: ignore[arg-type]
        return FeedsOut(feeds=[*map(_out, found)], total=total, counts={**counts})

    async def export(self) -> bytes:
        """All feeds as OPML."""
        feeds: list[Feed] = []
        total = 1
        while len(feeds) < total:
            found, total, _ = await self._feeds.page(offset=len(feeds), limit=MAX_PAGE)
            if not found:
                break
            feeds += found
        return await run_in_thread(partial(opml.export, feeds), name="opml")

    async def import_list(self, data: bytes, content_type: str, sources: Sources, *, names: bool) -> ImportResult:
        """Add every feed of a list. ``names``: a feed's name in the list is its source. Raises ``Refused``."""
        async with self._importing:
            try:
                outlines = await opml.parse(data, content_type=content_type)
            except NoList as error:
                raise Refused(422, f"the list cannot be imported: {error}", field="body") from None
            imported = [await self._import(outline, sources, names=names) for outline in outlines]
        counts = {outcome: sum(one.outcome == outcome for one in imported) for outcome in ("added", "known", "invalid")}
        log.info("feeds_imported", **counts)
        return ImportResult(**counts, feeds=imported)

    async def _import(self, outline: Outline, sources: Sources, *, names: bool) -> ImportedFeed:
        problems = [*outline.problems]
        shown = without_credentials(outline.url)[:500]

        def result(outcome: str, feed_id: str | None = None, error: str | None = None) -> ImportedFeed:
            return ImportedFeed.model_validate(
                {
                    "place": outline.place,
                    "url": shown,
                    "name": outline.name,
                    "outcome": outcome,
                    "id": feed_id,
                    "error": error,
                    "problems": problems,
                }
            )

        try:
            options = _imported_options(outline, problems, names=names)
            shown = options.url
            if not self.settings.allow_private_addresses:
                # Names are looked up when the feed is polled.
                check_literal(options.url)
            _check_source(sources, options.source_name)
            feed_id = await self._feeds.add(options, most=self.settings.max_feeds)
        except AlreadyThere as error:
            return result("known", error.feed_id)
        except (Refused, ValueError, TooManyFeeds, PrivateAddress) as error:
            return result("invalid", error=str(error))
        return result("added", feed_id)

    # ---- addresses ----

    async def check(self, asked: CheckFeed) -> BaseModel:
        """What an address has. Raises ``Refused``."""
        url = asked.url.strip()
        try:
            options = FeedOptions(url=_web_address(url if "://" in url else f"https://{url}"))
        except ValueError as error:
            raise Refused(422, f"url: {error}", field="url") from None
        await self._check_address(options.url)
        _check_headers(asked.headers)
        login = Login(
            user=asked.user or options.user or None,
            password=asked.password or options.password or None,
            headers=asked.headers or {},
        )
        async with self._turn():
            return await check(
                options.url if "://" in url else url,
                self._web,
                access=login,
                max_bytes=self.settings.max_feed_bytes,
                entries=asked.entries,
            )

    async def _check_address(self, url: str) -> None:
        """Refuse an address in a private network at once; each connection is checked again."""
        if self.settings.allow_private_addresses:
            return
        try:
            await check_public(url, self._resolver)
        except PrivateAddress as error:
            raise Refused(422, f"url must lead to a public address: {error.strerror}", field="url") from None

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One of the requests that wait for other people's servers. Raises ``Refused``."""
        if self._fetching >= _MAX_FETCHING:
            raise Refused(429, f"{_MAX_FETCHING} addresses are being requested; try again", headers=_LATER)
        self._fetching += 1
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                yield
        except TimeoutError:
            raise Refused(422, f"the address gave no answer within {_FETCH_SECONDS:g} s", field="url") from None
        finally:
            self._fetching -= 1


def install(app: FastAPI, feeds: FeedsApi) -> None:
    """Add the routes to the application of ingest."""

    @app.exception_handler(Refused)
    async def _refused(_: Request, error: Refused) -> Response:
        problem = problems.problem(error.status, error.detail, error.field)
        return problems.response(problem, error.headers, **error.extra)

    @app.exception_handler(RedisError)
    async def _no_store(_: Request, __: RedisError) -> Response:
        return problems.response(problems.problem(503, _UNAVAILABLE), _LATER)

    app.include_router(_router(feeds))


def _router(feeds: FeedsApi) -> APIRouter:
    router = APIRouter()

    def admitted(request: Request) -> Sources:
        """The sources of the client. Raises ``Refused`` without the token of ingest."""
        try:
            feeds.access.check_token(request)
        except NotAdmitted as refused:
            raise Refused(refused.status, str(refused), headers={**_CLOSE, **(refused.headers or {})}) from None
        return feeds.access.sources(request)

    @router.get("/v1/feeds")
    async def listed(request: Request) -> Response:
        admitted(request)
        status, url, offset, limit = _query(request)
        found = await _stored(feeds.page(status, url, offset, limit))
        following = urlencode({**request.query_params, "offset": offset + limit})
        more = limit > 0 and offset + limit < found.total
        return _answer(found, headers={"Link": f'<feeds?{following}>; rel="next"'} if more else None)

    @router.get("/v1/feeds.opml")
    async def export(request: Request) -> Response:
        admitted(request)
        content = await feeds.export()
        name = 'attachment; filename="khabar-feeds.opml"'
        headers = {**_NO_STORE, "Content-Disposition": name}
        return Response(content, media_type="text/x-opml; charset=utf-8", headers=headers)

    @router.post("/v1/feeds")
    async def add(request: Request) -> Response:
        sources = admitted(request)
        added = await feeds.add(await _read(request, NewFeed), sources)
        return _answer(added, HTTPStatus.CREATED, {"Location": f"/v1/feeds/{added.id}"})

    @router.post("/v1/feeds/check")
    async def checked(request: Request) -> Response:
        admitted(request)
        return _answer(await feeds.check(await _read(request, CheckFeed)))

    @router.post("/v1/feeds/import")
    async def imported(request: Request) -> Response:
        sources = admitted(request)
        data = await _body(request, MAX_LIST_BYTES)
        names = request.query_params.get("names") == "true"
        kind = request.headers.get("content-type", "")
        return _answer(await feeds.import_list(data, kind, sources, names=names))

    @router.get("/v1/feeds/{feed_id}")
    async def one(request: Request, feed_id: str) -> Response:
        admitted(request)
        return _answer(await _stored(feeds.get(feed_id)))

    @router.patch("/v1/feeds/{feed_id}")
    async def change(request: Request, feed_id: str) -> Response:
        sources = admitted(request)
        return _answer(await feeds.change(feed_id, await _read(request, FeedChanges), sources))

    @router.delete("/v1/feeds/{feed_id}")
    async def remove(request: Request, feed_id: str) -> Response:
        await _stored(feeds.remove(feed_id, admitted(request)))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    @router.post("/v1/feeds/{feed_id}/poll")
    async def poll(request: Request, feed_id: str) -> Response:
        return _answer(await _stored(feeds.poll(feed_id, admitted(request))), HTTPStatus.ACCEPTED)

    return router


def _query(request: Request) -> tuple[str | None, str | None, int, int]:
    """Status, URL, offset and limit of a list. Raises ``Refused``."""
    given = request.query_params
    status = given.get("status")
    if status is not None and status not in STATUSES:
        raise Refused(422, f"status must be one of {', '.join(STATUSES)}", field="status")
    numbers = []
    for name, default, most in (("offset", 0, 1_000_000), ("limit", 100, MAX_PAGE)):
        text = given.get(name, str(default))
        if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) > most:
            raise Refused(422, f"{name} must be a whole number from 0 to {most}", field=name)
        numbers.append(int(text))
    return status, given.get("url"), numbers[0], numbers[1]


def _options(asked: NewFeed, url: str, *, user: str = "", password: str = "", login: bool = True) -> FeedOptions:
    """The options of a feed with this URL; ``login`` False: without what is secret. Raises ``Refused``."""
    _check_headers(asked.headers)
    try:
        return FeedOptions(
            url=_web_address(url),
            source=asked.source or "",
            language=asked.language or "",
            interval=asked.interval or 0.0,
            headers=(asked.headers or {}) if login else {},
            user=(asked.user or user) if login else "",
            password=(asked.password or password) if login else "",
            full_text=asked.full_text,
        )
    except ValueError as error:
        raise Refused(422, f"url: {error}", field="url") from None


def _login(options: FeedOptions) -> Login:
    return Login(user=options.user or None, password=options.password or None, headers=options.headers)


def _imported_options(outline: Outline, problems: list[str], *, names: bool) -> FeedOptions:
    """The options of a feed of a list. Settings that are not valid are noted in ``problems``. Raises ``ValueError``."""
    if not outline.url:
        raise ValueError("it has no address (xmlUrl)")
    settings = {
        "source": outline.source or (outline.name if names else None),
        "language": outline.language,
        "interval": outline.interval,
        "full_text": bool(outline.full_text),
    }
    try:
        asked = NewFeed(url=outline.url, **settings)  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = {str(one["loc"][0]): one["msg"] for one in error.errors(include_url=False, include_input=False)}
        if "url" in wrong:
            raise ValueError(f"url: {wrong['url']}") from None
        problems += [f"{name}: {cause}" for name, cause in wrong.items()]
        asked = NewFeed(url=outline.url, **{name: value for name, value in settings.items() if name not in wrong})  # type: ignore[arg-type]
    url = _FEED_SCHEME.sub("", asked.url.strip())
    if url.startswith("//"):
        url = f"http:{url}"
    elif "://" not in url and "." in url.partition("/")[0] and " " not in url:
        url = f"https://{url}"
    try:
        return _options(asked, url)
    except Refused as refused:
        raise ValueError(refused.detail) from None


def _web_address(url: str) -> str:
    """The address as RFC 3986 has it. Raises ``ValueError``."""
    address = web_address(url.strip())
    if len(address) > MAX_URL:
        raise ValueError(f"must have at most {MAX_URL} characters")
    return address


def _check_headers(headers: dict[str, str] | None) -> None:
    try:
        check_headers(headers or {})
    except ValueError as error:
        raise Refused(422, f"headers: {error}", field="headers") from None


def _check_source(sources: Sources, source: str) -> None:
    """Refuse a source that the client may not use: a key may be bound to some."""
    if sources is not None and source not in sources:
        cause = f"this API key may use feeds of {', '.join(sorted(sources))} only, not of {source}"
        raise Refused(403, cause, field="source")


def _unknown() -> Refused:
    return Refused(404, "there is no feed with this id")


async def _stored(work: Awaitable[_T]) -> _T:
    """The result of a request to the store. Raises ``Refused`` 503 when it takes too long."""
    try:
        async with asyncio.timeout(_STORE_SECONDS):
            return await work
    except TimeoutError:
        raise Refused(503, _UNAVAILABLE, headers=_LATER) from None


async def _read(request: Request, model: type[_Model]) -> _Model:
    """The body of a request. Raises ``Refused``."""
    body = await _body(request, _MAX_BODY_BYTES)
    try:
        given = from_json(body)
    except ValueError:
        raise Refused(400, "the body is not JSON") from None
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = str(first["loc"][0])[:60] if first["loc"] else "body"
        raise Refused(422, f"{field}: {first['msg'].removeprefix('Value error, ')}", field=field) from None


async def _body(request: Request, limit: int) -> bytes:
    body = bytearray()

    def take(chunk: bytes) -> None:
        body.extend(chunk)
        if len(body) > limit:
            raise Refused(413, f"the body has more than {limit} bytes", headers=_CLOSE)

    try:
        await request_body.receive(request.stream(), take)
    except ClientDisconnect:
        raise Refused(400, "the body ended too early") from None
    except request_body.TooSlow as error:
        raise Refused(408, str(error), headers=_CLOSE) from None
    return bytes(body)


def _answer(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body.model_dump_json(), status, _NO_STORE | (headers or {}), media_type="application/json")


def _out(feed: Feed) -> FeedOut:
    options, state = feed.options, feed.state
    days = min(max((time.time() - state.created) / _DAY_SECONDS, 1.0), float(DAYS))
    return FeedOut(
        id=feed.id,
        url=options.url,
        status=feed.status,
        source=options.source_name,
        language=options.language or None,
        interval=options.interval or None,
        full_text=options.full_text,
        headers=sorted(options.headers),
        login=bool(options.user),
        origin=options.origin,
        title=state.title or None,
        site=state.site or None,
        created=_moment(state.created),
        polled=_moment(state.polled),
        succeeded=_moment(state.succeeded),
        changed=_moment(state.changed),
        next_poll=_moment(state.next_poll) if feed.status not in {"paused", "gone"} else None,
        error=state.error or None,
        failures=state.failures,
        moved_to=state.moved_to or None,
        articles_per_day=round(sum(state.days.values()) / days, 1),
        articles=state.articles,
        known=state.known,
        rejected=state.rejected,
        problems=state.problems,
    )


def _moment(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
