"""Where Arabic names begin and end: corrects a recognizer's spans by the words around them.

A network cuts names at rare words («مختار» of «مختار فلاتة»), takes the king in the name of a hospital for the king,
and takes months, titles and phrases of ordinary words for names.
"""

import functools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from enrich.entities.gazetteer.name_words import is_demonym, is_given_name, is_place_word, is_title
from enrich.entities.matching import Match, first_forms
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
_NAMED_AFTER_PERSONS = frozenset("مدينه طريق برنامج حديقه قاعه ملتقي".split())  # noqa: SIM905
_PLACES = frozenset("ملعب دوار منتزه كورنيش جزيره".split())  # noqa: SIM905
_PAPERS = frozenset("صحيفه جريده مجله لصحيفه لجريده لمجله ل".split())  # noqa: SIM905
_QUOTES = frozenset('«"“‘')
_NAMED_PAPERS = frozenset("صحيفه جريده لصحيفه لجريده بصحيفه".split())  # noqa: SIM905
_OPENING, _CLOSING = frozenset("«\"“‘'("), frozenset("»\"”’')")
_ORGANISATIONS = _INSTITUTIONS | frozenset(
    "فريق منتخب سهم حزب حركه جماعه تنظيم وكاله صحيفه جريده مجله موقع اذاعه هييه منظمه لجنه وزاره دار".split()  # noqa: SIM905
)
_DISTRICTS = frozenset(
    "مدينه محافظه بلده قريه منطقه ولايه مقاطعه مديريه اقليم ضاحيه بلديه امانه مركز ريف "  # noqa: SIM905
    "بلدتي مدينتي قريتي شمال جنوب شرق غرب وسط قرب".split()
)
_OFFICES = frozenset("ولي سمو مولي رييس وزير مدير امير سفير نايب".split())  # noqa: SIM905
_BLESSINGS = frozenset("طيب رحمه حفظه رضي صلي عز عزو سبحانه ايده اطال".split())  # noqa: SIM905
_TANWEEN = ("اً", "ًا")
_DETERMINERS = frozenset("الف افضل اجمل احسن كل اي بعض هذا هذه ذلك تلك لست ليس".split())  # noqa: SIM905
# The endings of words for a club's followers, as an indefinite object and in the plural.
_FOLLOWERS = ("اويا", "اويين", "اويون")
_BEFORE_PLACES = frozenset("ام ابو وادي بني تل بير كفر خميس راس".split())  # noqa: SIM905
# Of a conference, a fair or a market in a city.
_WIDE = frozenset("الدولي العالمي الوطني المالي الشمالي الجنوبي الشرقي الغربي".split())  # noqa: SIM905
_DASHES = frozenset("-–—ـ")
_LONGEST_DASH = 4
# «جامعة أم» is not the end of a name.
_UNFINISHED = frozenset("بن ابن بنت ابو ابي ام عبد ال".split())  # noqa: SIM905
# A word counted less often in the news may continue a name; one counted so often in names may be a given name.
_RARE = 10
_FIRST_NAME = 5
_FREQUENT = 30
_MOST_COMMON_NAME = 100
_SUFFIXES = ("ه", "ها", "هم", "نا")
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
        if passage.words[last - 1].surface.endswith(_TANWEEN):  # «كاشفًا»: an indefinite object
            if last - first == 1:
                continue
            span, last = span._replace(end=passage.words[last - 2].end), last - 1
        span = _rejoined(passage, span, first, spans)
        span, last = _without_office(passage, span, first, last)
        if last == first or _is_blessing(passage, span, first):
            continue
        span, first = _vocative(passage, span, first, last, seen)
        following = pending[number + 1].start if number + 1 < len(pending) else len(passage.text)
        span, last = _finished(passage, span, first, last, following)
        span, first = _begun(passage, span, first, last, spans[-1].end if spans else 0)
        span = _institution(passage, span, first, last)
        if span.type == "LOC" and is_described(passage, first, last):
            continue
        if span.type == "LOC" and _is_agency(passage, span, pending[number + 1 : number + 2]):
            span = span._replace(type="ORG")
        if span.type in ("ORG", "MISC") and _is_phrase(passage.words[first:last]):
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
        for letters, rest in _institution_words(before.form):
            head = _head(rest, kind, titles)
            if head is not None:
                return before.start + after_letters(before.surface, letters), head
        if titles == _MOST_TITLES or not before.form.startswith("ال") or not is_title(before.form):
            return None
        at, titles = at - 1, titles + 1


