"""What an article is about: IPTC Media Topics of the two upper levels, with scores.

Two sources speak. A vocabulary in eleven languages (``topics/vocabulary.tsv``) gives evidence for both levels; for
Arabic, a linear model over word stems (``topics/arabic.npz``) speaks for the upper level too. One logistic function
turns what they say into a score. Which words count is bounded, so the cost of an article is, too.
"""

import csv
import functools
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from enrich.text.tokens import Passage, Token, stem, tokens
from services.events import Topic

_FOLDER = Path(__file__).parent
_MOST_TOPICS = 5
# A news article says in its beginning what it is about.
_MOST_WORDS = 600
_LEAD = 60
_IN_TITLE, _IN_LEAD = 2.5, 1.5
_PHRASE = 1.5
_WEIGHTS = {"-": 0.3, "~": 0.6}
# A term or two are not enough to be sure, even where nothing else was said.
_DOUBT = 3.0
# The score as training/topics.py fits it: a constant, then a coefficient for each of ``signs`` (and the model).
_VOCABULARY = (-5.46, 0.82, 15.04, -0.23)
_WITH_MODEL = (-0.83, -1.38, 7.19, -0.38, 1.53)
_LEAST_SCORE = 0.2
# What the lower level needs: so much evidence (a telling term in the lead has it), and so much of what its strongest
# sibling has.
_LEAST_EVIDENCE, _LEAST_PART = 1.3, 0.5
_SHORTEST = 3
_MOST_REMEMBERED = 20_000
_SHORTEST_PREFIX = 3
_LONGEST_PREFIX = 12


@dataclass(frozen=True)
class MediaTopic:
    """One topic of the tree: ``parent`` is null on the upper level; ``labels`` are by language."""

    id: str
    parent: str | None
    labels: dict[str, str]

    def label(self, language: str) -> str:
        """The label in a language, else in English."""
        return self.labels.get(language) or self.labels["en"]


@functools.cache
def tree() -> dict[str, MediaTopic]:
    """All topics Khabar can give, by id."""
    topics: dict[str, MediaTopic] = {}
    for row in _rows("mediatopics.tsv"):
        topic, above = row.pop("id"), row.pop("parent")
        topics[topic] = MediaTopic(topic, above or None, row)
    return topics


@functools.cache
def _upper() -> list[str]:
    return [topic.id for topic in tree().values() if topic.parent is None]


def parent(topic: str) -> str | None:
    """The topic above; null for one of the upper level and for an unknown id."""
    known = tree().get(topic)
    return None if known is None else known.parent


