"""Copies of group's entries, many in one record of ``group.entries``.

On ``updates`` an entry lies beside its article, which is several times as large, and its stories; whoever wants the
entries alone must read all of it. A copy never says more than ``updates`` does and may be missing.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

_MAGIC: Final = b"KGE1"
_HEAD: Final = struct.Struct("<4sqqq")
_FRAME: Final = struct.Struct("<qI")

# So much goes into one record: few enough records to read fast, and little to read again from ``updates``.
_MOST_ENTRIES: Final = 500
_MOST_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Stretch:
    """The entries of a part of ``updates``.

    ``first`` and ``last`` are the offsets between which (both included) there are no other entries, ``input`` is the
    offset on ``articles.annotated`` of the last input told there, all of whose records lie within. ``entries`` come
    with their own offsets.
    """

    first: int
    last: int
    input: int
    entries: tuple[tuple[int, bytes], ...]

    def encode(self) -> bytes:
        """Little-endian: ``KGE1``, first, last, input (64 bits each); each entry: offset (64), length (32), bytes."""
        parts = [_HEAD.pack(_MAGIC, self.first, self.last, self.input)]
        for offset, entry in self.entries:
            parts += (_FRAME.pack(offset, len(entry)), entry)
        return b"".join(parts)

    @classmethod
    def decode(cls, value: bytes | None) -> Self:
        """Raises ``ValueError`` when these bytes are no stretch."""
        if value is None or len(value) < _HEAD.size or not value.startswith(_MAGIC):
            raise ValueError("no stretch of entries")
        _, first, last, given = _HEAD.unpack_from(value)
        entries = tuple(_frames(value))
        if not entries or not first <= entries[0][0] <= entries[-1][0] <= last:
            raise ValueError("a stretch that does not hold what it covers")
        return cls(first, last, given, entries)


def _frames(value: bytes) -> Iterator[tuple[int, bytes]]:
    at = _HEAD.size
    try:
        while at < len(value):
            offset, length = _FRAME.unpack_from(value, at)
            at += _FRAME.size + length
            if at > len(value):
                raise ValueError("an entry that is cut off")
            yield offset, value[at - length : at]
    except struct.error as error:
        raise ValueError("an entry that is cut off") from error


class Due:
    """Entries on their way into a stretch that begins at offset ``first`` of ``updates``."""

    def __init__(self, first: int) -> None:
        self._begin(first)

    def _begin(self, first: int) -> None:
        self._first = first
        self._bytes = 0
        self._entries: list[tuple[int, bytes]] = []

    def add(self, offset: int, entry: bytes) -> None:
        """The next entry, and the offset of its record."""
        self._entries.append((offset, entry))
        self._bytes += len(entry)

    @property
    def full(self) -> bool:
        """Whether it is time to cut."""
        return len(self._entries) >= _MOST_ENTRIES or self._bytes >= _MOST_BYTES

    def cut(self, last: int, given: int) -> Stretch:
        """The stretch up to offset ``last``, where input ``given`` is told in full; the next one begins behind it."""
        stretch = Stretch(self._first, last, given, tuple(self._entries))
        self._begin(last + 1)
        return stretch
