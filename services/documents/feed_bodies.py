"""The text of a feed entry, chosen among all its bodies by what they are."""

import base64
import binascii
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from services.documents.html_fragment import fragment_text

# Longer bodies are cut: those of ``ArticleIn``.
MAX_HTML: Final = 2_000_000
MAX_TEXT: Final = 1_000_000
# A shorter body beside a link is a teaser.
TEASER: Final = 250
# Words of a text that are looked for in another.
_COMPARED: Final = 60
# A shorter text that differs from the body is no lead, but a label.
LEAD: Final = 40

# Names of elements in the order of trust: the article; what sums it up for players; what describes its picture.
Rank = Literal[0, 1, 2]
RANKS: Final[dict[str, Rank]] = {
    **dict.fromkeys(
        ("content:encoded", "content", "description", "summary", "xhtml:body", "xhtml:div", "fulltext", "full-text"), 0
    ),
    **dict.fromkeys(("yandex:full-text", "body", "content_html", "content_text", "text", "story", "abstract"), 0),
    **dict.fromkeys(("excerpt:encoded", "dc:description", "dcterms:abstract"), 0),
    **dict.fromkeys(("itunes:summary", "itunes:subtitle", "googleplay:description"), 1),
    **dict.fromkeys(("media:description", "media:text"), 2),
}
# Of texts of about one length, these are meant as the article.
_CONTENTS: Final = frozenset(
    {"content:encoded", "content", "content_html", "fulltext", "full-text", "yandex:full-text"}
)
# Of these, a text that the body does not have is the lead of the article.
_LEADS: Final = frozenset(
    {"description", "summary", "excerpt:encoded", "dc:description", "dcterms:abstract", "abstract"}
)

