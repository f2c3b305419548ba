"""Group: every article meets every other of the window here; copies are marked and stories told.

Plain state and plain functions of it: the same articles in the same order give the same answers. Time is that of
the articles' arrival, never the clock's, so that a replayed log is grouped as it was the first time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from enrich.fingerprint import embedding, features, signature
from enrich.group import weights
from enrich.group.columns import ENTITIES, ROW, TOPICS
from enrich.group.duplicates import Copy, Duplicates, keys_of, share
from enrich.group.similarity import Similarity
from enrich.group.step import GroupStep, Split, decode, encode
from enrich.group.stories import OpenStory, Stories, story_id
from enrich.group.story_view import tell
from enrich.group.times import MICROSECOND, microseconds
from enrich.group.window import Named, PendingArticle, Window
from services.events import AnnotatedArticle, Article, Story

# What an article in the window takes, all told; ``benchmarks.group`` measures it.
ARTICLE_BYTES = 2_300
CAPACITY = 200_000
_OPENING = 16
# What an article has of what annotate found.
_SHARED = [name for name in Article.model_fields if name in AnnotatedArticle.model_fields]


@dataclass(frozen=True, slots=True)
class GroupOutput:
    """What group tells of one article, in the order in which it goes out.

    ``stories`` are the states of the stories that changed by it, the article's own first. ``entry`` is what group
    must remember of this step: bytes that only ``Grouper.restore`` reads.
    """

    article: Article
    stories: tuple[Story, ...]
    entry: bytes


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two articles by the figures that group decides by.

    ``share``: of the later one's three-word shingles, the estimated share that the first-seen has; ``needed``: what
    would make it a copy. ``shared`` and ``terms``: cosines of what all languages share and of content words;
    ``alike``: both together, 1.0 being just enough for one story. ``common``: the features (by number) that both
    have, with what each adds to its cosine. ``stories``: where they are now. ``original``: the id of the article that
    the later was told to be a copy of.
    """

    first: str
    later: str
    share: float
    needed: float
    shared: float
    terms: float
    alike: float
    common: dict[int, float]
    stories: tuple[str, str]
    original: str | None


