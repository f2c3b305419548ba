"""Polls every feed at its own pace and sends what is new in it."""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import structlog
from prometheus_client import Counter

from ingest.feeds.candidates import MAX_ENTRIES, PARSERS, Candidate, read_candidates
from ingest.feeds.feed import Feed, FeedError, without_credentials
from ingest.feeds.fetch import FeedRequest, FetchFailure, NotModified, fetch
from ingest.producer import Intake, PreparedRecord, TooLarge, Unavailable
from ingest.web import WebClient
from services import backoff
from services.blocking import run_in_thread
from services.deadletters import SourceRecord
from services.parsing import InvalidArticle
from services.settings import Settings

log = structlog.get_logger(__name__)

POLLS = Counter("khabar_ingest_feed_polls_total", "Polls of feeds by their outcome", ["outcome"])

# How many sent entries of a feed are kept in memory.
MAX_SEEN = 2 * MAX_ENTRIES
MAX_FEED_BYTES = 5_000_000
_BATCH = 200
_MAX_DELAY = 6 * 3600.0


@dataclass(frozen=True)
class PollResult:
    """The result of one poll: articles sent and entries refused; ``changed`` is False for a 304."""

    changed: bool
    accepted: int = 0
    refused: int = 0


async def poll(
    feed: Feed,
    web: WebClient,
    intake: Intake,
    *,
    max_bytes: int = MAX_FEED_BYTES,
    turn: AbstractAsyncContextManager[object] | None = None,
) -> PollResult:
    """Fetch a feed once and send its new and changed entries.

    ``turn`` is held while the document is parsed. Raises ``FeedError`` when the feed cannot be read and ``Unavailable``
    when Kafka does not acknowledge. In either case entries that were not sent are not marked as seen.
    """
    request = FeedRequest(feed.url, etag=feed.etag, modified=feed.modified)
    document = await fetch(request, web, max_bytes=max_bytes)
    if isinstance(document, FetchFailure):
        raise FeedError(document.message)
    if isinstance(document, NotModified):
        return PollResult(changed=False)
    async with turn or nullcontext():
        candidates = await run_in_thread(partial(read_candidates, feed, document), name="feed")
    # Feeds list the newest entry first; articles are sent in the order of publication.
    changed = _changed(feed, candidates)[::-1]
    accepted = refused = 0
    for start in range(0, len(changed), _BATCH):
        batch = changed[start : start + _BATCH]
        prepared, letters = await run_in_thread(partial(_prepare, batch, intake), name="feed")
        unwritten = await intake.write([record for _, record in prepared], way="feed") if prepared else {}
        letters += [(prepared[place][0].dead_letter(), cause) for place, cause in unwritten.items()]
        if letters:
            await intake.reject(letters, stage="feeds")
        for candidate in batch:
            feed.seen[candidate.id] = candidate.content
            feed.seen.move_to_end(candidate.id)
        accepted += len(prepared) - len(unwritten)
        refused += len(letters)
    while len(feed.seen) > MAX_SEEN:
        feed.seen.popitem(last=False)
    # Set last: otherwise, after a failure above, the next poll would get a 304 and the entries would be lost.
    feed.etag, feed.modified = document.etag, document.modified
    return PollResult(changed=True, accepted=accepted, refused=refused)


def _changed(feed: Feed, entries: Iterable[Candidate]) -> list[Candidate]:
    """The entries that were not sent yet with this content. Of entries with the same id, only the first counts."""
    changed = []
    ids: set[str] = set()
    for candidate in entries:
        if candidate.id in ids:
            continue
        ids.add(candidate.id)
        if feed.seen.get(candidate.id) == candidate.content:
            feed.seen.move_to_end(candidate.id)
        else:
            changed.append(candidate)
    return changed


def _prepare(
    batch: Sequence[Candidate], intake: Intake
) -> tuple[list[tuple[Candidate, PreparedRecord]], list[tuple[SourceRecord, str]]]:
    """The records of the valid articles, and the dead letters of the invalid ones with their causes."""
    records: list[tuple[Candidate, PreparedRecord]] = []
    letters: list[tuple[SourceRecord, str]] = []
    for candidate in batch:
        if isinstance(candidate.article, InvalidArticle):
            letters.append((candidate.dead_letter(), str(candidate.article)))
            continue
        try:
            records.append((candidate, intake.prepare(candidate.article, article_id=candidate.id)))
        except TooLarge as error:
            letters.append((candidate.dead_letter(), str(error)))
    return records, letters


class Poller:
    """Polls every feed at its own pace; a slow feed never delays another.

    ``rng`` returns numbers from 0 to 1, for jitter.
    """

    def __init__(
        self,
        feeds: list[Feed],
        settings: Settings,
        intake: Intake,
        *,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._feeds = feeds
        self._settings = settings
        self._intake = intake
        self._rng = rng
        # Feeds wait here, and not in threads.
        self._turn = asyncio.Semaphore(PARSERS)

    async def run(self) -> None:
        """Poll until cancelled."""
        async with WebClient.of(self._settings) as web, asyncio.TaskGroup() as group:
            for feed in self._feeds:
                group.create_task(self._follow(feed, web))

    async def _follow(self, feed: Feed, web: WebClient) -> None:
        # A random delay, so that many feeds do not all start at the same moment.
        await asyncio.sleep(self._rng() * min(self._settings.feed_interval, 0.05 * len(self._feeds)))
        while True:
            await self.poll_once(feed, web)
            await asyncio.sleep(self.delay(feed))

    async def poll_once(self, feed: Feed, web: WebClient) -> None:
        """Poll once; never raises. A failing feed is logged at its first failure and when it recovers."""
        try:
            result = await poll(feed, web, self._intake, max_bytes=self._settings.max_feed_bytes, turn=self._turn)
        except Unavailable as error:
            POLLS.labels("kafka_away").inc()
            log.debug("feed_waits_for_kafka", feed=feed.name, cause=str(error))
        except FeedError as error:
            self._failed(feed, str(error))
        except Exception as error:  # an unexpected error must not end the polling of this feed
            log.debug("feed_failed", feed=feed.name, exc_info=True)
            self._failed(feed, without_credentials(repr(error)))
        else:
            POLLS.labels("changed" if result.changed else "unchanged").inc()
            if feed.failures:
                log.info("feed_recovered", feed=feed.name, failures=feed.failures)
                feed.failures = 0
            if result.refused:
                log.warning("feed_entries_refused", feed=feed.name, refused=result.refused)

    def delay(self, feed: Feed) -> float:
        """Seconds until the next poll: the interval, doubled with each failure, plus or minus 10%."""
        interval = self._settings.feed_interval
        return backoff.delay(feed.failures + 1, interval, max(interval, _MAX_DELAY)) * (0.9 + 0.2 * self._rng())

    def _failed(self, feed: Feed, cause: str) -> None:
        POLLS.labels("failed").inc()
        if not feed.failures:
            log.warning("feed_failing", feed=feed.name, cause=cause)
        feed.failures += 1
