"""RSS, RDF and Atom: from the tree of a document to its content."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Final

from lxml import etree

from services.documents import feed_fields, feed_links
from services.documents.dates import read_date
from services.documents.feed import FeedContent, FeedEntry, NotAFeed
from services.documents.feed_bodies import RANKS, Body, choose, make_body
from services.documents.feed_xml import inner_markup, local_name

_ATOM: Final = "http://www.w3.org/2005/Atom"
_ATOM_03: Final = "http://purl.org/atom/ns#"
_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
# Namespaces → the prefixes by which fields are named here. The elements of the formats themselves have none.
_PREFIXES: Final = {
    "": "",
    _ATOM: "",
    _ATOM_03: "",
    "http://purl.org/rss/1.0/": "",
    "http://my.netscape.com/rdf/simple/0.9/": "",
    "http://channel.netscape.com/rdf/simple/0.9/": "",
    "http://backend.userland.com/rss2": "",
    "http://backend.userland.com/rss": "",
    "http://blogs.law.harvard.edu/tech/rss": "",
    "http://cyber.law.harvard.edu/rss/rss.html": "",
    "http://purl.org/net/rss1.1#": "",
    "http://purl.org/rss/1.0/modules/content/": "content",
    "http://purl.org/rss/1.0/modules/syndication/": "sy",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://purl.org/dc/elements/1.0/": "dc",
    "http://purl.org/dc/terms/": "dcterms",
    "http://search.yahoo.com/mrss/": "media",
    "http://search.yahoo.com/mrss": "media",
    "https://search.yahoo.com/mrss/": "media",
    "http://www.itunes.com/dtds/podcast-1.0.dtd": "itunes",
    "http://www.itunes.com/DTDs/PodCast-1.0.dtd": "itunes",
    "http://www.google.com/schemas/play-podcasts/1.0": "googleplay",
    "http://rssnamespace.org/feedburner/ext/1.0": "feedburner",
    "http://wordpress.org/export/1.2/excerpt/": "excerpt",
    "http://news.yandex.ru": "yandex",
    "http://www.w3.org/1999/xhtml": "xhtml",
    "http://www.w3.org/2005/atom-link": "atomlink",
    _RDF: "rdf",
}
_XML: Final = "{http://www.w3.org/XML/1998/namespace}"
# Dates of publication before those of changes.
_PUBLISHED: Final = (
    *(
        "pubdate",
        "published",
        "dcterms:issued",
        "issued",
        "dc:date",
        "dcterms:created",
        "dcterms:available",
        "created",
        "date",
    ),
    *("updated", "dcterms:modified", "modified", "lastbuilddate"),
)
_AUTHORS: Final = ("author", "dc:creator", "dcterms:creator", "creator", "itunes:author", "dc:contributor")
_PERIODS: Final = {"hourly": 3_600, "daily": 86_400, "weekly": 604_800, "monthly": 2_592_000, "yearly": 31_536_000}
_SHOWN: Final = {"pubdate": "pubDate", "lastbuilddate": "lastBuildDate"}
_MEDIA: Final = frozenset({"media:group", "media:content"})


@cache
def _name(tag: str) -> str:
    """The name of an element with the prefix that its namespace usually has, in lower case."""
    if tag.startswith("{"):
        namespace, _, local = tag[1:].partition("}")
        prefix = _PREFIXES.get(namespace.strip())
        if prefix is None:
            prefix = namespace.removeprefix("prefix:") if namespace.startswith("prefix:") else namespace
    else:
        # A prefix without a declaration is part of the name.
        prefix, _, local = tag.rpartition(":")
    if prefix in {"atom", "a10", "rss"}:
        prefix = ""
    return f"{prefix}:{local}".lower() if prefix else local.lower()


@dataclass
class _Fields:
    """The elements of an entry or a channel by name."""

    element: etree._Element
    children: dict[str, list[etree._Element]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    origins: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, element: etree._Element) -> "_Fields":
        """The children of an element, and of its media groups."""
        fields = cls(element)
        for child in element:
            if not isinstance(child.tag, str):
                continue
            name = _name(child.tag)
            fields.children.setdefault(name, []).append(child)
            if name in _MEDIA:
                for inner in child.iter(etree.Element):
                    if inner is not child and (deeper := _name(inner.tag)) in RANKS:
                        fields.children.setdefault(deeper, []).append(inner)
        return fields

    def first(self, *names: str) -> str:
        """The text of the first of these elements that has one, or ""."""
        for name in names:
            for element in self.children.get(name, ()):
                if text := _text(element).strip():
                    return text
        return ""


def _text(element: etree._Element) -> str:
    """The text of an element; where it has elements, its markup."""
    return inner_markup(element) if len(element) else (element.text or "")


def read_feed(  # noqa: PLR0913
    root: etree._Element, *, url: str, links: Sequence[str], based: bool, max_entries: int, now: datetime
) -> FeedContent:
    """The content of an RSS, RDF or Atom document. ``links``: HTTP Link headers. ``based``: whether the document has
    xml:base. Raises ``NotAFeed``.
    """
    kind = _format(root)
    channel_element = root if kind.startswith("Atom") or local_name(root.tag) == "channel" else _channel(root)
    channel = _Fields.of(channel_element)
    # ``iter`` also finds items outside of the channel, and those that broken markup put into others.
    elements = [one for one in root.iter(etree.Element) if _name(one.tag) in {"item", "entry"} and one is not root]
    if not elements and "title" not in channel.children and "link" not in channel.children and len(root) < 1:
        raise NotAFeed(f"not a feed: {kind} without a channel and without entries")
    outer = _bases(channel_element, based)
    relations = list(_relations(channel.children.get("link", ())))
    site = _site(channel, relations, [*outer, url] if url else outer)
    atom = kind.startswith("Atom")
    # Links of RSS are relative to the site, those of Atom to the document unless it names another base.
    near, far = (url, site) if atom and not feed_links.any_broken(outer) else (site, url)
    bases = [base for base in (near, far) if base]
    language, problem = feed_fields.read_language(
        channel.first("language", "dc:language") or channel_element.get(f"{_XML}lang") or root.get(f"{_XML}lang") or ""
    )
    problems = [problem] if problem else []
    if len(elements) > max_entries:
        problems.append(f"entries: only the first {max_entries} of {len(elements)} are read")
    title, _ = feed_fields.read_title(_title_text(channel)[0])
    feed_authors = list(_author_values(channel, ("author",))) if atom else []
    related = [*feed_links.header_links(links), *((rel, href) for rel, href, _, _ in relations)]
    return FeedContent(
        format=kind,
        title=title,
        site=site,
        language=language,
        interval=_interval(channel),
        hub=_related("hub", related, bases),
        topic=_related("self", related, bases),
        entries=[
            _entry(one, bases=bases, based=based, language=language, authors=feed_authors, now=now, atom=atom)
            for one in elements[:max_entries]
        ],
        problems=problems,
    )


def _format(root: etree._Element) -> str:
    name, namespace = local_name(root.tag), root.tag.rpartition("}")[0].lstrip("{")
    if name == "feed":
        old = namespace == _ATOM_03 or root.get("version") in {"0.1", "0.2", "0.3"}
        return f"Atom {root.get('version') or '0.3'}" if old else "Atom 1.0"
    if name == "rdf":
        used = {one.tag.rpartition("}")[0].lstrip("{") for one in root if isinstance(one.tag, str)}
        return "RSS 0.90 (RDF)" if any("simple/0.9" in one for one in used) else "RSS 1.0 (RDF)"
    return f"RSS {(root.get('version') or '').strip() or '2.0'}"


def _channel(root: etree._Element) -> etree._Element:
    return next((one for one in root if isinstance(one.tag, str) and local_name(one.tag) == "channel"), root)


def _bases(element: etree._Element, based: bool) -> list[str]:
    """The values of xml:base of an element and those around it, the nearest first."""
    if not based:
        return []
    around = [element, *element.iterancestors()]
    return [base for one in around if (base := one.get(f"{_XML}base"))]


def _relations(elements: Sequence[etree._Element]) -> Iterator[tuple[str, str, str, etree._Element]]:
    """The relation, target and type of Atom's links, and of the links of RSS ("alternate")."""
    for element in elements:
        href = element.get("href")
        if href is not None:
            yield (
                (element.get("rel") or "alternate").lower().rpartition("/")[2],
                href,
                (element.get("type") or "").lower(),
                element,
            )
        elif text := _text(element).strip():
            yield "alternate", text, "", element


