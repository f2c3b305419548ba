"""How good the enrichment is, in figures that anyone can measure again: ``make evaluate``.

cleaning.py   glued words, boilerplate, dates
language.py   languages of articles, titles, short, mixed and dialect texts
ner.py        entity spans on a part of ANERcorp that no network has seen
mentions.py   names as they come out of the pipeline, by language
linking.py    identities: pairs of article and Wikidata id
topics.py     IPTC Media Topics
quotes.py     who said what
duplicates.py copies, on seeds/ and on generated streams; newspapers.py the same on real news, by overlap.py
stories.py    stories: bcubed.py the measure, baselines.py simpler methods beside ours
sharding.py   group in shards, simulated; crowd.py the stories of seeds/ among real news
group.py      the sections on all of that
grouping.py   what a stream comes to when it is grouped; streams.py such streams with their truth
trends.py     what is told to rise, on days with and without bursts; counter.py the store's counts in memory
samples.py    the labelled articles that several of these measure
report.py     figures as Markdown tables

Gold labels lie in ``seeds/`` and in ``gold/``. What may not be shipped is read from a directory that is named.
"""
