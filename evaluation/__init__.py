"""How good the enrichment is, in figures that anyone can measure again: ``make evaluate``.

========== =============================================================
cleaning   glued words, boilerplate, dates
language   languages of articles, titles, short, mixed and dialect texts
ner        entity spans on a part of ANERcorp that no network has seen
mentions   names as they come out of the pipeline, by language
linking    identities: pairs of article and Wikidata id
topics     IPTC Media Topics
quotes     who said what
duplicates near-duplicates on seeds/ and on generated streams
newspapers near-duplicates on real news
overlap    which real articles share most of their text, without Khabar
stories    stories on seeds/ and generated streams
bcubed     BCubed precision, recall and F1
baselines  simpler methods for comparison
sharding   group in shards, simulated
crowd      the stories of seeds/ among real news
group      the sections on near-duplicates and stories
grouping   what grouping a stream results in
streams    streams of articles with their truth
trends     which trends are reported, on days with and without bursts
counter    the store's counts in memory
samples    the labelled articles that several sections measure
corpora    reading public corpora
report     figures as Markdown tables
gold/      gold labels beside those in ``seeds/``
========== =============================================================

Corpora that may not be shipped are read from a directory given by ``--data``.
"""
