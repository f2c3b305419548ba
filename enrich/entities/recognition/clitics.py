"""Particles that Arabic writes onto the next word: و and ف (and, so), ب ل ك (in, to, like).

They are no part of a name, but many names begin with the same letters. The counts of a word in names with and without
the letter distinguish them: ``وبوتين`` is rare compared with ``بوتين``, ``وليد`` is frequent and ``ليد`` is not.
"""

import functools
from collections.abc import Container
from pathlib import Path

from enrich.entities.gazetteer.name_words import is_given_name
from enrich.text.tokens import after_letters

_NAMES = Path(__file__).with_name("model") / "names.txt"
# A word is a particle and a name if its count, relative to that of the name alone, is at most this.
_MOST = {"و": 0.5, "ب": 0.4, "ل": 0.4, "ف": 0.05, "ك": 0.05}
_CONJUNCTIONS, _PREPOSITIONS = "وف", "بلك"
_SHORTEST = 3
# ف and ك are seldom written onto names; three letters after them are more often the rest of another name (كسلا) than a
# name, unless the article has the name alone too.
_RARE, _SHORTEST_AFTER_RARE = "فك", 4
# Added to the count of the rest if the article has it alone, and if it begins with the definite article.
_SEEN, _DEFINITE = 20, 3
# Foreign names in W are written with و and one of these.
_VOWELS = "اويآأإ"
_HAMZA = frozenset("أإآ")


@functools.cache
def counts() -> dict[str, int]:
    """How often words, in the spelling of ``tokens.form``, were seen in names."""
    found = {}
    for line in _NAMES.read_text(encoding="utf-8").splitlines():
        count, *forms = line.split(" ")
        found.update(dict.fromkeys(forms, int(count)))
    return found


def length(surface: str, form: str, seen: Container[str]) -> int:
    """How many characters at the beginning of a name's first word are particles; their marks count too.

    ``form`` is the word's form, ``seen`` holds the forms of words in the article's names so far.
    """
    letters = 0
    if is_given_name(form):
        return 0
    if form[0] in _MOST and surface[1:2] in _HAMZA and len(form) > _SHORTEST:
        letters = 1  # «كأرسطو», «لأوباما»: within a word, alef with hamza begins another word
    elif _carries(form, seen):
        letters = 1
        if form[0] in _CONJUNCTIONS and form[1] not in _CONJUNCTIONS and _carries(form[1:], seen):
            letters = 2
    return after_letters(surface, letters) if letters else 0


def _carries(form: str, seen: Container[str]) -> bool:
    """Whether a word begins with a particle."""
    if len(form) <= _SHORTEST or form[0] not in _MOST:
        return False
    if form.startswith("لل") and len(form) > 4:
        # للسعودية is ل and السعودية, whose alef is not written; no name begins so.
        return True
    if form[0] in _RARE and len(form) <= _SHORTEST_AFTER_RARE and form[1:] not in seen:
        return False
    known = counts()
    whole, rest = known.get(form, 0), known.get(form[1:], 0)
    if form[1:] in seen:
        rest += _SEEN
    if len(form) > 5 and _definite(form):
        rest += _DEFINITE
    if rest:
        return whole <= _MOST[form[0]] * rest
    return form[0] == "و" and not whole and len(form) > 4 and form[1] not in _VOWELS


def _definite(form: str) -> bool:
    """Whether a word looks like a particle before the article; not for كال and فال, which begin foreign names."""
    if form[0] == "و" and form[1] in _PREPOSITIONS:
        return form.startswith(("بال", "لل"), 1)
    return form.startswith(("وال", "بال"))
