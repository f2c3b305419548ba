"""One identity for each name that was recognised or found in the gazetteer.

A name of the gazetteer has its Wikidata id. Any other recognised name has a local id made from its normalised spelling,
so that the same unknown person has the same id in two articles. Within an article a surname alone means the person who
was last named in full with it.
"""

import functools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from enrich.entities.gazetteer import entries
from enrich.entities.gazetteer.entries import Entry
from enrich.entities.gazetteer.name_words import (
    canonical_given_name,
    is_demonym,
    is_given_name,
    is_place_word,
    is_title,
    surname,
)
from enrich.entities.matching import Match, first_forms
from enrich.entities.recognition.recognizer import NameSpan
from enrich.text.tokens import Passage, Token, after_letters, form
from enrich.text.word_counts import word_counts
from services.events import EntityType
from services.identity import digest

_LONGEST_NAME = 12
_SHORTEST_SURNAME = 3
# A word counted this often in the news is no surname by itself.
_COMMON = 10
# A word counted this often is no name («المدينة»), even if it was recognised as one.
_ORDINARY = 100
# The least score of a recognised name of one word.
_SURE = 0.5


@dataclass(slots=True)
class Name:
    """A name in a passage: the id of its entity, and the entry of the gazetteer, if there is one.

    ``text`` is the name in full: for a surname alone, the name that it refers to.
    """

    start: int
    end: int
    text: str
    forms: tuple[str, ...]
    type: EntityType
    id: str
    entry: Entry | None


def names(passage: Passage, matched: Iterable[Match], recognised: Iterable[NameSpan]) -> list[Name]:
    """The names in a passage in order, without overlaps. Persons by surname alone are not resolved yet."""
    known = sorted((_known(passage, match) for match in matched), key=_start)
    found: list[Name] = []
    overruled: set[int] = set()
    starts = [word.start for word in passage.words]
    for span in recognised:
        words = _without_titles(_words(passage, starts, span), span.type)
        if not words:
            continue
        start, end = max(span.start, words[0].start), words[-1].end
        first, last = bisect_right(known, start, key=_end), bisect_left(known, end, key=_start)
        if first == last:
            if _is_name(words, span):
                found.append(_named(passage, words, start, span.type, None))
        elif _is_within(known[first], known[last - 1], start, end):
            entry = _meant(known[first:last], words, span.type)
            if entry is not None or _is_another(known[first:last], words, span.type):
                found.append(_named(passage, words, start, span.type, entry))
                overruled.update(range(first, last))
    found += [name for number, name in enumerate(known) if number not in overruled]
    return sorted(found, key=_start)


def _is_within(first: Name, last: Name, start: int, end: int) -> bool:
    """Whether a recognised name contains the known ones and more. Otherwise the known ones are kept."""
    return start <= first.start and last.end <= end and (first.start, last.end) != (start, end)


def _known(passage: Passage, match: Match) -> Name:
    words = passage.words[match.first : match.last]
    if match.entry.type == "LOC" and match.first:
        before = passage.words[match.first - 1]
        if match.start == words[0].start == before.end + 1:
            letters = next((letters for letters, rest in first_forms(before.form) if is_place_word(rest)), None)
            if letters is not None:  # «استاد القاهرة» is in Cairo, and is not Cairo
                start = before.start + after_letters(before.surface, letters)
                return _named(passage, [before, *words], start, "LOC", None)
    return _named(passage, words, match.start, match.entry.type, match.entry)


def _named(passage: Passage, words: Sequence[Token], start: int, kind: EntityType, entry: Entry | None) -> Name:
    forms = _forms(passage, words, start)
    end = words[-1].end
    if entry is not None:
        return Name(start, end, passage.text[start:end], forms, entry.type, entry.id, entry)
    return Name(start, end, passage.text[start:end], forms, kind, local_id(forms, kind), None)


def _forms(passage: Passage, words: Sequence[Token], start: int) -> tuple[str, ...]:
    """The forms of a name's words; the first without the particles before ``start``."""
    first = form(passage.text[start : words[0].end]) if start > words[0].start else words[0].form
    return (first, *(word.form for word in words[1:]))


def local_id(forms: Sequence[str], kind: EntityType) -> str:
    """The id of a name that is not in the gazetteer: ``x`` and 26 characters, a function of the normalised name.

    Spellings of one given name (سيرجي، سيرغي) have the same id. Words of one letter (initials) do not count.
    """
    parts = [canonical_given_name(form) if kind == "PER" and at == 0 else form for at, form in enumerate(forms)]
    return "x" + digest("name", *([part for part in parts if len(part) > 1] or parts))


def _words(passage: Passage, starts: Sequence[int], span: NameSpan) -> list[Token]:
    first = max(0, bisect_right(starts, span.start) - 1)
    return passage.words[first : min(bisect_left(starts, span.end, lo=first), first + _LONGEST_NAME)]