class Grouper:
    """The state of group: articles that arrived within ``window``, at most ``capacity``. One partition, one Grouper."""

    def __init__(self, window: timedelta, capacity: int = CAPACITY) -> None:
        self._window = Window(window // MICROSECOND, capacity)
        self._likeness = Similarity(self._window)
        self._duplicates = Duplicates(self._window, self._likeness)
        self._stories = Stories(self._window, self._likeness)
        self._last: tuple[Story, ...] = ()
        self._restored: tuple[int, OpenStory, Split | None, list[Story]] | None = None

    def __len__(self) -> int:
        return len(self._window)

    @property
    def reach(self) -> timedelta:
        """How far back the window reaches now."""
        return self._window.reach * MICROSECOND

    @property
    def left_early(self) -> int:
        """How many articles left the window before their time because it was full."""
        return self._window.left_early

    def process(self, annotated: AnnotatedArticle) -> GroupOutput | None:
        """The article as subscribers see it and the new states of the stories that it changed.

        None when there is nothing to tell: the same content was here before, or a newer revision was (annotate
        delivers at least once, so an older revision can come again after a newer one).
        """
        if not self._is_news(annotated):
            return None
        self._expire(microseconds(annotated.received_at))
        before = self._window.newest(annotated.id)
        draft = self._draft(annotated, before)
        keys = keys_of(draft.row)
        copy = self._duplicates.find(draft.row, keys, self._window.last + 1 - draft.age)
        if copy is not None:
            draft.original = self._window.original(copy.number) or self._window.id(copy.number)
        story, merging = self._place_for(draft, before, copy)
        told = [tell(self._window, other, merged_into=story.id) for other in merging]
        for other in merging:
            self._stories.merge(other, story)
        number = self._stories.join(draft, story, grows=before is None)
        self._duplicates.add(keys, number)
        if before is not None:
            self._stories.supersede(before)
        split = self._split(story, number)
        self._stories.entitle(story)
        step = GroupStep(
            draft=draft,
            story=story.id,
            age=number - story.number,
            titled=number - story.titled,
            size=story.size,
            first=story.first,
            last=story.last,
            merged=[other.id for other in merging],
            split=split,
        )
        found = annotated.__dict__
        article = Article.model_construct(  # its parts are valid: they are those of a valid one
            **{name: found[name] for name in _SHARED},
            revision=int(draft.row["revision"]),
            duplicate_of=draft.original,
            similarity=copy.similarity if copy else None,
            story=self._stories.of(number).id,
        )
        self._last = self._tell(number, story, split, told)
        return GroupOutput(article, self._last, encode(step))

    def restore(self, entries: Iterable[bytes]) -> None:
        """Take over what another grouper told, given all its entries within the window, in order.

        Raises ``ValueError`` for what is no entry; those before it are taken.
        """
        first = self._window.last + 1
        try:
            for encoded in entries:
                self._restore(decode(encoded))
        finally:
            numbers = np.arange(max(first, self._window.oldest), self._window.last + 1, dtype=np.uint32)
            self._duplicates.build(numbers)
            self._stories.build(numbers)
        if self._restored is not None:
            self._last, self._restored = self._tell(*self._restored), None

    def told_last(self) -> tuple[Story, ...]:
        """The stories of the last thing told, again: for a writer that ended in the middle of it."""
        return self._last

    def compare(self, one: str, other: str) -> Comparison:
        """Why two articles are, or are not, the same or the same story, as this state sees it.

        Raises ``KeyError`` with the id of an article that is not in the window.
        """
        window, likeness = self._window, self._likeness
        first, later = self._in_order(one, other)
        slots = window.slots(np.array([first], np.uint32))
        row = window.rows[window.slot(later)]
        shared, terms = likeness.cosines(row, slots)
        return Comparison(
            first=window.id(first),
            later=window.id(later),
            share=float(share(row, window.rows[slots])[0]),
            needed=float(self._duplicates.needed(row, slots)[0]),
            shared=float(shared[0]),
            terms=float(terms[0]),
            alike=float(likeness.matrix(window.slots(np.array([first, later], np.uint32)))[0, 1]),
            common=likeness.common(row, window.rows[slots[0]]),
            stories=(self._stories.of(first).id, self._stories.of(later).id),
            original=window.original(later),
        )

    def _in_order(self, one: str, other: str) -> tuple[int, int]:
        """The numbers of two articles, the first-seen first."""
        numbers = []
        for article_id in (one, other):
            number = self._window.newest(article_id)
            if number is None:
                raise KeyError(article_id)
            numbers.append(number)
        first, second = sorted(numbers, key=lambda number: int(self._window.firsts[self._window.slot(number)]))
        return first, second

    def _expire(self, now: int) -> None:
        for number in self._window.leaving(now):
            self._stories.leave(number)
            self._window.remove_oldest()

    def _is_news(self, annotated: AnnotatedArticle) -> bool:
        """Whether this says something else than what is here of the article, and is newer."""
        known = self._window.newest(annotated.id)
        received = microseconds(annotated.received_at)
        if known is None or self._window.has_left(known, received):
            return True
        row = self._window.rows[self._window.slot(known)]
        return bool(
            bytes.fromhex(annotated.fingerprint) != row["fingerprint"].tobytes()
            and (received, annotated.sequence) >= (int(row["received"]), int(row["sequence"]))
        )

    def _draft(self, annotated: AnnotatedArticle, before: int | None) -> PendingArticle:
        window = self._window
        signed = signature.unpack(annotated.signature, annotated.sketch, annotated.shingles)
        row = np.zeros(1, ROW)[0]
        row["received"] = microseconds(annotated.received_at)
        row["published"] = microseconds(annotated.published_at or annotated.received_at)
        row["sequence"] = annotated.sequence
        row["fingerprint"] = bytes.fromhex(annotated.fingerprint)
        row["revision"] = 1 if before is None else window.rows["revision"][window.slot(before)] + 1
        row["shingles"] = signed.shingles
        row["minhash"] = signed.minhash
        row["sketch"] = 0xFFFFFFFF
        row["sketch"][: len(signed.sketch)] = signed.sketch
        row["features"], row["weights"] = weights.weigh(
            features.unpack(annotated.shared), features.unpack(annotated.terms), window.frequency, len(window)
        )
        return PendingArticle(
            row=row,
            id=annotated.id,
            title=annotated.title or _opening(annotated.text),
            language=annotated.language,
            source=annotated.source,
            entities=_leading(annotated),
            topics=[(topic.id, topic.label) for topic in annotated.topics[:TOPICS]],
            scores=[round(100 * topic.score) for topic in annotated.topics[:TOPICS]],
            vector=None if annotated.vector is None else embedding.unpack(annotated.vector),
            age=0 if before is None else window.last + 1 - int(window.firsts[window.slot(before)]),
        )

    def _place_for(
        self, draft: PendingArticle, before: int | None, copy: Copy | None
    ) -> tuple[OpenStory, list[OpenStory]]:
        """The story for an article, and others that become one with it."""
        if before is not None:  # a correction stays where the article was
            return self._stories.of(before), []
        if copy is not None:
            return self._stories.of(copy.number), []
        fitting = self._stories.choose(draft)
        if not fitting:
            return self._stories.open(story_id(draft.id), self._window.last + 1), []
        # The oldest goes on.
        survivor, *merging = sorted([fitting[0], *self._stories.bridged(fitting)], key=lambda story: story.number)
        return survivor, merging

    def _split(self, story: OpenStory, number: int) -> Split | None:
        """Let a story fall apart, if it does."""
        loose = self._stories.loose(story)
        if not loose:
            return None
        name = story_id(f"{self._window.id(loose[0])} of {story.id}")
        parted = self._stories.open(name, number)
        self._stories.split(loose, story, parted)
        self._stories.entitle(parted)
        return Split(name, [number - moved for moved in loose], number - parted.titled, parted.first, parted.last)

    def _tell(self, number: int, story: OpenStory, split: Split | None, merged: list[Story]) -> tuple[Story, ...]:
        told = [tell(self._window, story), *merged]
        parted = self._stories.find(split.story) if split is not None else None
        if parted is not None:
            told.append(tell(self._window, parted, split_from=story.id))
            if self._stories.of(number) is parted:
                told = [told[-1], *told[:-1]]
        return tuple(told)

    def _restore(self, step: GroupStep) -> None:
        draft, stories, window = step.draft, self._stories, self._window
        self._expire(draft.received)
        before = window.newest(draft.id)
        story = stories.open(step.story, window.last + 1 - step.age)
        merged = []
        for other in filter(None, map(stories.find, step.merged)):
            merged.append(tell(window, other, merged_into=story.id))
            stories.merge(other, story)
        number = stories.restore(draft, story)
        if before is not None:
            stories.supersede(before)
        if step.split is not None:
            here = [number - back for back in step.split.articles if number - back >= window.oldest]
            if here:
                parted = stories.open(step.split.story, number)
                stories.split(here, story, parted)
                parted.size, parted.titled = len(step.split.articles), number - step.split.titled
                parted.first, parted.last = step.split.first, step.split.last
        story.titled, story.size = number - step.titled, step.size
        story.first, story.last = step.first, step.last
        self._restored = (number, story, step.split, merged)


def _leading(annotated: AnnotatedArticle) -> list[Named]:
    """Whom the news names most."""
    counts = [(features.mentions(entity, annotated.boilerplate), entity) for entity in annotated.entities]
    named = sorted(counts, key=lambda counted: -counted[0])[:ENTITIES]
    return [(entity.id, entity.name, entity.type) for count, entity in named if count or not entity.mentions]


def _opening(text: str) -> str:
    first = text.split("\n", 1)[0]
    words = first.split()
    return first if len(words) <= _OPENING else " ".join(words[:_OPENING]) + " …"
