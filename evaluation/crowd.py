"""The stories of seeds/ in the middle of real news: every article of a newspaper is a way to go wrong.

seeds/ alone is a day on which little happens; whatever two of its articles share is rare.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from enrich.annotate import annotate
from enrich.fingerprint.embedding import Encoder
from enrich.text.boilerplate import BoilerplateDetector
from evaluation import corpora, streams
from evaluation.bcubed import Item, bcubed
from evaluation.grouping import grouped
from evaluation.stories import AMONG, Figures
from evaluation.streams import Arrival

ARTICLES = 1_500
_CHANCE = 7
_BEFORE = timedelta(hours=24)


def stream(folder: Path) -> list[Arrival]:
    """seeds/ among articles of SaudiNewsNet, which arrive evenly from a day before the first to the last of seeds/."""
    seeds = streams.seeds()
    first, last = seeds[0].annotated.received_at - _BEFORE, seeds[-1].annotated.received_at
    chance = random.Random(_CHANCE)  # noqa: S311 - a draw that can be repeated
    drawn = chance.sample(corpora.newspaper_articles(folder), ARTICLES)
    boilerplate = BoilerplateDetector()
    crowd = []
    for number, raw in enumerate(drawn):
        at = first + (last - first) * number / ARTICLES
        annotated = annotate(raw.model_copy(update={"received_at": at, "published_at": at}), boilerplate=boilerplate)
        crowd.append(Arrival(annotated, annotated.language, f"crowd {number}", "crowd"))
    return sorted([*crowd, *seeds], key=lambda arrival: arrival.annotated.received_at)


def encoded(arrivals: Sequence[Arrival], encoder: Encoder) -> list[Arrival]:
    """The same articles with sentence vectors."""
    found = []
    for arrival in arrivals:
        article = arrival.annotated
        vector = encoder.vector(article.title, article.text, article.boilerplate)
        found.append(replace(arrival, annotated=article.model_copy(update={"vector": vector})))
    return found


def figures(arrivals: Sequence[Arrival]) -> Figures:
    """BCubed over the articles of seeds/, each counted once; one of the crowd in their story is one too many."""
    told = grouped(arrival.annotated for arrival in arrivals).places.story_of
    first = {arrival.annotated.id: arrival for arrival in reversed(arrivals)}
    items = [Item(one.story, told[key], one.language, one.kind != "crowd") for key, one in first.items()]
    return {among: bcubed(items, among) for among in AMONG}
