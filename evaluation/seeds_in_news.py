"""Measures the stories of seeds/ among real news.

In seeds/ alone, whatever two articles share is rare; real news offers each article many wrong stories to join.
"""

import random
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from enrich.annotate import annotate
from enrich.text.boilerplate import BoilerplateDetector
from evaluation import corpora, labelled_streams
from evaluation.bcubed import Item, bcubed
from evaluation.grouping import grouped
from evaluation.labelled_streams import Arrival
from evaluation.stories import AMONG, Figures

ARTICLES = 1_500
_SEED = 7
_BEFORE = timedelta(hours=24)
# The kind of an article that is not of seeds/.
_NEWS = "news"


def stream(folder: Path, articles: int = ARTICLES) -> list[Arrival]:
    """seeds/ among a random sample of SaudiNewsNet, spread evenly from a day before the first article of seeds/ to the
    last one."""
    seeds = labelled_streams.seeds()
    first, last = seeds[0].annotated.received_at - _BEFORE, seeds[-1].annotated.received_at
    sampler = random.Random(_SEED)  # noqa: S311 - a repeatable sample
    drawn = sampler.sample(corpora.newspaper_articles(folder), articles)
    boilerplate = BoilerplateDetector()
    news = []
    for number, raw in enumerate(drawn):
        at = first + (last - first) * number / articles
        annotated = annotate(raw.model_copy(update={"received_at": at, "published_at": at}), boilerplate=boilerplate)
        news.append(Arrival(annotated, annotated.language, f"news {number}", _NEWS))
    return sorted([*news, *seeds], key=lambda arrival: arrival.annotated.received_at)


def figures(arrivals: Sequence[Arrival]) -> Figures:
    """BCubed over the articles of seeds/, each counted once; a newspaper article in their stories is an error."""
    story_of = grouped(arrival.annotated for arrival in arrivals).membership.story_of
    first = {arrival.annotated.id: arrival for arrival in reversed(arrivals)}
    items = [Item(one.story, story_of[key], one.language, one.kind != _NEWS) for key, one in first.items()]
    return {among: bcubed(items, among) for among in AMONG}
