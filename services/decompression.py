"""Bounded gzip decompression: untrusted input cannot expand beyond a limit (zip bombs)."""

import zlib

_GZIP = 16 + zlib.MAX_WBITS


class Oversized(Exception):
    """The decompressed data exceed the limit."""


class Corrupt(Exception):
    """The data are not gzip, damaged, or truncated."""


class Gunzip:
    """Decompresses a gzip body that arrives in chunks; a body may have several gzip members.

    ``limit``: the maximum number of decompressed bytes of the whole body. Memory stays within it too.
    """

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._member = zlib.decompressobj(_GZIP)
        self._empty = True

    def feed(self, data: bytes) -> bytes:
        """Decompress a chunk. Raises ``Oversized`` or ``Corrupt``."""
        out = []
        while data:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            self._empty = False
            try:
                # One byte more than allowed shows that the limit is exceeded, without decompressing the rest.
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
        """Call at the end of the body. Raises ``Corrupt`` when it is truncated."""
        if not self._empty and not self._member.eof:
            raise Corrupt("the gzip body ends too early")
