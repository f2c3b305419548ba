"""The recognizer of the configured tier, created once per process."""

import functools
from pathlib import Path

from enrich.entities.recognition.recognizer import Recognizer
from services.errors import SettingsError

TIERS = ("default", "quality", "camel")


@functools.cache
def load(tier: str = "default", model_dir: Path | None = None) -> Recognizer:
    """The recognizer of a tier, created once per process.

    ``model_dir`` is where the quality tier's files are. Raises ``OperatorError`` when something it needs is missing.
    """
    # Each tier has its own libraries; those of the others need not be installed.
    if tier == "default":
        from enrich.entities.recognition.student import Student  # noqa: PLC0415

        return Student()
    if tier == "quality":
        from enrich.entities.recognition.transformer import Transformer  # noqa: PLC0415

        return Transformer(model_dir)
    if tier == "camel":
        from enrich.entities.recognition.camel import Camel  # noqa: PLC0415

        return Camel()
    raise SettingsError(f"There is no recognition tier {tier!r}; there are {', '.join(TIERS)}.")
