"""The names of the gazetteer in a passage.

Longest name first, left to right, no overlaps. Arabic particles that are written onto a name (و ف ب ل ك س) are not part
of the match. A weak name (one that is also a common word, a first name, a smaller place) counts only where a recognizer
has found a name of its type. A name counts in the articles of the languages that have it (``spelling.counts_in``). One
that is an ordinary word of the article's language needs a capital within a sentence, or the same entity elsewhere; a
name within a longer one («Qatar Airways») does not count.
"""

import functools
from collections.abc import Callable, Container, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import regex

from enrich.entities import surroundings
from enrich.entities.gazetteer import spelling
from enrich.entities.gazetteer.entries import Alias, Entry, load
from enrich.entities.gazetteer.name_words import is_ordinary, ordinary_words
from enrich.entities.recognition import capitals
from enrich.entities.recognition.recognizer import NameSpan
from enrich.text.tokens import Passage, Token, after_letters, is_arabic
from enrich.text.word_counts import word_counts

_PARTICLES = "وفبلكس"
_MOST_PARTICLES = 2
_JOINT = regex.compile(r"[\s\-‐‑'’.·\u200c]{1,3}")
_SHORTEST_NAME = 3
# A word counted this often in the news is an ordinary word and no region (الشرقية, البيضاء).
_ORDINARY = 30
# In languages without a list of ordinary words, names of so many letters are doubtful at the beginning of a sentence.
_SHORT = 4
_ARABIC = "ar"
_NONE: list[Alias] = []


class Match(NamedTuple):
    """A mention of an entry: ``text[start:end]``, the words ``first`` to ``last`` (excluded)."""

    start: int
    end: int
    first: int
    last: int
    entry: Entry
    # Whether the name is no ordinary word, or has a capital that marks it as a name.
    sure: bool = True


def matches(passage: Passage, language: str, recognised: Iterable[NameSpan]) -> list[Match]:
    """The names in a passage that are strong or recognised as names of their type, in order."""
    confirmed = {(span.start, span.end, span.type) for span in recognised}
    found = list(_matches(passage, language, lambda alias, start, end: (start, end, alias.entry.type) in confirmed))
    return _alone(passage, language, found, confirmed)


def strong(passage: Passage, language: str) -> list[Match]:
    """The strong names in a passage, in order, also those that are part of a longer name («Damascus University»)."""
    return list(_matches(passage, language, lambda _alias, _start, _end: False))


def _alone(
    passage: Passage, language: str, found: list[Match], confirmed: Container[tuple[int, int, str]]
) -> list[Match]:
    """The matches that are no part of a longer name and no ordinary words."""
    text = passage.text
    if not any(text[match.start].isupper() for match in found):
        return found
    known = surroundings.Neighbours(
        {match.first: match.entry.type for match in found},
        {match.last: match.entry.type for match in found},
        capitals.is_headline(passage),
    )
    kept, sure = [], set()
    for match in found:
        place = match.first, match.last, match.entry.type
        if (match.start, match.end, match.entry.type) not in confirmed and surroundings.is_part(
            passage, *place, language, known=known
        ):
            continue
        kept.append(match)
        if match.sure and not surroundings.is_perhaps_a_person(passage, *place, known):
            sure.add(match.entry.id)
    return [match for match in kept if match.entry.id in sure]


def regions(passage: Passage, language: str, matched: list[Match], elsewhere: Container[str] = ()) -> list[Match]:
    """The weak names of regions whose country is named, among words that belong to no match.

    The country is one of ``elsewhere`` (ids) or matched before the end of the region's paragraph; later paragraphs are
    ignored.
    """
    taken = {at for match in matched for at in range(match.first, match.last)}
    common = word_counts(language)
    named: dict[str, int] = {}
    for match in matched:
        named.setdefault(match.entry.id, match.start)

    def is_region(alias: Alias, start: int, end: int) -> bool:
        country = alias.entry.within
        if not country or (len(alias.forms) == 1 and common.get(alias.forms[0], 0) >= _ORDINARY):
            return False
        if country in elsewhere:
            return True
        paragraph = passage.text.find("\n", end)
        return country in named and (paragraph < 0 or named[country] < paragraph)

    found = _alone(passage, language, list(_matches(passage, language, is_region, weak_only=True)), ())
    return [match for match in found if taken.isdisjoint(range(match.first, match.last))]


# Whether there is evidence for a weak name from offset ``start`` to ``end``.
_Evidence = Callable[[Alias, int, int], bool]
# Names by the form of their second word («» for names of one word), longest first.
_Beginnings = dict[str, list[Alias]]


def _matches(passage: Passage, language: str, evidence: _Evidence, weak_only: bool = False) -> Iterator[Match]:
    """Names from left to right; a weak one only where there is ``evidence`` for it."""
    words = passage.words
    at = 0
    while at < len(words):
        here = _openings(words[at].form, language, weak_only)
        best = _longest(here, passage, at, language, evidence) if here else None
        if best is None:
            at += 1
        else:
            yield best
            at = best.last


