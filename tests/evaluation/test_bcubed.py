"""BCubed on cases small enough to be computed by hand."""

import pytest

from evaluation.bcubed import Item, bcubed


def items(*groupings: str) -> list[Item]:
    """Items written as true story, assigned story, language."""
    return [Item(*grouping.split()) for grouping in groupings]


def test_the_true_grouping_is_perfect_under_other_names() -> None:
    """Only which articles are together counts, not the names of stories."""
    perfect = items("a 1 ar", "a 1 en", "b 2 ar", "c 3 ar", "c 3 en")
    for among in ("all", "within", "across"):
        assert bcubed(perfect, among) == {"precision": 1.0, "recall": 1.0, "f1": 1.0}


def test_two_stories_merged_wrongly() -> None:
    """a a b b assigned to one story: two of four articles belong together for each; none is missing."""
    figures = bcubed(items("a 1 ar", "a 1 ar", "b 1 ar", "b 1 ar"))
    assert figures == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3)}


def test_a_story_split_wrongly() -> None:
    """a a a assigned to 1 1 2: recall 2/3, 2/3 and 1/3, precision 1."""
    figures = bcubed(items("a 1 ar", "a 1 ar", "a 2 ar"))
    assert figures == {"precision": 1.0, "recall": pytest.approx(5 / 9), "f1": pytest.approx(5 / 7)}


def test_one_article_in_the_wrong_story() -> None:
    """a a b assigned to 1 2 2: precision (1 + 1/2 + 1/2) / 3, recall (1/2 + 1/2 + 1) / 3."""
    figures = bcubed(items("a 1 ar", "a 2 ar", "b 2 ar"))
    assert figures["precision"] == pytest.approx(2 / 3)
    assert figures["recall"] == pytest.approx(2 / 3)


def test_within_ignores_other_languages() -> None:
    """Stories that are merged wrongly only across languages are perfect within each language."""
    mixed = items("a 1 ar", "b 1 en", "a 1 ar")
    assert bcubed(mixed, "within")["f1"] == 1.0
    assert bcubed(mixed)["precision"] == pytest.approx((2 / 3 + 1 / 3 + 2 / 3) / 3)


def test_across_counts_only_articles_with_companions_in_other_languages() -> None:
    """a(ar) a(en) a(fr) assigned to 1 1 2: two have precision 1 and recall 1/2, the third no precision and recall 0.

    d and e are wrongly assigned to one story: precision 0 for both, no recall. f is alone in both: it does not count.
    """
    figures = bcubed(items("a 1 ar", "a 1 en", "a 2 fr", "d 3 ar", "e 3 en", "f 4 ar"), "across")
    assert figures["precision"] == pytest.approx((1 + 1 + 0 + 0) / 4)
    assert figures["recall"] == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)


def test_companions_in_the_same_language_do_not_count_across() -> None:
    """Two Arabic articles and an English one, correctly grouped, with one article of another story."""
    figures = bcubed(items("a 1 ar", "a 1 ar", "a 1 en", "b 1 en"), "across")
    assert figures["precision"] == pytest.approx((1 / 2 + 1 / 2 + 1 + 0) / 4)
    assert figures["recall"] == 1.0


def test_across_is_zero_in_one_language() -> None:
    """In one language there is nothing to average: the figures are 0."""
    assert bcubed(items("a 1 ar"), "across") == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
