"""Web archives (WARC) → articles: the HTML pages in them."""

import io
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from warcio.archiveiterator import ArchiveIterator
from warcio.bufferedreaders import BufferedReader
from warcio.exceptions import ArchiveLoadFailed
from warcio.recordloader import ArcWarcRecord

from services.documents.page_articles import page_article

# A larger page is left out.
MAX_PAGE: Final = 5_000_000
_HTML: Final = ("text/html", "application/xhtml+xml")


class Damaged(Exception):
    """The archive cannot be read any further; the message says why."""


def read_pages(file: io.BufferedIOBase, skipped: "Counter[str]") -> Iterator[tuple[int, str, dict[str, Any]]]:
    """The pages that have an article: number of the record from 1 on, address, and the fields of ``ArticleIn``.

    ``file`` is not compressed. Of each record at most ``MAX_PAGE`` is in memory. Counts all others in ``skipped`` by
    the reason. Raises ``Damaged``.
    """
    number = 0
    try:
        for record in ArchiveIterator(file):
            number += 1
            if record.rec_type in {"warcinfo", "request", "metadata"}:
                continue  # what belongs to other records
            found = _read(record)
            if isinstance(found, str):
                skipped[found] += 1
            else:
                yield number, record.rec_headers.get_header("WARC-Target-URI") or "", found
    except (ArchiveLoadFailed, ValueError, EOFError) as error:
        raise Damaged(f"record {number + 1}: {error}") from error


def _no_page(record: ArcWarcRecord) -> str | None:
    """Why a record is no page."""
    if record.rec_type != "response" or record.http_headers is None:
        return f"{record.rec_type} records"
    status = record.http_headers.get_statuscode()
    if status != "200":
        return f"status {status}"
    content_type = record.http_headers.get_header("Content-Type") or ""
    if content_type.partition(";")[0].strip().lower() not in _HTML:
        return "not HTML"
    encoding = (record.http_headers.get_header("Content-Encoding") or "identity").strip().lower()
    if encoding not in {"identity", *BufferedReader.get_supported_decompressors()}:
        return f"compressed by {encoding}"
    return None


def _read(record: ArcWarcRecord) -> dict[str, Any] | str:
    """The fields of the article in a record, or why there is none."""
    if reason := _no_page(record):
        return reason
    content_type = record.http_headers.get_header("Content-Type")
    data = _content(record)
    if len(data) > MAX_PAGE:
        return f"larger than {MAX_PAGE} bytes"
    url = (record.rec_headers.get_header("WARC-Target-URI") or "").strip("<> ")
    fields = page_article(data, content_type=content_type, url=url or None)
    if fields is None:
        return "without an article"
    if fields["published_at"] is None:
        fields["published_at"] = _captured(record.rec_headers.get_header("WARC-Date"))
    return fields


def _content(record: ArcWarcRecord) -> bytes:
    """What was sent, without transfer and content encoding; of a larger page ``MAX_PAGE`` bytes and one more."""
    data = bytearray()
    stream = record.content_stream()
    while len(data) <= MAX_PAGE and (part := stream.read(MAX_PAGE + 1 - len(data))):
        data += part
    return bytes(data)


def _captured(date: str | None) -> str | None:
    """When a page was captured; it was published before that."""
    try:
        return datetime.fromisoformat(date or "").isoformat()
    except ValueError:
        return None
