"""How similar two articles are as news: 1.0 is just enough for one story.

Between articles in one language, shared features and terms count together; across languages only shared features do.
Both are cosines of tf-idf vectors.
"""

import numpy as np
from numpy.typing import NDArray

from enrich.fingerprint import embedding
from enrich.fingerprint.features import FEATURES
from enrich.group.arrays import unique
from enrich.group.columns import SHARED, WEIGHT_SCALE
from enrich.group.window import PendingArticle, Window

# Weights of the two cosines in one language, and the values that make a similarity of 1.0.
_SHARED_WEIGHT = 0.4
_TERMS_WEIGHT = 0.6
_SAME_LANGUAGE = 0.22
_ACROSS_LANGUAGES = 0.4
# The same where both articles have sentence vectors, whose cosine counts as well.
_VECTOR_WEIGHT, _VECTOR_WEIGHT_ACROSS = 1.0, 1.5
_SAME_LANGUAGE_WITH_VECTORS = 0.72
_ACROSS_LANGUAGES_WITH_VECTORS = 1.0


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

    def score(self, article: PendingArticle, slots: NDArray[np.intp]) -> NDArray[np.float32]:
        """The similarity of an article to each of some others, (slots,); 1.0 is enough for one story.

        It is 0 to articles that were published more than a window apart.
        """
        window = self._window
        shared, terms = self.cosines(article.row, slots)
        same_language = window.languages[slots] == window.language_names.find(article.language)
        scores = _combine(shared, terms, same_language)
        if article.vector is not None:
            both = window.has_vector[slots]
            meaning = embedding.cosines(article.vector, window.vectors[slots])
            scores = np.where(both, _combine_with_vectors(shared, terms, meaning, same_language), scores)
        scores[np.abs(window.rows["published"][slots] - article.row["published"]) > window.length] = 0.0
        return scores

    def matrix(self, slots: NDArray[np.intp]) -> NDArray[np.float32]:
        """The similarity of each of some articles to each other, (slots, slots)."""
        window = self._window
        rows = window.rows[slots]
        names = unique(rows["features"].ravel())
        at = np.searchsorted(names, rows["features"])
        weights = rows["weights"] * np.float32(1 / WEIGHT_SCALE)
        each = np.arange(len(slots))[:, None]
        found = np.zeros((2, len(slots), len(names)), np.float32)
        found[0, each, at[:, :SHARED]] = weights[:, :SHARED]
        found[1, each, at[:, SHARED:]] = weights[:, SHARED:]
        shared, terms = found @ found.transpose(0, 2, 1)
        languages, published, has_vector = window.languages[slots], rows["published"], window.has_vector[slots]
        same_language = languages[:, None] == languages
        scores = _combine(shared, terms, same_language)
        if has_vector.any():
            packed = window.vectors[slots]
            with_vectors = _combine_with_vectors(shared, terms, embedding.cosines(packed, packed), same_language)
            scores = np.where(has_vector[:, None] & has_vector, with_vectors, scores)
        scores[np.abs(published[:, None] - published) > window.length] = 0.0
        return scores

    def cosines(
        self, row: NDArray[np.void], slots: NDArray[np.intp]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The cosines of the shared features and of the terms, (slots,) each, 0 to 1."""
        own = row["features"]
        self._own[own] = row["weights"] * np.float32(1 / WEIGHT_SCALE**2)
        self._own[0] = 0.0
        rows = self._window.rows
        products = self._own[rows["features"][slots]]
        products *= rows["weights"][slots]
        self._own[own] = 0.0
        return products[:, :SHARED].sum(axis=1), products[:, SHARED:].sum(axis=1)


def _combine(
    shared: NDArray[np.float32], terms: NDArray[np.float32], same_language: NDArray[np.bool_]
) -> NDArray[np.float32]:
    within = shared * np.float32(_SHARED_WEIGHT / _SAME_LANGUAGE) + terms * np.float32(_TERMS_WEIGHT / _SAME_LANGUAGE)
    return np.where(same_language, within, shared * np.float32(1 / _ACROSS_LANGUAGES))


def _combine_with_vectors(
    shared: NDArray[np.float32],
    terms: NDArray[np.float32],
    meaning: NDArray[np.float32],
    same_language: NDArray[np.bool_],
) -> NDArray[np.float32]:
    within = (
        shared * np.float32(_SHARED_WEIGHT) + terms * np.float32(_TERMS_WEIGHT) + meaning * np.float32(_VECTOR_WEIGHT)
    )
    across = shared + meaning * np.float32(_VECTOR_WEIGHT_ACROSS)
    return np.where(
        same_language,
        within * np.float32(1 / _SAME_LANGUAGE_WITH_VECTORS),
        across * np.float32(1 / _ACROSS_LANGUAGES_WITH_VECTORS),
    )
