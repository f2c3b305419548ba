"""The training texts of recognition, as sentences of words.

``DATA`` is a folder with ``anercorp/`` (the training part of the CAMeL split), ``aqmar/articles/`` and ``antcorpus/``.
"""

import bisect
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

from enrich.entities.recognition.sentences import sentences
from enrich.text.tokens import Passage
from evaluation.ner import DEVELOPMENT_FROM, HELD_OUT_FROM, TRAIN_FILE, Sentence, read_conll

# A training sentence that shares more of its five-word sequences with the held-out part is left out.
_MAX_SHARED = 0.2
_GRAM = 5
_ANT_FIELD = re.compile(r"<(TITLE|TEXT)>(.*?)</\1>", re.DOTALL)
IGNORED = "?"


def anercorp(data: Path) -> tuple[list[Sentence], list[Sentence]]:
    """(training sentences, development sentences) of ANERcorp, without those that are similar to the held-out part."""
    everything = read_conll(data / TRAIN_FILE)
    held_out = {gram for sentence in everything[HELD_OUT_FROM:] for gram in _grams(sentence)}

    def is_separate(sentence: Sentence) -> bool:
        grams = _grams(sentence)
        return len(grams & held_out) <= _MAX_SHARED * len(grams)

    training = [sentence for sentence in everything[:DEVELOPMENT_FROM] if is_separate(sentence)]
    development = [sentence for sentence in everything[DEVELOPMENT_FROM:HELD_OUT_FROM] if is_separate(sentence)]
    return training, development


def aqmar(data: Path) -> list[Sentence]:
    """AQMAR's Wikipedia articles.

    Unlike in ANERcorp, the classes other than people, places and organisations depend on each article's subject, so
    their words have the tag ``IGNORED`` and are not trained on.
    """
    found = []
    for path in sorted((data / "aqmar" / "articles").glob("*.txt")):
        for sentence in read_conll(path):
            found.append(Sentence(sentence.words, _aqmar_tags(sentence.tags)))
    return found


def ant(data: Path) -> Iterator[list[list[str]]]:
    """The articles of the ANT corpus as sentences of words, in a fixed order; repeated sentences are left out."""
    (archive,) = sorted((data / "antcorpus").glob("*.tar.gz"))
    seen: set[str] = set()
    with tarfile.open(archive) as members:
        for member in members:
            file = members.extractfile(member) if member.name.endswith(".txt") else None
            if file is None:
                continue
            fields = dict(_ANT_FIELD.findall(file.read().decode("utf-8", "replace")))
            article = []
            for field in ("TITLE", "TEXT"):
                passage = Passage(fields.get(field, ""))
                for sentence in sentences(passage):
                    words = [unit.surface for unit in sentence]
                    key = " ".join(words)
                    if len(words) > 2 and key not in seen:
                        seen.add(key)
                        article.append(words)
            if article:
                yield article


def retokenized(sentence: Sentence) -> list[Sentence]:
    """A sentence of a corpus in Khabar's own words and sentences, with its tags carried over."""
    starts = []
    at = 0
    for word in sentence.words:
        starts.append(at)
        at += len(word) + 1
    made = []
    for units in sentences(Passage(" ".join(sentence.words))):
        words, tags = [], []
        for unit in units:
            number = bisect.bisect_right(starts, unit.start) - 1
            tag = sentence.tags[number]
            inside = unit.start > starts[number] and tag.startswith("B-")
            words.append(unit.surface)
            tags.append(f"I-{tag[2:]}" if inside else tag)
        made.append(Sentence(words, tags))
    return made


def _grams(sentence: Sentence) -> set[tuple[str, ...]]:
    words = sentence.words
    return {tuple(words[at : at + _GRAM]) for at in range(max(1, len(words) - _GRAM + 1))}


def _aqmar_tags(tags: list[str]) -> list[str]:
    kept: list[str] = []
    for tag in tags:
        prefix, _, kind = tag.partition("-")
        if tag in ("O", "OO", "IO"):
            kept.append("O")
        elif kind in ("PER", "LOC", "ORG"):
            opens = prefix == "B" or not kept or not kept[-1].endswith(kind)
            kept.append(f"{'B' if opens else 'I'}-{kind}")
        else:
            kept.append(IGNORED)
    return kept
