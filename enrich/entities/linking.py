"""One identity for each name that was recognised or found in the gazetteer.

A name of the gazetteer has its Wikidata id. Any other recognised name has a local id made from its normalised spelling,
so that the same unknown person has the same id in two articles. Within an article a surname alone means the person who
was last named in full with it.
"""

import functools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from enrich.entities.gazetteer import entries
from enrich.entities.gazetteer.entries import Entry
from enrich.entities.gazetteer.name_words import (
    canonical_given_name,
    is_demonym,
    is_given_name,
    is_title,
    surname,
)
from enrich.entities.matching import Match, first_forms
from enrich.entities.recognition import boundaries
from enrich.entities.recognition.recognizer import NameSpan
from enrich.languages import files
from enrich.text.tokens import Passage, Token, form, is_arabic
from enrich.text.word_counts import word_counts
from services.events import EntityType
from services.identity import digest

_LONGEST_NAME = 12
_SHORTEST_SURNAME = 3
# A word counted this often in the news is no surname by itself.
_COMMON = 10
# A word counted this often is no name («المدينة»), even if it was recognised as one.
_ORDINARY = 100
# The least score of a recognised name: of more than one word; of one word that is introduced as a name; of any other.
_LEAST = 0.4
_UNSURE = 0.5
_SURE = {"PER": 0.7, "LOC": 0.7, "ORG": 0.6}
_CERTAIN = 0.95
# These words need the next one, and are often written together with it.
_JOINED = frozenset({"عبد", "ابو"})
# «عزام بن محمد الدخيل» is also called «عزام الدخيل».
_BETWEEN = frozenset({"بن", "ابن", "bin", "ibn"})
_TEAM = frozenset({"فريق", "لفريق", "بفريق", "وفريق"})
_OTHER = frozenset({"الجديده", "القديمه"})
_CITY = frozenset({"مدينه", "بمدينه", "لمدينه", "ومدينه"})


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
    found_known = (_known(passage, match) for match in matched)
    known = _apart(sorted((name for name in found_known if name is not None), key=_start))
    found: list[Name] = []
    overruled: set[int] = set()
    sure: set[str] = set()
    starts = [word.start for word in passage.words]
    for span in recognised:
        words = _without_titles(_words(passage, starts, span), span.type)
        if not words:
            continue
        start, end = max(span.start, words[0].start), words[-1].end
        first, last = bisect_right(known, start, key=_end), bisect_left(known, end, key=_start)
        if first == last:
            if _is_name(passage, words, start, span, sure):
                found.append(_named(passage, words, start, span.type, None))
        elif _is_within(known[first], known[last - 1], start, end):
            entry = _meant(known[first:last], words, span.type)
            if entry is not None or _is_another(known[first:last], words, span.type):
                found.append(_named(passage, words, start, span.type, entry))
                overruled.update(range(first, last))
    found += [name for number, name in enumerate(known) if number not in overruled]
    return sorted(found, key=_start)


def _apart(known: list[Name]) -> list[Name]:
    """Known names without two countries in a row: «كوبا أمريكا» is a championship."""
    in_a_row = {
        number
        for number, (one, other) in enumerate(pairwise(known))
        if one.end + 1 == other.start and one.entry and other.entry and _is_arabic_country(one, other)
    }
    return [name for number, name in enumerate(known) if number not in in_a_row and number - 1 not in in_a_row]


def _is_arabic_country(*names: Name) -> bool:
    return all(name.id in _countries() and is_arabic(name.text) for name in names)


@functools.cache
def _countries() -> frozenset[str]:
    return frozenset(row["id"] for row in files.rows("ar", files.DEMONYMS))


def _is_within(first: Name, last: Name, start: int, end: int) -> bool:
    """Whether a recognised name contains the known ones and more. Otherwise the known ones are kept."""
    return start <= first.start and last.end <= end and (first.start, last.end) != (start, end)


def _known(passage: Passage, match: Match) -> Name | None:
    """The name that a match means; None where it is an ordinary word."""
    entry, words = match.entry, passage.words[match.first : match.last]
    if entry.type == "ORG" or not is_arabic(words[0].surface):
        return _named(passage, words, match.start, entry.type, entry)
    if entry.type == "LOC" and (
        boundaries.is_adjective(passage, match.first, match.last)  # «الباحثة السعودية»
        or boundaries.is_described(passage, match.first, match.last)  # «الرباط الصليبي»
    ):
        return None
    return _called_so(passage, match, words) or _named(passage, words, match.start, entry.type, entry)


