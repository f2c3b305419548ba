"""What every tier of recognition gives."""

from typing import ClassVar, NamedTuple, Protocol

from enrich.text.tokens import Passage
from services.events import EntityType


class Span(NamedTuple):
    """A name in a passage: ``text[start:end]``, particles written onto it left out; ``score`` is from 0 to 1."""

    start: int
    end: int
    type: EntityType
    score: float


class Recognizer(Protocol):
    """Finds the names in passages of its languages (ISO 639-1; None: of all)."""

    languages: ClassVar[frozenset[str] | None]

    def find(self, passage: Passage) -> list[Span]:
        """The names of a passage in order, none overlapping another. Same passage, same names."""
        ...
