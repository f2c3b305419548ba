"""The marks of Arabic writing, and one spelling for what it leaves open, so that all variants of a word match."""

import unicodedata

import regex

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

# camel-tools' dediac_ar removes diacritics too, but loads 30 MB of character sets. Persian keyboards have a yeh and a
# kaf of their own.
_SPELLING: dict[int, str | None] = {**dict.fromkeys(map(ord, OPTIONAL_MARKS)), ord("ی"): "ي", ord("ک"): "ك"}


def arabic(text: str) -> str:
    """The text without diacritics and tatweel; all alefs are ا, all yehs and alef maksura ي, teh marbuta is ه."""
    return _arabic.letters(text.translate(_SPELLING))


# Letters in the form that they have in one place of a word, and ligatures: as some PDFs and old systems store them. The
# ligatures for whole words («ﷲ», «ﷺ») are what the publisher meant.
_FORMS = regex.compile("[\ufb00-\ufb06\ufb13-\ufb17\ufb1d-\ufbb1\ufbd3-\ufd3d\ufd50-\ufdc7\ufe70-\ufefc]")
_WORD_LIGATURES = regex.compile("[\ufdf0-\ufdf9]")
# Of lengthened words the lengthening, but not «1448هـ».
_LENGTHENED = regex.compile(r"(?<!\p{Nd}ه)(?<=[\p{Lo}\p{Mn}])\u0640++(?=[\p{Lo}\p{Mn}])")
# A language has at most a few marks on a letter.
_MOST_MARKS = 8
_EXCESS_MARKS = regex.compile(rf"(\p{{M}}{{{_MOST_MARKS}}})\p{{M}}++")


def compose(text: str) -> str:
    """The text in letters as everybody writes them.

    NFC, letters for their presentation forms, no tatweel inside words, at most eight marks in a row.
    """
    if text.isascii():
        return text
    text = _FORMS.sub(_letters_of_form, text)
    return _LENGTHENED.sub("", unicodedata.normalize("NFC", _EXCESS_MARKS.sub(r"\1", text)))


def _letters_of_form(form: regex.Match[str]) -> str:
    # The forms of marks have a space or a tatweel to carry them.
    return unicodedata.normalize("NFKC", form[0]).lstrip(f" {TATWEEL}")


def spell_out(word: str) -> str:
    """An Arabic word with the letters of ligatures for whole words («عبدﷲ» → «عبدالله»)."""
    return _WORD_LIGATURES.sub(lambda ligature: unicodedata.normalize("NFKC", ligature[0]), word)
