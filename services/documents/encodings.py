"""Bytes of a stranger's document → text, whatever encoding it is in and whatever it says about that.

What holds, first to last: a byte order mark; UTF-16 and UTF-32 by their zero bytes; UTF-8 where the bytes are valid, or
nearly; an Arabic code page where the letters are Arabic; what was declared; what chardet finds.
"""

import codecs
import math
import re
from collections.abc import Iterator, Sequence
from typing import Final

import chardet

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Labels that mean a larger code page, as in browsers.
_SUPERSETS: Final = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
# Software writes these without looking at the text, so they say little about it.
_CARELESS: Final = {"cp1252", "iso8859-15", "mac-roman"}
_ARABIC: Final = ("cp1256", "iso8859-6", "mac-arabic")
# What the others can be; letters of the Latin alphabet touch ASCII letters, those of other alphabets do not.
_LATIN: Final = ("cp1252", "cp1250", "cp1254", "cp1257", "cp1258", "iso8859-2")
_NOT_LATIN: Final = (
    *(
        "cp1251",
        "cp1253",
        "cp1255",
        "cp1256",
        "cp874",
        "iso8859-6",
        "iso8859-5",
        "iso8859-7",
        "iso8859-8",
        "koi8-r",
        "koi8-u",
    ),
    *("gb18030", "big5hkscs", "cp932", "euc_jis_2004", "cp949"),
)
# chardet takes 0.3 ms for this much; the beginning of a feed shows its language.
_SAMPLE: Final = 20_000
# Where a document declares its encoding.
_HEAD: Final = 4_096
_XML_DECLARATION = re.compile(rb"""<\?xml\s[^>]{0,200}?encoding\s{0,9}=\s{0,9}["']([A-Za-z0-9._:-]{2,40})["']""")
_META = re.compile(rb"""<meta\s[^>]{0,300}?charset\s{0,9}=\s{0,9}["']?([A-Za-z0-9._:-]{2,40})""", re.IGNORECASE)
_HEADER = re.compile(r"""charset\s{0,9}=\s{0,9}["']?([A-Za-z0-9._:-]{2,40})""", re.IGNORECASE)
_NUMBERED = re.compile(r"(?:x-)?(?:windows|win|cp|microsoft-cp)[-_ ]?(\d{3,4})", re.IGNORECASE)
# Pieces of text that have letters beyond ASCII, without the markup around them.
_PIECE = re.compile(rb"[^<>\x80-\xff]{0,40}[\x80-\xff][^<>]{0,2000}")

_HIGH: Final = bytes(range(0x80, 0x100))

# The letters of Arabic newspapers, in thousandths.
_LETTERS: Final = {
    **{"ا": 149, "ل": 110, "ي": 73, "م": 58, "ر": 55, "و": 54, "ن": 48, "ت": 47, "ب": 36, "ة": 34, "ع": 32, "د": 32},
    **{"ف": 29, "س": 26, "ق": 25, "أ": 22, "ح": 19, "ه": 18, "ك": 14, "ج": 14, "ص": 12, "ش": 11, "ط": 11, "إ": 10},
    **{"ى": 9, "خ": 9, "ز": 8, "ث": 7, "ض": 6, "غ": 5, "ء": 4, "ئ": 4, "ذ": 4, "ظ": 2, "آ": 1, "ؤ": 1},
}
_WEIGHTS: Final = {letter: math.log2(count / 1000) for letter, count in _LETTERS.items()}
# Letters of Persian and Urdu.
_WEIGHTS.update(dict.fromkeys("پچژگکیہھےڤٹڈڑں", -8.0))
# What stands between Arabic letters says nothing: marks, digits, quotation marks; MacArabic has ASCII twice.
_NEUTRAL: Final = frozenset("،؛؟ـًٌٍَُِّْ٠١٢٣٤٥٦٧٨٩٪٫٬«»“”‘’…–—\u00a0\u200c\u200d\u200e\u200f <>/=\"'.,:-?\n")
_STRANGE: Final = -11.0
# The mean weight of Arabic texts is -4.5 (their entropy), of others read as Arabic below -5.5.
_LEAST_ARABIC: Final = -5.2
# How much less likely the rare code pages are.
_RARE: Final = {"cp1256": 0.0, "iso8859-6": 0.1, "mac-arabic": 0.4}
# With fewer letters, chance letters of another alphabet may look like Arabic.
_SURE: Final = 80
# MacArabic differs from ISO-8859-6 by its second space (0xA0), which not all texts use.
_SURELY_MAC: Final = -5.2
_TOUCHING = re.compile(rb"[A-Za-z][\x80-\xff]|[\x80-\xff][A-Za-z]")


