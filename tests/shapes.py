"""Generated texts on which work that is not linear shows: one unit repeated, with a beginning and an end."""

import random
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

_MARKUP = (
    "<p>",
    "</p>",
    "<b>x</b>",
    "a<em>b</em>",
    "<p><span>x</span> ",
    "<b/>x",
    "<h2>x</h2>",
    '<a href="x">',
    "<",
    ">",
    "<a ",
    "<a b='",
    '<a b="c',
    "<!--",
    "-->",
    "<!",
    "<script>",
    "<title>",
    "<script ",
    "</script",
    "<![CDATA[",
    "]]>",
    "&",
    "&#",
    "&#1",
    "&amp;",
    "&lt;!--",
    "<td>",
    "<?",
    "<br>\n",
)
_PUNCTUATION = (
    *".!?…,;:-–—/|()[]{}«»“”„\"'’•*_@#%+=~^`\\",
    "... ",
    "?! ",
    ". ",
    "- ",
    " — ",
    "\n— ",
    "« ",
    "» ",
    "“ ” ",
    '" ',
    "(a) ",
    "[a",
    "«a» ",
    "“a”, ",
    "a.",
    "a-",
    "a'",
    "a, ",
    "a: ",
    "x.y@z ",
    "http://a.b/c?d=e&f ",
)
_NUMBERS = (
    "1",
    "1 ",
    "1.",
    "1,",
    "1/",
    "1-",
    "12:30 ",
    "2026-11-06 ",
    "12/11/2026 ",
    "6.11.2026, ",
    "1,000",
    "1.000.000 ",
    "١٢",
    "٣ ",
    "6 November 2026 ",
    "November ",
    "Monday ",
    "28 شباط 2022 ",
    "شباط ",
    "يوم الأحد ",
    "أمس ",
    "{n} ",
    "19{n}.",
)
_SPACES = (
    " ",
    "\n",
    "\t",
    "\n\n",
    " \n",
    "\r",
    "\r\n",
    "\u00a0",
    "\u200b",
    "\u200c",
    "\u200f",
    "\u2028",
    "\u2029",
    "\ufeff",
)
_WORDS = (
    "a",
    "a ",
    "A ",
    "Aa ",
    "A. ",
    "AB ",
    "Aa-",
    "Aa'",
    "aA",
    "Mr. Aa ",
    "said ",
    "he said that ",
    "“a a a,” said Aa. ",
    "according to ",
    "Paris ",
    "Iran ",
    "President Macron ",
    "Bank of ",
    "Aa of ",
    "Aa von der ",
    "de la ",
    "the ",
    "Related\n",
    "Read also: a\n",
    "By Aa Bb\n",
    "a - وكالات\n",
    "Photo (AFP)\n",
    "share\n",
    "Aa{n} ",
    "Aa{n} Bb{n} ",
    "word{n} ",
    "line {n}\n",
    "Aa{n} said that a a a. ",
    "Joe Aa{n}. Aa{n} ",
    "ا",
    "ال",
    "والال",
    "ة",
    "ى ",
    "هذه",
    "قال ",
    "قال إن ",
    "وقال الوزير: «نعم نعم». ",
    "«نعم نعم» ",
    "اقرأ أيضا\n",
    "كتب: محمد\n",
    "محمد ",
    "محمد علي ",
    "التقى محمد كلمة{n} ",
    "كلمة{n} ",
    "القاهرة ",
    "استاد القاهرة ",
    "القاهرة.وقال",
    "مصر. ",
    "الولاياتالمتحدة ",
    "مَ",
    "بـ",
    "لل",
    "شركة ",
    "ولاية ",
    "رئيس ",
    "إيران{n} ",
    "и ",
    "Путин ",
    "Путин сказал, что ",
    "по словам ",
    "中",
    "中国 ",
    "กา",
    "한국 ",
    "हिन्दी ",
    "😀",
    "👨‍👩‍👧",
)
_MARKS = ("\u064e", "\u0651\u064e", "\u0640", "a\u0301", "\u0301\u0323", "\u0654", "ا\u0653\u064e", "\u0327a\u0301")
UNITS = (*_MARKUP, *_PUNCTUATION, *_NUMBERS, *_SPACES, *_WORDS, *_MARKS)
_BEGINNINGS = ("", "«", '"', "(", "<a ", "<!--", "قال إن ", "said ")


class Shape(NamedTuple):
    """A text of any length: ``beginning``, then ``unit`` repeated, with a number in it where it has ``{n}``."""

    beginning: str
    unit: str

    def text(self, length: int) -> str:
        """The text with (nearly) this many characters."""
        if "{n}" not in self.unit:
            return self.beginning + self.unit * (length // len(self.unit))
        parts, size, numbers = [self.beginning], 0, count(1)
        while size < length:
            # In letters too: a name has no digits.
            number = next(numbers)
            parts.append(self.unit.replace("{n}", _letters(number, self.unit)))
            size += len(parts[-1])
        return "".join(parts)


def shapes(random_ones: int) -> Iterator[Shape]:
    """Every unit, then ``random_ones`` random sequences of them with random beginnings; always the same."""
    yield from (Shape("", unit) for unit in UNITS)
    rng = random.Random(7)
    for _ in range(random_ones):
        yield Shape(rng.choice(_BEGINNINGS), "".join(rng.choices(UNITS, k=rng.randint(2, 5))))


def _letters(number: int, unit: str) -> str:
    if unit == "{n} " or "19" in unit:
        return str(number)
    alphabet = (
        "بتثجحخدذرزسشصضطظعغفقكلمنهوي" if any("\u0620" < letter < "\u0650" for letter in unit) else "bcdfghklmnpqrstvwxz"
    )
    written = ""
    while number:
        number, digit = divmod(number, len(alphabet))
        written += alphabet[digit]
    return written
