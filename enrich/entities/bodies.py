"""Ministries and other public bodies by pattern, each with one identity in all languages.

«وزارة الدفاع الروسية», "the Russian Defence Ministry" and «Минобороны РФ» name one body: its kind (ministry), its
subject (defence) and its country make its id. The words are in ``languages/xx/bodies.toml``. The country is named next
to the body, or elsewhere in the article with the same body, or is the only country that the article is about; where
none is known, the id is that of the name's words.

A body's mention contains the adjective of its country, but not the name of the country, which is an entity itself.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import regex

from enrich import languages
from enrich.entities import countries, matching
from enrich.entities.gazetteer import entries
from enrich.entities.gazetteer.entries import Alias, Entry
from enrich.entities.linking import local_id
from enrich.entities.matching import Match
from enrich.entities.recognition.recognizer import NameSpan
from enrich.languages import files
from enrich.text.tokens import Passage, after_letters, tokens
from services.identity import digest

_LONGEST_PHRASE = 6
_LONGEST_NAME = 10
_LONGEST_DEMONYM = 2
_POSSESSIVE = "s"
# What may be between the words of a name.
_GAP = regex.compile(r"[ \t\u00a0‐‑'’ʼ-]{1,2}")
# The kind whose bodies are named even where their country is not known.
_MINISTRY = "ministry"
# Ministries that have one subject alone: «الداخلية والدفاع المدني» are two bodies.
_ALONE = frozenset({"defence", "interior", "foreign"})

_Words = tuple[str, ...]


@dataclass(slots=True)
class _Grammar:
    """How a language names bodies; phrases by their words."""

    kinds: dict[_Words, str]
    placed: dict[_Words, str]
    whole: dict[_Words, tuple[str, str]]
    subjects: dict[_Words, str]
    links: dict[_Words, str]
    of: dict[_Words, str]
    joints: dict[_Words, str]
    demonyms: dict[_Words, str]
    before: bool
    after: bool
    place_needs_link: bool = False
    # The letters before the first word of a kind, by the form they are written in («بوزارة»).
    openings: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    article: str = ""
    contracted: str = ""
    conjunctions: str = ""


@dataclass(slots=True)
class _Body:
    """A body in a passage: the words ``first`` to ``last`` (excluded), from offset ``start``.

    ``contracted``: the first letter of its article is not written («للهيئة»).
    """

    start: int
    first: int
    last: int
    kind: str
    subject: str
    country: str | None = None
    contracted: bool = False


# A passage, the names of the gazetteer in it, and the recognised ones.
Part = tuple[Passage, list[Match], Sequence[NameSpan]]


def find(parts: Sequence[Part], language: str) -> list[list[Match]]:
    """For each part of an article (title, text) its matches, with those of bodies among them, in order.

    A longer name of the gazetteer is kept; places inside a body's name are part of it. A body that is the beginning of
    a recognised name («هيئة الري» of «هيئة الري والصرف») ends where that name ends.
    """
    grammar = _grammar(language)
    if grammar is None:
        return [matched for _, matched, _ in parts]
    bodies = [_bodies(passage, matched, language, grammar) for passage, matched, _ in parts]
    if not any(bodies):
        return [matched for _, matched, _ in parts]
    for (passage, _, recognised), found in zip(parts, bodies, strict=True):
        _extend(passage, found, recognised)
    named = _named_countries(body for found in bodies for body in found)
    about = countries.subject([(passage, matched) for passage, matched, _ in parts], grammar.demonyms)
    names: dict[str, Entry] = {}
    results = []
    for (passage, matched, _), found in zip(parts, bodies, strict=True):
        made = []
        for body in found:
            if body.country is None:
                body.country = named.get((body.kind, body.subject), about)
            if body.country is not None or body.kind == _MINISTRY:
                made.append(_match(passage, body, language, names))
        results.append(_merged(matched, made))
    return results


def identity(kind: str, subject: str, country: str) -> str:
    """The id of a body of a country (id): Wikidata's, if the gazetteer has it, otherwise ``x`` and 26 characters."""
    known = _known().get((kind, subject, country))
    return known.id if known is not None else "x" + digest("body", kind, subject, country)


