"""The table of static vectors: what each word piece adds to the meaning of a text.

====== ==================================================================================
corpus unlabelled sentences in many languages
teach  the sentence encoder's vectors of these sentences, and of each word piece alone
fit    the table whose weighted sums are closest to the encoder's vectors, and its export
====== ==================================================================================
"""
