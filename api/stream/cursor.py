"""Cursors: opaque strings that identify an event of the stream, the same on every gateway of an installation.

A cursor is 24 hexadecimal digits: sixteen for the offset in the log, eight that check it against the Kafka cluster.
Thanks to fixed length and leading zeros, cursors increase as strings along the stream.
"""

import re
from hashlib import blake2b

_SHAPE = re.compile(r"[0-9a-f]{24}")
_OFFSET_DIGITS = 16


class BadCursor(ValueError):
    """The text is not a cursor of this installation."""


class Cursors:
    """Encodes and decodes the cursors of one Kafka cluster."""

    def __init__(self, cluster: str) -> None:
        self.cluster = cluster
        self._hash = blake2b(cluster.encode(), digest_size=4)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cursors) and other.cluster == self.cluster

    def __hash__(self) -> int:
        return hash(self.cluster)

    def encode(self, offset: int) -> str:
        """The cursor of the event at ``offset``; -1 is the position before the first event."""
        digits = f"{offset + 1:016x}"
        check = self._hash.copy()
        check.update(digits.encode())
        return digits + check.hexdigest()

    def decode(self, text: str) -> int:
        """The offset in a cursor, at least -1. Raises ``BadCursor``."""
        if not _SHAPE.fullmatch(text):
            raise BadCursor("not a cursor: it must be one that this stream has sent")
        offset = int(text[:_OFFSET_DIGITS], 16) - 1
        if self.encode(offset) != text:
            raise BadCursor("the cursor comes from another installation, or was changed")
        return offset
