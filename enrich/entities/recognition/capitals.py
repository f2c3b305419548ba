"""Names that neither the gazetteer nor the network knows, recognised by capitals and an unambiguous cue next to them.

For languages with capitals. A run of capitalised words is a name only with a cue: a given name first, a title of office
before it, a word such as «University» or «Bank» in it, «province of» before it. A run without a cue is ignored: a wrong
name does more harm than a missing one. The cues are in ``capitals.toml`` here and in the folders of languages; those of
all languages count in every article.
"""

import functools
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from enrich import languages
from enrich.entities.gazetteer.name_words import given_names, surname
from enrich.entities.recognition.recognizer import NameSpan
from enrich.languages import Language, files
from enrich.text.tokens import Passage, Token, form
from services.events import EntityType

_SHARED = Path(__file__).with_name(files.CAPITALS)
_JOINTS = frozenset({" ", "-", "‐", "‑", "'", "’", "\u00a0"})
_ENDS = frozenset('.!?…:;\n\r\u2028«»“”„"•–—')
_MOST_WORDS = 8
# A passage with more capitals is a headline in which each word has one.
_SHARE_OF_CAPITALS = 0.6
_SHARE_WITH_NOUNS = 0.8
_WORDS_OF_A_PERSON = 5
# Where every noun has a capital, a third capitalised word is more likely a noun than part of the name.
_WORDS_WITH_NOUNS = 2
_AGES = range(5, 111)

_SCORES = {"given": 0.7, "title": 0.65, "word": 0.6, "place": 0.6, "apposition": 0.6, "again": 0.5}


class _Run(NamedTuple):
    """Words ``first`` to ``last`` (included) of a passage that may be one name."""

    first: int
    last: int


def find(passage: Passage, language: str) -> list[NameSpan]:
    """The names with a cue, in order, none overlapping; none for a language without cues.

    A name with a cue is also found where it has none, a person by the surname alone too.
    """
    if files.path(language, files.CAPITALS) is None:
        return []
    traits = languages.get(language)
    words = passage.words
    found: list[tuple[_Run, EntityType, float]] = []
    free: list[_Run] = []
    for run in _runs(passage, traits):
        known = _classify(passage, run, traits)
        if known is None:
            free.append(run)
        else:
            found.append(known)
    names: dict[tuple[str, ...], EntityType] = {}
    for run, kind, _ in found:
        forms = tuple(word.form for word in words[run.first : run.last + 1])
        names.setdefault(forms, kind)
        last = surname(forms, _cues()["particle"]) if len(forms) > 1 else ()
        if kind == "PER" and last and not _is_cue(last):
            names.setdefault(last, kind)
    for run in free if names else ():
        again = names.get(tuple(word.form for word in words[run.first : run.last + 1]))
        if again is not None:
            found.append((run, again, _SCORES["again"]))
    return sorted(NameSpan(words[run.first].start, words[run.last].end, kind, score) for run, kind, score in found)


def _runs(passage: Passage, language: Language) -> Iterator[_Run]:
    """Runs of capitalised words, particles between them included, cut at titles, demonyms and the like."""
    words, cues = passage.words, _cues()
    capitals = [at for at, word in enumerate(words) if word.surface[0].isupper()]
    if len(capitals) > len(words) * (_SHARE_WITH_NOUNS if language.capitals.all_nouns else _SHARE_OF_CAPITALS):
        return
    done = 0
    for at in capitals:
        if at < done or _breaks(words[at]) or (words[at].form in cues["opening"] and _starts_sentence(passage, at)):
            continue
        last = at
        organization = False
        while last - at < _MOST_WORDS:
            organization = organization or words[last].form in cues["organization"]
            after = last + 1
            if _continues(passage, last, after):
                last = after
            elif (
                after < len(words)
                and (words[after].form in cues["inner"] or (organization and words[after].form in cues["conjunction"]))
                and _is_joined(passage, last, after)
                and _continues(passage, after, after + 1)
            ):
                last = after + 1
            else:
                break
        yield _Run(at, last)
        done = last + 1


def _continues(passage: Passage, one: int, other: int) -> bool:
    words = passage.words
    return (
        other < len(words)
        and _is_capital(words[other])
        and not _breaks(words[other])
        and _is_joined(passage, one, other)
    )


def _is_joined(passage: Passage, one: int, other: int) -> bool:
    before, after = passage.words[one], passage.words[other]
    if after.start - before.end > 2:
        return False
    between = passage.text[before.end : after.start]
    return between in _JOINTS or (between == ". " and len(before.surface) == 1)


