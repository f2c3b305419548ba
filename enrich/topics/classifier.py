"""What an article is about: IPTC Media Topics of the two upper levels, with scores.

There are two kinds of evidence. The terms of a language (``languages/xx/topics.tsv``) give evidence for both levels;
for languages with a linear model over word stems (``languages/xx/topics.npz``) it adds evidence for the upper level. A
logistic function combines them into a score. The number of words that count is bounded, and so is the cost.
"""

import functools
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from enrich import languages
from enrich.languages import files
from enrich.text.tokens import Passage, Token, stem, tokens
from services.events import Topic

_TREE = Path(__file__).with_name("mediatopics.tsv")
_MOST_TOPICS = 5
# The beginning of a news article is enough to know what it is about.
_MOST_WORDS = 600
_LEAD = 60
_IN_TITLE, _IN_LEAD = 2.5, 1.5
_PHRASE = 1.5
_WEIGHTS = {"-": 0.3, "~": 0.6}
# Added to all evidence, so that one or two terms are not enough for a high score.
_SMOOTHING = 3.0
# The score as training/topics.py fits it: a constant, then a coefficient for each of ``signs`` (and the model).
_WITH_TERMS = (-5.46, 0.82, 15.04, -0.23)
_WITH_MODEL = (-0.83, -1.38, 7.19, -0.38, 1.53)
_LEAST_SCORE = 0.2
# What a topic of the lower level needs: this much evidence (one strong term in the lead has it), and this share of the
# evidence of its strongest sibling.
_LEAST_EVIDENCE, _LEAST_PART = 1.3, 0.5
_SHORTEST = 3
_CACHED_WORDS = 20_000
_SHORTEST_PREFIX = 3
_LONGEST_PREFIX = 12


@dataclass(frozen=True)
class MediaTopic:
    """A topic of the tree: ``parent`` is null on the upper level; ``labels`` are by language."""

    id: str
    parent: str | None
    labels: dict[str, str]

    def label(self, language: str) -> str:
        """The label in a language, else in English."""
        return self.labels.get(language) or self.labels["en"]


@functools.cache
def tree() -> dict[str, MediaTopic]:
    """All topics that can be assigned, by id."""
    topics = {row["id"]: MediaTopic(row["id"], row["parent"] or None, {}) for row in files.read_rows(_TREE)}
    for language in files.having(files.TOPICS):
        for row in files.rows(language.code, files.TOPICS):
            if row["label"]:
                topics[row["topic"]].labels[language.code] = row["label"]
    return topics


@functools.cache
def _upper() -> list[str]:
    return [topic.id for topic in tree().values() if topic.parent is None]


def parent(topic: str) -> str | None:
    """The topic above; null for one of the upper level and for an unknown id."""
    known = tree().get(topic)
    return None if known is None else known.parent


@dataclass
class TopicTerms:
    """The terms of one language.

    ``words`` are the stems and ``prefixes`` the word beginnings (with ``*``) that terms consist of; ``singles`` are the
    terms of one part, ``phrases`` the others, by their first two parts. Each has an index into ``weights``: the
    evidence of the term for topics of both levels.
    """

    language: str
    words: set[str] = field(default_factory=set)
    prefixes: set[str] = field(default_factory=set)
    singles: dict[str, int] = field(default_factory=dict)
    phrases: dict[tuple[str, str], list[tuple[tuple[str, ...], int]]] = field(default_factory=dict)
    weights: list[dict[str, float]] = field(default_factory=list)
    seen: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def add(self, term: str, topic: str, places: dict[tuple[str, ...], int]) -> None:
        """Add a term as written in the file: ``-`` before a weak one, ``~`` before a medium one, ``*`` for a prefix."""
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
        evidence_for = self.weights[places[key]]
        above = parent(topic)
        for one in (topic, above) if above else (topic,):
            evidence_for[one] = max(evidence_for.get(one, 0.0), weight * (_PHRASE if len(key) > 1 else 1.0))

    def keys(self, words: list[Token]) -> list[tuple[str, ...]]:
        """The parts of terms that each word can be; cached by word, within bounds."""
        seen = self.seen
        if len(seen) > _CACHED_WORDS:
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
        """The indices of the terms in a passage; of those that start at one word, the longest."""
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
    """A word, then the word without particles that are written onto it (Arabic) or without its ending (Persian)."""
    yield word
    traits = languages.get(language)
    conjunctions, prepositions = traits.conjunctions, traits.prepositions
    if len(word) > _SHORTEST and (word[0] in conjunctions or word[0] in prepositions):
        yield word[1:]
        if word[0] in conjunctions and word[1] in prepositions and len(word) > _SHORTEST + 1:
            yield word[2:]
    for ending in traits.endings:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST:
            yield word.removesuffix(ending)
            return


@functools.cache
def topic_terms(language: str) -> TopicTerms:
    """The terms of a language; empty for a language without terms."""
    found = TopicTerms(language)
    places: dict[tuple[str, ...], int] = {}
    for row in files.rows(language, files.TOPICS):
        for term in row["terms"].split("; ") if row["terms"] else ():
            found.add(term, row["topic"], places)
    return found


