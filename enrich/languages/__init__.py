"""Languages: one row of the registry and one folder of word lists per language.

======== ==================================================================
registry the traits of each language: script, stemmer, attached letters, …
files    the files of a language's folder, found and read
xx/      the word lists of a language; README.md describes each
======== ==================================================================

A language that is not registered has no word lists and no traits; its articles are cleaned, compared and grouped.
"""

from enrich.languages.registry import LANGUAGES, Language, get

__all__ = ["LANGUAGES", "Language", "get"]
