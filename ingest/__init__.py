"""Ingest: articles from feeds, pushes and files become records on ``articles.raw``.

=========== ========================================================================
producer    writes articles to Kafka: acknowledged, or an error that says why not
access      who may speak to ingest: the token, the host
budget      the bytes that requests hold, shared between clients
push        the HTTP API: ``POST /v1/articles``, health and metrics
long_push   pushes of NDJSON of any length, written while they arrive
results     the results of a long push, kept in files until they are sent
refusal     answers that refuse a push
web         HTTP requests to other people's servers, with limits
lenient_http one request to a server that is not quite HTTP
feeds/      polling of RSS and Atom feeds
pages/      the full text of articles from their pages, where a feed has only a summary
generator/  the synthetic stream of ``khabar generate``, with its truth
replay      sends files to a running Khabar at a chosen rate
watch       ``khabar ingest watch``: sends the files that appear in a directory
service     ``khabar ingest``: the push server and the feed poller in one process
commands    the commands of this package
feed_commands the commands ``khabar feeds …``
=========== ========================================================================

``feeds.opml`` is a list of public feeds to begin with, for ``khabar feeds import``.
"""
