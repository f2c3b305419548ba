"""Polls the feeds that are due and sends what is new in them."""

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from prometheus_client import Counter
from redis import RedisError

from ingest.feeds import schedule
from ingest.feeds.fetch import FeedDocument, FeedRequest, FetchFailure, NotModified, fetch
from ingest.feeds.websub import WebSub
from ingest.feeds.writer import LEASE_SECONDS, FeedWriter, LeaseLost, Written
from ingest.producer import Intake, Unavailable
from ingest.web import Access, WebClient, without_credentials
from services.backoff import Backoff
from services.documents.feed import FeedContent, NotAFeed
from services.settings import Settings
from services.store.feeds import Claim, Feed, Feeds, normalised

log = structlog.get_logger(__name__)

POLLS = Counter("khabar_ingest_feed_polls_total", "Polls of feeds by their outcome", ["outcome"])

# Feeds that are polled at the same time; most of them wait for a server.
MOST_AT_ONCE: Final = 1_000
# How many feeds are claimed in one step, which is what a process that is killed can hold up.
_CLAIMED_AT_ONCE: Final = 50
# How often the store is asked for feeds that are due, such as those that users have added.
_ASK_SECONDS: Final = 1.0
_RENEW_SECONDS: Final = LEASE_SECONDS / 4
# A feed that could not be sent because Kafka was away is polled again so soon after it is back.
_KAFKA_RETRY_SECONDS: Final = 5.0
# At the end, polls may take this long to finish.
_WIND_UP_SECONDS: Final = 4.0
_RELEASE_SECONDS: Final = 1.0
_MAX_ERROR: Final = 500


