"""The index of recent articles: what it finds and what it drops."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from enrich.group.index import WAYS, RecentIndex

BUCKETS = 64
KEYS_EACH = 5
# Few buckets and few keys, so that articles share buckets, and so do the keys of one article.
KEY = st.one_of(st.just(0), st.integers(1, 40), st.integers(1, 2**32 - 1))
ARTICLES = st.lists(st.lists(KEY, min_size=KEYS_EACH, max_size=KEYS_EACH), max_size=60)


def keys(*values: int) -> np.ndarray:
    """Keys of one article."""
    return np.array(values, np.uint32)


def found(index: RecentIndex, key: int) -> set[int]:
    """The articles under a key."""
    return set(index.find(keys(key))[0].tolist()) - {0}


def filled(articles: list[list[int]], first: int = 1) -> RecentIndex:
    """An index to which articles were added one by one."""
    index = RecentIndex(BUCKETS)
    for number, article in enumerate(articles, start=first):
        index.add(keys(*article), number)
    return index


def same(one: RecentIndex, other: RecentIndex) -> bool:
    """Whether two indexes have the same articles in every bucket, and still do after further additions."""
    every = np.arange(BUCKETS, dtype=np.uint32)
    for number in range(1_000, 1_000 + WAYS):
        if not (np.sort(one.find(every), axis=1) == np.sort(other.find(every), axis=1)).all():
            return False
        one.add(every[1:], number)
        other.add(every[1:], number)
    return True


def test_the_newest_articles_with_a_key_are_found() -> None:
    """All articles of a key while they are few; of many, the newest."""
    index = RecentIndex(BUCKETS)
    for number in range(1, 51):
        index.add(keys(7), number)
        assert found(index, 7) == set(range(max(1, number - WAYS + 1), number + 1))
    assert found(index, 8) == set()


def test_a_frequent_key_evicts_no_other() -> None:
    """An article is still found by its rare key after a thousand articles with a frequent one."""
    index = RecentIndex(BUCKETS)
    index.add(keys(3, 9), 1)
    for number in range(2, 1_002):
        index.add(keys(3), number)
    assert found(index, 9) == {1}


def test_zero_is_not_a_key() -> None:
    """Padding is not indexed, neither by add nor by build."""
    added, built = RecentIndex(BUCKETS), RecentIndex(BUCKETS)
    added.add(keys(0, 5, 0), 1)
    built.build(keys(0, 5, 0)[None], keys(1))
    for index in (added, built):
        assert index.find(np.arange(BUCKETS, dtype=np.uint32)).sum() == 1
        assert found(index, 5) == {1}


@settings(max_examples=200, deadline=None)
@given(ARTICLES, ARTICLES, st.integers(1, 20))
def test_build_equals_adding_one_by_one(before: list[list[int]], articles: list[list[int]], parts: int) -> None:
    """A restored index finds what the lost one found and drops in the same order, also when built in parts."""
    numbers = np.arange(len(before) + 1, len(before) + 1 + len(articles), dtype=np.uint32)
    rows = np.array(articles, np.uint32).reshape(-1, KEYS_EACH)
    built = filled(before)
    for part, part_numbers in zip(np.array_split(rows, parts), np.array_split(numbers, parts), strict=True):
        built.build(part, part_numbers)
    assert same(built, filled(before + articles))


def test_building_in_batches_loses_nothing() -> None:
    """Thousands of articles are built in several batches, with the same result as adding them."""
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 5_000, (9_001, 3)).astype(np.uint32)
    built, added = RecentIndex(8_192), RecentIndex(8_192)
    built.build(rows, np.arange(1, 9_002, dtype=np.uint32))
    for number, row in enumerate(rows, start=1):
        added.add(row, number)
    every = np.arange(1, 5_000, dtype=np.uint32)
    assert (np.sort(built.find(every), axis=1) == np.sort(added.find(every), axis=1)).all()


@settings(max_examples=50, deadline=None)
@given(ARTICLES)
def test_a_lookup_has_a_bounded_size(articles: list[list[int]]) -> None:
    """A key has at most ``WAYS`` articles, each once, and only articles that were added."""
    buckets = filled(articles).find(np.arange(BUCKETS, dtype=np.uint32))
    assert buckets.shape == (BUCKETS, WAYS)
    assert buckets.max(initial=0) <= len(articles)
    for bucket in buckets.tolist():
        present = [number for number in bucket if number]
        assert len(set(present)) == len(present)
