"""The kind of a file, by its name, and by its content where the name does not say it."""

import re
from pathlib import PurePath
from typing import Final, Literal

from services.documents.encodings import decode

Kind = Literal["jsonl", "json", "text", "html", "feed", "warc"]

NAMES: Final[dict[str, Kind]] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".txt": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".xml": "feed",
    ".rss": "feed",
    ".atom": "feed",
    ".rdf": "feed",
    ".warc": "warc",
}
PACKED: Final = (".gz", ".zst")
GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
_LOOKED_AT: Final = 4_000
_ROOT = re.compile(
    r"<(?:(?P<feed>rss|feed|rdf:RDF|urlset|opml)|(?P<page>!doctype\s+html|html))(?=[\s>])", re.IGNORECASE
)


def stem_of(name: str) -> str:
    """A file's name without what names its kind: ``a.truth`` of ``a.truth.jsonl.gz``."""
    plain = unpacked_name(name)
    return PurePath(plain).stem if of_name(plain) else plain


def unpacked_name(name: str) -> str:
    """A file's name without ``.gz`` or ``.zst``."""
    return name[: -len(packing)] if (packing := packing_of(name)) else name


def packing_of(name: str) -> str:
    """``.gz`` or ``.zst`` where a name ends so, else nothing."""
    return next((one for one in PACKED if name.lower().endswith(one)), "")


def of_name(name: str) -> Kind | None:
    """The kind that a file's name says, compressed or not."""
    return NAMES.get(PurePath(unpacked_name(name)).suffix.lower())


def of_content(head: bytes) -> Kind | None:
    """The kind that the beginning of a file shows, if any does; never plain text."""
    if head.startswith(b"WARC/1."):
        return "warc"
    text = decode(head[:_LOOKED_AT])[0].lstrip()
    if text.startswith("["):
        return "json"
    if text.startswith("{"):
        line, end, _ = text.partition("\n")
        return "json" if end and not line.rstrip().endswith("}") else "jsonl"
    if text.startswith("<") and (root := _ROOT.search(text)):
        return "feed" if root["feed"] else "html"
    return None


def refined(kind: Kind, head: bytes) -> Kind:
    """The kind by name, corrected where the content is surely another: a page or feed that was saved as text."""
    if kind not in {"text", "html"}:
        return kind
    found = of_content(head)
    return found if found in {"html", "feed"} and found is not None else kind
