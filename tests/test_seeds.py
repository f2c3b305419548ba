"""The labels of seeds/ are consistent with its texts, and Khabar's annotations reach minimum scores on them."""

from collections import Counter
from itertools import pairwise

import pytest

from enrich.annotate import annotate
from enrich.entities.gazetteer import entries
from evaluation import linking, quotes, samples, topics
from services.events import ArticleIn, EntityType
from tests.harness import raw, seed_articles, seed_labels

PAIRS = list(zip(seed_articles(), seed_labels(), strict=True))
NUMBERED = [pytest.param(article, label, id=f"line{at}") for at, (article, label) in enumerate(PAIRS, 1)]


@pytest.mark.parametrize(("article", "label"), NUMBERED)
def test_label_matches_its_text(article: ArticleIn, label: dict) -> None:
    """Guid and source agree; every mention, boilerplate passage and glued word is in the text where the label says."""
    assert (label["guid"], label["source"]) == (article.guid, article.source)
    text = article.text or ""
    spans = sorted((m["start"], m["end"]) for entity in label["entities"] for m in entity["mentions"])
    assert all(first[1] <= second[0] for first, second in pairwise(spans)), "mentions overlap"
    for entity in label["entities"]:
        assert entity["type"] in EntityType.__args__
        for mention in entity["mentions"]:
            assert text[mention["start"] : mention["end"]] == mention["text"]
    for part in (*label["boilerplate"], *label["glued"]):
        assert part in (article.text or article.html)
    assert all(topic.startswith("medtop:") for topic in label["topics"])


def test_duplicates_refer_to_an_original_of_their_story() -> None:
    """A duplicate's original is an earlier line of the same story and not a duplicate; revisions increase by one."""
    seen: dict[str, dict] = {}
    revisions: Counter[tuple[str, str]] = Counter()
    for article, label in PAIRS:
        if label["duplicate_of"]:
            original = seen[label["duplicate_of"]]
            assert original["story"] == label["story"]
            assert original["duplicate_of"] is None
        if article.guid:
            revisions[article.source, article.guid] += 1
            assert label["revision"] == revisions[article.source, article.guid]
        seen[article.guid or article.url] = label


def test_composition_is_as_in_the_readme() -> None:
    """Two thirds are Arabic; there are at least five other languages, duplicates, corrections and noise."""
    languages = Counter(label["language"] for _, label in PAIRS)
    assert len(PAIRS) >= 60
    assert 0.6 <= languages["ar"] / len(PAIRS) <= 0.7
    assert {"ar", "en", "fr", "ru", "es"} < set(languages)
    assert sum(label["duplicate_of"] is not None for _, label in PAIRS) >= 8
    assert sum(label["revision"] == 2 for _, label in PAIRS) >= 3
    assert sum(bool(label["glued"]) for _, label in PAIRS) >= 5
    assert sum(article.title is None for article, _ in PAIRS) >= 5


def test_labels_agree_with_the_gazetteer() -> None:
    """An entity that is in both has the same type in both."""
    known = entries.load().entries
    for _, label in PAIRS:
        for entity in label["entities"]:
            if entity["id"] in known:
                assert known[entity["id"]].type == entity["type"], entity


def test_languages_are_detected() -> None:
    """The language of every seed article is detected, even with a wrong hint."""
    for number, (article, label) in enumerate(PAIRS):
        assert annotate(raw(article, str(number))).language == label["language"], article.title


def test_entities_are_linked() -> None:
    """At least 93% of the pairs of article and Wikidata id are found, with a precision of at least 95%."""
    figures = linking.measure(samples.seeds())
    assert figures["precision"] >= 0.95, figures["wrong"]
    assert figures["recall"] >= 0.93, figures["missed"]


def test_topics_are_classified() -> None:
    """Top-level topics reach their minimum precision, recall and F1."""
    figures = topics.measure_seeds()["top"]
    assert figures["micro"]["precision"] >= 0.93
    assert figures["micro"]["recall"] >= 0.70
    assert figures["macro"]["f1"] >= 0.70


def test_quotations_are_found() -> None:
    """Quotations in four languages reach their minimum F1."""
    figures = quotes.measure()["seeds"]
    for language, f1 in {"ar": 0.95, "en": 0.95, "fr": 0.9, "ru": 0.9}.items():
        assert figures[language]["f1"] >= f1, language
