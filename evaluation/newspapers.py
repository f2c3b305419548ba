"""Measures near-duplicates among real newspapers, labelled by the words that their texts share (``overlap``).

The labels compare word for word and use nothing of group. So a reworded article is not a near-duplicate here, and two
reports in the same fixed phrases are.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from enrich.annotate import annotate
from enrich.entities.recognition.recognizer import NameSpan
from enrich.text.boilerplate import BoilerplateDetector
from enrich.text.tokens import Passage
from evaluation import corpora, overlap
from evaluation.grouping import WINDOW, grouped
from services.events import AnnotatedArticle, RawArticle

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)

# Twenty random pairs on which labels and group disagreed, or nearly so, reviewed by hand on that day.
# Columns: label and report, what the pair is, number of pairs.
REVIEWED_ON = "2026-11-22"
REVIEWED = (
    (
        "reported, labelled different",
        "a caption of one to six words is the whole text, under another title; since then the title is compared too",
        4,
    ),
    ("reported, labelled partly", "the same release, reworded: a near-duplicate", 1),
    ("reported, labelled partly", "two papers' versions of agency reports of one event, a third of it edited", 2),
    ("reported, labelled partly", "a follow-up, more than half of it from the previous article", 2),
    ("labelled same, not reported", "the same report (50 to 280 words), edited in nearly every sentence: missed", 3),
    (
        "labelled same, not reported",
        "an event of the same kind elsewhere, in the same phrases: correctly kept apart",
        1,
    ),
    ("labelled excerpt, not reported", "one decision (70 words) out of a long list of them (940): missed", 1),
    ("labelled excerpt, not reported", "an agency report, shortened and edited: missed", 1),
    ("labelled excerpt, not reported", "two reports that quote one statement: correctly kept apart", 1),
    ("labelled enlarged, not reported", "an earlier report inside a longer one with more content: correct", 2),
    ("labelled partly, not reported", "the same programme at another school: correctly kept apart", 1),
    ("labelled partly, not reported", "a flash that became part of a long report of the day: correctly kept apart", 1),
)

Pair = tuple[int, int]
# The relation of a later article to an earlier one; ``enlarged``: it contains the earlier one.
Relation = Literal["same", "excerpt", "enlarged"]


class _NoEntities:
    """Recognises nothing: near-duplicates are detected without entities."""

    languages: ClassVar[frozenset[str] | None] = None

    def find(self, passage: Passage) -> list[NameSpan]:
        """No spans."""
        return []


@dataclass(frozen=True, slots=True)
class Report:
    """A pair that group reported, with its label: verdict, and shared part of the shorter text."""

    pair: Pair
    similarity: float
    verdict: overlap.Verdict
    share: float


@dataclass(frozen=True, slots=True)
class Labelled:
    """Articles in order; ``labels`` of the candidate pairs within the window; group's ``reports``."""

    articles: Sequence[RawArticle]
    texts: Sequence[tuple[str, ...]]
    labels: Mapping[Pair, tuple[overlap.Verdict, float]]
    reports: Sequence[Report]

    def relation(self, pair: Pair) -> Relation | None:
        """The labelled relation of the later article to the earlier one; None if the texts are not the same."""
        verdict, _ = self.labels.get(pair, ("different", 0.0))
        if verdict == "excerpt":
            return "excerpt" if len(self.texts[pair[1]]) < len(self.texts[pair[0]]) else "enlarged"
        return "same" if verdict == "same" else None


def label(folder: Path) -> Labelled:
    """Group the newspapers in a folder and label their pairs."""
    articles = corpora.newspaper_articles(folder)
    texts = [overlap.words(article.text or "") for article in articles]
    labels = {
        pair: overlap.verdict(texts[pair[0]], texts[pair[1]])
        for pair in overlap.candidates(texts)
        if articles[pair[1]].received_at - articles[pair[0]].received_at <= WINDOW
    }
    index = {article.id: at for at, article in enumerate(articles)}
    reports = []
    for at, report in enumerate(grouped(_annotated(articles)).reports):
        if report is not None:
            pair = index[report[0]], at
            verdict, share = labels.get(pair) or overlap.verdict(texts[pair[0]], texts[pair[1]])
            reports.append(Report(pair, report[1], verdict, share))
    return Labelled(articles, texts, labels, reports)


def _annotated(articles: Iterable[RawArticle]) -> Iterable[AnnotatedArticle]:
    boilerplate, recognizer = BoilerplateDetector(), _NoEntities()
    for sequence, article in enumerate(articles):
        yield annotate(article, sequence, recognizer=recognizer, boilerplate=boilerplate)


@dataclass(frozen=True, slots=True)
class Row:
    """Figures for the reports from this similarity on: the number per verdict, precision, and recall by the relation
    of the later article to an earlier one."""

    threshold: float
    verdicts: Mapping[overlap.Verdict, int]
    precision: float
    recall: Mapping[Relation, float]


def near_duplicates(labelled: Labelled) -> dict[Relation, set[int]]:
    """The articles that are labelled as near-duplicates of earlier ones, each under its closest relation."""
    found: defaultdict[int, set[Relation]] = defaultdict(set)
    for pair in labelled.labels:
        relation = labelled.relation(pair)
        if relation is not None:
            found[pair[1]].add(relation)
    closest: dict[Relation, set[int]] = {"same": set(), "excerpt": set(), "enlarged": set()}
    for at, relations in found.items():
        closest[next(relation for relation in closest if relation in relations)].add(at)
    return closest


def rows(labelled: Labelled) -> list[Row]:
    """Precision and recall at several thresholds of group's similarity. Group reports nothing below its own threshold.

    A report is correct if its texts are the same or one is an excerpt of the other. A near-duplicate is found if a
    correct report names it, with any of the earlier articles.
    """
    articles = near_duplicates(labelled)
    table = []
    for threshold in THRESHOLDS:
        reported = [report for report in labelled.reports if report.similarity >= threshold]
        verdicts = Counter(report.verdict for report in reported)
        correct = {report.pair[1] for report in reported if report.verdict in {"same", "excerpt"}}
        table.append(
            Row(
                threshold,
                verdicts,
                len(correct) / len(reported) if reported else 1.0,
                {relation: len(own & correct) / len(own) if own else 1.0 for relation, own in articles.items()},
            )
        )
    return table
