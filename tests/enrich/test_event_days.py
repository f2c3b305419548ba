"""The days of the event that an article reports."""

from datetime import UTC, date, datetime

import pytest

from enrich.annotate import annotate
from enrich.dates.event_days import event_days, most_frequent
from services.events import ArticleIn
from tests.harness import raw

# A Wednesday.
ARRIVAL = datetime(2022, 3, 9, 12, tzinfo=UTC)
FILLER = "The ministers said that the talks had been long and that more work was needed before an agreement. "


def days(text: str, published: datetime | None = ARRIVAL, language: str = "en") -> list[str]:
    """The days of an article with this text; ``?`` marks one of which only the weekday is certain."""
    article = ArticleIn(title="Talks on the dam", text=text, published_at=published, language=language)
    found = event_days(annotate(raw(article, "a", ARRIVAL)))
    return [f"{date.fromordinal(abs(day))}{'?' if day < 0 else ''}" for day in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The ministers met in Cairo on 7 March 2022 to talk about the dam. " + FILLER, ["2022-03-07"]),
        ("The ministers met in Cairo on Monday to talk about the dam. " + FILLER, ["2022-03-07?"]),
        ("The ministers met in Cairo yesterday to talk about the dam. " + FILLER, ["2022-03-08"]),
        ("The ministers met in Cairo to talk about the dam that was begun on 2 April 2011. " + FILLER, []),
        ("The ministers met in Cairo to talk about the dam. " + 10 * FILLER + "They met on Monday.", []),
        ("The ministers will meet in Cairo tomorrow to talk about the dam. " + FILLER, ["2022-03-10", "2022-03-09"]),
        ("The ministers met on Monday. On Tuesday they left, on Sunday they had come, on Friday not.", 3),
    ],
)
def test_the_days_near_publication_that_the_beginning_mentions_are_the_events(
    text: str, expected: list[str] | int
) -> None:
    """Days long before, and those that are mentioned late in the text, are of other events; three are kept."""
    found = days(text)
    assert (found if isinstance(expected, list) else len(found)) == expected


def test_without_a_date_of_publication_yesterday_says_nothing() -> None:
    """A weekday still says which weekday it was, and a full date which day, however long ago."""
    assert days("The ministers met yesterday in Cairo. " + FILLER, None) == []
    assert days("The ministers met on Monday in Cairo. " + FILLER, None) == ["2022-03-07?"]
    assert days("The ministers met on 3 May 2019 in Cairo. " + FILLER, None) == ["2019-05-03"]


def test_the_date_at_the_head_of_an_article_is_not_of_the_event() -> None:
    """The line that says when the article was published says nothing about its event."""
    text = "2022.02.28 | 21:02 دمشق\n\nالتقى الوزيران في القاهرة يوم الأحد وبحثا ملف السد وسبل استئناف المفاوضات."
    assert days(text, None, "ar") == ["2022-02-27?"]


def test_the_day_of_a_story_is_the_one_that_most_articles_mention_first() -> None:
    """Of equally frequent days the first counts; without any there is none."""
    first, second = date(2022, 3, 7), date(2022, 3, 8)
    assert most_frequent([second.toordinal(), -first.toordinal(), first.toordinal()]) == first
    assert most_frequent([second.toordinal(), first.toordinal()]) == second
    assert most_frequent([]) is None