class Poller:
    """Polls the feeds of the store, together with other processes; a slow feed never delays another.

    ``writer``: takes the documents. ``websub``: subscribes at their hubs. ``rng``: returns numbers from 0 to 1, for
    jitter.
    """

    def __init__(  # noqa: PLR0913
        self,
        settings: Settings,
        feeds: Feeds,
        intake: Intake,
        writer: FeedWriter,
        *,
        websub: WebSub | None = None,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._feeds = feeds
        self._intake = intake
        self._writer = writer
        self._websub = websub
        self._rng = rng
        self._bounds = schedule.Bounds.of(settings)
        self._hosts = schedule.Hosts(self._bounds)
        self._running: dict[asyncio.Task[None], Claim] = {}
        self._kafka_away = False
        self._store_away = False

    async def run(self) -> None:
        """Poll until cancelled; then polls that are in progress have 4 seconds to finish."""
        async with WebClient.of(self._settings) as web:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._renew())
                    group.create_task(self._claim(web))
            finally:
                await self._wind_up()

    async def _claim(self, web: WebClient) -> None:
        backoff = Backoff(_ASK_SECONDS, 10.0)
        while True:
            if self._kafka_away:
                await self._until_kafka_is_back()
            most = min(_CLAIMED_AT_ONCE, MOST_AT_ONCE - len(self._running))
            if most <= 0:
                await asyncio.wait([*self._running], return_when=asyncio.FIRST_COMPLETED)
                continue
            try:
                claims, wait = await self._feeds.claim_due(uuid.uuid4().hex, most=most, seconds=LEASE_SECONDS)
            except RedisError as error:
                self._note_store(error)
                await backoff.wait()
                continue
            self._note_store(None)
            backoff.reset()
            for claim in claims:
                task = asyncio.create_task(self.poll(claim, web), name="feed")
                self._running[task] = claim
                task.add_done_callback(self._running.pop)
            if len(claims) < most:
                await asyncio.sleep(_ASK_SECONDS if wait is None else min(max(wait, 0.01), _ASK_SECONDS))

    async def _renew(self) -> None:
        """Renew the leases of polls that take long; end polls whose lease another process may have."""
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            with contextlib.suppress(RedisError):
                lost = await self._feeds.renew([*self._running.values()], seconds=LEASE_SECONDS)
                gone = {claim.token + claim.feed.id for claim in lost}
                for task, claim in [*self._running.items()]:
                    if claim.token + claim.feed.id in gone:
                        task.cancel()

    async def _until_kafka_is_back(self) -> None:
        while True:
            try:
                await self._intake.check()
            except Unavailable:
                await asyncio.sleep(_ASK_SECONDS)
            else:
                self._kafka_away = False
                return

    async def _wind_up(self) -> None:
        if self._running:
            await asyncio.wait([*self._running], timeout=_WIND_UP_SECONDS)
        left = [*self._running]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _note_store(self, error: RedisError | None) -> None:
        if error is not None and not self._store_away:
            log.warning("feeds_wait_for_store", cause=f"{type(error).__name__}: {error}")
        if error is None and self._store_away:
            log.info("feeds_go_on")
        self._store_away = error is not None

    async def poll(self, claim: Claim, web: WebClient) -> None:
        """Poll a feed once and save the result; raises only ``CancelledError``.

        A failing feed is logged at its first failure and when it recovers.
        """
        try:
            POLLS.labels(await self._poll(claim, web)).inc()
        except Unavailable as error:
            self._kafka_away = True
            POLLS.labels("kafka_away").inc()
            log.debug("feed_waits_for_kafka", feed=claim.feed.url, cause=str(error))
            with contextlib.suppress(RedisError):
                status = claim.feed.status
                await self._feeds.finish(claim, {}, status=status, next_in=_KAFKA_RETRY_SECONDS * (1 + self._rng()))
        except LeaseLost:
            POLLS.labels("replaced").inc()
            await self._release(claim)
        except RedisError as error:  # the lease ends by itself
            POLLS.labels("store_away").inc()
            self._note_store(error)
        except asyncio.CancelledError:
            await self._release(claim)
            raise
        except Exception as error:  # an unexpected error must not end the polling
            log.debug("feed_failed", feed=claim.feed.url, exc_info=True)
            POLLS.labels("failed").inc()
            with contextlib.suppress(RedisError):
                await self._failed(claim, without_credentials(repr(error)))

    async def _poll(self, claim: Claim, web: WebClient) -> str:
        """Poll a feed; return the outcome for the metric."""
        feed, state = claim.feed, claim.feed.state
        host = urlsplit(feed.url).hostname or ""
        wait = self._hosts.wait(host, now=time.time())
        if wait:
            await self._feeds.finish(claim, {}, status=feed.status, next_in=wait * (1 + 0.1 * self._rng()))
            return "host_waits"
        options = feed.options
        access = Access(options.user or None, options.password or None, options.headers, options.url)
        request = FeedRequest(
            feed.url, state.etag or None, state.modified or None, state.body_hash or None, access=access
        )
        await self._writer.until_free()
        fetched = await fetch(request, web, max_bytes=self._settings.max_feed_bytes)
        if isinstance(fetched, FetchFailure):
            if fetched.of_host:
                self._hosts.failed(host, feed.id, now=time.time(), retry_after=fetched.retry_after)
            else:
                self._hosts.succeeded(host)
            await self._failed(claim, fetched.message, retry_after=fetched.retry_after, gone=fetched.gone)
            return "gone" if fetched.gone else "failed"
        self._hosts.succeeded(host)
        if isinstance(fetched, NotModified):
            await self._succeeded(claim, fetched, None)
            return "unchanged"
        try:
            written = await self._writer.write(claim, fetched.data, content_type=fetched.content_type, url=fetched.url)
        except NotAFeed as error:
            await self._failed(claim, f"not a feed: {error}")
            return "failed"
        if written.rejected:
            log.warning("feed_entries_refused", feed=feed.url, refused=written.rejected)
        if written.over_limit:
            log.warning("feed_entries_over_limit", feed=feed.url, over_limit=written.over_limit)
        await self._succeeded(claim, fetched, written)
        return "changed"

    async def _succeeded(self, claim: Claim, fetched: FeedDocument | NotModified, written: Written | None) -> None:
        """Save the state after a poll that could read the feed: everything in the document is acknowledged."""
        feed, now = claim.feed, time.time()
        content = written.content if written else None
        before = schedule.Pace(
            feed.state.learnt_interval, feed.state.announced_interval, feed.state.changed, feed.state.failures
        )
        pace = schedule.succeeded(
            before,
            self._bounds,
            now=now,
            new=written.sent if written else 0,
            dates=[*_dates(content)] if content else (),
            announced=(content.interval or 0.0) if content else None,
        )
        at = schedule.next_poll(
            pace, self._bounds, now=now, rng=self._rng, own=feed.options.interval or None, max_age=fetched.max_age
        )
        if self._websub is not None:
            at = now + self._websub.wait(feed, at - now, now=now)
        state: dict[str, Any] = {
            "polled": now,
            "succeeded": now,
            "error": "",
            "failures": 0,
            "changed": pace.changed,
            "learnt_interval": pace.learnt,
            "announced_interval": pace.announced,
            "etag": fetched.etag or "",
            "modified": fetched.modified or "",
        }
        if isinstance(fetched, FeedDocument):
            state["body_hash"] = fetched.digest
        if written:
            state |= written.state(feed)
        if fetched.permanent_url and not await self._move(claim, fetched.permanent_url, state):
            return
        await self._finish(claim, state, "ok", at - now, seen=written.seen if written else None)
        if feed.state.failures:
            log.info("feed_recovered", feed=feed.url, failures=feed.state.failures)
        feed = await self._note_hub(feed, fetched, content)
        if self._websub is not None:
            self._websub.after_poll(feed, sent=written.sent if written else 0, now=now)

    async def _move(self, claim: Claim, url: str, state: dict[str, Any]) -> bool:
        """Note where the feed has moved for good. False when that is another feed, so that this one has ended."""
        feed = claim.feed
        moved_to = normalised(url)
        if moved_to == feed.url:
            return True
        other = await self._feeds.find(moved_to)
        if other is not None and other.id != feed.id:
            log.warning("feed_moved_to_another", feed=feed.url, other=other.url)
            await self._feeds.finish(
                claim, {**state, "error": f"it has moved to {moved_to}, another feed"}, status="gone", next_in=None
            )
            return False
        log.info("feed_moved", feed=feed.url, to=moved_to)
        state["moved_to"] = "" if moved_to == feed.options.url else moved_to
        return True

    async def _note_hub(self, feed: Feed, fetched: FeedDocument | NotModified, content: FeedContent | None) -> Feed:
        """Note the hub that the feed announces, for WebSub; return the feed with it."""
        hub, topic = (
            (fetched.hub, fetched.topic)
            if content is None
            else (content.hub or fetched.hub, content.topic or fetched.topic)
        )
        found = {"hub": hub or "", "topic": topic or ""}
        announced = any(found.values()) if content is None else True
        if announced and found != {name: feed.websub.get(name, "") for name in found}:
            await self._feeds.write_websub(feed.id, found)
            return replace(feed, websub={**feed.websub, **found})
        return feed

    async def _failed(self, claim: Claim, cause: str, *, retry_after: float | None = None, gone: bool = False) -> None:
        feed, now = claim.feed, time.time()
        pace = schedule.Pace(failures=feed.state.failures + 1)
        at = schedule.next_poll(
            pace, self._bounds, now=now, rng=self._rng, own=feed.options.interval or None, retry_after=retry_after
        )
        if gone or not feed.state.failures:
            log.warning("feed_gone" if gone else "feed_failing", feed=feed.url, cause=cause)
        state = {"polled": now, "error": cause[:_MAX_ERROR], "failures": pace.failures}
        await self._finish(claim, state, "gone" if gone else "failing", None if gone else at - now)

    async def _finish(
        self, claim: Claim, state: dict[str, Any], status: Any, next_in: float | None, *, seen: str | None = None
    ) -> None:
        """Save the state; once more after an error of the store, so that what was sent is remembered."""
        try:
            await self._feeds.finish(claim, state, status=status, next_in=next_in, seen=seen)
        except RedisError:
            await asyncio.sleep(_ASK_SECONDS)
            await self._feeds.finish(claim, state, status=status, next_in=next_in, seen=seen)

    async def _release(self, claim: Claim) -> None:
        with contextlib.suppress(RedisError, TimeoutError):
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._feeds.release(claim)


def _dates(content: FeedContent) -> list[float]:
    return [datetime.fromisoformat(entry.published_at).timestamp() for entry in content.entries if entry.published_at]
