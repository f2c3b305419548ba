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

_CONFIG = use_config()
_CONFIG.set("DEFAULT", "MIN_EXTRACTED_SIZE", "0")
_CONFIG.set("DEFAULT", "MIN_OUTPUT_SIZE", "0")

_WORD = regex.compile(r"\w+")
_NAME_PART = regex.compile(r"[a-z0-9]+")

_NEVER_NEWS = frozenset(
    (
        *("script", "style", "noscript", "template", "nav", "dialog", "button", "select", "textarea"),
        *("iframe", "svg", "amp-ad", "amp-sidebar"),
    )
)
_NEVER_NEWS_ROLES = frozenset(("navigation", "search", "dialog", "alertdialog", "contentinfo", "complementary"))
# Parts of ids and of names of classes: elements that are never the article, and those that may hold it when they are
# long.
_BANNERS = frozenset(
    ["cookie", "cookies", "consent", "gdpr", "ccpa", "onetrust", "didomi", "comments", "disqus", "taboola", "outbrain"]
)
_CHROME = frozenset(
    (
        *("ad", "ads", "advert", "advertisement", "sponsored", "promo", "breadcrumb", "breadcrumbs", "menu", "navbar"),
        *("nav", "navigation", "masthead", "sidebar", "pagination", "footer", "copyright", "toolbar", "skip"),
        *(
            "comment",
            "commentlist",
            "respond",
            "share",
            "sharing",
            "social",
            "addthis",
            "sharedaddy",
            "tags",
            "taglist",
        ),
        *("related", "recommended", "recommendations", "recirc", "trending", "mostread", "popular", "readmore"),
        *("newsletter", "subscribe", "subscription", "paywall", "regwall", "signup", "login", "popup", "modal"),
    )
)
_MOST_CHROME_WORDS, _MOST_CHROME_SHARE = 80, 0.3
# What holds the article's text where a page has no <article>.
_BODY_NAMES = frozenset(
    (
        *("article-body", "article__body", "articlebody", "article-content", "article__content", "entry-content"),
        *("post-content", "post-body", "story-body", "story-content", "td-post-content", "news-content"),
    )
)
_FEWEST_LINKS, _LINK_SHARE = 3, 0.7
_BLOCKS = frozenset(
    ["p", "h1", "h2", "h3", "h4", "h5", "h6", "li", "blockquote", "pre", "dd", "dt", "figcaption", "td", "th"]
)
# Of the words that trafilatura finds, the least share that the page's own article has.
_LEAST_SHARE = 0.4


def extract(markup: bytes) -> bytes:
    """What ``html_text.Page`` holds of an HTML page (UTF-8), as JSON."""
    page = document_fromstring(
        shorten_tags(markup.decode("utf-8", "replace")).encode("utf-8"),
        parser=HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True),
        ensure_head_body=True,
    )
    heading = _heading(page)
    headline = _line(heading) if heading is not None else ""
    result = {
        "heading": headline,
        "title": headline or _named_title(page),
        "canonical": _first(page, "//link[@rel='canonical']/@href", "//meta[@property='og:url']/@content"),
        "language": page.get("lang") or page.get("xml:lang") or "",
        "text": _article(page.body, heading),
    }
    return json.dumps(result, ensure_ascii=False).encode("utf-8", "replace")


def _heading(page: HtmlElement) -> HtmlElement | None:
    """The only ``<h1>`` besides the site's name."""
    site = _first(page, "//meta[@property='og:site_name']/@content")
    headings = [
        heading
        for heading in page.iter("h1")
        if (line := _line(heading)) and line != site and not heading.xpath(".//a[@href='/']")
    ]
    return headings[0] if len(headings) == 1 else None


def _named_title(page: HtmlElement) -> str:
    return _first(
        page, "//meta[@property='og:title']/@content", "//meta[@name='twitter:title']/@content", "//head/title/text()"
    )


def _first(page: HtmlElement, *paths: str) -> str:
    return next((line for path in paths for found in page.xpath(path) if (line := " ".join(found.split()))), "")


def _article(body: HtmlElement, heading: HtmlElement | None) -> str:
    """The text of the article, without its heading."""
    _remove(list(_chrome(body)))
    _remove(list(_lists_of_links(body)))
    found = _found_by_trafilatura(body)
    if heading is not None:
        _remove([heading])
    parts = _marked_parts(body)
    known = sum(_words(part) for part in parts)
    if known < _LEAST_SHARE * sum(len(_WORD.findall(line)) for line in found):
        parts = _parts_around(body, found)
    return fragment_text("".join(_serialized(body, parts, found)))