def _site(channel: _Fields, relations: Sequence[tuple[str, str, str, Any]], bases: Sequence[str]) -> str | None:
    for relation, href, kind, _ in relations:
        if relation == "alternate" and kind in {"", "text/html", "application/xhtml+xml"}:
            try:
                return feed_links.resolve(href, bases)
            except ValueError:
                continue
    return None


def _related(relation: str, relations: Sequence[tuple[str, str]], bases: Sequence[str]) -> str | None:
    for one, href in relations:
        if one == relation:
            try:
                return feed_links.resolve(href, bases)
            except ValueError:
                continue
    return None


def _interval(channel: _Fields) -> float | None:
    """Seconds between updates, as the feed announces them."""
    found = []
    if (minutes := _number(channel.first("ttl"))) is not None:
        found.append(minutes * 60)
    if period := _PERIODS.get(channel.first("sy:updateperiod").lower()):
        found.append(period / (_number(channel.first("sy:updatefrequency")) or 1))
    return max(found, default=None)


def _number(text: str) -> float | None:
    try:
        number = float(text) if len(text) < 20 else 0.0
    except ValueError:
        return None
    return number if 0 < number < 1e8 else None


def _entry(  # noqa: PLR0913
    element: etree._Element,
    *,
    bases: list[str],
    based: bool,
    language: str | None,
    authors: list[str],
    now: datetime,
    atom: bool,
) -> FeedEntry:
    fields = _Fields.of(element)
    origins, problems = fields.origins, fields.problems
    title = _title(fields, atom=atom)
    guid = _guid(fields)
    url = _url(fields, [*_bases(element, based), *bases], based=based)
    chosen = choose(list(_bodies(fields, atom=atom)), title, linked=url is not None)
    problems += chosen.problems
    text = chosen.text
    if chosen.origin:
        origins["html" if chosen.html is not None else "text"] = chosen.origin
    elif title:
        text, origins["text"] = title, "title"
    names, wrong = feed_fields.read_authors(_author_values(fields, _AUTHORS))
    problems += wrong
    if not names and authors:
        names, _ = feed_fields.read_authors(authors)
    own = fields.first("dc:language", "language") or element.get(f"{_XML}lang") or ""
    own_language, wrong_language = feed_fields.read_language(own)
    if wrong_language:
        problems.append(wrong_language)
    return FeedEntry(
        guid=guid,
        url=url,
        title=title,
        html=chosen.html,
        text=text,
        published_at=_published(fields, now),
        authors=names,
        language=own_language or language,
        origins=origins,
        problems=problems,
        summary_only=chosen.teaser,
    )


