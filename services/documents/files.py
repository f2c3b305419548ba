"""Reading articles from files and directories, one at a time, each with the place it came from."""

import contextlib
import gzip
import io
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from services import zstd
from services.events import ArticleIn
from services.parsing import InvalidArticle, check, parse

MAX_LINE_BYTES = 16_000_000

_LINES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
_KINDS = (*_LINES, ".json", ".txt")
# Files in the same directory that hold no articles: the truth about them, and notes for people.
_BESIDE = {"bursts", "gold", "truth"}
_NOTES = ("readme", "license", "licence", "notice", "changelog")
_BOM = b"\xef\xbb\xbf"
# Large windows are allowed: these are the user's own files.
_ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 31}


class FilesError(Exception):
    """A path is missing, unreadable, or of an unknown kind; the message names it."""


@dataclass(frozen=True)
class Item:
    """One article, or the error in its place, with its position: ``file:line`` (``file[index]`` in a JSON array)."""

    place: str
    article: ArticleIn | None = None
    error: str | None = None


def read_articles(paths: Sequence[Path]) -> Iterator[Item]:
    """Every article of the files, and of the directories recursively in sorted order.

    Raises ``FilesError`` at once for a path that is missing or of an unknown kind; what is wrong inside a
    file is an item with an error, and reading continues after it.
    """
    files = find(paths)
    return (item for path in files for item in _read(path))


def find(paths: Sequence[Path]) -> list[Path]:
    """The files that ``read_articles`` reads, in its order. Raises ``FilesError``."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [file for file in _walk(path) if _holds_articles(file)]
            if not inside:
                raise FilesError(f"{path}: no articles in this directory ({', '.join(_KINDS)})")
            found += inside
        elif not path.exists():
            raise FilesError(f"{path}: no such file or directory")
        elif not path.name.lower().endswith(_KINDS):
            raise FilesError(f"{path}: not a kind of file that holds articles ({', '.join(_KINDS)})")
        elif not os.access(path, os.R_OK):
            raise FilesError(f"{path}: cannot be read")
        else:
            found.append(path)
    return found


def _walk(directory: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names))


def _holds_articles(path: Path) -> bool:
    name = path.name.lower()
    kind = next((kind for kind in _KINDS if name.endswith(kind)), None)
    if kind is None or name.startswith((".", *_NOTES)):
        return False
    return name.removesuffix(kind).rpartition(".")[2] not in _BESIDE


def _read(path: Path) -> Iterator[Item]:
    name = path.name.lower()
    try:
        if name.endswith(_LINES):
            with _open(path) as file:
                yield from read_lines(file, str(path))
        elif name.endswith(".json"):
            yield from _read_json(path)
        else:
            yield from _read_text(path)
    except OSError as error:
        yield Item(f"{path}:1", error=f"cannot be read: {error.strerror or error}")


@contextlib.contextmanager
def _open(path: Path) -> Iterator[io.BufferedIOBase]:
    """The content of a file, decompressed as its name says."""
    name = path.name.lower()
    with path.open("rb") as file:
        if name.endswith(".gz"):
            with gzip.open(file, "rb") as content:
                yield content
        elif name.endswith(".zst") and file.peek(1):  # an empty file is no frame, but it is not damaged either
            with zstd.ZstdFile(file, options=_ZSTD_OPTIONS) as content:
                yield content
        else:
            yield file


def read_lines(file: BinaryIO | io.BufferedIOBase, name: str) -> Iterator[Item]:
    """Every article of a stream with one JSON object per line; ``name`` is its name in places."""
    number = 0
    while True:
        number += 1
        place = f"{name}:{number}"
        try:
            line = file.readline(MAX_LINE_BYTES + 1)
            long = len(line) > MAX_LINE_BYTES
            while long and line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE_BYTES)
        except (OSError, EOFError, zlib.error, zstd.ZstdError) as error:
            # Nothing can be read after a damaged part of a compressed file.
            yield Item(place, error=f"the file is damaged from here on: {error}")
            return
        if long:
            yield Item(place, error=f"line longer than {MAX_LINE_BYTES} bytes")
        elif not line:
            return
        elif line.strip().removeprefix(_BOM if number == 1 else b""):
            yield _item(place, parse(line))


def _read_json(path: Path) -> Iterator[Item]:
    parsed = parse(path.read_bytes())
    if isinstance(parsed, list):
        for index, value in enumerate(parsed):
            yield _item(f"{path}[{index}]", value)
    else:
        yield _item(f"{path}:1", parsed)


def _read_text(path: Path) -> Iterator[Item]:
    """A whole file as one article without a title; the file's name is its guid."""
    if path.stat().st_size > MAX_LINE_BYTES:
        yield Item(f"{path}:1", error=f"file larger than {MAX_LINE_BYTES} bytes")
        return
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        yield Item(f"{path}:1", error=f"not UTF-8: {error.reason} at byte {error.start}")
        return
    yield _item(f"{path}:1", {"text": text, "guid": path.stem})


def _item(place: str, value: object) -> Item:
    checked = check(value)
    return Item(place, error=str(checked)) if isinstance(checked, InvalidArticle) else Item(place, checked)
