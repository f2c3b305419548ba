"""Small fields of feeds: titles, authors, languages, guids. What is odd costs the field, and is a problem."""

import hashlib
import html
import re
from collections.abc import Iterable, Sequence
from typing import Final

from services import characters

# Limits of ``ArticleIn``.
MAX_TITLE: Final = 2_000
MAX_GUID: Final = 1_000
MAX_AUTHOR: Final = 200
MAX_AUTHORS: Final = 50

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8}){0,5}")
_INLINE: Final = (
    *("a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "del", "em", "font", "i", "ins", "kbd", "mark", "q", "s"),
    *("small", "span", "strike", "strong", "sub", "sup", "tt", "u", "wbr"),
)
_TAG = re.compile(
    rf"<(/?)({'|'.join(_INLINE)}|br|div|h[1-6]|hr|img|li|ol|p|ul)(?=[\s/>])[^<>]{{0,1000}}>", re.IGNORECASE
)
_COMMENT = re.compile(r"<!--[^<>]{0,1000}-->")
# What is left of references that were escaped several times; none of these is meant as it is.
_LEFT = re.compile(r"&(?:amp;)*(?:quot|apos|#0?39|nbsp|laquo|raquo|hellip|[nm]dash|[lr][sd]quo|amp|#8[0-9]{3});")
_MAIL = re.compile(r"[^\s<>()@:]{1,100}@[^\s<>()@]{1,200}")
_MAIL_AND_NAME = re.compile(r"(?:mailto:)?[^\s<>()@]{1,100}@[^\s<>()@]{1,200}\s{0,5}\(([^()]{1,300})\)")
_NAME_AND_MAIL = re.compile(
    r"([^<>@]{1,300}?)\s{0,5}[<(\[]\s{0,5}(?:mailto:)?[^\s<>()@]{1,100}@[^\s<>()\[\]]{1,200}\s{0,5}[>)\]]"
)
_SEPARATOR = re.compile(r"[;؛|،\n]")


def read_title(text: str, *, plain: bool = False) -> tuple[str | None, str | None]:
    """A title without markup, and what was wrong with it. ``plain``: the format says that it is text, so that a tag
    is one only where it is closed.
    """
    short = text[: 4 * MAX_TITLE]
    if "<" in short and not (plain and "</" not in short):
        short = _TAG.sub(lambda tag: "" if tag[2].lower() in _INLINE else " ", _COMMENT.sub("", short))
    if "&" in short:
        short = _LEFT.sub(
            lambda found: html.unescape(found[0].replace("&amp;", "&").replace("amp;", "")), html.unescape(short)
        )
    title = " ".join(characters.plain(characters.one_line(short)).split())
    if not title:
        return None, None
    if len(title) > MAX_TITLE or len(text) > len(short) > MAX_TITLE:
        return title[: MAX_TITLE - 1].rstrip() + "…", f"title: cut after {MAX_TITLE} of {len(text)} characters"
    return title, None


def read_guid(text: str) -> tuple[str | None, str | None]:
    """A guid, and what was wrong with it. One that is too long becomes its hash, which identifies the entry as well."""
    guid = characters.one_line(text).strip()
    if len(guid) > MAX_GUID:
        hashed = "sha256:" + hashlib.sha256(guid.encode("utf-8", "surrogatepass")).hexdigest()
        return hashed, f"guid: has {len(guid)} characters, more than {MAX_GUID}; its hash is used"
    return guid or None, None


def read_authors(values: Iterable[str]) -> tuple[list[str], list[str]]:
    """The names in the values of author elements, each once, without mail addresses; and what was left out."""
    names: list[str] = []
    problems: list[str] = []
    for value in values:
        text = html.unescape(_TAG.sub(" ", value[:5_000])) if "<" in value or "&" in value else value[:5_000]
        for part in _parts(text):
            name = " ".join(characters.one_line(_without_mail(part)).split()).strip(" ,;")
            if not name:
                if part.strip():
                    problems.append("authors: a mail address is no name")
            elif len(name) > MAX_AUTHOR:
                problems.append(f"authors: a name has more than {MAX_AUTHOR} characters")
            elif name not in names:
                names.append(name)
    if len(names) > MAX_AUTHORS:
        problems.append(f"authors: {len(names)} names, of which the first {MAX_AUTHORS} are kept")
    return names[:MAX_AUTHORS], problems


def _parts(text: str) -> Sequence[str]:
    parts = _SEPARATOR.split(text)
    if len(parts) == 1:
        # "Doe, John" is one name, "John Doe, Jane Roe" are two.
        commas = text.split(",")
        if len(commas) > 1 and all(len(part.split()) > 1 for part in commas):
            return commas
    return parts


def _without_mail(text: str) -> str:
    text = text.strip()
    for pattern in (_MAIL_AND_NAME, _NAME_AND_MAIL):
        if found := pattern.fullmatch(text):
            return found[1].strip(" \"'")
    return "" if _MAIL.fullmatch(text) else text


def read_language(text: str) -> tuple[str | None, str | None]:
    """A language code, and what was wrong with it."""
    code = text.strip()
    if not code:
        return None, None
    if _LANGUAGE.fullmatch(code) and len(code) <= 35:
        return code, None
    return None, f"language: {code[:40]!r} is no language code"
