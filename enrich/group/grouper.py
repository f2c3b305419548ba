"""Group: compares each article with all others of the window, marks near-duplicates and maintains stories.

Plain state and plain functions on it: the same articles in the same order give the same results. Time is the
articles' arrival, never the clock's, so a replayed log is grouped as it was the first time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from enrich.group.duplicates import DuplicateMatch, Duplicates, containment, lookup_keys
from enrich.group.similarity import Likeness, Similarity
from enrich.group.step import GroupStep, Split, decode, encode
from enrich.group.stories import OpenStory, Stories, story_id
from enrich.group.story_view import story_event
from enrich.group.times import MICROSECOND
from enrich.group.window import PendingArticle, Window
from services.clock import is_plausible
from services.events import AnnotatedArticle, Article, Story

# Memory that an article in the window takes, everything included; ``benchmarks.group`` measures it.
ARTICLE_BYTES = 2_750
CAPACITY = 200_000
# Fields that an article has from its annotation.
_ANNOTATED_FIELDS = [name for name in Article.model_fields if name in AnnotatedArticle.model_fields]


class InvalidArticle(ValueError):
    """An annotated article is not one that annotate would write; the message says why."""


@dataclass(frozen=True, slots=True)
class GroupOutput:
    """What group publishes about one article, in the order of publication.

    ``stories`` are the new states of the stories that it changed, its own story first. ``entry`` is the state that
    group keeps of this step: bytes that only ``Grouper.restore`` reads.
    """

    article: Article
    stories: tuple[Story, ...]
    entry: bytes


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two articles in the figures that group decides by.

    ``containment``: the estimated share of the later article's three-word shingles that the first-seen one has;
    ``threshold``: the containment that makes a near-duplicate. ``similarity``: 1.0 is just enough for one story;
    ``likeness``: what it is made of. ``common``: the features (by number) that both have, with what each adds to its
    cosine. ``days``: those of their events, as ``event_days`` gives them. ``stories``: the ids of their present
    stories. ``original``: the id of the article that the later one was published as a near-duplicate of.
    """

    first: str
    later: str
    containment: float
    threshold: float
    similarity: float
    likeness: Likeness
    common: dict[int, float]
    days: tuple[list[int], list[int]]
    stories: tuple[str, str]
    original: str | None


