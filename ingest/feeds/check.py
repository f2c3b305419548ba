"""What an address or a file has, as ``khabar feeds check`` and ``POST /v1/feeds/check`` show it."""

from collections import Counter
from functools import partial
from typing import Any, Final

from ingest.feeds import discovery
from ingest.feeds.candidates import Candidate, candidates
from ingest.feeds.identity import Seen
from ingest.web import Access, WebClient, without_credentials
from services.blocking import run_in_thread
from services.documents.feed import FeedContent, FeedEntry, NotAFeed
from services.documents.feed_parser import parse_feed
from services.documents.html_text import text_of_html
from services.events import ArticleIn
from services.store.feeds import Feed, FeedOptions
from services.subscriptions import CheckedEntry, CheckedFeed

# Of a text that is shown.
MAX_TEXT: Final = 2_000
_MAX_SHOWN_GUID: Final = 80
# Stands for the address of a file, in which relative links are resolved.
_NO_ADDRESS: Final = "http://localhost/"


async def check(url: str, web: WebClient, *, access: Access | None, max_bytes: int, entries: int) -> CheckedFeed:
    """What an address has; ``entries``: how many of them to show. Raises nothing for whatever a server does."""
    try:
        found = await discovery.discover(url, web, access=access, max_bytes=max_bytes)
    except discovery.Unreachable as error:
        return CheckedFeed(url=without_credentials(url), error=str(error))
    first = found.first
    checked = await run_in_thread(partial(_checked, first.url, first.content, entries), name="check")
    document = first.document
    why: str | None = None
    if first.content is None:
        why = "a page, not a feed" if found.feeds else first.error
        if not found.feeds and not found.complete:
            why += "; not all of its links could be tried"
    return checked.model_copy(
        update={
            "error": why,
            "url": document.url,
            "moved_to": document.permanent_url,
            "content_type": document.content_type or None,
            "size": len(document.data),
            "hub": checked.hub or document.hub,
            "feeds": discovery.described(found.feeds),
        }
    )


def check_document(data: bytes, *, name: str, url: str | None, entries: int) -> CheckedFeed:
    """What a document has, such as a file with this ``name``; ``url``: where it is from. Blocks."""
    try:
        content = parse_feed(data, content_type="", url=url or _NO_ADDRESS)
    except NotAFeed as error:
        return CheckedFeed(url=name, error=str(error), size=len(data))
    checked = _checked(url or _NO_ADDRESS, content, entries)
    return checked.model_copy(update={"url": name, "size": len(data)})


def _checked(url: str, content: FeedContent | None, entries: int) -> CheckedFeed:
    if content is None:
        return CheckedFeed(url=url, error=None)
    options = FeedOptions(url=url)
    found = candidates(Feed(id=options.id, options=options), content.entries, Seen(), day=0)
    articles = [one for one in found if isinstance(one.article, ArticleIn)]
    return CheckedFeed(
        url=url,
        error=None,
        format=content.format,
        encoding=content.encoding,
        title=content.title,
        site=content.site,
        language=content.language,
        interval=content.interval,
        hub=content.hub,
        problems=[*content.problems, *_shared(content.entries)],
        total=len(found),
        articles=len({one.id for one in articles}),
        rejected=len(found) - len(articles),
        summaries=sum(one.entry.summary_only for one in articles),
        headlines=sum(_is_headline(one) for one in articles),
        entries=[_entry(one) for one in found[:entries]],
    )


def _entry(candidate: Candidate) -> CheckedEntry:
    article = candidate.article
    shown: dict[str, Any] | None = None
    if isinstance(article, ArticleIn):
        text = article.text if article.text and article.text.strip() else text_of_html(article.html or "")
        shown = {
            "id": candidate.id,
            **article.model_dump(mode="json", exclude={"text", "html"}),
            "text": text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…",
            "characters": len(text),
        }
    return CheckedEntry(
        article=shown,
        error=None if shown else str(article),
        origins=candidate.entry.origins,
        problems=candidate.problems,
    )


def _is_headline(candidate: Candidate) -> bool:
    return candidate.entry.html is None and candidate.entry.text == candidate.entry.title


def _shared(entries: list[FeedEntry]) -> list[str]:
    """Guids and links that several entries have: such a one identifies none of them."""
    problems = []
    for name, values in (("guid", (one.guid for one in entries)), ("url", (one.url for one in entries))):
        shared = [(value, times) for value, times in Counter(filter(None, values)).most_common(3) if times > 1]
        problems += [f"{name}: {times} entries have {value[:_MAX_SHOWN_GUID]!r}" for value, times in shared]
    return problems
