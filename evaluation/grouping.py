"""What a stream comes to when it is grouped, seen as a subscriber sees it: by what is told, nothing else."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from enrich.group.grouper import Grouper
from services.events import AnnotatedArticle, Article, Story

WINDOW = timedelta(hours=72)


def grouper() -> Grouper:
    """A grouper as the pipeline has it by default."""
    return Grouper(WINDOW)


@dataclass(slots=True)
class Places:
    """The story that every article is in, kept up to date with story events (docs/reference/api.md, "Stories that
    merge and split"): a story that was merged gives away all its articles, one that was split off takes those
    that it lists."""

    story_of: dict[str, str] = field(default_factory=dict)
    merges: int = 0
    splits: int = 0
    _members: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def follow(self, article: Article, stories: Iterable[Story]) -> None:
        """Take in what was told of one article."""
        self._move(article.id, article.story)
        for story in stories:
            if story.merged_into is not None:
                self.merges += 1
                for member in tuple(self._members[story.id]):
                    self._move(member, story.merged_into)
            if story.split_from is not None:
                self.splits += 1
                for member in story.articles:
                    self._move(member, story.id)

    def _move(self, article: str, story: str) -> None:
        before = self.story_of.get(article)
        if before is not None:
            self._members[before].discard(article)
        self.story_of[article] = story
        self._members[story].add(article)


@dataclass(frozen=True, slots=True)
class Grouped:
    """``copies``: for every article of the stream in order the id it was said to be a copy of and how like it, or
    None. ``places``: where all articles were in the end."""

    copies: list[tuple[str, float] | None]
    places: Places


def grouped(articles: Iterable[AnnotatedArticle], make: Callable[[], Grouper] = grouper) -> Grouped:
    """Group a stream with a new grouper."""
    running = make()
    places = Places()
    copies: list[tuple[str, float] | None] = []
    for annotated in articles:
        told = running.process(annotated)
        copies.append(None)
        if told is not None:
            places.follow(told.article, told.stories)
            original, similarity = told.article.duplicate_of, told.article.similarity
            if original is not None and similarity is not None:
                copies[-1] = original, similarity
    return Grouped(copies, places)
