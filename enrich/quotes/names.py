"""People, bodies and places among the words of an article, and whether one can be the subject of a verb."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from enrich.quotes.annotated_text import Page
from services.events import Entity

# A name stands no further from its verb, in words.
REACH = 25
_ARTICLES = frozenset({"the", "l", "le", "la", "les"})
_CLITICS = frozenset("بلك")
_RELATIVES = frozenset({"الذي", "التي", "الذين", "انه", "ان"})
_CASES = ("а", "я", "у", "ю", "е", "ом", "ем", "ём", "ым", "им", "ого", "его", "ому", "ему", "ой")
_TITLE_WORDS = 5


class Name(NamedTuple):
    """A mention by its words: the first, the one behind the last, and whether it cannot be a subject as written."""

    id: str
    type: str
    first: int
    behind: int
    oblique: bool


class Names:
    """The people, bodies and places of an article by their place among its words."""

    def __init__(self, page: Page, entities: Sequence[Entity]) -> None:
        self.page, self.lexicon, self.keys = page, page.lexicon, page.keys
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

    def _name(self, at: int) -> Name:
        """The mention of a number. Few are asked for, so each is placed among the words only then."""
        start, end, entity = self._mentions[at]
        starts = self.page.starts
        first = max(bisect_right(starts, start) - 1, 0)
        behind = bisect_left(starts, end, first)
        return Name(entity.id, entity.type, first, behind, self._oblique(starts[first], start, end, entity))

    def _from(self, word: int) -> int:
        """The number of the first mention that begins with a word or behind it."""
        starts = self.page.starts
        if word <= 0:
            return 0
        return bisect_left(self._starts, starts[word]) if word < len(starts) else len(self._starts)

    def _oblique(self, word: int, start: int, end: int, entity: Entity) -> bool:
        """Whether a particle (لماكرون), a case (Макрона) or a genitive (Egypt's) makes a name no subject."""
        text = self.page.text
        if self.lexicon.language == "ar":
            return word < start and not _CLITICS.isdisjoint(text[word:start])
        if self.lexicon.language == "en":
            return text[end : end + 2] in ("'s", "’s")
        if self.lexicon.language == "ru" and entity.type == "PER":
            written, name = text[start:end].split()[-1].casefold(), entity.name.split()[-1].casefold()
            return written[:3] == name[:3] and written != name and written.endswith(_CASES)
        return False

    def between(self, start: int, end: int) -> Iterator[Name]:
        """Names that begin at words ``start`` to ``end``, end excluded, in order."""
        return map(self._name, range(self._from(start), self._from(end)))

    def last(self, start: int, end: int) -> Name | None:
        """The last name in a range of words."""
        at = self._from(end) - 1
        return self._name(at) if at >= self._from(start) else None

    def subject(self, start: int, end: int, verb: int) -> Name | None:
        """The first name in a range of words that can be the subject of a verb before or behind it."""
        for name in self.between(start, end):
            if self.fits(name, start, end, verb):
                return self._titled(name, end)
        return None

    def actor(self, start: int, end: int) -> Name | None:
        """Whom a sentence is about so far: its first person that is a subject, else its first body that is."""
        body = None
        for name in self.between(start, end):
            if name.oblique or name.type not in ("PER", "ORG") or self.governed(name.first, start):
                continue
            if name.type == "PER":
                return None if self.behind_office(name, start) else name
            body = body or name
        return body

    def fits(self, name: Name, start: int, end: int, verb: int) -> bool:
        """Whether a name in a range of words can be the subject of a verb."""
        if name.type == "PER":
            return not (name.oblique or self.governed(name.first, start) or self.behind_office(name, start))
        if self._voiced(name, start):
            return name.type == "ORG"
        if name.oblique or self.governed(name.first, start):
            return self._impersonal(name, verb)
        near = self._near(name, verb, start)
        return near or (name.type == "ORG" and self.lexicon.language != "ar" and name.behind <= end)

    def precedes(self, name: Name, verb: int) -> bool:
        """Whether a verb stands right behind a name, a relative or an adverb aside («لافروف، الذي قال»)."""
        return all(key in _RELATIVES or key in self.lexicon.adverb for key in self.keys[name.behind : verb])

    def governed(self, word: int, start: int) -> bool:
        """Whether a preposition stands before a name that begins with a word, an article aside."""
        while word > start and self.page.joined(word):
            word -= 1
            key = self.keys[word]
            if key not in _ARTICLES:
                return self.governs(key) or key in self.lexicon.relation
        return False

    def governs(self, key: str) -> bool:
        """Whether a word is a preposition, in Arabic one with a noun written onto a particle included."""
        preposition = self.lexicon.preposition
        return key in preposition or (self.lexicon.language == "ar" and key[:1] in "لبو" and key[1:] in preposition)

    def behind_office(self, name: Name, start: int) -> bool:
        """«مكتب الرئيس زيلينسكي» is not Zelensky. Where a title precedes its bearer, only a case could tell."""
        at, start = name.first, max(start, name.first - _TITLE_WORDS)
        office = self.lexicon.office
        if office.isdisjoint(self.keys[start:at]):
            return False
        while at > start and self.page.joined(at):
            at -= 1
        return not office.isdisjoint(self.keys[at : name.first])

    def _titled(self, name: Name, end: int) -> Name:
        """«Kremlin spokesman Peskov», «أمين الأمم المتحدة غوتيريش»: the person whose title a body is part of."""
        if name.type == "PER":
            return name
        at = name.behind
        for follower in self.between(at, min(at + _TITLE_WORDS, end)):
            if follower.type == "PER" and not follower.oblique and self._one_group(at, follower.first + 1):
                return follower
        return name

    def _one_group(self, start: int, end: int) -> bool:
        """Whether neither punctuation nor a preposition parts the words of a range and the one before them."""
        return all(
            self.page.joined(word) and self.keys[word - 1] not in self.lexicon.preposition for word in range(start, end)
        )

    def _near(self, name: Name, verb: int, start: int) -> bool:
        """Whether a body or place is the verb's own subject: right behind it, or first in its clause."""
        first = verb + 1 if name.first > verb else start
        return all(self.page.light(word) or self.keys[word] in _ARTICLES for word in range(first, name.first))

    def _voiced(self, name: Name, start: int) -> bool:
        """«a spokesman for the United Nations», «بيان الكرملين»: a body through its voice."""
        voice, preposition = self.lexicon.voice, self.lexicon.preposition
        for at in range(name.first, max(start, name.first - _TITLE_WORDS), -1):
            if not self.page.joined(at):
                break
            key = self.keys[at - 1]
            bare = key.lstrip("لبو") if self.lexicon.language == "ar" else key
            if key in voice or bare in voice:
                if key not in preposition:
                    return True
            elif key not in _ARTICLES and key not in preposition:
                return False
        return False

    def _impersonal(self, name: Name, verb: int) -> bool:
        """«Сообщили в Кремле»: a plural without a subject, and where it was said."""
        if self.lexicon.language != "ru" or not self.keys[verb].endswith(("ли", "ют", "ят")):
            return False
        return self.keys[name.first - 1] in ("в", "во") if name.first else False
