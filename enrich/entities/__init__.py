"""Entities: recognised, matched with the gazetteer, linked to one identity.

============ ===================================================
find         all entities of an article
matching     names that the gazetteer has
bodies       ministries and public bodies by pattern
countries    the country of a place, of a demonym, of an article
linking      one identity for each name
surroundings whether a known name is part of a longer one
gazetteer/   known names in many languages under Wikidata ids
recognition/ names recognised by a neural network or by capitals
============ ===================================================
"""