def evidence(title: Passage, text: Passage, language: str) -> dict[str, float]:
    """The evidence for each topic of both levels; terms count by position and frequency."""
    known = topic_terms(language)
    strength: dict[int, float] = {}
    lead, rest = text.words[:_LEAD], text.words[_LEAD:_MOST_WORDS]
    for words, weight in ((title.words[:_LEAD], _IN_TITLE), (lead, _IN_LEAD), (rest, 1.0)):
        for place in known.find(words):
            strength[place] = strength.get(place, 0.0) + weight
    found: dict[str, float] = {}
    for place, times in strength.items():
        amount = math.log2(1.0 + times)
        for topic, weight in known.weights[place].items():
            found[topic] = found.get(topic, 0.0) + weight * amount
    return found


def stems(title: Passage, text: Passage, language: str) -> Counter[str]:
    """The stems of an article that the linear model weighs; those in the title count twice."""
    counts: Counter[str] = Counter()
    for words, times in ((title.words[:_LEAD], 2), (text.words[:_MOST_WORDS], 1)):
        for word in words:
            if key := _model_stem(word.form, language):
                counts[key] += times
    return counts


@functools.lru_cache(_CACHED_WORDS)
def _model_stem(word: str, language: str) -> str:
    """The stem of a word in the model; empty for short words and numbers."""
    return "" if len(word) < _SHORTEST or word.isdigit() else stem(word, language)


def signs(evidence: float, total: float, words: int) -> tuple[float, float, float]:
    """The inputs of a score: the evidence, its share of the evidence for all topics, and the article's length."""
    return math.log1p(evidence), evidence / (total + _SMOOTHING), math.log(min(max(words, 20), _MOST_WORDS) / 100)


@dataclass(frozen=True)
class LinearModel:
    """Evidence of word stems for the upper level; made by ``training/topics.py``.

    ``weights`` has a row for each stem and a column for each of ``topics``. Topics with too few examples in training
    are not in ``learned`` and get no evidence.
    """

    topics: list[str]
    places: dict[str, int]
    idf: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    learned: frozenset[str]

    def weigh(self, counts: Counter[str]) -> dict[str, float]:
        """The log-odds of each learned topic."""
        known = {self.places[word]: count for word, count in counts.items() if word in self.places}
        if not known:
            return {}
        places = np.fromiter(known, np.intp, len(known))
        values = (1.0 + np.log(np.fromiter(known.values(), np.float32, len(known)))) * self.idf[places]
        values /= math.sqrt(float((values * values).sum()))
        # Not a matrix product: starting its threads would cost more than the product.
        odds = (values[:, None] * self.weights[places]).sum(axis=0) * self.scale + self.bias
        return {topic: odd for topic, odd in zip(self.topics, odds.tolist(), strict=True) if topic in self.learned}


@functools.cache
def linear_model(language: str) -> LinearModel | None:
    """The model of a language, or None if it has none."""
    path = files.path(language, files.TOPIC_MODEL)
    if path is None:
        return None
    with np.load(path, allow_pickle=False) as file:
        topics, scale = file["topics"].tolist(), file["scale"]
        return LinearModel(
            topics=topics,
            places={stem: place for place, stem in enumerate(str(file["stems"]).split("\n"))},
            idf=file["idf"].astype(np.float32),
            # Whole numbers would be converted for each article.
            weights=file["weights"].astype(np.float32),
            scale=scale,
            bias=file["bias"],
            learned=frozenset(topic for topic, size in zip(topics, scale, strict=True) if size),
        )


def classify(title: Passage, text: Passage, language: str) -> list[Topic]:
    """The topics of an article, best first, at most five; none when no score is high enough.

    A topic of the lower level never comes without the one above it, which has at least its score.
    """
    found = evidence(title, text, language)
    model = linear_model(language)
    odds = {} if model is None else model.weigh(stems(title, text, language))
    upper = [topic for topic in _upper() if topic in found or topic in odds]
    if not upper:
        return []
    total = sum(found.get(topic, 0.0) for topic in upper)
    scores: dict[str, float] = {}
    for topic in upper:
        inputs = signs(found.get(topic, 0.0), total, len(text.words))
        likely = _log_odds(_WITH_TERMS, inputs)
        if topic in odds:
            likely = (likely + _log_odds(_WITH_MODEL, (*inputs, odds[topic]))) / 2
        if (score := 1.0 / (1.0 + math.exp(-likely))) >= _LEAST_SCORE:
            scores[topic] = score
    most: dict[str, float] = {}
    for topic, amount in found.items():
        if (above := parent(topic)) in scores:
            most[above] = max(most.get(above, 0.0), amount)
    for topic, amount in found.items():
        above = parent(topic)
        if above in most and amount >= max(_LEAST_EVIDENCE, _LEAST_PART * most[above]):
            scores[topic] = scores[above] * amount / most[above] * amount / (amount + 1.0)
    ranked = sorted(scores.items(), key=lambda item: -item[1])[:_MOST_TOPICS]
    return [Topic(id=id_, label=tree()[id_].label(language), score=round(score, 3)) for id_, score in ranked]


def _log_odds(coefficients: tuple[float, ...], inputs: tuple[float, ...]) -> float:
    return coefficients[0] + sum(factor * value for factor, value in zip(coefficients[1:], inputs, strict=True))