def _rows(name: str) -> Iterable[dict[str, str]]:
    with (_FOLDER / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


@dataclass
class Vocabulary:
    """The terms of one language.

    ``words`` are the stems and ``prefixes`` the word beginnings (with ``*``) that terms consist of; ``singles`` are the
    terms of one part, ``phrases`` the others, by their first two parts. Each has its place in ``weights``: what the
    term says for which topic, on both levels.
    """

    language: str
    words: set[str] = field(default_factory=set)
    prefixes: set[str] = field(default_factory=set)
    singles: dict[str, int] = field(default_factory=dict)
    phrases: dict[tuple[str, str], list[tuple[tuple[str, ...], int]]] = field(default_factory=dict)
    weights: list[dict[str, float]] = field(default_factory=list)
    seen: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def add(self, term: str, topic: str, places: dict[tuple[str, ...], int]) -> None:
        """Learn a term as it stands in the file: ``-`` before a weak one, ``~`` before a middling one, ``*`` behind."""
        weight = _WEIGHTS.get(term[0], 1.0)
        parts = [stem(word.form, self.language) for word in tokens(term)]
        if term.endswith("*"):
            parts[-1] = f"{tokens(term)[-1].form}*"
            self.prefixes.add(parts[-1])
        self.words.update(part for part in parts if not part.endswith("*"))
        key = tuple(parts)
        if key not in places:
            places[key] = len(self.weights)
            self.weights.append({})
            if len(key) == 1:
                self.singles[key[0]] = places[key]
            else:
                self.phrases.setdefault((key[0], key[1]), []).append((key, places[key]))
        says = self.weights[places[key]]
        above = parent(topic)
        for told in (topic, above) if above else (topic,):
            says[told] = max(says.get(told, 0.0), weight * (_PHRASE if len(key) > 1 else 1.0))

    def keys(self, words: list[Token]) -> list[tuple[str, ...]]:
        """What parts of terms each word can be; the answers for the words seen are remembered, within bounds."""
        seen = self.seen
        if len(seen) > _MOST_REMEMBERED:
            seen.clear()
        keys = []
        for word in words:
            if (known := seen.get(word.form)) is None:
                known = seen[word.form] = tuple(dict.fromkeys(self._look_up(word.form)))
            keys.append(known)
        return keys

    def _look_up(self, word: str) -> Iterable[str]:
        for variant in _variants(word, self.language):
            known = False
            for key in self._parts(variant):
                known = True
                yield key
            if known:
                return

    def _parts(self, word: str) -> Iterable[str]:
        if (key := stem(word, self.language)) in self.words:
            yield key
        for length in range(_SHORTEST_PREFIX, min(len(word), _LONGEST_PREFIX) + 1):
            if (prefix := f"{word[:length]}*") in self.prefixes:
                yield prefix

    def find(self, words: list[Token]) -> Iterable[int]:
        """The places of the terms that stand in a passage; of those that start at one word, the longest."""
        keys = [*self.keys(words), ()]
        for at, starts in enumerate(keys):
            longest, found = 0, -1
            for start in starts:
                if not longest:
                    found = self.singles.get(start, found)
                for following in keys[at + 1]:
                    for parts, place in self.phrases.get((start, following), ()):
                        if len(parts) > longest and _follow(parts[2:], keys[at + 2 : at + len(parts)]):
                            longest, found = len(parts), place
            if found >= 0:
                yield found


def _follow(parts: tuple[str, ...], keys: list[tuple[str, ...]]) -> bool:
    return len(parts) == len(keys) and all(part in known for part, known in zip(parts, keys, strict=True))


def _variants(word: str, language: str) -> Iterable[str]:
    """A word, then what it may be without particles that are written onto it (Arabic) or its ending (Persian)."""
    yield word
    if language == "ar" and len(word) > _SHORTEST and word[0] in "وفبكل":
        yield word[1:]
        if word[0] in "وف" and word[1] in "بكل" and len(word) > _SHORTEST + 1:
            yield word[2:]
    elif language == "fa":
        for ending in ("هايي", "هاي", "ها", "ان", "ي"):
            if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST:
                yield word.removesuffix(ending)
                return


@functools.cache
def vocabulary(language: str) -> Vocabulary:
    """The terms of a language; none for a language that Khabar has no terms of."""
    found = Vocabulary(language)
    places: dict[tuple[str, ...], int] = {}
    for row in _rows("vocabulary.tsv"):
        if row["language"] == language:
            for term in row["terms"].split("; "):
                found.add(term, row["topic"], places)
    return found


def evidence(title: Passage, text: Passage, language: str) -> dict[str, float]:
    """How much a vocabulary says for each topic of both levels; terms count by where and how often they stand."""
    known = vocabulary(language)
    strength: dict[int, float] = {}
    lead, rest = text.words[:_LEAD], text.words[_LEAD:_MOST_WORDS]
    for words, weight in ((title.words[:_LEAD], _IN_TITLE), (lead, _IN_LEAD), (rest, 1.0)):
        for place in known.find(words):
            strength[place] = strength.get(place, 0.0) + weight
    found: dict[str, float] = {}
    for place, times in strength.items():
        said = math.log2(1.0 + times)
        for topic, weight in known.weights[place].items():
            found[topic] = found.get(topic, 0.0) + weight * said
    return found


def stems(title: Passage, text: Passage) -> Counter[str]:
    """The stems of an Arabic article that the linear model weighs; those in the title count twice."""
    counts: Counter[str] = Counter()
    for words, times in ((title.words[:_LEAD], 2), (text.words[:_MOST_WORDS], 1)):
        for word in words:
            if key := _arabic_stem(word.form):
                counts[key] += times
    return counts


@functools.lru_cache(_MOST_REMEMBERED)
def _arabic_stem(word: str) -> str:
    """The stem that the model knows a word by; empty for short words and numbers."""
    return "" if len(word) < _SHORTEST or word.isdigit() else stem(word, "ar")


def signs(said: float, in_all: float, words: int) -> tuple[float, float, float]:
    """What a score is made of: how much was said, what part of all that was said, and how long the article is."""
    return math.log1p(said), said / (in_all + _DOUBT), math.log(min(max(words, 20), _MOST_WORDS) / 100)


@dataclass(frozen=True)
class LinearModel:
    """What Arabic word stems say for the upper level; ``training/topics.py`` makes it.

    ``weights`` has a row for each stem and a column for each of ``topics``; for those that training had too few
    examples of it says nothing: they are not in ``learnt``.
    """

    topics: list[str]
    places: dict[str, int]
    idf: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    learnt: frozenset[str]

    def weigh(self, counts: Counter[str]) -> dict[str, float]:
        """The log-odds of each topic that was learnt."""
        known = {self.places[word]: count for word, count in counts.items() if word in self.places}
        if not known:
            return {}
        places = np.fromiter(known, np.intp, len(known))
        values = (1.0 + np.log(np.fromiter(known.values(), np.float32, len(known)))) * self.idf[places]
        values /= math.sqrt(float((values * values).sum()))
        # Not a matrix product: its threads would cost more than it does.
        odds = (values[:, None] * self.weights[places]).sum(axis=0) * self.scale + self.bias
        return {topic: odd for topic, odd in zip(self.topics, odds.tolist(), strict=True) if topic in self.learnt}


@functools.cache
def linear_model() -> LinearModel:
    """The model for Arabic."""
    with np.load(_FOLDER / "arabic.npz", allow_pickle=False) as file:
        topics, scale = file["topics"].tolist(), file["scale"]
        return LinearModel(
            topics=topics,
            places={stem: place for place, stem in enumerate(str(file["stems"]).split("\n"))},
            idf=file["idf"].astype(np.float32),
            # Whole numbers would be converted for each article.
            weights=file["weights"].astype(np.float32),
            scale=scale,
            bias=file["bias"],
            learnt=frozenset(topic for topic, size in zip(topics, scale, strict=True) if size),
        )


def classify(title: Passage, text: Passage, language: str) -> list[Topic]:
    """The topics of an article, best first, at most five; none when nothing is sure enough.

    A topic of the lower level never comes without the one above it, which has at least its score.
    """
    said = evidence(title, text, language)
    odds = linear_model().weigh(stems(title, text)) if language == "ar" else {}
    upper = [topic for topic in _upper() if topic in said or topic in odds]
    if not upper:
        return []
    in_all = sum(said.get(topic, 0.0) for topic in upper)
    scores: dict[str, float] = {}
    for topic in upper:
        told = signs(said.get(topic, 0.0), in_all, len(text.words))
        likely = _log_odds(_VOCABULARY, told)
        if topic in odds:
            likely = (likely + _log_odds(_WITH_MODEL, (*told, odds[topic]))) / 2
        if (score := 1.0 / (1.0 + math.exp(-likely))) >= _LEAST_SCORE:
            scores[topic] = score
    most: dict[str, float] = {}
    for topic, amount in said.items():
        if (above := parent(topic)) in scores:
            most[above] = max(most.get(above, 0.0), amount)
    for topic, amount in said.items():
        above = parent(topic)
        if above in most and amount >= max(_LEAST_EVIDENCE, _LEAST_PART * most[above]):
            scores[topic] = scores[above] * amount / most[above] * amount / (amount + 1.0)
    ranked = sorted(scores.items(), key=lambda item: -item[1])[:_MOST_TOPICS]
    return [Topic(id=id_, label=tree()[id_].label(language), score=round(score, 3)) for id_, score in ranked]


def _log_odds(coefficients: tuple[float, ...], told: tuple[float, ...]) -> float:
    return coefficients[0] + sum(coefficient * sign for coefficient, sign in zip(coefficients[1:], told, strict=True))
