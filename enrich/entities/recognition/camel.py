"""The camel tier: the recognizer of camel-tools, a large Arabic transformer, where it and its data are installed."""

import importlib
from collections.abc import Iterator
from typing import Any, ClassVar

from enrich.entities.recognition import decoding
from enrich.entities.recognition.recognizer import NameSpan
from enrich.entities.recognition.sentences import sentences
from enrich.entities.recognition.spans import Name, spans
from enrich.text.tokens import Passage
from services.errors import OperatorError

_NUMBERS = {label: number for number, label in enumerate(decoding.LABELS)}


class Camel:
    """camel-tools' recognizer with the interface of the other tiers."""

    languages: ClassVar[frozenset[str] | None] = frozenset({"ar"})

    def __init__(self) -> None:
        try:
            self._model: Any = importlib.import_module("camel_tools.ner").NERecognizer.pretrained()
        except Exception as cause:  # import errors, its catalogue's own, those of transformers for missing files
            raise OperatorError(
                "The camel tier of recognition needs camel-tools with its neural parts and data: "
                f"pip install 'khabar[camel]', then camel_data -i ner-arabert ({cause})."
            ) from cause

    def find(self, passage: Passage) -> list[NameSpan]:
        """The names of an Arabic passage. The model has no probabilities, so each score is 1."""
        found = list(sentences(passage))
        tags = self._model.predict([[unit.surface for unit in sentence] for sentence in found]) if found else []
        return spans(zip(found, map(_names, tags), strict=True))


def _names(tags: list[str]) -> Iterator[Name]:
    labels: list[int] = []
    for tag in tags:
        label = tag.replace("PERS", "PER")
        inside = label.startswith("I-") and labels and labels[-1] in (_NUMBERS[f"B-{label[2:]}"], _NUMBERS[label])
        labels.append(_NUMBERS[label if inside or label == "O" else f"B-{label[2:]}"])
    for first, last, kind in decoding.names(labels):
        yield first, last, decoding.TYPES[kind], 1.0
