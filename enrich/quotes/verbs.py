"""The words of saying of a sentence."""

from bisect import bisect_left

from enrich.quotes.annotated_text import Page
from enrich.quotes.lexicon import ACCORDING, SAY
from enrich.quotes.sentences import Sentence

_MOST = 40
_MARKS_OF_VOWELS = "\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652\u0640"

# A word of saying and its job (SAY, QUOTE, PARTICIPLE or ACCORDING).
Cue = tuple[int, str]


def cues(page: Page, sentence: Sentence) -> list[Cue]:
    """The words of saying of a sentence outside quotation marks, in order; at most 40, none in a correction."""
    at = bisect_left(page.cues, sentence.first)
    words = page.cues[at : bisect_left(page.cues, sentence.behind, at)]
    if not words or page.keys[sentence.first] in page.lexicon.correction:
        return []
    found: list[Cue] = []
    for word in words:
        # A capital inside a sentence is that of a name, such as Said or Note.
        if word in page.quoted or (word > sentence.first and page.capital(word)):
            continue
        job = page.jobs[word] or SAY
        if job == SAY and word and page.keys[word - 1] == "как":
            job = ACCORDING
        if job != ACCORDING or according(page, word):
            found.append((word, job))
            if len(found) == _MOST:
                break
    return found


def according(page: Page, word: int) -> bool:
    """Whether the other word of «according to», «d'après», «по словам» stands beside a word."""
    language = page.lexicon.language
    before = page.keys[word - 1] if word else ""
    if language == "en":
        return word + 1 < len(page.keys) and page.keys[word + 1] == "to"
    if language == "fr":
        return page.keys[word] != "apres" or before == "d"
    return language != "ru" or before in ("по", "как") or (word > 1 and page.keys[word - 2] == "по")


def plain(page: Page, cue: int) -> str:
    """The key of a word of saying without the conjunction that Arabic writes onto it."""
    key = page.keys[cue]
    return key if key in page.lexicon.plain else key[1:]


def surface(page: Page, cue: int) -> str:
    """A word of saying as written, without the conjunction."""
    written = page.surfaces[cue]
    if page.lexicon.language == "ar" and page.keys[cue] not in page.lexicon.plain:
        return written[1:].lstrip(_MARKS_OF_VOWELS)
    return written
