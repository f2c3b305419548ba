"""The possible subjects of verbs: the people, bodies and places named in an article."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from enrich.quotes.annotated_text import AnnotatedText
from services.events import Entity

# The largest distance between a subject and its verb, in words.
REACH = 25
# Letters of Arabic that may be written onto the noun of a preposition or of a spokesperson's title.
_PARTICLES = "لبو"
_TITLE_WORDS = 5


class Subject(NamedTuple):
    """A mention by its words: the first and the one after the last. An ``oblique`` one is not written as a subject."""

    id: str
    type: str
    first: int
    after: int
    oblique: bool


class Subjects:
    """The people, bodies and places of an article by their words."""

    def __init__(self, annotated: AnnotatedText, entities: Sequence[Entity]) -> None:
        self.annotated, self.lexicon, self.keys = annotated, annotated.lexicon, annotated.keys
        self._mentions = sorted(
            (
                (mention.start, mention.end, entity)
                for entity in entities
                if entity.type != "MISC"
                for mention in entity.mentions
            ),
            key=itemgetter(0),
        )
        self._starts = [start for start, _, _ in self._mentions]

    def _mention(self, at: int) -> Subject:
        """A mention by its number. Few are needed, so their words are looked up only then."""
        start, end, entity = self._mentions[at]
        starts = self.annotated.starts
        first = max(bisect_right(starts, start) - 1, 0)
        after = bisect_left(starts, end, first)
        return Subject(entity.id, entity.type, first, after, self._oblique(starts[first], start, end, entity))

    def _from(self, word: int) -> int:
        """The number of the first mention that begins with a word or after it."""
        starts = self.annotated.starts
        if word <= 0:
            return 0
        return bisect_left(self._starts, starts[word]) if word < len(starts) else len(self._starts)

    def _oblique(self, word: int, start: int, end: int, entity: Entity) -> bool:
        """Whether a preposition (لماكرون), a case (Макрона) or a genitive (Egypt's) makes a name no subject."""
        text, language = self.annotated.text, self.lexicon.language
        syntax = language.syntax
        if word < start and any(letter in language.prepositions for letter in text[word:start]):
            return True
        if syntax.genitive_suffixes and text.startswith(syntax.genitive_suffixes, end):
            return True
        if syntax.case_endings and entity.type == "PER":
            written, name = text[start:end].split()[-1].casefold(), entity.name.split()[-1].casefold()
            return written[:3] == name[:3] and written != name and written.endswith(syntax.case_endings)
        return False

    def between(self, start: int, end: int) -> Iterator[Subject]:
        """The mentions that begin at words ``start`` to ``end``, the latter excluded, in order."""
        return map(self._mention, range(self._from(start), self._from(end)))

    def last(self, start: int, end: int) -> Subject | None:
        """The last mention in a range of words."""
        at = self._from(end) - 1
        return self._mention(at) if at >= self._from(start) else None

    def subject(self, start: int, end: int, verb: int) -> Subject | None:
        """The first mention in a range of words that can be the subject of a verb before or after it."""
        for subject in self.between(start, end):
            if self.fits(subject, start, end, verb):
                return self._titled(subject, end)
        return None

    def actor(self, start: int, end: int) -> Subject | None:
        """Whom a range of words is about: its first person that is a subject, else its first such body."""
        body = None
        for subject in self.between(start, end):
            if subject.oblique or subject.type not in ("PER", "ORG") or self.governed(subject.first, start):
                continue
            if subject.type == "PER":
                return None if self.after_office(subject, start) else subject
            body = body or subject
        return body

    def fits(self, subject: Subject, start: int, end: int, verb: int) -> bool:
        """Whether a mention in a range of words can be the subject of a verb."""
        if subject.type == "PER":
            return not (subject.oblique or self.governed(subject.first, start) or self.after_office(subject, start))
        if self._voiced(subject, start):
            return subject.type == "ORG"
        if subject.oblique or self.governed(subject.first, start):
            return self._impersonal(subject, verb)
        near = self._near(subject, verb, start)
        return near or (subject.type == "ORG" and not self.lexicon.language.syntax.verb_first and subject.after <= end)

    def precedes(self, subject: Subject, verb: int) -> bool:
        """Whether a verb follows a mention directly, except for a relative or an adverb («لافروف، الذي قال»)."""
        relative, adverb = self.lexicon.relative, self.lexicon.adverb
        return all(key in relative or key in adverb for key in self.keys[subject.after : verb])

    def governed(self, word: int, start: int) -> bool:
        """Whether a preposition precedes a mention that begins with a word, except for an article."""
        while word > start and self.annotated.joined(word):
            word -= 1
            key = self.keys[word]
            if key not in self.lexicon.article:
                return self.governs(key) or key in self.lexicon.relation
        return False

    def governs(self, key: str) -> bool:
        """Whether a word is a preposition, with a particle written onto it or without."""
        preposition = self.lexicon.preposition
        return key in preposition or (key[:1] in _PARTICLES and key[1:] in preposition)

    def after_office(self, subject: Subject, start: int) -> bool:
        """Whether a person is named as part of an office: «مكتب الرئيس زيلينسكي» is not Zelensky."""
        at, start = subject.first, max(start, subject.first - _TITLE_WORDS)
        office = self.lexicon.office
        if office.isdisjoint(self.keys[start:at]):
            return False
        while at > start and self.annotated.joined(at):
            at -= 1
        return not office.isdisjoint(self.keys[at : subject.first])

    def _titled(self, subject: Subject, end: int) -> Subject:
        """The person whose title a body is part of: «Kremlin spokesman Peskov», «أمين الأمم المتحدة غوتيريش»."""
        if subject.type == "PER":
            return subject
        at = subject.after
        for follower in self.between(at, min(at + _TITLE_WORDS, end)):
            if follower.type == "PER" and not follower.oblique and self._one_group(at, follower.first + 1):
                return follower
        return subject

    def _one_group(self, start: int, end: int) -> bool:
        """Whether neither punctuation nor a preposition separates the words of a range and the one before them."""
        return all(
            self.annotated.joined(word) and self.keys[word - 1] not in self.lexicon.preposition
            for word in range(start, end)
        )

    def _near(self, subject: Subject, verb: int, start: int) -> bool:
        """Whether a body or place is the subject of a verb: directly after it, or first in its clause."""
        first = verb + 1 if subject.first > verb else start
        return all(
            self.annotated.is_light(word) or self.keys[word] in self.lexicon.article
            for word in range(first, subject.first)
        )

    def _voiced(self, subject: Subject, start: int) -> bool:
        """Whether a body speaks through somebody: «a spokesman for the United Nations», «بيان الكرملين»."""
        voice, preposition = self.lexicon.voice, self.lexicon.preposition
        for at in range(subject.first, max(start, subject.first - _TITLE_WORDS), -1):
            if not self.annotated.joined(at):
                break
            key = self.keys[at - 1]
            if key in voice or key.lstrip(_PARTICLES) in voice:
                if key not in preposition:
                    return True
            elif key not in self.lexicon.article and key not in preposition:
                return False
        return False

    def _impersonal(self, subject: Subject, verb: int) -> bool:
        """Whether a plural without a subject has a mention as its place: «Сообщили в Кремле»."""
        endings = self.lexicon.plural_endings
        if not endings or not self.keys[verb].endswith(endings):
            return False
        return self.keys[subject.first - 1] in self.lexicon.locative if subject.first else False
