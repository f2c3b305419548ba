"""Pairs of quotation marks, and lines of dialogue."""

from collections.abc import Iterable
from typing import NamedTuple

import regex

# The longest quotation; a mark that is not closed by then was no opening one.
LONGEST = 2_000
# A text with more is an attack and is not processed to its end.
_MOST = 2_000

_EMPTY_LINE = regex.compile(r"\n[^\S\n]*+\n")
_DASHED = regex.compile(r"^[^\S\n]*+[—–][^\S\n]++", regex.MULTILINE)
_FAMILIES = dict.fromkeys("«»", "«") | dict.fromkeys("“”„‟", "“") | {'"': '"'} | dict.fromkeys("'‘’", "'")
_BEFORE = frozenset("([{—–-/:،,«")
_PADDING = " \t\u00a0\u202f\u2009\n"


class Marked(NamedTuple):
    """Words in quotation marks: ``inner`` without the marks, ``outer`` with them (start, end)."""

    inner: tuple[int, int]
    outer: tuple[int, int]


def marked(text: str) -> list[Marked]:
    """All words in quotation marks, in order, without overlap; nested marks belong to the outer pair.

    A pair never contains an empty line or more than ``LONGEST`` characters. Whether a straight or curly mark opens or
    closes depends on the characters next to it, so that one stray mark does not invert the rest; an apostrophe is no
    mark.
    """
    found: list[Marked] = []
    pairing = _Pairing(text)
    for at in positions(text, _FAMILIES):
        outer = pairing.add(at)
        if outer is not None and (inner := _trimmed(text, outer[0] + 1, at)):
            found.append(Marked(inner, outer))
            if len(found) == _MOST:
                break
    return found


def lines_of_dialogue(text: str) -> list[int]:
    """The beginnings of lines that a dash marks as speech («— Да, — сказал он»); offsets after the dash."""
    found: list[int] = []
    if not dashed(text):
        return found
    for match in _DASHED.finditer(text):
        found.append(match.end())
        if len(found) == _MOST:
            break
    return found


def dashed(text: str) -> bool:
    """Whether a text has a dash that could mark speech."""
    return "—" in text or "–" in text


def positions(text: str, marks: Iterable[str]) -> list[int]:
    """The offsets of any of some characters, in order. They are rare, so ``find`` for each is faster than a loop."""
    found = []
    for mark in marks:
        at = text.find(mark)
        while at >= 0:
            found.append(at)
            at = text.find(mark, at + 1)
    return sorted(found)


class _Pairing:
    """Pairs quotation marks that are added in order."""

    def __init__(self, text: str) -> None:
        self.text = text
        # The kind of the open pair ("" if none), its offset, the number of open marks, the offset of the last mark.
        self.family, self.start, self.depth, self.seen = "", 0, 0, 0

    def add(self, at: int) -> tuple[int, int] | None:
        """Add the mark at an offset; returns the pair (start, end) that it closes, or None."""
        mark = self.text[at]
        kind = _FAMILIES[mark]
        opens, closes = _sides(self.text, at, mark)
        if self.family and (self._broken_off(at) or (self.family == "'" and kind != "'")):
            self.family = ""
        self.seen = at
        if not self.family:
            if opens and (kind != "'" or not closes):
                self.family, self.start, self.depth = kind, at, 1
        elif kind == self.family:
            return self._continue(at, mark, opens, closes)
        return None

    def _continue(self, at: int, mark: str, opens: bool, closes: bool) -> tuple[int, int] | None:
        """Add a further mark of the open kind."""
        if mark == "«":
            self.depth += 1
        elif opens and not closes:
            self.start = at
        elif closes and (mark not in "'‘’" or not opens):
            self.depth -= 1
            if not self.depth:
                self.family = ""
                return self.start, at + 1
        return None

    def _broken_off(self, at: int) -> bool:
        """Whether the open pair is too long, or an empty line follows the last mark."""
        if at - self.start > LONGEST:
            return True
        line = self.text.find("\n", self.seen, at)
        return line >= 0 and _EMPTY_LINE.search(self.text, line, at) is not None


def _sides(text: str, at: int, mark: str) -> tuple[bool, bool]:
    """Whether a mark may open and whether it may close at this offset."""
    if mark in "«»":
        return mark == "«", mark == "»"
    before = text[at - 1] if at else " "
    after = text[at + 1] if at + 1 < len(text) else " "
    if mark in "'‘’":
        return (not before.isalnum() and after.isalnum()), (not before.isspace() and not after.isalnum())
    left = before.isspace() or before in _BEFORE
    right = after.isspace() or not (after.isalnum() or after in "«([…'‘-")
    if left == right:
        return True, True
    return left, right


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    """A span without spaces at its ends and without a comma or full stop before the closing mark."""
    while start < end and text[start] in _PADDING:
        start += 1
    while end > start and text[end - 1] in _PADDING:
        end -= 1
    while end > start and text[end - 1] in ".,،":
        end -= 1
    return (start, end) if start < end else None
