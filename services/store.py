"""The store (Redis or Valkey): every key, and the scripts that write and read them.

All keys carry the hash tag ``{khabar}``, so that a script never touches two slots of a cluster.

=============================== ====== ================================================================
key                             type   holds
=============================== ====== ================================================================
{khabar}:applied                hash   cluster/topic-partition → offset of the last applied record of ``updates``
{khabar}:count:SPAN:START:DIM   hash   id → count; SPAN m, h or all; START epoch minute or hour
{khabar}:count:…:total          hash   ``articles`` and ``duplicates``
{khabar}:names                  hash   entity or topic id → name
{khabar}:place:ID               hash   ``offset`` of the article's newest revision on ``updates``, ``story`` it is in
{khabar}:story:ID               string the story as JSON, also one that was merged into another
{khabar}:stories                zset   id of a story that was not merged, by when its state was published (ms)
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
_LONGEST_ROW = 100
_KEPT = 7 * _DAY  # as long as ``updates`` keeps what an article's place points to


def _place(article_id: str) -> str:
    return f"{_TAG}:place:{article_id}"


def _story(story_id: str) -> str:
    return f"{_TAG}:story:{story_id}"


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


# A command, the index of its key in the script's KEYS, its other arguments.
_Command = tuple[str, int, *tuple[str | int, ...]]


class Batch:
    """Changes to the store for consecutive records of one partition, gathered before they are applied."""

    def __init__(self) -> None:
        self._keys: dict[str, int] = {}
        self._lives: list[int] = []
        self._events: list[tuple[int, list[_Command]]] = []
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
        commands: list[_Command] = []
        for span, start in (("m", arrived // 60), ("h", arrived // 3600), ("all", 0)):
            total = self._key(_counter(span, start, "total"), _LIVES[span])
            commands.append(("HINCRBY", total, "articles", 1))
            if article.duplicate_of:
                commands.append(("HINCRBY", total, "duplicates", 1))
            for dimension, ids in fields.items():
                if ids:
                    key = self._key(_counter(span, start, dimension), _LIVES[span])
                    commands += [("HINCRBY", key, name, 1) for name in sorted(ids)]
        place = self._key(_place(article.id), _KEPT)
        commands.append(("HSET", place, "offset", str(offset), "story", article.story))
        self._names = names | self._names
        self._events.append((offset, commands))

    def add_story(self, offset: int, story: Story, arrived_ms: int) -> None:
        """Keep the newest state of a story, and list it by when that state was published (ms since 1970).

        A story that was merged leaves the list; the articles of one that was split off are in it from now on.
        """
        listed = self._key(_STORIES, _KEPT)
        commands: list[_Command] = [("SET", self._key(_story(story.id), _KEPT), story.model_dump_json())]
        if story.merged_into is None:
            commands.append(("ZADD", listed, arrived_ms, story.id))
        else:
            commands.append(("ZREM", listed, story.id))
        if story.split_from is not None:
            commands += [("HSET", self._key(_place(moved), _KEPT), "story", story.id) for moved in story.articles]
        self._oldest_story = max(self._oldest_story, arrived_ms - _KEPT * 1000)
        self._events.append((offset, commands))

    def add_nothing(self, offset: int) -> None:
        """A record that changes no number still moves the applied offset on."""
        self._events.append((offset, []))

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
class Place:
    """Where the newest revision of an article lies on ``updates``, and the id of the story that it is in now."""

    offset: int
    story: str


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

    async def place(self, article_id: str) -> Place | None:
        """Where an article is; None when it is not known. Two round trips, and one more for each merge since."""
        offset, story = await self.redis.hmget(_place(article_id), ["offset", "story"])
        # Without an offset there is an article that was moved after its own record had gone.
        return None if offset is None else Place(int(offset), await self.survivor(str(story)))

    async def story(self, story_id: str) -> Story | None:
        """One story as it was told last, also when it was merged into another; None when it is not known."""
        found = await self.redis.get(_story(story_id))
        return None if found is None else Story.model_validate_json(found)

    async def survivor(self, story_id: str) -> str:
        """The id of the story that has this one's articles now: its own, or that of the last in a row of merges."""
        # No story is merged twice, so there is an end; should a log say otherwise, asking ends nevertheless.
        for _ in range(_LONGEST_ROW):
            story = await self.story(story_id)
            if story is None or story.merged_into is None:
                break
            story_id = story.merged_into
        return story_id

    async def stories(self, since: datetime) -> AsyncIterator[Story]:
        """Stories with an article that arrived since then, newest arrival first; fetched by the page.

        A story that was merged is none of them.
        """
        first = int(since.timestamp() * 1000)
        at = 0
        while page := await self._stories(first, at):
            for found in page:
                story = None if found is None else Story.model_validate_json(found)
                # It may have been merged after the page's ids were read.
                if story is not None and story.merged_into is None:
                    yield story
            at += len(page)

    async def _stories(self, first: int, at: int) -> list[str | None]:
        ids: list[Any] = await self.redis.zrange(_STORIES, "+inf", first, desc=True, byscore=True, offset=at, num=_PAGE)
        if not ids:
            return []
        found: list[Any] = await self.redis.mget([_story(story_id) for story_id in ids])
        return found

    async def close(self) -> None:
        """Close all connections."""
        await self.redis.aclose()
