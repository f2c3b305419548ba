"""Signatures of a text, from its three-word shingles.

A digest of the content, which any change alters. A MinHash, which small changes hardly alter: two texts agree in the
share of its values that is their share of common shingles (Broder 1997); the low byte of each value is kept (b-bit
minwise hashing, Li and König 2010). A sketch of the shingles with the lowest hashes, which also estimates how much of a
short text is contained in a long one (k minimum values, Beyer and others 2007).
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from enrich.text.tokens import Passage

PERMUTATIONS = 128
SKETCH = 64
SHINGLE = 3
_SEED = 42
# Shorter texts (captions, flashes) are signed with their title.
_SHORT_TEXT = 12


@dataclass(frozen=True, slots=True)
class Signature:
    """``minhash``: (128,) bytes. ``sketch``: at most 64 hashes, ascending. ``shingles``: how many the text has."""

    minhash: NDArray[np.uint8]
    sketch: NDArray[np.uint32]
    shingles: int


def forms(heading: Passage, news: Passage) -> list[str]:
    """The words of a signature: those of the text, and of the title too where the text is short and differs from it."""
    text = [word.form for word in news.words]
    title = [word.form for word in heading.words] if len(text) < _SHORT_TEXT else []
    return text if title == text else title + text


def content_digest(title: str | None, text: str) -> str:
    """Hex digest of the content, a title and a text; two revisions with the same digest are the same."""
    digest = hashlib.sha256()
    for part in (title or "", text):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()[:32]


def sign(forms: Sequence[str]) -> Signature:
    """The signature of a text given as the forms of its words."""
    last = max(1, len(forms) - SHINGLE + 1)
    shingles = list({" ".join(forms[at : at + SHINGLE]) for at in range(last)})
    minhash = RMinHash(num_perm=PERMUTATIONS, seed=_SEED)
    minhash.update(shingles)
    hashes = np.unique(_mixed(np.array([crc32(shingle.encode("utf-8", "surrogatepass")) for shingle in shingles])))
    return Signature(
        (np.array(minhash.digest(), np.uint32) & 0xFF).astype(np.uint8), hashes[:SKETCH].copy(), len(shingles)
    )


def pack(hashes: NDArray[np.uint8] | NDArray[np.uint32]) -> str:
    """Hashes as base64 of little-endian numbers."""
    return base64.b64encode(hashes.astype(hashes.dtype.newbyteorder("<")).tobytes()).decode()


def unpack(minhash: str, sketch: str, shingles: int) -> Signature:
    """The signature that ``pack`` wrote. Raises ``ValueError`` when it has another length."""
    places = np.frombuffer(base64.b64decode(minhash), np.uint8)
    if len(places) != PERMUTATIONS:
        raise ValueError(f"a signature has {PERMUTATIONS} bytes, not {len(places)}")
    return Signature(places, np.frombuffer(base64.b64decode(sketch), "<u4").astype(np.uint32)[:SKETCH], shingles)


def _mixed(hashes: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Hashes spread over all 32 bits (the finalizer of MurmurHash3): CRCs of similar words are similar."""
    mixed = hashes.astype(np.uint32)
    mixed ^= mixed >> 16
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> 13
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> 16
    return mixed
