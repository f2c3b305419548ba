"""The enrichment: a Faust app with three stages over plain functions and small classes that need no Kafka.

============ ===============================================================================
app          ``create_app``: the Faust app, one agent per stage (annotate, group, aggregate), timers
worker       runs the app as a worker process
commands     ``khabar enrich``, ``annotate``, ``explain`` and ``rebuild``
consumer/    Faust's consumer: verified positions, detection of stalls
stage        moves records through a stage: batches, acknowledgements, dead letters, retries
annotate     RawArticle → AnnotatedArticle: everything that can be known from one article
languages/   the registry of languages and their word lists
text/        cleaning, spacing, boilerplate, language, tokens
entities/    who and what an article names, under one identity across languages
topics/      IPTC Media Topics
dates/       the days an article mentions
quotes/      who said what
fingerprint/ what group compares articles by: signature, terms, features, sentence vector
group/       the one writer of ``updates``: near-duplicates and stories within the window
aggregate/   Article and Story → counters in the store
trends/      which counts rise, published on ``updates``
============ ===============================================================================

annotate and the packages it calls never import ``group``, ``aggregate`` or ``trends`` (``make check`` proves it).
"""
