"""Measures stories, and the baselines on the same articles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from evaluation import baselines
from evaluation.bcubed import Among, Item, bcubed
from evaluation.grouping import WINDOW, Grouped
from evaluation.labelled_streams import Arrival

AMONG: tuple[Among, ...] = get_args(Among)
_THRESHOLDS = tuple(step / 50 for step in range(1, 46))

Figures = dict[Among, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Method:
    """The result of a method on one or several streams: figures (means over the streams), the total number of stories,
    and how often they were merged and split. ``threshold`` is the best one of a baseline."""

    figures: Figures
    stories: int
    merges: int = 0
    splits: int = 0
    threshold: float | None = None


def true_stories(streams: Sequence[Sequence[Arrival]]) -> int:
    """The number of true stories."""
    return sum(len({arrival.story for arrival in stream}) for stream in streams)


def ours(streams: Sequence[Sequence[Arrival]], grouped: Sequence[Grouped]) -> Method:
    """The result of group: each article in its final story."""
    return Method(
        figures=_mean(
            [_figures(stream, one.membership.story_of) for stream, one in zip(streams, grouped, strict=True)]
        ),
        stories=sum(len(set(one.membership.story_of.values())) for one in grouped),
        merges=sum(one.membership.merges for one in grouped),
        splits=sum(one.membership.splits for one in grouped),
    )


def baseline(streams: Sequence[Sequence[Arrival]], features: baselines.Features) -> Method:
    """The best result of one threshold for all streams, chosen on these same streams."""
    firsts = [_first_revisions(stream) for stream in streams]
    grams = [baselines.similarities([arrival.annotated for arrival in first], features) for first in firsts]
    methods = [_with_threshold(streams, firsts, grams, threshold) for threshold in _THRESHOLDS]
    return max(methods, key=lambda method: method.figures["all"]["f1"])


def _with_threshold(
    streams: Sequence[Sequence[Arrival]],
    firsts: Sequence[Sequence[Arrival]],
    grams: Sequence[baselines.Gram],
    threshold: float,
) -> Method:
    figures, stories = [], 0
    for stream, first, gram in zip(streams, firsts, grams, strict=True):
        times = [arrival.annotated.received_at for arrival in first]
        numbers = baselines.assign_stories(gram, times, WINDOW, threshold)
        stories += len(set(numbers))
        story_of = {arrival.annotated.id: str(number) for arrival, number in zip(first, numbers, strict=True)}
        figures.append(_figures(stream, story_of))
    return Method(_mean(figures), stories, threshold=threshold)


def _first_revisions(stream: Sequence[Arrival]) -> list[Arrival]:
    """The first arrival of each article: baselines ignore corrections."""
    known: dict[str, Arrival] = {}
    for arrival in stream:
        known.setdefault(arrival.annotated.id, arrival)
    return list(known.values())


def _figures(stream: Sequence[Arrival], story_of: Mapping[str, str]) -> Figures:
    """BCubed over the articles of a stream, each counted once, also if it was revised."""
    items = [
        Item(arrival.story, story_of[arrival.annotated.id], arrival.language) for arrival in _first_revisions(stream)
    ]
    return {among: bcubed(items, among) for among in AMONG}


def _mean(figures: Sequence[Figures]) -> Figures:
    return {
        among: {key: sum(one[among][key] for one in figures) / len(figures) for key in ("precision", "recall", "f1")}
        for among in AMONG
    }
