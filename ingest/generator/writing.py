"""Titles and texts of the synthetic stream: sentences of a language with the words of a topic and of a story.

``words/LANGUAGE.toml`` has, for each language, lists of words separated by commas, and patterns with slots, a capital
in braces for each word:

- ``W``: a noun with its article or preposition (``nouns``, ``topics``, the story's words)
- ``V``, ``S``: a verb that takes an object (``doing``), a reporting verb (``saying``)
- ``R``, ``T``, ``C``: who speaks (``roles``), when (``times``), a link to the sentence before (``links``)
- ``K``: a number; ``X``: a word for the weather (``weather_words``) or the market (``market_words``)
- ``E``: an entity; in Arabic also ``B``, ``F``, ``L``: an entity with the proclitic ب, و, ل
- ``N``: the outlet

``leads`` are first sentences, ``sentences`` the following ones, ``titles`` headlines. ``boilerplate`` is the text below
an outlet's articles, ``also`` the heading of its list of other headlines, ``correction`` the last sentence of a
corrected text. ``weather`` and ``market`` are whole reports.
"""

import functools
import random
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from math import gcd
from pathlib import Path

from ingest.generator.names import NamedEntity

LANGUAGES = ("ar", "en", "fr", "ru", "es", "de")
_FOLDER = Path(__file__).with_name("words")
_SLOT = re.compile(r"\{([A-Z])\}")
_SEPARATOR = ", "
# Slots for entities; the ones with a proclitic are Arabic.
_ENTITIES = "EBF"
_MAX_SENTENCES_IN_PARAGRAPH = 4
# How often a story's own words are repeated in the list with those of its topic and the common nouns.
_OWN_WEIGHT = 3


@dataclass(frozen=True, slots=True)
class Pattern:
    """A sentence with slots: ``text`` for the % operator, ``slots`` the kind of word for each %s.

    A small letter is a slot at the beginning, which is capitalised. ``words``: the expected length in words.
    """

    text: str
    slots: str
    words: float
    entities: int


@dataclass(frozen=True)
class Language:
    """The words and patterns of one language."""

    code: str
    lists: dict[str, list[str]]
    topics: dict[str, list[str]]
    leads: list[Pattern]
    sentences: list[Pattern]
    # Step sizes with which all sentences are visited before one is repeated: those coprime to their number.
    steps: list[int]
    titles: list[Pattern]
    reports: dict[str, tuple[Pattern, Pattern]]
    boilerplate: list[str]
    also: str
    correction: Pattern
    # Single words, for edited near-duplicates.
    vocabulary: list[str]


@functools.cache
def language(code: str) -> Language:
    """The words and patterns of a language, read once per process."""
    read = tomllib.loads((_FOLDER / f"{code}.toml").read_text(encoding="utf-8"))
    topics = {topic: words.split(_SEPARATOR) for topic, words in read["topics"].items()}
    lists = {key: read[key].split(_SEPARATOR) for key in _LISTS.values()}
    lists |= {key: read[key].split(_SEPARATOR) for key in ("weather_words", "market_words")}
    lists["nouns"] = read["nouns"].split(_SEPARATOR)
    lengths = {slot: _mean_words(lists[key]) for slot, key in _LISTS.items()}
    lengths |= {"W": _mean_words([word for words in topics.values() for word in words]), "E": 1.7, "K": 1.0, "X": 1.0}
    lengths |= {"B": 1.7, "F": 1.7, "L": 1.7}

    def patterns(key: str) -> list[Pattern]:
        return [_pattern(text, lengths) for text in read[key]]

    return Language(
        code=code,
        lists=lists,
        topics=topics,
        leads=patterns("leads"),
        sentences=patterns("sentences"),
        steps=[step for step in range(1, len(read["sentences"])) if gcd(step, len(read["sentences"])) == 1],
        titles=patterns("titles"),
        reports={
            kind: (_pattern(read[f"{kind}_title"], lengths), _pattern(read[kind], lengths))
            for kind in ("weather", "market")
        },
        boilerplate=read["boilerplate"],
        also=read["also"],
        correction=_pattern(read["correction"], lengths),
        vocabulary=sorted({part for word in chain(*topics.values()) for part in word.split() if part.isalpha()}),
    )


_LISTS = {"R": "roles", "S": "saying", "V": "doing", "T": "times", "C": "links"}


def _mean_words(words: Sequence[str]) -> float:
    return sum(len(word.split()) for word in words) / len(words)


def _pattern(text: str, lengths: dict[str, float]) -> Pattern:
    slots = _SLOT.findall(text)
    fixed = len(_SLOT.sub("", text).split())
    if text.startswith("{"):
        slots[0] = slots[0].lower()
    return Pattern(
        text=_SLOT.sub("%s", text.replace("%", "%%")),
        slots="".join(slots),
        words=fixed + sum(lengths[slot.upper()] for slot in slots),
        entities=sum(slot in _ENTITIES for slot in "".join(slots).upper()),
    )


