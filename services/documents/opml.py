"""Lists of feeds: OPML and plain text → subscriptions, and subscriptions → OPML.

The reader takes what feed readers write and what people edit by hand: nested folders, any case of ``xmlUrl``, entities
of HTML, stray ``&`` and ``<``, missing end tags. So it reads the document as HTML, which knows no entities that the
document defines. (``listparser`` does the same, but it garbles Arabic names and drops the settings of a feed.)
``read`` runs in a child process (``services.child_parser``).
"""

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from xml.etree import ElementTree as ET

from lxml import etree

# An outline's attributes of Khabar, for settings that OPML has no attributes for.
NAMESPACE: Final = "urn:khabar:opml"
_PREFIX: Final = "khabar:"
# Further ones are refused: no list that people use has so many.
MAX_OUTLINES: Final = 20_000
_MAX_NAME: Final = 500
_MAX_LINE: Final = 10_000
_OPML = re.compile(r"<\s*(?:opml|outline|body)\b", re.IGNORECASE)
_COMMENT = re.compile(r"(?:^|\s)#.*")
_INVISIBLE = re.compile("[\ufeff\u200b\u200e\u200f\u2060\u202a-\u202e\u2066-\u2069\x00-\x1f\x7f-\x9f]")
# Types of outlines that are feeds; others with an xmlUrl are, too.
_FEED_TYPES: Final = frozenset(("rss", "atom", "feed", "rss1", "rss2", "json", "jsonfeed"))
# What XML 1.0 cannot hold.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class NoList(ValueError):
    """The document is no list of feeds; the message says why."""


@dataclass(frozen=True)
class Outline:
    """One subscription of a list; ``place`` says where in it.

    ``url``: as it is written there, not checked; "" where it is missing. ``source``: the name of its articles' source.
    The other fields are None where the list does not say. ``problems``: settings that were left out and why.
    """

    place: str
    url: str
    name: str | None = None
    site: str | None = None
    source: str | None = None
    language: str | None = None
    interval: float | None = None
    full_text: bool | None = None
    problems: list[str] = field(default_factory=list)


def read(document: bytes) -> bytes:
    """``subscriptions`` of a text in UTF-8, in a child process: JSON with ``error`` or ``outlines``."""
    try:
        found = subscriptions(document.decode("utf-8", "replace"))
    except NoList as error:
        return json.dumps({"error": str(error)}).encode()
    return json.dumps({"outlines": [asdict(outline) for outline in found]}).encode()


def outlines_of(result: bytes) -> list[Outline]:
    """The result of ``read``. Raises ``NoList``."""
    answer: dict[str, Any] = json.loads(result)
    if "error" in answer:
        raise NoList(answer["error"])
    return [Outline(**one) for one in answer["outlines"]]


def subscriptions(text: str) -> list[Outline]:
    """Every subscription of an OPML document, or of a text with one URL a line. Raises ``NoList``."""
    text = text.lstrip("\ufeff")
    if _OPML.search(text):
        reader = _OpmlReader()
        parser = etree.HTMLParser(target=reader, encoding="utf-8", recover=True, no_network=True, huge_tree=True)
        etree.fromstring(text.encode("utf-8", "replace"), parser)
        if not reader.outlines:
            raise NoList("this OPML has no feeds: no outline has an xmlUrl")
        return reader.outlines
    if text.lstrip().startswith("<"):
        raise NoList("neither OPML nor a text with one URL a line")
    lines = ((number, _clean(_COMMENT.sub("", line[:_MAX_LINE]))) for number, line in enumerate(text.splitlines(), 1))
    outlines = [Outline(f"line {number}", line) for number, line in lines if line]
    if not outlines:
        raise NoList("the list has no feeds")
    if len(outlines) > MAX_OUTLINES:
        raise NoList(f"the list has more than {MAX_OUTLINES} feeds")
    return outlines


def write(outlines: list[Outline], *, title: str, created: str) -> bytes:
    """An OPML 2.0 document of these subscriptions. ``created``: a date as in RFC 822."""
    ET.register_namespace(_PREFIX.rstrip(":"), NAMESPACE)
    root = ET.Element("opml", version="2.0")
    head, body = ET.SubElement(root, "head"), ET.SubElement(root, "body")
    ET.SubElement(head, "title").text = title
    ET.SubElement(head, "dateCreated").text = created
    for outline in outlines:
        name = outline.name or outline.url
        attributes = {
            "type": "rss",
            "text": name,
            "title": name,
            "xmlUrl": outline.url,
            "htmlUrl": outline.site,
            "language": outline.language,
            _qualified("source"): outline.source,
            _qualified("interval"): None if outline.interval is None else f"{outline.interval:g}",
            _qualified("fullText"): None if outline.full_text is None else str(outline.full_text).lower(),
        }
        ET.SubElement(body, "outline", {key: _UNWRITABLE.sub("", value) for key, value in attributes.items() if value})
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


class _OpmlReader:
    """Collects outlines: a target of lxml, which gives it names in lower case and values with resolved entities."""

    def __init__(self) -> None:
        self.outlines: list[Outline] = []
        self._count = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """A tag."""
        if _local(tag) != "outline":
            return
        self._count += 1
        if len(self.outlines) >= MAX_OUTLINES:
            raise NoList(f"the list has more than {MAX_OUTLINES} feeds")
        given = {_attribute(name): _clean(value) for name, value in attributes.items()}
        name = (given.get("title") or given.get("text") or "")[:_MAX_NAME] or None
        is_feed = given.get("type", "").lower() in _FEED_TYPES
        url = given.get("xmlurl") or given.get("feedurl") or (given.get("url") if is_feed else None)
        if not url and not is_feed:
            return  # a folder, or a link to something else
        problems: list[str] = []
        self.outlines.append(
            Outline(
                place=f"outline {self._count}",
                url=url or "",
                name=name if name != url else None,
                site=given.get("htmlurl") or None,
                source=given.get("khabar:source") or None,
                language=given.get("language") or None,
                interval=_interval(given.get("khabar:interval"), problems),
                full_text={"true": True, "false": False}.get(given.get("khabar:fulltext", "").lower()),
                problems=problems,
            )
        )

    def close(self) -> None:
        """The end of the document."""


def _interval(given: str | None, problems: list[str]) -> float | None:
    if not given:
        return None
    try:
        return float(given)
    except ValueError:
        problems.append(f"interval: {given[:40]!r} is not a number of seconds")
        return None


def _local(tag: str) -> str:
    return tag.rpartition(":")[2]


def _attribute(name: str) -> str:
    """The name without a prefix, except that of Khabar."""
    return name if name.startswith(_PREFIX) else _local(name)


def _qualified(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _clean(value: str) -> str:
    """A value on one line, without invisible characters."""
    return " ".join(_INVISIBLE.sub("", re.sub(r"[\t\r\n]", " ", value)).split())
