"""Addresses in feeds: relative ones are resolved, what is no address of a page is left out with a reason."""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urljoin

from services import characters

# A longer one is left out: that of ``ArticleIn``.
MAX_URL: Final = 2_048
# White space inside an address is a line break of the XML.
_BREAKS = re.compile(r"[\t\n\r]+\s*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_LINK = re.compile(r"<([^<>]{1,2048})>((?:\s*;[^,<>]{0,500})*)")
_REL = re.compile(r"""rel\s*=\s*["']?([^"';,]{1,100})""", re.IGNORECASE)


def resolve(link: str, bases: Sequence[str]) -> str:
    """The absolute http or https URL of a link. ``bases``: addresses it may be relative to, the nearest first; one
    that is relative itself is relative to those after it. Raises ``ValueError`` with the reason.
    """
    link = _BREAKS.sub("", link.strip())
    if not link:
        raise ValueError("is empty")
    if not _SCHEME.match(link):
        base = _base(bases)
        if base is None:
            raise ValueError("is relative to nothing")
        link = urljoin(base, link)
    url = characters.web_address(link)
    if len(url) > MAX_URL:
        raise ValueError(f"has more than {MAX_URL} characters")
    return url


def _base(bases: Sequence[str]) -> str | None:
    """The nearest base, absolute; bases that are no addresses are left out."""
    found: str | None = None
    for base in reversed(bases):
        try:
            joined = urljoin(found, base.strip()) if found else base.strip()
            characters.web_address(joined)
        except ValueError:
            continue
        found = joined
    return found


def any_broken(bases: Sequence[str]) -> bool:
    """Whether a base is absolute, but no address."""
    for base in bases:
        if _SCHEME.match(base.strip()):
            try:
                characters.web_address(base.strip())
            except ValueError:
                return True
    return False


def shown(link: str) -> str:
    """A link as it is quoted in a message."""
    link = " ".join(link.split())
    return repr(link if len(link) <= 100 else f"{link[:99]}…")


def header_links(values: Sequence[str]) -> list[tuple[str, str]]:
    """The relation and the target of each link in HTTP Link headers."""
    found = []
    for value in values:
        for target, parameters in _LINK.findall(value[:20_000]):
            for match in _REL.finditer(parameters):
                found += [(relation.lower(), target.strip()) for relation in match[1].split()]
    return found
