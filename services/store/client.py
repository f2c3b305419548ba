"""The store's client: all reads and writes of the live aggregates in Redis or Valkey."""

import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from prometheus_client import Counter
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
from services.store.layout import Dimension, Facet, Span, Window
from services.store.snapshot import RECENT, SEASONS, Counts, Observation, Snapshot

OVER_BUDGET = Counter(
    "khabar_store_ids_over_budget_total",
    "Ids of articles that were counted as other: budgets of new ids",
    ["dimension"],
)

_LUA = Path(__file__).with_name("lua")
# Stories that are read at once: parsing them takes the event loop about 5 ms.
_PAGE = 100
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
        self._layout = layout.digest()
        constants = f"local layout, layout_digest = {layout.as_lua(layout.LAYOUT)}, '{self._layout}'\n"
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
        this offset and the batch. A store of another log or layout is emptied first, and is incomplete from then on.
        A batch that exceeds a budget of new ids (``layout.NEW_IDS``) is applied in parts.
        Raises ``Gap`` when any other record before the batch was not applied.
        """
        now_ms = int(now.timestamp() * 1000)
        new = 0
        while len(batch):
            outcome, applied, *over = await self._run(
                "apply",
                (),
                log,
                batch.first,
                batch.last,
                -2 if gone_after is None else gone_after,
                batch.encode(),
                now_ms,
            )
            match outcome:
                case "applied":
                    for dimension, ids in zip(("source", "entity"), over, strict=True):
                        if ids:
                            OVER_BUDGET.labels(dimension).inc(ids)
                    return new + len(batch)
                case "seen":
                    batch = batch.after(int(applied))
                case "no_windows":
                    await self.roll(now)
                case "crowded":
                    begin, batch = batch.split()
                    new += await self.apply(log, begin, now=now, gone_after=gone_after)
                case _:
                    raise Gap(int(applied))
        return new

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

    async def adopt(self, log: str, *, now: datetime, replaced: bool = False) -> Literal["log", "layout"] | None:
        """Empty the store if it reflects another log than ``log`` or has another layout; return which of the two.

        ``replaced``: the records of this log are not those that were counted: empty it in any case. Afterwards the
        counts are incomplete until ``end_rebuild``.
        """
        cause: Literal["log", "layout"] | None = await self._run(
            "adopt", (), log, int(now.timestamp() * 1000), int(replaced)
        )
        return cause

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

    async def sample(self, log: str) -> tuple[int, tuple[int, int] | None]:
        """The last applied offset, -1 when there is none, and offset and timestamp of a record applied at its end."""
        async with self.redis.pipeline(transaction=True) as pipeline:
            pipeline.hget(layout.APPLIED, log)
            pipeline.hget(layout.STATE, "sample")
            applied, sample = await pipeline.execute()
        if applied is None or sample is None:
            return int(applied or -1), None
        offset, timestamp = sample.split(":")
        return int(applied), (int(offset), int(timestamp))

    async def state(self, log: str) -> State:
        """The last applied offset, and whether the counts are complete; ``log`` may be empty when it is not known."""
        async with self.redis.pipeline(transaction=False) as pipeline:
            pipeline.hgetall(layout.APPLIED)
            pipeline.hmget(layout.STATE, ["complete", "rebuilding", "goal", "layout", "15m:m"])
            applied, (since, rebuilding, goal, digest, windows) = await pipeline.execute()
        other = (log and applied.keys() - {log}) or (windows is not None and digest != self._layout)
        return State(
            int(applied.get(log, -1)),
            None if goal is None else int(goal),
            _completeness(-1 if since is None else int(since), int(rebuilding is not None or bool(other))),
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

    async def stories(
        self, since: datetime, wanted: Mapping[Facet, Collection[str]] | None = None, *, examined: int = 20_000
    ) -> AsyncIterator[Story]:
        """Stories that were published since then, newest first; fetched page by page.

        Only the newest 20,000 are listed, without merged ones. ``wanted``: only stories that have one of the values
        of each facet. Of the stories with a value of the rarest facet, the newest ``examined`` are looked at.
        """
        first = int(since.timestamp() * 1000)
        facets = [[f"{facet}:{value}" for value in values] for facet, values in (wanted or {}).items() if values]
        async for page in self._ids(first, facets, examined):
            if not page:
                continue
            for found in await self.redis.mget([f"{layout.TAG}:story:{story_id}" for story_id in page]):
                story = None if found is None else Story.model_validate_json(found)
                # A story may have been merged after the ids of the page were read.
                if story is not None and story.merged_into is None:
                    yield story

    async def _ids(self, first: int, facets: list[list[str]], examined: int) -> AsyncIterator[list[str]]:
        """Ids of stories that have one of each list of facets, in pages, newest first."""
        keys = [layout.STORIES]
        others: list[frozenset[str]] = []
        if facets:
            counts = await self._counted(first, facets)
            rarest = min(range(len(facets)), key=counts.__getitem__)
            if not counts[rarest]:
                return
            keys = [layout.stories_with(facet) for facet in facets[rarest]]
            others = [frozenset(some) for at, some in enumerate(facets) if at != rarest]
        pages = self._paged(keys[0], first, examined) if len(keys) == 1 else self._merged(keys, first, examined)
        async for page in pages:
            yield await self._having(page, others) if others else page

    async def _counted(self, first: int, facets: list[list[str]]) -> list[int]:
        async with self.redis.pipeline(transaction=False) as pipeline:
            for facet in (facet for some in facets for facet in some):
                pipeline.zcount(layout.stories_with(facet), first, "+inf")
            counts = iter(await pipeline.execute())
        return [sum(next(counts) for _ in some) for some in facets]

    async def _paged(self, key: str, first: int, examined: int) -> AsyncIterator[list[str]]:
        for at in range(0, examined, _PAGE):
            number = min(_PAGE, examined - at)
            page: list[Any] = await self.redis.zrange(
                key, "+inf", first, desc=True, byscore=True, offset=at, num=number
            )
            if not page:
                return
            yield page

    async def _merged(self, keys: list[str], first: int, examined: int) -> AsyncIterator[list[str]]:
        scores: dict[str, float] = {}
        async with self.redis.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.zrange(key, "+inf", first, desc=True, byscore=True, offset=0, num=examined, withscores=True)
            for page in await pipeline.execute():
                scores.update(page)
        ids = sorted(scores, key=lambda story_id: (scores[story_id], story_id), reverse=True)[:examined]
        for at in range(0, len(ids), _PAGE):
            yield ids[at : at + _PAGE]

    async def _having(self, page: list[str], facets: list[frozenset[str]]) -> list[str]:
        """Those of the stories that have one of each set of facets."""
        listed: list[Any] = await self.redis.hmget(layout.FACETS, page)
        found = []
        for story_id, lines in zip(page, listed, strict=True):
            has = frozenset((lines or "").split("\n"))
            if not any(map(has.isdisjoint, facets)):
                found.append(story_id)
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
