"""The news of a whole page: what its markup says is the article, and what trafilatura finds besides.

The page's own markup (``<article>``, ``<main>``) shows the article where it is used. Trafilatura, which finds the main
part by its text, decides where it is not, and adds leads outside the article. Menus, banners, comments, notices of
paywalls and lists of links are left out. Trafilatura's own text is not used: it drops tables, short paragraphs and all
articles but one.

Its time grows with the square of some pages, so only the child process of ``html_text`` imports this module.
"""

import json
from collections.abc import Iterable, Iterator

import regex
import trafilatura
from lxml.html import HtmlElement, HTMLParser, document_fromstring, tostring
from trafilatura.settings import use_config

from services.documents.html_fragment import fragment_text

_TAG = regex.compile(r"<[A-Za-z][A-Za-z0-9:-]{0,40}")
# Up to the end of the tag; a quoted value may contain ">".
_REST_OF_TAG = regex.compile(r"""(?:[^>"']++|"[^"]*+"|'[^']*+')*+>?""")
_LONGEST_TAG = 4_000
# The parser skips what follows these, as it does in some templates and where pages are joined.
_END = regex.compile(r"</(?:body|html)\s*+>", flags=regex.IGNORECASE)

_CONFIG = use_config()
_CONFIG.set("DEFAULT", "MIN_EXTRACTED_SIZE", "0")
_CONFIG.set("DEFAULT", "MIN_OUTPUT_SIZE", "0")

_WORD = regex.compile(r"\w+")
_NAME_PART = regex.compile(r"[a-z0-9]+")

_NO_TEXT = frozenset(("script", "style", "noscript", "template", "iframe", "svg", "amp-ad"))
_NEVER_NEWS = _NO_TEXT | frozenset(("nav", "dialog", "button", "select", "textarea", "amp-sidebar"))
_NEVER_NEWS_ROLES = frozenset(("navigation", "search", "dialog", "alertdialog", "contentinfo", "complementary"))
# Parts of ids and of names of classes. Where an element of such a name has most of the words, it holds the article.
_COMMENTS = frozenset(("comments", "commentlist", "respond", "disqus", "taboola", "outbrain"))
_BANNERS = frozenset(("cookie", "cookies", "consent", "gdpr", "ccpa", "onetrust", "didomi"))
_CHROME = frozenset(
    (
        *("ad", "ads", "advert", "advertisement", "sponsored", "promo", "breadcrumb", "breadcrumbs", "menu", "navbar"),
        *("nav", "navigation", "masthead", "sidebar", "pagination", "footer", "copyright", "toolbar", "skip"),
        *("comment", "share", "sharing", "social", "addthis", "sharedaddy", "tags", "taglist"),
        *("related", "recommended", "recommendations", "recirc", "trending", "mostread", "popular", "readmore"),
        *("newsletter", "subscribe", "subscription", "paywall", "regwall", "signup", "login", "popup", "modal"),
    )
)
_SUSPICIOUS = _COMMENTS | _BANNERS | _CHROME
# In letters and digits.
_LARGEST_BANNER, _LARGEST_CHROME = 900, 450
_MOST_SHARE, _MOST_SHARE_OF_LONG = 0.5, 0.3
# What holds the article's text where a page has no <article>.
_BODY_NAMES = frozenset(
    (
        *("article-body", "article__body", "articlebody", "article-content", "article__content", "entry-content"),
        *("post-content", "post-body", "story-body", "story-content", "td-post-content", "news-content"),
    )
)
_FEWEST_LINKS, _LINK_SHARE = 3, 0.7
# Letters and digits of a section's name, or of a heading above links.
_LARGEST_LABEL = 60
_BLOCKS = frozenset(
    ["p", "h1", "h2", "h3", "h4", "h5", "h6", "li", "blockquote", "pre", "dd", "dt", "figcaption", "td", "th"]
)
_CONTAINERS = frozenset(("div", "section", "article", "main", "table", "ul", "ol", "dl", "form", "header", "figure"))
_DIVISIONS = frozenset(("div", "section", "article", "main", "td", "center"))
# Of the text that trafilatura finds, the least share that the page's own article has.
_LEAST_SHARE = 0.4
# Letters and digits between a headline and the article, above which they are something else.
_LONGEST_LEAD = 1_500