def _extend(passage: Passage, bodies: Sequence[_Body], recognised: Sequence[NameSpan]) -> None:
    """Let bodies end where the recognised organisations end that begin with them."""
    ends = {span.start: span.end for span in recognised if span.type == "ORG"}
    words = passage.words
    for number, body in enumerate(bodies):
        end = ends.get(body.start, 0)
        limit = bodies[number + 1].first if number + 1 < len(bodies) else len(words)
        last = body.last
        while last < min(limit, body.first + _LONGEST_NAME) and words[last].end <= end:
            last += 1
        if last < limit and words[last - 1].end == end:
            body.last = max(body.last, last)


def _match(passage: Passage, body: _Body, language: str, names: dict[str, Entry]) -> Match:
    words = passage.words[body.first : body.last]
    end = words[-1].end
    text = passage.text[body.start : end]
    known = _known().get((body.kind, body.subject, body.country or ""))
    if known is not None:
        return Match(body.start, end, body.first, body.last, known)
    if body.country is None:
        key = local_id([word.form for word in tokens(text)], "ORG")
    else:
        key = identity(body.kind, body.subject, body.country)
    # All mentions show the longest name.
    shown = languages.get(language).article[:1] + text if body.contracted else text
    entry = names.setdefault(key, Entry(key, "ORG", {language: shown}, body.country or ""))
    if len(entry.names[language]) < len(shown):
        entry.names[language] = shown
    return Match(body.start, end, body.first, body.last, entry)


def _merged(matched: list[Match], bodies: list[Match]) -> list[Match]:
    """The matches and bodies of a passage without overlaps: of two, the longer name; of equal ones, the gazetteer's."""
    if not bodies:
        return matched
    kept = []
    dropped: set[int] = set()
    for body in bodies:
        over = [at for at, match in enumerate(matched) if match.first < body.last and body.first < match.last]
        if all(_length(matched[at]) < _length(body) and _inside(matched[at], body) for at in over):
            dropped.update(over)
            kept.append(body)
    rest = [match for at, match in enumerate(matched) if at not in dropped]
    return sorted([*rest, *kept], key=lambda match: match.start)


def _length(match: Match) -> int:
    return match.last - match.first


def _inside(match: Match, body: Match) -> bool:
    return body.first <= match.first and match.last <= body.last


def _named_countries(bodies: Iterable[_Body]) -> dict[tuple[str, str], str | None]:
    """The country of each kind and subject that is named with one country; None where it is named with several."""
    named: dict[tuple[str, str], str | None] = {}
    for body in bodies:
        if body.country is not None:
            key = (body.kind, body.subject)
            named[key] = body.country if named.get(key, body.country) == body.country else None
    return named


def _bodies(passage: Passage, matched: Sequence[Match], language: str, grammar: _Grammar) -> list[_Body]:
    """The bodies of a passage from left to right, with the countries that are named next to them or in their names."""
    if grammar.openings.keys().isdisjoint([word.form for word in passage.words]):
        return []
    return list(_Reader(passage, [*matching.strong(passage, language), *matched], grammar).read())


