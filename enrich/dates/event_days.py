"""When the event was that an article reports: the days that its beginning mentions."""

import re
from collections.abc import Sequence
from datetime import date

from enrich.dates import finder
from services.events import AnnotatedArticle, Date

# The days of the event are in the beginning of the text; later ones are of other events.
_BEGINNING = 800
# A day further from publication is of an event that the article only refers to.
_NEAR = 10
MOST = 3
_DIGIT = re.compile(r"\d")


def event_days(article: AnnotatedArticle) -> tuple[int, ...]:
    """The days of an article's event as proleptic Gregorian ordinals, at most ``MOST``, the first mentioned first.

    Negative: only the weekday is certain, as of "on Thursday", which may be the last or the next one. Empty where the
    beginning mentions no day near publication, or arrival where that is unknown. The day of publication is the second
    where the first is a later one.
    """
    published = article.published_at
    base = (published or article.received_at).date()
    found: dict[int, None] = {}
    for day in article.dates:
        if day.start >= _BEGINNING or _is_dateline(day, article):
            continue
        near = abs((day.date - base).days) <= _NEAR
        if day.basis == "explicit" or _DIGIT.search(day.text):
            if near or (day.basis == "explicit" and published is None):
                found[day.date.toordinal()] = None
        elif near and finder.has_weekday(day.text, article.language):
            found[-day.date.toordinal()] = None
        elif near and day.basis == "published":
            found[day.date.toordinal()] = None
    # An announcement is news of the day of publication as well.
    if found and abs(next(iter(found))) > base.toordinal():
        found = {next(iter(found)): None, base.toordinal(): None} | found
    return tuple(found)[:MOST]


def most_frequent(days: Sequence[int]) -> date | None:
    """The most frequent of ``event_days``, of equally frequent ones the first; None when there are none."""
    if not days:
        return None
    ordinals = [abs(day) for day in days]
    return date.fromordinal(max(ordinals, key=ordinals.count))


def _is_dateline(day: Date, article: AnnotatedArticle) -> bool:
    """Whether a date is where the day of publication was read from."""
    return (
        day.basis == "explicit"
        and article.published_basis == "text"
        and article.published_at is not None
        and day.date == article.published_at.date()
    )
