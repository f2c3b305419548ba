"""Measures the identities of names in real news of six Slavic languages, mention by mention.

The corpus (the shared task of BSNLP 2019: articles about Brexit and Ryanair, for research only) lists for each article
the spellings of its names and an identity that is the same in all languages. Its identities are mapped to ours by
their names. A mention with an id of Wikidata is right where the corpus has that identity, wrong where it has another
one or no name at all. A mention within a longer name of the corpus («МИД Великобритании») may be either: such are
counted apart.
"""

import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import regex

from enrich.annotate import annotate
from enrich.entities.gazetteer.entries import load
from evaluation.samples import ARRIVAL
from services.events import RawArticle

_HEADER_LINES = 4
# What a gazetteer calls otherwise than the corpus.
_SAME_AS = {
    "GPE-Great-Britain": "Q145",
    "GPE-United-Kingdom": "Q145",
    "GPE-Brussles": "Q239",
    "GPE-WashingtonDC": "Q61",
    "GPE-Holland": "Q55",
    "GPE-Koln": "Q365",
    "GPE-Aqaba": "Q180522",
    "GPE-Tehran": "Q3616",
    "GPE-Ankara": "Q3640",
    "GPE-Istanbul": "Q406",
    "GPE-Amman": "Q3805",
    "LOC-Moscow-Kremlin": "Q133274",
    "GPE-Prishtina": "Q25270",
}
# An England that stands for the country is the corpus's Great Britain.
_ALSO = {("Q21", "GPE-Great-Britain"), ("Q145", "GPE-England")}


class Article(NamedTuple):
    """An article with its names: spelling, basic form and identity."""

    name: str
    language: str
    text: str
    names: list[tuple[str, str, str]]


@dataclass
class Figures:
    """Counts of mentions.

    ``wrong``, ``within`` and ``missed`` describe each: language, article, id or identity, words around it.
    """

    right: int = 0
    wrong: list[tuple[str, ...]] = field(default_factory=list)
    missed: list[tuple[str, ...]] = field(default_factory=list)
    within: list[tuple[str, ...]] = field(default_factory=list)
    found: int = 0

    @property
    def precision(self) -> float:
        """The share of linked mentions that are right."""
        return self.right / max(1, self.right + len(self.wrong))

    @property
    def recall(self) -> float:
        """The share of the corpus's mentions of known identities that are linked rightly."""
        return self.found / max(1, self.found + len(self.missed))


def read(archive: Path) -> Iterator[Article]:
    """The articles of the corpus, each once, by name."""
    files: dict[str, str] = {}
    with tarfile.open(archive) as opened:
        for member in opened:
            file = opened.extractfile(member) if member.isfile() else None
            if file is not None:
                files[member.name.removeprefix("./")] = file.read().decode("utf-8-sig")
    for name, text in sorted(files.items()):
        if "/raw/" not in name:
            continue
        labels = files.get(name.replace("/raw/", "/annotated/").removesuffix(".txt") + ".out")
        if labels is None:
            continue
        rows = [line.split("\t") for line in labels.splitlines()[1:] if line.count("\t") == _HEADER_LINES - 1]
        body = "\n".join(text.splitlines()[_HEADER_LINES:]).strip()
        yield Article(name, name.split("/")[2], body, [(row[0], row[1], row[3].strip()) for row in rows])


def measure(articles: Iterable[Article]) -> dict[str, Figures]:
    """The figures of each language."""
    every = list(articles)
    ours = _ours(every)
    figures: dict[str, Figures] = defaultdict(Figures)
    for article in every:
        raw = RawArticle(id=article.name, text=article.text, source="corpus", received_at=ARRIVAL)
        annotated = annotate(raw)
        labelled = _spans(annotated.text, article.names)
        linked = [
            (mention.start, mention.end, entity.id, entity.name)
            for entity in annotated.entities
            if entity.id.startswith("Q")
            for mention in entity.mentions
        ]
        _count(figures[article.language], article, annotated.text, labelled, linked, ours)
    return dict(figures)


def _count(  # noqa: PLR0913, PLR0917
    figures: Figures,
    article: Article,
    text: str,
    labelled: list[tuple[int, int, str]],
    linked: list[tuple[int, int, str, str]],
    ours: dict[str, str],
) -> None:
    for start, end, identity, name in linked:
        there = [label for first, last, label in labelled if first < end and start < last]
        if any(ours.get(label) == identity or (identity, label) in _ALSO for label in there):
            figures.right += 1
        else:
            longer = any(first <= start and end <= last and last - first > end - start for first, last, _ in labelled)
            around = text[max(0, start - 40) : start] + "[" + text[start:end] + "]" + text[end : end + 40]
            (figures.within if longer else figures.wrong).append(
                (article.language, article.name, f"{identity} {name}", " ".join(there), " ".join(around.split()))
            )
    for first, last, label in labelled:
        identity = ours.get(label, "")
        if not identity:
            continue
        if any(start < last and first < end and one == identity for start, end, one, _ in linked):
            figures.found += 1
        else:
            figures.missed.append((article.language, article.name, f"{label} {identity}", text[first:last]))


def _spans(text: str, names: Iterable[tuple[str, str, str]]) -> list[tuple[int, int, str]]:
    """Where the names are, the longest first, none within another."""
    taken: set[int] = set()
    found = []
    for surface, _, identity in sorted(names, key=lambda row: -len(row[0])):
        if not surface:
            continue
        for match in regex.finditer(rf"(?<![\p{{L}}\p{{N}}]){regex.escape(surface)}(?![\p{{L}}\p{{N}}])", text):
            if taken.isdisjoint(range(match.start(), match.end())):
                taken.update(range(match.start(), match.end()))
                found.append((match.start(), match.end(), identity))
    return sorted(found)


def _ours(articles: Iterable[Article]) -> dict[str, str]:
    """Our id of each identity of the corpus that one of our entries has the name of."""
    entries = load()
    by_name: dict[tuple[str, str], set[str]] = defaultdict(set)
    kinds = {"GPE": "LOC", "LOC": "LOC", "PER": "PER", "ORG": "ORG", "PRO": "ORG"}
    for aliases in (*entries.aliases.values(), *entries.weak.values()):
        for alias in aliases:
            by_name[" ".join(alias.words).casefold(), alias.entry.type].add(alias.entry.id)
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for article in articles:
        for surface, basic, identity in article.names:
            kind = kinds.get(identity.split("-")[0], "")
            spoken = identity.partition("-")[2].replace("-", " ")
            for name in {surface, basic, spoken}:
                plain = " ".join(regex.findall(r"[\p{L}\p{N}]+", name)).casefold()
                for one in by_name.get((plain, kind), ()):
                    votes[identity][one] += 1
    return {identity: counter.most_common(1)[0][0] for identity, counter in votes.items()} | _SAME_AS
