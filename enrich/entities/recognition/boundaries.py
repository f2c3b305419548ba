"""Where Arabic names begin and end: corrects a recognizer's spans by the words around them.

A network cuts names at rare words («مختار» of «مختار فلاتة»), takes the king in the name of a hospital for the king,
and takes months, titles and phrases of ordinary words for names.
"""

import functools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from enrich.entities.gazetteer.name_words import is_demonym, is_given_name, is_place_word, is_title
from enrich.entities.matching import first_forms
from enrich.entities.recognition import clitics
from enrich.entities.recognition.recognizer import NameSpan
from enrich.languages import files
from enrich.text.tokens import Passage, Token, after_letters, form, tokens
from enrich.text.word_counts import word_counts
from services.events import EntityType

# «نادي الأحساء» is a club. Without these words the names of most clubs and companies are the same names.
_INSTITUTIONS = frozenset(
    "جامعه كليه مدرسه مدارس معهد موسسه جمعيه مركز بنك مصرف شركه قناه نادي مكتبه مستشفي صاله مجموعه "  # noqa: SIM905
    "صندوق مسرح اكاديميه مجمع".split()
)
_EVENTS = frozenset("كاس جايزه مهرجان بطوله سوق دوري".split())  # noqa: SIM905
# Of these only those named after persons are names: «مدينة الملك عبدالله», and not «مدينة جدة».
_NAMED_AFTER_PERSONS = frozenset("مدينه طريق برنامج حديقه مجلس قاعه ملتقي".split())  # noqa: SIM905
_PLACES = frozenset("ملعب دوار منتزه كورنيش جزيره".split())  # noqa: SIM905
_PAPERS = frozenset("صحيفه جريده مجله لصحيفه لجريده لمجله ل".split())  # noqa: SIM905
_OPENING, _CLOSING = frozenset("«\"“‘'("), frozenset("»\"”’')")
_ORGANISATIONS = _INSTITUTIONS | frozenset(
    "فريق منتخب سهم حزب حركه جماعه تنظيم وكاله صحيفه جريده مجله موقع اذاعه هييه منظمه لجنه وزاره دار".split()  # noqa: SIM905
)
_DISTRICTS = frozenset("مدينه محافظه بلده قريه منطقه ولايه مقاطعه مديريه اقليم ضاحيه بلديه امانه مركز".split())  # noqa: SIM905
# The endings of words for a club's followers, as an indefinite object and in the plural.
_FOLLOWERS = ("اويا", "اويين", "اويون")
# «جامعة أم» is not the end of a name.
_UNFINISHED = frozenset("بن ابن بنت ابو ابي ام عبد ال".split())  # noqa: SIM905
# A word counted less often in the news may continue a name; one counted so often in names may be a given name.
_RARE = 10
_FIRST_NAME = 5
_MOST_TITLES = 2
_SHORTEST = 3
_LONGEST_NAME = 8


def corrected(passage: Passage, found: Iterable[NameSpan]) -> list[NameSpan]:
    """The spans of names with better boundaries and types, in order, without overlaps."""
    starts = [word.start for word in passage.words]
    spans: list[NameSpan] = []
    seen: set[str] = set()
    pending = list(found)
    for number, original in enumerate(pending):
        span = original
        if spans and span.start < spans[-1].end:
            continue  # a part of a name that was extended
        first, last = max(0, bisect_right(starts, span.start) - 1), bisect_left(starts, span.end)
        if last <= first or _is_month(passage, first, last) or _only_titles(passage, span, first, last):
            continue
        span, first = _vocative(passage, span, first, last, seen)
        following = pending[number + 1].start if number + 1 < len(pending) else len(passage.text)
        span, last = _finished(passage, span, first, last, following)
        span, first = _begun(passage, span, first, last)
        span = _institution(passage, span, first, last)
        if span.type == "ORG" and _is_phrase(passage.words[first:last]):
            continue
        while spans and span.start < spans[-1].end:
            spans.pop()
        spans.append(span)
        seen.update(word.form for word in passage.words[first:last])
    return spans


def institution(passage: Passage, first: int, start: int, kind: EntityType) -> tuple[int, EntityType] | None:
    """Where the institution or place begins that is called by the name at word ``first``, and its type; else None.

    The name begins at the offset ``start``. Titles may stand between: «مستشفى الملك سعود».
    """
    at, titles = first, 0
    words = passage.words
    if start != words[first].start:
        return None
    while True:
        if at == 0 or not _adjacent(passage, at - 1, at):
            return None
        before = words[at - 1]
        for letters, rest in first_forms(before.form):
            head = _head(rest, kind, titles)
            if head is not None:
                return before.start + after_letters(before.surface, letters), head
        if titles == _MOST_TITLES or not before.form.startswith("ال") or not is_title(before.form):
            return None
        at, titles = at - 1, titles + 1


