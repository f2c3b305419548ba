"""Measures whether events with the same actors are separated: evaluation/gold/near_misses.jsonl.

Each event has two articles, ``a`` and ``b``, in two languages or in one, and a near-miss, ``n``: an article about
another event with the same actors, in the same place, on the same day.
"""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from enrich.annotate import annotate
from enrich.text.boilerplate import BoilerplateDetector
from evaluation.grouping import grouped, small_grouper
from evaluation.labelled_streams import Arrival
from services.events import ArticleIn, RawArticle

FILE = Path(__file__).parent / "gold" / "near_misses.jsonl"
NEAR_MISS = "n"


class Outcome(NamedTuple):
    """Of an event: whether its two articles are in one story, and whether the near-miss is in another one."""

    event: str
    across: bool
    together: bool
    apart: bool


@functools.cache
def stream() -> tuple[Arrival, ...]:
    """All articles in the order of publication. ``story`` is the event, ``kind`` the role of the article in it."""
    lines = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    boilerplate = BoilerplateDetector()
    arrivals = []
    for sequence, line in enumerate(sorted(lines, key=lambda line: str(line["published_at"]))):
        article = ArticleIn.model_validate({key: line[key] for key in line if key in ArticleIn.model_fields})
        at = article.published_at
        if at is None:
            raise ValueError(f"{FILE}: an article of {line['event']} has no date")
        raw = RawArticle(
            **{**article.model_dump(), "language": None}, id=f"{line['event']} {line['role']}", received_at=at
        )
        annotated = annotate(raw, sequence, boilerplate=boilerplate)
        arrivals.append(Arrival(annotated, line["language"], line["event"], line["role"]))
    return tuple(arrivals)


def outcomes(arrivals: Sequence[Arrival]) -> list[Outcome]:
    """Of each event, after all articles were grouped in one stream."""
    story_of = grouped((arrival.annotated for arrival in arrivals), small_grouper).membership.story_of
    found = []
    for event in dict.fromkeys(arrival.story for arrival in arrivals):
        own = {arrival.kind: arrival for arrival in arrivals if arrival.story == event}
        a, b, n = (story_of[own[role].annotated.id] for role in ("a", "b", NEAR_MISS))
        across = own["a"].language != own["b"].language
        found.append(Outcome(event, across, together=a == b, apart=n not in (a, b)))
    return found
