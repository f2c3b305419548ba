"""What a feed document holds, whatever its format: the result of ``feed_parser``."""

from dataclasses import dataclass, field


class NotAFeed(Exception):
    """A document cannot be read as a feed; the message says why in a sentence."""


@dataclass(frozen=True)
class FeedEntry:
    """One entry, as it becomes an article.

    ``guid``: as the feed has it, None if it has none. ``url``: absolute, http or https, or None. ``html``, ``text``:
    the body that was chosen among all of the entry's; one of them is None; an entry of a headline alone has it as
    ``text``. ``published_at``: RFC 3339 with an offset, or None where the feed has no date or one that cannot be true.
    ``origins``: the element that each field came from, such as ``{"html": "content:encoded"}``.
    ``problems``: what was left out and why, a sentence each, beginning with the name of the field. ``summary_only``:
    the feed has no more than a teaser of the article.
    """

    guid: str | None = None
    url: str | None = None
    title: str | None = None
    html: str | None = None
    text: str | None = None
    published_at: str | None = None
    authors: list[str] = field(default_factory=list)
    language: str | None = None
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    summary_only: bool = False


@dataclass(frozen=True)
class FeedContent:
    """A parsed feed document.

    ``format``: such as ``RSS 2.0``, ``Atom 1.0``, ``RSS 1.0 (RDF)``, ``JSON Feed 1.1``, ``news sitemap``. ``encoding``:
    in which the document was read. ``interval``: seconds between updates as the feed announces them (``ttl``,
    ``sy:updatePeriod``), or None. ``hub``, ``topic``: WebSub's hub and the feed's own address for it, or None.
    ``entries``: in the order of the document. ``over_limit``: the number of further entries, beyond the maximum.
    ``problems``: of the document as a whole.
    """

    format: str
    encoding: str = "utf-8"
    title: str | None = None
    site: str | None = None
    language: str | None = None
    interval: float | None = None
    hub: str | None = None
    topic: str | None = None
    entries: list[FeedEntry] = field(default_factory=list)
    over_limit: int = 0
    problems: list[str] = field(default_factory=list)
