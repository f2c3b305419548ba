"""The store on each supported server: Valkey 8 and 9 and Redis 7, standalone and as a node of a cluster."""

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
from redis.exceptions import RedisError

from services.events import Article, Entity, Story, Topic
from services.store import Batch, Store

NOW = datetime.now(UTC).replace(microsecond=0)
LOG = "cluster/updates-0"


def _article(article_id: str, story: str, *, language: str = "ar", duplicate_of: str | None = None) -> Article:
    return Article(
        id=article_id,
        revision=1,
        source="one.example",
        url=None,
        title=None,
        text="نص",
        published_at=None,
        received_at=NOW,
        language=language,
        language_score=1,
        entities=[Entity(id="Q7747", name="بوتين", type="PER"), Entity(id="Q649", name="موسكو", type="LOC")],
        topics=[Topic(id="politics", label="سياسة", score=1)],
        duplicate_of=duplicate_of,
        similarity=0.9 if duplicate_of else None,
        story=story,
    )


def _story(story_id: str, articles: Sequence[str], **given: str) -> Story:
    return Story(
        id=story_id,
        title="عنوان",
        languages=["ar"],
        size=len(articles),
        sources=["one.example"],
        first_published=NOW,
        last_published=NOW,
        entities=[],
        topics=[],
        articles=list(articles),
        **given,
    )


def _batch(first: int, *records: Article | Story) -> Batch:
    batch = Batch()
    for offset, record in enumerate(records, first):
        if isinstance(record, Article):
            batch.add_article(offset, record)
        else:
            batch.add_story(offset, record, int(NOW.timestamp() * 1000))
    return batch


async def _write_and_read(store: Store) -> None:
    """Write and read all kinds of records, a merge and a split included."""
    first = (
        _article("a1", "s1"),
        _story("s1", ["a1"]),
        _article("a2", "s1", duplicate_of="a1"),
        _story("s1", ["a2", "a1"]),
        _article("a3", "s2", language="en"),
        _story("s2", ["a3"]),
    )
    second = (_story("s3", ["a2"], split_from="s1"), _story("s1", ["a1"]), _story("s2", [], merged_into="s1"))
    assert await store.apply(LOG, _batch(0, *first), now=NOW) == 6
    assert await store.apply(LOG, _batch(0, *first), now=NOW) == 0
    assert await store.apply(LOG, _batch(4, *first[4:], *second), now=NOW) == 3
    assert await store.applied(LOG) == 8
    for window in ("15m", "1h", "24h", "all"):
        top = await store.top("language", window, limit=10)
        assert (top.total, top.duplicates) == (3, 1)
        assert [(item.id, item.count) for item in top.items] == [("ar", 2), ("en", 1)]
    named = (await store.top("entity", "all", limit=10)).items
    assert {(item.id, item.name, item.count) for item in named} == {("Q7747", "بوتين", 3), ("Q649", "موسكو", 3)}
    found = [await store.locate(name) for name in ("a1", "a2", "a3", "a4")]
    offsets = [location and location.offset for location in found]
    assert offsets == [0, 2, 4, None]
    assert await store.survivor("s2") == "s1"
    assert await store.story("s3") == second[0]
    assert {found.id async for found in store.stories(NOW - timedelta(minutes=1))} == {"s1", "s3"}


async def test_all_kinds_of_records(each_store: Store) -> None:
    """What is written can be read, and applying it again changes nothing."""
    await _write_and_read(each_store)


async def test_all_keys_are_in_one_slot(each_store: Store) -> None:
    """A cluster keeps all keys on one node, as scripts need."""
    await _write_and_read(each_store)
    client = each_store.redis
    keys = [key async for key in client.scan_iter()]
    if (await client.info("cluster"))["cluster_enabled"]:
        slots = {await client.execute_command("CLUSTER KEYSLOT", key) for key in [*keys, "{khabar}"]}
        assert len(slots) == 1
    assert len(keys) > 10
    assert all(key.startswith("{khabar}:") for key in keys)


async def test_a_node_of_a_cluster_refuses_other_keys(each_store: Store) -> None:
    """A script that takes or builds a key of another slot fails there; a standalone server would accept it."""
    client = each_store.redis
    strict = (await client.info("cluster"))["cluster_enabled"]
    assert await client.eval("return redis.call('SET', KEYS[1], 1)", 1, "{khabar}:x")
    assert await client.eval("return redis.call('SET', '{khabar}:y', 1)", 1, "{khabar}:x")
    for script, keys in (
        ("return redis.call('SET', KEYS[2], 1)", ("{khabar}:x", "{other}:x")),
        ("return redis.call('SET', KEYS[1], 1)", ("{other}:x",)),
        ("return redis.call('SET', '{other}:x', 1)", ("{khabar}:x",)),
        ("return redis.call('SET', 'khabar:x', 1)", ("{khabar}:x",)),
    ):
        refused = pytest.raises(RedisError, match=r"same slot|not served|non local key")
        with refused if strict else nullcontext():
            assert await client.eval(script, len(keys), *keys)