def is_newspaper(passage: Passage, first: int, start: int, end: int) -> bool:
    """Whether a name in quotation marks is that of a newspaper: «قال لـ"الرياض"», «صحيفة "الوطن"»."""
    text = passage.text
    if start == passage.words[first].start and first and passage.words[first - 1].form in _NAMED_PAPERS:
        return _adjacent(passage, first - 1, first)
    if not (start and text[start - 1] in _OPENING and text[end : end + 1] and text[end] in _CLOSING):
        return False
    return first > 0 and passage.words[first - 1].form in _PAPERS and start - passage.words[first - 1].end <= 2


def is_adjective(passage: Passage, first: int, last: int) -> bool:
    """Whether a country's name is an adjective («الباحثة السعودية», «منتجات سورية»)."""
    if last - first != 1 or first == 0 or not is_demonym(passage.words[first].form):
        return False
    before, word = passage.words[first - 1].form, passage.words[first].form
    definite = "ال" in before[:3] or "لل" in before[:3]
    return _adjacent(passage, first - 1, first) and definite == ("ال" in word[:3]) and before.endswith(("ه", "ات"))


def is_described(passage: Passage, first: int, last: int) -> bool:
    """Whether a masculine adjective follows a word that would be a city («الرباط الصليبي»); cities are feminine."""
    words = passage.words
    if last - first != 1 or last >= len(words):
        return False
    if not words[first].form.startswith("ال") or not _adjacent(passage, first, last):
        return False
    after = words[last].form
    return (
        after.startswith("ال")
        and after.endswith("ي")
        and len(after) > 5
        and not is_demonym(after)
        and after not in _WIDE
    )


@functools.lru_cache(50_000)
def _institution_words(word: str) -> tuple[tuple[int, str], ...]:
    """The institutions, places and events that a word may be, each with the number of letters before it."""
    found = ((letters, rest) for letters, rest in first_forms(word) if is_institution(rest) or rest in _EVENTS)
    # «للمركز» is the centre, not one that is called by the next word
    return tuple((letters, rest) for letters, rest in found if letters < 2 or not word.startswith("لل"))


def is_institution(word: str) -> bool:
    """Whether a word makes another name of the name of a person or place after it."""
    return is_place_word(word) or word in _PLACES or word in _INSTITUTIONS or word in _NAMED_AFTER_PERSONS


def is_ordinary(word: str) -> bool:
    """Whether a word alone is no name: a kind of institution, a club's followers («نصراويا»), a word with a pronoun
    («عهده») or as an indefinite object («كاشفا»), a verb in the future («سنرى»), two words without a space."""
    if is_institution(word) or word.removeprefix("ال") in _DISTRICTS or word.endswith(_FOLLOWERS) or "اال" in word[2:]:
        return True
    if clitics.counts().get(word):
        return False
    counts = word_counts("ar")
    if any(word.endswith(suffix) and counts.get(word.removesuffix(suffix), 0) >= _FREQUENT for suffix in _SUFFIXES):
        return True
    if word.endswith("ا") and counts.get(word[:-1], 0) >= 3:
        return True
    return word.startswith(("سن", "سي", "ست")) and counts.get(word[1:], 0) >= _RARE


def is_determined(passage: Passage, word: Token) -> bool:
    """Whether the word before shows that a word is a common noun: «أفضل ديكور»."""
    at = bisect_left(passage.words, word.start, key=_start)
    if at == 0 or not _adjacent(passage, at - 1, at):
        return False
    before = passage.words[at - 1].form
    return before in _DETERMINERS or (before in ("الفريق", "النادي") and word.form.endswith("اوي"))


def without_words(passage: Passage, found: Iterable[Match], recognised: Iterable[NameSpan]) -> list[Match]:
    """Matches without those that are a particle and an ordinary word, and were not recognised («بورشة العمل»)."""
    counts = word_counts("ar")
    begins = {span.start for span in recognised}
    kept = []
    for match in found:
        word = passage.words[match.first].form
        if match.start > passage.words[match.first].start + 1 and word[1] in "وف":
            continue  # no particle stands before و and ف: «كوابل»
        alone = match.last - match.first == 1 and match.start == passage.words[match.first].start
        other = counts.get(word[1:], 0) if alone and word[0] in "بلكوف" and match.start not in begins else 0
        if other >= _RARE * max(1, counts.get(word, 0)):
            continue
        kept.append(match)
    return kept


