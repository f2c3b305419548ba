"""Snapshots of group's entries: many entries in one record of ``group.entries``.

On ``updates`` an entry is in the headers of its article, which is several times as large, among story records; reading
the entries alone means reading all of it. A snapshot never holds more than ``updates`` does, and may be missing.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

_MAGIC: Final = b"KGE1"
_HEAD: Final = struct.Struct("<4sqqq")
_FRAME: Final = struct.Struct("<qI")

# Limits of one record: few enough records to read fast, and little to read again from ``updates``.
_MAX_ENTRIES: Final = 500
_MAX_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class EntrySegment:
    """All entries of one segment of ``updates``.

    ``first`` and ``last`` are the offsets, both included, between which ``updates`` has no other entries.
    ``input_offset`` is the offset on ``articles.annotated`` of the last input published in the segment, which holds
    all its records. ``entries`` have the offset of their record.
    """

    first: int
    last: int
    input_offset: int
    entries: tuple[tuple[int, bytes], ...]

    def encode(self) -> bytes:
        """Little-endian: ``KGE1``, first, last, input (64 bits each); each entry: offset (64), length (32), bytes."""
        parts = [_HEAD.pack(_MAGIC, self.first, self.last, self.input_offset)]
        for offset, entry in self.entries:
            parts += (_FRAME.pack(offset, len(entry)), entry)
        return b"".join(parts)

    @classmethod
    def decode(cls, value: bytes | None) -> Self:
        """Raises ``ValueError`` when these bytes are not a segment."""
        if value is None or len(value) < _HEAD.size or not value.startswith(_MAGIC):
            raise ValueError("not an entry segment")
        _, first, last, input_offset = _HEAD.unpack_from(value)
        entries = tuple(_frames(value))
        if not entries or not first <= entries[0][0] <= entries[-1][0] <= last:
            raise ValueError("the entries are not within the segment's offsets")
        return cls(first, last, input_offset, entries)


def _frames(value: bytes) -> Iterator[tuple[int, bytes]]:
    at = _HEAD.size
    try:
        while at < len(value):
            offset, length = _FRAME.unpack_from(value, at)
            at += _FRAME.size + length
            if at > len(value):
                raise ValueError("truncated entry")
            yield offset, value[at - length : at]
    except struct.error as error:
        raise ValueError("truncated entry") from error


class PendingSegment:
    """Entries for the next segment, which begins at offset ``first`` of ``updates``."""

    def __init__(self, first: int) -> None:
        self._begin(first)

    def _begin(self, first: int) -> None:
        self._first = first
        self._bytes = 0
        self._entries: list[tuple[int, bytes]] = []

    def add(self, offset: int, entry: bytes) -> None:
        """Add the next entry with the offset of its record."""
        self._entries.append((offset, entry))
        self._bytes += len(entry)

    @property
    def full(self) -> bool:
        """Whether the segment should be cut."""
        return len(self._entries) >= _MAX_ENTRIES or self._bytes >= _MAX_BYTES

    def cut(self, last: int, input_offset: int) -> EntrySegment:
        """The segment up to offset ``last``; the next one begins after it.

        All records of the input at ``input_offset`` must be at or before ``last``.
        """
        segment = EntrySegment(self._first, last, input_offset, tuple(self._entries))
        self._begin(last + 1)
        return segment
