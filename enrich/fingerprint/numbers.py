"""The numbers in an article, in one form for all languages: "1.2", "١٫٢" and "1,2" are equal."""

import regex

_KEPT = 16
_NUMBER = regex.compile(r"\p{Nd}++(?:[.,٫٬]\p{Nd}++)*+")
_GROUPED = regex.compile(r"\p{Nd}{1,3}+(?:[.,٬]\p{Nd}{3})++")
_LONGEST = 12
# Small whole numbers and years are too frequent to distinguish articles.
_SMALL = 10
_YEARS = range(1900, 2100)


def numbers(text: str) -> list[str]:
    """The first 16 different numbers of a text that are not too frequent, in order."""
    found: dict[str, None] = {}
    for match in _NUMBER.finditer(text):
        value = _value(match.group())
        if value is not None:
            found[value] = None
            if len(found) == _KEPT:
                break
    return list(found)


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
