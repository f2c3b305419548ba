"""Counts the log again in the simplest way, and reads what the store counted."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import combinations

from services.events import Article
from services.store import Store, layout

# (dimension, span, bucket) or (dimension, window) → id → count.
Numbers = dict[tuple[str | int, ...], dict[str, int]]


def counted_ids(article: Article) -> dict[str, set[str]]:
    """The ids that one article counts for, by dimension."""
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
    """What the store should hold when ``edges`` are the newest buckets that have left their windows."""
    buckets: dict[tuple[str | int, ...], Counter[str]] = defaultdict(Counter)
    for article in articles:
        for dimension, ids in counted_ids(article).items():
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
                if count >= view.least:
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