def _without_titles(words: list[Token], kind: EntityType) -> list[Token]:
    """A recognised name without the titles before a person; empty for a demonym."""
    if all(is_demonym(word.form) for word in words):
        return []
    first = 0
    while kind == "PER" and first < len(words) and (is_title(words[first].form) or is_demonym(words[first].form)):
        first += 1
    return words[first:]


def _meant(inside: Sequence[Name], words: Sequence[Token], kind: EntityType) -> Entry | None:
    """The known entry that a longer recognised name means, or None.

    «عمانوئيل ماكرون» contains «ماكرون» and his given name: it is Macron. «ليودميلا بوتين» is not Putin.
    """
    name = inside[-1]
    if len(inside) > 1 or name.entry is None or kind != "PER" or name.type != "PER" or name.end != words[-1].end:
        return None
    given = canonical_given_name(words[0].form)
    return name.entry if given in _given_names().get(name.entry.id, ()) else None


def _is_another(inside: Sequence[Name], words: Sequence[Token], kind: EntityType) -> bool:
    """Whether a recognised name that contains known ones is another entity («جامعة القاهرة»)."""
    if len(inside) > 1:
        return False
    name = inside[0]
    if kind == "PER":
        return name.type == "PER" and name.end == words[-1].end and is_given_name(words[0].form)
    if kind == "ORG":
        return name.type == "LOC" and name.end == words[-1].end
    return kind == "LOC" and name.type == "LOC" and is_place_word(words[0].form)


def _is_name(words: Sequence[Token], span: NameSpan) -> bool:
    """Whether a recognised name that contains no known one becomes an entity.

    A single word needs a high score; a given name alone is nobody, and currencies are no names.
    """
    if len(words) > 1:
        return True
    word = words[0].form
    if span.type == "MISC" or len(word) < _SHORTEST_SURNAME or span.score < _SURE:
        return False
    return not (span.type == "PER" and is_given_name(word)) and word_counts("ar").get(word, 0) < _ORDINARY


@functools.cache
def _given_names() -> dict[str, set[str]]:
    """The given names of each person in the gazetteer, in their canonical spelling."""
    given: dict[str, set[str]] = {}
    for aliases in entries.load().aliases.values():
        for alias in aliases:
            if alias.entry.type == "PER" and len(alias.forms) > 1:
                given.setdefault(alias.entry.id, set()).add(canonical_given_name(alias.forms[0]))
    return given


class Persons:
    """The persons named in full so far, by surname: a surname means the last person with it."""

    def __init__(self) -> None:
        self._by_surname: dict[tuple[str, ...], Name] = {}
        self._firsts: set[str] = set()

    def resolve(self, passage: Passage, found: Iterable[Name], language: str) -> list[Name]:
        """The names of a passage, in order, with surnames alone resolved; adds those named in full."""
        resolved: list[Name] = []
        starts = [word.start for word in passage.words]
        at = 0
        for name in found:
            upto = bisect_left(starts, name.start, lo=at)
            resolved += self._surnames(passage.words[at:upto], language)
            at = bisect_left(starts, name.end, lo=upto)
            if name.type == "PER" and len(name.forms) > 1:
                last = surname(name.forms)
                self._by_surname[last] = name
                self._firsts.add(last[0])
            elif name.type == "PER" and name.entry is None:
                name = self._full(name)  # noqa: PLW2901
            resolved.append(name)
        return [*resolved, *self._surnames(passage.words[at:], language)]

    def _full(self, name: Name) -> Name:
        full = self._by_surname.get(name.forms)
        return name if full is None else _same(full, name.start, name.end, name.forms)

    def _surnames(self, words: Sequence[Token], language: str) -> Iterator[Name]:
        """Surnames that were not recognised, with or without a particle (al-Mansour), among words outside names.

        Only where capitals mark them, or where the word is not a common one.
        """
        if not self._by_surname or self._firsts.isdisjoint([word.form for word in words]):
            return
        at = 0
        while at < len(words):
            for length in (2, 1):
                part = words[at : at + length]
                forms = tuple(word.form for word in part)
                full = self._by_surname.get(forms)
                if full is not None and len(forms[-1]) >= _SHORTEST_SURNAME and _is_surname(part[-1], language):
                    yield _same(full, part[0].start, part[-1].end, forms)
                    at += length - 1
                    break
            at += 1


def _same(full: Name, start: int, end: int, forms: tuple[str, ...]) -> Name:
    return Name(start, end, full.text, forms, full.type, full.id, full.entry)


def _is_surname(word: Token, language: str) -> bool:
    if counts := word_counts(language):
        return counts.get(word.form, 0) < _COMMON
    return word.surface[0].isupper()


def _start(word: Token | Name) -> int:
    return word.start


def _end(name: Name) -> int:
    return name.end
