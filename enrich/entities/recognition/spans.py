"""From labelled words to names in the text."""

from collections.abc import Container, Iterable, Iterator, Sequence

from enrich.entities.gazetteer.name_words import is_given_name
from enrich.entities.recognition import clitics, decoding
from enrich.entities.recognition.decoding import Scores
from enrich.entities.recognition.recognizer import NameSpan
from enrich.text.tokens import Token, is_arabic
from services.events import EntityType

# First word, word after the last, type, score from 0 to 1.
Name = tuple[int, int, EntityType, float]

# A word counted this often in names begins one.
_FREQUENT = 10


def decoded(scores: Scores, lengths: Sequence[int]) -> Iterator[list[Name]]:
    """The names of each sentence, from the log-probabilities [words, labels] of sentences of these lengths."""
    best: list[int] = scores.argmax(1).tolist()
    likely = decoding.types(scores)
    begin = 0
    for length in lengths:
        labels = best[begin : begin + length]
        if not any(labels):
            yield []
        else:
            if not decoding.legal(labels):
                labels = decoding.decode(scores[begin : begin + length])
            yield [
                (first, last, decoding.TYPES[kind], _mean(likely[begin + first : begin + last, kind].tolist()))
                for first, last, kind in decoding.names(labels)
            ]
        begin += length


def _mean(probabilities: Sequence[float]) -> float:
    return round(min(1.0, sum(probabilities) / len(probabilities)), 3)


def spans(sentences: Iterable[tuple[Sequence[Token], Iterable[Name]]]) -> list[NameSpan]:
    """The spans of the names of sentences, without particles and marks at their ends.

    Words without a letter are no name. A particle inside a person's name begins another name: ``ماكرون لبوتين`` are
    two.
    """
    found: list[NameSpan] = []
    seen: set[str] = set()
    for units, named in sentences:
        for first, last, kind, score in named:
            begin = first
            for at in range(first + 1, last + 1):
                if at < last and not (kind == "PER" and _begins_another(units, begin, at, seen)):
                    continue
                words = _without_marks(units[begin:at])
                begin = at
                if not any(char.isalpha() for word in words for char in word.form):
                    continue
                head = words[0]
                skipped = _particles(head, seen)
                seen.update(word.form for word in words[1:])
                if not skipped:
                    seen.add(head.form)
                found.append(NameSpan(head.start + skipped, words[-1].end, kind, score))
    return found


def _begins_another(units: Sequence[Token], begin: int, at: int, seen: Container[str]) -> bool:
    """Whether a particle on word ``at`` of a person's name begins another name.

    After one word alone only «و» does, or a particle before a frequent name: «فؤاد باسيا» is one person, and
    «ماكرون لبوتين» are two.
    """
    word = units[at]
    if at == begin + 1 and word.form and not word.form.startswith("و"):
        rest = word.form[1:]
        if is_given_name(units[begin].form) or (rest not in seen and clitics.counts().get(rest, 0) < _FREQUENT):
            return False
    return _particles(word, seen) > 0


def _particles(word: Token, seen: Container[str]) -> int:
    """How many characters of a word are particles; only Arabic has them."""
    return clitics.length(word.surface, word.form, seen) if word.form and is_arabic(word.surface) else 0


def _without_marks(words: Sequence[Token]) -> Sequence[Token]:
    """Words without punctuation before the first and after the last."""
    at = [number for number, word in enumerate(words) if word.form]
    return words[at[0] : at[-1] + 1] if at else []
