"""The files of the synthetic stream: articles, the truth beside them, bursts. Written line by line."""

import contextlib
import gzip
import io
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from ingest.generator.stream import Stream
from services import zstd
from services.progress import counted

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
_BUFFER = 1_000_000


def write(stream: Stream, out: Path | None, truth: Path | None, bursts: Path | None, *, progress: bool) -> None:
    """Write the articles to ``out`` (None: standard output), packed as its name says, and what is known of them.

    What lies there is overwritten. Raises ``OSError`` when a file cannot be written.
    """
    with (
        _open(out) if out is not None else contextlib.nullcontext(sys.stdout.buffer) as articles,
        _open(truth) if truth is not None else contextlib.nullcontext() as truths,
        counted(stream.articles, "articles", shown=progress) as count,
    ):
        for article, known in stream:
            articles.write(_line(article))
            if truths is not None:
                truths.write(_line(known.record()))
            count(1)
        articles.flush()
    if bursts is not None:
        with _open(bursts) as file:
            for burst in stream.bursts:
                file.write(_line(burst.record()))


@contextlib.contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """A file to write lines to. The same lines give the same bytes: no name and no time goes into a packed file."""
    name = path.name.lower()
    with contextlib.ExitStack() as stack:
        file: Any = stack.enter_context(path.open("wb"))
        if name.endswith(".gz"):
            file = stack.enter_context(gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0))
        elif name.endswith(".zst"):
            file = stack.enter_context(zstd.ZstdFile(file, "wb"))
        yield cast(BinaryIO, stack.enter_context(io.BufferedWriter(file, _BUFFER)))


def _line(record: Mapping[str, object]) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"
