"""A feed document → articles on Kafka: parse, identify, write, remember. For polls and for deliveries of WebSub."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from prometheus_client import Counter

from ingest.feeds.candidates import Candidate, candidates
from ingest.feeds.identity import Seen
from ingest.producer import Intake, PreparedRecord, TooLarge
from services.blocking import run_in_thread
from services.deadletters import SourceRecord
from services.documents.feed import FeedContent, FeedEntry
from services.documents.feed_parser import PARSERS, parse_feed
from services.parsing import InvalidArticle
from services.store.feeds import DAYS, Claim, Feed, Feeds

ENTRIES = Counter(
    "khabar_ingest_feed_entries_total",
    "Entries of feed documents: sent, known, rejected (a dead letter) or over_limit (beyond KHABAR_MAX_FEED_ENTRIES)",
    ["outcome"],
)

#: A lease lasts this many seconds, and is renewed long before.
LEASE_SECONDS: Final = 60.0
_BATCH: Final = 200
# While this many documents wait to be parsed, no further ones are fetched.
_MOST_WAITING: Final = 32
# What is shown of the problems of a document.
_MAX_PROBLEMS: Final = 20
_MAX_PROBLEM: Final = 300
_MAX_NAME: Final = 500
_DAY_SECONDS: Final = 86_400

Complete = Callable[[Feed, FeedEntry], Awaitable[FeedEntry]]
"""Gets the full text of an entry of a feed with ``full_text``."""


class LeaseLost(Exception):
    """Another process may poll the feed now, or its options were changed meanwhile: this one has to stop."""


@dataclass(frozen=True)
class Written:
    """What became of a document, all of which is acknowledged by Kafka; ``seen``: what to remember of it.

    ``sent``, ``known``, ``rejected``, ``over_limit``: numbers of entries; together they are all of the document's.
    """

    content: FeedContent
    sent: int
    known: int
    rejected: int
    over_limit: int
    seen: str
    problems: list[str]

    def state(self, feed: Feed) -> dict[str, Any]:
        """The fields of ``FeedState`` that follow."""
        now, state = time.time(), feed.state
        today = datetime.fromtimestamp(now, UTC).date()
        days = state.days | {today.isoformat(): state.days.get(today.isoformat(), 0) + self.sent}
        return {
            "title": (self.content.title or state.title)[:_MAX_NAME],
            "site": (self.content.site or state.site)[:_MAX_NAME],
            "days": {day: days[day] for day in sorted(days)[-DAYS:] if days[day]},
            "articles": state.articles + self.sent,
            "known": state.known + self.known,
            "rejected": state.rejected + self.rejected,
            "problems": self.problems,
        }


class FeedWriter:
    """Writes what is new in feed documents. One for each process: it decides how many are parsed at a time.

    ``max_entries``: further entries of a document are not read. ``complete``: gets the full text of entries.
    """

    def __init__(self, feeds: Feeds, intake: Intake, *, max_entries: int, complete: Complete | None = None) -> None:
        self._feeds = feeds
        self._intake = intake
        self._max_entries = max_entries
        self._complete = complete
        # Documents wait here, and not in threads.
        self._turn = asyncio.Semaphore(PARSERS)
        self._waiting = 0
        self._free = asyncio.Event()
        self._free.set()

    async def until_free(self) -> None:
        """Wait while many documents wait to be parsed: each takes memory."""
        await self._free.wait()

    async def write(self, claim: Claim, data: bytes, *, content_type: str, url: str, whole: bool = True) -> Written:
        """Parse a document, write its new and changed entries to Kafka, and dead letters for those that are not valid.

        ``url``: where the document came from. ``whole``: it is the feed's whole document, not only what is new in it.
        What was acknowledged is remembered in the store after each batch, and at the end by the caller (``seen``).

        Raises ``NotAFeed``; ``Unavailable`` when Kafka does not acknowledge; ``LeaseLost``; ``redis.RedisError``. In
        each case what was not acknowledged is not remembered: the next poll sends it.
        """
        parse = partial(parse_feed, data, content_type=content_type, url=url, max_entries=self._max_entries)
        self._note_waiting(1)
        try:
            async with self._turn:
                content = await run_in_thread(parse, name="feed")
        finally:
            self._note_waiting(-1)
        day = int(time.time() // _DAY_SECONDS)
        seen = Seen(await self._feeds.seen(claim.feed.id), day=day)
        found = await run_in_thread(partial(candidates, claim.feed, content.entries, seen, day=day), name="feed")
        # Feeds list the newest entry first; articles are sent in the order of publication.
        changed = [one for one in found if not one.identity.known][::-1]
        rejected = await self._send(claim, changed, seen, day)
        for candidate in reversed(found):
            seen.put(candidate.identity, day=day)
        keys = len({candidate.identity.key for candidate in found})
        seen.keep(document=keys, whole=whole, day=day)
        sent, known = len(changed) - rejected, len(found) - len(changed)
        ENTRIES.labels("known").inc(known)
        ENTRIES.labels("over_limit").inc(content.over_limit)
        problems = _problems(content, found, self._max_entries)
        return Written(content, sent, known, rejected, content.over_limit, seen.encode(), problems)

    def _note_waiting(self, change: int) -> None:
        self._waiting += change
        if self._waiting < _MOST_WAITING:
            self._free.set()
        else:
            self._free.clear()

    async def _send(self, claim: Claim, changed: Sequence[Candidate], seen: Seen, day: int) -> int:
        """Write articles and dead letters, in batches, and remember each batch; return how many were rejected."""
        rejected = 0
        for start in range(0, len(changed), _BATCH):
            # Also shows whether this process still holds the lease, before anything is written.
            stored = seen.encode() if start else None
            if await self._feeds.save(claim, {}, seconds=LEASE_SECONDS, seen=stored) != "saved":
                raise LeaseLost
            batch = [await self._completed(claim.feed, one) for one in changed[start : start + _BATCH]]
            prepared, letters = await run_in_thread(partial(_prepare, batch, self._intake), name="feed")
            unwritten = await self._intake.write([record for _, record in prepared], way="feed") if prepared else {}
            letters += [(prepared[place][0].dead_letter(), cause) for place, cause in unwritten.items()]
            if letters:
                await self._intake.reject(letters, stage="feeds")
            for candidate in batch:
                seen.put(candidate.identity, day=day)
            rejected += len(letters)
            ENTRIES.labels("sent").inc(len(batch) - len(letters))
            ENTRIES.labels("rejected").inc(len(letters))
        return rejected

    async def _completed(self, feed: Feed, candidate: Candidate) -> Candidate:
        if self._complete is None or not feed.options.full_text or not candidate.entry.summary_only:
            return candidate
        entry = await self._complete(feed, candidate.entry)
        return candidate if entry is candidate.entry else candidate.completed(feed, entry)


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


def _problems(content: FeedContent, found: Sequence[Candidate], max_entries: int) -> list[str]:
    """What was wrong with a document and its entries, each kind once."""
    over = [f"{content.over_limit} entries are beyond the limit of {max_entries} (KHABAR_MAX_FEED_ENTRIES)"]
    all_of_them = [
        *(over if content.over_limit else []),
        *content.problems,
        *(problem for candidate in found for problem in candidate.problems),
    ]
    return [*dict.fromkeys(problem[:_MAX_PROBLEM] for problem in all_of_them)][:_MAX_PROBLEMS]