def _title_text(fields: _Fields) -> tuple[str, str, str]:
    """The text of the title, its type, and the element it came from."""
    for name in ("title", "dc:title", "dcterms:title", "media:title", "itunes:title"):
        for element in fields.children.get(name, ()):
            if text := _text(element).strip():
                return text, "xhtml" if len(element) else (element.get("type") or ""), name
    return "", "", ""


def _title(fields: _Fields, *, atom: bool) -> str | None:
    text, kind, origin = _title_text(fields)
    title, problem = feed_fields.read_title(text, plain=atom and kind in {"", "text", "text/plain"})
    if title:
        fields.origins["title"] = origin
    if problem:
        fields.problems.append(problem)
    return title


def _guid(fields: _Fields) -> str | None:
    name = next((one for one in ("guid", "id", "dc:identifier") if fields.first(one)), "rdf:about")
    guid, problem = feed_fields.read_guid(fields.first(name) or fields.element.get(f"{{{_RDF}}}about") or "")
    if guid:
        fields.origins["guid"] = name
    if problem:
        fields.problems.append(problem)
    return guid


def _url(fields: _Fields, bases: list[str], *, based: bool) -> str | None:
    """The address of the entry's page."""
    for name, link, element in _candidates(fields):
        nearer = [own] if based and element is not None and (own := element.get(f"{_XML}base")) else []
        try:
            url = feed_links.resolve(link, [*nearer, *bases])
        except ValueError as error:
            fields.problems.append(f"url: {feed_links.shown(link)} in {name}: {error}")
        else:
            fields.origins["url"] = name
            return url
    return None


def _candidates(fields: _Fields) -> Iterator[tuple[str, str, etree._Element | None]]:
    """What may be the address of the entry's page, the best first."""
    if original := fields.first("feedburner:origlink"):
        yield "feedburner:origLink", original, None
    links = [one for one in _relations(fields.children.get("link", ())) if one[0] == "alternate"]
    # Pages before other forms of the article; the order of the document among equals.
    links.sort(key=lambda one: one[2] not in {"", "text/html", "application/xhtml+xml"})
    for _, link, _, element in links:
        yield "link", link, element
    for guid in fields.children.get("guid", ()):
        text = _text(guid).strip()
        permanent = (guid.get("isPermaLink") or guid.get("ispermalink") or "true").strip().lower() == "true"
        if permanent and text.lower().startswith(("http://", "https://")):
            yield "guid", text, guid
    about = fields.element.get(f"{{{_RDF}}}about") or ""
    if about.startswith(("http://", "https://")):
        yield "rdf:about", about, None


def _bodies(fields: _Fields, *, atom: bool) -> Iterator[Body]:
    for name, elements in fields.children.items():
        if name not in RANKS:
            continue
        for element in elements:
            kind = (element.get("type") or element.get("mode") or "").strip().lower()
            if element.get("mode") == "base64":
                kind = "base64"
            elif len(element) or name.startswith("xhtml:"):
                kind = "xhtml"
            elif not kind and atom and name in {"content", "summary"}:
                kind = "text"
            if kind.startswith(("image/", "audio/", "video/", "application/pdf")):
                continue
            if body := make_body(name, _text(element), kind):
                yield body


def _author_values(fields: _Fields, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        values = []
        for element in fields.children.get(name, ()):
            inner = [one for one in element if isinstance(one.tag, str)]
            named = [_text(one) for one in inner if local_name(one.tag) in {"name", "value", "title"}]
            values += named or [(element.text or "") if inner else _text(element)]
        values = [one for one in values if one.strip()]
        if values:
            fields.origins.setdefault("authors", name)
            yield from values
            return


def _published(fields: _Fields, now: datetime) -> str | None:
    for name in _PUBLISHED:
        for element in fields.children.get(name, ()):
            text = _text(element).strip()
            if not text:
                continue
            if found := read_date(text, now):
                fields.origins["published_at"] = _SHOWN.get(name, name)
                return found.isoformat()
            fields.problems.append(
                f"published_at: {text[:80]!r} in {_SHOWN.get(name, name)} is no date that can be true"
            )
    return None
