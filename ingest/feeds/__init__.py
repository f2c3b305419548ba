"""Polling of RSS and Atom feeds: new and changed entries become articles, invalid ones dead letters.

========== ====================================================================
feed       a feed and its state between polls; reading the file of feeds
fetch      one conditional HTTP request for a feed
schedule   when a feed is polled next; circuit breaker for hosts
candidates the entries of a feed document, converted to the fields of an article
poller     polls every feed at its own pace
========== ====================================================================

A feed is requested conditionally (ETag, Last-Modified). What was sent is held in memory: after a restart, entries are
sent again, with the same ids. Nothing is marked as sent before Kafka has acknowledged it.
"""

from ingest.feeds.feed import Feed, FeedError, read_feeds
from ingest.feeds.poller import Poller, PollResult, poll

__all__ = ["Feed", "FeedError", "PollResult", "Poller", "poll", "read_feeds"]
