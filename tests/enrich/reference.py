"""The events of one worker that is never interrupted: the reference for workers that are."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import zip_longest

from enrich.group.grouper import ARTICLE_BYTES, Grouper
from services import settings as configured
from services.events import AnnotatedArticle, Article, Story


def expected_events(articles: Iterable[AnnotatedArticle]) -> list[Article | Story]:
    """All events for these articles, in order, with a worker's default settings."""
    settings = configured.current()
    # The size of the window's indexes decides which articles share a bucket: another one may give other stories.
    capacity = settings.story_memory_bytes // ARTICLE_BYTES
    grouper = Grouper(timedelta(hours=settings.story_window_hours), capacity)
    outputs = filter(None, map(grouper.process, articles))
    return [event for output in outputs for event in (output.article, *output.stories)]


def first_difference(events: Sequence[Article | Story], expected: Sequence[Article | Story]) -> str | None:
    """A short description of where two streams of events first differ; None when they are equal."""
    for number, (one, other) in enumerate(zip_longest(events, expected)):
        if one != other:
            have, want = (event.model_dump() if event else {} for event in (one, other))
            fields = [name for name in have | want if have.get(name) != want.get(name)]
            differences = [f"{name}: {have.get(name)!r:.300}, not {want.get(name)!r:.300}" for name in fields]
            return f"event {number} of {len(events)}, {type(one).__name__} {have.get('id')}: " + "; ".join(differences)
    return None
