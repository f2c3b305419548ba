"""What one worker tells that is never interrupted: what any others are compared with."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import zip_longest

from enrich.group.grouper import ARTICLE_BYTES, Grouper
from services import settings as configured
from services.events import AnnotatedArticle, Article, Story


def told_by_one(articles: Iterable[AnnotatedArticle]) -> list[Article | Story]:
    """All events that these articles come to, in order, with the settings that workers have by default."""
    settings = configured.current()
    # The size of the window's tables decides which articles meet in a bucket: another one may tell another story.
    capacity = settings.story_memory_bytes // ARTICLE_BYTES
    grouper = Grouper(timedelta(hours=settings.story_window_hours), capacity)
    told = filter(None, map(grouper.process, articles))
    return [event for one in told for event in (one.article, *one.stories)]


def first_difference(events: Sequence[Article | Story], expected: Sequence[Article | Story]) -> str | None:
    """Where two streams of events part, in words short enough to read; None when they do not."""
    for number, (one, other) in enumerate(zip_longest(events, expected)):
        if one != other:
            have, want = (event.model_dump() if event else {} for event in (one, other))
            fields = [name for name in have | want if have.get(name) != want.get(name)]
            told = [f"{name}: {have.get(name)!r:.300}, not {want.get(name)!r:.300}" for name in fields]
            return f"event {number} of {len(events)}, {type(one).__name__} {have.get('id')}: " + "; ".join(told)
    return None
