"""Measures topics: on seeds/ and on the part of the ANT corpus that was not trained on."""

import json
import re
import tarfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enrich.text import cleaning
from enrich.text.tokens import Passage
from enrich.topics.classifier import classify, parent

_SEEDS = Path(__file__).parents[1] / "seeds"
_ARCHIVE = Path("antcorpus") / "antcorpus-1.1.tar.gz"
_FIELD = re.compile(r"<(TITLE|TIME|TEXT)>(.*?)</\1>", re.DOTALL)

# Articles from this day on (15 % of the corpus) are for measuring only.
HELD_OUT_FROM = "2017-05-05"
# The sections of the corpus that correspond to topics. Its "society" holds police reports and accidents. "Local",
# "international" and "diverse" correspond to no topic and are left out.
SECTIONS = {
    "culture": {"medtop:01000000"},
    "economy": {"medtop:04000000"},
    "politic": {"medtop:11000000"},
    "society": {"medtop:02000000", "medtop:03000000"},
    "sport": {"medtop:15000000"},
    "technology": {"medtop:13000000"},
}


@dataclass(frozen=True)
class CorpusArticle:
    """An article of the ANT corpus; ``day`` is in ISO 8601, all zeros where the corpus has none."""

    id: str
    section: str
    day: str
    title: str
    text: str

    @property
    def held_out(self) -> bool:
        """Whether it must not be used in training."""
        return self.day >= HELD_OUT_FROM


def corpus(data: Path) -> Iterator[CorpusArticle]:
    """The articles of the ANT corpus 1.1, read from the published archive in the folder."""
    with tarfile.open(data / _ARCHIVE) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".txt") else None
            if file is not None:
                found = dict(_FIELD.findall(file.read().decode("utf-8", "replace")))
                yield CorpusArticle(
                    id=Path(member.name).stem,
                    section=Path(member.name).parent.name,
                    day=_day(found["TIME"].strip()),
                    title=found["TITLE"].strip(),
                    text=found["TEXT"].strip(),
                )


def _day(time: str) -> str:
    """The corpus has two forms of time: 30/12/2016 and 2017-01-20T21:43:00+01:00."""
    return "-".join(reversed(time[:10].split("/"))) if "/" in time else time[:10]


def measure_seeds() -> dict[str, Any]:
    """Precision, recall and F1 on the seeds, for ``top`` and ``second`` level: ``micro``, ``macro`` over the topics
    that are labelled or predicted, and ``languages`` (micro, by language).

    Labelled boilerplate is removed first.
    """
    articles = [json.loads(line) for line in (_SEEDS / "articles.jsonl").open(encoding="utf-8")]
    labels = [json.loads(line) for line in (_SEEDS / "articles.gold.jsonl").open(encoding="utf-8")]
    topics = [json.loads(line)["topics"] for line in (_SEEDS / "topics.gold.jsonl").open(encoding="utf-8")]
    labelled: list[set[str]] = []
    predicted: list[set[str]] = []
    for article, label, topic in zip(articles, labels, topics, strict=True):
        text = cleaning.clean(article.get("text"), article.get("html"))
        title = cleaning.clean_title(article.get("title")) or cleaning.headline(text) or ""
        for part in label["boilerplate"]:
            text = text.replace(part, "")
        predicted.append({found.id for found in classify(Passage(title), Passage(text), label["language"])})
        labelled.append(set(topic))
    languages = [label["language"] for label in labels]
    return {
        "top": _agreement(labelled, predicted, languages, lambda topic: parent(topic) is None),
        "second": _agreement(labelled, predicted, languages, lambda topic: parent(topic) is not None),
    }


def measure_corpus(data: Path) -> dict[str, Any]:
    """F1 on the held-out part of the ANT corpus, by section and ``macro`` over the sections that are one topic.

    An article belongs to one section only, so a second topic counts as an error even if it is correct: the figures are
    a lower bound. ``macro_with_society`` includes "society", for which either of its topics is correct; ``first`` is
    the share of articles whose first topic is that of their section; ``without`` the share that have no topic.
    """
    labelled: list[str] = []
    predicted: list[list[str]] = []
    for article in corpus(data):
        if article.held_out and article.section in SECTIONS:
            labelled.append(article.section)
            found = classify(Passage(article.title), Passage(article.text), "ar")
            predicted.append([topic.id for topic in found])
    one = [section for section, own in SECTIONS.items() if len(own) == 1]
    alone = [n for n, section in enumerate(labelled) if section in one]
    figures = {name: _section([labelled[n] for n in alone], [predicted[n] for n in alone], name) for name in one}
    everywhere = [_section(labelled, predicted, name)["f1"] for name in SECTIONS]
    firsts = [
        bool(SECTIONS[section].intersection(topics[:1])) for section, topics in zip(labelled, predicted, strict=True)
    ]
    return {
        "articles": len(labelled),
        "sections": figures,
        "macro": sum(figure["f1"] for figure in figures.values()) / len(figures),
        "macro_with_society": sum(everywhere) / len(everywhere),
        "first": sum(firsts) / len(firsts),
        "without": sum(not topics for topics in predicted) / len(predicted),
    }


def _section(labelled: list[str], predicted: list[list[str]], name: str) -> dict[str, float]:
    given = [bool(SECTIONS[name].intersection(topics)) for topics in predicted]
    correct = sum(g and w == name for g, w in zip(given, labelled, strict=True))
    return _scores(correct, sum(given), labelled.count(name))


def _agreement(
    labelled: list[set[str]], predicted: list[set[str]], languages: list[str], counts: Callable[[str], bool]
) -> dict[str, Any]:
    pairs = [
        ({t for t in w if counts(t)}, {t for t in g if counts(t)}) for w, g in zip(labelled, predicted, strict=True)
    ]
    by_language: dict[str, list[tuple[set[str], set[str]]]] = defaultdict(list)
    for language_, pair in zip(languages, pairs, strict=True):
        by_language[language_].append(pair)
    seen = sorted(set().union(*(w | g for w, g in pairs)))
    by_topic = {topic: _micro([(w & {topic}, g & {topic}) for w, g in pairs]) for topic in seen}
    return {
        "micro": _micro(pairs),
        "macro": {key: sum(by_topic[t][key] for t in seen) / len(seen) for key in ("precision", "recall", "f1")},
        "languages": {language_: _micro(own) for language_, own in sorted(by_language.items())},
        "topics": by_topic,
    }


def _micro(pairs: Iterable[tuple[Collection[str], Collection[str]]]) -> dict[str, float]:
    pairs = list(pairs)
    correct = sum(len(set(w) & set(g)) for w, g in pairs)
    return _scores(correct, sum(len(g) for _, g in pairs), sum(len(w) for w, _ in pairs))


def _scores(correct: int, predicted: int, labelled: int) -> dict[str, float]:
    precision, recall = correct / predicted if predicted else 0.0, correct / labelled if labelled else 0.0
    f1 = 2 * precision * recall / (precision + recall) if correct else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}
