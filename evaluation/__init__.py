"""Measures the quality of the enrichment: ``make evaluate``.

================ ==========================================================
cleaning         glued words, boilerplate, dates
language         languages of articles, titles, short, mixed and dialect texts
ner              entity spans on a part of ANERcorp that was not trained on
mentions         mentions found by the whole pipeline, by language
linking          pairs of article and Wikidata id
identities       identities in real news of six Slavic languages
topics           IPTC Media Topics
quotes           quotations and their speakers
duplicates       near-duplicates on seeds/ and on generated streams
newspapers       near-duplicates on real news
overlap          labels pairs of real articles by the words they share
stories          stories on seeds/, generated streams and titles
titles           titles of real news with their events, in two halves
near_misses      events with the same actors
bcubed           BCubed precision, recall and F1
baselines        simpler methods for comparison
sharding         group in shards, simulated
seeds_in_news    the stories of seeds/ among real news
group_report     the report's sections on near-duplicates, stories and shards
grouping         runs group over a stream and follows its output
labelled_streams streams of articles with their labels
trends           trends on days with and without bursts
store_model      the store's counts in memory
samples          labelled articles that several sections measure
corpora          reads public corpora
report           writes figures as Markdown tables
gold/            gold labels in addition to those in ``seeds/``
================ ==========================================================

Corpora that may not be redistributed are read from the directory given with ``--data``.
"""
