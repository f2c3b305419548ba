"""Where an article names somebody or something that the gazetteer knows.

Longest name first, left to right, no overlaps. Arabic particles that are written onto a name (و ف ب ل ك س) stay
outside the mention.
"""

import unicodedata
from collections.abc import Iterator
from itertools import pairwise

import regex

from enrich.gazetteer import Alias, Entry, Gazetteer, load
from enrich.normalization import Passage, Token, is_arabic
from services.events import Entity, Mention

_PARTICLES = "وفبلكس"
_MOST_PARTICLES = 2
_JOINT = regex.compile(r"[\s\-‐‑'’.·\u200c]{1,3}")
_SHORTEST_NAME = 3


def find(title: Passage, text: Passage, language: str) -> list[Entity]:
    """The entities of an article in the order of their first mention.

    Mentions are those in the text; one named only in the title comes last and has none.
    """
    gazetteer = load()
    mentions: dict[str, list[Mention]] = {}
    for entry, start, end in _matches(gazetteer, text, language):
        mentions.setdefault(entry.id, []).append(Mention(start=start, end=end, text=text.text[start:end]))
    for entry, _, _ in _matches(gazetteer, title, language):
        mentions.setdefault(entry.id, [])
    return [
        Entity(
            id=entry_id,
            name=gazetteer.entries[entry_id].name(language),
            type=gazetteer.entries[entry_id].type,
            mentions=found,
        )
        for entry_id, found in mentions.items()
    ]


def _matches(gazetteer: Gazetteer, passage: Passage, language: str) -> Iterator[tuple[Entry, int, int]]:
    words = passage.words
    at = 0
    while at < len(words):
        found = _longest(gazetteer, passage.text, words, at, language)
        if found is None:
            at += 1
            continue
        alias, start = found
        last = at + len(alias.forms) - 1
        yield alias.entry, start, words[last].end
        at = last + 1


def _longest(gazetteer: Gazetteer, text: str, words: list[Token], at: int, language: str) -> tuple[Alias, int] | None:
    for form, start in _first_forms(words[at]):
        fitting: list[Alias] = []
        for alias in gazetteer.aliases.get(form, ()):
            if fitting and len(alias.forms) < len(fitting[0].forms):
                break
            if _follows(alias, text, words, at):
                fitting.append(alias)
        if fitting:
            surfaces = [word.surface for word in words[at : at + len(fitting[0].forms)]]
            return max(fitting, key=lambda alias: _preference(alias, surfaces, language)), start
    return None


def _preference(alias: Alias, surfaces: list[str], language: str) -> tuple[bool, bool]:
    """Which of several names that fit is meant: one written just so («Нигер» and «Нигерия» share a stem), then
    one in the article's own language."""
    spelled = all(
        word.casefold() == surface.casefold() for (_, word), surface in zip(alias.capitals, surfaces, strict=True)
    )
    return spelled, alias.language == language


def _follows(alias: Alias, text: str, words: list[Token], at: int) -> bool:
    there = words[at : at + len(alias.forms)]
    if len(there) < len(alias.forms):
        return False
    if any(word.form != form for word, form in zip(there[1:], alias.forms[1:], strict=True)):
        return False
    if not alias.fits([word.surface for word in there]):
        return False
    return all(_JOINT.fullmatch(text, a.end, b.start) for a, b in pairwise(there))


def _first_forms(word: Token) -> Iterator[tuple[str, int]]:
    """The forms a name's first word may have here, each with where the name starts: as it stands, then
    without particles. In ``لل`` the article's alef is not written, so it is put back to compare."""
    yield word.form, word.start
    if not is_arabic(word.surface):
        return
    for length in range(1, _MOST_PARTICLES + 1):
        if word.form[length - 1] not in _PARTICLES:
            return
        rest = word.form[length:]
        if len(rest) < _SHORTEST_NAME:
            return
        start = _after_letters(word, length)
        yield rest, start
        if word.form[length - 1] == "ل" and rest.startswith("ل"):
            yield "ا" + rest, start


def _after_letters(word: Token, letters: int) -> int:
    """Offset in the text behind the first ``letters`` letters of a word and the marks upon them."""
    at = 0
    while letters or (at < len(word.surface) and _is_mark(word.surface[at])):
        letters -= not _is_mark(word.surface[at])
        at += 1
    return word.start + at


def _is_mark(character: str) -> bool:
    return character == "\u0640" or unicodedata.combining(character) != 0