def is_introduced(passage: Passage, word: Token, start: int, span: NameSpan) -> bool:
    """Whether a single word is known from names, or introduced as one: by a title, «شركة», «مدينة», quotation marks."""
    text = passage.text
    bare = _bare(passage, span, word)
    known = clitics.counts().get(bare, 0)
    if known and known >= word_counts("ar").get(bare, 0):
        return True  # more often in names than in the news
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
    if word in _EVENTS and titles:
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
    if kind == "ORG" and last - first > 1 and words[last - 1].form == "لكره" and "اتحاد" not in words[first].form:
        return span._replace(end=words[last - 2].end)  # «النصر لكرة القدم»
    if kind == "ORG" and last - first > 1 and _bare(passage, span, words[first]).removeprefix("ال") in _ORGANISATIONS:
        span = span._replace(end=name_end(passage, last, foreign=False))
    found = institution(passage, first + own, words[first + own].start if own else span.start, kind)
    if found is None or (found[1] == kind and not own):  # «حي البياع» is also called «البياع»
        return (
            span._replace(end=name_end(passage, last)) if kind == "LOC" and words[first].form in _UNFINISHED else span
        )
    return span._replace(
        start=min(found[0], span.start), end=max(span.end, name_end(passage, last, foreign=False)), type=found[1]
    )


