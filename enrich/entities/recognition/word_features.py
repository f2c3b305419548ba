"""The network's input for a word: its pieces, and hashes of its forms and parts. Shared by training and inference."""

import re
from zlib import crc32

from services.normalization import ALL_MARKS

_MARKS = re.compile(f"[{ALL_MARKS}]")
_SPELLING = str.maketrans(
    {
        "أ": "ا",
        "إ": "ا",
        "آ": "ا",
        "ٱ": "ا",
        "ى": "ي",
        "ی": "ي",
        "ة": "ه",
        "ؤ": "و",
        "ئ": "ي",
        "ک": "ك",
        "گ": "ك",
        "ڤ": "ف",
        "پ": "ب",
        "چ": "ج",
    }
)
# The network was trained on news with these digits; others of the same value are the same number.
_DIGITS = str.maketrans("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹", "0123456789" * 2)
# Further characters of a word are ignored.
LONGEST = 30
BUCKETS = 1 << 16
FEATURES = 16
MOST_PIECES = 6
_AFFIXES = (1, 2, 3, 4)
_CONJUNCTIONS, _PREPOSITIONS = "وف", "بلكس"


def bare(word: str) -> str:
    """A word without diacritics and tatweel, its digits 0 to 9; a word of nothing else is unchanged."""
    return (_MARKS.sub("", word) or word).translate(_DIGITS)


def hashed(word: str) -> list[int]:
    """The numbers (below ``BUCKETS``) of a bare word's features, always ``FEATURES`` of them; 0 means none."""
    form = word.translate(_SPELLING)
    length = len(form)
    stem = _stem(form)
    noun = stem[2:] if stem.startswith("ال") and len(stem) > 4 else stem
    named = [f"w{form}", f"s{stem}", f"n{noun}", f"k{_shape(word)}", f"l{min(length, 9)}"]
    named += [f"a{noun[:3]}", f"z{noun[-3:]}", f"m{noun[1:4]}"]
    named += [f"p{form[:size]}" if length >= size else "" for size in _AFFIXES]
    named += [f"e{form[-size:]}" if length >= size else "" for size in _AFFIXES]
    return [crc32(name.encode("utf-8", "surrogatepass")) % (BUCKETS - 1) + 1 if name else 0 for name in named]


def _stem(form: str) -> str:
    """A word without the particles that may be written onto it; a guess, made the same way always."""
    if len(form) > 4 and form[0] in _CONJUNCTIONS:
        form = form[1:]
    if len(form) > 4 and form.startswith("لل"):
        return "ال" + form[2:]
    if len(form) > 4 and form[0] in _PREPOSITIONS:
        form = form[1:]
    return form


def _shape(word: str) -> str:
    first = word[0]
    if word.isdigit():
        return f"d{len(word)}" if len(word) < 5 else "d"
    if any(char.isdigit() for char in word):
        return "m"
    if "\u0600" <= first <= "\u06ff" and first.isalpha():
        return "a"
    if first.isalpha():
        return "u" if first.isupper() else "l"
    return first
