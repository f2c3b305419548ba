"""Lost spaces: ``الولاياتالمتحدة`` → ``الولايات المتحدة``, ``القاهرة.وقال`` → ``القاهرة. وقال``.

Line breaks that vanish on an article's way glue words together. A space is put back only where the letters
themselves show that a word ended or began, and where both sides are words: a glued word that stays hurts less than
a whole one that is torn. Habits of spelling (``عبدالله``, ``نورالدين``) and capitals inside Latin words (``iPhone``)
are left alone. Spaces are only ever added.
"""

import functools
import gzip
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from enrich.text.tokens import form

_VOCABULARY = Path(__file__).with_name("vocabulary") / "ar.txt.gz"

_LETTER = r"\u0621-\u063a\u0641-\u064a"
_MARK = r"\u064b-\u065f\u0670\u0640"
_ANY = _LETTER + _MARK
_SHORTEST_GLUED, _LONGEST_GLUED = 6, 50
_SHORTEST_DEFINITE, _SHORTEST_BEHIND = 6, 4
_LONGEST_PART = 14
# Longer strings without a space are addresses, code or an attack; they are read, but not remembered.
_LONGEST_TOKEN = 64

_TOKEN = re.compile(rf"\S{{{_SHORTEST_GLUED},}}+")
_MARKS = re.compile(rf"[{_MARK}]")
# Without one of these a word is not looked at: most words end here.
_SIGN = re.compile(
    rf"[ةى][{_MARK}]*+[{_LETTER}]{{2}}|\u064bا?[{_LETTER}]{{2}}"
    rf"|[{_ANY}]{{3}}(?:ال|لل|إ)[{_LETTER}]|ال[{_ANY}]{{{_SHORTEST_DEFINITE + _SHORTEST_BEHIND - 2}}}"
)
_CLOSED = re.compile(rf"[ةى][{_MARK}]*+[{_LETTER}]{{2}}|\u064bا?[{_LETTER}]{{2}}")
_LONG_WORD = re.compile(rf"(?<![\w{_MARK}])[{_ANY}]{{{_SHORTEST_GLUED},{_LONGEST_GLUED}}}+(?![^\W\d_]|[{_MARK}])")

# A sentence's end stuck to the next word. Initials (ا.ف.ب, بي.بي.سي) have fewer letters between the points.
_ARABIC_STOP = re.compile(
    rf"(?:(?<=[{_ANY}]{{3}})|(?<=\d{{4}}))[.!؟?،؛]++(?=([{_LETTER}]{{2}})(?:[{_LETTER}]|([^.]|$)))"
)
_STOP = re.compile(r"(?<=[^\W\d_]{2})[.!?…](?=[^\W\d_]{2})")
_SENTENCES = re.compile(r"[\W\d_]*+([^\W\d_][\w'’-]+)[.!?…]([^\W\d_][\w'’-]+)[\W\d_]*+")
# What stands behind a point in the names of sites, programs and files.
_NAME_ENDINGS = frozenset(
    {"com", "net", "org", "gov", "edu", "tv", "io", "js", "html", "pdf", "jpg", "png", "doc", "exe"}
)

# A script or a digit that begins where a word ends, or ends where one begins.
_YEAR = r"(?:19|20)[0-9]{2}(?!\d)|(?:١٩|٢٠)[٠-٩]{2}(?!\d)"
_JOINTS = re.compile(
    rf"(?<![\w{_MARK}])(?:([{_LETTER}]{{3,14}}+)(?=[A-Za-z]{{2}}|{_YEAR})"
    rf"|(?:\d{{1,6}}+|[A-Za-z]{{2,30}}+)(?=([{_LETTER}]{{3,14}}+)(?![\w{_MARK}])))"
)

