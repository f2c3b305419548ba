"""The entities of the synthetic stream: well-known ones, and an unlimited number of invented ones."""

import csv
import functools
import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import cast

from services.events import EntityType

_FILE = Path(__file__).with_name("entities.tsv")
_SCRIPTS = {"ar": 0, "en": 1, "fr": 1, "ru": 2, "es": 1, "de": 1}
_NAMES = " | "

# Arabic, Latin, Cyrillic.
_WRITTEN = """
    با/ba/ба بو/bu/бу بي/bi/би تا/ta/та تو/to/то جا/ja/джа حو/hu/ху دا/da/да دو/do/до دي/di/ди را/ra/ра رو/ro/ро
    ري/ri/ри زا/za/за زو/zo/зо سا/sa/са سو/so/со سي/si/си شا/sha/ша شي/shi/ши طو/tu/ту فا/fa/фа في/fi/фи كا/ka/ка
    كو/ko/ко كي/ki/ки لا/la/ла لو/lo/ло لي/li/ли ما/ma/ма مو/mo/мо مي/mi/ми نا/na/на نو/no/но ني/ni/ни ها/ha/га
    وا/wa/ва ياس/yas/яс مار/mar/мар تار/tar/тар نور/nor/нор دان/dan/дан لين/lin/лин سام/sam/сам كار/kar/кар
    فان/van/ван رام/ram/рам زين/zen/зен
"""
# Each concatenation can be split in one way only, so that no two invented names are the same.
_SYLLABLES = [written.split("/") for written in _WRITTEN.split()]
# Endings of invented places.
_ENDINGS = [("آباد", "abad", "абад"), ("ستان", "stan", "стан"), ("فيل", "ville", "виль"), ("بور", "pur", "пур")]
_BODIES = {
    "ar": ("شركة {}", "جامعة {}", "مصرف {}", "مؤسسة {}", "نادي {}", "مجموعة {}"),
    "en": ("{} Company", "{} University", "{} Bank", "{} Foundation", "{} Club", "{} Group"),
    "fr": ("Société {}", "Université {}", "Banque {}", "Fondation {}", "Club {}", "Groupe {}"),
    "ru": ("Компания {}", "Университет {}", "Банк {}", "Фонд {}", "Клуб {}", "Группа {}"),
    "es": ("Empresa {}", "Universidad {}", "Banco {}", "Fundación {}", "Club {}", "Grupo {}"),
    "de": ("Firma {}", "Universität {}", "Bank {}", "Stiftung {}", "Klub {}", "Gruppe {}"),
}
# The types of ten invented entities in a row.
_TYPES: tuple[EntityType, ...] = ("PER", "ORG", "PER", "LOC", "PER", "ORG", "PER", "LOC", "PER", "ORG")
# Coprime to the numbers of syllables, endings and organisation patterns, so that no two indexes have the same name.
_STRIDE = 7_368_787
_FIRST = 123_456_789
_KNOWN_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class NamedEntity:
    """An entity. ``names``: for each language, the full name, followed by the surname if it has one.

    ``id`` is a Wikidata item or, for an invented entity, ``invented:NUMBER``.
    """

    id: str
    type: EntityType
    names: Mapping[str, tuple[str, ...]]

    def name(self, language: str) -> str:
        """The full name."""
        return self.names[language][0]

    def short(self, language: str) -> str:
        """The surname, or the full name if there is no surname."""
        return self.names[language][-1]


@functools.cache
def known_entities() -> list[NamedEntity]:
    """The well-known entities, the most frequent first."""
    with _FILE.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [
        NamedEntity(
            row["id"],
            cast(EntityType, row["type"]),
            {language: tuple(names.split(_NAMES)) for language, names in row.items() if language in _BODIES},
        )
        for row in rows
    ]


@functools.lru_cache(50_000)
def invented_entity(index: int) -> NamedEntity:
    """The invented entity with an index from 0; different indexes have different names."""
    kind = _TYPES[index % len(_TYPES)]
    number = index // len(_TYPES) * len(_TYPES) + _TYPES[: index % len(_TYPES)].count(kind)
    names: dict[str, tuple[str, ...]]
    if kind == "PER":
        first, last = _words(number, 2, 3)
        names = {language: (f"{first[script]} {last[script]}", last[script]) for language, script in _SCRIPTS.items()}
    elif kind == "LOC":
        number, ending = divmod(number, len(_ENDINGS))
        (stem,) = _words(number, 3)
        names = {language: (stem[script] + _ENDINGS[ending][script],) for language, script in _SCRIPTS.items()}
    else:
        number, body = divmod(number, len(_BODIES["en"]))
        (stems,) = _words(number, 3)
        own = dict(zip(("ar", "en", "ru"), stems, strict=True))
        names = {language: (bodies[body].format(own.get(language, own["en"])),) for language, bodies in _BODIES.items()}
    return NamedEntity(f"invented:{index}", kind, names)


def _words(number: int, *lengths: int) -> list[tuple[str, ...]]:
    """Words that are unique to a number, in three scripts; ``lengths`` in syllables (the last may have more)."""
    base = len(_SYLLABLES)
    span = base ** sum(lengths)
    high, low = divmod(number, span)
    # A stride, so that consecutive numbers do not get similar names.
    rest = (low * _STRIDE + _FIRST) % span
    digits = []
    for _ in range(sum(lengths)):
        rest, digit = divmod(rest, base)
        digits.append(digit)
    while high:
        high, digit = divmod(high - 1, base)
        digits.append(digit)
    words = []
    for length in lengths[:-1]:
        words.append(digits[:length])
        digits = digits[length:]
    return [
        tuple("".join(_SYLLABLES[digit][script] for digit in word).capitalize() for script in range(3))
        for word in (*words, digits)
    ]


class Cast:
    """The entities of one stream: half well-known ones, by Zipf's law, half invented ones, with a long tail."""

    def __init__(self, stories: int) -> None:
        self._known = known_entities()
        self._weights = list(accumulate(1 / (rank + 5) for rank in range(len(self._known))))
        self._places = [entity for entity in self._known if entity.type == "LOC"]
        self._organisations = [entity for entity in self._known if entity.type == "ORG"]
        self._invented = max(1_000, stories)

    def draw(self, rng: random.Random, *, allow_people: bool) -> NamedEntity:
        """A random entity. Without ``allow_people`` it is not a well-known person."""
        if rng.random() < _KNOWN_SHARE:
            entity = self.draw_known(rng)
            return entity if allow_people or entity.type != "PER" else self.draw_invented(rng)
        return self.draw_invented(rng)

    def draw_known(self, rng: random.Random) -> NamedEntity:
        """A well-known entity."""
        return rng.choices(self._known, cum_weights=self._weights)[0]

    def draw_invented(self, rng: random.Random) -> NamedEntity:
        """An invented entity; low indexes are far more frequent."""
        share = rng.random()
        return invented_entity(int(self._invented * share * share))

    def draw_place(self, rng: random.Random) -> NamedEntity:
        """A well-known place; all have the same probability."""
        return self._places[int(rng.random() * len(self._places))]

    def draw_organisation(self, rng: random.Random) -> NamedEntity:
        """A well-known organisation; all have the same probability."""
        return self._organisations[int(rng.random() * len(self._organisations))]

    def share(self, entity: NamedEntity) -> float:
        """The probability that ``draw`` returns this well-known entity."""
        return _KNOWN_SHARE / (self._known.index(entity) + 5) / self._weights[-1]
