"""The near-duplicate index: which earlier article a new one is a copy of.

Candidates share a band of their MinHash signatures (LSH); a candidate counts only when the similarity estimated
from the whole signatures is high enough. Copies point to the first-seen original, never to another copy.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from enrich.signature import PERMUTATIONS, Signature, similarity

# 42 bands of 3 rows: a pair at the threshold becomes a candidate with 98%, one at 0.1 with 4%.
_ROWS = 3
_BANDS = PERMUTATIONS // _ROWS
THRESHOLD = 0.45


@dataclass(frozen=True, slots=True)
class Copy:
    """What an article is a copy of and how like it (0 to 1)."""

    original: str
    similarity: float


@dataclass(slots=True)
class _Known:
    order: int
    signature: Signature
    original: str | None


class DuplicateIndex:
    """Articles by signature. ``add`` and ``remove`` keep it to the window; ``find`` changes nothing."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._bands: dict[bytes, list[str]] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._known)

    def find(self, article_id: str, signature: Signature) -> Copy | None:
        """The earliest of the most similar articles that came before this one; None when none is alike.

        A later revision of an article is compared only with what came before its first.
        """
        own = self._known.get(article_id)
        before = own.order if own else self._next
        best: tuple[float, int] | None = None
        found: _Known | None = None
        found_id = ""
        for candidate in {other for key in _keys(signature) for other in self._bands.get(key, ())}:
            known = self._known[candidate]
            if known.order >= before:
                continue
            alike = similarity(signature, known.signature)
            rank = (alike, -known.order)
            if alike >= THRESHOLD and (best is None or rank > best):
                best, found, found_id = rank, known, candidate
        if found is None or best is None:
            return None
        return Copy(original=found.original or found_id, similarity=round(best[0], 4))

    def add(self, article_id: str, signature: Signature, original: str | None) -> None:
        """Take an article in, or its newer revision in place of the older, which keeps its order."""
        order = self._next
        if article_id in self._known:
            order = self._known[article_id].order
            self.remove(article_id)
        else:
            self._next += 1
        self._known[article_id] = _Known(order, signature, original)
        for key in _keys(signature):
            self._bands.setdefault(key, []).append(article_id)

    def remove(self, article_id: str) -> None:
        """Forget an article; unknown ones are no error."""
        known = self._known.pop(article_id, None)
        if known is None:
            return
        for key in _keys(known.signature):
            bucket = self._bands[key]
            bucket.remove(article_id)
            if not bucket:
                del self._bands[key]


def _keys(signature: Signature) -> Iterator[bytes]:
    rows = signature.tobytes()
    width = 4 * _ROWS
    for band in range(_BANDS):
        yield band.to_bytes(1, "big") + rows[band * width : (band + 1) * width]