def decode(data: bytes, declared: Sequence[str] = ()) -> tuple[str, str, list[str]]:
    """The text without a byte order mark, the name of its encoding, and what was wrong, a sentence each.

    ``declared``: the labels that go with the document, the most trusted first (see ``labels``); unknown ones are
    ignored. Always gives a text; bytes that have no meaning become U+FFFD. The time is linear in the length.
    """
    names = [name for label in declared if (name := _name(label))]
    text, encoding, problems = _decode(data, names)
    if names and _family(names[0]) != _family(encoding) and not (names[0] == "cp1252" and text.isascii()):
        problems = [f"encoding: declared as {declared[0]}, is {encoding}", *problems]
    return text, encoding, problems


def labels(data: bytes, content_type: str = "") -> list[str]:
    """The encodings that the HTTP header, the XML declaration and a meta element name, in this order."""
    found = [match[1] for match in _HEADER.finditer(content_type[:1_000])]
    # Zero bytes, so that the declaration of UTF-16 is found, too.
    head = data[:_HEAD].replace(b"\0", b"")
    found += [match[1].decode() for pattern in (_XML_DECLARATION, _META) if (match := pattern.search(head))]
    return found


def _decode(data: bytes, names: list[str]) -> tuple[str, str, list[str]]:
    for mark, encoding in _BOMS:
        if data.startswith(mark) and (text := _marked(data.removeprefix(mark), encoding)) is not None:
            return _replaced(text, encoding)
    if wide := _wide(data, names):
        return _replaced(data.decode(wide, "replace"), wide)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        pass
    else:
        return _seven_bits(data, text, names)
    text = data.decode("utf-8", "replace")
    good, bad = _beyond_ascii(text)
    if good > bad:
        return _replaced(text, "utf-8")
    encoding = _code_page(data, names)
    return _replaced(data.decode(encoding, "replace"), encoding)


def _marked(data: bytes, encoding: str) -> str | None:
    """The text after a byte order mark; None where the mark is wrong."""
    text = data.decode(encoding, "replace")
    if encoding == "utf-8":
        good, bad = _beyond_ascii(text)
        return text if good >= bad else None
    # A 16-bit mark before 8-bit text: nothing of it is markup or a space.
    return text if not data or _has_ascii(text) else None


