"""Lists of feeds: OPML and plain text → subscriptions, and subscriptions → OPML.

The reader takes what feed readers write and what people edit by hand: nested folders, any case of ``xmlUrl``, entities
of HTML, stray ``&`` and ``<``, missing end tags. So it reads the document as HTML, which has no entities of a document's
own and no external ones. (``listparser`` does the same, but it garbles Arabic names and drops the settings of a feed.)
It runs in a child process (``services.child_parser``).
"""

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from xml.etree import ElementTree as ET

from lxml import etree

# An outline's attributes of Khabar: settings that OPML has no attributes for.
NAMESPACE: Final = "https://khabar.invalid/ns/opml"
_PREFIX: Final = "khabar:"
# Folders below this depth are ignored, their feeds are not.
_MAX_DEPTH: Final = 20
_MAX_NAME: Final = 500
_OPML = re.compile(r"<\s*(?:opml|outline|body)\b", re.IGNORECASE)
_COMMENT = re.compile(r"(?:^|\s)#.*")
_HIDDEN: Final = frozenset("\ufeff\u200b\u200e\u200f\u2060")


@dataclass(frozen=True)
class Outline:
    """One subscription in a list: ``place`` says where, ``folders`` are those that it is in, outermost first.

    ``url``: as it is written there, not checked. The other fields are None where the list does not say.
    """

    place: str
    url: str
    name: str | None = None
    site: str | None = None
    language: str | None = None
    interval: float | None = None
    full_text: bool | None = None
    folders: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class NoList(ValueError):
    """The document is no list of feeds; the message says why."""


def read(document: bytes) -> bytes:
    """``subscriptions`` in a child process: the result is a line of JSON, an object with ``error`` or ``outlines``."""
    try:
        found = subscriptions(document.decode("utf-8"))
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
            raise NoList("the OPML names no feed: no outline has an xmlUrl")
        return reader.outlines
    if text.lstrip().startswith("<"):
        raise NoList("neither OPML nor a text with one URL a line")
    lines = ((number, _cleaned(_COMMENT.sub("", line))) for number, line in enumerate(text.splitlines(), 1))
    outlines = [Outline(f"line {number}", line) for number, line in lines if line]
    if not outlines:
        raise NoList("there is no feed in it")
    return outlines


class _OpmlReader:
    """Collects outlines: a target of lxml, which gives it names in lower case and values with resolved entities."""

    def __init__(self) -> None:
        self.outlines: list[Outline] = []
        self._count = 0
        # The name of each open outline; None for one that is a feed itself.
        self._open: list[str | None] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """A tag; outlines stay open until their end."""
        if _local(tag) == "outline":
            self._count += 1
            self._open.append(self._outline(attributes))

    def end(self, tag: str) -> None:
        """The end of an element."""
        if _local(tag) == "outline" and self._open:
            self._open.pop()

    def close(self) -> None:
        """The end of the document."""

    def _outline(self, attributes: dict[str, str]) -> str | None:
        given = {_attribute(name): _cleaned(value) for name, value in attributes.items()}
        name = (given.get("title") or given.get("text") or "")[:_MAX_NAME] or None
        url = given.get("xmlurl") or given.get("feedurl")
        kind = given.get("type", "").lower()
        if not url and kind in {"rss", "atom", "feed", "link"}:
            url = given.get("url")
        if not url:
            if kind in {"rss", "atom", "feed"}:
                self.outlines.append(Outline(self._place(), "", name, problems=["no xmlUrl"]))
            return name
        problems: list[str] = []
        self.outlines.append(
            Outline(
                place=self._place(),
                url=url,
                name=name if name != url else None,
                site=given.get("htmlurl") or None,
                language=given.get("language") or None,
                interval=_interval(given.get("khabar:interval"), problems),
                full_text={"true": True, "false": False}.get(given.get("khabar:fulltext", "").lower()),
                folders=[folder for folder in self._open if folder][:_MAX_DEPTH],
                problems=problems,
            )
        )
        return None

    def _place(self) -> str:
        return f"outline {self._count}"


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


def _cleaned(value: str) -> str:
    """A value on one line without invisible characters at its ends."""
    return " ".join("".join(one for one in value if one not in _HIDDEN).split())


def write(outlines: list[Outline], *, title: str, created: str) -> bytes:
    """An OPML 2.0 document of these subscriptions, feeds in folders as they name them. ``created``: an RFC 822 date."""
    ET.register_namespace("khabar", NAMESPACE)
    root = ET.Element("opml", version="2.0")
    head, body = ET.SubElement(root, "head"), ET.SubElement(root, "body")
    ET.SubElement(head, "title").text = title
    ET.SubElement(head, "dateCreated").text = created
    folders: dict[tuple[str, ...], ET.Element] = {(): body}
    for outline in outlines:
        path: tuple[str, ...] = ()
        for folder in outline.folders:
            parent, path = folders[path], (*path, folder)
            if path not in folders:
                folders[path] = ET.SubElement(parent, "outline", text=_writable(folder))
        name = outline.name or outline.url
        settings = {
            "htmlUrl": outline.site,
            "language": outline.language,
            f"{{{NAMESPACE}}}interval": None if outline.interval is None else f"{outline.interval:g}",
            f"{{{NAMESPACE}}}fullText": None if outline.full_text is None else str(outline.full_text).lower(),
        }
        given = {key: _writable(value) for key, value in settings.items() if value}
        ET.SubElement(
            folders[path],
            "outline",
            {"type": "rss", "text": _writable(name), "title": _writable(name), "xmlUrl": _writable(outline.url), **given},
        )
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


# What XML 1.0 cannot hold.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _writable(text: str) -> str:
    return _UNWRITABLE.sub("", text)
