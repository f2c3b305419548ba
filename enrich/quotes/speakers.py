"""Whom a word of saying belongs to, sentence by sentence."""

from collections.abc import Sequence
from typing import NamedTuple

from enrich.quotes import clauses
from enrich.quotes.annotated_text import Page
from enrich.quotes.lexicon import PARTICIPLE, QUOTE, SAY
from enrich.quotes.names import Name, Names
from enrich.quotes.segments import Segment
from enrich.quotes.sentences import Sentence
from enrich.quotes.verbs import Cue, plain

# Between the closing mark and the verb stand a title and a name.
GROUP = 12
# A pronoun means whoever spoke or was spoken of this many sentences ago at most.
_MEMORY = 3
# «He added» goes on from at most so many sentences ago.
_JUST_NOW = 2
_CONVEYED = frozenset({"نقل", "نقلت", "ينقل", "تنقل"})
_ATTACHED = ("لل", "بال", "بان", "لنظير", "له", "لو")


class Said(NamedTuple):
    """Words that are said: their span, by whom, the verb (None behind a name and a colon), and whether verbatim."""

    start: int
    end: int
    speaker: str | None
    verb: int | None
    direct: bool


class Speakers:
    """Who speaks in the sentence that was entered last; remembers who spoke before.

    A speaker is the id of an entity, or None where nobody known speaks.
    """

    def __init__(self, page: Page, names: Names, sentences: Sequence[Sentence]) -> None:
        self.page, self.names, self.lexicon = page, names, page.lexicon
        self._sentences = sentences
        self._cues: list[Cue] = []
        self._known: dict[int, str | None] = {}
        # Verbs of the sentence whose subject is left out.
        self._elliptical: set[int] = set()
        # What was said last, and the number of its sentence.
        self._last: tuple[Said, int] | None = None

    def enter(self, sentence: Sentence, cues: list[Cue]) -> None:
        """Go on to a sentence with its words of saying."""
        self.sentence, self._cues = sentence, cues
        self._known, self._elliptical = {}, set()

    def remember(self, said: Said) -> None:
        """Something was said in this sentence: who goes on speaking is who said it.

        Where a subject is left out («قال الكرملين إن بوتين ... كما أكد»), who was named as speaking goes on.
        """
        if said.verb not in self._elliptical or self._last is None or self._last[1] < self.sentence.number:
            self._last = said, self.sentence.number

    def just_said(self) -> Said | None:
        """What was said last in the sentence before."""
        return self._last[0] if self._last is not None and self._last[1] == self.sentence.number - 1 else None

    def of(self, verb: int, job: str, behind: int) -> str | None:
        """Who says what begins at word ``behind``, said with a verb before it."""
        if verb not in self._known:
            if self.lexicon.language == "ar":
                found = self._arabic(verb, job, behind)
            elif job == PARTICIPLE:
                found = self._same(verb)
            else:
                found = self.subject(clauses.boundary(self.page, self.sentence, verb), verb, behind)
            self._known[verb] = found
        return self._known[verb]

    def behind(self, segment: Segment, verb: int, job: str) -> str | None:
        """Who says what stands before the verb: «"…," said X» and «"…," X said»."""
        if verb not in self._known:
            behind = min(verb + GROUP, self.sentence.behind)
            if self.lexicon.language == "ar":
                self._known[verb] = self._arabic(verb, job, behind)
            else:
                self._known[verb] = self.subject(segment.behind, verb, behind)
        return self._known[verb]

    def subject(self, first: int, verb: int, behind: int | None = None) -> str | None:
        """The subject of a verb: among the words from ``first`` on before it or, if nothing is there, behind it."""
        pronouns, keys = self.lexicon.pronoun, self.page.keys
        inverted = all(self.page.light(word) or keys[word] in pronouns for word in range(first, verb))
        near = range(max(first, verb - 3), min(verb + 2 if inverted else verb, self.sentence.behind))
        if any(keys[word] in pronouns and self._beside(word, verb) for word in near):
            return self._going_on(verb)
        if not inverted:
            return self._before(first, verb)
        name = self.names.subject(verb + 1, behind or self.sentence.behind, verb)
        if name is None and first > self.sentence.first and behind is not None:
            return self._same(verb)
        return name.id if name else None

    def antecedent(self) -> str | None:
        """Whom a pronoun means: who spoke in the sentence before or whom it is about, else who spoke last."""
        number = self.sentence.number
        for before in reversed(self._sentences[max(number - _MEMORY, 0) : number]):
            if self._last is not None and self._last[1] >= before.number:
                return self._last[0].speaker
            name = self.names.actor(before.first, before.behind)
            # A body is meant only right behind its name; «he» is never one.
            if name and (name.type == "PER" or (self.lexicon.language == "ar" and before.number == number - 1)):
                return name.id
        return None

    def _going_on(self, verb: int) -> str | None:
        """Whom a pronoun means, or nobody named: behind «he added» and the like always who spoke last, if just now."""
        if self._last is not None and plain(self.page, verb) in self.lexicon.continuing:
            last, number = self._last
            if self.sentence.number - number <= _JUST_NOW:
                return last.speaker
        return self.antecedent()

    def recalled(self) -> str | None:
        """Who spoke last, if it was not long ago: «the minister», «البيان»."""
        if self._last is None or self.sentence.number - self._last[1] > _MEMORY:
            return None
        return self._last[0].speaker

    def anaphoric(self, first: int, behind: int) -> bool:
        """Whether a common noun that takes up the last speaker is among some words."""
        return not self.lexicon.anaphor.isdisjoint(self.page.keys[first:behind])

    def _before(self, first: int, verb: int) -> str | None:
        """The subject among the words from ``first`` to a verb."""
        last = self.names.last(first, verb)
        if last is not None and self.names.precedes(last, verb):
            name = self.names.subject(last.first, verb, verb) if self._free(last, first, verb) else None
            return name.id if name else None
        name = self.names.subject(first, verb, verb)
        if name is None and self.anaphoric(first, verb):
            # «the official» is who spoke before; «the French leader» may be anybody.
            inner = range(max(first, self.sentence.first + 1), verb)
            return None if any(map(self.page.capital, inner)) else self.recalled()
        return name.id if name else None

    def _free(self, name: Name, first: int, verb: int) -> bool:
        """Whether the name before a verb is its subject in view of the words before the name too."""
        found = self.names.subject(first, verb, verb)
        return found is not None and (found == name or self.names.fits(name, first, verb, verb))

    def _beside(self, word: int, verb: int) -> bool:
        """Whether nothing but adverbs and the like stands between a pronoun and a verb."""
        first, second = min(word, verb), max(word, verb)
        return all(self.page.light(other) for other in range(first + 1, second)) and all(
            self.page.joined(other) for other in range(first + 1, second + 1)
        )

    def _arabic(self, verb: int, job: str, behind: int) -> str | None:
        """The subject behind an Arabic verb, or whoever is meant where there is none."""
        keys, at = self.page.keys, verb + 1
        if plain(self.page, verb) in _CONVEYED:
            at = next((word + 1 for word in range(at, behind) if keys[word] == "عن"), behind)
        while at < behind and self.page.light(at):
            at += 1
        if at >= behind or self._no_subject(at):
            return self._left_out(verb, job)
        name = self.names.subject(at, behind, at - 1)
        if name is not None:
            return name.id
        return self.recalled() if keys[at] in self.lexicon.anaphor else None

    def _no_subject(self, word: int) -> bool:
        """Whether what stands behind a verb is a complementiser or an object with a preposition («للصحفيين»)."""
        key = self.page.keys[word]
        if key in self.lexicon.complementizer or self.names.governs(key):
            return True
        return key.startswith(_ATTACHED) and all(name.oblique for name in self.names.between(word, word + 1))

    def _left_out(self, verb: int, job: str) -> str | None:
        """Arabic leaves out a subject that is known."""
        first = self.sentence.first
        if job == PARTICIPLE or self.page.keys[verb] not in self.lexicon.plain or verb == first:
            return self._same(verb)
        last = self.names.last(first, verb)
        if last is not None and self.names.precedes(last, verb):
            if self.names.behind_office(last, first):
                return None
            if self.names.fits(last, first, verb, last.first - 1):
                return last.id
        self._elliptical.add(verb)
        name = self.names.actor(first, verb)
        return name.id if name else None

    def _same(self, verb: int) -> str | None:
        """Who goes on speaking in a sentence: its last speaker, whom it is about, or the one before."""
        earlier = next((cue for cue in reversed(self._cues) if cue[0] < verb and cue[1] in (SAY, QUOTE)), None)
        if earlier is not None:
            word, job = earlier
            begin = clauses.begin(self.page, self.sentence, word)
            return self.of(word, job, verb if begin is None else begin)
        if name := self.names.actor(self.sentence.first, verb):
            return name.id
        return self._going_on(verb) if verb - self.sentence.first <= 1 else None
