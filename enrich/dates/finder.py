"""The days an article mentions: ``28 شباط 2022``, ``24 فبراير الماضي``, ``أمس``, ``last Thursday``, ``в четверг``.

Words are looked up in the tables of the article's language (``languages/xx/dates.toml``); the words next to them
decide. (dateparser knows more languages, but its search takes 8 to 13 ms for 700 letters of Arabic, reads "90 minutes"
as a date and misses ``28 شباط 2022``; one look-up per word takes a hundredth of that, and the tables can exclude
newspapers called "today".)

A weekday is the last such day up to the day of publication, unless its clause says next, last, until or "will". A day
without a year is taken in the year of publication, or in an adjacent year if that is three times nearer.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any, Literal

from enrich.languages import files
from enrich.text.tokens import form
from enrich.text.word_counts import word_counts
from services.events import Date
from services.normalization import WORD_MARKS

_WORD_PATTERN = rf"[\w{WORD_MARKS}]+"
_WORD = re.compile(_WORD_PATTERN)
_MARKS = re.compile(f"[{WORD_MARKS}]")
_DAY = re.compile(r"(\d{1,2})(?:st|nd|rd|th|er|º)?")
_YEAR = re.compile(r"(\d{4})(?:م|г|года)?")
# Begins with a digit, so that the search skips from digit to digit; what may not precede it is checked afterwards.
_NUMERIC = re.compile(r"([0-9٠-٩]\d{0,3})([./\-])(\d{1,2})\2(\d{1,4})(?!\w|[./\-]\d)")
_NOT_BEFORE = re.compile(r"[\w./\-]")
_TIME = re.compile(r"(?<![\d:.])([01]?\d|2[0-3])[:.]([0-5]\d)(?![\d:.])(?:\s?([AaPp])\.?[Mm])?")
_LONGEST_CLAUSE = 15
# The letters with which Arabic verbs of the present begin.
_PRESENT = "يتن"
_BETWEEN = (" ", "-", "/", ". ", ".")
_MOST = 500
_EARLIEST_YEAR, _LATEST_YEAR = 1000, 2999
_NEARER = 3

# A dateline is in the first lines; the rest of its line is at most a place, a time and a name.
_DATELINE_LINES = 8
_DATELINE_WORDS = 3
_DATELINE_REACH = 60
_LONGEST_LINE = 120
_NO_DAY = datetime(2000, 1, 1, tzinfo=UTC)
_DASH = re.compile(r"[^\n]{0,30}?(?: [-–—ـ] |[-–—]{2}|: )")

_CLOSING_QUOTES = ("»", "”", '"')
_STARTERS = (".", "!", "?", "؟", "…", "\n", "«", "“", '"', "•", "—", "–", "-", ":", "¿", "¡", "(")


@dataclass(frozen=True, slots=True)
class _Sense:
    """What a word can mean: a month (1 to 12), a weekday (Monday is 0) or days from today.

    A ``capital`` word has this meaning only at the beginning of a sentence; ``skip`` letters before it are clitics.
    """

    kind: Literal["month", "weekday", "relative"]
    value: int
    capital: bool = False
    skip: int = 0


@dataclass(frozen=True, slots=True)
class _Tables:
    """The words of a language, from its ``dates.toml``."""

    word: re.Pattern[str]
    senses: dict[str, _Sense]
    pairs: dict[tuple[str, str], int]
    past: frozenset[str]
    future: frozenset[str]
    links: frozenset[str]
    until: frozenset[str]
    articles: frozenset[str]
    auxiliaries: frozenset[str]
    verb_prefix: str
    years: dict[str, int]
    modifiers: Literal["before", "after", "both"]
    never_after: dict[str, frozenset[str]]
    never_before: dict[str, frozenset[str]]
    only_after: dict[str, frozenset[str]]
    month_first: bool
    day_before: frozenset[str]
    day_after: frozenset[str]
    day_first: frozenset[str]
    name_endings: frozenset[str]
    corresponding: frozenset[str]
    known_words: Mapping[str, int]
    ambiguous_slashes: bool


def find(text: str, language: str, published: datetime | None, received: datetime) -> tuple[Date, ...]:
    """The days a text mentions, in order, without overlaps; at most 500.

    Relative ones are counted from the day of publication in the UTC offset of ``published``, else from that of arrival.
    Months, years and periods are left out; in a language without tables only dates in digits are found.
    """
    reckoned: Literal["published", "received"] = "received" if published is None else "published"
    base = (published or received).date()
    tables = _tables(language)
    found = _numeric(text, tables is not None and tables.ambiguous_slashes)
    if tables is not None:
        found += _Search(text, tables, base).run()
    chosen: list[Date] = []
    # Of two that begin together the longer one: a weekday belongs to the date after it.
    for start, end, day, explicit in sorted(found, key=lambda hit: (hit[0], -hit[1])):
        if not chosen or start >= chosen[-1].end:
            basis = "explicit" if explicit else reckoned
            chosen.append(Date(start=start, end=end, text=text[start:end], date=day, basis=basis))
    return tuple(chosen[:_MOST])


def dateline(text: str, language: str) -> datetime | None:
    """When an article was published according to its first lines (``2022.02.28 | 21:02 دمشق``), or None.

    Only a full date counts that has a line nearly to itself or opens a line before a dash. The time is the one next to
    it, else midnight. Datelines have no time zone: UTC is assumed.
    """
    lines = (line.strip() for line in text[: _DATELINE_LINES * _LONGEST_LINE].split("\n"))
    for line in islice(filter(None, lines), _DATELINE_LINES):
        head = line[:_LONGEST_LINE]
        for day in find(head, language, None, _NO_DAY):
            if day.basis == "explicit" and _is_dateline(line, day):
                return datetime.combine(day.date, _time(head), tzinfo=UTC)
    return None


def has_weekday(text: str, language: str) -> bool:
    """Whether one of the words of a date found in a text of this language is a weekday."""
    tables = _tables(language)
    if tables is None:
        return False
    senses = (tables.senses.get(_MARKS.sub("", match.group())) for match in tables.word.finditer(text))
    return any(sense is not None and sense.kind == "weekday" for sense in senses)


def _is_dateline(line: str, day: Date) -> bool:
    """Whether a date has its line nearly to itself, or opens it before a dash."""
    if len(line) <= _LONGEST_LINE:
        others = _WORD.findall(f"{line[: day.start]} {line[day.end :]}")
        if sum(word.isalpha() for word in others) <= _DATELINE_WORDS:
            return True
    return day.end <= _DATELINE_REACH and _DASH.match(line, day.end) is not None


def _time(line: str) -> time:
    """The first time of day on a line outside dates, else midnight."""
    found = _TIME.search(_NUMERIC.sub(lambda match: " " * len(match.group()), line))
    if found is None:
        return time()
    hour = int(found[1])
    if found[3] and hour <= 12:
        hour = hour % 12 + (12 if found[3] in "pP" else 0)
    return time(hour, int(found[2]))


def _numeric(text: str, ambiguous_slashes: bool) -> list[tuple[int, int, date, bool]]:
    """Dates in digits: the year first, or last with the day before the month.

    With ``ambiguous_slashes`` the month may come first in dates with slashes; those that can be read both ways are left
    out.
    """
    found = []
    for match in _NUMERIC.finditer(text):
        start = match.start()
        if start and _NOT_BEFORE.match(text, start - 1):
            continue
        first, month, last = int(match[1]), int(match[3]), int(match[4])
        if len(match[1]) == 4 and len(match[4]) <= 2:
            year, day = first, last
        elif len(match[1]) <= 2 and len(match[4]) == 4:
            year, day = last, first
            if ambiguous_slashes and match[2] == "/" and day != month:
                if day <= 12 and month <= 12:
                    continue
                day, month = max(day, month), min(day, month)
        else:
            continue
        if (valid := _date(year, month, day)) is not None:
            found.append((start, match.end(), valid, True))
            if len(found) == _MOST:
                break
    return found


def _date(year: int, month: int, day: int) -> date | None:
    if not _EARLIEST_YEAR <= year <= _LATEST_YEAR:
        return None
    try:
        return date(year, month, day)
    except ValueError:
        return None


class _Search:
    """One search through the words of one text."""

    def __init__(self, text: str, tables: _Tables, base: date) -> None:
        self.text = text
        self.tables = tables
        self.base = base
        self.words = list(tables.word.finditer(text))

    def run(self) -> list[tuple[int, int, date, bool]]:
        senses = self.tables.senses
        found: list[tuple[int, int, date, bool]] = []
        for at, match in enumerate(self.words):
            word = match.group()
            sense = senses.get(word)
            if sense is None and not word.isalnum():
                sense = senses.get(_MARKS.sub("", word))
            if sense is None or (sense.capital and not self._begins_sentence(at)) or self._is_other(at):
                continue
            if sense.kind == "month":
                hit = self._day_of_month(at, sense)
            elif sense.kind == "weekday":
                hit = self._weekday(at, sense)
            else:
                hit = self._relative(at, sense)
            if hit is not None:
                found.append(hit)
                if len(found) == _MOST:
                    break
        return found

    def _near(self, at: int, step: int, gaps: tuple[str, ...] = (" ",)) -> str:
        """The neighbour of a word, without marks, if they are separated by one of the gaps; else empty."""
        other = at + step
        if not 0 <= other < len(self.words):
            return ""
        first, second = sorted((at, other))
        gap = self.text[self.words[first].end() : self.words[second].start()]
        return _MARKS.sub("", self.words[other].group()) if gap in gaps else ""

    def _begins_sentence(self, at: int) -> bool:
        before = self.text[max(0, self.words[at].start() - 2) : self.words[at].start()]
        return not before.strip(" ") or before.rstrip(" ").endswith(_STARTERS)

    def _is_other(self, at: int) -> bool:
        """Whether the words next to it make a word no date: ``روسيا اليوم``, ``every Monday``, "Sunday Times"."""
        word = _MARKS.sub("", self.words[at].group())
        before, after = self._near(at, -1), self._near(at, 1)
        tables = self.tables
        if before in tables.never_after.get(word, ()) or before in tables.never_after.get("*", ()):
            return True
        if after in tables.never_before.get(word, ()) or after in tables.never_before.get("*", ()):
            return True
        if word in tables.only_after and before not in tables.only_after[word]:
            return True
        # «فلسطين اليوم»: a name that ends in its quotation marks.
        end = self.words[at].end()
        return bool(before) and word in tables.name_endings and self.text[end : end + 1] in _CLOSING_QUOTES

    def _direction(self, at: int, last: int) -> tuple[int, int, int]:
        """-1, 0 or 1 if a word next to those from ``at`` to ``last`` says past, nothing or future; and both indices
        with that word included.
        """
        tables = self.tables
        sides = []
        if tables.modifiers != "before":
            sides.append((self._near(last, 1, (" ", ") ")), at, last + 1))
        if tables.modifiers != "after":
            sides.append((self._near(at, -1), at - 1, last))
        for neighbour, first, final in sides:
            if neighbour.lower() in tables.past:
                return -1, first, final
            if neighbour.lower() in tables.future:
                return 1, first, final
        return 0, at, last

    def _day_of_month(self, at: int, sense: _Sense) -> tuple[int, int, date, bool] | None:
        """A month with its day and the words that belong to them; None for a month without a day."""
        month, last = self._month(at, sense)
        # Both sets of names side by side: آذار/مارس, آذار (مارس).
        twin = self.tables.senses.get(self._near(last, 1, ("/", " / ", " (", "(")))
        if twin is not None and twin.kind == "month" and (other := self._month(last + 1, twin))[0] == month:
            last = other[1]
        first, day = at, None
        step = 2 if self._near(at, -1) in self.tables.links else 1
        if sense.skip == 0 and (number := _DAY.fullmatch(self._near(at - step + 1, -1, _BETWEEN))):
            first, day = at - step, int(number[1])
        elif self.tables.month_first and (number := _DAY.fullmatch(self._near(last, 1, (" ", ". ")))):
            last, day = last + 1, int(number[1])
        if day is None:
            return None
        start = self._with_weekday(first)
        year, end = self._year(last)
        if year is not None:
            hit = _date(year, month, day)
        else:
            direction, _, last = self._direction(first, last)
            end = self._closed(start, self.words[last].end())
            hit = self._in_a_year_near(month, day, direction)
        return None if hit is None else (start, end, hit, year is not None and self.text[end - 1].isdigit())

    def _month(self, at: int, sense: _Sense) -> tuple[int, int]:
        """The month that begins with a word, and its last word: تشرين الأول has two."""
        pair = self.tables.pairs.get((self.words[at].group()[sense.skip :], self._near(at, 1)))
        return (sense.value, at) if pair is None else (pair, at + 1)

    def _year(self, last: int) -> tuple[int | None, int]:
        """The year after a day and a month, as digits or as "last year", and where it ends."""
        number = _YEAR.fullmatch(self._near(last, 1, (" ", ", ", ",", "/", "-", "، ", ") ", ". ")))
        if number is None and self._near(last, 1, (" ", ", ", "، ")) in self.tables.links:
            last += 1
            number = _YEAR.fullmatch(self._near(last, 1))
            last -= number is None
        if number is not None:
            return int(number[1]), self.words[last + 1].start() + len(number[1])
        end = self.words[last].end()
        if self.text[end : end + 1] == " ":
            for phrase, years in self.tables.years.items():
                if self.text.startswith(phrase, end + 1):
                    return self.base.year + years, end + 1 + len(phrase)
        return None, end

    def _with_weekday(self, first: int) -> int:
        """Where a date begins, the weekday before it included."""
        for before, gaps in ((first - 1, (" ", ", ", "، ")), (first - 2, (" ",))):
            if before < 0:
                break
            sense = self.tables.senses.get(self._near(before + 1, -1, gaps))
            if sense is not None and sense.kind == "weekday":
                return self.words[before].start() + sense.skip
            if (
                self._near(first, -1).lower() not in self.tables.links
                and self._near(first, -1) not in self.tables.corresponding
            ):
                break
        return self.words[first].start()

    def _in_a_year_near(self, month: int, day: int, direction: int) -> date | None:
        days = [
            valid
            for year in (self.base.year, self.base.year - 1, self.base.year + 1)
            if (valid := _date(year, month, day)) is not None and direction * (valid - self.base).days >= 0
        ]
        if not days:
            return None

        def away(valid: date) -> int:
            return abs((valid - self.base).days)

        nearest = min(days, key=away)
        own = days[0]
        keeps_year = own.year == self.base.year and not direction and away(nearest) * _NEARER > away(own)
        return own if keeps_year else nearest

    def _weekday(self, at: int, sense: _Sense) -> tuple[int, int, date, bool]:
        direction, first, last = self._direction(at, at)
        start = self.words[first].start() + (sense.skip if first == at else 0)
        if direction > 0:
            day = self._on_or_after(self.base + timedelta(1), sense.value)
        elif direction == 0 and self._is_ahead(first):
            day = self._on_or_after(self.base, sense.value)
        else:
            day = self._on_or_before(self.base + timedelta(direction), sense.value)
        return start, self.words[last].end(), day, False

    def _is_ahead(self, at: int) -> bool:
        """Whether the clause up to a word is about the future: ``حتى``, ``until``, ``سيلتقي``, "will meet"."""
        tables = self.tables
        before = self._near(at, -1)
        if before in tables.until or (before in tables.articles and self._near(at - 1, -1) in tables.until):
            return True
        for other in range(at - 1, max(at - _LONGEST_CLAUSE, 0) - 1, -1):
            gap = self.text[self.words[other].end() : self.words[other + 1].start()]
            if not gap.isspace() or "\n" in gap:
                return False
            word = _MARKS.sub("", self.words[other].group())
            if word in tables.auxiliaries or (tables.verb_prefix and self._is_future_verb(word)):
                return True
        return False

    def _is_future_verb(self, word: str) -> bool:
        """Whether a word is a future marker before a present verb; سيارة and سياسة are not."""
        bare = word.removeprefix("و")
        verb = bare.removeprefix(self.tables.verb_prefix)
        return verb != bare and len(verb) >= 4 and verb[0] in _PRESENT and form(verb) in self.tables.known_words

    def _closed(self, start: int, end: int) -> int:
        """The end, with the bracket that closes one opened inside."""
        return end + (self.text[end : end + 1] == ")" and "(" in self.text[start:end])

    def _relative(self, at: int, sense: _Sense) -> tuple[int, int, date, bool]:
        first, last, value = at, at, sense.value
        before, after = self._near(at, -1), self._near(at, 1)
        tables = self.tables
        if value == -1 and after in tables.day_first:
            value, last = -2, at + 1
        elif value == -1 and before in tables.day_first:
            value, first = -2, at - 1
        elif value == -1 and before in tables.links and self._near(at - 1, -1) in tables.day_first:
            value, first = -2, at - 2
        elif (value == -1 and before in tables.day_before) or (value == 1 and before in tables.day_after):
            value, first = 2 * value, at - 1
        day = self.base + timedelta(value)
        # "Today, Monday": if the article arrived on another day, the weekday is more reliable.
        named = self.tables.senses.get(self._near(last, 1, (" ", ", ", "، ", " (")))
        if named is not None and named.kind == "weekday" and not named.skip:
            last += 1
            day = self._on_or_after(day, named.value) if value > 0 else self._on_or_before(day, named.value)
        start = self.words[first].start() + (sense.skip if first == at else 0)
        return start, self._closed(start, self.words[last].end()), day, False

    def _on_or_before(self, day: date, weekday: int) -> date:
        return day - timedelta((day.weekday() - weekday) % 7)

    def _on_or_after(self, day: date, weekday: int) -> date:
        return day + timedelta((weekday - day.weekday()) % 7)


def _words(entry: Mapping[str, Any], key: str) -> frozenset[str]:
    return frozenset(entry.get(key, "").split())


def _neighbours(entry: Mapping[str, Any], key: str) -> dict[str, frozenset[str]]:
    return {word: frozenset(neighbours.split()) for word, neighbours in entry.get(key, {}).items()}


def _senses(entry: Mapping[str, Any]) -> Iterator[tuple[str, _Sense]]:
    """All words of a language with their meanings, in the capitals they are written with."""
    always = entry["capitals"] == "always"
    kinds: tuple[tuple[Literal["month", "weekday"], str, int], ...] = (
        ("month", "months", 1),
        ("weekday", "weekdays", 0),
    )
    for kind, name, first in kinds:
        for value, line in enumerate(entry[name].strip().split("\n"), first):
            for word in line.split():
                yield word, _Sense(kind, value)
                yield (word.upper(), _Sense(kind, value)) if always else (word.capitalize(), _Sense(kind, value, True))
    never_capital = _words(entry, "never_capital")
    for word, value in entry["relative"].items():
        if word not in never_capital and word.capitalize() != word:
            yield word.capitalize(), _Sense("relative", value, True)
        yield word, _Sense("relative", value)
    for first_word, _, value in entry.get("pairs", ()):
        yield first_word, _Sense("month", value)


@functools.cache
def _tables(language: str) -> _Tables | None:
    """The tables of a language; None when it has none."""
    entry = files.table(language, files.DATES)
    if entry is None:
        return None
    senses = dict(_senses(entry))
    for clitic in entry.get("clitics", "").split():
        senses |= {
            clitic + word: replace(sense, skip=len(clitic)) for word, sense in list(senses.items()) if not sense.skip
        }
    return _Tables(
        word=re.compile("|".join([*entry.get("compounds", ()), _WORD_PATTERN])),
        senses=senses,
        pairs={(first, word): month for first, words, month in entry.get("pairs", ()) for word in words.split()},
        past=_words(entry, "past"),
        future=_words(entry, "future"),
        links=_words(entry, "links"),
        until=_words(entry, "until"),
        articles=_words(entry, "articles"),
        auxiliaries=_words(entry, "auxiliaries"),
        verb_prefix=entry.get("verb_prefix", ""),
        years=entry["years"],
        modifiers=entry["modifiers"],
        never_after=_neighbours(entry, "never_after"),
        never_before=_neighbours(entry, "never_before"),
        only_after=_neighbours(entry, "only_after"),
        month_first=entry.get("month_first", False),
        day_before=_words(entry, "day_before"),
        day_after=_words(entry, "day_after"),
        day_first=_words(entry, "day_first"),
        name_endings=_words(entry, "name_endings"),
        corresponding=_words(entry, "corresponding"),
        known_words=word_counts(language),
        ambiguous_slashes=entry.get("ambiguous_slashes", False),
    )
