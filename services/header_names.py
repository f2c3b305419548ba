"""Makes aiokafka read records whose header names are not UTF-8.

Kafka takes any bytes as the name of a header. aiokafka raises ``UnicodeDecodeError`` at such a record, at each attempt
to read it, and the consumer never gets past it. With ``install`` a name has ``?`` for each byte that is not ASCII then.
"""

import struct
from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

_LENGTH = struct.Struct(">i")
# The offset of a batch, and its length after that, precede what the length counts.
_OVERHEAD = 12


def install() -> None:
    """Use this in all consumers of the process."""
    fetcher.MemoryRecords = _Records


class _Records:
    """The batches of a fetch response, as ``MemoryRecords``."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._records = MemoryRecords(data)
        self._at = 0

    def size_in_bytes(self) -> int:
        return int(self._records.size_in_bytes())

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> "Any":
        batch = self._records.next_batch()
        begin = self._at
        self._at += _OVERHEAD + _LENGTH.unpack_from(self._data, begin + 8)[0]
        return _Batch(batch, self._data, begin, self._at)


class _Batch:
    """One batch: aiokafka's own, and its bytes for when that cannot read them."""

    def __init__(self, batch: Any, data: bytes, begin: int, end: int) -> None:
        self._batch, self._data, self._begin, self._end = batch, data, begin, end

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        read = 0
        try:
            for record in self._batch:
                yield record
                read += 1
        except UnicodeDecodeError:
            for number, record in enumerate(_LenientBatch(self._data[self._begin : self._end])):
                if number >= read:
                    yield record


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """Slower than aiokafka's own, and reads any name."""

    def _read_msg(self) -> Any:
        _make_ascii(self._buffer, self._pos)
        return super()._read_msg()


def _make_ascii(record: bytearray, at: int) -> None:
    """Replace the bytes of the header names of one record, which begins at ``at``, that are not ASCII."""
    _, at = decode_varint(record, at)  # length
    at += 1  # attributes
    for _ in range(2):  # time and offset
        _, at = decode_varint(record, at)
    for _ in range(2):  # key and value
        size, at = decode_varint(record, at)
        at += max(0, size)
    headers, at = decode_varint(record, at)
    for _ in range(headers):
        size, at = decode_varint(record, at)
        record[at : at + size] = bytes(byte if byte < 128 else ord("?") for byte in record[at : at + size])
        size, at = decode_varint(record, at + size)
        at += max(0, size)
