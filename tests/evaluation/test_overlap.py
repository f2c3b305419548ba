"""Pairs of texts are found, and labelled by how much they share."""

import random

from evaluation import overlap

RNG = random.Random(5)
WORDS = [f"w{number}" for number in range(5_000)]


def text(length: int) -> tuple[str, ...]:
    """A text of random words."""
    return tuple(RNG.choices(WORDS, k=length))


def changed(words: tuple[str, ...], share: float) -> tuple[str, ...]:
    """A text with this share of its words replaced at random."""
    return tuple(RNG.choice(WORDS) if RNG.random() < share else word for word in words)


def test_words_have_no_diacritics_and_no_case() -> None:
    """Diacritics, case and stretching are removed; numbers are words."""
    assert overlap.words("Été: مُحَمَّـد، 2-1") == ("ete", "محمد", "2", "1")


def test_verdicts() -> None:
    """The verdict depends on the share of common words: of both texts, of one, some, hardly any."""
    long = text(300)
    assert overlap.verdict(long, changed(long, 0.1))[0] == "same"
    assert overlap.verdict(long, long[40:120])[0] == "excerpt"
    assert overlap.verdict(long[40:120], long) == ("excerpt", 1.0)
    assert overlap.verdict(long, (*long[150:], *long[:150])) == ("same", 1.0)
    assert overlap.verdict(long, (*long[:150], *text(150)))[0] == "partly"
    assert overlap.verdict(long, (*long[:50], *text(250)))[0] == "different"


def test_each_word_in_a_common_run_counts_once() -> None:
    """Of two common runs, with five and three words, only the first is long enough; the other text has it twice."""
    one = ("a", "b", "c", "d", "e", "x", "f", "g", "h", "y")
    other = ("a", "b", "c", "d", "e", "z", "a", "b", "c", "d", "e", "f", "g", "h")
    assert overlap.covered(one, other) == 5
    assert overlap.covered(other, one) == 10


def test_few_common_words_count_as_none() -> None:
    """A text of ten words that is contained in an article is labelled different."""
    long = text(300)
    assert overlap.verdict(long, long[:10])[0] == "different"


def test_candidates_are_those_that_share_rare_runs() -> None:
    """Near-duplicates and excerpts are candidates; articles that share a frequent blurb are not."""
    blurb = text(30)
    original = text(200)
    texts = [original, changed(original, 0.15), original[50:100], *((*text(100), *blurb) for _ in range(80))]
    pairs = overlap.candidates(texts)
    assert {(0, 1), (0, 2)} <= pairs.keys()
    assert all(second <= 2 for _, second in pairs)