# How often a part must have been counted, by its length; short strings of letters are words too easily.
_COMMON = {2: 100, 3: 10}
_KNOWN = 3
_FREQUENT = 30
_ARTICLES = ("ال", "وال", "فال", "بال", "كال", "لل", "ولل")
_DEFINITE = ("ال", "وال", "فال", "بال", "كال")
# Written in one word by habit: no break was lost here.
_HABITUAL_FIRST = ("عبد", "ابو", "ابا", "ابي")
_HABITUAL_SECOND = ("الله", "الدين")
_HUNDREDS = ("مايه", "مييه")
_PREFIXES = ("و", "ف", "ب", "ل", "ك", "س", "ا", "ال", "وال", "فال", "بال", "كال", "لل", "ولل", "فلل", "وب", "ول", "است")
_PRONOUNS = ("ه", "ها", "هم", "هما", "هن", "ك", "كم", "نا", "ني")
_ENDINGS = ("ات", "يت", "ين", "ون", "ان", "ت", "تين", "تان", "ي", "يه", "يا", "ا", "وا")
_SUFFIXES = (*_PRONOUNS, *_ENDINGS, *(ending + pronoun for ending in ("ات", "يت") for pronoun in _PRONOUNS))


@functools.cache
def vocabulary() -> dict[str, int]:
    """Known words in the spelling of ``normalization.form`` with the tier of their count."""
    words: dict[str, int] = {}
    for line in gzip.decompress(_VOCABULARY.read_bytes()).decode().splitlines():
        tier, *of_tier = line.split(" ")
        words.update(dict.fromkeys(of_tier, int(tier)))
    return words


def split_glued(text: str) -> str:
    """The text with lost spaces put back. Nothing is removed; what was repaired is left alone the next time."""
    at = gaps(text)
    return " ".join(text[start:end] for start, end in pairwise([0, *at, len(text)])) if at else text


def gaps(text: str) -> list[int]:
    """Where a space was lost: ascending offsets in ``text`` before which one belongs."""
    found: list[int] = []
    for match in _TOKEN.finditer(text):
        if inner := _gaps(match.group()):
            found.extend(match.start() + offset for offset in inner)
    return found


def _gaps(token: str) -> tuple[int, ...]:
    """The gaps in what stands between two spaces."""
    if len(token) < _SHORTEST_GLUED:
        return ()
    if len(token) <= _LONGEST_TOKEN:
        return _gaps_of_short(token)
    # Too long to be looked at more closely than sentence by sentence.
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
    """The cuts and those that they bring to light in the parts between them, parts up to a length."""
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
    """The place behind a stop between a small and a capital letter, unless it is part of a name."""
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
    """The offsets inside an Arabic word at which it is glued; none for nearly all words."""
    bare = form(word)
    glued = _CLOSED.search(word) is not None
    if not glued and bare in vocabulary():
        return []
    # Letters without marks, and where each stands in the word.
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
    return before == "ا" and number > 1 and ("\u064b" in marks or "\u064b" in word[at[number - 2] + 1 : at[number - 1]])


def _cuts(bare: str, letters: list[str], closed: set[int]) -> list[int]:
    """The places where a word falls into the fewest known words, with a reason for each cut; none if it does not.

    Only places that known words reach are tried, so that a string of letters costs little more than its length.
    """
    # For each place reached: how many parts lead there, and where the last of them begins.
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
    """Whether one word surely ended and another began between two known words."""
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
    # A noun with the article takes no ending that could be mistaken for a word.
    return (
        left.startswith(_DEFINITE)
        and len(left) >= _SHORTEST_DEFINITE
        and len(right) >= _SHORTEST_BEHIND
        and vocabulary()[right] >= _FREQUENT
        and right not in _HUNDREDS
    )


def _is_word(bare: str) -> bool:
    return vocabulary().get(bare, 0) >= _COMMON.get(len(bare), _KNOWN)


def _is_regular(bare: str) -> bool:
    """Whether a word is a known one with clitics or endings that the list happens not to have."""
    words = vocabulary()
    if bare in words:
        return True
    stems = [bare, *(bare[len(p) :] for p in _PREFIXES if bare.startswith(p))]
    stems += [stem[: -len(s)] for stem in stems for s in _SUFFIXES if stem.endswith(s)]
    return any(len(stem) >= 3 and stem in words for stem in stems)
