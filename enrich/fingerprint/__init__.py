"""What group compares articles by. Computed in annotate, which scales with workers, because group is one process.

=========== ===========================================================================
fingerprint all of them for one article
signature   content digest, MinHash and sketch, by which near-duplicates are found
terms       the content words that distinguish stories
numbers     the numbers of an article in one spelling
consonants  names by their consonants, the same in every script
features    entities, numbers and terms as hashed features
embedding   title and lead as a vector: the optional sentence encoder
=========== ===========================================================================
"""