def _wide(data: bytes, names: Sequence[str]) -> str | None:
    """The 16-bit or 32-bit encoding of a text without a mark."""
    sample = data[: _SAMPLE // 4 * 4]
    if b"\0" in sample:
        zeros = [sample[place::4].count(0) / max(1, len(sample) // 4) for place in range(4)]
        if zeros[1] > 0.9 and zeros[2] > 0.9 and zeros[0] < 0.5:
            return "utf-32-be" if zeros[0] > zeros[3] else "utf-32-le"
        if zeros[0] > 0.9 and zeros[1] > 0.9:
            return "utf-32-be"
        if zeros[2] > 0.9 and zeros[3] > 0.9:
            return "utf-32-le"
        # The high bytes are those of few blocks: of ASCII (0), Arabic (6), Cyrillic (4).
        for encoding, high in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[::2])):
            other = sample[::2] if encoding == "utf-16-le" else sample[1::2]
            few = sum(high.count(block) for block in (0, 3, 4, 5, 6, 0x20))
            if max(few - 0.7 * len(high), high.count(0)) > 0.1 * len(high) and high.count(0) > 4 * other.count(0):
                return encoding
    for name in names:
        if name in {"utf-16", "utf-16-le", "utf-16-be"}:
            for encoding in ("utf-16-le", "utf-16-be") if name == "utf-16" else (name,):
                text = sample[: len(sample) // 2 * 2].decode(encoding, "replace")
                if _has_ascii(text) and text.count("\ufffd") < len(text) / 50:
                    return encoding
    return None


def _has_ascii(text: str) -> bool:
    """Whether a decoded 16-bit text has markup, spaces or line ends, as all texts do and chance pairs do not."""
    sample = text[:2_000]
    return sum(sample.count(one) for one in " \n<>،。、.") > len(sample) / 100


def _seven_bits(data: bytes, text: str, names: Sequence[str]) -> tuple[str, str, list[str]]:
    # ISO-2022-JP looks like ASCII.
    if b"\x1b$" in data and text.isascii():
        japanese = data.decode("iso2022_jp_2", "replace")
        if japanese.count("\ufffd") < len(japanese) / 50:
            return _replaced(japanese, "iso2022-jp")
    return text, "utf-8", []


def _code_page(data: bytes, names: Sequence[str]) -> str:
    """The encoding of a text that is neither Unicode nor ASCII."""
    sample = b" ".join(_pieces(data))[:_SAMPLE]
    declared = [name for name in names if not name.startswith("utf-") and _fits(sample, name)]
    letters = len(sample) - len(sample.translate(None, _HIGH))
    if sum(1 for _ in _TOUCHING.finditer(sample)) > letters / 2:
        if declared and declared[0] not in {*_ARABIC, *_CARELESS}:
            return declared[0]
        # Turkish is what is declared as Latin-1 by mistake.
        return _guess(sample, ("cp1252", "cp1254") if declared else _LATIN)
    scores = {name: _arabic_score(sample, name) - _RARE[name] * (name not in declared) for name in _ARABIC}
    if sample.count(0xA0) < letters / 25 and not (letters >= _SURE and scores["mac-arabic"] >= _SURELY_MAC):
        del scores["mac-arabic"]
    arabic = max(scores, key=lambda name: scores[name])
    if scores[arabic] + _RARE[arabic] >= _LEAST_ARABIC:
        arabic = next((name for name in declared if scores.get(name, _STRANGE) > scores[arabic] - 0.1), arabic)
        if letters >= _SURE or arabic in declared:
            return arabic
        found = _guess(sample, _NOT_LATIN)
        return arabic if found in _ARABIC or arabic == "mac-arabic" else found
    for name in declared:
        if name not in {*_ARABIC, *_CARELESS}:
            return name
    return _guess(sample, _NOT_LATIN)


def _guess(sample: bytes, among: Sequence[str]) -> str:
    """What chardet finds; the first where it finds none."""
    found = chardet.detect(
        sample, prefer_superset=True, compat_names=False, include_encodings=among, no_match_encoding=among[0]
    )
    return _name(found["encoding"] or "") or among[0]


def _pieces(data: bytes) -> Iterator[bytes]:
    """Text with letters beyond ASCII, enough of it."""
    length = 0
    for match in _PIECE.finditer(data):
        yield match[0]
        length += len(match[0])
        if length > _SAMPLE:
            return


def _fits(sample: bytes, name: str) -> bool:
    text = sample.decode(name, "replace")
    return text.count("\ufffd") <= len(text) / 50


def _arabic_score(sample: bytes, name: str) -> float:
    """The mean weight of what is not ASCII in a code page of single bytes: higher the more it is like Arabic."""
    pairs = zip(sample, sample.decode(name, "replace"), strict=True)
    weights = [_WEIGHTS.get(one, _STRANGE) for byte, one in pairs if byte >= 0x80 and one not in _NEUTRAL]
    return sum(weights) / len(weights) if weights else _STRANGE


def _beyond_ascii(text: str) -> tuple[int, int]:
    """How many characters beyond ASCII a text has, and how many of them could not be decoded."""
    bad = text.count("\ufffd")
    return len(text) - len(text.encode("ascii", "ignore")) - bad, bad


def _replaced(text: str, encoding: str) -> tuple[str, str, list[str]]:
    text = text.removeprefix("\ufeff")
    bad = text.count("\ufffd")
    return text, encoding, [f"encoding: {bad} invalid sequences in {encoding} were replaced by U+FFFD"] if bad else []


def _name(label: str) -> str | None:
    """Python's name of an encoding for text, the larger code page where browsers take it; None for an unknown one."""
    if numbered := _NUMBERED.fullmatch(label.strip()):
        label = f"cp{numbered[1]}"
    try:
        found = codecs.lookup(label.strip())
    except (LookupError, ValueError):
        return None
    if not getattr(found, "_is_text_encoding", True) or found.name in {"idna", "punycode", "unicode_escape", "utf-7"}:
        return None
    return _SUPERSETS.get(found.name, found.name)


def _family(name: str) -> str:
    return name[:6] if name.startswith(("utf-16", "utf-32")) else name
