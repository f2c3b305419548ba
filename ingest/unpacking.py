"""Decompressing a pushed body in steps of a bounded size, however far it expands."""

import zlib
from collections.abc import Callable
from typing import Final, Protocol

from services import zstd
from services.decompression import Corrupt, Oversized

# The values of Content-Encoding that are understood.
ENCODINGS: Final = ("gzip", "zstd")
# The window of a zstd frame: RFC 9659 allows no more in HTTP.
ZSTD_WINDOW: Final = 8 * 1024 * 1024
_ZSTD_OPTIONS: Final[dict[int, int]] = {zstd.DecompressionParameter.window_log_max: 23}
_GZIP: Final = 16 + zlib.MAX_WBITS


class _Member(Protocol):
    """One gzip member or zstd frame."""

    eof: bool
    rest: bytes

    def read(self, data: bytes, most: int) -> bytes: ...


class _GzipMember:
    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self.eof = False
        self.rest = b""

    def read(self, data: bytes, most: int) -> bytes:
        plain = self._member.decompress(data, most)
        self.eof = self._member.eof
        self.rest = self._member.unused_data if self.eof else self._member.unconsumed_tail
        return plain


class _ZstdFrame:
    def __init__(self) -> None:
        self._frame = zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)
        self.eof = False
        self.rest = b""

    def read(self, data: bytes, most: int) -> bytes:
        plain = self._frame.decompress(data, most)
        self.eof = self._frame.eof
        self.rest = self._frame.unused_data if self.eof else b""
        return plain


class Unpacking:
    """Decompresses a body that arrives in chunks: ``gzip``, ``zstd`` or ``identity``; several members or frames too."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        start: dict[str, Callable[[], _Member]] = {"gzip": _GzipMember, "zstd": _ZstdFrame}
        self._start = start.get(encoding)
        self._member: _Member | None = None
        self._packed = b""
        self._pending = False

    def add(self, data: bytes) -> None:
        """Take a chunk of the body."""
        self._packed += data

    def take(self, most: int) -> bytes:
        """The next ``most`` bytes of the plain body, or fewer; none when more chunks are needed. Raises ``Corrupt``."""
        if self._start is None:
            plain, self._packed = self._packed[:most], self._packed[most:]
            return plain
        while self._packed or self._pending:
            member = self._member
            if member is None or member.eof:
                self._member = member = self._start()
            try:
                plain = member.read(self._packed, most)
            except (zlib.error, zstd.ZstdError) as error:
                raise Corrupt(f"not {self._encoding}: {error}") from error
            self._packed = member.rest
            # A decompressor may hold back what did not fit.
            self._pending = len(plain) == most and not member.eof
            if plain:
                return plain
        return b""

    def finish(self) -> None:
        """Call at the end of the body. Raises ``Corrupt`` when it is truncated."""
        if self._member is not None and not self._member.eof:
            raise Corrupt(f"the {self._encoding} body ends too early")


def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """The whole plain body. Raises ``Oversized`` when it has more than ``limit`` bytes, or ``Corrupt``."""
    unpacking = Unpacking(encoding)
    unpacking.add(body)
    parts: list[bytes] = []
    left = limit
    # One byte more than allowed shows that the limit is exceeded, without decompressing the rest.
    while part := unpacking.take(left + 1):
        left -= len(part)
        if left < 0:
            raise Oversized
        parts.append(part)
    unpacking.finish()
    return b"".join(parts)
