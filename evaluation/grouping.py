"""Runs group over a stream and follows its output as a subscriber does."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from enrich.group.grouper import Grouper
from services.events import AnnotatedArticle, Article, Story

WINDOW = timedelta(hours=72)


def grouper() -> Grouper:
    """A grouper with the pipeline's default settings."""
    return Grouper(WINDOW)


def small_grouper() -> Grouper:
    """A grouper for at most a thousand articles, which is quickly made."""
    return Grouper(WINDOW, 1_000)


@dataclass(slots=True)
class StoryMembership:
    """The current story of each article, kept up to date with story events (docs/reference/api.md, "Stories that
    merge and split"): all articles of a merged story move to the other one; a story that was split off takes the
    articles that it lists."""

    story_of: dict[str, str] = field(default_factory=dict)
    merges: int = 0
    splits: int = 0
    _members: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def follow(self, article: Article, stories: Iterable[Story]) -> None:
        """Apply the output for one article."""
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
    """``reports``: for each article of the stream, in order, the id and similarity of the article that it was reported
    as a near-duplicate of, or None. ``membership``: the stories of all articles after the last one."""

    reports: list[tuple[str, float] | None]
    membership: StoryMembership


def grouped(articles: Iterable[AnnotatedArticle], make: Callable[[], Grouper] = grouper) -> Grouped:
    """Group a stream with a new grouper."""
    running = make()
    membership = StoryMembership()
    reports: list[tuple[str, float] | None] = []
    for annotated in articles:
        output = running.process(annotated)
        reports.append(None)
        if output is not None:
            membership.follow(output.article, output.stories)
            original, similarity = output.article.duplicate_of, output.article.similarity
            if original is not None and similarity is not None:
                reports[-1] = original, similarity
    return Grouped(reports, membership)