@dataclass(slots=True)
class StoryWords:
    """The words and numbers that the articles of a story in one language have in common."""

    words: list[str]
    numbers: list[str]


def draw_story_words(rng: random.Random, code: str, topics: Sequence[str]) -> StoryWords:
    """Draw a story's own words, from its first topic and from all topics, and its numbers."""
    known = language(code)
    first = known.topics[topics[0]]
    names = list(known.topics)
    own = rng.sample(first, 5)
    for topic in rng.choices(names, k=6):
        words = known.topics[topic]
        own.append(words[int(rng.random() * len(words))])
    words = [*own * _OWN_WEIGHT, *known.lists["nouns"], *first]
    if len(topics) > 1:
        words += known.topics[topics[1]]
    return StoryWords(words, [str(number(rng)) for _ in range(4)])


def number(rng: random.Random) -> int:
    """A number from 2 to 999; small ones are far more frequent."""
    share = rng.random()
    return 2 + int(998 * share * share * share)


class Writer:
    """Writes one article. ``entities``: the most important first; ``used``: how many of them were named so far."""

    def __init__(
        self,
        rng: random.Random,
        code: str,
        story_words: StoryWords,
        entities: Sequence[NamedEntity],
        digits: dict[int, int] | None,
    ) -> None:
        self.language = language(code)
        self.used = 0
        self._rng = rng
        self._entities = entities
        self._story_words = story_words
        self._digits = digits
        lists = self.language.lists
        self._words: dict[str, Callable[[], str]] = {
            slot: self._chooser(words)
            for slot, words in (("W", story_words.words), *((slot, lists[key]) for slot, key in _LISTS.items()))
        }
        self._words["K"] = self._number
        self._words["E"] = self._entity
        self._words["B"] = lambda: "ب" + self._entity()
        self._words["F"] = lambda: "و" + self._entity()
        self._words["L"] = self._to_the_first

    def text(self, words: int, min_entities: int) -> str:
        """Paragraphs with about ``words`` words that name at least ``min_entities`` entities."""
        rng = self._rng
        sentences = self.language.sentences
        chosen = [self.language.leads[int(rng.random() * len(self.language.leads))]]
        written = chosen[0].words
        named = chosen[0].entities
        # No pattern is repeated before all others were used.
        at = int(rng.random() * len(sentences))
        step = self.language.steps[int(rng.random() * len(self.language.steps))]
        while written < words or named < min_entities:
            at = (at + step) % len(sentences)
            pattern = sentences[at]
            chosen.append(pattern)
            written += pattern.words
            named += pattern.entities
        parts: list[str] = []
        left = 1
        for pattern in chosen:
            left -= 1
            parts.append(pattern.text)
            if left:
                parts.append(" ")
            else:
                parts.append("\n\n")
                left = 1 + int(rng.random() * _MAX_SENTENCES_IN_PARAGRAPH)
        return self._fill("".join(parts[:-1]), "".join([pattern.slots for pattern in chosen]))

    def title(self) -> str:
        """A headline about the first entities; call it after ``text``."""
        used, self.used = self.used, 0
        title = self.write(self.language.titles[int(self._rng.random() * len(self.language.titles))])
        self.used = max(used, self.used)
        return title

    def report(self, kind: str) -> tuple[str, str]:
        """Title and text of a ``weather`` or ``market`` report."""
        self._words["X"] = self._chooser(self.language.lists[f"{kind}_words"])
        title, text = self.language.reports[kind]
        written = self.write(text)
        used, self.used = self.used, 0
        headline = self.write(title)
        self.used = used
        return headline, written

    def write(self, pattern: Pattern) -> str:
        """One sentence of this pattern."""
        return self._fill(pattern.text, pattern.slots)

    def _fill(self, text: str, slots: str) -> str:
        words = self._words
        return text % tuple([words[slot]() if slot in words else _capital(words[slot.upper()]()) for slot in slots])

    def _chooser(self, words: Sequence[str]) -> Callable[[], str]:
        """A function that draws one of the words."""
        draw = self._rng.random
        count = len(words)
        return lambda: words[int(draw() * count)]

    def _number(self) -> str:
        share = self._rng.random()
        shared = self._story_words.numbers
        text = shared[int(share * 2 * len(shared))] if share < 0.5 else str(number(self._rng))
        return text.translate(self._digits) if self._digits else text

    def _entity(self) -> str:
        """Each entity in turn, by its full name; then any, the first ones more often, mostly by the short name."""
        at = self.used
        code = self.language.code
        if at < len(self._entities):
            self.used += 1
            return self._entities[at].name(code)
        share = self._rng.random()
        entity = self._entities[int(share * share * len(self._entities))]
        return entity.short(code) if share * 10 % 1 < 0.6 else entity.name(code)

    def _to_the_first(self) -> str:
        """The first entity, which every lead names, with the proclitic ل; the alef of the Arabic article is dropped."""
        name = self._entities[0].name(self.language.code)
        return "ل" + (name[1:] if name.startswith("ال") else name)


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]
