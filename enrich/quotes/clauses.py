"""Where the clause that a word of saying reports begins and ends."""

from enrich.quotes.annotated_text import Page
from enrich.quotes.lexicon import ACCORDING, ASIDE, COMPLEMENTIZER, PARTICIPLE, SAY
from enrich.quotes.names import REACH
from enrich.quotes.sentences import Sentence
from enrich.quotes.verbs import according, plain

SHORTEST = 3
# So far from a conjunction behind a comma stands the verb of the clause that it begins.
_NEAR = 4

_OPENING = frozenset('«“"„')
_ENDS = frozenset(';»”"')


def begin(page: Page, sentence: Sentence, verb: int) -> int | None:
    """The first word of the clause behind a verb: behind a colon or a complementiser, or bare; None without one."""
    for word in page.points(verb + 1, min(verb + REACH, sentence.behind)):
        gap = page.text[page.ends[word - 1] : page.starts[word]]
        if gap != " ":
            if ":" in gap:
                return word if _OPENING.isdisjoint(gap) else None
            if ";" in gap or "؛" in gap:
                return None
        if word in page.quoted:
            return None
        job = page.jobs[word]
        if job == COMPLEMENTIZER:
            return word + 1 if word + 1 < sentence.behind and _reports(page, verb, word) else None
        if job in (SAY, PARTICIPLE) or (gap != " " and _begins_anew(page, gap, word)):
            break
    return _bare(page, sentence, verb)


def end(page: Page, sentence: Sentence, first: int) -> int:
    """The offset where a clause ends that begins with a word: that of the sentence, an aside or a word of saying."""
    for at in page.pauses(page.starts[first], sentence.end):
        pause, word = page.text[at], page.word(at)
        if pause == ":" or word == sentence.behind or page.inside(at):
            continue
        if pause in ";؛" or (page.ends[word - 1] <= at and _leaves(page, sentence, word)):
            return at
    return sentence.end


def boundary(page: Page, sentence: Sentence, verb: int) -> int:
    """The first word of the clause of a verb: behind quotation marks, a semicolon, or «, and»."""
    for word in range(verb, max(sentence.first, verb - REACH), -1):
        gap = page.gap(word)
        if gap == " ":
            continue
        if not _ENDS.isdisjoint(gap) or ("," in gap and page.keys[word] in page.lexicon.breaks):
            return word
    return sentence.first


def _reports(page: Page, verb: int, word: int) -> bool:
    """Whether a complementiser is the verb's own: not «the plan that», «قبل أن», «إشارة إلى أن»."""
    lexicon, before = page.lexicon, page.keys[word - 1]
    if before in lexicon.unreported:
        return False
    if word == verb + 1 or lexicon.language == "ru":
        return True
    if lexicon.language == "ar":
        return before not in lexicon.preposition or plain(page, verb) in lexicon.through
    behind = page.keys[verb + 1]
    return behind in lexicon.preposition or behind in lexicon.adverb or page.keys[verb] in lexicon.through


def _begins_anew(page: Page, gap: str, word: int) -> bool:
    """Whether a conjunction behind a comma begins another clause of Arabic («، وتوقعوا أن»)."""
    key = page.keys[word]
    return "،" in gap and page.lexicon.language == "ar" and key.startswith("و") and key not in ("وهو", "وهي")


def _bare(page: Page, sentence: Sentence, verb: int) -> int | None:
    """«The Kremlin said the talks went on»: English needs no «that»."""
    word = verb + 1
    if page.keys[verb] not in page.lexicon.bare or sentence.behind - word <= SHORTEST:
        return None
    if page.gap(word).strip() or page.keys[word] in page.lexicon.preposition:
        return None
    return None if boundary(page, sentence, verb) == verb else word


def _leaves(page: Page, sentence: Sentence, word: int) -> bool:
    """Whether a word behind a comma no longer belongs to the clause reported before it."""
    job = page.jobs[word]
    if job in (ASIDE, PARTICIPLE) or any(_names_source(page, at) for at in range(word, min(word + 2, sentence.behind))):
        return True
    if page.lexicon.language == "ar":
        return _leaves_arabic(page, sentence, word)
    near = range(word + 1, min(word + 1 + _NEAR, sentence.behind))
    return job == SAY or (page.keys[word] in page.lexicon.breaks and any(page.jobs[other] == SAY for other in near))


def _leaves_arabic(page: Page, sentence: Sentence, word: int) -> bool:
    """The same of an Arabic word: an accusative such as «معتبراً», or a verb with «و» or a clause of its own."""
    key = page.keys[word]
    if key.startswith("م") and page.surfaces[word].endswith(("ًا", "اً")):
        return True
    return page.jobs[word] == SAY and (key not in page.lexicon.plain or begin(page, sentence, word) is not None)


def _names_source(page: Page, word: int) -> bool:
    return page.jobs[word] == ACCORDING and according(page, word)