def name_end(passage: Passage, last: int, foreign: bool = True) -> int:
    """Where an organisation's name ends: after «الدولي», «للعلوم والتقنية», «لسلامة النقل».

    Without ``foreign``, demonyms after it are not part of the name.
    """
    words = passage.words
    at = last
    while at < len(words) and at - last < _LONGEST_NAME and _adjacent(passage, at - 1, at):
        word, before = words[at].form, words[at - 1].form
        if not (
            (
                word.startswith("ال")
                and word.endswith(("ي", "يه"))
                and len(word) > 5
                and (foreign or not is_demonym(word))
            )
            or (word.startswith("لل") and len(word) > 4)
            or (word.startswith("وال") and len(word) > 5 and before.startswith("لل"))
            or (word.startswith("ال") and before.startswith("ل") and before[1:2] not in ("ل", "ا") and at == last)
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
    given = _bare(passage, span, words[first])
    if given.startswith("ال"):
        return span, last
    known = is_given_name(given) and _is_known(following_word.form)
    if not known and not (_is_surname(following_word.form) and _is_first_name(given)):
        return span, last
    return span._replace(end=following_word.end), last + 1


def _begun(passage: Passage, span: NameSpan, first: int, last: int, taken: int) -> tuple[NameSpan, int]:
    """A name that was recognised without its first word, and the number of that word.

    What is before the offset ``taken`` belongs to another name.
    """
    words = passage.words
    if first == 0 or words[first - 1].start < taken or not _adjacent(passage, first - 1, first):
        return span, first
    before, word = words[first - 1], words[first]
    if span.type == "PER" and word.form == "بن" and (is_given_name(before.form) or is_demonym(before.form)):
        return span._replace(start=before.start), first - 1
    if last - first != 1 or span.start != word.start:
        return span, first
    if span.type == "LOC" and before.form in _BEFORE_PLACES:
        return span._replace(start=before.start), first - 1
    if span.type == "PER" and not before.surface.endswith("ى") and not is_given_name(word.form):  # «على» is no Ali
        for letters, rest in first_forms(before.form):
            common = word_counts("ar").get(rest, 0) > _MOST_COMMON_NAME  # «زار» is more often a verb than a name
            if len(rest) >= _SHORTEST and is_given_name(rest) and not common and before.form[:letters] in ("", "و"):
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


def _rejoined(passage: Passage, span: NameSpan, first: int, before: list[NameSpan]) -> NameSpan:
    """A name with the letter after a quotation mark («"برايس ووترهاوس"»), and without «و» after another place."""
    word = passage.words[first]
    if span.start > word.start and passage.text[word.start - 1 : word.start] in _QUOTES and word.form[0] in "بلكف":
        return span._replace(start=word.start)
    follows = before and before[-1].type == span.type == "LOC" and before[-1].end + 1 == span.start == word.start
    if follows and word.form.startswith("و") and len(word.form) > _SHORTEST + 1:
        return span._replace(start=word.start + after_letters(word.surface, 1))
    return span


def _without_office(passage: Passage, span: NameSpan, first: int, last: int) -> tuple[NameSpan, int]:
    """A person's name without an office after it («محمد بن نايف ولي العهد»), and the word after it."""
    if span.type != "PER":
        return span, last
    words = passage.words
    for at in range(first + 1, last):
        if _is_office(words[at].form):
            return span._replace(end=words[at - 1].end), at
    return span, last


def _is_blessing(passage: Passage, span: NameSpan, first: int) -> bool:
    """Whether a phrase is part of a blessing («رحمه الله») or of a king's title («خادم الحرمين الشريفين»)."""
    words = passage.words
    if span.type == "PER":
        return words[first].form in _BLESSINGS
    return first > 0 and words[first - 1].form.endswith("خادم")


@functools.lru_cache(50_000)
def _is_office(word: str) -> bool:
    """Whether a word in a name begins an office («وزير»), or is a letter («د»).

    Words with the article are often surnames (آل الشيخ).
    """
    bare = word if word in _OFFICES else word.removeprefix("و")
    if len(bare) == 1 or bare in _OFFICES:
        return True
    if bare in _UNFINISHED or bare.startswith("ال") or not is_title(bare) or is_given_name(bare):
        return False
    return clitics.counts().get(bare, 0) < _RARE


def _only_titles(passage: Passage, span: NameSpan, first: int, last: int) -> bool:
    forms = [_bare(passage, span, word) for word in passage.words[first:last]]
    return span.type in ("PER", "MISC") and all(
        word in _OFFICES or word.removeprefix("و") in _OFFICES or (is_title(word) and not is_given_name(word))
        for word in forms
    )


def _is_agency(passage: Passage, span: NameSpan, following: list[NameSpan]) -> bool:
    """Whether a name opens a dateline and is that of an agency or a paper: «واس- جدة:»."""
    if not following or following[0].type != "LOC" or following[0].start - span.end > _LONGEST_DASH:
        return False
    before = passage.text[max(0, span.start - _LONGEST_DASH) : span.start].rstrip(" ")
    between = passage.text[span.end : following[0].start]
    opens = before.endswith("\n") or (not before and span.start <= _LONGEST_DASH)
    return opens and between.strip(" ") in _DASHES


def _is_month(passage: Passage, first: int, last: int) -> bool:
    """Whether a word is a month: «(نيسان)», «3 نيسان», «نيسان 2015»."""
    words = passage.words
    if last - first != 1 or words[first].form not in _months():
        return False
    around = [words[at].form for at in (first - 1, last) if 0 <= at < len(words)]
    before = passage.text[words[first].start - 1 : words[first].start]
    return before == "(" or any(word.isdigit() or word in _months() for word in around)


def _is_phrase(words: list[Token]) -> bool:
    """Whether words are an ordinary phrase («معهد تعليمي خاص», «ناديا صيفيا»): without an article, and all common."""
    counts, names = word_counts("ar"), clitics.counts()
    head = words[0].form
    if head not in _INSTITUTIONS | _EVENTS and head not in ("ناديا", "ناد"):
        return False
    return all(
        "ال" not in word.form[:3] and counts.get(word.form, 0 if names.get(word.form) else 1) >= names.get(word.form, 0)
        for word in words[1:]
        if word.form.removesuffix("ا") in counts
    ) and all(word.form.removesuffix("ا") in counts for word in words[1:])


def _bare(passage: Passage, span: NameSpan, word: Token) -> str:
    """The form of a word, without the particles before the name."""
    return form(passage.text[span.start : word.end]) if word.start < span.start < word.end else word.form


def _is_first_name(word: str) -> bool:
    return is_given_name(word) or clitics.counts().get(word, 0) >= _FIRST_NAME


def _is_surname(word: str) -> bool:
    """Whether a word can complete a person's name: with the article, and rare in the news."""
    return word.startswith("ال") and not is_title(word) and word_counts("ar").get(word, 0) < _RARE


def _is_known(word: str) -> bool:
    """Whether a word is at least as frequent in names as in the news, and does not begin with a conjunction."""
    return not word.startswith("و") and clitics.counts().get(word, 0) >= max(1, word_counts("ar").get(word, 0))


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
