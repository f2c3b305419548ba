"""The dates of publishers → moments: RFC 822 and ISO 8601, and what else is met in feeds, files and pages.

A date without a time zone is in UTC: a feed's language says too little about its zone (Arabic has five), and an
article that seems up to some hours older than it is does less harm than one from the future. Of 05/11/2026 the day
comes first, unless that is impossible or still to come. Names of zones that two countries share mean the one nearer to
the Arab world: AST is Arabia's.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from services.clock import is_plausible

# A longer text is no date.
_LONGEST: Final = 200

_DIGITS = {
    **{ord("٠") + number: str(number) for number in range(10)},
    **{ord("۰") + number: str(number) for number in range(10)},
    **dict.fromkeys(map(ord, "\u200c\u200e\u200f\u202a\u202b\u202c\u2066\u2067\u2068\u2069\u061c\u0640")),
    **dict.fromkeys(map(ord, "،\u00a0\u202f\u2009\n\r\t"), " "),
    **dict.fromkeys(map(ord, "−–—"), "-"),
    **dict.fromkeys(map(ord, "أإآٱ"), "ا"),
    **dict.fromkeys(map(ord, "ىی"), "ي"),
    ord("ة"): "ه",
    ord("ک"): "ك",
    **dict.fromkeys(range(0x64B, 0x653)),
}

_ENGLISH: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_RFC_822 = re.compile(
    r"(?:[A-Za-z]{2,9}\.?,?\s{1,3})?(\d{1,2})[\s-]{1,3}([A-Za-z]{3})[a-z]{0,6}\.?,?[\s-]{1,3}(\d{4}|\d{2})\s{1,3}"
    r"(\d{1,2}):(\d{2})(?::(\d{2}))?(?:[.,]\d{1,9})?\s{0,3}(.{0,60})"
)
_ISO = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:(?:\s{0,3}[Tt]\s{0,3}|\s{1,3})(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d{1,9})?)?)?\s{0,3}(.{0,60})"
)
_TIME = re.compile(
    r"(?<![\d:])(\d{1,2})[:.h](\d{2})(?:[:.](\d{2}))?(?:[.,]\d{1,9})?"
    r"(?:\s{0,3}(a\.?m\b\.?|p\.?m\b\.?|صباحا|مساء|ظهرا|عصرا|فجرا|ليلا|ق\.?\s?ظ|ب\.?\s?ظ|ص\b|م\b))?(?![\d:])",
    re.IGNORECASE,
)
_HALF = re.compile(r"\s{0,3}(?:[ap]\.?m\b|[صم]\b|صباح|مساء)", re.IGNORECASE)
_AFTERNOON: Final = frozenset({"p", "مساء", "ظهرا", "عصرا", "ب", "م"})
_OFFSET = re.compile(r"(?:\b(?:UTC|GMT|Z)\s{0,2})?([+-])\s?(\d{1,2}):?(\d{2})?(?::?\d{2})?(?!\d)", re.IGNORECASE)
_COMMENT = re.compile(r"\(([^()]{0,60})\)")
_ZONE_NAME = re.compile(r"\b[A-Za-z]{1,5}\b")
_BETWEEN = re.compile(r"(?<=\s)([a-z]{3,4})\s(?=\d{4}$)")
_PLACE = re.compile(r"\b[A-Z][A-Za-z]{2,12}/[A-Z][A-Za-z_]{2,20}(?:/[A-Z][A-Za-z_]{2,20})?\b")
_CJK = re.compile(r"(\d{4})\s?[年년]\s?(\d{1,2})\s?[月월]\s?(\d{1,2})\s?[日일]?")
_NUMBERS = re.compile(r"(?<![\d+])(\d{1,4})\s?[/.-]\s?(\d{1,2})\s?[/.-]\s?(\d{1,4})(?!\d)")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:[Tt]?(\d{2})(\d{2})(\d{2})?)?\s?(Z|[+-]\d{2}:?\d{2})?")
_EPOCH = re.compile(r"(\d{9,10})(?:\.\d{1,9})?|(\d{12,13})|(\d{15,16})")

# Minutes east of Greenwich.
_ZONES: Final = {
    **dict.fromkeys(("Z", "UT", "UTC", "utc", "GMT", "gmt", "WET", "Zulu"), 0),
    **dict.fromkeys(("CET", "MET", "MEZ", "WEST", "BST", "WAT"), 60),
    **dict.fromkeys(("CEST", "MEST", "MESZ", "EET", "CAT", "SAST", "OEZ"), 120),
    **dict.fromkeys(("EEST", "IDT", "MSK", "AST", "TRT", "EAT", "KSA"), 180),
    **dict.fromkeys(("GST", "MSD", "SAMT", "AZT", "GET"), 240),
    **{"IRST": 210, "IRDT": 270, "AFT": 270, "IST": 330, "NPT": 345, "MMT": 390},
    **dict.fromkeys(("PKT", "UZT", "TJT", "TMT", "YEKT"), 300),
    **dict.fromkeys(("BDT", "ALMT", "KGT", "OMST"), 360),
    **dict.fromkeys(("ICT", "WIB", "KRAT", "NOVT"), 420),
    **dict.fromkeys(("HKT", "SGT", "PHT", "MYT", "AWST", "WITA", "IRKT"), 480),
    **dict.fromkeys(("JST", "KST", "WIT", "YAKT"), 540),
    **dict.fromkeys(("AEST", "VLAT"), 600),
    **{"ACST": 570, "ACDT": 630, "AEDT": 660, "NZST": 720, "NZDT": 780},
    **dict.fromkeys(("BRT", "ART", "CLST", "UYT", "ADT"), -180),
    **dict.fromkeys(("EDT", "CLT", "VET", "BOT"), -240),
    **dict.fromkeys(("EST", "CDT", "PET", "COT", "ECT"), -300),
    **dict.fromkeys(("CST", "MDT"), -360),
    **dict.fromkeys(("MST", "PDT"), -420),
    **{"PST": -480, "AKDT": -480, "AKST": -540, "HST": -600, "NST": -210, "NDT": -150},
}
_ARABIC_ZONES: Final = {"غرينتش": 0, "جرينتش": 0, "مكه": 180, "السعوديه": 180, "بغداد": 180, "ابوظبي": 240, "دبي": 240}

# Where two languages mean different months by a name, the first counts.
_LOCALES: Final = (
    *("en", "ar", "ar_SY", "ar_DZ", "ar_MA", "fr", "es", "de", "it", "pt", "tr", "ru", "fa", "ur", "he", "nl", "pl"),
    *("uk", "cs", "sk", "ro", "hu", "el", "sv", "da", "nb", "fi", "bg", "sr", "sr_Latn", "hr", "sl", "mk", "sq", "et"),
    *(
        "lv",
        "lt",
        "be",
        "ca",
        "az",
        "kk",
        "uz",
        "hy",
        "ka",
        "ckb",
        "ku",
        "ps",
        "am",
        "so",
        "sw",
        "id",
        "ms",
        "hi",
        "bn",
    ),
)
_FURTHER: Final = {
    **{"يونيه": 6, "يوليه": 7, "اوكتوبر": 10, "كانون ثاني": 1, "كانون اول": 12, "تشرين اول": 10, "تشرين ثاني": 11},
    **{"sept": 9, "february": 2, "janv": 1, "févr": 2, "avr": 4, "juil": 7, "déc": 12, "ابريل": 4, "مايس": 5},
}
_HIJRI_MONTHS: Final = {
    **{
        "محرم": 1,
        "المحرم": 1,
        "صفر": 2,
        "ربيع الاول": 3,
        "ربيع اول": 3,
        "ربيع الثاني": 4,
        "ربيع الاخر": 4,
        "ربيع ثاني": 4,
    },
    **{"جمادي الاولي": 5, "جمادي الاول": 5, "جماد الاول": 5, "جمادي الاخره": 6, "جمادي الثانيه": 6, "جمادي الثاني": 6},
    **{
        "جماد الثاني": 6,
        "جمادي الاخر": 6,
        "رجب": 7,
        "شعبان": 8,
        "رمضان": 9,
        "شوال": 10,
        "ذو القعده": 11,
        "ذي القعده": 11,
    },
    **{"ذو الحجه": 12, "ذي الحجه": 12},
}
_HIJRI_NAMES = "|".join(sorted(_HIJRI_MONTHS, key=len, reverse=True))
_HIJRI_DATE = re.compile(
    rf"(?<!\d)(\d{{1,2}})\s{{0,3}}(?:من\s)?({_HIJRI_NAMES})(?!\w)\s{{0,3}}(?:سنه|عام)?\s{{0,3}}(1[345]\d\d)(?!\d)"
)
# The years of Hijri dates, which are never those of the common era.
_HIJRI_YEARS: Final = range(1343, 1501)


def read_date(text: str, now: datetime) -> datetime | None:
    """The moment that a publisher's date means, with a zone; None where there is none that can be true at
    ``now`` (``services.clock.is_plausible``), such as one of a clock that was not set.
    """
    text = text.strip()
    if not text or len(text) > _LONGEST:
        return None
    for reading in _readings(text, now):
        if is_plausible(reading, now):
            return reading
    return None


def _readings(text: str, now: datetime) -> Iterator[datetime]:
    """What a date may mean, the likeliest first."""
    found = _RFC_822.fullmatch(text)
    if found and found[2].lower() in _ENGLISH and not _HALF.match(found[7]):
        day, _, year, *time = found.groups()[:-1]
        yield from _moment(_full_year(year, now), _ENGLISH.index(found[2].lower()) + 1, int(day), time, found[7])
        return
    found = _ISO.fullmatch(text)
    if found and int(found[1]) not in _HIJRI_YEARS and not _HALF.match(found[7]):
        year, month, one, *time = found.groups()[:-1]
        yield from _moment(int(year), int(month), int(one), time, found[7])
        return
    text = text.translate(_DIGITS).strip()
    if text.replace(".", "", 1).isdigit():
        yield from _number(text)
        return
    if found := _COMPACT.fullmatch(text):
        year, month, one, *time = found.groups()[:-1]
        yield from _moment(int(year), int(month), int(one), time, found[7] or "")
        return
    yield from _words(text.lower(), text, now)


def _number(text: str) -> Iterator[datetime]:
    if found := _EPOCH.fullmatch(text):
        seconds = int(found[1] or 0) or int(found[2] or 0) / 1e3 or int(found[3] or 0) / 1e6
        yield datetime.fromtimestamp(seconds, UTC)
    if found := _COMPACT.fullmatch(text):
        year, month, day, *time = found.groups()[:-1]
        yield from _moment(int(year), int(month), int(day), time, "")


def _words(text: str, written: str, now: datetime) -> Iterator[datetime]:
    """Dates with names of months, and numbers in other orders."""
    time: list[str | None] = []
    rest = text
    # The date first: "29.11.2026" must not be a time.
    if found := _TIME.search(_NUMBERS.sub(lambda one: " " * len(one[0]), text)):
        time = [*found.groups()]
        rest = f"{text[: found.start()]} {text[found.end() :]}"
        written = f"{written[: found.start()]} {written[found.end() :]}"
    # "29 Nov EET 2026"
    rest = _BETWEEN.sub(lambda found: " " if found[1].upper() in _ZONES else found[0], rest)
    zone = _NUMBERS.sub(" ", written)
    for year, month, day in (*_dates(rest, now), *_hijri_dates(rest)):
        yield from _moment(year, month, day, time, zone)


def _dates(text: str, now: datetime) -> Iterator[tuple[int, int, int]]:
    """Year, month and day."""
    if found := _CJK.search(text):
        yield int(found[1]), int(found[2]), int(found[3])
        return
    for found in _NUMBERS.finditer(text):
        first, second, third = found.groups()
        if len(first) == 4:
            if int(first) not in _HIJRI_YEARS:
                yield int(first), int(second), int(third)
        elif len(third) in {2, 4} and int(third) not in _HIJRI_YEARS:
            year = _full_year(third, now)
            yield year, int(second), int(first)
            yield year, int(first), int(second)
    if any(one.isalpha() for one in text):
        months, day_first, month_first = _months()
        for found in day_first.finditer(text):
            yield _full_year(found[3], now), months[found[2]], int(found[1])
        for found in month_first.finditer(text):
            yield _full_year(found[3], now), months[found[1]], int(found[2])


def _hijri_dates(text: str) -> Iterator[tuple[int, int, int]]:
    for found in _HIJRI_DATE.finditer(text):
        yield from _gregorian(int(found[3]), _HIJRI_MONTHS[found[2]], int(found[1]))
    for found in _NUMBERS.finditer(text):
        first, second, third = map(int, found.groups())
        if first in _HIJRI_YEARS:
            yield from _gregorian(first, second, third)
        elif third in _HIJRI_YEARS:
            yield from _gregorian(third, second, first)


def _gregorian(year: int, month: int, day: int) -> Iterator[tuple[int, int, int]]:
    from hijridate import Hijri  # noqa: PLC0415  # few feeds need it

    try:
        yield Hijri(year, month, day).to_gregorian().datetuple()
    except (ValueError, OverflowError):
        return


def _moment(year: int, month: int, day: int, time: list[str | None], zone: str) -> Iterator[datetime]:
    """The moment of a date, a time (hour, minute, second, half of the day) and a zone; nothing if there is none."""
    hour, minute, second = (int(one or 0) for one in (*time[:3], None, None, None)[:3])
    half = (time[3] or "").lower() if len(time) > 3 else ""
    if half and hour <= 12:
        late = half[0] in _AFTERNOON or half in _AFTERNOON or (half == "ليلا" and 6 <= hour < 12)
        hour = hour % 12 + (12 if late else 0)
    midnight = hour == 24 and not minute
    try:
        moment = datetime(year, month, day, 0 if midnight else hour, minute, min(second, 59), tzinfo=_zone(zone))
        moment += timedelta(days=midnight)
        # With an offset for a place; one that no zone can express is none.
        offset = moment.utcoffset() or timedelta()
        moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return
    yield moment.replace(tzinfo=timezone(offset))


def _zone(text: str) -> tzinfo:
    """The zone that is named beside a date and a time; UTC where there is none."""
    if not text or text.isspace():
        return UTC
    if place := _PLACE.search(text):
        return _place(place[0])
    plain = _COMMENT.sub(" ", text)
    if found := _OFFSET.search(plain):
        minutes = int(found[2]) * 60 + int(found[3] or 0)
        if minutes <= 14 * 60:
            return timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))
    for name in (*_ZONE_NAME.findall(plain), *_ZONE_NAME.findall(text)):
        if name in _ZONES:
            return timezone(timedelta(minutes=_ZONES[name]))
    for name, minutes in _ARABIC_ZONES.items():
        if name in text:
            return timezone(timedelta(minutes=minutes))
    return UTC


@cache
def _place(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return UTC


def _full_year(text: str, now: datetime) -> int:
    year = int(text)
    if len(text) > 2:
        return year
    century = now.year - now.year % 100
    return century + year if century + year <= now.year + 1 else century - 100 + year


@cache
def _months() -> tuple[dict[str, int], re.Pattern[str], re.Pattern[str]]:
    """Names of months in many languages, and expressions for dates with the day or the month first."""
    from babel import Locale  # noqa: PLC0415  # 0.3 s, for dates of which English ones are most

    months: dict[str, int] = {}
    for code in _LOCALES:
        for context in Locale.parse(code).months.values():
            for width in ("wide", "abbreviated"):
                for number, name in context[width].items():
                    plain = str(name).translate(_DIGITS).lower().strip(" .")
                    if len(plain) > 1 and not any(one.isdigit() for one in plain):
                        months.setdefault(plain, number)
    for name, number in _FURTHER.items():
        months.setdefault(name, number)
    names = "|".join(re.escape(name) for name in sorted(months, key=len, reverse=True))
    between = r"(?:[\s./-]|\bde\b|\bdel\b|\bdi\b|\bمن\b|\bشهر\b)"
    return (
        months,
        re.compile(
            rf"(?<!\d)(\d{{1,2}})(?:\.|º|er|st|nd|rd|th)?{between}{{0,4}}(?<!\w)({names})(?!\w)[.,]?{between}{{0,4}}(?:,\s?)?(\d{{4}}|\d{{2}})(?!\d)"
        ),
        re.compile(rf"(?<!\w)({names})(?!\w)\.?{between}{{1,4}}(\d{{1,2}})(?:st|nd|rd|th)?[\s,]{{1,4}}(\d{{4}})(?!\d)"),
    )