def extract(markup: bytes) -> bytes:
    """What ``html_text.Page`` holds of an HTML page (UTF-8), as JSON. Raises ``ValueError`` for too deep a page."""
    parser = HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True)
    text = shorten_tags(_END.sub("", markup.decode("utf-8", "replace")))
    page = document_fromstring(text.encode("utf-8"), parser=parser, ensure_head_body=True)
    if parser.error_log.filter_from_fatals():
        # The parser skips the rest of a page whose elements are nested too deeply.
        raise ValueError(parser.error_log.filter_from_fatals()[0].message)
    heading = _heading(page)
    headline = _line(heading) if heading is not None else ""
    result = {
        "heading": headline,
        "title": headline or _named_title(page),
        "description": _first(
            page, "//meta[@property='og:description']/@content", "//meta[@name='description']/@content"
        ),
        "canonical": _first(page, "//link[@rel='canonical']/@href", "//meta[@property='og:url']/@content"),
        "language": page.get("lang") or page.get("xml:lang") or "",
        "text": _article(page.body, heading),
    }
    return json.dumps(result, ensure_ascii=False).encode("utf-8", "replace")


def _heading(page: HtmlElement) -> HtmlElement | None:
    """The ``<h1>`` of the article: not the site's name; of several the first that the page's title names."""
    site = _first(page, "//meta[@property='og:site_name']/@content")
    headings = [
        heading
        for heading in page.iter("h1")
        if (line := _line(heading)) and line != site and not heading.xpath(".//a[@href='/']")
    ]
    if len(headings) > 1:
        title = _key(_named_title(page))
        headings = [heading for heading in headings if _key(_line(heading)) in title]
    return headings[0] if headings else None


def _named_title(page: HtmlElement) -> str:
    return _first(
        page, "//meta[@property='og:title']/@content", "//meta[@name='twitter:title']/@content", "//head/title/text()"
    )


def _first(page: HtmlElement, *paths: str) -> str:
    return next((line for path in paths for found in page.xpath(path) if (line := " ".join(found.split()))), "")


def _article(body: HtmlElement, heading: HtmlElement | None) -> str:
    """The text of the article, without its heading."""
    chrome = list(_chrome(body))
    _remove(chrome)
    menus = list(_lists_of_links(body))
    _remove(menus)
    if not menus and all(element.tag in _NO_TEXT for element in chrome):
        # A document without a site around it, such as a letter.
        _remove([] if heading is None else [heading])
        return fragment_text(tostring(body, encoding="unicode"))
    found = _found_by_trafilatura(body)
    parts = _marked_parts(body)
    if not parts or sum(map(_size, parts)) < _LEAST_SHARE * sum(map(len, found)):
        parts = [_around(body, found)]
    if heading is not None and not set(parts).isdisjoint(heading.iterancestors()):
        _remove_with_section(heading, parts)
    return fragment_text("".join(_serialized(body, parts, found, heading)))


def _chrome(body: HtmlElement) -> Iterator[HtmlElement]:
    """The elements that do not belong to the article, by what they are or are named."""
    total = _size(body)
    for element in body.iterdescendants():
        tag = element.tag
        if tag in _NEVER_NEWS or element.get("role") in _NEVER_NEWS_ROLES:
            yield element
            continue
        names = _name_parts(element)
        suspect = tag in ("header", "footer", "aside", "form") or bool(names & _SUSPICIOUS)
        if not suspect or tag in ("main", "article", "blockquote") or _holds_article(element, names):
            continue
        size = _size(element)
        share = size / total if total else 0
        if tag == "footer" or names & _COMMENTS or (tag in ("header", "aside") and not _is_inside_article(element)):
            yield element
        elif names & _BANNERS or tag == "form":
            if size <= _LARGEST_BANNER or share <= _MOST_SHARE:
                yield element
        elif names & _CHROME and share <= (_MOST_SHARE if size <= _LARGEST_CHROME else _MOST_SHARE_OF_LONG):
            yield element


