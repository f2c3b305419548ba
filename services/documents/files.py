"""Reading articles from files and directories, one at a time, each with the place it came from.

A file holds JSON (an article a line, an object, or an array), a text, a web page, a feed, or a web archive (WARC);
compressed by gzip or zstd or not; in any encoding.
"""

import contextlib
import gzip
import io
import os
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from services import zstd
from services.documents import file_kinds, lines, warc
from services.documents.encodings import decode
from services.documents.feed import FeedContent, FeedEntry, NotAFeed
from services.documents.feed_parser import parse_feed
from services.documents.file_kinds import Kind
from services.documents.page_articles import page_article, source_of
from services.events import ArticleIn
from services.parsing import InvalidArticle, MalformedBody, array_elements, check, parse

STDIN: Final = Path("-")
MAX_LINE_BYTES = 16_000_000
# The largest JSON document, which is in memory as a whole; JSONL may have any size.
MAX_JSON_BYTES = 256_000_000

KINDS: Final = f"{', '.join(file_kinds.NAMES)}; each also with {' or '.join(file_kinds.PACKED)}"
# Files in the same directory that hold no articles: the truth about them, and notes for people.
_BESIDE = {"bursts", "gold", "truth"}
_NOTES = ("readme", "license", "licence", "notice", "changelog")
# Large windows are allowed: these are the user's own files.
_ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 31}
# What the kind and the encoding of a file are seen from.
_HEAD_BYTES: Final = 65_536
_DAMAGES: Final = (OSError, EOFError, zlib.error, zstd.ZstdError)


class FilesError(Exception):
    """A path is missing, unreadable, or of an unknown kind; the message names it."""


@dataclass(frozen=True)
class Item:
    """One article, or the error in its place, with its position: ``file:line``, ``file[number]`` in other kinds.

    ``note``: what else a person should know of this place. An item may have a note alone.
    """

    place: str
    article: ArticleIn | None = None
    error: str | None = None
    note: str | None = None


def read_articles(paths: Sequence[Path], *, stdin: Kind | None = None) -> Iterator[Item]:
    """Every article of the files, and of the directories recursively in sorted order; ``-`` is standard input.

    ``stdin``: what standard input holds, unless its beginning shows it. Raises ``FilesError`` at once for a path that
    is missing or of an unknown kind; what is wrong inside a file is an item with an error, and reading continues after
    it.
    """
    files = find(paths)
    return (item for path in files for item in (_read_stdin(stdin) if path == STDIN else read_file(path)))


def _read_stdin(kind: Kind | None) -> Iterator[Item]:
    return read_stream(sys.stdin.buffer, kind=kind)


def find(paths: Sequence[Path]) -> list[Path]:
    """The files that ``read_articles`` reads, in its order. Raises ``FilesError``."""
    found: list[Path] = []
    for path in paths:
        if path == STDIN:
            found.append(path)
        elif path.is_dir():
            inside = [file for file in _walk(path) if _holds_articles(file)]
            if not inside:
                raise FilesError(f"{path}: no articles in this directory ({KINDS})")
            found += inside
        else:
            check_kind(path)
            found.append(path)
    return found


def check_kind(path: Path) -> None:
    """Return when a file can be read and is of a known kind, by its name or else its content. Raises ``FilesError``."""
    try:
        if file_kinds.of_name(path.name) is None:
            with _open(path) as file:
                if _kind(path.name, file.look(_HEAD_BYTES)) is None:
                    raise FilesError(f"{path}: {_unknown(path.name)}")
        elif not os.access(path, os.R_OK) and path.exists():
            raise FilesError(f"{path}: cannot be read")
        elif not path.exists():
            raise FilesError(f"{path}: no such file or directory")
    except FileNotFoundError:
        raise FilesError(f"{path}: no such file or directory") from None
    except _DAMAGES as error:
        raise FilesError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _unknown(name: str) -> str:
    if file_kinds.unpacked_name(name).lower().endswith(".opml"):
        return "a list of feeds, not of articles: khabar feeds import reads it"
    return f"not a kind of file that holds articles ({KINDS})"


def _walk(directory: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names))


def _holds_articles(path: Path) -> bool:
    name = path.name.lower()
    if file_kinds.of_name(name) is None or name.startswith((".", *_NOTES)):
        return False
    return file_kinds.stem_of(name).rpartition(".")[2] not in _BESIDE


