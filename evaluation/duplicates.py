"""How well copies are told, on streams whose truth is known.

A family is an original with its copies. A report is right when the article it names is of the copy's family. A
correction is its article again, so it must not be reported.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from evaluation.grouping import Grouped
from evaluation.streams import Arrival

# "Up to 15% of the words changed" is what recall is promised for.
MOST_CHANGED = 0.15
GRADES = ("light", "heavy", "excerpt", "copy")


def grade(arrival: Arrival) -> str | None:
    """How much a copy was changed: ``light`` (up to 15% of the words), ``heavy`` (more: leads cut, paragraphs added),
    ``excerpt``, or ``copy`` where that is not known; None of what is no copy."""
    if arrival.original is None:
        return None
    if arrival.kind == "excerpt":
        return "excerpt"
    if arrival.changed is None:
        return "copy"
    return "light" if arrival.changed <= MOST_CHANGED else "heavy"


@dataclass(slots=True)
class Tally:
    """Counts of articles. ``reported`` as copies, ``right`` of these, ``first`` of the right ones that name the true
    original; ``copies`` and ``found`` by grade; ``articles`` and ``false`` reports by the article's kind."""

    reported: int = 0
    right: int = 0
    first: int = 0
    copies: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    articles: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)

    @property
    def precision(self) -> float:
        """The share of reports that are right; 1 without any."""
        return self.right / self.reported if self.reported else 1.0

    @property
    def first_seen(self) -> float:
        """The share of right reports that name the true original."""
        return self.first / self.right if self.right else 1.0

    def recall(self, grade: str) -> float | None:
        """The share of the copies of a grade that are found; None without any."""
        return self.found[grade] / self.copies[grade] if self.copies[grade] else None


def measure(arrivals: Sequence[Arrival], grouped: Grouped) -> Tally:
    """Count what was reported of a stream."""
    tally = Tally()
    family = {arrival.annotated.id: arrival.original or arrival.annotated.id for arrival in arrivals}
    for arrival, copy in zip(arrivals, grouped.copies, strict=True):
        copied = grade(arrival)
        tally.articles[arrival.kind] += 1
        if copied is not None:
            tally.copies[copied] += 1
        if copy is None:
            continue
        tally.reported += 1
        if copied is None or family[copy[0]] != arrival.original:
            tally.false[arrival.kind] += 1
            continue
        tally.right += 1
        tally.found[copied] += 1
        tally.first += copy[0] == arrival.original
    return tally


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum of several."""
    whole = Tally()
    for one in tallies:
        whole.reported += one.reported
        whole.right += one.right
        whole.first += one.first
        for name in ("copies", "found", "articles", "false"):
            getattr(whole, name).update(getattr(one, name))
    return whole
