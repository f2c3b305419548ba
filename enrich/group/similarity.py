"""How alike two articles are as news: 1.0 is just enough for one story.

In one language shared features and terms count together; across languages there are shared features alone. Both are
cosines of tf-idf vectors.
"""

import numpy as np
from numpy.typing import NDArray

from enrich.fingerprint import embedding
from enrich.fingerprint.features import FEATURES
from enrich.group.arrays import distinct
from enrich.group.columns import SHARED, WEIGHT
from enrich.group.window import PendingArticle, Window

# Of two articles in one language, shared features and terms together; across languages, shared features.
_SHARED = 0.4
_TERMS = 0.6
_SAME_LANGUAGE = 0.22
_ACROSS = 0.4
# Where both have sentence vectors, these count as well.
_MEANING, _MEANING_ACROSS = 1.0, 1.5
_SAME_LANGUAGE_MEANING = 0.72
_ACROSS_MEANING = 1.0


class Similarity:
    """Compares one article with others of a window."""

    def __init__(self, window: Window) -> None:
        self._window = window
        # The article's own vector, written here while it is compared: a lookup costs a step, whatever it has.
        self._own = np.zeros(FEATURES, np.float32)

    def common(self, row: NDArray[np.void], other: NDArray[np.void]) -> dict[int, float]:
        """The features that two articles have in common, with what each adds to its cosine."""
        weights = dict(zip(other["features"].tolist(), other["weights"].tolist(), strict=True))
        return {
            feature: weight * weights[feature] / WEIGHT**2
            for feature, weight in zip(row["features"].tolist(), row["weights"].tolist(), strict=True)
            if feature and feature in weights
        }

    def of(self, draft: PendingArticle, slots: NDArray[np.intp]) -> NDArray[np.float32]:
        """(slots,): 1.0 and more is alike enough. Nothing is alike what was published a window apart."""
        window = self._window
        shared, terms = self.cosines(draft.row, slots)
        same_language = window.languages[slots] == window.language_names.find(draft.language)
        alike = _alike(shared, terms, same_language)
        if draft.vector is not None:
            both = window.vectored[slots]
            meaning = embedding.cosines(draft.vector, window.vectors[slots])
            alike = np.where(both, _alike_in_meaning(shared, terms, meaning, same_language), alike)
        alike[np.abs(window.rows["published"][slots] - draft.row["published"]) > window.span] = 0.0
        return alike

    def matrix(self, slots: NDArray[np.intp]) -> NDArray[np.float32]:
        """The same of each of some articles with each, (slots, slots)."""
        window = self._window
        rows = window.rows[slots]
        names = distinct(rows["features"].ravel())
        at = np.searchsorted(names, rows["features"])
        weights = rows["weights"] * np.float32(1 / WEIGHT)
        each = np.arange(len(slots))[:, None]
        found = np.zeros((2, len(slots), len(names)), np.float32)
        found[0, each, at[:, :SHARED]] = weights[:, :SHARED]
        found[1, each, at[:, SHARED:]] = weights[:, SHARED:]
        shared, terms = found @ found.transpose(0, 2, 1)
        languages, published, vectored = window.languages[slots], rows["published"], window.vectored[slots]
        same_language = languages[:, None] == languages
        alike = _alike(shared, terms, same_language)
        if vectored.any():
            packed = window.vectors[slots]
            meaning = _alike_in_meaning(shared, terms, embedding.cosines(packed, packed), same_language)
            alike = np.where(vectored[:, None] & vectored, meaning, alike)
        alike[np.abs(published[:, None] - published) > window.span] = 0.0
        return alike

    def cosines(
        self, row: NDArray[np.void], slots: NDArray[np.intp]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Those of the shared features and those of the terms, (slots,) each, 0 to 1."""
        own = row["features"]
        self._own[own] = row["weights"] * np.float32(1 / WEIGHT**2)
        self._own[0] = 0.0
        rows = self._window.rows
        products = self._own[rows["features"][slots]]
        products *= rows["weights"][slots]
        self._own[own] = 0.0
        return products[:, :SHARED].sum(axis=1), products[:, SHARED:].sum(axis=1)


def _alike(
    shared: NDArray[np.float32], terms: NDArray[np.float32], same_language: NDArray[np.bool_]
) -> NDArray[np.float32]:
    together = shared * np.float32(_SHARED / _SAME_LANGUAGE) + terms * np.float32(_TERMS / _SAME_LANGUAGE)
    return np.where(same_language, together, shared * np.float32(1 / _ACROSS))


def _alike_in_meaning(
    shared: NDArray[np.float32],
    terms: NDArray[np.float32],
    meaning: NDArray[np.float32],
    same_language: NDArray[np.bool_],
) -> NDArray[np.float32]:
    together = shared * np.float32(_SHARED) + terms * np.float32(_TERMS) + meaning * np.float32(_MEANING)
    across = shared + meaning * np.float32(_MEANING_ACROSS)
    return np.where(
        same_language, together * np.float32(1 / _SAME_LANGUAGE_MEANING), across * np.float32(1 / _ACROSS_MEANING)
    )
