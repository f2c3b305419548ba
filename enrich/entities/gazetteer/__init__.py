"""The gazetteer: known names in many languages under Wikidata ids.

========== ==================================================
declension forms of Russian and Ukrainian names
entries    entries and aliases, read from the tables
name_words titles, demonyms, given names, surnames, ordinary words
spelling   languages, endings and accents of a name
========== ==================================================
"""
