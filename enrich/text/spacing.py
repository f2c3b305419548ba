"""Lost spaces: ``الولاياتالمتحدة`` → ``الولايات المتحدة``, ``القاهرة.وقال`` → ``القاهرة. وقال``.

Line breaks that are lost between publisher and Khabar join words. A space is put back only where the letters show that
a word ended or began, and where both sides are known words: a joined word does less harm than a word cut in two. Usual
spellings (``عبدالله``, ``نورالدين``) and capitals inside Latin words (``iPhone``) are left unchanged. Spaces are only
added.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

from enrich.text.tokens import form
from enrich.text.word_counts import word_counts
from services.normalization import FATHATAN, WORD_MARKS

_LETTER = r"\u0621-\u063a\u0641-\u064a"
_MARK = WORD_MARKS
_ANY = _LETTER + _MARK
_SHORTEST_GLUED, _LONGEST_GLUED = 6, 50
_SHORTEST_DEFINITE, _SHORTEST_AFTER = 6, 4
_LONGEST_PART = 14
# Longer strings without a space are addresses, code or an attack; they are not kept in the cache.
_LONGEST_TOKEN = 64

_TOKEN = re.compile(rf"\S{{{_SHORTEST_GLUED},}}+")
_MARKS = re.compile(rf"[{_MARK}]")
# A word without one of these is not examined further, which is true of most words.
_SIGN = re.compile(
    rf"[ةى][{_MARK}]*+[{_LETTER}]{{2}}|{FATHATAN}ا?[{_LETTER}]{{2}}"
    rf"|[{_ANY}]{{3}}(?:ال|لل|إ)[{_LETTER}]|ال[{_ANY}]{{{_SHORTEST_DEFINITE + _SHORTEST_AFTER - 2}}}"
)
_CLOSED = re.compile(rf"[ةى][{_MARK}]*+[{_LETTER}]{{2}}|{FATHATAN}ا?[{_LETTER}]{{2}}")
_LONG_WORD = re.compile(rf"(?<![\w{_MARK}])[{_ANY}]{{{_SHORTEST_GLUED},{_LONGEST_GLUED}}}+(?![^\W\d_]|[{_MARK}])")

# A sentence's end stuck to the next word. Initials (ا.ف.ب, بي.بي.سي) have fewer letters between the points.
_ARABIC_STOP = re.compile(
    rf"(?:(?<=[{_ANY}]{{3}})|(?<=\d{{4}}))[.!؟?،؛]++(?=([{_LETTER}]{{2}})(?:[{_LETTER}]|([^.]|$)))"
)
_STOP = re.compile(r"(?<=[^\W\d_]{2})[.!?…](?=[^\W\d_]{2})")
_SENTENCES = re.compile(r"[\W\d_]*+([^\W\d_][\w'’-]+)[.!?…]([^\W\d_][\w'’-]+)[\W\d_]*+")
# What follows a point in the names of sites, programs and files.
_NAME_ENDINGS = frozenset(
    {"com", "net", "org", "gov", "edu", "tv", "io", "js", "html", "pdf", "jpg", "png", "doc", "exe"}
)

# A change between Arabic letters and Latin letters or digits, at the end or the beginning of a word.
_YEAR = r"(?:19|20)[0-9]{2}(?!\d)|(?:١٩|٢٠)[٠-٩]{2}(?!\d)"
_JOINTS = re.compile(
    rf"(?<![\w{_MARK}])(?:([{_LETTER}]{{3,14}}+)(?=[A-Za-z]{{2}}|{_YEAR})"
    rf"|(?:\d{{1,6}}+|[A-Za-z]{{2,30}}+)(?=([{_LETTER}]{{3,14}}+)(?![\w{_MARK}])))"
)

# The count that makes a part a word, by its length; many short strings of letters occur by chance.
_COMMON = {2: 100, 3: 10}
_KNOWN = 3
_FREQUENT = 30
_ARTICLES = ("ال", "وال", "فال", "بال", "كال", "لل", "ولل")
_DEFINITE = ("ال", "وال", "فال", "بال", "كال")
# Usually written as one word: no break was lost here.
_HABITUAL_FIRST = ("عبد", "ابو", "ابا", "ابي")
_HABITUAL_SECOND = ("الله", "الدين")
_HUNDREDS = ("مايه", "مييه")
_PREFIXES = ("و", "ف", "ب", "ل", "ك", "س", "ا", "ال", "وال", "فال", "بال", "كال", "لل", "ولل", "فلل", "وب", "ول", "است")
_PRONOUNS = ("ه", "ها", "هم", "هما", "هن", "ك", "كم", "نا", "ني")
_ENDINGS = ("ات", "يت", "ين", "ون", "ان", "ت", "تين", "تان", "ي", "يه", "يا", "ا", "وا")
_SUFFIXES = (*_PRONOUNS, *_ENDINGS, *(ending + pronoun for ending in ("ات", "يت") for pronoun in _PRONOUNS))


def _known() -> Mapping[str, int]:
    return word_counts("ar")


def split_glued(text: str) -> str:
    """The text with lost spaces put back. Nothing is removed; a repaired text is not changed again."""
    at = gaps(text)
    return " ".join(text[start:end] for start, end in pairwise([0, *at, len(text)])) if at else text


def is_border(before: str, after: str) -> bool:
    """Whether Arabic letters before and after an invisible character are two words, and not the parts of one."""
    joined, first, second = form(before + after), form(before), form(after)
    if joined in _known() or min(len(first), len(second)) < 2 or not (_is_word(first) and _is_word(second)):
        return False
    # Endings («ان») are words too («أن»), but have no hamza.
    return after[0] in "أإ" or not _is_regular(joined)


def gaps(text: str) -> list[int]:
    """Where spaces were lost: ascending offsets in ``text`` before which one is missing."""
    found: list[int] = []
    for match in _TOKEN.finditer(text):
        if inner := _gaps(match.group()):
            found.extend(match.start() + offset for offset in inner)
    return found


def _gaps(token: str) -> tuple[int, ...]:
    """The gaps in the characters between two spaces."""
    if len(token) < _SHORTEST_GLUED:
        return ()
    if len(token) <= _LONGEST_TOKEN:
        return _gaps_of_short(token)
    # In so long a token only the ends of sentences are examined.
    return _refined(token, list(_arabic_stops(token)), _LONGEST_TOKEN)


@functools.lru_cache(20_000)
def _gaps_of_short(token: str) -> tuple[int, ...]:
    found: set[int] = set()
    if _SIGN.search(token):
        for match in _LONG_WORD.finditer(token):
            found.update(match.start() + offset for offset in _inside(match.group()))
    found.update(_arabic_stops(token))
    if _STOP.search(token) and (sentences := _SENTENCES.fullmatch(token)):
        found.update(_between_sentences(sentences))
    found.update(_joints(token))
    return _refined(token, sorted(found), len(token) - 1)


def _refined(token: str, cuts: list[int], longest: int) -> tuple[int, ...]:
    """The cuts, and those found in the parts between them; parts longer than ``longest`` are not examined."""
    if not cuts:
        return ()
    found = set(cuts)
    for start, end in pairwise([0, *cuts, len(token)]):
        if end - start <= longest:
            found.update(start + offset for offset in _gaps(token[start:end]))
    return tuple(sorted(found))


def _arabic_stops(token: str) -> Iterator[int]:
    for match in _ARABIC_STOP.finditer(token):
        # Two letters are a word (في, من) or the name of a foreign letter (جي).
        if match[2] is None or _is_word(form(match[1])):
            yield match.end()


def _between_sentences(token: re.Match[str]) -> Iterator[int]:
    """The offset after a stop between a small and a capital letter, unless it is part of a name."""
    end, beginning = token[1], token[2]
    ordinary = end[1:].islower() and beginning[0].isupper() and beginning[1:].islower()
    if ordinary and beginning.lower() not in _NAME_ENDINGS:
        yield token.start(2)


def _joints(token: str) -> Iterator[int]:
    for match in _JOINTS.finditer(token):
        arabic = match[1] or match[2]
        if _is_word(form(arabic)) and not arabic.endswith("ال"):
            yield match.end()


def _inside(word: str) -> list[int]:
    """The offsets inside an Arabic word at which words are joined; none for nearly all words."""
    bare = form(word)
    glued = _CLOSED.search(word) is not None
    if not glued and bare in _known():
        return []
    # The offset of each letter, without marks.
    at = [index for index, letter in enumerate(word) if not _MARKS.match(letter)]
    if len(bare) != len(at):
        return []
    closed = {number for number in range(1, len(at)) if _ends_before(word, at, number)} if glued else set()
    if not closed and _is_regular(bare):
        return []
    return [at[place] for place in _cuts(bare, [word[index] for index in at], closed)]


def _ends_before(word: str, at: list[int], number: int) -> bool:
    """Whether letter ``number`` follows one that only ends words: teh marbuta, alef maksura, alef with tanwin."""
    before, marks = word[at[number - 1]], word[at[number - 1] + 1 : at[number]]
    if before in "ةى":
        return True
    return before == "ا" and number > 1 and (FATHATAN in marks or FATHATAN in word[at[number - 2] + 1 : at[number - 1]])


def _cuts(bare: str, letters: list[str], closed: set[int]) -> list[int]:
    """The cuts that divide a word into the fewest known words, each cut with a reason; none if it cannot be divided.

    Only ends of known words are tried, so that the cost is nearly linear in the length.
    """
    # For each place reached: the number of parts before it, and where the last of them begins.
    best: dict[int, tuple[int, int]] = {0: (0, 0)}
    for start in range(len(bare)):
        if start not in best:
            continue
        parts, before = best[start]
        for end in range(start + 2, min(start + _LONGEST_PART, len(bare)) + 1):
            right = bare[start:end]
            if (end in best and best[end][0] <= parts + 1) or not _is_word(right):
                continue
            if start == 0 or _reason(bare[before:start], right, letters[start], start in closed):
                best[end] = (parts + 1, start)
    place, cuts = len(bare), []
    while place in best and best[place][1] > 0:
        place = best[place][1]
        cuts.append(place)
    return cuts[::-1]


def _reason(left: str, right: str, first: str, closed: bool) -> bool:
    """Whether it is certain that one word ended and another began between two known words."""
    if right in _HABITUAL_SECOND or left.endswith(_HABITUAL_FIRST):
        return False
    if closed:
        return True
    if len(left) < 3:
        return False
    if right.startswith(_ARTICLES) and len(right) >= 5:
        return not left.endswith("ال")
    if first == "إ" and len(right) >= 3:
        return True
    # A noun with the article has no ending that is also a word.
    return (
        left.startswith(_DEFINITE)
        and len(left) >= _SHORTEST_DEFINITE
        and len(right) >= _SHORTEST_AFTER
        and _known()[right] >= _FREQUENT
        and right not in _HUNDREDS
    )


def _is_word(bare: str) -> bool:
    return _known().get(bare, 0) >= _COMMON.get(len(bare), _KNOWN)


def _is_regular(bare: str) -> bool:
    """Whether a word is a known one with clitics or endings that are not in the list."""
    words = _known()
    if bare in words:
        return True
    stems = [bare, *(bare[len(p) :] for p in _PREFIXES if bare.startswith(p))]
    stems += [stem[: -len(s)] for stem in stems for s in _SUFFIXES if stem.endswith(s)]
    return any(len(stem) >= 3 and stem in words for stem in stems)