def is_newspaper(passage: Passage, first: int, start: int, end: int) -> bool:
    """Whether a name in quotation marks is that of a newspaper: «قال لـ"الرياض"», «صحيفة "الوطن"»."""
    text = passage.text
    if not (start and text[start - 1] in _OPENING and text[end : end + 1] and text[end] in _CLOSING):
        return False
    return first > 0 and passage.words[first - 1].form in _PAPERS and start - passage.words[first - 1].end <= 2


def is_adjective(passage: Passage, first: int, last: int) -> bool:
    """Whether a country's name is an adjective («الباحثة السعودية», «الشركة السعودية للكهرباء»)."""
    if last - first != 1 or first == 0 or not is_demonym(passage.words[first].form):
        return False
    before = passage.words[first - 1].form
    return _adjacent(passage, first - 1, first) and "ال" in before[:3] and before.endswith(("ه", "ات"))


def is_institution(word: str) -> bool:
    """Whether a word makes another name of the name of a person or place after it."""
    return is_place_word(word) or word in _PLACES | _INSTITUTIONS | _EVENTS | _NAMED_AFTER_PERSONS


def is_ordinary(word: str) -> bool:
    """Whether a word alone is no name: a kind of institution, or a follower («نصراويا»)."""
    return is_institution(word) or word.endswith(_FOLLOWERS) or word in _months()


def is_introduced(passage: Passage, word: Token, start: int, span: NameSpan) -> bool:
    """Whether the words around a single word show that it is a name: a title, «شركة», «مدينة», quotation marks."""
    text = passage.text
    if start and text[start - 1] in _OPENING and text[word.end : word.end + 1] in _CLOSING:
        return span.type == "ORG"
    at = bisect_left(passage.words, word.start, key=_start)
    if at == 0 or start != word.start or not _adjacent(passage, at - 1, at):
        return False
    before = [rest for _, rest in first_forms(passage.words[at - 1].form)]
    if span.type == "PER":
        return any(map(is_title, before))
    kinds = _ORGANISATIONS if span.type == "ORG" else _DISTRICTS
    return any(word in kinds for word in before)


def _head(word: str, kind: EntityType, titles: int) -> EntityType | None:
    """The type of what a word before a name of a type makes of it, or None if the name stays what it is."""
    if kind == "ORG" and not titles:
        return "LOC" if word in ("ملعب", "استاد") else None
    if is_place_word(word) or word in _PLACES:
        return "LOC"
    if word in _INSTITUTIONS:
        return "ORG"
    if word in _EVENTS and (titles or kind == "LOC") and word != "سوق":
        return "MISC"
    if word in _NAMED_AFTER_PERSONS and titles:
        return "LOC" if word in ("طريق", "حديقه", "قاعه") else "ORG"
    return None


def _institution(passage: Passage, span: NameSpan, first: int, last: int) -> NameSpan:
    """The span with the institution or place that is called by this name."""
    kind = span.type
    words = passage.words
    if is_newspaper(passage, first, span.start, span.end):
        return span._replace(type="ORG")
    own = 0
    if kind != "PER":  # «الملك سعود» as an organisation: the title belongs to the name of what stands before
        while first + own < last - 1 and words[first + own].form.startswith("ال") and is_title(words[first + own].form):
            own += 1
    found = institution(passage, first + own, words[first + own].start if own else span.start, kind)
    if found is None:
        return span
    return span._replace(start=min(found[0], span.start), end=_tail(passage, last), type=found[1])


def _tail(passage: Passage, last: int) -> int:
    """Where an institution's name ends: after «الدولي», «للعلوم والتقنية»."""
    words = passage.words
    at = last
    while at < len(words) and at - last < _LONGEST_NAME and _adjacent(passage, at - 1, at):
        word = words[at].form
        if not (
            (word.startswith("ال") and word.endswith(("ي", "يه")) and len(word) > 5)
            or (word.startswith("لل") and len(word) > 4)
            or (word.startswith("وال") and len(word) > 5 and words[at - 1].form.startswith("لل"))
        ):
            break
        at += 1
    return words[at - 1].end


