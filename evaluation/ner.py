"""How well names are found in Arabic, by whole entities, on a part of ANERcorp that nothing was learnt from."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from enrich.entities.recognition.recognizer import Recognizer
from enrich.text.tokens import Passage

TRAIN_FILE = Path("anercorp") / "ANERCorp_CamelLab_train.txt"
# Sentences of the train part, counted from 0. The borders lie between articles.
DEVELOPMENT_FROM = 3218
HELD_OUT_FROM = 3475
_IN_ARTICLE = 20


class Sentence(NamedTuple):
    """Words and, one each, their tags: ``O``, or ``B-`` or ``I-`` with PER, LOC, ORG or MISC."""

    words: list[str]
    tags: list[str]


def read_conll(path: Path) -> list[Sentence]:
    """The sentences of a file with a word and its tag on each line, and an empty line between sentences."""
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
    """(first word, word behind the last, type) of each name; a stray ``I-`` opens a name, as is usual."""
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
    """Precision, recall and F1 by whole entities, overall (``all``) and by type; ``count`` is of the gold ones."""
    wanted = {(number, *span) for number, tags in enumerate(gold) for span in spans(tags)}
    found = {(number, *span) for number, tags in enumerate(predicted) for span in spans(tags)}
    figures = {}
    for kind in ("all", *sorted({span[-1] for span in wanted | found})):
        right, has, says = (
            sum(kind in ("all", span[-1]) for span in group) for group in (wanted & found, wanted, found)
        )
        figures[kind] = {
            "precision": right / says if says else 0.0,
            "recall": right / has if has else 0.0,
            "f1": 2 * right / (has + says) if has + says else 0.0,
            "count": has,
        }
    return figures


def held_out(data: Path) -> list[Sentence]:
    """The sentences to measure by: the held-out end of ANERcorp's train part in a data folder.

    ``data`` may also be a file in the same format; then all of it, as with the official test part.
    """
    return read_conll(data) if data.is_file() else read_conll(data / TRAIN_FILE)[HELD_OUT_FROM:]


def tags(recognizer: Recognizer, sentences: Sequence[Sentence]) -> list[list[str]]:
    """What a recognizer says of annotated sentences, word by word.

    They are given to it as it gets articles: as text, a line a sentence, twenty in a row, since the corpus does not
    tell where articles end. A name then takes in every word that it touches, so particles that the recognizer
    leaves out count as part of the word, as in the corpus and the literature.
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
