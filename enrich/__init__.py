"""The enrichment: three Faust agents over plain functions and small classes that need no Kafka.

================ ==========================================================================================
app              the Faust app: the pipeline in order, one agent a stage
stage            moving records: batches, acknowledgements, dead letters, retries
standstill       records that nobody takes although the stage waits
annotate         RawArticle → AnnotatedArticle, everything that can be known of an article alone
  cleaning       HTML and text as it came → text as it is shown
  spacing        spaces that were lost with a line break
  boilerplate    lines that do not belong to the news, known beforehand or learnt from repetition
  language       which language, and how sure
  normalization  text as it is matched: tokens, Arabic spelling, stems
  entities       who and what an article names: recognise, match, link
    recognition  names by their looks and company: a neural network, rules for languages with capitals
    matching     names that the gazetteer knows
    linking      one identity for every name
    gazetteer    the names Khabar knows, in many languages, under Wikidata ids
    names        titles, demonyms, given names
  topics         IPTC Media Topics
  quotes         who said what
  dates          the days an article speaks of
  signature      content fingerprint, MinHash and sketch: by what a text is recognised
  terms          the content words that tell stories apart
  numbers        the numbers an article tells, written alike
  skeleton       names by their consonants, alike in every script
  features       names, numbers and terms as what stories are told apart by
  marks          all of that that group compares an article by
  vectors        what title and beginning mean, as a vector: the optional sentence encoder
memory           what annotate remembers of the sources' repetitions, read back at the start
writer           the one writer of ``updates``: group's journal, kept while the partition is this worker's
group            AnnotatedArticle → Article and Story, with everything seen within the window
  grouping/      the articles it remembers, which are copies, which are one story
  journal        group's memory: written with its output on ``updates``, read back from it
  copies         the entries of that memory, many in a record
aggregate        Article and Story → counters in the store
service          runs the Faust worker
explain          why two articles are, or are not, the same or the same story
commands         ``khabar enrich``, ``khabar annotate`` and ``khabar explain``
================ ==========================================================================================
"""
