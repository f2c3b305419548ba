"""Measures recognition of Arabic names, by whole entities, on a part of ANERcorp that was not trained on."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from enrich.entities.recognition.recognizer import Recognizer
from enrich.text.tokens import Passage

TRAIN_FILE = Path("anercorp") / "ANERCorp_CamelLab_train.txt"
# Sentences of the training part, counted from 0. The boundaries are between articles.
DEVELOPMENT_FROM = 3218
HELD_OUT_FROM = 3475
_IN_ARTICLE = 20


class Sentence(NamedTuple):
    """Words with one tag each: ``O``, or ``B-`` or ``I-`` with PER, LOC, ORG or MISC."""

    words: list[str]
    tags: list[str]


def read_conll(path: Path) -> list[Sentence]:
    """The sentences of a file with one word and its tag per line, and an empty line between sentences."""
    found: list[Sentence] = []
    words: list[str] = []
    tags: list[str] = []
    for line in [*path.read_text(encoding="utf-8").splitlines(), ""]:
        fields = line.split()
        if len(fields) >= 2:
            words.append(fields[0])
            tags.append(fields[-1].replace("PERS", "PER"))
        elif words:
            found.append(Sentence(words, tags))
            words, tags = [], []
    return found


def spans(tags: list[str]) -> set[tuple[int, int, str]]:
    """(first word, word after the last, type) of each name; an ``I-`` without ``B-`` opens a name, as is usual."""
    found = set()
    start, kind = 0, ""
    for at, tag in enumerate([*tags, "O"]):
        if kind and tag != f"I-{kind}":
            found.add((start, at, kind))
            kind = ""
        if tag != "O" and not kind:
            start, kind = at, tag[2:]
    return found


def score(gold: list[list[str]], predicted: list[list[str]]) -> dict[str, dict[str, float]]:
    """Precision, recall and F1 by whole entities, overall (``all``) and by type; ``count``: labelled entities."""
    wanted = {(number, *span) for number, tags in enumerate(gold) for span in spans(tags)}
    found = {(number, *span) for number, tags in enumerate(predicted) for span in spans(tags)}
    figures = {}
    for kind in ("all", *sorted({span[-1] for span in wanted | found})):
        correct, gold_count, found_count = (
            sum(kind in ("all", span[-1]) for span in group) for group in (wanted & found, wanted, found)
        )
        figures[kind] = {
            "precision": correct / found_count if found_count else 0.0,
            "recall": correct / gold_count if gold_count else 0.0,
            "f1": 2 * correct / (gold_count + found_count) if gold_count + found_count else 0.0,
            "count": gold_count,
        }
    return figures


def held_out(data: Path) -> list[Sentence]:
    """The sentences to measure on: the held-out end of ANERcorp's training part in a data folder.

    ``data`` may also be a file in the same format, such as the official test part; all of it is used then.
    """
    return read_conll(data) if data.is_file() else read_conll(data / TRAIN_FILE)[HELD_OUT_FROM:]


def tags(recognizer: Recognizer, sentences: Sequence[Sentence]) -> list[list[str]]:
    """The tags that a recognizer predicts for the words of sentences.

    It gets them as it gets articles: as text, one sentence per line, twenty in a row, since the corpus does not mark
    where articles end. A name covers each word that it touches, so particles that the recognizer leaves out count as
    part of the word, as in the corpus and the literature.
    """
    found = []
    for first in range(0, len(sentences), _IN_ARTICLE):
        article = sentences[first : first + _IN_ARTICLE]
        starts: list[int] = []
        at = 0
        for sentence in article:
            for word in sentence.words:
                starts.append(at)
                at += len(word) + 1
        labels = ["O"] * len(starts)
        text = "\n".join(" ".join(sentence.words) for sentence in article)
        for span in recognizer.find(Passage(text)):
            begin = bisect_right(starts, span.start) - 1
            end = bisect_left(starts, span.end)
            labels[begin:end] = [f"B-{span.type}", *([f"I-{span.type}"] * (end - begin - 1))]
        for sentence in article:
            found.append(labels[: len(sentence.words)])
            labels = labels[len(sentence.words) :]
    return found


def measure(recognizer: Recognizer, data: Path) -> dict[str, dict[str, float]]:
    """Precision, recall and F1 of a recognizer on ``held_out(data)``, overall (``all``) and by type."""
    sentences = held_out(data)
    return score([sentence.tags for sentence in sentences], tags(recognizer, sentences))