def _name_parts(element: HtmlElement) -> set[str]:
    names = f"{element.get('class', '')} {element.get('id', '')}"
    return set(_NAME_PART.findall(names.lower())) if len(names) > 1 else set()


def _holds_article(element: HtmlElement, names: set[str]) -> bool:
    """Whether a suspicious element has the article in it; comments and links to articles may be in ``<article>``."""
    if any(True for _ in element.iterdescendants("h1", "main")):
        return True
    return not names & _COMMENTS and any(not _is_teaser(article) for article in element.iterdescendants("article"))


def _is_inside_article(element: HtmlElement) -> bool:
    return any(True for _ in element.iterancestors("article", "main", "blockquote"))


def _lists_of_links(body: HtmlElement) -> Iterator[HtmlElement]:
    for element in body.iterdescendants("ul", "ol", "div", "section", "table"):
        links = [link for link in element.iterdescendants("a") if link.get("href")]
        if (
            len(links) >= _FEWEST_LINKS
            and sum(map(_size, links)) >= _LINK_SHARE * _size(element) > 0
            and all(_is_of_links(paragraph) for paragraph in element.iterdescendants("p"))
        ):
            yield _with_heading(element)


def _is_of_links(paragraph: HtmlElement) -> bool:
    around = (*paragraph.iterdescendants("a"), *paragraph.iterancestors("a"))
    return bool(around) or not _size(paragraph)


def _with_heading(links: HtmlElement) -> HtmlElement:
    """A list of links, or what holds nothing but it and a heading."""
    parent = links.getparent()
    while (
        parent.tag in ("div", "section")
        and _size(parent) - _size(links) <= _LARGEST_LABEL
        and _paragraphs(parent) == _paragraphs(links)
    ):
        links, parent = parent, parent.getparent()
    return links


def _paragraphs(element: HtmlElement) -> int:
    return sum(1 for _ in element.iter("p", "h1"))


def _found_by_trafilatura(body: HtmlElement) -> set[str]:
    """The lines of the page's main text, as ``_key`` writes them."""
    try:
        text = trafilatura.extract(
            tostring(body.getroottree(), encoding="unicode"),
            output_format="txt",
            include_comments=False,
            include_tables=False,
            favor_recall=True,
            config=_CONFIG,
        )
    except Exception:  # it fails on some pages, which are read without it
        text = None
    return {key for line in (text or "").split("\n") if (key := _key(line.removeprefix("- ")))}


def _marked_parts(body: HtmlElement) -> list[HtmlElement]:
    """The parts that the page marks as its articles, in order."""
    articles = [article for article in _outermost(body.iterdescendants("article")) if _size(article)]
    # A headline that is a link leads to another page, unless all are so.
    own = [article for article in articles if not _is_teaser(article)]
    if own:
        return own
    mains = [main for main in body.xpath(".//main | .//*[@role='main']") if _size(main)]
    bodies = [
        element
        for element in body.iterdescendants()
        if element.get("itemprop") == "articleBody"
        or not _BODY_NAMES.isdisjoint(element.get("class", "").lower().split())
    ]
    return articles or list(_outermost(mains)) or list(_outermost(bodies))


def _is_teaser(article: HtmlElement) -> bool:
    heading = next(article.iterdescendants("h1", "h2", "h3", "h4"), None)
    if heading is None:
        return False
    links = [*heading.iterdescendants("a"), *heading.iterancestors("a")]
    return any(_size(link) >= _size(heading) > 0 for link in links)


