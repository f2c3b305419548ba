"""The marks of Arabic writing, and one spelling for what it leaves open, so that all variants of a word match."""

import unicodedata

from services import arabic as _arabic

TATWEEL = "\u0640"
# Short vowels, tanwin, shadda and sukun.
HARAKAT = "".join(map(chr, range(0x64B, 0x653)))
FATHATAN = "\u064b"
DAGGER_ALEF = "\u0670"
# Combining madda and hamza, which أ, إ, آ, ؤ and ئ are decomposed into.
HAMZA_MARKS = "\u0653\u0654\u0655"
# Vowel signs that other languages in Arabic script use.
_FURTHER_VOWELS = "".join(map(chr, range(0x656, 0x660)))
# Annotations in editions of the Quran.
_QURANIC_MARKS = "".join(map(chr, (*range(0x610, 0x61B), *range(0x6D6, 0x6EE))))

# What ``arabic`` removes. Hamza marks stay: they distinguish words.
OPTIONAL_MARKS = TATWEEL + HARAKAT + DAGGER_ALEF
# What may occur between the letters of a word in the news.
WORD_MARKS = OPTIONAL_MARKS + HAMZA_MARKS + _FURTHER_VOWELS
ALL_MARKS = WORD_MARKS + _QURANIC_MARKS

# camel-tools' dediac_ar removes diacritics too, but loads 30 MB of character sets.
_WITHOUT_MARKS = dict.fromkeys(map(ord, OPTIONAL_MARKS))


def arabic(text: str) -> str:
    """The text without diacritics and tatweel; all alefs are ا, alef maksura is ي, teh marbuta is ه."""
    return _arabic.letters(text.translate(_WITHOUT_MARKS))


def compose(text: str) -> str:
    """The text in Unicode's composed form (NFC), in which each letter has one encoding; at most 30 marks in a row."""
    return unicodedata.normalize("NFC", _arabic.limit_marks(text))
