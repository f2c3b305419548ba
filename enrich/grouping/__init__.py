"""What group is made of; ``enrich/group.py`` puts it together. docs/explanation/grouping.md says what it does.

============ ================================================================================
window       the articles that are remembered: rows in a ring
columns      what is kept of an article: the row
interned     values that many articles share
index        which recent articles have a key, in bounded memory
arrays       a few steps of numpy, faster for few numbers
duplicates   which earlier article a new one is a copy of
likeness     how alike two articles are as news
stories      open stories: which one an article joins, merges and splits
telling      a story as subscribers see it
times        µs since 1970
entry        one step of group as bytes
============ ================================================================================
"""
