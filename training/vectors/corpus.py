"""Unlabelled sentences: newspapers of the Leipzig corpora, Wikipedia, the ANT corpus."""

import lzma
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

# Shorter lines are headings, captions and fragments.
_SHORTEST = 25
_LONGEST = 400
_FIELDS = re.compile(r"<(TITLE|TEXT)>(.*?)</\1>", re.DOTALL | re.IGNORECASE)
_TAGS = re.compile(r"<[^>]+>|<!\[CDATA\[|\]\]>")
_SENTENCE_END = re.compile(r"\n|(?<=[.!؟])\s")
_SENTENCES_A_FIELD = 3
# Wikipedia's sentences are tokenised: a space stands before a comma and after an opening mark.
_SPACE_BEFORE, _SPACE_AFTER = re.compile(r"\s+([.,;:!?»)])"), re.compile(r"([«(])\s+")


def sentences(data: Path) -> list[tuple[str, str]]:
    """The sentences of a folder with ``text/leipzig``, ``text/wikipedia`` and ``antcorpus``, each with its language."""
    return list(dict.fromkeys([*_leipzig(data), *_wikipedia(data), *_ant(data)]))


def _leipzig(data: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((data / "text" / "leipzig").glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip():
                yield line.strip(), path.name[:2]


def _wikipedia(data: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((data / "text" / "wikipedia").glob("*.xz")):
        with lzma.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                if len(line) > _SHORTEST:
                    yield _SPACE_BEFORE.sub(r"\1", _SPACE_AFTER.sub(r"\1", line.strip())), path.name[:2]


def _ant(data: Path) -> Iterator[tuple[str, str]]:
    with tarfile.open(data / "antcorpus" / "antcorpus-1.1.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() and "/" in member.name else None
            for _, field in _FIELDS.findall(file.read().decode("utf-8", "ignore")) if file else ():
                for part in _SENTENCE_END.split(_TAGS.sub(" ", field))[:_SENTENCES_A_FIELD]:
                    if len(part.strip()) > _SHORTEST:
                        yield " ".join(part.split())[:_LONGEST], "ar"