def _longest(
    openings: tuple[tuple[int, _Beginnings], ...], passage: Passage, at: int, language: str, evidence: _Evidence
) -> Match | None:
    words = passage.words
    second = words[at + 1].form if at + 1 < len(words) else None
    for letters, beginnings in openings:
        aliases = beginnings.get("", _NONE)
        if second in beginnings:
            aliases = beginnings[second] + aliases
        if not aliases:
            continue
        start = words[at].start + (after_letters(words[at].surface, letters) if letters else 0)
        fitting: list[Alias] = []
        for alias in aliases:
            if fitting and len(alias.forms) < len(fitting[0].forms):
                break
            if _follows(alias, passage.text, words, at, language) and (
                not alias.weak or evidence(alias, start, words[at + len(alias.forms) - 1].end)
            ):
                fitting.append(alias)
        if fitting:
            last = at + len(fitting[0].forms)
            chosen = fitting[0]
            if len(fitting) > 1:
                surfaces = [word.surface for word in words[at:last]]
                chosen = max(fitting, key=lambda alias: _preference(alias, surfaces, language))
            sure = last - at > 1 or _is_sure(chosen, passage, at, language)
            return Match(start, words[last - 1].end, at, last, chosen.entry, sure)
    return None


def _is_sure(alias: Alias, passage: Passage, at: int, language: str) -> bool:
    """Whether a name of one word is no ordinary word here. Short words are doubtful in languages without a list."""
    surface = passage.words[at].surface
    if not surface[0].isupper():
        return True
    if surface.isupper():  # «UN» in capitals is the French article too
        return alias.language == language or not is_ordinary(surface, language)
    doubtful = is_ordinary(surface, language) if ordinary_words(language) else len(surface) <= _SHORT
    return not doubtful or surroundings.is_certain_capital(passage, at, language)


def _preference(alias: Alias, surfaces: list[str], language: str) -> tuple[bool, bool, bool]:
    """The order among several names that fit: first those with the same spelling («Нигер» and «Нигерия» share a stem),
    then strong ones, then those in the article's language."""
    spelled = all(word.casefold() == surface.casefold() for word, surface in zip(alias.words, surfaces, strict=True))
    return spelled, not alias.weak, alias.language == language


def _follows(alias: Alias, text: str, words: list[Token], at: int, language: str) -> bool:
    length = len(alias.forms)
    if length == 1:
        surface = words[at].surface
        if surface == alias.words[0]:
            return True
        return alias.fits([surface]) and spelling.is_written(alias.words[0], surface, alias.entry.type, language)
    there = words[at : at + length]
    if len(there) < length:
        return False
    if any(word.form != form for word, form in zip(there[1:], alias.forms[1:], strict=True)):
        return False
    if not alias.fits([word.surface for word in there]):
        return False
    return all(_JOINT.fullmatch(text, a.end, b.start) for a, b in pairwise(there))


@functools.lru_cache(100_000)
def _openings(form: str, language: str, weak_only: bool) -> tuple[tuple[int, _Beginnings], ...]:
    """The names that may begin with a word of this form: with the whole form, then without its first letters."""
    forms = first_forms(form) if language == _ARABIC else [(0, form)]
    found = ((letters, _beginnings(rest, language, weak_only)) for letters, rest in forms)
    return tuple((letters, names) for letters, names in found if names)


@functools.lru_cache(50_000)
def _beginnings(first: str, language: str, weak_only: bool) -> _Beginnings:
    names: _Beginnings = {}
    aliases = load().weak.get(first, ()) if weak_only else load().opening(first)
    listing: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for alias in aliases:
        listing.setdefault(_spelling(alias), set()).add(alias.language)
    for alias in aliases:
        if not spelling.counts_in(alias, language, listing[_spelling(alias)]):
            continue
        names.setdefault(alias.forms[1] if len(alias.forms) > 1 else "", []).append(alias)
    return names


def _spelling(alias: Alias) -> tuple[str, tuple[str, ...]]:
    return alias.entry.id, alias.words


def first_forms(form: str) -> Iterator[tuple[int, str]]:
    """The forms that a name's first word may have, each with the number of letters before the name: the whole form,
    then the form without particles. In ``لل`` the article's alef is not written, so it is added.
    """
    yield 0, form
    if not is_arabic(form):
        return
    for letters in range(1, _MOST_PARTICLES + 1):
        if form[letters - 1] not in _PARTICLES:
            return
        rest = form[letters:]
        if len(rest) < _SHORTEST_NAME:
            return
        yield letters, rest
        if form[letters - 1] == "ل" and rest.startswith("ل"):
            yield letters, "ا" + rest
