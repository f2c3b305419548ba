"""BCubed on cases small enough to be reckoned by hand."""

import pytest

from evaluation.bcubed import Item, bcubed


def items(*groupings: str) -> list[Item]:
    """Items written as true story, told story, language."""
    return [Item(*grouping.split()) for grouping in groupings]


def test_the_true_grouping_has_full_marks_whatever_its_stories_are_called() -> None:
    """Names of stories do not matter, only who is together with whom."""
    perfect = items("a 1 ar", "a 1 en", "b 2 ar", "c 3 ar", "c 3 en")
    for among in ("all", "within", "across"):
        assert bcubed(perfect, among) == {"precision": 1.0, "recall": 1.0, "f1": 1.0}


def test_two_stories_thrown_together() -> None:
    """a a b b told as one: every article is with two of its own among four; nothing of its own is missing."""
    figures = bcubed(items("a 1 ar", "a 1 ar", "b 1 ar", "b 1 ar"))
    assert figures == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3)}


def test_a_story_told_apart() -> None:
    """a a a told as 1 1 2: recall 2/3, 2/3 and 1/3, precision whole."""
    figures = bcubed(items("a 1 ar", "a 1 ar", "a 2 ar"))
    assert figures == {"precision": 1.0, "recall": pytest.approx(5 / 9), "f1": pytest.approx(5 / 7)}


def test_one_article_astray() -> None:
    """a a b told as 1 2 2: precision (1 + 1/2 + 1/2) / 3, recall (1/2 + 1/2 + 1) / 3."""
    figures = bcubed(items("a 1 ar", "a 2 ar", "b 2 ar"))
    assert figures["precision"] == pytest.approx(2 / 3)
    assert figures["recall"] == pytest.approx(2 / 3)


def test_within_a_language_others_are_not_seen() -> None:
    """Stories thrown together in different languages only are whole and pure within each."""
    mixed = items("a 1 ar", "b 1 en", "a 1 ar")
    assert bcubed(mixed, "within")["f1"] == 1.0
    assert bcubed(mixed)["precision"] == pytest.approx((2 / 3 + 1 / 3 + 2 / 3) / 3)


def test_across_languages_only_articles_with_somebody_abroad_count() -> None:
    """Of a(ar) a(en) a(fr) told as 1 1 2: the two have precision 1 and recall 1/2, the third no precision, recall 0.

    d is alone in truth but told to be with e: precision 0 for both, no recall. f is alone in both: it counts nowhere.
    """
    figures = bcubed(items("a 1 ar", "a 1 en", "a 2 fr", "d 3 ar", "e 3 en", "f 4 ar"), "across")
    assert figures["precision"] == pytest.approx((1 + 1 + 0 + 0) / 4)
    assert figures["recall"] == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)


def test_companions_at_home_do_not_count_across() -> None:
    """Two Arabic articles and an English one, rightly together with one that is not theirs."""
    figures = bcubed(items("a 1 ar", "a 1 ar", "a 1 en", "b 1 en"), "across")
    assert figures["precision"] == pytest.approx((1 / 2 + 1 / 2 + 1 + 0) / 4)
    assert figures["recall"] == 1.0


def test_nothing_across_is_nothing() -> None:
    """In one language there is nothing to average: 0, not a division by zero."""
    assert bcubed(items("a 1 ar"), "across") == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
