"""The reporting verbs of a sentence."""

from bisect import bisect_left
from typing import NamedTuple

from enrich.quotes.annotated_text import AnnotatedText
from enrich.quotes.lexicon import ACCORDING, SAY
from enrich.quotes.sentences import Sentence
from services.normalization import HARAKAT, TATWEEL

_MOST = 40


class ReportingVerb(NamedTuple):
    """A reporting verb: its word, and its job (SAY, QUOTE, PARTICIPLE or ACCORDING)."""

    word: int
    job: str


def reporting_verbs(annotated: AnnotatedText, sentence: Sentence) -> list[ReportingVerb]:
    """The reporting verbs of a sentence outside quotation marks, in order; at most 40, none in a correction."""
    at = bisect_left(annotated.reporting, sentence.first)
    words = annotated.reporting[at : bisect_left(annotated.reporting, sentence.after, at)]
    if not words or annotated.keys[sentence.first] in annotated.lexicon.correction:
        return []
    found: list[ReportingVerb] = []
    for word in words:
        # A capital inside a sentence is that of a name, such as Said or Note.
        if word in annotated.quoted or (word > sentence.first and annotated.capital(word)):
            continue
        job = annotated.jobs[word] or SAY
        if job == SAY and word and annotated.keys[word - 1] in annotated.lexicon.according_say:
            job = ACCORDING
        if job != ACCORDING or according(annotated, word):
            found.append(ReportingVerb(word, job))
            if len(found) == _MOST:
                break
    return found


def according(annotated: AnnotatedText, word: int) -> bool:
    """Whether the other word of «according to», «d'après», «по словам» is next to a word, where it needs one."""
    lexicon, keys = annotated.lexicon, annotated.keys
    after, before = lexicon.according_after.get(keys[word]), lexicon.companions_before(keys[word])
    if after is not None and not (word + 1 < len(keys) and keys[word + 1] in after):
        return False
    if before is None or (word and keys[word - 1] in before):
        return True
    return word > 1 and keys[word - 2] in lexicon.according_apart


def plain(annotated: AnnotatedText, verb: int) -> str:
    """The key of a reporting verb without a conjunction written onto it."""
    key = annotated.keys[verb]
    return key if key in annotated.lexicon.plain else key[1:]


def surface(annotated: AnnotatedText, verb: int) -> str:
    """A reporting verb as written, without a conjunction written onto it."""
    written = annotated.surfaces[verb]
    return written if annotated.keys[verb] in annotated.lexicon.plain else written[1:].lstrip(HARAKAT + TATWEEL)