class _Reader:
    """Reads the bodies in a passage."""

    def __init__(self, passage: Passage, matched: Sequence[Match], grammar: _Grammar) -> None:
        self._passage = passage
        self._grammar = grammar
        self._forms = [word.form for word in passage.words]
        self._starting = {match.first: match for match in matched if match.entry.type == "LOC"}
        self._ending = {match.last: match for match in self._starting.values()}

    def read(self) -> Iterator[_Body]:
        end = 0
        openings = self._grammar.openings
        for at, form in enumerate(self._forms):
            if at < end or form not in openings:
                continue
            for letters, opening in openings[form]:
                body = self._body(at, opening)
                if body is not None and body.first >= end and self._is_one(body):
                    word = self._passage.words[body.first]
                    inner = after_letters(word.surface, letters) if letters and body.first == at else 0
                    body.start = word.start + inner
                    body.contracted = inner > 0 and not form.endswith(opening)
                    end = body.last
                    yield body
                    break

    def _follows(self, at: int) -> bool:
        """Whether there is only a space or the like between a word and the one before it."""
        words = self._passage.words
        if not 0 < at < len(words):
            return False
        return _GAP.fullmatch(self._passage.text, words[at - 1].end, words[at].start) is not None

    def _is_one(self, body: _Body) -> bool:
        return all(map(self._follows, range(body.first + 1, body.last)))

    def _body(self, at: int, opening: str) -> _Body | None:
        """The body whose kind begins at a word, written as ``opening`` (without the letters before it)."""
        grammar = self._grammar
        window = [opening, *self._forms[at + 1 : at + _LONGEST_PHRASE]]
        if length := _longest(window, 0, grammar.whole):
            return self._with_country(_Body(0, at, at + length, *grammar.whole[tuple(window[:length])]))
        if length := _longest(window, 0, grammar.kinds):
            body = self._with_subject(at, at + length, grammar.kinds[tuple(window[:length])])
            return None if body is None else self._with_country(body)
        if length := _longest(window, 0, grammar.placed):
            return self._with_place(at, at + length, grammar.placed[tuple(window[:length])])
        return None

    def _with_subject(self, first: int, last: int, kind: str) -> _Body | None:
        grammar, forms = self._grammar, self._forms
        if grammar.before:
            adjective = countries.demonym_at(forms, last, grammar.demonyms)
            at = last + (adjective[0] if adjective else 0)
            for begin in dict.fromkeys((at + _longest(forms, at, grammar.links), at)):
                subjects, end = self._subjects(begin)
                if subjects:
                    return _Body(0, first, end, kind, "+".join(sorted(subjects)), adjective[1] if adjective else None)
        if grammar.after:
            for length in range(min(_LONGEST_PHRASE, first), 0, -1):
                subject = grammar.subjects.get(tuple(forms[first - length : first]))
                if subject is not None:
                    return _Body(0, first - length, last, kind, subject)
        return None

    def _subjects(self, at: int) -> tuple[set[str], int]:
        """The subjects that begin at a word, joined by "and", and the end of their words."""
        subjects: set[str] = set()
        end = at
        while True:
            length, subject = self._subject(at, joined=bool(subjects))
            if subject is None or (subjects and (subject in _ALONE or subjects & _ALONE)):
                return subjects, end
            subjects.add(subject)
            end = at + length
            at = end + _longest(self._forms, end, self._grammar.joints)
            if (at == end and not self._grammar.conjunctions) or not self._follows(end):
                return subjects, end

    def _subject(self, at: int, *, joined: bool) -> tuple[int, str | None]:
        """The longest subject that begins at a word: its number of words, and its key."""
        if at >= len(self._forms):
            return 0, None
        grammar, first = self._grammar, self._forms[at]
        if joined and grammar.conjunctions:
            if first[0] not in grammar.conjunctions:
                return 0, None
            first = first[1:]
        readings = [first]
        if grammar.contracted and first.startswith(grammar.contracted) and not joined:
            readings.append(grammar.article + first.removeprefix(grammar.contracted))
        for reading in readings:
            window = [reading, *self._forms[at + 1 : at + _LONGEST_PHRASE]]
            if length := _longest(window, 0, grammar.subjects):
                return length, grammar.subjects[tuple(window[:length])]
        return 0, None

    def _with_country(self, body: _Body) -> _Body:
        """The body with the country named next to it: an adjective becomes part of it, a name does not."""
        grammar = self._grammar
        if body.country is not None:
            return body
        after = countries.demonym_at(self._forms, body.last, grammar.demonyms) if self._follows(body.last) else None
        if after is not None:
            body.last += after[0]
            body.country = after[1]
            return body
        before = self._demonym_before(body.first)
        if before is not None:
            body.first -= before[0]
            body.country = before[1]
            return body
        place = self._place_next_to(body)
        body.country = None if place is None else countries.country_of(place.entry.id)
        return body

    def _demonym_before(self, first: int) -> tuple[int, str] | None:
        """The adjective before a body; in Arabic none is."""
        if self._grammar.article or not self._follows(first):
            return None
        for length in range(min(_LONGEST_DEMONYM, first), 0, -1):
            found = countries.demonym_at(self._forms, first - length, self._grammar.demonyms)
            if found is not None and found[0] == length:
                return found
        return None

    def _place_next_to(self, body: _Body) -> Match | None:
        """The place that is named directly before a body ("Russia's …") or after it ("… of Russia", «… России»)."""
        grammar = self._grammar
        if grammar.after and self._follows(body.first):
            possessive = self._forms[body.first - 1] == _POSSESSIVE
            place = self._ending.get(body.first - 1 if possessive else body.first)
            if place is not None:
                return place
        if grammar.before and self._follows(body.last):
            after = body.last + _longest(self._forms, body.last, grammar.of)
            for begin in dict.fromkeys((after, body.last)):
                place = self._starting.get(begin)
                if place is not None and self._stands_alone(place):
                    return place
        return None

    def _with_place(self, first: int, last: int, kind: str) -> _Body | None:
        """A body named by its place («جامعة القاهرة», "Aleppo Municipality"), which is its subject and in its name."""
        if self._grammar.before:
            linked = last + _longest(self._forms, last, self._grammar.links)
            begins = [linked] if linked > last else []
            if not self._grammar.place_needs_link:
                begins.append(last)
            for begin in begins:
                place = self._starting.get(begin)
                if place is not None and self._stands_alone(place):
                    return _placed(first, place.last, kind, place)
        if self._grammar.after:
            place = self._ending.get(first)
            if place is not None:
                return _placed(place.first, last, kind, place)
        return None

    def _stands_alone(self, place: Match) -> bool:
        """Whether no letters are written onto a place («جامعة بالقاهرة» is no name)."""
        return self._passage.words[place.first].start == place.start