def _called_so(passage: Passage, match: Match, words: list[Token]) -> Name | None:
    """What is called by a known name and is something else, or None."""
    before = passage.words[match.first - 1].form if match.first else ""
    # «فريق برشلونة», «قال لـ"الرياض"»
    if before in _TEAM or boundaries.is_newspaper(passage, match.first, match.start, match.end):
        return _named(passage, words, match.start, "ORG", None)
    # «استاد القاهرة» is in Cairo, and is not Cairo; «مؤسسة محمد بن سلمان» is no person
    larger = boundaries.institution(passage, match.first, match.start, match.entry.type)
    if larger is not None:
        start, kind = larger
        first = bisect_right(passage.words, start, hi=match.first, key=_start) - 1
        last = bisect_left(
            passage.words, boundaries.name_end(passage, match.last, foreign=False), lo=match.last, key=_start
        )
        return _named(passage, passage.words[first:last], start, kind, None)
    if match.entry.type != "LOC":
        return None
    following = passage.words[match.last] if match.last < len(passage.words) else None
    if following is not None and following.form in _OTHER and following.start == words[-1].end + 1:
        return _named(passage, [*words, following], match.start, "LOC", None)  # «مصر الجديدة» is in Cairo
    if match.entry.within and before in _CITY:
        return _named(passage, words, match.start, "LOC", None)  # «مدينة تبوك» is not the region of that name
    return None


def _named(passage: Passage, words: Sequence[Token], start: int, kind: EntityType, entry: Entry | None) -> Name:
    forms = _forms(passage, words, start)
    end = words[-1].end
    text = passage.text[start:end]
    if start > words[0].start and _lacks_alef(passage, start):
        text = f"ا{text}"
    if entry is not None:
        return Name(start, end, text, forms, entry.type, entry.id, entry)
    return Name(start, end, text, forms, kind, local_id(forms, kind), None)


def _forms(passage: Passage, words: Sequence[Token], start: int) -> tuple[str, ...]:
    """The forms of a name's words; the first without the particles before ``start``."""
    first = words[0].form
    if start > words[0].start:
        first = form(passage.text[start : words[0].end])
        if _lacks_alef(passage, start):
            first = f"ا{first}"
    return (first, *(word.form for word in words[1:]))


def _lacks_alef(passage: Passage, start: int) -> bool:
    """Whether a name follows ل within a word, so that the alef of its article is not written («للأكراد»)."""
    return passage.text[start : start + 1] == "ل" and passage.text[start - 1 : start] == "ل"


def local_id(forms: Sequence[str], kind: EntityType) -> str:
    """The id of a name that is not in the gazetteer: ``x`` and 26 characters, a function of the normalised name.

    Spellings of one given name (سيرجي، سيرغي; عبد العزيز، عبدالعزيز) have the same id. Words of one letter (initials)
    do not count.
    """
    joined = _joined(forms)
    parts = [canonical_given_name(form) if kind == "PER" and at == 0 else form for at, form in enumerate(joined)]
    return "x" + digest("name", *([part for part in parts if len(part) > 1] or parts))


def _joined(forms: Sequence[str]) -> list[str]:
    """Forms with «عبد» and «ابو» joined to the word that they need, as they are often written."""
    joined: list[str] = []
    for word in forms:
        if joined and joined[-1] in _JOINED:
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _words(passage: Passage, starts: Sequence[int], span: NameSpan) -> list[Token]:
    first = max(0, bisect_right(starts, span.start) - 1)
    return passage.words[first : min(bisect_left(starts, span.end, lo=first), first + _LONGEST_NAME)]


def _without_titles(words: list[Token], kind: EntityType) -> list[Token]:
    """A recognised name without the titles before a person; empty for a demonym."""
    if all(is_demonym(word.form) for word in words):
        return []
    first = 0
    while kind == "PER" and first < len(words) and _is_title(words[first].form):
        first += 1
    return words[first:]


