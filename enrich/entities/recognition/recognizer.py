"""The interface of all tiers of recognition."""

from typing import ClassVar, NamedTuple, Protocol

from enrich.text.tokens import Passage
from services.events import EntityType


class NameSpan(NamedTuple):
    """A name in a passage: ``text[start:end]`` without particles written onto it; ``score`` is from 0 to 1."""

    start: int
    end: int
    type: EntityType
    score: float


class Recognizer(Protocol):
    """Finds the names in passages of its languages (ISO 639-1; None: of all)."""

    languages: ClassVar[frozenset[str] | None]

    def find(self, passage: Passage) -> list[NameSpan]:
        """The names of a passage in order, without overlaps. Deterministic."""
        ...
