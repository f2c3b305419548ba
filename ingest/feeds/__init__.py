"""Polling of feeds: new and changed entries become articles, invalid ones dead letters.

================== ====================================================================
poller             polls the feeds that are due, together with other processes
schedule           when a feed is polled next; circuit breaker for hosts
fetch              one conditional HTTP request for a feed
writer             a feed document → articles on Kafka: parse, identify, write, remember
candidates         the entries of a document, converted to articles and checked
identity           which article an entry is, and what was seen before
api                ``/v1/feeds``: add, list, change, remove, check and poll feeds
discovery          the feeds of a site
check              what an address or a file has, entry by entry
opml               importing and exporting lists of feeds
shown              what ``khabar feeds`` prints
gateway            requests of ``khabar feeds`` to the gateway
subscriptions_file the file of feeds, which is followed as it changes
websub             subscriptions at the hubs of feeds, and what the hubs deliver
websub_callback    the endpoints that hubs call
counts             the number of feeds by status, for the metrics
================== ====================================================================

The feeds and their state are in the store (``services/store/feeds.py``). A feed is requested conditionally (ETag,
Last-Modified, digest of the body). Nothing is remembered as sent before Kafka has acknowledged it.
"""
