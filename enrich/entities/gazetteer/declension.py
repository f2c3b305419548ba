"""The forms of Russian and Ukrainian names of one word, by declension class.

A class is chosen by the ending of the nominative; where the ending leaves two classes open, both count.
"""

import functools

from services.events import EntityType

_HUSHING = frozenset("жчшщц")
_VELAR = frozenset("кгх")
_VOWELS = frozenset("аеиоуыэюяіїє")
_SHORTEST = 3


def is_cyrillic(word: str) -> bool:
    """Whether a word is in Cyrillic letters."""
    return "\u0400" <= word[0] <= "\u052f"


@functools.lru_cache(20_000)
def declined(word: str, kind: EntityType) -> frozenset[str]:
    """The singular and plural forms of a Russian or Ukrainian name of one word (lower case, nominative)."""
    found = {word[: len(word) - cut] + ending for cut, endings in _classes(word, kind) for ending in endings.split()}
    if kind != "PER" and word[-1] in "ыи" and found:
        found.add(word[:-1])  # Филиппин, Афин
    return frozenset({word, *found})


def _classes(word: str, kind: EntityType) -> list[tuple[int, str]]:  # noqa: PLR0911, PLR0912 - one branch a class
    """The endings of the declension classes that a name may belong to, each with how many letters they replace."""
    if len(word) < _SHORTEST:
        return []
    last, before = word[-1], word[-2]
    if word.endswith(("ский", "ской", "цкий", "цкой", "ський", "цький", "ый", "ой")):
        return [(2, "ого ому ым ом им ім")] + ([(1, "я ю ем е")] if word.endswith("ой") else [])
    if word.endswith("ий"):
        return [(2, "его ему им ем ого ому ом"), (1, "я ю ем и")]
    if word.endswith(("ая", "яя")):
        return [(2, "ой ую ою ей юю")]
    if word.endswith(("ое", "ее")):
        return [(2, "ого ому ым ом его ему им ем")]
    if word.endswith(("ые", "ие")) and kind != "LOC":
        return [(2, "ых ым ыми их им ими")]
    if word.endswith(("ова", "ева", "ёва", "ина", "ына")) and kind == "PER":
        return [(1, "ой у ою ы е")]
    if word.endswith(("ия", "ія")):
        return [(1, "и ю ей і єю")]
    if last == "а":
        return [(1, "ы и у е ой ою і" if before not in _VELAR | _HUSHING else "и ы у е ой ою ей ею і")]
    if last == "я":
        return [(1, "и ю е ей ею і ї єю")]
    if last == "о":
        declinable = before in "внт" and (kind != "PER" or word.endswith("енко"))
        return [(1, "а у ом е і ові")] if declinable else []
    if last == "е":
        return [(1, "я ю ем и")] if before in "рлв" and kind != "PER" else []
    if last in "ыи":
        singular = last == "и" and before not in _VELAR | _VOWELS and before not in "нт"
        return [] if singular or kind == "PER" else [(1, "ов ев ам ами ах ям ями ях")]
    if last == "й":
        return [(1, "я ю ем ем е єм єві")]
    if last == "ь":
        return [(1, "я ю ем е ем і єм еві")] + ([] if kind == "PER" else [(1, "и ью і ю")])
    if last in _VOWELS:
        return []
    if last in _HUSHING:
        return [(0, "а у ем ом е і еві")]
    surname = " ым им" if kind == "PER" and word.endswith(("ов", "ев", "ин", "ын", "ін")) else ""
    return [(0, "а у ом е і ові" + surname)]