def read_file(path: Path) -> Iterator[Item]:
    """Every article of a file."""
    try:
        with _open(path) as file:
            yield from _read(file, str(path), path.name)
    except OSError as error:
        yield Item(f"{path}:1", error=f"cannot be read: {error.strerror or error}")


def read_stream(stream: BinaryIO, name: str = "-", kind: Kind | None = None) -> Iterator[Item]:
    """Every article of a stream; ``name`` is its name in places, ``kind`` what it holds, unless its beginning shows it.

    Each line of JSONL is read when it arrives. Lines of JSON are assumed where nothing shows another kind.
    """
    with _unpacked(io.BufferedReader(_Reading(stream), _HEAD_BYTES), "") as content:
        yield from _read(content, name, "", kind or "jsonl", sniff=kind is None, wait=False)


class _Reading(io.RawIOBase):
    """Reads what a stream has, without waiting for more than that; leaves it open."""

    def __init__(self, stream: BinaryIO | io.BufferedIOBase) -> None:
        self._stream = stream
        self._ahead = b""
        self._error: Exception | None = None

    def look(self, size: int, *, wait: bool = True) -> bytes:
        """The beginning, which stays to be read. ``wait``: for ``size`` bytes; else for the first ones."""
        try:
            while len(self._ahead) < size and (data := self._next(size)):
                self._ahead += data
                if not wait:
                    break
        except _DAMAGES as error:
            self._error = error
        return self._ahead

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As ``RawIOBase``. Raises what is wrong with the stream after all before it was read."""
        if not self._ahead and self._error is not None:
            raise self._error
        data = self._ahead[: len(buffer)] or self._next(len(buffer))
        self._ahead = self._ahead[len(data) :]
        buffer[: len(data)] = data
        return len(data)

    def _next(self, size: int) -> bytes:
        data: bytes = getattr(self._stream, "read1", self._stream.read)(size)
        return data


def _read(  # noqa: PLR0913
    reading: _Reading, place: str, name: str, kind: Kind | None = None, *, sniff: bool = True, wait: bool = True
) -> Iterator[Item]:
    head = reading.look(_HEAD_BYTES, wait=wait)
    found = (_kind(name, head) or kind) if sniff else kind
    file = io.BufferedReader(reading, _HEAD_BYTES)
    if found is None:
        yield Item(f"{place}:1", error=_unknown(name))
    elif found == "jsonl":
        yield from _read_lines(file, head, place)
    elif found == "warc":
        yield from _read_warc(file, place)
    else:
        yield from _read_document(file, place, name, found)


def _kind(name: str, head: bytes) -> Kind | None:
    by_name = file_kinds.of_name(name)
    return file_kinds.of_content(head) if by_name is None else file_kinds.refined(by_name, head)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[_Reading]:
    """The content of a file, decompressed as its name or its beginning says."""
    with path.open("rb") as file, _unpacked(file, path.name) as content:
        yield content


@contextlib.contextmanager
def _unpacked(file: "io.BufferedReader[Any]", name: str) -> Iterator[_Reading]:
    packing = file_kinds.packing_of(name)
    head = file.peek(4)
    if packing == ".gz" or (not packing and head.startswith(file_kinds.GZIP)):
        with gzip.open(file, "rb") as content:
            yield _Reading(content)
    elif head and (packing == ".zst" or (not packing and head.startswith(file_kinds.ZSTD))):
        # An empty file is no frame, but it is not damaged either.
        with zstd.ZstdFile(file, options=_ZSTD_OPTIONS) as content:
            yield _Reading(content)
    else:
        yield _Reading(file)


def _read_lines(file: "io.BufferedReader[Any]", head: bytes, name: str) -> Iterator[Item]:
    read = lines.Lines(file, head, longest=MAX_LINE_BYTES)
    number = 0
    while True:
        number += 1
        place = f"{name}:{number}"
        try:
            line = read.next()
        except lines.TooLong as error:
            yield Item(place, error=str(error))
            continue
        except _DAMAGES as error:
            # Nothing can be read after a damaged part of a compressed file.
            yield Item(place, error=f"the file is damaged from here on: {error}")
            return
        if line is None:
            return
        if line:
            yield _item(place, parse(line.encode("utf-8", "surrogatepass")), bad=line.count("\ufffd"))


def _read_document(file: "io.BufferedReader[Any]", place: str, name: str, kind: Kind) -> Iterator[Item]:
    """A file that is read as a whole."""
    limit = MAX_JSON_BYTES if kind == "json" else MAX_LINE_BYTES
    try:
        data = file.read(limit + 1)
    except _DAMAGES as error:
        yield Item(f"{place}:1", error=f"the file is damaged from here on: {error}")
        return
    if len(data) > limit:
        hint = "; as JSONL, an article a line, it may have any size" if kind == "json" else ""
        yield Item(f"{place}:1", error=f"file larger than {limit} bytes{hint}")
    elif kind == "json":
        yield from _read_json(data, place)
    elif kind == "feed":
        yield from _read_feed(data, place)
    elif kind == "html":
        fields = page_article(data)
        if fields is None:
            yield Item(f"{place}:1", error="no article on this page")
            return
        if fields["url"] is None:
            fields["guid"] = file_kinds.stem_of(name) or None
        yield _item(f"{place}:1", fields)
    else:
        # A whole file as one article without a title; the file's name is its guid.
        text, _, problems = decode(data)
        yield _item(f"{place}:1", {"text": text, "guid": file_kinds.stem_of(name) or None}, note="; ".join(problems))


def _read_json(data: bytes, place: str) -> Iterator[Item]:
    sample = data[:_HEAD_BYTES]
    encoding = decode(sample)[1]
    if encoding.startswith(("utf-16", "utf-32")):
        data, encoding = decode(data)[0].encode(), "utf-8"
    if data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"[":
        index = -1
        try:
            for index, element in enumerate(array_elements(data)):
                yield _item(f"{place}[{index}]", parse(lines.text_of(element, encoding).encode()))
        except MalformedBody as error:
            yield Item(f"{place}[{index + 1}]", error=str(error))
        return
    parsed = parse(lines.text_of(data, encoding).encode())
    if isinstance(parsed, InvalidArticle) and "Extra data" in str(parsed):
        yield from _read_lines(io.BufferedReader(_Reading(io.BytesIO(data))), sample, place)
    elif (
        isinstance(parsed, dict) and isinstance(parsed.get("items"), list) and "jsonfeed" in str(parsed.get("version"))
    ):
        yield from _read_feed(data, place, "application/feed+json")
    else:
        yield _item(f"{place}:1", parsed)


def _read_feed(data: bytes, place: str, content_type: str = "") -> Iterator[Item]:
    try:
        content = parse_feed(data, content_type=content_type)
    except NotAFeed as error:
        hint = "; khabar feeds import reads a list of feeds" if b"<opml" in data[:_HEAD_BYTES] else ""
        yield Item(f"{place}:1", error=f"not a feed: {error}{hint}")
        return
    if content.problems or not content.entries:
        yield Item(f"{place}:1", note="; ".join(content.problems) or "the feed has no entries")
    guids = Counter(entry.guid for entry in content.entries)
    for index, entry in enumerate(content.entries):
        fields = _fields(entry, content, shared=guids[entry.guid] > 1)
        yield _item(f"{place}[{index}]", fields, note="; ".join(entry.problems))


def _fields(entry: FeedEntry, content: FeedContent, *, shared: bool) -> dict[str, Any]:
    """The fields of an entry's article. A guid that entries with other links have too is no identity."""
    same = ("url", "title", "html", "text", "published_at", "authors", "language")
    return {
        "guid": None if shared and entry.url else entry.guid,
        "source": source_of(content.site) or source_of(entry.url),
        **{name: getattr(entry, name) for name in same},
    }


def _read_warc(file: "io.BufferedReader[Any]", place: str) -> Iterator[Item]:
    skipped: Counter[str] = Counter()
    try:
        for number, _, fields in warc.read_pages(file, skipped):
            yield _item(f"{place}[{number}]", fields)
    except (warc.Damaged, *_DAMAGES) as error:
        yield Item(place, error=f"the file is damaged from here on: {error}")
    if skipped:
        yield Item(place, note=f"{skipped.total()} records were skipped: {_counts(skipped.most_common())}")


def _counts(counted: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counted)


def _item(place: str, value: object, *, bad: int = 0, note: str = "") -> Item:
    checked = check(value)
    if isinstance(checked, InvalidArticle):
        return Item(place, error=str(checked))
    if bad:
        note = f"encoding: {bad} bytes or sequences that have no meaning are U+FFFD"
    return Item(place, checked, note=note or None)
