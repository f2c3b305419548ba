"""Measures the detection of near-duplicates on labelled streams.

A family is an original with its near-duplicates. A report is correct if the article that it names is of the same
family. A correction is a new revision of its article, so reporting it is false.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from evaluation.grouping import Grouped
from evaluation.labelled_streams import Arrival

# The promised recall holds for near-duplicates with up to 15% of the words changed.
MAX_CHANGED = 0.15
GRADES = ("light", "heavy", "excerpt", "copy")


def grade(arrival: Arrival) -> str | None:
    """How much a near-duplicate was changed: ``light`` (up to 15% of the words), ``heavy`` (more: leads cut, paragraphs
    added), ``excerpt``, or ``copy`` if that is not labelled; None for other articles."""
    if arrival.original is None:
        return None
    if arrival.kind == "excerpt":
        return "excerpt"
    if arrival.changed is None:
        return "copy"
    return "light" if arrival.changed <= MAX_CHANGED else "heavy"


@dataclass(slots=True)
class Tally:
    """Counts of articles: ``reported`` as near-duplicates, ``correct`` among these, ``first`` among the correct ones
    that name the true original; ``labelled`` near-duplicates and those ``found``, by grade; ``articles`` and ``false``
    reports, by the article's kind."""

    reported: int = 0
    correct: int = 0
    first: int = 0
    labelled: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    articles: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)

    @property
    def precision(self) -> float:
        """The share of reports that are correct; 1 without reports."""
        return self.correct / self.reported if self.reported else 1.0

    @property
    def first_seen(self) -> float:
        """The share of correct reports that name the true original; 1 without any."""
        return self.first / self.correct if self.correct else 1.0

    def recall(self, grade: str) -> float | None:
        """The share of the near-duplicates of a grade that were found; None if there are none."""
        return self.found[grade] / self.labelled[grade] if self.labelled[grade] else None


def measure(arrivals: Sequence[Arrival], grouped: Grouped) -> Tally:
    """Count the reports on a stream."""
    tally = Tally()
    family = {arrival.annotated.id: arrival.original or arrival.annotated.id for arrival in arrivals}
    for arrival, report in zip(arrivals, grouped.reports, strict=True):
        true_grade = grade(arrival)
        tally.articles[arrival.kind] += 1
        if true_grade is not None:
            tally.labelled[true_grade] += 1
        if report is None:
            continue
        tally.reported += 1
        if true_grade is None or family[report[0]] != arrival.original:
            tally.false[arrival.kind] += 1
            continue
        tally.correct += 1
        tally.found[true_grade] += 1
        tally.first += report[0] == arrival.original
    return tally


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum of several tallies."""
    whole = Tally()
    for one in tallies:
        whole.reported += one.reported
        whole.correct += one.correct
        whole.first += one.first
        for name in ("labelled", "found", "articles", "false"):
            getattr(whole, name).update(getattr(one, name))
    return whole
