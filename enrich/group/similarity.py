"""How similar two articles are as news: 1.0 is just enough for one story.

Three likenesses count together: of meaning (the cosine of the vectors), of content words (within one language) and of
what all languages share (names, numbers). Two things make less of them: time between the two publications, and that
neither says what the other's title says happened. The same people in the same place on the same day may still be
another event.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from enrich.dates.event_days import MOST
from enrich.fingerprint import embedding
from enrich.fingerprint.features import FEATURES
from enrich.group.arrays import unique
from enrich.group.columns import SHARED, WEIGHT_SCALE
from enrich.group.window import PendingArticle, Window

Scores = NDArray[np.float32]


# Weights of the likenesses, divided by the sum that makes a similarity of 1.0. Columns: shared features, terms,
# meaning, and the geometric mean of meaning and shared features. Rows in pairs: of one language, across languages.
_WEIGHTS: Scores = np.array(
    [
        # Where one of the two has no vector.
        [0.4 / 0.22, 0.6 / 0.22, 0.0, 0.0],
        [1.0 / 0.4, 0.0, 0.0, 0.0],
        # Where one is only a title.
        [0.3 / 0.475, 0.8 / 0.475, 1.6 / 0.475, 0.0],
        [0.5 / 0.28, 0.0, 1.0 / 0.28, 0.0],
        # The longer articles are, the more alike those of one topic are in meaning, and the more names they share with
        # other news of the same people: only both together say that it is the same news.
        [0.0, 0.25 / 0.45, 0.0, 1.0 / 0.45],
        [0.0, 0.0, 0.0, 1.0 / 0.14],
    ],
    np.float32,
)
# After this time (µs) between two publications a similarity is e times smaller.
_DECAY = 72 * 3600 * 1e6
# Days between events count with their square: one day may be the time zone or a late report, three are not.
_DECAY_OF_EVENTS = 1.8
_WEEK = 7
# The main day of one article may be any of the other's, so that a report of the next day is one with the first.
_MAIN_WITH_ANY = np.zeros((MOST, MOST), bool)
_MAIN_WITH_ANY[0] = _MAIN_WITH_ANY[:, 0] = True
# Of the likeness of each title to its own text, the share that it must have to the other's; below it counts as much
# less as the square of what is missing. Across languages vectors agree less.
_AGREEMENT, _AGREEMENT_ACROSS = 0.4, 0.3
# A title that is less like its own text than this says little about the event.
_LEAST_OWN = 0.1


class Likeness(NamedTuple):
    """What a similarity is made of, each from 0 to 1: cosines, what is left of it by the time between the articles and
    between the days of their events, and how far the events agree."""

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
        vectors, events = window.vectors.present[slots], window.events.present[slots]
        meaning, agreement = np.zeros(len(slots), np.float32), np.ones(len(slots), np.float32)
        if article.meaning is not None:
            meaning = _meaning(article.meaning[None], window.vectors.values[slots], window.vectors.centre())[0]
        if article.event is not None:
            agreement = _agreement(article.event[None], window.events.values[slots], same_language[None])[0]
        vectors &= article.meaning is not None
        events &= article.event is not None
        scores = _combine((shared, terms, meaning), agreement, vectors, events, same_language)
        apart = window.rows["published"][slots] - article.row["published"]
        nearness = _nearness(apart, window.length)
        if article.days:
            days = np.zeros(MOST, np.int32)
            days[: len(article.days)] = article.days
            np.minimum(nearness, _nearness_of_events(days, window.days[slots]), out=nearness)
        similarities: Scores = scores * nearness
        return similarities

    def matrix(self, slots: NDArray[np.intp]) -> Scores:
        """The similarity of each of some articles to each other, (slots, slots)."""
        window = self._window
        shared, terms = self._cosine_matrices(slots)
        languages, published = window.languages[slots], window.rows["published"][slots]
        same_language = languages[:, None] == languages
        packed, packed_events = window.vectors.values[slots], window.events.values[slots]
        vectors, events = window.vectors.present[slots], window.events.present[slots]
        meaning = _meaning(packed, packed, window.vectors.centre())
        agreement = _agreement(packed_events, packed_events, same_language)
        both = vectors[:, None] & vectors, events[:, None] & events
        scores = _combine((shared, terms, meaning), agreement, *both, same_language)
        nearness = _nearness(published[:, None] - published, window.length)
        days = window.days[slots]
        if days.any():
            np.minimum(nearness, _nearness_of_events(days[:, None], days), out=nearness)
        similarities: Scores = scores * nearness
        return similarities

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
        nearness = _nearness(apart, window.length)
        np.minimum(nearness, _nearness_of_events(window.days[first], window.days[[later]]), out=nearness)
        return Likeness(
            shared=float(shared[0, 1]),
            terms=float(terms[0, 1]),
            meaning=float(meaning[0, 1]),
            nearness=float(nearness[0]),
            agreement=float(agreement[0, 1]),
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
    likenesses: tuple[Scores, Scores, Scores],
    agreement: Scores,
    vectors: NDArray[np.bool_],
    events: NDArray[np.bool_],
    same_language: NDArray[np.bool_],
) -> Scores:
    """The weighted sum of the likenesses (shared features, terms, meaning), as far as the events agree.

    ``vectors`` is where both articles have a vector of their meaning, ``events`` where both have those of their event.
    """
    shared, terms, meaning = likenesses
    weights = _WEIGHTS[2 * (vectors.astype(np.intp) + (vectors & events)) + (1 - same_language)]
    scores = shared * weights[..., 0] + terms * weights[..., 1] + meaning * weights[..., 2]
    scores += np.sqrt(shared * meaning) * weights[..., 3]
    agreed: Scores = np.where(events, scores * agreement, scores)
    return agreed


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
    agreement: Scores = np.clip(share / needed, np.float32(0.0), np.float32(1.0)) ** 2
    return agreement


def _nearness(apart: NDArray[np.int64], longest: int) -> Scores:
    """What the time (µs) between publications leaves of a similarity, 0 to 1; 0 beyond ``longest``."""
    distance = np.abs(apart)
    nearness = np.exp(distance * (-1 / _DECAY)).astype(np.float32)
    nearness[distance > longest] = 0.0
    return nearness


def _nearness_of_events(one: NDArray[np.int32], others: NDArray[np.int32]) -> Scores:
    """What the time between the events leaves of a similarity, 0 to 1; 1 where one of the two mentions no day.

    ``one`` and ``others`` are ``event_days``, (…, MOST). Where only the weekday of one is certain, weekdays are
    compared.
    """
    left, right = one[..., :, None], others[..., None, :]
    distance = np.abs(np.abs(left) - np.abs(right))
    in_week = distance % _WEEK
    distance = np.where((left < 0) | (right < 0), np.minimum(in_week, _WEEK - in_week), distance)
    distance = np.where((left != 0) & (right != 0) & _MAIN_WITH_ANY, distance, np.iinfo(np.int32).max)
    nearest = distance.min(axis=(-2, -1))
    known = (one[..., 0] != 0) & (others[..., 0] != 0)
    return np.where(known, np.exp(-((nearest / _DECAY_OF_EVENTS) ** 2)), 1.0).astype(np.float32)
