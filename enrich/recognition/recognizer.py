"""What every tier of recognition gives, and how one is chosen."""

import functools
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

from enrich.normalization import Passage
from services.errors import SettingsError
from services.events import EntityType

TIERS = ("default", "quality", "camel")


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


@functools.cache
def load(tier: str = "default", model_dir: Path | None = None) -> Recognizer:
    """The recognizer of a tier, made once a process.

    ``model_dir`` is where the quality tier's files are. Raises ``OperatorError`` when something it needs is missing.
    """
    # Each tier brings its own libraries; the others need not be installed.
    if tier == "default":
        from enrich.recognition.student import Student  # noqa: PLC0415

        return Student()
    if tier == "quality":
        from enrich.recognition.transformer import Transformer  # noqa: PLC0415

        return Transformer(model_dir)
    if tier == "camel":
        from enrich.recognition.camel import Camel  # noqa: PLC0415

        return Camel()
    raise SettingsError(f"There is no recognition tier {tier!r}; there are {', '.join(TIERS)}.")
