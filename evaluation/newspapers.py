"""How well copies are told among real newspapers, judged by the words that their texts share (``overlap``).

Pairs are labelled by what they have in common word for word, not by what group knows of them: an article that appears
anew in other words is no copy here, two reports in the same set phrases are.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from enrich.annotate import annotate
from enrich.entities.recognition.recognizer import Span
from enrich.text.boilerplate import BoilerplateDetector
from enrich.text.tokens import Passage
from evaluation import corpora, overlap
from evaluation.grouping import WINDOW, grouped
from services.events import AnnotatedArticle, RawArticle

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)

# Twenty misjudged or borderline pairs, drawn by chance and read by hand on that day: what labels and group said, what
# they are, how many.
READ_ON = "2026-11-22"
READ = (
    (
        "reported, labelled different",
        "a caption of one to six words is the whole text, under another title; since then told by the title, too",
        4,
    ),
    ("reported, labelled partly", "the same release, reworded: a copy", 1),
    ("reported, labelled partly", "two papers' versions of agency reports of one event, a third of it edited", 2),
    ("reported, labelled partly", "the next news on a matter, more than half of it from the one before", 2),
    ("labelled same, not reported", "the same report (50 to 280 words), edited in nearly every sentence: missed", 3),
    ("labelled same, not reported", "an event of the same kind elsewhere, in the same phrases: rightly apart", 1),
    ("labelled excerpt, not reported", "one decision (70 words) out of a long list of them (940): missed", 1),
    ("labelled excerpt, not reported", "an agency report, shortened and edited: missed", 1),
    ("labelled excerpt, not reported", "two reports that quote one statement: rightly apart", 1),
    ("labelled enlarged, not reported", "an earlier report inside a longer one that tells more: as it should be", 2),
    ("labelled partly, not reported", "the same programme at another school: rightly apart", 1),
    ("labelled partly, not reported", "a flash that went into a long report of the day: rightly apart", 1),
)

Pair = tuple[int, int]
# What a later article is to an earlier one; ``enlarged`` has the earlier one in it.
Relation = Literal["same", "excerpt", "enlarged"]


class _NoNames:
    """Recognises nothing: copies are told without names."""

    languages: ClassVar[frozenset[str] | None] = None

    def find(self, passage: Passage) -> list[Span]:
        """Nothing."""
        return []


@dataclass(frozen=True, slots=True)
class Report:
    """A pair that group reported, with what the words say of it: verdict, and the share of the shorter text."""

    pair: Pair
    similarity: float
    verdict: overlap.Verdict
    share: float


@dataclass(frozen=True, slots=True)
class Judged:
    """Articles in order; ``labels`` of the pairs within the window that have much in common; group's ``reports``."""

    articles: Sequence[RawArticle]
    texts: Sequence[tuple[str, ...]]
    labels: Mapping[Pair, tuple[overlap.Verdict, float]]
    reports: Sequence[Report]

    def relation(self, pair: Pair) -> Relation | None:
        """What the later of two is to the earlier by their labels; None when they are not the same text."""
        verdict, _ = self.labels.get(pair, ("different", 0.0))
        if verdict == "excerpt":
            return "excerpt" if len(self.texts[pair[1]]) < len(self.texts[pair[0]]) else "enlarged"
        return "same" if verdict == "same" else None


def judge(folder: Path) -> Judged:
    """Group the newspapers in a folder and label their pairs."""
    articles = corpora.newspaper_articles(folder)
    texts = [overlap.words(article.text or "") for article in articles]
    labels = {
        pair: overlap.verdict(texts[pair[0]], texts[pair[1]])
        for pair in overlap.candidates(texts)
        if articles[pair[1]].received_at - articles[pair[0]].received_at <= WINDOW
    }
    place = {article.id: at for at, article in enumerate(articles)}
    reports = []
    for at, copy in enumerate(grouped(_annotated(articles)).copies):
        if copy is not None:
            pair = place[copy[0]], at
            verdict, share = labels.get(pair) or overlap.verdict(texts[pair[0]], texts[pair[1]])
            reports.append(Report(pair, copy[1], verdict, share))
    return Judged(articles, texts, labels, reports)


def _annotated(articles: Iterable[RawArticle]) -> Iterable[AnnotatedArticle]:
    boilerplate, nobody = BoilerplateDetector(), _NoNames()
    for sequence, article in enumerate(articles):
        yield annotate(article, sequence, recognizer=nobody, boilerplate=boilerplate)


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of the reports with at least this similarity: how many of each verdict; precision, and recall by what
    the later article is to an earlier one."""

    threshold: float
    verdicts: Mapping[overlap.Verdict, int]
    precision: float
    recall: Mapping[Relation, float]


def copies(judged: Judged) -> dict[Relation, set[int]]:
    """The articles that by the labels are copies of earlier ones, each under the closest relation that it has."""
    found: defaultdict[int, set[Relation]] = defaultdict(set)
    for pair in judged.labels:
        relation = judged.relation(pair)
        if relation is not None:
            found[pair[1]].add(relation)
    closest: dict[Relation, set[int]] = {"same": set(), "excerpt": set(), "enlarged": set()}
    for at, relations in found.items():
        closest[next(relation for relation in closest if relation in relations)].add(at)
    return closest


def rows(judged: Judged) -> list[Row]:
    """Precision and recall at several thresholds of group's similarity; below group's own nothing more is reported.

    A report is right when its pair is the same or one is an excerpt of the other. A copy is found when a right report
    names it, whichever of the earlier ones it is said to be a copy of.
    """
    wanted = copies(judged)
    table = []
    for threshold in THRESHOLDS:
        reported = [report for report in judged.reports if report.similarity >= threshold]
        verdicts = Counter(report.verdict for report in reported)
        right = {report.pair[1] for report in reported if report.verdict in {"same", "excerpt"}}
        table.append(
            Row(
                threshold,
                verdicts,
                len(right) / len(reported) if reported else 1.0,
                {relation: len(own & right) / len(own) if own else 1.0 for relation, own in wanted.items()},
            )
        )
    return table
