"""Entities: recognised, matched with the gazetteer, linked to one identity.

============ ===================================================
find         all entities of an article
matching     names that the gazetteer has
linking      one identity for each name
surroundings whether a known name is part of a longer one
gazetteer/   known names in many languages under Wikidata ids
recognition/ names recognised by a neural network or by capitals
============ ===================================================
"""
