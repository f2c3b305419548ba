"""The speakers of reporting verbs, sentence by sentence."""

from collections.abc import Sequence
from typing import NamedTuple

from enrich.quotes import clauses
from enrich.quotes.annotated_text import AnnotatedText
from enrich.quotes.lexicon import PARTICIPLE, QUOTE, SAY
from enrich.quotes.segments import Segment
from enrich.quotes.sentences import Sentence
from enrich.quotes.subjects import Subject, Subjects
from enrich.quotes.verbs import ReportingVerb, plain

# The most words between a closing mark and the verb: a title and a name.
GROUP = 12
# A pronoun refers back at most this many sentences.
_ANTECEDENT_SENTENCES = 3
# «He added» refers back at most this many sentences.
_CONTINUED_SENTENCES = 2
# Arabic verbs whose speaker follows «عن», and beginnings of objects that are no subject.
_CONVEYED = frozenset({"نقل", "نقلت", "ينقل", "تنقل"})
_ATTACHED = ("لل", "بال", "بان", "لنظير", "له", "لو")


class Statement(NamedTuple):
    """Words that somebody said: their span, the speaker, the verb (None after a name and a colon), whether verbatim."""

    start: int
    end: int
    speaker: str | None
    verb: int | None
    direct: bool


class Speakers:
    """Finds the speakers of the current sentence, with the statements of earlier ones.

    A speaker is the id of an entity, or None for a speaker who is no known entity.
    """

    def __init__(self, annotated: AnnotatedText, subjects: Subjects, sentences: Sequence[Sentence]) -> None:
        self.annotated, self.subjects, self.lexicon = annotated, subjects, annotated.lexicon
        self._verb_first = annotated.lexicon.language.syntax.verb_first
        self._sentences = sentences
        self._verbs: list[ReportingVerb] = []
        self._known: dict[int, str | None] = {}
        # Verbs of the sentence whose subject is left out.
        self._elliptical: set[int] = set()
        # The last statement, and the number of its sentence.
        self._last: tuple[Statement, int] | None = None

    def enter(self, sentence: Sentence, verbs: list[ReportingVerb]) -> None:
        """Make a sentence, with its reporting verbs, the current one."""
        self.sentence, self._verbs = sentence, verbs
        self._known, self._elliptical = {}, set()

    def add(self, statement: Statement) -> None:
        """Add a statement of the current sentence; its speaker is the one who may continue.

        A statement whose subject is left out («قال الكرملين إن بوتين ... كما أكد») does not replace a named speaker.
        """
        if statement.verb not in self._elliptical or self._last is None or self._last[1] < self.sentence.number:
            self._last = statement, self.sentence.number

    def just_said(self) -> Statement | None:
        """The last statement of the previous sentence."""
        return self._last[0] if self._last is not None and self._last[1] == self.sentence.number - 1 else None

    def of(self, verb: int, job: str, after: int) -> str | None:
        """The speaker of what begins at word ``after``, with a verb before it."""
        if verb not in self._known:
            if self._verb_first:
                found = self._verb_first_subject(verb, job, after)
            elif job == PARTICIPLE:
                found = self._same_speaker(verb)
            else:
                found = self.subject(clauses.boundary(self.annotated, self.sentence, verb), verb, after)
            self._known[verb] = found
        return self._known[verb]

    def of_preceding(self, segment: Segment, verb: int, job: str) -> str | None:
        """The speaker of a segment before the verb: «"…," said X» and «"…," X said»."""
        if verb not in self._known:
            after = min(verb + GROUP, self.sentence.after)
            if self._verb_first:
                self._known[verb] = self._verb_first_subject(verb, job, after)
            else:
                self._known[verb] = self.subject(segment.after, verb, after)
        return self._known[verb]

    def subject(self, first: int, verb: int, after: int | None = None) -> str | None:
        """The subject of a verb: among the words from ``first`` on before it or, if there are none, after it."""
        pronouns, keys = self.lexicon.pronoun, self.annotated.keys
        inverted = all(self.annotated.is_light(word) or keys[word] in pronouns for word in range(first, verb))
        near = range(max(first, verb - 3), min(verb + 2 if inverted else verb, self.sentence.after))
        if any(keys[word] in pronouns and self._next_to(word, verb) for word in near):
            return self._continuing_speaker(verb)
        if not inverted:
            return self._before(first, verb)
        name = self.subjects.subject(verb + 1, after or self.sentence.after, verb)
        if name is None and first > self.sentence.first and after is not None:
            return self._same_speaker(verb)
        return name.id if name else None

    def antecedent(self) -> str | None:
        """Whom a pronoun refers to: the speaker of the previous sentence or whom it is about, else the last speaker."""
        number = self.sentence.number
        for before in reversed(self._sentences[max(number - _ANTECEDENT_SENTENCES, 0) : number]):
            if self._last is not None and self._last[1] >= before.number:
                return self._last[0].speaker
            name = self.subjects.actor(before.first, before.after)
            # A body is meant only in the next sentence, and never by «he».
            if name and (name.type == "PER" or (self._verb_first and before.number == number - 1)):
                return name.id
        return None

    def _continuing_speaker(self, verb: int) -> str | None:
        """Whom a pronoun or an omitted subject refers to; with verbs such as «added» the last speaker, if recent."""
        if self._last is not None and plain(self.annotated, verb) in self.lexicon.continuing:
            last, number = self._last
            if self.sentence.number - number <= _CONTINUED_SENTENCES:
                return last.speaker
        return self.antecedent()

    def recalled(self) -> str | None:
        """The last speaker, if recent: «the minister», «البيان»."""
        if self._last is None or self.sentence.number - self._last[1] > _ANTECEDENT_SENTENCES:
            return None
        return self._last[0].speaker

    def anaphoric(self, first: int, after: int) -> bool:
        """Whether a common noun that refers to the last speaker is among the words ``first`` to ``after``."""
        return not self.lexicon.anaphor.isdisjoint(self.annotated.keys[first:after])

    def _before(self, first: int, verb: int) -> str | None:
        """The subject among the words from ``first`` to a verb."""
        last = self.subjects.last(first, verb)
        if last is not None and self.subjects.precedes(last, verb):
            name = self.subjects.subject(last.first, verb, verb) if self._free(last, first, verb) else None
            return name.id if name else None
        name = self.subjects.subject(first, verb, verb)
        if name is None and self.anaphoric(first, verb):
            # «the official» is the last speaker; «the French leader» may be anybody.
            inner = range(max(first, self.sentence.first + 1), verb)
            return None if any(map(self.annotated.capital, inner)) else self.recalled()
        return name.id if name else None

    def _free(self, name: Subject, first: int, verb: int) -> bool:
        """Whether the name before a verb is its subject, given the words before the name."""
        found = self.subjects.subject(first, verb, verb)
        return found is not None and (found == name or self.subjects.fits(name, first, verb, verb))

    def _next_to(self, word: int, verb: int) -> bool:
        """Whether only adverbs and the like separate a pronoun and a verb."""
        first, second = min(word, verb), max(word, verb)
        return all(self.annotated.is_light(other) for other in range(first + 1, second)) and all(
            self.annotated.joined(other) for other in range(first + 1, second + 1)
        )

    def _verb_first_subject(self, verb: int, job: str, after: int) -> str | None:
        """The subject after a verb, up to word ``after``; where it is omitted, the speaker it refers to."""
        keys, at = self.annotated.keys, verb + 1
        if plain(self.annotated, verb) in _CONVEYED:
            at = next((word + 1 for word in range(at, after) if keys[word] == "عن"), after)
        while at < after and self.annotated.is_light(at):
            at += 1
        if at >= after or self._no_subject(at):
            return self._omitted_subject(verb, job)
        name = self.subjects.subject(at, after, at - 1)
        if name is not None:
            return name.id
        return self.recalled() if keys[at] in self.lexicon.anaphor else None

    def _no_subject(self, word: int) -> bool:
        """Whether the word after a verb is a complementizer or an object with a preposition («للصحفيين»)."""
        key = self.annotated.keys[word]
        if key in self.lexicon.complementizer or self.subjects.governs(key):
            return True
        return key.startswith(_ATTACHED) and all(name.oblique for name in self.subjects.between(word, word + 1))

    def _omitted_subject(self, verb: int, job: str) -> str | None:
        """The speaker of a verb whose subject is omitted because it is known."""
        first = self.sentence.first
        if job == PARTICIPLE or self.annotated.keys[verb] not in self.lexicon.plain or verb == first:
            return self._same_speaker(verb)
        last = self.subjects.last(first, verb)
        if last is not None and self.subjects.precedes(last, verb):
            if self.subjects.after_office(last, first):
                return None
            if self.subjects.fits(last, first, verb, last.first - 1):
                return last.id
        self._elliptical.add(verb)
        name = self.subjects.actor(first, verb)
        return name.id if name else None

    def _same_speaker(self, verb: int) -> str | None:
        """Who continues in a sentence: its last speaker, whom it is about, or the previous speaker."""
        earlier = next((one for one in reversed(self._verbs) if one.word < verb and one.job in (SAY, QUOTE)), None)
        if earlier is not None:
            word, job = earlier
            begin = clauses.begin(self.annotated, self.sentence, word)
            return self.of(word, job, verb if begin is None else begin)
        if name := self.subjects.actor(self.sentence.first, verb):
            return name.id
        return self._continuing_speaker(verb) if verb - self.sentence.first <= 1 else None
