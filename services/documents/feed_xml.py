"""The XML of feeds → a tree, also where it is broken: most feeds are well-formed, and lxml reads them as they are.

What is not is mended first, in one pass: entities of HTML, bare ampersands and angle brackets, unclosed CDATA sections
and elements, prefixes without a declaration. No entry is lost for it, and no entity is expanded but plain text.
"""

import html.entities
import re
from typing import Final

from lxml import etree

# What may begin a feed, and what stands before it (the XML declaration, a document type, output of a broken server).
_ROOT = re.compile(
    r"<(?:[A-Za-z][\w.-]{0,20}:)?(?:rss|feed|rdf|urlset|sitemapindex|channel|opml)(?=[\s>/])", re.IGNORECASE
)
_OUTSIDE_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PLAIN_ENTITY = re.compile(
    r"""<!ENTITY\s{1,9}([A-Za-z][\w.-]{0,40})\s{1,9}(?:"([^"<&%]{0,100})"|'([^'<&%]{0,100})')\s{0,9}>"""
)
# Numbers that mean letters of windows-1252, as in browsers.
_WINDOWS_REFERENCE = re.compile(r"&#0{0,3}(12[89]|1[34][0-9]|15[0-9]);")

_START = re.compile(r"""<([A-Za-z_][\w.:-]*+)((?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+)>""")
_SLOPPY_START = re.compile(r"<([A-Za-z_][\w.:-]*+)([^<>]*+)>")
_END = re.compile(r"</([A-Za-z_][\w.:-]*+)[^<>]*+>")
_ATTRIBUTE = re.compile(r"""([A-Za-z_][\w.:-]*+)\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s"'>]++)""")
_REFERENCE = re.compile(r"&(?:(#[0-9]{1,8}|#[xX][0-9A-Fa-f]{1,7}|[A-Za-z][A-Za-z0-9]{1,40});)?")
_XML_NAMES: Final = frozenset({"amp", "lt", "gt", "quot", "apos"})
_CDATA, _CDATA_END = "<![CDATA[", "]]>"

_ENTRIES: Final = frozenset({"item", "entry"})
# Elements of a feed that hold text alone: the next of them closes one that was left open.
_LEAVES: Final = frozenset(
    {
        "title",
        "link",
        "guid",
        "id",
        "pubdate",
        "published",
        "updated",
        "author",
        "category",
        "comments",
        "ttl",
        "language",
    }
)
_VOID: Final = frozenset({"br", "img", "hr", "wbr", "input"})
_DEEPEST: Final = 100
_DECLARED = re.compile(r"xmlns:([\w.-]{1,40})\s{0,9}=")
# Further ones stay undeclared, so that their elements are read by their whole names.
_MOST_PREFIXES: Final = 50

_STRICT: Final = etree.XMLParser(
    resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True, huge_tree=True, collect_ids=False
)
_TOLERANT: Final = etree.XMLParser(
    recover=True,
    resolve_entities=False,
    no_network=True,
    remove_comments=True,
    remove_pis=True,
    huge_tree=True,
    collect_ids=False,
)


def parse_xml(text: str) -> tuple[etree._Element | None, list[str]]:
    """The root element, and what was wrong with the document; None where no element of a feed is found.

    The time is linear in the length.
    """
    opening = _ROOT.search(text)
    if opening is None:
        return None, []
    before = text[: opening.start()]
    text = text[opening.start() :]
    if "&#1" in text or "&#01" in text:
        text = _WINDOWS_REFERENCE.sub(_windows_letter, text)
    problem = None
    if text.count(_CDATA) == text.count(_CDATA_END):
        try:
            return etree.fromstring(text.encode(), _STRICT), []
        except etree.XMLSyntaxError as error:
            problem = str(error.msg)
        except UnicodeEncodeError:
            problem = "it has halves of characters"
    else:
        problem = "a CDATA section is not closed"
    text = _OUTSIDE_XML.sub("", text)
    entities = {name: first or second for name, first, second in _PLAIN_ENTITY.findall(before[:100_000])}
    root = etree.fromstring(mend(text, entities).encode(), _TOLERANT)
    return root, [f"the XML is broken and was mended: {problem[:200]}"]


def inner_markup(element: etree._Element) -> str:
    """What an element holds, as HTML without namespaces."""
    parts: list[str] = [_escape(element.text or "")]
    for event, node in etree.iterwalk(element, events=("start", "end")):
        if node is element or not isinstance(node.tag, str):
            continue
        name = local_name(node.tag)
        if event == "start":
            attributes = "".join(f' {local_name(key)}="{_escape(value, quoted=True)}"' for key, value in node.items())
            parts.append(f"<{name}{attributes}>" + _escape(node.text or ""))
        else:
            parts.append(("" if name in _VOID else f"</{name}>") + _escape(node.tail or ""))
    return "".join(parts)


def local_name(tag: str) -> str:
    """A name without its namespace or prefix, in lower case."""
    return tag.rpartition("}")[2].rpartition(":")[2].lower()


def mend(text: str, entities: dict[str, str]) -> str:
    """The XML of a feed with every element closed, every reference resolved and every prefix declared."""
    return _Mender(text, entities).run()