class Grouper:
    """The state of group: articles that arrived within ``window``, at most ``capacity``. One partition, one Grouper."""

    def __init__(self, window: timedelta, capacity: int = CAPACITY) -> None:
        self._window = Window(window // MICROSECOND, capacity)
        self._similarity = Similarity(self._window)
        self._duplicates = Duplicates(self._window, self._similarity)
        self._stories = Stories(self._window, self._similarity)
        self._last_stories: tuple[Story, ...] = ()
        self._restored: tuple[int, OpenStory, Split | None, list[Story]] | None = None

    def __len__(self) -> int:
        return len(self._window)

    @property
    def span(self) -> timedelta:
        """The time between the arrivals of the oldest and the newest article in the window."""
        return self._window.span * MICROSECOND

    @property
    def evicted_early(self) -> int:
        """How many articles were evicted before they expired because the window was full."""
        return self._window.evicted_early

    def process(self, annotated: AnnotatedArticle) -> GroupOutput | None:
        """The article as subscribers see it and the new states of the stories that it changed.

        None when there is nothing to publish: the window has the same content already, or a newer revision (annotate
        delivers at least once, so an older revision can arrive again after a newer one).

        Raises ``InvalidArticle``, with the state unchanged, for what annotate would not write. After any other
        exception the state is undefined.
        """
        annotated = _with_plausible_date(annotated)
        try:
            pending = PendingArticle.of(annotated)
        except Exception as error:  # whatever the parsers raise
            raise InvalidArticle(f"{type(error).__name__}: {error}") from error
        if not self._is_new(pending):
            return None
        self._evict(pending.received)
        previous = self._window.newest(annotated.id)
        pending.enter(self._window)
        keys = lookup_keys(pending.row)
        match = self._duplicates.find(pending, keys, self._window.last + 1 - pending.age)
        if match is not None:
            pending.original = self._window.original(match.number) or self._window.id(match.number)
        story, merging = self._choose_story(pending, previous, match)
        merged = [story_event(self._window, other, merged_into=story.id) for other in merging]
        for other in merging:
            self._stories.merge(other, story)
        number = self._stories.join(pending, story, grows=previous is None)
        self._duplicates.add(keys, number)
        if previous is not None:
            self._stories.supersede(previous)
        split = self._split(story, number)
        self._stories.choose_title(story)
        step = GroupStep(
            article=pending,
            story=story.id,
            age=number - story.number,
            title_age=number - story.title_article,
            size=story.size,
            first=story.first,
            last=story.last,
            merged=[other.id for other in merging],
            split=split,
        )
        fields = annotated.__dict__
        article = Article.model_construct(  # its parts were validated with the annotated article
            **{name: fields[name] for name in _ANNOTATED_FIELDS},
            revision=int(pending.row["revision"]),
            duplicate_of=pending.original,
            similarity=match.similarity if match else None,
            story=self._stories.story_of(number).id,
        )
        self._last_stories = self._story_events(number, story, split, merged)
        return GroupOutput(article, self._last_stories, encode(step))

    def restore(self, entries: Iterable[bytes]) -> None:
        """Rebuild the state of another grouper from all its entries within the window, in order.

        Raises ``ValueError`` for bytes that are not an entry; those before it are restored.
        """
        first = self._window.last + 1
        try:
            for entry in entries:
                self._restore(decode(entry))
        finally:
            numbers = np.arange(max(first, self._window.oldest), self._window.last + 1, dtype=np.uint32)
            self._duplicates.build(numbers)
            self._stories.build(numbers)
        if self._restored is not None:
            self._last_stories, self._restored = self._story_events(*self._restored), None

    def last_stories(self) -> tuple[Story, ...]:
        """The stories of the last output, processed or restored: completes an output that was written partially."""
        return self._last_stories

    def compare(self, one: str, other: str) -> Comparison:
        """The figures that decide whether two articles are near-duplicates or one story, in the present state.

        Raises ``KeyError`` with the id of an article that is not in the window.
        """
        window, similarity = self._window, self._similarity
        first, later = self._in_order(one, other)
        slots = window.slots(np.array([first], np.uint32))
        row = window.rows[window.slot(later)]
        source = int(window.sources[window.slot(later)])
        contained = containment(row, window.rows[slots])
        return Comparison(
            first=window.id(first),
            later=window.id(later),
            containment=float(contained[0]),
            threshold=float(self._duplicates.threshold(row, source, window.title(later), slots, contained)[0]),
            likeness=similarity.likeness(int(slots[0]), window.slot(later)),
            similarity=float(similarity.matrix(window.slots(np.array([first, later], np.uint32)))[0, 1]),
            common=similarity.common_features(row, window.rows[slots[0]]),
            days=(window.event_days(first), window.event_days(later)),
            stories=(self._stories.story_of(first).id, self._stories.story_of(later).id),
            original=window.original(later),
        )

    def _in_order(self, one: str, other: str) -> tuple[int, int]:
        """The numbers of two articles, the first-seen one first."""
        numbers = []
        for article_id in (one, other):
            number = self._window.newest(article_id)
            if number is None:
                raise KeyError(article_id)
            numbers.append(number)
        first, second = sorted(numbers, key=lambda number: int(self._window.firsts[self._window.slot(number)]))
        return first, second

    def _evict(self, now: int) -> None:
        for number in self._window.to_evict(now):
            self._stories.remove(number)
            self._window.evict_oldest()

    def _is_new(self, pending: PendingArticle) -> bool:
        """Whether the content differs from what the window has of the article, and is newer."""
        known = self._window.newest(pending.id)
        if known is None or self._window.is_expired(known, pending.received):
            return True
        row, own = self._window.rows[self._window.slot(known)], pending.row
        return bool(
            own["fingerprint"].tobytes() != row["fingerprint"].tobytes()
            and (pending.received, int(own["sequence"])) >= (int(row["received"]), int(row["sequence"]))
        )

    def _choose_story(
        self, pending: PendingArticle, previous: int | None, match: DuplicateMatch | None
    ) -> tuple[OpenStory, list[OpenStory]]:
        """The story for an article, and the stories that merge into it."""
        if previous is not None:  # a correction stays in the story of the article
            return self._stories.story_of(previous), []
        if match is not None:
            return self._stories.story_of(match.number), []
        matching = self._stories.matching(pending)
        if not matching:
            return self._stories.open(story_id(pending.id), self._window.last + 1), []
        # The oldest story survives.
        survivor, *merging = sorted(
            [matching[0], *self._stories.merge_candidates(matching)], key=lambda story: story.number
        )
        return survivor, merging

    def _split(self, story: OpenStory, number: int) -> Split | None:
        """Split a story if its articles call for it."""
        moving = self._stories.split_candidates(story)
        if not moving:
            return None
        name = story_id(f"{self._window.id(moving[0])} of {story.id}")
        new = self._stories.open(name, number)
        self._stories.split(moving, story, new)
        self._stories.choose_title(new)
        return Split(name, [number - moved for moved in moving], number - new.title_article, new.first, new.last)

    def _story_events(
        self, number: int, story: OpenStory, split: Split | None, merged: list[Story]
    ) -> tuple[Story, ...]:
        """The events of one step, the one of the article's own story first."""
        events = [story_event(self._window, story), *merged]
        new = self._stories.find(split.story) if split is not None else None
        if new is not None:
            events.append(story_event(self._window, new, split_from=story.id))
            if self._stories.story_of(number) is new:
                events = [events[-1], *events[:-1]]
        return tuple(events)

    def _restore(self, step: GroupStep) -> None:
        pending, stories, window = step.article, self._stories, self._window
        self._evict(pending.received)
        previous = window.newest(pending.id)
        story = stories.open(step.story, window.last + 1 - step.age)
        merged = []
        for other in filter(None, map(stories.find, step.merged)):
            merged.append(story_event(window, other, merged_into=story.id))
            stories.merge(other, story)
        number = stories.restore(pending, story)
        if previous is not None:
            stories.supersede(previous)
        if step.split is not None:
            moving = [number - age for age in step.split.articles if number - age >= window.oldest]
            if moving:
                new = stories.open(step.split.story, number)
                stories.split(moving, story, new)
                new.size, new.title_article = len(step.split.articles), number - step.split.title_age
                new.first, new.last = step.split.first, step.split.last
        story.title_article, story.size = number - step.title_age, step.size
        story.first, story.last = step.first, step.last
        self._restored = (number, story, step.split, merged)


def _with_plausible_date(article: AnnotatedArticle) -> AnnotatedArticle:
    """The article without a date that cannot be true, which older records on ``articles.annotated`` may have."""
    published = article.published_at
    if published is None or is_plausible(published, article.received_at):
        return article
    return article.model_copy(update={"published_at": None, "published_basis": None})
