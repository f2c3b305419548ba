"""Bounded gzip decompression: what a stranger sends cannot grow past a limit, however small it arrives."""

import zlib

_GZIP = 16 + zlib.MAX_WBITS


class Oversized(Exception):
    """More bytes than the limit."""


class Corrupt(Exception):
    """Not gzip, damaged, or cut off."""


class Gunzip:
    """Decompresses a gzip body that arrives in chunks; several members in a row are one body.

    ``limit`` bounds the decompressed bytes in all; no more than that is ever held.
    """

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._member = zlib.decompressobj(_GZIP)
        self._fresh = True

    def feed(self, data: bytes) -> bytes:
        """The bytes that ``data`` expands to. Raises ``Oversized`` or ``Corrupt``."""
        out = []
        while data:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            self._fresh = False
            try:
                # One byte more than allowed tells that the limit is passed without producing the rest.
                plain = self._member.decompress(data, self._left + 1)
            except zlib.error as error:
                raise Corrupt(f"not gzip: {error}") from error
            self._left -= len(plain)
            if self._left < 0:
                raise Oversized
            out.append(plain)
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        return b"".join(out)

    def finish(self) -> None:
        """Call at the end of the body. Raises ``Corrupt`` when it was cut off."""
        if not self._fresh and not self._member.eof:
            raise Corrupt("the gzip body ends too early")