def _is_title(word: str) -> bool:
    """Whether a word is a title or a demonym, and no given name («سامي», as in «المفوض السامي»)."""
    return (is_title(word) and not is_given_name(word)) or is_demonym(word)


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
    first, last = words[0], words[-1]
    if kind == "PER":
        if name.type == "LOC":  # «فؤاد باسيا» has nothing to do with آسيا
            return is_given_name(first.form) and name.end == last.end and name.start > last.start
        return name.type == "PER" and name.end == last.end and is_given_name(first.form)
    if any(boundaries.is_institution(rest) for _, rest in first_forms(first.form)):
        return name.type in ("LOC", "PER")
    return kind == "ORG" and name.type == "LOC" and name.end == last.end


def _is_name(passage: Passage, words: Sequence[Token], start: int, span: NameSpan, sure: set[str]) -> bool:
    """Whether a recognised name that contains no known one becomes an entity.

    A single word needs a high score, or a lower one where it was a name before (``sure``, extended here) or the words
    around it show that it is one; a given name alone is nobody, and currencies are no names.
    """
    if len(words) > 1:
        return span.score >= _LEAST
    (word,) = _forms(passage, words, start)
    if span.type == "MISC" or len(word) < _SHORTEST_SURNAME or span.score < _UNSURE or _is_common(word, span.type):
        return False
    if span.score < _CERTAIN and boundaries.is_determined(passage, words[0]):
        return False
    likely = word in sure or span.score >= _SURE[span.type]
    if likely or boundaries.is_introduced(passage, words[0], start, span):
        sure.add(word)
        return True
    return False


def _is_common(word: str, kind: EntityType) -> bool:
    """Whether a word alone names nobody and nothing, even if it was recognised as a name."""
    if word_counts("ar").get(word, 0) >= _ORDINARY or boundaries.is_ordinary(word):
        return True
    return kind == "PER" and (is_given_name(word) or is_title(word))


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
        # Those of three words or more, by the last two.
        self._by_end: dict[tuple[str, ...], Name] = {}
        self._firsts: set[str] = set()
        self._in_full: dict[tuple[str, tuple[str, ...]], Name] = {}
        # None: several persons have this given name.
        self._by_given: dict[str, Name | None] = {}

    def resolve(self, passage: Passage, found: Iterable[Name], language: str) -> list[Name]:
        """The names of a passage, in order, with surnames alone resolved; adds those named in full."""
        resolved: list[Name] = []
        starts = [word.start for word in passage.words]
        at = 0
        for original in found:
            name = original
            upto = bisect_left(starts, name.start, lo=at)
            resolved += self._surnames(passage.words[at:upto], language)
            at = bisect_left(starts, name.end, lo=upto)
            if name.type == "PER" and len(name.forms) > 1:
                name = self._named(name)
            elif name.type == "PER" and name.entry is None:
                name = self._full(name)
            resolved.append(name)
        return [*resolved, *self._surnames(passage.words[at:], language)]

    def _named(self, name: Name) -> Name:
        """A person named in full: one who was named so before, with more or fewer names between first and last."""
        if name.entry is None:
            full = self._by_surname.get(name.forms) or self._by_end.get(name.forms[-2:])
            if full is not None and full.forms[-len(name.forms) :] == name.forms:  # «أبو رياش», «داود أوغلو»
                return _same(full, name.start, name.end, name.forms)
        last, given = surname(name.forms), canonical_given_name(name.forms[0])
        before = self._in_full.setdefault((given, last), name)
        if name.entry is None and before.id != name.id and _includes(before.forms, name.forms):
            name = _same(before, name.start, name.end, name.forms)
        self._by_surname[last] = name
        if len(name.forms) > 2:
            self._by_end[name.forms[-2:]] = name
        self._firsts.add(last[0])
        known = self._by_given.setdefault(given, name)
        if known is not None and known.id != name.id:
            self._by_given[given] = None
        return name

    def _full(self, name: Name) -> Name:
        """Who is meant by a surname, with or without the article («يا سهلاوي»), or by a given name."""
        (word,) = name.forms
        other = word.removeprefix("ال") if word.startswith("ال") else f"ال{word}"
        full = self._by_surname.get((word,)) or self._by_surname.get((other,))
        if full is None:
            full = self._by_given.get(canonical_given_name(word))
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


def _includes(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether one of two names has all words of the other, whichever way they are joined."""
    first, second = set(_joined(one)) - _BETWEEN, set(_joined(other)) - _BETWEEN
    return first <= second or second <= first


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
