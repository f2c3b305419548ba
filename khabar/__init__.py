"""Khabar's stream for Python programs.

    async with khabar.connect("http://127.0.0.1:8000", entity="Q7747") as events:
        async for event in events:
            print(event.cursor, event.type, event.data)

It reconnects and resumes by itself; docs/reference/client.md says how exactly.

========== ===========================================================================
client     ``connect`` and ``Events``: what programs use
messages   what the gateway sends, as typed events
stream     one subscription through every interruption, as plain JSON objects
errors     what a program may have to handle
backoff    delays between tries
filters    the filters of the stream: the table that the gateway and the client read
========== ===========================================================================
"""

from khabar.client import Events, connect
from khabar.errors import Error, Refused, TooOld, Unreadable
from khabar.messages import ArticleEvent, Event, StoryEvent, TrendEvent
from services.events import Article, Date, Entity, Mention, Quote, Span, Story, Topic, Trend

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