def _classify(passage: Passage, run: _Run, language: Language) -> tuple[_Run, EntityType, float] | None:
    """The part of a run that is a name, its type and score; None without a cue."""
    words, cues = passage.words, _cues()
    if run.first == run.last and not (
        (run.first > 0 and words[run.first - 1].form in cues["before"])
        or (run.last + 1 < len(words) and words[run.last + 1].form in cues["place"])
    ):
        return None
    return _organization(passage, run, language) or _place(passage, run) or _person(passage, run, language)


def _organization(passage: Passage, run: _Run, language: Language) -> tuple[_Run, EntityType, float] | None:
    words, cues = passage.words, _cues()
    if language.capitals.all_nouns and words[run.last].form not in cues["company"]:
        return None
    first = run.first
    while first > 0 and _is_part_of_organization(passage, first - 1):
        first -= 1
    capitals = [word for word in words[first : run.last + 1] if _is_capital(word)]
    if len(capitals) < 2 or any(word.surface.isupper() and len(word.surface) > 1 for word in capitals[:1]):
        return None
    if capitals[-1].form in cues["company"] and capitals[-1].surface[-1:].isalpha():
        return _Run(first, run.last), "ORG", _SCORES["word"]
    anywhere = not language.capitals.organization_word_last
    if any(
        word.form in cues["organization"] and (anywhere or word is capitals[-1] or after.form in cues["link"])
        for word, after in pairwise([*words[first : run.last + 1], capitals[-1]])
    ):
        return _Run(first, run.last), "ORG", _SCORES["word"]
    return None


def _is_part_of_organization(passage: Passage, at: int) -> bool:
    """Whether a word that cuts runs (European, King) is the beginning of «European Space Agency»."""
    word = passage.words[at]
    return (
        _is_capital(word)
        and word.form in _cues()["in_organization"]
        and passage.text[word.end : passage.words[at + 1].start] == " "
    )


def _place(passage: Passage, run: _Run) -> tuple[_Run, EntityType, float] | None:
    words, cues = passage.words, _cues()
    named = [word for word in words[run.first : run.last + 1] if _is_capital(word)]
    if any(word.surface.isupper() for word in named):
        return None
    if len(named) > 1 and not _starts_sentence(passage, run.first):
        ends = {named[0].form, named[-1].form}
        if ends & cues["place"] and len(named) <= 3 and run.last - run.first + 1 == len(named):
            return run, "LOC", _SCORES["place"]
    after = run.last + 1
    if (
        after < len(words)
        and words[after].form in cues["place"]
        and words[after].surface.islower()
        and _is_joined(passage, run.last, after)
        and not _starts_sentence(passage, run.first)
        and run.first + len(named) - 1 == run.last
    ):
        return run, "LOC", _SCORES["place"]
    at = run.first - 1
    if at >= 1 and words[at].form in cues["of"] and _is_joined(passage, at, run.first):
        at -= 1
    elif at < 0 or not _CYRILLIC_OR_GERMAN.intersection(words[at].form[:1] + words[at].surface[:1]):
        return None
    if words[at].form in cues["place_of"] and _is_joined(passage, at, at + 1) and len(named) <= 3:
        return run, "LOC", _SCORES["place"]
    return None


# First letters of cues without «of» («город Казань», «Stadt Bonn»).
_CYRILLIC_OR_GERMAN = frozenset("абвгдежзиклмнопрстуфхцчшщэюяSGPRKDI")


def _person(passage: Passage, run: _Run, language: Language) -> tuple[_Run, EntityType, float] | None:
    words, cues = passage.words, _cues()
    first, last = _beginning(passage, run, language), run.last
    fitting = words[last].form not in cues["not_a_person"] and all(
        _is_capital(word) or word.form in cues["particle"] for word in words[first : last + 1]
    )
    if language.capitals.all_nouns:
        last = _end_before_nouns(words, first, last)
    capitals = [word for word in words[first : last + 1] if _is_capital(word)]
    if not fitting or len(capitals) > _WORDS_OF_A_PERSON or any(_is_code(word.surface) for word in capitals):
        return None
    score = None
    if len(capitals) > 1 and words[first].form in cues["given"]:
        score = _SCORES["given"]
    elif not language.capitals.genitive_after_title and _follows_title(passage, first, alone=len(capitals) == 1):
        score = _SCORES["title"]
    elif (
        not language.capitals.all_nouns
        and 2 <= len(capitals) <= 3
        and first == run.first
        and _is_apposed(passage, last)
    ):
        score = _SCORES["apposition"]
    return (_Run(first, last), "PER", score) if score else None


