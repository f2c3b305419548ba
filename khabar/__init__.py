"""The Python client of Khabar's stream.

    async with khabar.connect("http://127.0.0.1:8000", entity="Q7747") as events:
        async for event in events:
            print(event.cursor, event.type, event.data)

It reconnects and resumes by itself; docs/reference/client.md describes how. The package imports nothing else of Khabar
and runs on Python 3.10: it is also built as a separate distribution, ``khabar-client``.

========== ===========================================================================
client     ``connect`` and ``Events``, the interface for programs
messages   the messages of the gateway as typed events
stream     one subscription across reconnects, as plain JSON objects
events     the public event models, which the server uses too
errors     the exceptions that end a subscription
backoff    delays between attempts
filters    the filters of the stream, a table that the server uses too
========== ===========================================================================
"""

from typing import TYPE_CHECKING, Any

from khabar.errors import Error, Refused, TooOld, Unreadable
from khabar.events import Article, Date, Entity, Mention, Quote, Span, Story, Topic, Trend
from khabar.messages import ArticleEvent, Event, StoryEvent, TrendEvent

if TYPE_CHECKING:
    from khabar.client import Events, connect

__all__ = [
    "Article",
    "ArticleEvent",
    "Date",
    "Entity",
    "Error",
    "Event",
    "Events",
    "Mention",
    "Quote",
    "Refused",
    "Span",
    "Story",
    "StoryEvent",
    "TooOld",
    "Topic",
    "Trend",
    "TrendEvent",
    "Unreadable",
    "connect",
]


def __getattr__(name: str) -> Any:
    # Loaded on first use: every service of Khabar imports khabar.events, and none needs a WebSocket client for it.
    if name in {"Events", "connect"}:
        from khabar import client  # noqa: PLC0415

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
