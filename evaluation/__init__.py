"""How good the enrichment is, in figures that anyone can measure again: ``make evaluate``.

cleaning.py   glued words, boilerplate, dates
language.py   languages of articles, titles, short, mixed and dialect texts
ner.py        entity spans on a part of ANERcorp that no network has seen
mentions.py   names as they come out of the pipeline, by language
linking.py    identities: pairs of article and Wikidata id
topics.py     IPTC Media Topics
quotes.py     who said what
samples.py    the labelled articles that several of these measure
report.py     figures as Markdown tables

Gold labels lie in ``seeds/`` and in ``gold/``. What may not be shipped is read from a directory that is named.
"""
