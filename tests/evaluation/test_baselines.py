"""The baselines group by one threshold on cosines."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from enrich.annotate import annotate
from evaluation import baselines, labelled_streams, stories
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


def test_texts_with_common_words_are_similar() -> None:
    """The two reports on turtles are more similar to each other than to the match; each has cosine 1 with itself."""
    cosines = baselines.similarities([article(*one) for one in enumerate(TEXTS)], baselines.words)
    assert cosines.diagonal() == pytest.approx([1.0, 1.0, 1.0])
    assert cosines[0, 2] > 2 * cosines[0, 1]
    assert cosines[0, 2] > 2 * cosines[1, 2]


def test_entities_are_compared_across_languages() -> None:
    """Articles in two languages about the same people are similar by entity ids, although they share no word."""
    articles = [
        article(0, "Vladimir Putin spoke with Emmanuel Macron."),
        article(1, "اتصل فلاديمير بوتين بإيمانويل ماكرون."),
        article(2, "The match ended in a draw."),
    ]
    by_entities = baselines.similarities(articles, baselines.entities)
    assert by_entities[0, 1] > 0.9
    assert by_entities[0, 2] == 0.0
    assert baselines.similarities(articles, baselines.words)[0, 1] == 0.0


@pytest.mark.parametrize(("threshold", "stories_of"), [(0.9, [0, 1, 2]), (0.5, [0, 1, 0]), (0.0, [0, 0, 0])])
def test_the_threshold_decides(threshold: float, stories_of: list[int]) -> None:
    """With a high threshold each article has its own story; with a low one all that share anything have one story."""
    cosines = np.array([[1, 0.1, 0.6], [0.1, 1, 0.1], [0.6, 0.1, 1]], dtype=np.float32)
    assert baselines.assign_stories(cosines, [AT, AT, AT], DAY, threshold) == stories_of


def test_articles_are_compared_with_the_centroid() -> None:
    """Cosine 0.45 with each of two articles whose cosine is 0.5 gives 0.9 / √3 = 0.52 with their centroid."""
    cosines = np.array([[1, 0.5, 0.45], [0.5, 1, 0.45], [0.45, 0.45, 1]], dtype=np.float32)
    assert baselines.assign_stories(cosines, [AT] * 3, DAY, 0.5) == [0, 0, 0]
    assert baselines.assign_stories(cosines, [AT] * 3, DAY, 0.53) == [0, 1, 2]


def test_a_story_closes_with_the_window() -> None:
    """An article that arrives after the window opens a new story, even if it is the same article."""
    cosines = np.ones((3, 3), dtype=np.float32)
    assert baselines.assign_stories(cosines, [AT, AT + DAY, AT + 3 * DAY], DAY, 0.5) == [0, 0, 1]


def test_the_best_threshold_is_chosen() -> None:
    """On the seeds entities work well across languages, words do not; corrections are not counted."""
    seeds = [labelled_streams.seeds()]
    assert stories.true_stories(seeds) == 36
    by_entities, by_words = (stories.baseline(seeds, one) for one in (baselines.entities, baselines.words))
    assert by_entities.figures["across"]["f1"] > 0.6
    assert by_words.figures["across"]["f1"] < 0.2
    assert by_words.figures["within"]["f1"] > 0.7
