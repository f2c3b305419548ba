"""Consonant keys of names, equal across scripts: «كريم وجدي» and "Karim Wagdy" have the same key.

Arabic does not write short vowels, other languages spell long ones in many ways, and a sound that a language lacks is
written as a similar one (ق as k or q or g, ج as j or g or dj). So vowels are left out and similar consonants are one.
Equal keys are evidence that two articles name the same person or place, not proof.
"""

import re
import unicodedata

_LEAST = 4
_ARTICLE = "ال"
_ARTICLES = {"al", "el", "ال", "آل", "de", "von", "van", "bin", "ibn", "بن"}
_DIGRAPHS = (
    ("sch", "s"),
    ("ch", "s"),
    ("sh", "s"),
    ("kh", ""),
    ("gh", "g"),
    ("th", "t"),
    ("dh", "d"),
    ("ph", "f"),
    ("dj", "g"),
    ("zh", "z"),
    ("tz", "s"),
)
_LATIN = dict(zip("bpdtckqgjfvlmnrszx", "bbdtgggggfflmnrszg", strict=True))
_ARABIC = dict(zip("بپتطثدضذجچقكکگغفڤلمنرزژظسشص", "bbtttdddgggggggfflmnrzzzsss", strict=True))
_CYRILLIC = dict(zip("бпвфгкджзлмнрстцчшщ", "bbffggdzzlmnrstssss", strict=True))
_SOUNDS = str.maketrans(_LATIN | _ARABIC | _CYRILLIC)
_SILENT = re.compile("[^a-z]+")
_REPEATED = re.compile(r"(.)\1+")


def consonant_key(name: str) -> str | None:
    """The consonants of a name, word by word; None when they are too few to distinguish it from others."""
    words = [found for word in name.lower().replace("-", " ").split() if word not in _ARTICLES and (found := _of(word))]
    return "-".join(words) if sum(map(len, words)) >= _LEAST else None


def _of(word: str) -> str:
    if word.startswith(_ARTICLE) and len(word) > len(_ARTICLE) + 2:
        word = word[len(_ARTICLE) :]
    plain = "".join(char for char in unicodedata.normalize("NFKD", word) if not unicodedata.combining(char))
    for letters, sound in _DIGRAPHS:
        plain = plain.replace(letters, sound)
    sounds = "".join(char for char in plain if char in _LATIN or char in _ARABIC or char in _CYRILLIC)
    return _REPEATED.sub(r"\1", sounds.translate(_SOUNDS))