_TAG = re.compile(r"<(?:/?[A-Za-z][A-Za-z0-9:-]{0,30}(?=[\s/>])|!--)")
_HTML_NAMES: Final = "p|br|div|span|a|b|i|u|em|strong|img|ul|ol|li|h[1-6]|table|tr|t[dh]|blockquote|figure|iframe|font"
# Markup that was escaped once more than it should be.
_ESCAPED_TAG = re.compile(
    rf"&lt;/?(?:{_HTML_NAMES})(?:\s[^<>&]{{0,300}}(?:&quot;[^<>]{{0,300}}?)?)?/?&gt;", re.IGNORECASE
)
_REAL_TAG = re.compile(rf"</?(?:{_HTML_NAMES})(?=[\s/>])[^<>]{{0,2000}}>", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
_MORE_WORDS: Final = (
    *("read more", "continue reading", "read the full story", "full story", "keep reading", "view article", "more"),
    *(
        "اقرأ المزيد",
        "إقرأ المزيد",
        "اقرا المزيد",
        "المزيد",
        "للمزيد",
        "قراءة المزيد",
        "تابع القراءة",
        "متابعة القراءة",
    ),
    *("أكمل القراءة", "اقرأ أكثر", "التفاصيل", "لقراءة المزيد", "اقرأ التفاصيل", "شاهد المزيد", "للمزيد من التفاصيل"),
    *(
        "lire la suite",
        "en savoir plus",
        "lire plus",
        "weiterlesen",
        "mehr lesen",
        "mehr",
        "leer más",
        "seguir leyendo",
    ),
    *(
        "читать далее",
        "подробнее",
        "читать полностью",
        "devamını oku",
        "devamı",
        "ادامه مطلب",
        "بیشتر بخوانید",
        "leggi tutto",
    ),
    *(
        "continua a leggere",
        "ler mais",
        "lees meer",
        "czytaj więcej",
        "مزید پڑھیں",
        "阅读全文",
        "続きを読む",
        "더 보기",
    ),
)
_PHRASES, _LONE_WORDS = (
    "|".join(re.escape(one) for one in sorted(_MORE_WORDS, key=len, reverse=True) if (" " in one) is several)
    for several in (True, False)
)
# A single such word also ends sentences; it is a link where punctuation stands before it.
_MORE = re.compile(
    rf"(?:(?:^|[\s\[(«<>.…،:|-])(?:{_PHRASES})|(?:^|[\[(«<>…|])\s?(?:{_LONE_WORDS}))\W{{0,8}}$", re.IGNORECASE
)
_CUT = re.compile(r"(?:…|\.{3}|\[\s?(?:…|\.{2,4})\s?\])[\s\"'»”)\]]{0,4}$")
# WordPress ends its excerpts with this sentence.
_APPENDED: Final = 700
_APPEARED = re.compile(
    r"\b(?:The post|ظهرت المقالة|ظهر الموضوع|L’article|L'article|Der Beitrag|Сообщение)\b.{0,600}$", re.DOTALL
)


@dataclass
class Body:
    """A body of an entry: the name of its element, and its content as HTML or as plain text."""

    name: str
    value: str
    is_html: bool
    rank: Rank = 0

    @cached_property
    def visible(self) -> str:
        """What a reader sees of it, on one line."""
        return " ".join((fragment_text(self.value) if self.is_html else self.value).split())


@dataclass(frozen=True)
class Chosen:
    """The body of an entry: one of ``html`` and ``text``, or neither."""

    html: str | None = None
    text: str | None = None
    origin: str | None = None
    teaser: bool = False
    problems: Sequence[str] = ()


def make_body(name: str, value: str, kind: str = "") -> Body | None:
    """The body of an element with this text; ``kind``: its type, as Atom has it, or empty. None for an empty one.

    ``kind`` "text" is plain unless it has elements of HTML; "base64" is decoded.
    """
    if kind == "base64":
        try:
            value = base64.b64decode(value, validate=False).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            return None
    value = value.strip()
    if not value:
        return None
    if kind in {"text", "text/plain"}:
        is_html = _REAL_TAG.search(value) is not None
    else:
        is_html = _TAG.search(value) is not None
        if not is_html and "&" in value:
            is_html = _ESCAPED_TAG.search(value) is not None
            value = html.unescape(value)
    return Body(name, value, is_html, RANKS[name])


def choose(bodies: Sequence[Body], title: str | None, *, linked: bool) -> Chosen:
    """The body of an entry with these bodies; ``linked``: whether it leads to a page. An empty one has no body."""
    bodies = [body for body in bodies if _WORD.search(body.visible) and not _only_more(body)]
    real = [body for body in bodies if body.rank == 0]
    if not real:
        real = [body for body in bodies if body.rank == min(one.rank for one in bodies)]
    if not real:
        return Chosen(teaser=linked)
    best = max(real, key=lambda body: len(body.visible) + (LEAD if body.name in _CONTENTS else 0))
    if _is_teaser(best, linked=linked):
        longer = [body for body in bodies if body.rank == 1 and _holds(body.visible, best.visible)]
        best = max([best, *longer], key=lambda body: len(body.visible))
    problems: list[str] = []
    lead = next((body for body in real if _is_lead(body, best, title)), None)
    value = best.value
    origin = best.name
    is_html = best.is_html
    if lead is not None:
        origin = f"{lead.name} + {best.name}"
        if lead.is_html or best.is_html:
            value, is_html = f"{_as_html(lead)}\n{_as_html(best)}", True
        else:
            value = f"{lead.value}\n\n{best.value}"
    most = MAX_HTML if is_html else MAX_TEXT
    if len(value) > most:
        problems.append(f"{'html' if is_html else 'text'}: cut after {most} of {len(value)} characters")
        value = value[:most]
    teaser = _is_teaser(best, linked=linked)
    if is_html:
        return Chosen(html=value, origin=origin, teaser=teaser, problems=problems)
    return Chosen(text=value, origin=origin, teaser=teaser, problems=problems)


def _as_html(body: Body) -> str:
    if body.is_html:
        return body.value
    paragraphs = re.split(r"\n\s*\n", body.value)
    return "".join(f"<p>{html.escape(one, quote=False)}</p>" for one in paragraphs)


def _only_more(body: Body) -> bool:
    return len(body.visible) < 60 and bool(_MORE.fullmatch(body.visible) or _MORE.match(body.visible))


def _is_teaser(body: Body, *, linked: bool) -> bool:
    end = body.visible[-120:]
    return bool(_CUT.search(end) or _MORE.search(end)) or (linked and len(body.visible) < TEASER)


def _is_lead(body: Body, best: Body, title: str | None) -> bool:
    """Whether a body is a text that the best one does not have."""
    if body is best or body.name not in _LEADS or len(body.visible) < LEAD:
        return False
    said = body.visible[:-_APPENDED] + _APPEARED.sub("", body.visible[-_APPENDED:])
    return not _holds(best.visible, said) and not _holds(title or "", said)


def _holds(text: str, other: str) -> bool:
    """Whether a text has most of what the other says, three words at a time."""
    words = other.rstrip(" .…[]").split()[:_COMPARED]
    if len(words) < 3:
        return " ".join(words) in text
    threes = [f"{one} {two} {three}" for one, two, three in zip(words, words[1:], words[2:], strict=False)]
    return sum(three in text for three in threes) >= 0.6 * len(threes)
