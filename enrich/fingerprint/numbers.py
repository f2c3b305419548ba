"""The numbers in an article, in one form for all languages: "1.2", "١٫٢" and "1,2" are equal.

A time of day ("19:30") and a result ("2-1") are one number each. Arabic agencies write 19.6 as "6ر19".
"""

import regex

_KEPT = 16
_NUMBER = regex.compile(
    r"(?<time>\p{Nd}{1,2}+:\p{Nd}{2}+)(?!\p{Nd})|(?<result>(?<![\p{Nd}/.,:–-])\p{Nd}[–-]\p{Nd}(?![\p{Nd}/.,:–-]))"
    r"|(?<fraction>\p{Nd}{1,2}+)ر(?<whole>\p{Nd}{1,6}+)(?![\p{L}\p{Nd}])"
    r"|\p{Nd}++(?:[.,٫٬]\p{Nd}++)*+"
)
_FULL_HOUR = ("00", "٠٠", "۰۰")
_GROUPED = regex.compile(r"\p{Nd}{1,3}+(?:[.,٬]\p{Nd}{3})++")
_LONGEST = 12
# Small whole numbers and years are too frequent to distinguish articles.
_SMALL = 10
_YEARS = range(1900, 2100)


def numbers(text: str) -> list[str]:
    """The first 16 different numbers of a text that are not too frequent, in order."""
    found: dict[str, None] = {}
    for match in _NUMBER.finditer(text):
        if match["time"] and match["time"].endswith(_FULL_HOUR):  # others write it as a plain hour
            continue
        parts = match["time"] or match["result"]
        written = f"{match['whole']}.{match['fraction']}" if match["whole"] else match.group()
        value = _parts(parts) if parts else _value(written)
        if value is not None:
            found[value] = None
            if len(found) == _KEPT:
                break
    return list(found)


def _parts(written: str) -> str:
    """A time or a result with digits of ASCII."""
    return ":".join(str(int(part)) for part in regex.split("[:–-]", written))


def _value(written: str) -> str | None:
    """A number in one form for all digits and separators; None when it is too frequent."""
    if len(written) > _LONGEST:
        return None
    if _GROUPED.fullmatch(written):
        written = regex.sub(r"[.,٬]", "", written)
    try:
        value = float(regex.sub(r"[,٫]", ".", written))
    except ValueError:  # 1.2.3 is a version or an address
        return None
    if value.is_integer() and (value < _SMALL or value in _YEARS):
        return None
    return f"{value:g}" if value < 1e6 else f"{value:.0f}"