def _chrome(body: HtmlElement) -> Iterator[HtmlElement]:
    """The elements that do not belong to the article, by what they are or are named."""
    total = _words(body)
    for element in body.iterdescendants():
        tag = element.tag
        if tag in _NEVER_NEWS or element.get("role") in _NEVER_NEWS_ROLES:
            yield element
            continue
        names = _name_parts(element)
        suspect = tag in ("header", "footer", "aside", "form") or bool(names & (_BANNERS | _CHROME))
        if not suspect or tag in ("main", "article", "p", "blockquote") or _holds_article(element):
            continue
        if (
            tag == "footer"
            or names & _BANNERS
            or (tag in ("header", "aside", "form") and not _is_inside_article(element))
        ):
            yield element
        elif names & _CHROME or tag == "form":
            words = _words(element)
            if words <= _MOST_CHROME_WORDS or words <= total * _MOST_CHROME_SHARE:
                yield element


def _name_parts(element: HtmlElement) -> set[str]:
    names = f"{element.get('class', '')} {element.get('id', '')}"
    return set(_NAME_PART.findall(names.lower())) if len(names) > 1 else set()


def _holds_article(element: HtmlElement) -> bool:
    return any(True for _ in element.iterdescendants("h1", "article", "main"))


def _is_inside_article(element: HtmlElement) -> bool:
    return any(True for _ in element.iterancestors("article", "main", "blockquote"))


def _lists_of_links(body: HtmlElement) -> Iterator[HtmlElement]:
    for element in body.iterdescendants("ul", "ol", "div", "section", "table"):
        links = [link for link in element.iterdescendants("a") if link.get("href")]
        if len(links) >= _FEWEST_LINKS and sum(map(_words, links)) >= _LINK_SHARE * _words(element) > 0:
            yield element


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
    articles = [article for article in _outermost(body.iterdescendants("article")) if _words(article)]
    # A headline that is a link leads to another page, unless all are so.
    own = [article for article in articles if not _is_teaser(article)]
    if own:
        return own
    mains = [main for main in body.xpath(".//main | .//*[@role='main']") if _words(main)]
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
    return any(_words(link) >= _words(heading) for link in links)


def _parts_around(body: HtmlElement, found: set[str]) -> list[HtmlElement]:
    """The smallest part of the page with all that trafilatura found; of a page without any, all of it."""
    holders = [element for element in body.iterdescendants(*_BLOCKS) if _key(_line(element)) in found]
    if not holders:
        return [body]
    common = [body, *_path(holders[0], body)]
    for holder in holders[1:]:
        path = [body, *_path(holder, body)]
        common = [one for one, other in zip(common, path, strict=False) if one is other]
    while len(common) > 1 and common[-1].tag in _BLOCKS:
        common.pop()
    return [common[-1]]


def _path(element: HtmlElement, body: HtmlElement) -> list[HtmlElement]:
    """The elements from below ``body`` down to this one."""
    path = [element, *element.iterancestors()]
    return path[: path.index(body)][::-1]


def _serialized(body: HtmlElement, parts: list[HtmlElement], found: set[str]) -> Iterator[str]:
    """The markup of the parts, and of blocks outside them that trafilatura found, in the page's order."""
    chosen = set(parts)
    pending = [body]
    while pending:
        element = pending.pop()
        if element in chosen or (element.tag in _BLOCKS and _key(_line(element)) in found):
            # A division of its own: parts are apart.
            yield f"<div>{tostring(element, encoding='unicode', with_tail=False)}</div>"
        else:
            pending.extend(reversed(element))


def _outermost(elements: Iterable[HtmlElement]) -> Iterator[HtmlElement]:
    """Those that are in none of the others; they come in the page's order."""
    taken: set[HtmlElement] = set()
    for element in elements:
        if taken.isdisjoint(element.iterancestors()):
            taken.add(element)
            yield element


def _remove(elements: list[HtmlElement]) -> None:
    for element in elements:
        if element.getparent() is not None:
            element.drop_tree()


def _line(element: HtmlElement) -> str:
    return " ".join(element.text_content().split())


def _words(element: HtmlElement) -> int:
    return len(_WORD.findall(element.text_content()))


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
