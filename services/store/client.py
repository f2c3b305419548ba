"""The store's client: all reads and writes of the live aggregates in Redis or Valkey."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.commands.core import AsyncScript

from services.clock import Clock, utc_now
from services.connections import close_redis, redis_client
from services.events import Story, Trend, TrendKind, TrendWindow
from services.store import layout
from services.store.answers import Completeness, Count, RecordLocation, Series, State, Top
from services.store.batch import Batch
from services.store.layout import Dimension, Span, Window
from services.store.snapshot import RECENT, SEASONS, Counts, Observation, Snapshot

_LUA = Path(__file__).with_name("lua")
_PAGE = 500
_DAYS_BACK = layout.KEPT // layout.DAY
# How many buckets one call of the script removes from their windows; other clients are blocked that long.
_BUCKETS_PER_ROLL = 20
# How many of the ids with the highest counts in a window are examined as trend candidates.
_EXAMINED = 2_000
# A trend candidate has at least this many times its usual share of all articles.
_MIN_RATIO = 1.5


# Never exists: a write to it that needs it to exist leaves no trace, and is refused like any other.
_PROBE = f"{layout.STATE}:probe"


class Gap(Exception):
    """Records between the last applied one, ``applied``, and the batch are missing in the store."""

    def __init__(self, applied: int) -> None:
        super().__init__(f"records after {applied} were not applied")
        self.applied = applied


class Store:
    """Reads and writes of the live aggregates. Raises ``redis.RedisError`` when the store cannot be reached."""

    def __init__(self, url: str, *, clock: Clock = utc_now) -> None:
        self.url = url
        self._clock = clock
        self.redis: Redis = redis_client(
            url,
            decode_responses=True,
            socket_timeout=5,
            socket_connect_timeout=2,
            retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), 2),
        )
        constants = f"local layout = {layout.as_lua(layout.LAYOUT)}\n"
        common = constants + (_LUA / "common.lua").read_text(encoding="utf-8")
        self._scripts: dict[str, AsyncScript] = {
            path.stem: self.redis.register_script(common + path.read_text(encoding="utf-8"))
            for path in sorted(_LUA.glob("*.lua"))
            if path.stem != "common"
        }

    async def _run(self, script: str, keys: Sequence[str], *arguments: str | int | float | bytes) -> Any:
        # All keys of a script are in the slot of this one, including those that the script computes.
        return await self._scripts[script](keys=[*keys] or [layout.STATE], args=[*arguments])

    # ---- writes: by the one worker that has the partition of the log ----

    async def apply(self, log: str, batch: Batch, *, now: datetime, gone_after: int | None = None) -> int:
        """Apply a batch and its last offset in one atomic script; return how many of its offsets were new.

        ``now``: where the windows of an empty store end. ``gone_after``: the log no longer has the records between
        this offset and the batch. Raises ``Gap`` when any other record before the batch was not applied.
        """
        while len(batch):
            outcome, applied = await self._run(
                "apply", (), log, batch.first, batch.last, -2 if gone_after is None else gone_after, batch.encode()
            )
            match outcome:
                case "applied":
                    return len(batch)
                case "seen":
                    batch = batch.after(int(applied))
                case "no_windows":
                    await self.roll(now)
                case _:
                    raise Gap(int(applied))
        return 0

    async def roll(self, now: datetime) -> None:
        """Move the end of all windows to this minute, which must not be before their present end."""
        while await self._run("roll", (), int(now.timestamp()), _BUCKETS_PER_ROLL):
            pass

    async def trend_candidates(
        self, now: datetime, *, floors: Mapping[TrendWindow, int], active: Sequence[tuple[TrendKind, str]] = ()
    ) -> Snapshot:
        """What may be trending: at least ``floors`` counts in a window, and more than its usual share of all articles.

        The ``active`` trends are always included.
        """
        arguments = (json.dumps(floors), json.dumps([*active]), RECENT, SEASONS, _MIN_RATIO, _EXAMINED)
        volume, flat = await self._run("trend_candidates", (), int(now.timestamp()), *arguments)
        return Snapshot(
            _counts(volume),
            [Observation(flat[at], flat[at + 1], _counts(flat[at + 2])) for at in range(0, len(flat), 3)],
        )

    async def names(self, things: Sequence[tuple[TrendKind, str]]) -> list[str]:
        """The names of entities, topics and stories, in the given order; an unknown id is returned as its own name."""
        found: list[str] = await self._run("names", (), json.dumps([*things]), self._today())
        return found

    async def begin_rebuild(self, goal: int) -> None:
        """Mark the counts as incomplete until the record at offset ``goal`` is applied."""
        await self.redis.hset(layout.STATE, mapping={"rebuilding": 1, "goal": goal})

    async def end_rebuild(self) -> None:
        """Mark the counts as complete again."""
        await self.redis.hdel(layout.STATE, "rebuilding", "goal")

    async def clear(self) -> None:
        """Remove all keys but the webhooks', atomically: some microseconds per key, during which others are blocked."""
        await self._run("clear", ())

    # ---- reads ----

    async def applied(self, log: str) -> int:
        """Offset of the last applied record; -1 when there is none."""
        return int(await self.redis.hget(layout.APPLIED, log) or -1)

    async def check_writable(self) -> None:
        """Check that the store takes writes; changes nothing. Raises ``redis.RedisError``, as when it is full."""
        await self.redis.set(_PROBE, 1, xx=True)

    async def state(self, log: str) -> State:
        """The last applied offset, and whether the counts are complete."""
        async with self.redis.pipeline(transaction=False) as pipeline:
            pipeline.hget(layout.APPLIED, log)
            pipeline.hmget(layout.STATE, ["complete", "rebuilding", "goal"])
            applied, (since, rebuilding, goal) = await pipeline.execute()
        return State(
            -1 if applied is None else int(applied),
            None if goal is None else int(goal),
            _completeness(-1 if since is None else int(since), int(rebuilding or 0)),
        )

    async def top(self, by: Dimension, window: Window, *, limit: int, offset: int = 0, sources: bool = False) -> Top:
        """The ids with the highest counts in a window, in one round trip; equal counts in reverse order of their ids.

        ``sources``: also the number of distinct sources that named each entity today and yesterday, or that wrote
        about each story, within about 1%. Raises ``KeyError`` when the dimension has no such window.
        """
        span, view = layout.window_source(by, window)
        keys = (layout.top(by, window), layout.top("total", window), layout.STATE)
        answer = await self._run("top", keys, by, window, span, offset, limit, self._today(), int(sources))
        articles, duplicates, size, edge, since, rebuilding, flat = answer
        if edge < 0:
            edge = layout.bucket(span, self._clock()) - view.buckets
        items = [
            Count(flat[at], flat[at + 1], int(flat[at + 2]), None if flat[at + 3] < 0 else int(flat[at + 3]))
            for at in range(0, len(flat), 4)
        ]
        return Top(
            int(articles),
            int(duplicates),
            items,
            size=int(size),
            since=layout.start(span, edge + 1),
            until=layout.start(span, edge + 1 + view.buckets),
            error=(view.min_count - 1) * view.buckets,
            complete=_completeness(since, rebuilding),
        )

    async def series(  # noqa: PLR0913 - what is counted, and from when to when
        self, by: str, name: str, span: Span, *, first: int, last: int, step: int = 1
    ) -> Series:
        """Counts of one id in the buckets ``first`` to ``last``, summed over ``step`` buckets each, in one round trip.

        ``by`` is a dimension or ``total`` (ids ``articles`` and ``duplicates``). Raises ``KeyError`` when the
        dimension is not counted by this span.
        """
        _ = layout.SPANS[by][span]
        since, rebuilding, counts = await self._run("series", (), by, span, name, first, last, step)
        points = [(layout.start(span, first + at * step), int(count)) for at, count in enumerate(counts)]
        return Series(points, _completeness(since, rebuilding))

    async def trends(self) -> list[Trend]:
        """The last event of each trend that is active or has ended recently."""
        return [Trend.model_validate_json(found) for found in await self.redis.hvals(layout.TRENDS)]

    async def locate(self, name: str) -> RecordLocation | None:
        """The location of an article's or story's newest record; None when it is not known. One round trip."""
        offset, moved = await self._run("locate", (), name, self._today(), _DAYS_BACK)
        return None if offset is None else RecordLocation(int(offset), moved)

    async def story(self, story_id: str) -> Story | None:
        """The last published state of a story, also of a merged one; None when it is not among the newest 20,000."""
        found = await self.redis.get(f"{layout.TAG}:story:{story_id}")
        return None if found is None else Story.model_validate_json(found)

    async def survivor(self, story_id: str) -> str:
        """The id of the story that has this story's articles now: its own, or the end of its chain of merges."""
        return str(await self._run("survivor", (), story_id, self._today(), _DAYS_BACK))

    async def stories(self, since: datetime) -> AsyncIterator[Story]:
        """Stories that were published since then, newest first; fetched page by page.

        Only the newest 20,000 are listed, without merged ones.
        """
        first = int(since.timestamp() * 1000)
        at = 0
        while page := await self._stories(first, at):
            for found in page:
                story = None if found is None else Story.model_validate_json(found)
                # A story may have been merged after the ids of the page were read.
                if story is not None and story.merged_into is None:
                    yield story
            at += len(page)

    async def _stories(self, first: int, at: int) -> list[str | None]:
        ids: list[Any] = await self.redis.zrange(
            layout.STORIES, "+inf", first, desc=True, byscore=True, offset=at, num=_PAGE
        )
        if not ids:
            return []
        found: list[Any] = await self.redis.mget([f"{layout.TAG}:story:{story_id}" for story_id in ids])
        return found

    async def close(self) -> None:
        """Close all connections."""
        await close_redis(self.redis)

    def _today(self) -> int:
        return layout.bucket("d", self._clock())


def _completeness(since: int, rebuilding: int) -> Completeness:
    return Completeness(None if since < 0 else datetime.fromtimestamp(since / 1000, UTC), bool(rebuilding))


def _counts(numbers: Sequence[int]) -> Counts:
    quarter, hour, day, everything = (int(number) for number in numbers[:4])
    recent, seasonal = numbers[4 : 4 + RECENT], numbers[4 + RECENT :]
    return Counts(tuple(map(int, recent)), quarter, hour, day, everything, tuple(map(int, seasonal)))
