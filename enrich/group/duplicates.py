"""Which earlier article a new one is a near-duplicate of.

Candidates share a band of their MinHash (locality-sensitive hashing: likely where much is shared) or a low hash of
their sketches (likely where a short text is part of a long one). Each candidate is then verified: an article is a
near-duplicate when most of its three-word shingles occur in the earlier text. The threshold is lower the more names
and numbers the two share, and much higher where each has several that the other lacks: the prices of another day, the
weather of another town in the same phrases. An article that contains an earlier one and adds as much again is not a
near-duplicate; it is a development.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from enrich.fingerprint.signature import PERMUTATIONS, SHINGLE, SKETCH
from enrich.group.arrays import unique_counts
from enrich.group.columns import NO_HASH, SHARED
from enrich.group.index import RecentIndex
from enrich.group.similarity import Similarity
from enrich.group.window import Numbers, PendingArticle, Window
from enrich.text.tokens import tokens

# 42 bands of 3 rows: of pairs that share 0.45 of their shingles 98% become candidates, of those that share 0.1 4%.
_ROWS = 3
_BANDS = PERMUTATIONS // _ROWS
# The lowest hashes of a sketch are indexed; all of them are compared.
_INDEXED_HASHES = 32
_MAX_COMPARED = 12
# Unrelated articles share one key or two, by chance or through common phrases; near-duplicates share more.
_MIN_HITS = 3
# The containment that makes a near-duplicate: this much where the two share no names, less the more they share, and
# never less than the last figure: half new is a development.
_BASE_THRESHOLD, _SHARED_DISCOUNT, _LEAST_THRESHOLD = 0.68, 0.22, 0.57
# Two texts of nearly one length come from a template if each has so many names and numbers that the other lacks, as a
# part of all: from the first figure on the containment must be higher, from the second on it must be _SAME_TEXT. The
# outlets of an agency round its numbers and spell names in their own ways; one outlet does not. Titles that are alike
# but for some words («Weather in Leeds», «Weather in York») are a sign of a template too.
_OTHER_FACTS, _FEW_OTHER_FACTS = (0.35, 0.5), (0.15, 0.35)
_MIN_OTHER_FACTS, _MIN_FEW_OTHER_FACTS = 2, 1
# Only where they are a part of what differs: an editor changes other words.
_LEAST_BY_FACTS = 0.12
# Where the titles are one but for their numbers, or where most of what differs is names and numbers (this share, and at
# least so many of each), the containment must be this.
_CONFLICT_THRESHOLD = 0.9
_MOSTLY_FACTS, _MIN_CONFLICTS = 0.5, 2
# A notice that an outlet sends in place of the text is shorter.
_LONGEST_NOTICE = 60
_SAME_LENGTH = 0.8
# Of a long text only the weightiest names and numbers are known, so more of it may differ.
_SAME_TEXT, _LONG_TEXT = 0.97, 200
# The containment in the original of the copy that an article is a copy of.
_LEAST_OF_ORIGINAL = 0.55
# Texts with fewer shingles than this have their own threshold.
_SHORT_TEXT = 12
_SHORT_THRESHOLD = 0.9
# How often two bytes of a MinHash agree by chance.
_COLLISION_RATE = 1 / 256
_MIN_EVIDENCE = 6.0
_BAND_SPREAD = np.arange(1, _BANDS + 1).astype(np.uint32) * np.uint32(2_654_435_761)
_BYTE_SPREAD = np.uint32(2_246_822_519)


@dataclass(frozen=True, slots=True)
class DuplicateMatch:
    """The article (by number) that an article is a near-duplicate of, and which share of its shingles that one has."""

    number: int
    similarity: float


class LookupKeys(NamedTuple):
    """Index keys of an article: its bands, (…, 42), and the hashes of its sketch, (…, 64), padded with 0."""

    bands: NDArray[np.uint32]
    sketch: NDArray[np.uint32]


class Duplicates:
    """The near-duplicate index over a window."""

    def __init__(self, window: Window, similarity: Similarity) -> None:
        self._window = window
        self._similarity = similarity
        # An article has 42 bands and 32 indexed hashes; a bucket holds eight articles.
        self._bands = RecentIndex(6 * window.capacity)
        self._sketches = RecentIndex(4 * window.capacity)

    def find(self, article: PendingArticle, keys: LookupKeys, before: int) -> DuplicateMatch | None:
        """The best match among articles first seen before number ``before``; among equals the one that arrived first.

        Where several workers annotate, group may see an article after its copy. An original never arrived after its
        copy, so that article has no original, and the next copy names it.
        """
        window, row = self._window, article.row
        arrival = window.arrival(article)
        bands, sketches = self._bands.find(keys.bands), self._sketches.find(keys.sketch)
        hit = np.concatenate([bands[bands >= window.oldest], sketches[sketches >= window.oldest]])
        numbers, hits = unique_counts(hit)
        if not len(numbers) or hits.max() < _MIN_HITS:
            return None
        slots = window.slots(numbers)
        eligible = (hits > 1) & (window.stories[slots] != 0) & (window.firsts[slots] < before)
        eligible &= window.arrivals[slots] <= arrival
        numbers, hits = numbers[eligible], hits[eligible]
        if len(numbers) > _MAX_COMPARED:
            numbers = numbers[np.lexsort((numbers, -hits))[:_MAX_COMPARED]]
        likely = containment(row, window.rows[window.slots(numbers)]) >= _LEAST_THRESHOLD
        if not likely.any():
            return None
        candidates = numbers[likely]
        originals = self._originals(candidates, before, arrival)
        numbers = np.unique(np.concatenate([candidates, originals]))
        slots = window.slots(numbers)
        contained = containment(row, window.rows[slots])
        source = window.source_names.find(article.source) if article.source else 0
        matching = contained >= self.threshold(row, source, article.title, slots, contained)
        # A copy of a copy names the original, so it must have much of that one too.
        of_original = dict(zip(numbers.tolist(), contained.tolist(), strict=True))
        for copy, original in zip(candidates.tolist(), originals.tolist(), strict=True):
            if of_original[original] < _LEAST_OF_ORIGINAL:
                matching[np.searchsorted(numbers, copy)] = False
        matches = np.flatnonzero(matching)
        if not len(matches):
            return None
        found = slots[matches]
        best = matches[np.lexsort((window.firsts[found], window.arrivals[found], -contained[matches]))[0]]
        return DuplicateMatch(int(numbers[best]), round(float(contained[best]), 4))

    def add(self, keys: LookupKeys, number: int) -> None:
        """Add an article to the index."""
        self._bands.add(keys.bands, number)
        self._sketches.add(keys.sketch[:_INDEXED_HASHES], number)

    def _originals(self, numbers: Numbers, before: int, arrival: int) -> Numbers:
        """For each article the one it is a copy of, where that is still in the window; else itself."""
        window = self._window
        found = numbers.copy()
        for at, number in enumerate(numbers.tolist()):
            original = window.original(number)
            first = None if original is None else window.newest(original)
            if first is not None:
                slot = window.slot(first)
                if window.firsts[slot] < before and window.arrivals[slot] <= arrival:
                    found[at] = first
        return found

    def build(self, numbers: Numbers) -> None:
        """Add many articles of the window, ``numbers`` ascending."""
        keys = lookup_keys(self._window.rows[self._window.slots(numbers)])
        self._bands.build(keys.bands, numbers)
        self._sketches.build(keys.sketch[:, :_INDEXED_HASHES], numbers)

    def threshold(
        self,
        row: NDArray[np.void],
        source: int,
        title: str,
        slots: NDArray[np.intp],
        contained: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """The containment from which an article is a near-duplicate of each of some others, (slots,).

        ``source`` is the number of its source, 0 for none. ``contained`` is its containment in each of them. More than
        1 is never reached.
        """
        window = self._window
        others = window.rows[slots]
        if row["shingles"] < _SHORT_TEXT:
            threshold = np.full(len(slots), _SHORT_THRESHOLD)
        else:
            shared = self._similarity.cosines(row, slots)[0]
            threshold = np.maximum(_BASE_THRESHOLD - _SHARED_DISCOUNT * shared.astype(np.float64), _LEAST_THRESHOLD)
        one_source = (window.sources[slots] == source) & (source != 0)
        words = _title_words(title)
        titles = [_title_words(window.title(int(slot))) for slot in slots]
        one_form = np.array([_have_one_form(words, other) for other in titles], bool)
        facts = _facts(row, others)
        by_facts = _share_by_facts(facts, row["shingles"] * (1 - contained))
        template = np.where(
            one_source | one_form,
            _templated(facts, _FEW_OTHER_FACTS, _MIN_FEW_OTHER_FACTS),
            _templated(facts, _OTHER_FACTS, _MIN_OTHER_FACTS),
        )
        template *= by_facts >= _LEAST_BY_FACTS
        same_text = np.where(others["shingles"] < _LONG_TEXT, _SAME_TEXT, _CONFLICT_THRESHOLD)
        threshold += (same_text - threshold) * template
        numbered = np.array([_differ_by_numbers(words, other) for other in titles], bool)
        conflict = numbered | (facts.one_length & (facts.alone >= _MIN_CONFLICTS) & (by_facts >= _MOSTLY_FACTS))
        threshold = np.where(conflict, np.maximum(threshold, _CONFLICT_THRESHOLD), threshold)
        # One outlet has one short text under titles without a common word where it sends a notice in place of the text.
        retitled = np.array([bool(words and other) and words.isdisjoint(other) for other in titles], bool)
        return np.where(one_source & retitled & (row["shingles"] < _LONGEST_NOTICE), np.inf, threshold)


def _title_words(title: str) -> set[str]:
    return {word.form for word in tokens(title)}


def _conflict(one: set[str], other: set[str]) -> bool:
    """Whether each has something that the other lacks."""
    return len(one & other) < min(len(one), len(other))


def _have_one_form(words: set[str], others: set[str]) -> bool:
    """Whether titles, as their words, have most words in common, and each has one that the other lacks."""
    return len(words & others) * 2 >= max(len(words), len(others)) and _conflict(words, others)


def _differ_by_numbers(words: set[str], others: set[str]) -> bool:
    """Whether titles, as their words, are equal but for numbers, and each has one that the other lacks."""
    return _conflict(words, others) and all(word.isdigit() for word in words ^ others)


class _Facts(NamedTuple):
    """The names and numbers of an article and each of some others, (others,).

    ``fewer``: how many the one with fewer of them has; ``alone``: how many of these the other lacks. Where one has only
    what the other has, it is an excerpt. ``one_length``: whether the texts are of nearly one length.
    """

    fewer: NDArray[np.intp]
    alone: NDArray[np.intp]
    one_length: NDArray[np.bool_]


def _facts(row: NDArray[np.void], others: NDArray[np.void]) -> _Facts:
    own, theirs = row["features"][:SHARED], others["features"][:, :SHARED]
    own = own[own != 0]
    known = theirs != 0
    fewer = np.minimum(len(own), known.sum(axis=1))
    lengths = np.minimum(others["shingles"], row["shingles"]) / np.maximum(others["shingles"], row["shingles"])
    return _Facts(fewer, fewer - (np.isin(theirs, own) & known).sum(axis=1), lengths >= _SAME_LENGTH)


def _templated(facts: _Facts, limits: tuple[float, float], least: int) -> NDArray[np.float64]:
    """How certainly an article and each of some others are from one template, 0 to 1, (others,)."""
    share = facts.alone / np.maximum(facts.fewer, 1)
    certain = np.clip((share - limits[0]) / (limits[1] - limits[0]), 0.0, 1.0)
    return np.where(facts.one_length & (facts.alone >= least), certain, 0.0)


def _share_by_facts(facts: _Facts, missing: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of the shingles that each of some others lacks, ``missing``, that differ by a name or a number.

    A word that was replaced changes three shingles. Reports in the same sentences of two events differ by little else;
    an editor changes other words.
    """
    return SHINGLE * facts.alone / np.maximum(missing, 1.0)


