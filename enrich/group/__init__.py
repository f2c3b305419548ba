"""Group: the one writer of ``updates``. docs/explanation/grouping.md explains the method.

========== ============================================================================
grouper    AnnotatedArticle → Article and Story, by comparison with the whole window
window     the articles of the window, rows in a ring, and articles about to enter it
columns    what is kept of an article: the row
weights    tf-idf weights of an article's features, feature pairs
interned   values that many articles share
index      which recent articles have a key, in bounded memory
arrays     numpy operations, faster for few numbers
duplicates which earlier article a new one is a near-duplicate of
vectors    packed vectors of the articles in the window, and their centre
similarity how similar two articles are as news
stories    open stories: which one an article joins, merges and splits
story_view a story as subscribers see it
times      µs since 1970
step       one step of group as bytes
journal    group's state: written with its output on ``updates``, restored from it
snapshots  the entries of that state, many in one record of ``group.entries``
writer     runs grouper and journal while the partition is assigned to this worker
explain    why two articles are, or are not, near-duplicates or one story
========== ============================================================================
"""
