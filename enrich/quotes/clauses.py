"""Where the clause that a reporting verb introduces begins and ends."""

from enrich.quotes.annotated_text import AnnotatedText
from enrich.quotes.lexicon import ACCORDING, ASIDE, COMPLEMENTIZER, PARTICIPLE, SAY
from enrich.quotes.sentences import Sentence
from enrich.quotes.subjects import REACH
from enrich.quotes.verbs import according, plain

SHORTEST = 3
# The verb of a clause is at most this many words after the conjunction that begins it.
_NEAR = 4

_OPENING = frozenset('«“"„')
_ENDS = frozenset(';»”"')


def begin(annotated: AnnotatedText, sentence: Sentence, verb: int) -> int | None:
    """The first word of the clause of a verb: after a colon or a complementizer, or without one; None if none."""
    for word in annotated.points(verb + 1, min(verb + REACH, sentence.after)):
        gap = annotated.text[annotated.ends[word - 1] : annotated.starts[word]]
        if gap != " ":
            if ":" in gap:
                return word if _OPENING.isdisjoint(gap) else None
            if ";" in gap or "؛" in gap:
                return None
        if word in annotated.quoted:
            return None
        job = annotated.jobs[word]
        if job == COMPLEMENTIZER:
            return word + 1 if word + 1 < sentence.after and _reports(annotated, verb, word) else None
        if job in (SAY, PARTICIPLE) or (gap != " " and _begins_clause(annotated, gap, word)):
            break
    return _without_complementizer(annotated, sentence, verb)


def end(annotated: AnnotatedText, sentence: Sentence, first: int) -> int:
    """The end of the clause that begins with a word: that of the sentence, or before an aside or a reporting verb."""
    for at in annotated.pauses(annotated.starts[first], sentence.end):
        pause, word = annotated.text[at], annotated.word(at)
        if pause == ":" or word == sentence.after or annotated.inside(at):
            continue
        if pause in ";؛" or (annotated.ends[word - 1] <= at and _leaves(annotated, sentence, word)):
            return at
    return sentence.end


def boundary(annotated: AnnotatedText, sentence: Sentence, verb: int) -> int:
    """The first word of the clause of a verb: after quotation marks, a semicolon, or «, and»."""
    for word in range(verb, max(sentence.first, verb - REACH), -1):
        gap = annotated.gap(word)
        if gap == " ":
            continue
        if not _ENDS.isdisjoint(gap) or ("," in gap and annotated.keys[word] in annotated.lexicon.breaks):
            return word
    return sentence.first


def _reports(annotated: AnnotatedText, verb: int, word: int) -> bool:
    """Whether a complementizer belongs to the verb: not in «the plan that», «قبل أن», «إشارة إلى أن»."""
    lexicon, syntax, before = annotated.lexicon, annotated.lexicon.language.syntax, annotated.keys[word - 1]
    if before in lexicon.unreported:
        return False
    if word == verb + 1 or syntax.distant_complementizer:
        return True
    if syntax.verb_first:
        return before not in lexicon.preposition or plain(annotated, verb) in lexicon.through
    following = annotated.keys[verb + 1]
    return following in lexicon.preposition or following in lexicon.adverb or annotated.keys[verb] in lexicon.through


def _begins_clause(annotated: AnnotatedText, gap: str, word: int) -> bool:
    """Whether a conjunction written onto the word after a comma begins another clause («، وتوقعوا أن»)."""
    key = annotated.keys[word]
    return (
        annotated.lexicon.language.conjunctions != ""
        and "،" in gap
        and key.startswith("و")
        and key not in ("وهو", "وهي")
    )


def _without_complementizer(annotated: AnnotatedText, sentence: Sentence, verb: int) -> int | None:
    """The first word of a clause without complementizer: «The Kremlin said the talks went on»."""
    word = verb + 1
    if annotated.keys[verb] not in annotated.lexicon.bare or sentence.after - word <= SHORTEST:
        return None
    if annotated.gap(word).strip() or annotated.keys[word] in annotated.lexicon.preposition:
        return None
    return None if boundary(annotated, sentence, verb) == verb else word


def _leaves(annotated: AnnotatedText, sentence: Sentence, word: int) -> bool:
    """Whether a word after a comma no longer belongs to the clause reported before it."""
    job = annotated.jobs[word]
    if job in (ASIDE, PARTICIPLE) or any(
        _names_source(annotated, at) for at in range(word, min(word + 2, sentence.after))
    ):
        return True
    if annotated.lexicon.language.syntax.verb_first:
        return _leaves_arabic(annotated, sentence, word)
    near = range(word + 1, min(word + 1 + _NEAR, sentence.after))
    return job == SAY or (
        annotated.keys[word] in annotated.lexicon.breaks and any(annotated.jobs[other] == SAY for other in near)
    )


def _leaves_arabic(annotated: AnnotatedText, sentence: Sentence, word: int) -> bool:
    """The same for an Arabic word: an accusative such as «معتبراً», or a verb with «و» or with its own clause."""
    key = annotated.keys[word]
    if key.startswith("م") and annotated.surfaces[word].endswith(("ًا", "اً")):
        return True
    return annotated.jobs[word] == SAY and (
        key not in annotated.lexicon.plain or begin(annotated, sentence, word) is not None
    )


def _names_source(annotated: AnnotatedText, word: int) -> bool:
    return annotated.jobs[word] == ACCORDING and according(annotated, word)
