"""A passage as the network's input: sentences of words and punctuation marks.

A sentence ends after ``.``, ``!``, ``?``, ``؟`` or ``…`` with white space after it, and at the end of a line; a long
one is cut. Where it ends never depends on later lines.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

from enrich.text.tokens import Passage, Token

LONGEST = 80
_ENDS = frozenset(".!?؟…")
_LINE_ENDS = frozenset("\n\r\x0b\x0c\x85\u2028\u2029")
# Between two words, the characters examined at each end, and the punctuation marks kept.
_REACH = 32
_MOST_MARKS = 4


class _Gap(NamedTuple):
    """Marks between two words, with their distance from the word before or after them."""

    before: tuple[tuple[int, str], ...]
    ends: bool
    after: tuple[tuple[int, str], ...]


def sentences(passage: Passage) -> Iterator[list[Token]]:
    """The sentences of a passage, none of them empty, each of at most ``LONGEST`` words and marks.

    A mark is a token whose form is empty.
    """
    text = passage.text
    current: list[Token] = []
    end = 0
    for word in passage.words:
        start = word.start
        between = text[end:start]
        if between not in (" ", ""):
            gap = _gap(_shortened(between))
            current.extend([Token(end + at, end + at + 1, mark, "") for at, mark in gap.before])
            if gap.ends:
                yield from _cut(current)
                current = [Token(start - at, start - at + 1, mark, "") for at, mark in gap.after]
        current.append(word)
        end = word.end
        if len(current) > _MOST_MARKS + LONGEST:
            yield current[:LONGEST]
            current = current[LONGEST:]
    rest = _gap(_shortened(text[end:]))
    current.extend([Token(end + at, end + at + 1, mark, "") for at, mark in rest.before])
    yield from _cut(current)


def _cut(sentence: list[Token]) -> Iterator[list[Token]]:
    for at in range(0, len(sentence), LONGEST):
        yield sentence[at : at + LONGEST]


def _shortened(between: str) -> str:
    """The two ends of a long gap, with a line break for the rest."""
    return between if len(between) <= 2 * _REACH else f"{between[:_REACH]}\n{between[-_REACH:]}"


@functools.lru_cache(10_000)
def _gap(between: str) -> _Gap:
    breaks = [
        at + (char in _ENDS)
        for at, char in enumerate(between)
        if char in _LINE_ENDS or (char in _ENDS and between[at + 1 : at + 2].isspace())
    ]
    head = between[: breaks[0]] if breaks else between
    before = [(at, char) for at, char in enumerate(head[:_REACH]) if not char.isspace()][:_MOST_MARKS]
    if not breaks:
        return _Gap(tuple(before), False, ())
    tail = range(max(breaks[-1], len(between) - _REACH), len(between))
    after = [(len(between) - at, between[at]) for at in tail if not between[at].isspace()][-_MOST_MARKS:]
    return _Gap(tuple(before), True, tuple(after))
