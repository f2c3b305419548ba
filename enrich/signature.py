"""What a text is recognised by: a fingerprint that any change alters, a MinHash that small changes hardly move."""

import base64
import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

PERMUTATIONS = 128
_SHINGLE = 3
_SEED = 42

Signature = NDArray[np.uint32]


def fingerprint(title: str | None, text: str) -> str:
    """Hex digest of the content; two revisions with the same one are the same."""
    digest = hashlib.sha256()
    for part in (title or "", text):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()[:32]


def minhash(forms: Sequence[str]) -> Signature:
    """MinHash of the three-word shingles of a text given as the forms of its words."""
    last = max(1, len(forms) - _SHINGLE + 1)
    shingles = [" ".join(forms[at : at + _SHINGLE]) for at in range(last)]
    sketch = RMinHash(num_perm=PERMUTATIONS, seed=_SEED)
    sketch.update(shingles)
    return np.array(sketch.digest(), dtype=np.uint32)


def similarity(one: Signature, other: Signature) -> float:
    """Estimated share of shingles that two texts have in common (Jaccard), 0 to 1."""
    return float(np.count_nonzero(one == other)) / PERMUTATIONS


def pack(signature: Signature) -> str:
    """A signature as base64 of little-endian 32-bit words."""
    return base64.b64encode(signature.astype("<u4").tobytes()).decode()


def unpack(packed: str) -> Signature:
    """The signature that ``pack`` wrote."""
    return np.frombuffer(base64.b64decode(packed), dtype="<u4").astype(np.uint32)