def _around(body: HtmlElement, found: set[str]) -> HtmlElement:
    """The smallest part of the page with all that trafilatura found; of a page without any, all of it."""
    holders = [element for element in body.iterdescendants(*_BLOCKS) if _key(_line(element)) in found]
    return _common(body, holders) if holders else body


def _common(body: HtmlElement, elements: list[HtmlElement]) -> HtmlElement:
    """The innermost division that holds all of these."""
    common = _path(elements[0], body)
    for element in elements[1:]:
        common = [one for one, other in zip(common, _path(element, body), strict=False) if one is other]
    while len(common) > 1 and common[-1].tag not in _DIVISIONS:
        common.pop()
    return common[-1]


def _path(element: HtmlElement, body: HtmlElement) -> list[HtmlElement]:
    """The elements from ``body`` down to this one."""
    path = [element, *element.iterancestors()]
    return path[: path.index(body) + 1][::-1]


def _serialized(
    body: HtmlElement, parts: list[HtmlElement], found: set[str], heading: HtmlElement | None
) -> Iterator[str]:
    """The markup of the parts and of the lead above them, in the page's order.

    The lead: what is between the headline and the parts, and what trafilatura found outside them.
    """
    chosen = set(parts)
    pending = [body]
    # What may be the lead, once the headline has been seen.
    lead: list[HtmlElement] | None = None
    while pending:
        element = pending.pop()
        if element is heading:
            lead = []
            continue
        is_block = element.tag in _BLOCKS or _is_leaf(element)
        if element in chosen or (is_block and _key(_line(element)) in found):
            if lead and sum(map(_size, lead)) <= _LONGEST_LEAD:
                yield from map(_apart, lead)
            lead = None
            yield _apart(element)
        elif not is_block:
            pending.extend(reversed(element))
        elif lead is not None:
            lead.append(element)


def _apart(element: HtmlElement) -> str:
    """The markup of an element in a separate division."""
    return f"<div>{tostring(element, encoding='unicode', with_tail=False)}</div>"


def _is_leaf(element: HtmlElement) -> bool:
    """Whether a division has only text and inline elements."""
    return element.tag == "div" and not any(child.tag in _BLOCKS or child.tag in _CONTAINERS for child in element)


def _outermost(elements: Iterable[HtmlElement]) -> Iterator[HtmlElement]:
    """Those that are in none of the others; they come in the page's order."""
    taken: set[HtmlElement] = set()
    for element in elements:
        if taken.isdisjoint(element.iterancestors()):
            taken.add(element)
            yield element


def _remove_with_section(heading: HtmlElement, parts: list[HtmlElement]) -> None:
    """Remove a headline, and the short lines above it in its part: the section, the date."""
    above: list[HtmlElement] = []
    element = heading
    while element not in parts:
        above.extend(element.itersiblings(preceding=True))
        element = element.getparent()
    if sum(map(_size, above)) <= _LARGEST_LABEL and not any(map(_paragraphs, above)):
        _remove(above)
    _remove([heading])


def _remove(elements: list[HtmlElement]) -> None:
    for element in elements:
        if element.getparent() is not None:
            element.drop_tree()


def _line(element: HtmlElement) -> str:
    return " ".join(element.text_content().split())


def _size(element: HtmlElement) -> int:
    """The number of letters and digits."""
    return len(_key(element.text_content()))


def _key(line: str) -> str:
    """A line without what differs between two ways of writing it as text."""
    return "".join(_WORD.findall(line))


def shorten_tags(markup: str) -> str:
    """The markup without the attributes of overlong tags, in one pass.

    The parser's time grows with the square of a tag's attributes.
    """
    parts: list[str] = []
    at = 0
    while (opening := _TAG.search(markup, at)) is not None:
        tag = _REST_OF_TAG.match(markup, opening.end())
        end = tag.end() if tag else opening.end()
        if end - opening.start() > _LONGEST_TAG:
            parts += [markup[at : opening.end()], ">"]
        else:
            parts.append(markup[at:end])
        at = end
    return "".join([*parts, markup[at:]])
