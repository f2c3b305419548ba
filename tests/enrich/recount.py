"""Counts the log again in the simplest way, and reads what the store counted."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import combinations
from typing import Literal

from services.events import Article
from services.store import Store, layout

# (dimension, span, bucket) or (dimension, window) → id → count.
Numbers = dict[tuple[str | int, ...], dict[str, int]]


class Budgets:
    """Decides for the articles of a log, in its order, which ids exceed the budgets of new ids."""

    def __init__(self) -> None:
        self._known: set[tuple[str, int, str]] = set()
        self._used: Counter[tuple[str, int, str]] = Counter()

    def within(self, article: Article) -> dict[str, set[str]]:
        """The ids that the next article of the log counts for, by dimension."""
        ids = named_ids(article)
        (source,) = ids["source"]
        budget = f"entities of {source}"
        if not self._has_room("source", article, source, "sources"):
            ids["source"], budget = {layout.OTHER}, "entities of sources beyond the budget"
        over = {
            entity.id
            for entity in article.entities
            if not re.fullmatch("Q[0-9]+", entity.id) and not self._has_room("entity", article, entity.id, budget)
        }
        if over:
            ids["entity"] = ids["entity"] - over | {layout.OTHER}
        ids["pair"] = {pair for pair in ids["pair"] if over.isdisjoint(pair.split("+"))}
        return ids

    def _has_room(self, dimension: Literal["source", "entity"], article: Article, name: str, budget: str) -> bool:
        new = (dimension, layout.bucket("d", article.received_at), name)
        if new in self._known:
            return True
        budgets = {
            (span, layout.bucket(span, article.received_at), budget): most
            for span, most in layout.NEW_IDS[dimension].items()
        }
        if any(self._used[key] >= most for key, most in budgets.items()):
            self._known.add((dimension, layout.bucket("d", article.received_at), layout.OTHER))
            return False
        self._used.update(budgets.keys())
        self._known.add(new)
        return True


def named_ids(article: Article) -> dict[str, set[str]]:
    """The ids that one article names, by dimension."""
    most = sorted(article.entities, key=lambda entity: (-len(entity.mentions), entity.id))[: layout.PAIRED]
    return {
        "total": {"articles", "duplicates"} if article.duplicate_of else {"articles"},
        "language": {article.language},
        "source": {article.source or "unknown"},
        "topic": {topic.id for topic in article.topics},
        "entity": {entity.id for entity in article.entities},
        "story": {article.story},
        "pair": {f"{one}+{other}" for one, other in combinations(sorted({entity.id for entity in most}), 2)},
    }


def recounted(articles: Iterable[Article], edges: dict[str, int]) -> Numbers:
    """What the store should hold after a log of these articles.

    ``edges``: the newest buckets that have left their windows.
    """
    buckets: dict[tuple[str | int, ...], Counter[str]] = defaultdict(Counter)
    budgets = Budgets()
    for article in articles:
        for dimension, ids in budgets.within(article).items():
            for span in layout.SPANS[dimension]:
                number = layout.bucket(span, article.received_at)
                buckets[dimension, span, number].update(ids)
    found: Numbers = {}
    for (dimension, span, number), counts in buckets.items():
        kept = layout.SPANS[str(dimension)][span]  # type: ignore[index]
        inside = [view for view in kept.views if int(number) > edges[f"{view.window}:{span}"]]
        if not kept.dropped or inside:
            found[dimension, span, number] = dict(counts)
        for view in inside:
            window = found.setdefault((dimension, view.window), {})
            for name, count in counts.items():
                if count >= view.min_count:
                    window[name] = window.get(name, 0) + count
    return {key: counts for key, counts in found.items() if counts}


async def stored(store: Store) -> tuple[Numbers, dict[str, int]]:
    """What the store holds, and the newest bucket that has left each window."""
    found: Numbers = {}
    async for key in store.redis.scan_iter(f"{layout.TAG}:n:*", count=1_000):
        _, _, dimension, span, number, _ = key.split(":")
        bucket = found.setdefault((dimension, span, int(number)), {})
        bucket |= {name: int(count) for name, count in (await store.redis.hgetall(key)).items()}
    for dimension in layout.SPANS:
        for window in layout.windows(dimension):
            scores = await store.redis.zrange(layout.top(dimension, window), 0, -1, withscores=True)
            if scores:
                found[dimension, window] = {name: int(score) for name, score in scores}
    state = await store.redis.hgetall(layout.STATE)
    return found, {name: int(number) for name, number in state.items() if ":" in name}
