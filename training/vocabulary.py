"""Make the word list that is used to split glued words: ``python -m training.vocabulary CORPUS OUT``.

CORPUS is the archive of the ANT corpus 1.1 (``antcorpus-1.1.tar.gz``); OUT is
``enrich/languages/ar/word_counts.txt.gz``; ``enrich/languages/README.md`` describes its format. The same
corpus gives the same bytes.
"""

import gzip
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from enrich.text.tokens import is_arabic, tokens

# Minimum counts of the tiers. Rarer words are often misspelt or glued themselves.
TIERS = (1000, 300, 100, 30, 10, 3, 2)
_MIN_LETTERS, _MAX_LETTERS = 2, 14
_PART = re.compile(r"<(TITLE|TEXT)>(.*?)</\1>", re.DOTALL)


def texts(corpus: Path) -> Iterator[str]:
    """Titles and bodies of all articles of the archive."""
    with tarfile.open(corpus) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".txt") else None
            if file is not None:
                yield from (match[2] for match in _PART.finditer(file.read().decode()))


def count(parts: Iterator[str]) -> Counter[str]:
    """Count of each Arabic word form."""
    counter: Counter[str] = Counter()
    for part in parts:
        counter.update(word.form for word in tokens(part) if is_arabic(word.surface))
    return counter


def write(counter: Counter[str], out: Path) -> int:
    """Write the list; returns its number of words."""
    lines, written = [], 0
    ceiling: float = float("inf")
    for tier in TIERS:
        words = sorted(w for w, n in counter.items() if tier <= n < ceiling and _MIN_LETTERS <= len(w) <= _MAX_LETTERS)
        lines.append(" ".join([str(tier), *words]))
        written += len(words)
        ceiling = tier
    # Without name and time in the header the bytes depend only on the words.
    with out.open("wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=9, mtime=0) as file:
        file.write("\n".join(lines).encode() + b"\n")
    return written


@click.command()
@click.argument("corpus", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
def main(corpus: Path, out: Path) -> None:
    """Count the words of CORPUS and write the list to OUT."""
    click.echo(f"{write(count(texts(corpus)), out)} words")


if __name__ == "__main__":
    main()
