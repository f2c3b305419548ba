"""List the ordinary words of a language: ``python -m training.ordinary_words OUT FILE...``.

Each FILE has running text, a sentence a line, plain or compressed by xz. OUT is
``enrich/languages/CODE/ordinary_words.txt.gz``; ``enrich/languages/README.md`` describes its format and the texts. The
same texts give the same bytes.
"""

import gzip
import lzma
from collections import Counter
from pathlib import Path

import click

from enrich.text.tokens import tokens

_SHORTEST = 2
# In texts of fewer words than this, a word seen once counts.
_MANY_WORDS = 100_000


def ordinary_words(texts: list[str]) -> list[str]:
    """The words that occur without a capital, as they are written, in alphabetical order."""
    counts: Counter[str] = Counter()
    for text in texts:
        words = [token.surface for line in text.splitlines() for token in tokens(line)]
        counts.update(word for word in words if word.isalpha() and word.islower() and len(word) >= _SHORTEST)
    least = 2 if counts.total() >= _MANY_WORDS else 1
    return sorted(word for word, count in counts.items() if count >= least)


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(out: Path, files: tuple[Path, ...]) -> None:
    """Write the ordinary words of FILES to OUT."""
    read = [lzma.decompress(file.read_bytes()) if file.suffix == ".xz" else file.read_bytes() for file in files]
    words = ordinary_words([content.decode("utf-8", errors="replace") for content in read])
    # Without name and time in the header the bytes depend only on the words.
    with out.open("wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=9, mtime=0) as file:
        file.write("\n".join(words).encode() + b"\n")
    click.echo(f"{len(words)} words")


if __name__ == "__main__":
    main()
