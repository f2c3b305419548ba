"""Feeds, checks and imports as ``khabar feeds`` prints them. Titles and texts of others are printed safely."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from services.subscriptions import CheckedEntry, CheckedFeed, FoundFeed
from services.terminal import plain

_EXCERPT: Final = 300
_WIDTH: Final = 100
_LABEL: Final = 10
_HEAD: Final = ("STATUS", "A DAY", "LAST READ", "NEXT POLL", "FEED")


def feeds(listed: Sequence[Mapping[str, Any]], *, now: datetime | None = None) -> Iterator[str]:
    """A line for each feed, and one more for what is wrong with it."""
    now = now or datetime.now(UTC)
    yield _row(*_HEAD)
    for feed in listed:
        name = plain(feed["title"] or feed["source"] or "")
        ago = _ago(feed["succeeded"], now)
        following = _ago(feed["next_poll"], now)
        yield _row(feed["status"], f"{feed['articles_per_day']:g}", ago, following, f"{plain(feed['url'])}  {name}")
        if feed["moved_to"]:
            yield _row("", "", "", "", f"moved to {plain(feed['moved_to'])}")
        if feed["error"]:
            times = f" ({feed['failures']} times in a row)" if feed["failures"] > 1 else ""
            yield _row("", "", "", "", f"{plain(feed['error'])}{times}")
        elif feed["rejected"]:
            yield _row("", "", "", "", f"{feed['rejected']} entries rejected: khabar dead-letters list")


def totals(counts: Mapping[str, int]) -> str:
    """How many feeds there are by status."""
    named = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    return f"{sum(counts.values())} feeds: {named}" if named else "no feeds: khabar feeds add URL|SITE"


def found(candidates: Sequence[FoundFeed]) -> Iterator[str]:
    """The feeds of a page, numbered."""
    for number, feed in enumerate(candidates, 1):
        newest = "" if feed.newest is None else f", newest {feed.newest:%Y-%m-%d}"
        yield f"  {number:>2}  {plain(feed.url)}"
        yield f"      {plain(feed.format)}, {feed.entries} entries{newest}  {plain(feed.title or '')}".rstrip()


def check(checked: CheckedFeed) -> Iterator[str]:
    """What an address or a file has."""
    yield plain(checked.url)
    size = None if checked.size is None else f"{checked.size:,} bytes"
    interval = None if checked.interval is None else f"every {_duration(checked.interval)}, as the feed says"
    for label, value in (
        ("error", checked.error),
        ("document", ", ".join(filter(None, (checked.format, checked.encoding, size, checked.content_type)))),
        ("moved to", checked.moved_to),
        ("title", checked.title),
        ("site", checked.site),
        ("language", checked.language),
        ("updates", interval),
        ("hub", checked.hub),
        *(("problem", problem) for problem in checked.problems),
        ("entries", _counted(checked) if checked.format else None),
    ):
        yield from _labelled(label, value)
    if checked.feeds:
        yield "  the page has these feeds:"
        yield from found(checked.feeds)
    for number, entry in enumerate(checked.entries, 1):
        yield ""
        yield from _entry(number, entry)
    if checked.total > len(checked.entries) > 0:
        yield ""
        yield f"     … and {checked.total - len(checked.entries)} more: --entries N"


def _entry(number: int, entry: CheckedEntry) -> Iterator[str]:
    article = entry.article or {}
    title = plain(article.get("title") or "(no title)")
    yield f"{number:>3}  {title if len(title) <= _EXCERPT else title[:_EXCERPT] + '…'}"
    text = " ".join(article.get("text", "").split())
    if len(text) > _EXCERPT:
        text = f"{text[:_EXCERPT]}… ({article['characters']:,} characters)"
    for label, value in (
        ("rejected", entry.error),
        ("published", article.get("published_at")),
        ("link", article.get("url")),
        ("guid", article.get("guid")),
        ("language", article.get("language")),
        ("authors", ", ".join(article.get("authors", ()))),
        ("text", text),
        ("from", ", ".join(f"{name}: {element}" for name, element in entry.origins.items())),
        *(("problem", problem) for problem in entry.problems),
    ):
        yield from _labelled(label, value)


def _counted(checked: CheckedFeed) -> str:
    parts = [f"{checked.total}: {checked.articles} {'article' if checked.articles == 1 else 'articles'}"]
    for number, what in (
        (checked.total - checked.articles - checked.rejected, "repeated"),
        (checked.rejected, "rejected"),
        (checked.summaries - checked.headlines, "with a summary only"),
        (checked.headlines, "with a headline only"),
    ):
        if number > 0:
            parts.append(f"{number} {what}")
    return ", ".join(parts)


def imported(result: Mapping[str, Any]) -> Iterator[str]:
    """What became of an imported list: each feed that was not added, and settings that were left out."""
    for feed in result["feeds"]:
        where = f"{feed['place']}: {plain(feed['url']) or plain(feed['name'] or '')}"
        if feed["outcome"] == "invalid":
            yield f"{where}: {plain(feed['error'])}"
        for problem in feed["problems"]:
            yield f"{where}: left out: {plain(problem)}"
    yield f"{result['added']} added, {result['known']} known already, {result['invalid']} not valid"


def _row(*cells: str) -> str:
    status, rate, ago, following, rest = cells
    return f"{status:<8} {rate:>6}  {ago:<12} {following:<12} {rest}".rstrip()


def _labelled(label: str, value: str | None) -> Iterator[str]:
    """A label and its value, wrapped; nothing without a value."""
    if not value:
        return
    lines = textwrap.wrap(plain(value), _WIDTH, break_on_hyphens=False, break_long_words=False)
    yield f"     {label:<{_LABEL}} {lines[0]}"
    for line in lines[1:]:
        yield f"     {'':<{_LABEL}} {line}"


def _ago(moment: str | None, now: datetime) -> str:
    """A time relative to now: ``3 min ago``, ``in 2 h``, ``-`` for none."""
    if not moment:
        return "-"
    seconds = (datetime.fromisoformat(moment) - now).total_seconds()
    text = _duration(abs(seconds))
    if seconds <= 0:
        return f"{text} ago" if seconds < -1 else "now"
    return f"in {text}"


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length or (unit == "min" and seconds >= 60):
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
