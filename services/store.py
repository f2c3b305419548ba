"""The store (Redis or Valkey): every key, and the scripts that write and read them.

All keys carry the hash tag ``{khabar}``, so that a script never touches two slots of a cluster.

=============================== ====== ================================================================
key                             type   holds
=============================== ====== ================================================================
{khabar}:applied                hash   cluster/topic-partition → offset of the last applied record of ``updates``
{khabar}:count:SPAN:START:DIM   hash   id → count; SPAN m, h or all; START epoch minute or hour
{khabar}:count:…:total          hash   ``articles`` and ``duplicates``
{khabar}:names                  hash   entity or topic id → name
{khabar}:article:ID             string offset of the article's newest revision on ``updates``
{khabar}:story:ID               string the story as JSON
{khabar}:stories                zset   story id by when its state was published (ms)
=============================== ====== ================================================================
"""

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from services.events import Article, Story

Dimension = Literal["language", "source", "topic", "entity"]
Window = Literal["15m", "1h", "24h", "all"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
WINDOWS: tuple[Window, ...] = get_args(Window)

_TAG = "{khabar}"
_APPLIED = f"{_TAG}:applied"
_NAMES = f"{_TAG}:names"
_STORIES = f"{_TAG}:stories"
_LUA = Path(__file__).with_name("lua")

_DAY = 24 * 3600
_LIVES = {"m": 26 * 3600, "h": 8 * _DAY, "all": 0}
_PAGE = 500
_KEPT = 7 * _DAY  # as long as ``updates`` keeps what an article key points to


def _counter(span: str, start: int, dimension: str) -> str:
    return f"{_TAG}:count:{span}:{start}:{dimension}"


def _buckets(window: Window, now: datetime) -> list[tuple[str, int]]:
    """The buckets that cover ``window`` up to ``now``: whole hours where they fit, minutes at the old edge."""
    minute = int(now.timestamp()) // 60
    if window == "all":
        return [("all", 0)]
    if window != "24h":
        return [("m", at) for at in range(minute - {"15m": 15, "1h": 60}[window] + 1, minute + 1)]
    first = minute - 24 * 60 + 1
    hour = -(-first // 60)
    return [("m", at) for at in range(first, hour * 60)] + [("h", at) for at in range(hour, minute // 60 + 1)]


class Batch:
    """Changes to the store for consecutive records of one partition, gathered before they are applied."""

    def __init__(self) -> None:
        self._keys: dict[str, int] = {}
        self._lives: list[int] = []
        self._events: list[tuple[int, list[Any], list[Any], list[Any]]] = []
        self._names: dict[str, str] = {}
        self._oldest_story = 0
        self._key(_APPLIED, 0)

    def add_article(self, offset: int, article: Article) -> None:
        """Count one (article, revision) and note where it lies on ``updates``."""
        arrived = int(article.received_at.timestamp())
        source = article.source or "unknown"
        names = {topic.id: topic.label for topic in article.topics}
        names |= {entity.id: entity.name for entity in article.entities}
        fields: dict[str, Iterable[str]] = {
            "language": [article.language],
            "source": [source],
            "topic": {topic.id for topic in article.topics},
            "entity": {entity.id for entity in article.entities},
        }
        increments = []
        for span, start in (("m", arrived // 60), ("h", arrived // 3600), ("all", 0)):
            total = self._key(_counter(span, start, "total"), _LIVES[span])
            increments.append((total, "articles", 1))
            if article.duplicate_of:
                increments.append((total, "duplicates", 1))
            for dimension, ids in fields.items():
                if ids:
                    key = self._key(_counter(span, start, dimension), _LIVES[span])
                    increments += [(key, name, 1) for name in sorted(ids)]
        values = [(self._key(f"{_TAG}:article:{article.id}", _KEPT), str(offset))]
        self._names = names | self._names
        self._events.append((offset, increments, values, []))

    def add_story(self, offset: int, story: Story, arrived_ms: int) -> None:
        """Keep the newest state of a story, and list it by when that state was published (ms since 1970)."""
        values = [(self._key(f"{_TAG}:story:{story.id}", _KEPT), story.model_dump_json())]
        scores = [(self._key(_STORIES, _KEPT), arrived_ms, story.id)]
        self._oldest_story = max(self._oldest_story, arrived_ms - _KEPT * 1000)
        self._events.append((offset, [], values, scores))

    def add_nothing(self, offset: int) -> None:
        """A record that changes no number still moves the applied offset on."""
        self._events.append((offset, [], [], []))

    def _key(self, name: str, life: int) -> int:
        """Index of a key in the script's KEYS, counted from 1."""
        index = self._keys.get(name)
        if index is None:
            index = self._keys[name] = len(self._keys) + 1
            self._lives.append(life)
        return index


@dataclass(frozen=True)
class Count:
    """How often one id was counted, with its name."""

    id: str
    name: str
    count: int


@dataclass(frozen=True)
class Top:
    """Totals of a window and its most frequent ids."""

    total: int
    duplicates: int
    items: list[Count]


class Store:
    """Reads and writes of the live aggregates. Raises ``redis.RedisError`` when the store cannot be reached."""

    def __init__(self, url: str) -> None:
        self.redis: Redis = Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=5,
            socket_connect_timeout=2,
            retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), 2),
        )
        self._count = self.redis.register_script((_LUA / "count.lua").read_text())
        self._top = self.redis.register_script((_LUA / "top.lua").read_text())

    async def apply(self, log: str, batch: Batch) -> int:
        """Apply a batch and the offset it reaches in one atomic script; how many of its records were new."""
        names = [word for pair in sorted(batch._names.items()) for word in pair]
        arguments: list[str | int] = [
            log,
            json.dumps(batch._events),
            json.dumps(batch._lives),
            json.dumps(names),
            batch._oldest_story,
        ]
        return int(await self._count(keys=[*batch._keys, _STORIES, _NAMES], args=arguments))

    async def applied(self, log: str) -> int:
        """Offset of the last record that the store reflects; -1 when there is none."""
        return int(await self.redis.hget(_APPLIED, log) or -1)

    async def top(self, by: Dimension, window: Window, *, limit: int, now: datetime) -> Top:
        """The ids with the highest counts in the window that ends now, in one round trip."""
        buckets = _buckets(window, now)
        totals = [_counter(span, start, "total") for span, start in buckets]
        counts = [_counter(span, start, by) for span, start in buckets]
        articles, duplicates, flat = await self._top(keys=[*totals, *counts, _NAMES], args=[len(totals), limit])
        items = [Count(id=flat[at], name=flat[at + 1], count=int(flat[at + 2])) for at in range(0, len(flat), 3)]
        return Top(total=int(articles), duplicates=int(duplicates), items=items)

    async def article_offset(self, article_id: str) -> int | None:
        """Where the newest revision of an article lies on ``updates``; None when it is not known."""
        found = await self.redis.get(f"{_TAG}:article:{article_id}")
        return None if found is None else int(found)

    async def story(self, story_id: str) -> Story | None:
        """One story; None when it is not known."""
        found = await self.redis.get(f"{_TAG}:story:{story_id}")
        return None if found is None else Story.model_validate_json(found)

    async def stories(self, since: datetime) -> AsyncIterator[Story]:
        """Stories with an article that arrived since then, newest arrival first; fetched by the page."""
        first = int(since.timestamp() * 1000)
        at = 0
        while page := await self._stories(first, at):
            for story in page:
                if story is not None:
                    yield Story.model_validate_json(story)
            at += len(page)

    async def _stories(self, first: int, at: int) -> list[str | None]:
        ids: list[Any] = await self.redis.zrange(_STORIES, "+inf", first, desc=True, byscore=True, offset=at, num=_PAGE)
        if not ids:
            return []
        found: list[Any] = await self.redis.mget([f"{_TAG}:story:{story_id}" for story_id in ids])
        return found

    async def close(self) -> None:
        """Close all connections."""
        await self.redis.aclose()