def containment(row: NDArray[np.void], others: NDArray[np.void]) -> NDArray[np.float64]:
    """The estimated share (0 to 1) of an article's shingles that each of some others has, (others,).

    The MinHashes give the Jaccard similarity, from which the share follows by the sizes of the texts. The sketches give
    the share of the shingles below the lower of the two largest hashes kept. Each estimate is weighted by the number of
    the article's shingles it is based on.
    """
    own, theirs = float(row["shingles"]), others["shingles"].astype(np.float64)
    agreeing = np.count_nonzero(others["minhash"] == row["minhash"], axis=1) / PERMUTATIONS
    jaccard = np.clip((agreeing - _COLLISION_RATE) / (1 - _COLLISION_RATE), 0.0, 1.0)
    limit = np.minimum(1.0, theirs / own)
    by_minhash = np.minimum(jaccard * (own + theirs) / ((1 + jaccard) * own), limit)
    sketch = row["sketch"]
    covered = np.minimum(_covered(row), _covered(others))
    sampled = np.searchsorted(sketch, covered, side="right")
    at = np.minimum(np.searchsorted(sketch, others["sketch"]), SKETCH - 1)
    both = ((sketch[at] == others["sketch"]) & (others["sketch"] <= covered[:, None])).sum(axis=1)
    by_sketch = np.minimum(both / np.maximum(sampled, 1), limit)
    weight = PERMUTATIONS * own / (own + theirs)
    found = (by_minhash * weight + by_sketch * sampled) / (weight + sampled)
    # For a few words against a long text, a single byte that agrees by chance would decide.
    return np.where(weight + sampled >= _MIN_EVIDENCE, found, 0.0)


def _covered(rows: NDArray[np.void]) -> NDArray[np.uint32]:
    """The hash up to which a sketch holds every hash of its text; below ``NO_HASH``."""
    return np.where(rows["shingles"] > SKETCH, rows["sketch"][..., -1], np.uint32(NO_HASH - 1)).astype(np.uint32)


def lookup_keys(rows: NDArray[np.void]) -> LookupKeys:
    """The index keys of one article or many."""
    minhash = rows["minhash"]
    bytes_ = minhash[..., : _BANDS * _ROWS].reshape(*minhash.shape[:-1], _BANDS, _ROWS).astype(np.uint32)
    packed = bytes_[..., 0] | bytes_[..., 1] << 8 | bytes_[..., 2] << 16
    bands = ((packed + _BAND_SPREAD) * _BYTE_SPREAD).astype(np.uint32, copy=False)
    sketch = rows["sketch"]
    return LookupKeys(bands ^ bands >> np.uint32(15), np.where(sketch == NO_HASH, np.uint32(0), sketch))
