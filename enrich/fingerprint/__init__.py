"""What group compares articles by. Computed in annotate, which scales with workers, because group is one process.

============== ==============================================================================
fingerprint    all of them for one article
signature      content digest, MinHash and sketch, by which near-duplicates are found
terms          the content words that distinguish stories
numbers        the numbers of an article in one spelling
consonants     names by their consonants, the same in every script
features       entities, numbers and terms as hashed features
embedding      meaning and event of an article as vectors: by the table or the sentence encoder
static_vectors the table: what each word piece adds to the meaning of a text
model/         the table, made by training/vectors
============== ==============================================================================
"""
