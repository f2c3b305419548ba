"""The enrichment: three Faust agents over plain functions and small classes that need no Kafka.

================ ==========================================================================================
app              the Faust app: the pipeline in order, one agent a stage
stage            moving records: batches, acknowledgements, dead letters, retries
annotate         RawArticle → AnnotatedArticle, everything that needs no other article
  cleaning       HTML and text as it came → text as it is shown
  normalization  text as it is matched: tokens, Arabic spelling, stems
  language       which language, and how sure
  gazetteer      the names Khabar knows, in many languages, under Wikidata ids
  entities       where an article names them
  signature      content fingerprint and MinHash
  terms          the content words that tell stories apart
group            AnnotatedArticle → Article and Story, with everything seen within the window
  duplicates     the near-duplicate index
  stories        open stories and which one an article joins
  journal        group's memory: read back from its own output on ``updates``
aggregate        Article and Story → counters in the store
service          runs the Faust worker
commands         ``khabar enrich`` and ``khabar annotate``
================ ==========================================================================================
"""