def _finished(passage: Passage, span: NameSpan, first: int, last: int, following: int) -> tuple[NameSpan, int]:
    """A name with the rare word that completes it, and the word after it."""
    words = passage.words
    if last >= len(words) or not _adjacent(passage, last - 1, last):
        return span, last
    following_word = words[last]
    if words[last - 1].form in _UNFINISHED and last - first <= _LONGEST_NAME:
        return span._replace(end=following_word.end), last + 1
    if span.type != "PER" or last - first != 1 or following_word.start == following:
        return span, last
    if not _is_first_name(_bare(passage, span, words[first])) or not _is_rare_name(following_word.form):
        return span, last
    return span._replace(end=following_word.end), last + 1


def _begun(passage: Passage, span: NameSpan, first: int, last: int) -> tuple[NameSpan, int]:
    """A surname that was recognised without the given name before it, and its first word."""
    words = passage.words
    if last - first != 1 or first == 0 or span.start != words[first].start or not _adjacent(passage, first - 1, first):
        return span, first
    before = words[first - 1]
    if span.type == "LOC" and before.form in ("ام", "ابو"):
        return span._replace(start=before.start), first - 1
    if span.type != "PER" or before.surface.endswith("ى") or is_given_name(words[first].form):
        return span, first
    for letters, rest in first_forms(before.form):
        if len(rest) >= _SHORTEST and is_given_name(rest) and letters < 2:  # noqa: PLR2004
            return span._replace(start=before.start + after_letters(before.surface, letters)), first - 1
    return span, first


def _vocative(passage: Passage, span: NameSpan, first: int, last: int, seen: set[str]) -> tuple[NameSpan, int]:
    """A name without «يا», which may be written onto it."""
    head = passage.words[first]
    if head.form == "يا" and last - first > 1:
        return span._replace(start=passage.words[first + 1].start), first + 1
    rest = head.form[2:]
    if head.form.startswith("يا") and head.start == span.start and {rest, f"ال{rest}"} & seen:
        return span._replace(start=head.start + after_letters(head.surface, 2)), first
    return span, first


def _only_titles(passage: Passage, span: NameSpan, first: int, last: int) -> bool:
    words = passage.words[first:last]
    return span.type == "PER" and all(
        is_title(_bare(passage, span, word)) and not is_given_name(_bare(passage, span, word)) for word in words
    )


def _is_month(passage: Passage, first: int, last: int) -> bool:
    """Whether a word is a month: «(نيسان)», «3 نيسان», «نيسان 2015»."""
    words = passage.words
    if last - first != 1 or words[first].form not in _months():
        return False
    around = [words[at].form for at in (first - 1, last) if 0 <= at < len(words)]
    before = passage.text[words[first].start - 1 : words[first].start]
    return before == "(" or any(word.isdigit() or word in _months() for word in around)


def _is_phrase(words: list[Token]) -> bool:
    """Whether words are an ordinary phrase («معهد تعليمي خاص»): without an article, and common or in no names."""
    counts, names = word_counts("ar"), clitics.counts()
    return words[0].form in _INSTITUTIONS and all(
        not word.form.startswith("ال") and word.form in counts and word.form not in names for word in words[1:]
    )


def _bare(passage: Passage, span: NameSpan, word: Token) -> str:
    """The form of a word, without the particles before the name."""
    return form(passage.text[span.start : word.end]) if word.start < span.start < word.end else word.form


def _is_first_name(word: str) -> bool:
    return is_given_name(word) or clitics.counts().get(word, 0) >= _FIRST_NAME


def _is_rare_name(word: str) -> bool:
    """Whether a word can complete a name: rare in the news and, without an article, not like a verb or a particle."""
    if len(word) < _SHORTEST or not word.isalpha() or is_title(word):
        return False
    counts = word_counts("ar")
    if word.startswith("ال"):
        return counts.get(word, 0) < _RARE
    return word not in counts and word[0] not in "يتنساو" and (word[0] not in "فبلك" or word[1:] not in counts)


def _start(word: Token) -> int:
    return word.start


def _adjacent(passage: Passage, one: int, other: int) -> bool:
    words = passage.words
    return words[other].start == words[one].end + 1 and passage.text[words[one].end] == " "


@functools.cache
def _months() -> frozenset[str]:
    """The names of months."""
    table = files.table("ar", files.DATES) or {}
    pairs = " ".join(pair[0] for pair in table["pairs"])
    return frozenset(token.form for token in tokens(f"{table['months']} {pairs}"))
