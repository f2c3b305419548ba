"""Cursors: opaque strings that identify an event of the stream, the same on every gateway of an installation.

A cursor is 32 hexadecimal digits: sixteen for the offset in the log, eight that check it against the event at this
offset, and eight that check both against the log's identity. Thanks to fixed length and leading zeros, cursors increase
as strings along the stream. The event's check detects a log that was replaced by an older copy of itself: its identity
is the same, but other events follow.

Older versions made cursors of 24 digits, without a check of the event and with the id of the Kafka cluster alone. They
are still understood.
"""

import re
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

from aiokafka.structs import ConsumerRecord

_OLD_SHAPE = re.compile(r"[0-9a-f]{24}")
_SHAPE = re.compile(r"[0-9a-f]{32}")
_OFFSET_DIGITS = 16
_CHECK_DIGITS = 8


class BadCursor(ValueError):
    """The text is not a cursor."""


class OtherLog(ValueError):
    """The cursor is of another log: another Kafka cluster, or ``updates`` before it was created again."""


class Place(NamedTuple):
    """What a cursor identifies: an offset, at least -1, and the check of the event there; 0 when it has none."""

    offset: int
    check: int


def check_of(record: "ConsumerRecord[bytes, bytes]") -> int:
    """The check of a record, 32 bits and never 0."""
    return crc32(record.value or b"", crc32(b"%d" % record.timestamp)) or 1


class Cursors:
    """Encodes and decodes the cursors of one log. ``log`` is its id, as ``services.kafka.read_log_id`` returns it."""

    def __init__(self, log: str) -> None:
        self.log = log
        self._hash = blake2b(log.encode(), digest_size=4)
        self._old_hash = blake2b(log.partition("/")[0].encode(), digest_size=4)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cursors) and other.log == self.log

    def __hash__(self) -> int:
        return hash(self.log)

    def encode(self, offset: int, check: int = 0) -> str:
        """The cursor of the event at ``offset``; -1 is the position before the first event.

        Without the event's ``check`` the cursor is valid for any log with this id.
        """
        digits = f"{offset + 1:016x}{check:08x}"
        hashed = self._hash.copy()
        hashed.update(digits.encode())
        return digits + hashed.hexdigest()

    def decode(self, text: str) -> Place:
        """What a cursor identifies. Raises ``BadCursor`` or ``OtherLog``."""
        if _SHAPE.fullmatch(text):
            checked = _OFFSET_DIGITS + _CHECK_DIGITS
            place = Place(int(text[:_OFFSET_DIGITS], 16) - 1, int(text[_OFFSET_DIGITS:checked], 16))
            known = self.encode(*place)
        elif _OLD_SHAPE.fullmatch(text):
            place = Place(int(text[:_OFFSET_DIGITS], 16) - 1, 0)
            hashed = self._old_hash.copy()
            hashed.update(text[:_OFFSET_DIGITS].encode())
            known = text[:_OFFSET_DIGITS] + hashed.hexdigest()
        else:
            raise BadCursor("not a cursor: it must be one that this stream has sent")
        if known != text:
            raise OtherLog("the cursor is of another log, or was changed")
        return place