def _beginning(passage: Passage, run: _Run, language: Language) -> int:
    """Where a person's name begins in a run: at the given name after the first word of a sentence or, in some
    languages, after the name of what the person presides over.
    """
    words, cues = passage.words, _cues()
    first, last = run
    if words[first].form in cues["saint"]:
        return first
    furthest = (
        first + 2
        if language.capitals.genitive_after_title
        else first + 1
        if _starts_sentence(passage, first)
        else first
    )
    return next((at for at in range(first, min(furthest + 1, last)) if words[at].form in cues["given"]), first)


def _is_code(surface: str) -> bool:
    """Whether a word is an acronym or has digits."""
    return (surface.isupper() and len(surface) > 1) or any(mark.isdigit() for mark in surface)


def _end_before_nouns(words: list[Token], first: int, last: int) -> int:
    """Where a name ends among capitalised nouns: after its second capitalised word, particles not counted."""
    capitals = 0
    for at in range(first, last + 1):
        capitals += _is_capital(words[at]) and (at == first or words[at].form not in _cues()["particle"])
        if capitals == _WORDS_WITH_NOUNS:
            return at
    return last


def _follows_title(passage: Passage, first: int, alone: bool) -> bool:
    """Whether a title directly precedes a name; before a name of one word (``alone``) only some titles count."""
    if first == 0:
        return False
    title, word, cues = passage.words[first - 1], passage.words[first], _cues()
    if title.form not in cues["title"] or (alone and (title.form not in cues["lone_title"] or _is_cue((word.form,)))):
        return False
    between = passage.text[title.end : word.start] if word.start - title.end <= 2 else ""
    return between in {" ", "\u00a0"} or (between == ". " and len(title.surface) <= 4)


def _is_apposed(passage: Passage, last: int) -> bool:
    """Whether «, 34,», «, who ...» or «, the director ...» follows."""
    words, cues = passage.words, _cues()
    if last + 1 >= len(words) or passage.text[words[last].end : words[last].end + 2] != ", ":
        return False
    after = words[last + 1 : last + 4]
    if after[0].surface.isdecimal() and len(after[0].surface) <= 3 and int(after[0].surface) in _AGES:
        return passage.text[after[0].end : after[0].end + 1] == ","
    if after[0].form in cues["relative"]:
        return True
    return after[0].surface.islower() and any(
        word.form in cues["title"] and word.surface.islower() for word in after[:2]
    )


def _starts_sentence(passage: Passage, at: int) -> bool:
    if at == 0:
        return True
    before = passage.text[passage.words[at - 1].end : passage.words[at].start][-8:]
    if before == ". " and len(passage.words[at - 1].surface) == 1:
        return False
    return " - " in before or not _ENDS.isdisjoint(before)


def _is_capital(word: Token) -> bool:
    return word.surface[0].isupper()


def _breaks(word: Token) -> bool:
    cues = _cues()
    return word.form in cues["not_a_name"] or (word.form in cues["title"] and word.form not in cues["given"])


def _is_cue(forms: tuple[str, ...]) -> bool:
    return any(forms[-1] in words for cue, words in _cues().items() if cue != "given")


@functools.cache
def _cues() -> dict[str, frozenset[str]]:
    """The forms of the cue words by cue."""
    cues: dict[str, set[str]] = {}
    for table in (tomllib.loads(_SHARED.read_text(encoding="utf-8")), *files.tables(files.CAPITALS)):
        for cue, words in table.items():
            cues.setdefault(cue, set()).update(form(word) for word in words.split())
    cues["given"] |= given_names().keys()
    cues["before"] = cues["title"] | cues["place_of"] | cues["link"]
    cues["inner"] = cues["link"] | cues["particle"]
    return {cue: frozenset(words) for cue, words in cues.items()}


def starts_sentence(passage: Passage, at: int) -> bool:
    """Whether the word at a place begins a sentence, a line or a quotation, where every word has a capital."""
    return _starts_sentence(passage, at)


def is_headline(passage: Passage) -> bool:
    """Whether most words have a capital, so that capitals mark no names."""
    capitals = sum(word.surface[0].isupper() for word in passage.words)
    return capitals > len(passage.words) * _SHARE_OF_CAPITALS


def is_cue(form: str, *kinds: str) -> bool:
    """Whether a form is a cue of one of these kinds, the keys of ``capitals.toml``."""
    return any(form in _cues()[kind] for kind in kinds)