class _Mender:
    def __init__(self, text: str, entities: dict[str, str]) -> None:
        self._text = text
        self._entities = entities
        self._out: list[str] = []
        # Names of open elements, as written.
        self._open: list[str] = []
        self._prefixes: set[str] = set()
        self._no_comment_end = self._no_cdata_end = False

    def run(self) -> str:
        text, at, end = self._text, 0, len(self._text)
        while at < end:
            opening = text.find("<", at)
            if opening < 0:
                opening = end
            if opening > at:
                self._out.append(self._characters(text[at:opening]))
            if opening == end:
                break
            at = self._markup(opening)
        while self._open:
            self._close()
        return self._declared("".join(self._out))

    def _markup(self, at: int) -> int:  # noqa: PLR0911
        """Read what begins with "<" at a place; the place after it."""
        text, sign = self._text, self._text[at + 1 : at + 2]
        if sign == "!":
            if text.startswith(_CDATA, at):
                return self._cdata(at + len(_CDATA))
            if text.startswith("<!--", at):
                return self._skip("-->", at, at + 4)
            return self._skip(">", at, at + 2)
        if sign == "?":
            return self._skip("?>", at, at + 2)
        if sign == "/":
            if found := _END.match(text, at):
                self._end(found[1])
                return found.end()
        elif found := _START.match(text, at) or _SLOPPY_START.match(text, at):
            self._start(found[1], found[2])
            return found.end()
        self._out.append("&lt;")
        return at + 1

    def _skip(self, mark: str, at: int, after: int) -> int:
        """Leave out a comment or an instruction; where it has no end, only what begins it."""
        if mark == "-->" and self._no_comment_end:
            return after
        # An instruction ends near, so looking for the end of many takes no time.
        end = self._text.find(mark, after, len(self._text) if mark == "-->" else at + 2_000)
        if end < 0:
            self._no_comment_end |= mark == "-->"
            return after
        return end + len(mark)

    def _cdata(self, begin: int) -> int:
        text = self._text
        end = -1 if self._no_cdata_end else text.find(_CDATA_END, begin)
        self._no_cdata_end = end < 0
        following = text.find(_CDATA, begin)
        limit = len(text) if following < 0 else following
        after = end + len(_CDATA_END)
        if self._open and (end < 0 or limit < end):
            # It has no end, so the end tag of its element is one; else CDATA stands in CDATA.
            closing = text.find(f"</{self._open[-1]}", begin, limit)
            if closing >= 0:
                end = after = closing
        if end < 0:
            end = after = limit
        self._out.append(_escape(text[begin:end].replace(_CDATA, "")))
        return after

    def _start(self, name: str, rest: str) -> None:
        local = name.rpartition(":")[2].lower()
        if local in _ENTRIES:
            while any(one.rpartition(":")[2].lower() in _ENTRIES for one in self._open):
                self._close()
        elif self._open and local in _LEAVES and self._open[-1].lower() in _LEAVES and name.lower() in _LEAVES:
            self._close()
        if len(self._open) >= _DEEPEST:
            return
        name = self._named(name)
        seen: dict[str, str] = {}
        for key, quoted in _ATTRIBUTE.findall(rest):
            value = quoted[1:-1] if quoted[0] in "\"'" else quoted.removesuffix("/")
            if not (key.startswith("xmlns:") and not value):
                seen.setdefault(self._named(key), self._characters(value).replace('"', "&quot;").replace("<", "&lt;"))
        attributes = "".join(f' {key}="{value}"' for key, value in seen.items())
        closed = rest.endswith("/") or local in _VOID
        self._out.append(f"<{name}{attributes}{'/' if closed else ''}>")
        if not closed:
            self._open.append(name)

    def _end(self, name: str) -> None:
        wanted = self._named(name).lower()
        for place in range(len(self._open) - 1, -1, -1):
            one = self._open[place].lower()
            if one == wanted and place == 0:
                # What follows the end of the document belongs to it all the same.
                return
            if one == wanted:
                while len(self._open) > place:
                    self._close()
                return
            # The end tag of another entry's element, or of nothing.
            if one in _ENTRIES and wanted not in {"channel", "rss", "feed", "rdf:rdf"}:
                return

    def _close(self) -> None:
        self._out.append(f"</{self._open.pop()}>")

    def _named(self, name: str) -> str:
        prefix, colon, local = name.partition(":")
        if not colon:
            return name
        if not local or ":" in local or not (local[0].isalpha() or local[0] == "_"):
            return name.replace(":", "_")
        self._prefixes.add(prefix)
        return name

    def _characters(self, text: str) -> str:
        return (_REFERENCE.sub(self._reference, text) if "&" in text else text).replace(_CDATA_END, "")

    def _reference(self, found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return "&amp;"
        if name in _XML_NAMES:
            return found[0]
        if name.startswith("#"):
            number = int(name[2:], 16) if name[1] in "xX" else int(name[1:])
            character = chr(number) if number <= 0x10FFFF else ""
            return "" if not character or _OUTSIDE_XML.match(character) else _escape(character)
        character = self._entities.get(name) or html.entities.html5.get(f"{name};", "")
        return _escape(character) if character else f"&amp;{name};"

    def _declared(self, text: str) -> str:
        missing = sorted(self._prefixes - {"xml", "xmlns"} - set(_DECLARED.findall(self._text)))[:_MOST_PREFIXES]
        if not missing:
            return text
        # After the name of the root. Names are looked up with their prefixes where the namespace is not known.
        root = _START.match(text)
        if root is None:
            return text
        declarations = "".join(f' xmlns:{one}="prefix:{one}"' for one in missing)
        return text[: root.end(1)] + declarations + text[root.end(1) :]


def _windows_letter(found: re.Match[str]) -> str:
    return bytes([int(found[1])]).decode("cp1252", "ignore")


def _escape(text: str, *, quoted: bool = False) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;") if quoted else text