def _placed(first: int, last: int, kind: str, place: Match) -> _Body:
    return _Body(0, first, last, kind, place.entry.id, countries.country_of(place.entry.id) or place.entry.id)


def _longest(forms: Sequence[str], at: int, phrases: dict[_Words, Any]) -> int:
    """The number of words of the longest phrase that begins at a word; 0 for none."""
    for length in range(min(_LONGEST_PHRASE, len(forms) - at), 0, -1):
        if tuple(forms[at : at + length]) in phrases:
            return length
    return 0


@functools.cache
def _grammar(language: str) -> _Grammar | None:
    table = files.table(language, files.BODIES)
    if table is None:
        return None
    traits = languages.get(language)
    whole: dict[_Words, tuple[str, str]] = {}
    for key, phrases in table.get("whole", {}).items():
        kind, _, subject = key.partition(" ")
        whole |= dict.fromkeys(_phrases(phrases), (kind, subject))
    grammar = _Grammar(
        kinds=_by_phrase(table.get("kinds", {})),
        placed=_by_phrase(table.get("placed", {})),
        whole=whole,
        subjects=_by_phrase(table["subjects"]),
        links=dict.fromkeys(_phrases(table.get("links", "")), ""),
        of=dict.fromkeys(_phrases(table.get("of", "")), ""),
        joints=dict.fromkeys(_phrases(table.get("joints", "")), ""),
        demonyms=countries.demonyms(language, tuple(table.get("adjective_endings", "").split())),
        before=table["order"] in {"before", "both"},
        after=table["order"] in {"after", "both"},
        place_needs_link=table.get("place_needs_link", False),
        article=traits.article,
        contracted=traits.contracted_article,
        conjunctions=traits.conjunctions,
    )
    for phrase in (*grammar.kinds, *grammar.placed, *grammar.whole):
        for written, letters in _with_letters(phrase[0], traits):
            readings = grammar.openings.setdefault(written, [])
            if (letters, phrase[0]) not in readings:
                readings.append((letters, phrase[0]))
    return grammar


def _with_letters(word: str, traits: languages.Language) -> Iterator[tuple[str, int]]:
    """A word as it may be written in a text, with the number of letters that are written before it."""
    yield word, 0
    for conjunction in ("", *traits.conjunctions):
        if conjunction:
            yield conjunction + word, 1
        for preposition in traits.prepositions:
            letters = conjunction + preposition
            if traits.article and preposition == traits.contracted_article[:1] and word.startswith(traits.article):
                # The article's first letter is not written after this preposition.
                yield letters + word.removeprefix(traits.article[0]), len(letters)
            else:
                yield letters + word, len(letters)


def _by_phrase(table: dict[str, str]) -> dict[_Words, str]:
    return {phrase: key for key, phrases in table.items() for phrase in _phrases(phrases)}


def _phrases(cell: str) -> list[_Words]:
    return [words for part in cell.split(";") if (words := tuple(word.form for word in tokens(part)))]


@functools.cache
def _known() -> dict[tuple[str, str, str], Entry]:
    """The bodies that the gazetteer has, by kind, subject and country: those whose names are patterns."""
    known: dict[tuple[str, str, str], Entry] = {}
    gazetteer = entries.load()
    for aliases in gazetteer.aliases.values():
        for alias in aliases:
            if alias.entry.type == "ORG":
                key = _key(alias)
                if key is not None:
                    known.setdefault(key, alias.entry)
    return known


def _key(alias: Alias) -> tuple[str, str, str] | None:
    grammar = _grammar(alias.language)
    if grammar is None or grammar.openings.keys().isdisjoint(alias.forms):
        return None
    passage = Passage(" ".join(alias.words))
    for body in _Reader(passage, (), grammar).read():
        if body.country is not None and body.first == 0 and body.last == len(passage.words):
            return body.kind, body.subject, body.country
    return None
