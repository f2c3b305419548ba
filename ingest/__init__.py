"""Where news comes in: feeds, pushes and files become records on ``articles.raw``.

========== =====================================================================
producer   writing articles to Kafka: acknowledged, or an error that says so
gzipped    bounded decompression of what strangers send
push       the HTTP side: ``POST /v1/articles``, health and metrics
feeds      polling RSS and Atom feeds
generator  the synthetic stream of ``khabar generate``, with its truth
replay     sending files to a running Khabar at a chosen pace
service    ``khabar ingest``: the push server and the feed poller in one process
commands   the command lines of this room
========== =====================================================================
"""
