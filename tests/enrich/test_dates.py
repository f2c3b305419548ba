"""The days an article mentions."""

import itertools
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.dates.finder import dateline, find

GOLD = Path(__file__).parents[2] / "evaluation" / "gold" / "dates.jsonl"
CASES = [json.loads(line) for line in GOLD.read_text(encoding="utf-8").splitlines()]
THURSDAY = datetime.fromisoformat("2022-03-03T20:00:00+02:00")
ARRIVAL = datetime(2022, 3, 9, 12, tzinfo=UTC)


def days(text: str, language: str, published: datetime | None = THURSDAY) -> list[tuple[str, str]]:
    """The dates that were found, as text and day."""
    return [(day.text, day.date.isoformat()) for day in find(text, language, published, ARRIVAL)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"][:30])
def test_the_dates_of_every_sentence_of_the_gold_set_are_those_labelled(case: dict[str, Any]) -> None:
    """Explicit and relative days in six languages, and words that look like dates."""
    published = datetime.fromisoformat(case["published_at"])
    found = find(case["text"], case["language"], published, published)
    assert [{"text": d.text, "date": d.date.isoformat(), "basis": d.basis} for d in found] == case["dates"]


def test_relative_days_are_counted_from_the_publishers_day() -> None:
    """Late in the evening, the day of the publisher's UTC offset counts, not that in UTC or of arrival."""
    late = datetime.fromisoformat("2022-03-03T23:30:00-05:00")
    assert days("أمس", "ar", late) == [("أمس", "2022-03-02")]
    assert [day.basis for day in find("أمس", "ar", late, ARRIVAL)] == ["published"]


def test_without_a_day_of_publication_the_day_of_arrival_counts_and_is_named_as_basis() -> None:
    """The basis shows how reliable the day is."""
    (day,) = find("وصل أمس", "ar", None, ARRIVAL)
    assert (day.date, day.basis) == (date(2022, 3, 8), "received")
    (day,) = find("وصل في 28 شباط 2022", "ar", None, ARRIVAL)
    assert (day.date, day.basis) == (date(2022, 2, 28), "explicit")


def test_a_weekday_next_to_today_corrects_a_late_arrival() -> None:
    """ "Today, Monday" that arrived on a Wednesday is Monday."""
    assert days("مساء اليوم الإثنين", "ar", None) == [("اليوم الإثنين", "2022-03-07")]


@pytest.mark.parametrize(
    ("text", "day"), [("24 كانون الأول", "2021-12-24"), ("15 مايو", "2022-05-15"), ("24 فبراير", "2022-02-24")]
)
def test_a_day_without_a_year_is_near_its_article(text: str, day: str) -> None:
    """It is in the year of publication, or across New Year where that is much nearer."""
    assert days(text, "ar") == [(text, day)]


def test_days_outside_the_calendar_are_left_out() -> None:
    """No 30 February, no year 0."""
    assert days("30 فبراير 2022، 2022.13.01، 0000-01-01، 31/11/2022", "ar") == []


def test_other_languages_still_have_their_dates_in_digits() -> None:
    """In a language without tables only dates in digits are found."""
    assert days("2022-02-28 tarihinde, dün", "tr") == [("2022-02-28", "2022-02-28")]


@pytest.mark.parametrize(
    ("text", "language", "moment"),
    [
        ("التغطية الحية\n\nعنوان الخبر\n\n2022.02.28 | 21:02 دمشق\n\nنص الخبر", "ar", "2022-02-28T21:02"),
        ("Paris, 28 février 2022\n\nLe ministre est arrivé.", "fr", "2022-02-28T00:00"),
        ("PARIS, Feb 28, 2022 (AFP) - The minister arrived.", "en", "2022-02-28T00:00"),
        ("القاهرة في 28 شباط 2022 - قال الوزير إن المحادثات انتهت", "ar", "2022-02-28T00:00"),
        ("February 28, 2022 9:05 pm\nThe minister arrived.", "en", "2022-02-28T21:05"),
    ],
)
def test_the_first_lines_have_the_time_of_publication(text: str, language: str, moment: str) -> None:
    """A stamp or a dateline with a full date counts; its time is taken as UTC."""
    assert dateline(text, language) == datetime.fromisoformat(moment).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "What happened on 7 October 2023 in the region and why it still matters to all of us",
        "The minister arrived on Monday.",
        "\n".join([*(f"Line {number} of the article" for number in range(20)), "28 February 2022"]),
        "",
    ],
)
def test_a_date_that_the_news_is_about_is_not_its_dateline(text: str) -> None:
    """A date in a sentence, without a year, or far below is not the time of publication."""
    assert dateline(text, "en") is None


PIECES = st.sampled_from(
    "اليوم أمس الخميس الماضي المقبل وأمس 24 فبراير آذار/مارس تشرين الثاني 2022 1 31 May last Monday next of , . ( ) / "
    "jeudi dernier в среду mañana pasado de heute morgen Montag 2022-02-28 ٢٨ شباط قالَ".split(" ")
)
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=25).map(" ".join)


@given(TEXTS, st.sampled_from(["ar", "en", "fr", "ru", "es", "de", "tr"]))
def test_mentions_are_in_the_text_in_order_and_do_not_overlap(text: str, language: str) -> None:
    """And each is the text between its offsets."""
    found = find(text, language, THURSDAY, ARRIVAL)
    assert all(text[day.start : day.end] == day.text and day.text for day in found)
    assert all(one.end <= other.start for one, other in itertools.pairwise(found))
    dateline(text, language)


@pytest.mark.parametrize("moment", [datetime(1000, 1, 1, tzinfo=UTC), datetime(9000, 12, 31, tzinfo=UTC)])
def test_publication_in_the_first_or_last_year_does_not_fail(moment: datetime) -> None:
    """Days beyond the supported years are left out."""
    found = find("أمس، غدا، في الخميس المقبل 24 فبراير 999", "ar", moment, moment)
    assert [day.text for day in found][:3] == ["أمس", "غدا", "الخميس المقبل"]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", ["1" * 500_000, "1/" * 60_000, "/".join(["آذار"] * 20_000), "الخميس " * 100_000])
def test_hostile_text_costs_no_more_than_its_length(text: str) -> None:
    """Very many digits, months or Thursdays: the number of days is bounded."""
    assert len(find(text, "ar", THURSDAY, ARRIVAL)) <= 500
