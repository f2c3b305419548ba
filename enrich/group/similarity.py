"""How similar two articles are as news: 1.0 is just enough for one story.

Three likenesses count together: of meaning (the cosine of the vectors), of content words (within one language) and of
what all languages share (names, numbers). Two things make less of them: time between the two publications, and that
neither says what the other's title says happened. The same people in the same place on the same day may still be
another event.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from enrich.fingerprint import embedding
from enrich.fingerprint.features import FEATURES
from enrich.group.arrays import unique
from enrich.group.columns import SHARED, WEIGHT_SCALE
from enrich.group.window import PendingArticle, Window

Scores = NDArray[np.float32]


class _Weights(NamedTuple):
    """Weights of the likenesses, already divided by the sum that makes a similarity of 1.0.

    ``both`` is that of the geometric mean of meaning and shared features.
    """

    meaning: float
    terms: float
    shared: float
    both: float = 0.0


_SAME_LANGUAGE = _Weights(1.6 / 0.475, 0.8 / 0.475, 0.3 / 0.475)
_ACROSS_LANGUAGES = _Weights(1.0 / 0.28, 0.0, 0.5 / 0.28)
# Where both have more than a title. The longer articles are, the more alike those of one topic are in meaning, and the
# more names they share with other news of the same people: only both together say that it is the same news.
_TEXTS_SAME_LANGUAGE = _Weights(0.0, 0.25 / 0.4, 0.0, 1.0 / 0.4)
_TEXTS_ACROSS_LANGUAGES = _Weights(0.0, 0.0, 0.0, 1.0 / 0.25)
# Where one of the two has no vector.
_SAME_LANGUAGE_BY_WORDS = _Weights(0.0, 0.6 / 0.22, 0.4 / 0.22)
_ACROSS_LANGUAGES_BY_WORDS = _Weights(0.0, 0.0, 1.0 / 0.4)
# After this time (µs) between two publications a similarity is e times smaller.
_DECAY = 72 * 3600 * 1e6
# Of the likeness of each title to its own text, the share that it must have to the other's; below it counts as much
# less as the square of what is missing. Across languages vectors agree less.
_AGREEMENT, _AGREEMENT_ACROSS = 0.4, 0.3
# In place of a likeness that one of the two has no vectors for.
_UNKNOWN = np.float32(-1.0)
# A title that is less like its own text than this says little about the event.
_LEAST_OWN = 0.1


class Likeness(NamedTuple):
    """What a similarity is made of, each from 0 to 1: cosines, what time leaves, and how far the events agree."""

    shared: float
    terms: float
    meaning: float
    nearness: float
    agreement: float


class Similarity:
    """Compares one article with others of a window."""

    def __init__(self, window: Window) -> None:
        self._window = window
        # The article's own weights by feature number, filled only while it is compared: makes each lookup one step.
        self._own = np.zeros(FEATURES, np.float32)

    def common_features(self, row: NDArray[np.void], other: NDArray[np.void]) -> dict[int, float]:
        """The features that two articles have in common, with what each adds to its cosine."""
        weights = dict(zip(other["features"].tolist(), other["weights"].tolist(), strict=True))
        return {
            feature: weight * weights[feature] / WEIGHT_SCALE**2
            for feature, weight in zip(row["features"].tolist(), row["weights"].tolist(), strict=True)
            if feature and feature in weights
        }

    def score(self, article: PendingArticle, slots: NDArray[np.intp]) -> Scores:
        """The similarity of an article to each of some others, (slots,); 1.0 is enough for one story.

        It is 0 to articles that were published more than a window apart.
        """
        window = self._window
        shared, terms = self.cosines(article.row, slots)
        same_language = window.languages[slots] == window.language_names.find(article.language)
        meaning = agreement = None
        if article.meaning is not None:
            meaning = _meaning(article.meaning[None], window.vectors.values[slots], window.vectors.centre())[0]
            meaning[~window.vectors.present[slots]] = _UNKNOWN
        if article.event is not None:
            agreement = _agreement(article.event[None], window.events.values[slots], same_language[None])[0]
            agreement[~window.events.present[slots]] = _UNKNOWN
        scores = _combine(shared, terms, meaning, agreement, same_language)
        return _in_time(scores, window.rows["published"][slots] - article.row["published"], window.length)

    def matrix(self, slots: NDArray[np.intp]) -> Scores:
        """The similarity of each of some articles to each other, (slots, slots)."""
        window = self._window
        shared, terms = self._cosine_matrices(slots)
        languages, published = window.languages[slots], window.rows["published"][slots]
        same_language = languages[:, None] == languages
        meaning = agreement = None
        present = window.vectors.present[slots]
        if present.any():
            packed = window.vectors.values[slots]
            meaning = _meaning(packed, packed, window.vectors.centre())
            meaning[~(present[:, None] & present)] = _UNKNOWN
        present = window.events.present[slots]
        if present.any():
            events = window.events.values[slots]
            agreement = _agreement(events, events, same_language)
            agreement[~(present[:, None] & present)] = _UNKNOWN
        scores = _combine(shared, terms, meaning, agreement, same_language)
        return _in_time(scores, published[:, None] - published, window.length)

    def likeness(self, first: int, later: int) -> Likeness:
        """What the similarity of two articles (slots) is made of."""
        window = self._window
        pair = np.array([first, later])
        shared, terms = self._cosine_matrices(pair)
        same_language = np.full((2, 2), window.languages[first] == window.languages[later])
        meaning = agreement = np.ones((2, 2), np.float32)
        if window.vectors.present[pair].all():
            packed = window.vectors.values[pair]
            meaning = _meaning(packed, packed, window.vectors.centre())
        if window.events.present[pair].all():
            events = window.events.values[pair]
            agreement = _agreement(events, events, same_language)
        apart = window.rows["published"][pair[:1]] - window.rows["published"][later]
        nearness = _in_time(np.ones(1, np.float32), apart, window.length)
        return Likeness(
            *(float(one[0, 1]) for one in (shared, terms, meaning)), float(nearness[0]), float(agreement[0, 1])
        )

    def cosines(self, row: NDArray[np.void], slots: NDArray[np.intp]) -> tuple[Scores, Scores]:
        """The cosines of the shared features and of the terms, (slots,) each, 0 to 1."""
        own = row["features"]
        self._own[own] = row["weights"] * np.float32(1 / WEIGHT_SCALE**2)
        self._own[0] = 0.0
        rows = self._window.rows
        products = self._own[rows["features"][slots]]
        products *= rows["weights"][slots]
        self._own[own] = 0.0
        return products[:, :SHARED].sum(axis=1), products[:, SHARED:].sum(axis=1)

    def _cosine_matrices(self, slots: NDArray[np.intp]) -> tuple[Scores, Scores]:
        """As ``cosines``, of each article with each, (slots, slots)."""
        rows = self._window.rows[slots]
        names = unique(rows["features"].ravel())
        at = np.searchsorted(names, rows["features"])
        weights = rows["weights"] * np.float32(1 / WEIGHT_SCALE)
        weights[rows["features"] == 0] = 0.0
        each = np.arange(len(slots))[:, None]
        found = np.zeros((2, len(slots), len(names)), np.float32)
        found[0, each, at[:, :SHARED]] = weights[:, :SHARED]
        found[1, each, at[:, SHARED:]] = weights[:, SHARED:]
        shared, terms = found @ found.transpose(0, 2, 1)
        return shared, terms


def _combine(
    shared: Scores, terms: Scores, meaning: Scores | None, agreement: Scores | None, same_language: NDArray[np.bool_]
) -> Scores:
    """The weighted sum of the likenesses, as far as the events agree.

    ``meaning`` is ``_UNKNOWN`` where one of the two has no vector, ``agreement`` where one is only a title; None: all.
    """
    scores = _weighted(shared, terms, np.float32(0.0), same_language, _SAME_LANGUAGE_BY_WORDS, _ACROSS_LANGUAGES_BY_WORDS)
    if meaning is None:
        return scores if agreement is None else np.where(agreement == _UNKNOWN, scores, scores * agreement)
    titles = _weighted(shared, terms, meaning, same_language, _SAME_LANGUAGE, _ACROSS_LANGUAGES)
    if agreement is None:
        return np.where(meaning == _UNKNOWN, scores, titles)
    texts = _weighted(shared, terms, meaning, same_language, _TEXTS_SAME_LANGUAGE, _TEXTS_ACROSS_LANGUAGES)
    scores = np.where(meaning == _UNKNOWN, scores, np.where(agreement == _UNKNOWN, titles, texts))
    return np.where(agreement == _UNKNOWN, scores, scores * agreement)


def _weighted(shared, terms, meaning, same_language, within, across):
    both = np.sqrt(shared * np.maximum(meaning, np.float32(0.0)))
    one, other = (
        shared * np.float32(w.shared) + terms * np.float32(w.terms) + meaning * np.float32(w.meaning) + both * np.float32(w.both)
        for w in (within, across)
    )
    return np.where(same_language, one, other)


def _meaning(one: NDArray[np.uint8], others: NDArray[np.uint8], centre: Scores) -> Scores:
    """The likeness in meaning of vectors (m, 128) and others (n, 128), (m, n).

    The centre is what all news of these days has in common. Opposed vectors are no less alike than unrelated ones.
    """
    return np.maximum(embedding.cosines(one, others, centre), np.float32(0.0))


def _agreement(one: NDArray[np.uint8], others: NDArray[np.uint8], same_language: NDArray[np.bool_]) -> Scores:
    """How far events (m, 2, 128) agree with others (n, 2, 128), (m, n), from 0 to 1.

    Each event has the vectors of a title and of a text, both without names. Two reports of an event say in their texts
    what the other's title says.
    """
    left, right = embedding.unit(embedding.steps(one)), embedding.unit(embedding.steps(others))
    said = left[:, 0] @ right[:, 1].T + left[:, 1] @ right[:, 0].T
    own = (left[:, 0] * left[:, 1]).sum(axis=-1)[:, None] + (right[:, 0] * right[:, 1]).sum(axis=-1)
    share = said / np.maximum(own, np.float32(2 * _LEAST_OWN))
    needed = np.where(same_language, np.float32(_AGREEMENT), np.float32(_AGREEMENT_ACROSS))
    return np.clip(share / needed, np.float32(0.0), np.float32(1.0)) ** 2


def _in_time(scores: Scores, apart: NDArray[np.int64], longest: int) -> Scores:
    """Similarities as the time (µs) between the publications leaves them; 0 beyond ``longest``."""
    distance = np.abs(apart)
    nearness = np.exp(distance * (-1 / _DECAY)).astype(np.float32)
    return np.where(distance > longest, np.float32(0.0), scores * nearness)
