"""A story as subscribers see it, made from its articles in the window."""

import functools
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from enrich.dates.event_days import most_frequent
from enrich.group.arrays import unique, unique_counts
from enrich.group.stories import OpenStory
from enrich.group.times import to_datetime
from enrich.group.window import Window
from services.events import Entity, EntityType, Story, Topic

_LISTED_ARTICLES = 50
_LISTED_SOURCES = 50
_LISTED_ENTITIES = 20
_LISTED_TOPICS = 8
# Entities and topics of a story are those of its newest articles, and of each the entities that it names most.
_SUMMARIZED_ARTICLES = 12
_MAIN_ENTITIES = 8
_HUNDREDTHS = 100.0


def story_event(
    window: Window, story: OpenStory, *, merged_into: str | None = None, split_from: str | None = None
) -> Story:
    """The story's state now. A merged story lists no articles, one that was split off lists all that moved."""
    members = np.array(story.members, np.uint32)
    slots = window.slots(members)
    sources, source_count = _sources(window, slots)
    first = to_datetime(story.first)
    event_date = most_frequent(window.days[slots, 0][window.days[slots, 0] != 0].tolist())
    listed = 0 if merged_into else len(members) if split_from else _LISTED_ARTICLES
    return Story.model_construct(
        id=story.id,
        title=window.title(story.title_article),
        languages=sorted(window.language_names[number] for number in _nonzero(window.languages[slots])),
        size=story.size,
        sources=sources,
        source_count=source_count,
        first_published=first,
        last_published=to_datetime(story.last),
        entities=_entities(window, slots[-_SUMMARIZED_ARTICLES:]),
        topics=_topics(window, slots[-_SUMMARIZED_ARTICLES:]),
        articles=[window.id(number) for number in story.members[: -listed - 1 : -1]],
        event_date=event_date or first.date(),
        event_basis="published" if event_date is None else "text",
        merged_into=merged_into,
        split_from=split_from,
    )


def _sources(window: Window, slots: NDArray[np.intp]) -> tuple[list[str], int]:
    """The sources with the most articles, of equal ones the first in the story, sorted; and how many there are in all.

    Any number of sources may write about a story, under names of any kind: a record with all of them has no bound.
    """
    numbers = window.sources[slots]
    numbers = numbers[numbers != 0]
    found, counts = unique_counts(numbers)
    if len(found) > _LISTED_SOURCES:
        # The first place of each source: assigned from the last article to the first.
        first = np.empty(len(found), np.intp)
        first[np.searchsorted(found, numbers[::-1])] = np.arange(len(numbers))[::-1]
        most = found[np.lexsort((first, -counts))[:_LISTED_SOURCES]]
    else:
        most = found
    return sorted(window.source_names[number] for number in most.tolist()), len(found)


def _nonzero(numbers: NDArray[np.uint32]) -> list[int]:
    """The distinct numbers without 0."""
    return [number for number in unique(numbers).tolist() if number]


def _entities(window: Window, slots: NDArray[np.intp]) -> list[Entity]:
    """The entities that most of the articles name, each with its most frequent name."""
    counts = Counter(window.entities[slots, :_MAIN_ENTITIES].ravel().tolist())
    counts.pop(0, None)
    totals: Counter[str] = Counter()
    names: dict[str, tuple[int, str, EntityType]] = {}
    for number, count in counts.items():
        entity_id, name, kind = window.entity_names[number]
        totals[entity_id] += count
        if entity_id not in names or (-count, name) < names[entity_id][:2]:
            names[entity_id] = (-count, name, kind)
    ranked = sorted(totals.items(), key=lambda total: (-total[1], total[0]))[:_LISTED_ENTITIES]
    return [_entity(entity_id, *names[entity_id][1:]) for entity_id, _ in ranked]


@functools.lru_cache(8_192)
def _entity(entity_id: str, name: str, kind: EntityType) -> Entity:
    return Entity.model_construct(id=entity_id, name=name, type=kind, mentions=[])


def _topics(window: Window, slots: NDArray[np.intp]) -> list[Topic]:
    """The topics of the articles; a score is the mean over the articles, a label that of the newest."""
    scores: dict[str, int] = {}
    labels: dict[str, str] = {}
    for number, score in zip(window.topics[slots].ravel().tolist(), window.scores[slots].ravel().tolist(), strict=True):
        if number:
            topic_id, label = window.topic_names[number]
            scores[topic_id] = scores.get(topic_id, 0) + score
            labels[topic_id] = label
    ranked = sorted(scores.items(), key=lambda topic: (-topic[1], topic[0]))[:_LISTED_TOPICS]
    return [
        _topic(topic_id, labels[topic_id], round(score / len(slots) / _HUNDREDTHS, 2)) for topic_id, score in ranked
    ]


@functools.lru_cache(8_192)
def _topic(topic_id: str, label: str, score: float) -> Topic:
    return Topic.model_construct(id=topic_id, label=label, score=score)
