"""Baselines group as simple methods do."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from enrich.annotate import annotate
from evaluation import baselines, stories, streams
from services.events import AnnotatedArticle, RawArticle

AT = datetime(2026, 11, 6, tzinfo=UTC)
DAY = timedelta(days=1)
TEXTS = (
    "Hundreds of turtles were counted on the beaches of the island by volunteers on Monday.",
    "The striker scored twice and the goalkeeper saved a penalty in the final on Monday.",
    "Volunteers counted hundreds of turtles on the island beaches, more than last year.",
)


def article(number: int, text: str) -> AnnotatedArticle:
    """An annotated article."""
    return annotate(RawArticle(id=str(number), text=text, language="en", received_at=AT))


def test_like_words_are_near() -> None:
    """The two reports on turtles are nearer to each other than to the match; each is 1 to itself."""
    gram = baselines.likeness([article(*one) for one in enumerate(TEXTS)], baselines.words)
    assert gram.diagonal() == pytest.approx([1.0, 1.0, 1.0])
    assert gram[0, 2] > 2 * gram[0, 1]
    assert gram[0, 2] > 2 * gram[1, 2]


def test_entities_meet_across_languages() -> None:
    """The same people in two languages are near by their ids, where no word is shared."""
    articles = [
        article(0, "Vladimir Putin spoke with Emmanuel Macron."),
        article(1, "اتصل فلاديمير بوتين بإيمانويل ماكرون."),
        article(2, "The match ended in a draw."),
    ]
    by_entities = baselines.likeness(articles, baselines.entities)
    assert by_entities[0, 1] > 0.9
    assert by_entities[0, 2] == 0.0
    assert baselines.likeness(articles, baselines.words)[0, 1] == 0.0


@pytest.mark.parametrize(("threshold", "told"), [(0.9, [0, 1, 2]), (0.5, [0, 1, 0]), (0.0, [0, 0, 0])])
def test_the_threshold_decides(threshold: float, told: list[int]) -> None:
    """High, everything is apart; low, everything that has anything in common is together."""
    gram = np.array([[1, 0.1, 0.6], [0.1, 1, 0.1], [0.6, 0.1, 1]], dtype=np.float32)
    assert baselines.cluster(gram, [AT, AT, AT], DAY, threshold) == told


def test_the_centroid_is_what_is_near() -> None:
    """An article that is 0.45 to each of two that are 0.5 to each other is 0.9 / √3 = 0.52 to their centroid."""
    gram = np.array([[1, 0.5, 0.45], [0.5, 1, 0.45], [0.45, 0.45, 1]], dtype=np.float32)
    assert baselines.cluster(gram, [AT] * 3, DAY, 0.5) == [0, 0, 0]
    assert baselines.cluster(gram, [AT] * 3, DAY, 0.53) == [0, 1, 2]


def test_a_story_closes_with_the_window() -> None:
    """What comes later than the window opens a story of its own, though it were the same article."""
    gram = np.ones((3, 3), dtype=np.float32)
    assert baselines.cluster(gram, [AT, AT + DAY, AT + 3 * DAY], DAY, 0.5) == [0, 0, 1]


def test_the_best_threshold_is_chosen() -> None:
    """On the seeds the entities alone go a long way across languages, words none at all; corrections are no items."""
    seeds = [streams.seeds()]
    assert stories.true_stories(seeds) == 36
    by_entities, by_words = (stories.baseline(seeds, one) for one in (baselines.entities, baselines.words))
    assert by_entities.figures["across"]["f1"] > 0.6
    assert by_words.figures["across"]["f1"] < 0.2
    assert by_words.figures["within"]["f1"] > 0.7
