"""Bounded decompression: untrusted input cannot expand beyond a limit (zip bombs), nor take more memory than it.

All decompressors have the interface of ``Decompressor``: ``feed`` each chunk as it arrives, then ``finish``.
"""

import zlib
from collections.abc import Iterator
from typing import Final, Protocol

import brotli

from services import zstd

# The largest piece that a decompressor makes at a time.
PIECE: Final = 65_536
# The most memory that a zstd frame may ask for; RFC 8878 recommends 8 MB for what is sent over HTTP (RFC 9659).
_ZSTD_WINDOW_LOG: Final = 23
_GZIP: Final = 16 + zlib.MAX_WBITS
_GZIP_MAGIC: Final = b"\x1f\x8b"
# The names of no encoding, including those that are none and stand in the header by mistake.
_IDENTITY: Final = frozenset({"", "identity", "none", "binary", "8bit", "utf-8", "utf8", "chunked"})
_NOT_IN_TEXT: Final = frozenset(range(32)) - frozenset(b"\t\n\r\f")
# More encodings of one body than any server applies.
_MAX_ENCODINGS: Final = 3


class Oversized(Exception):
    """The decompressed data exceed the limit."""


class Corrupt(Exception):
    """The data are not in the format that was announced, damaged, or truncated."""


class UnknownEncoding(Exception):
    """The content encoding is not supported; the message names it."""


class Decompressor(Protocol):
    """Decompresses a body that arrives in chunks."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Decompress a chunk, in pieces of at most ``PIECE`` bytes: memory stays constant.

        The iterator must be used up before the next call. Raises ``Oversized`` or ``Corrupt``.
        """

    def feed(self, data: bytes) -> bytes:
        """Decompress a chunk. Raises ``Oversized`` or ``Corrupt``."""

    def finish(self) -> None:
        """Call at the end of the body. Raises ``Corrupt`` when it is truncated."""


class _Bounded:
    """What all decompressors share: the limit on the decompressed bytes of the whole body, None for no limit."""

    def __init__(self, limit: int | None) -> None:
        self._left = limit

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Decompress a chunk, in pieces."""
        for piece in self._plain(data):
            if self._left is not None:
                self._left -= len(piece)
                if self._left < 0:
                    raise Oversized
            if piece:
                yield piece

    def feed(self, data: bytes) -> bytes:
        """Decompress a chunk."""
        return b"".join(self.pieces(data))

    def finish(self) -> None:
        """The end of the body."""

    def _plain(self, data: bytes) -> Iterator[bytes]:
        yield data


class Identity(_Bounded):
    """A body that is not compressed, with the limit."""


class Gunzip(_Bounded):
    """gzip, of one or several members, which may be padded with zero bytes at the end.

    ``trailing``: allow other bytes after the last member, which some servers send; they are ignored.
    """

    def __init__(self, limit: int | None, *, trailing: bool = False) -> None:
        super().__init__(limit)
        self._member = zlib.decompressobj(_GZIP)
        self._trailing = trailing
        # The beginning of what follows a member, until it is known whether it is another one.
        self._next = b""
        self._empty, self._over = True, False

    def _plain(self, data: bytes) -> Iterator[bytes]:
        self._empty = self._empty and not data
        while not self._over:
            if self._member.eof:
                data = (self._next + data).lstrip(b"\0")
                self._next = b""
                if not self._begins_member(data):
                    return
                self._member = zlib.decompressobj(_GZIP)
            try:
                piece = self._member.decompress(data, PIECE)
            except zlib.error as error:
                raise Corrupt(f"not gzip: {error}") from error
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            yield piece
            # zlib can hold output back although it has used up all input.
            if not piece and not data:
                return

    def _begins_member(self, data: bytes) -> bool:
        """Whether another member begins; if that cannot be decided yet, ``data`` is kept."""
        if data.startswith(_GZIP_MAGIC):
            return True
        if data in {b"", _GZIP_MAGIC[:1]}:
            self._next = data
        elif self._trailing:
            self._over = True
        else:
            raise Corrupt("not gzip: other bytes follow the last member")
        return False

    def finish(self) -> None:
        """The end of the body."""
        if not self._empty and not self._member.eof:
            raise Corrupt("the gzip body ends too early")
        if self._next and not self._trailing:
            raise Corrupt("not gzip: other bytes follow the last member")


class Inflate(_Bounded):
    """``deflate``: by the standard in zlib's format, by many servers without its header. What follows is ignored."""

    def __init__(self, limit: int | None) -> None:
        super().__init__(limit)
        self._stream: zlib._Decompress | None = None
        self._head = b""

    def _plain(self, data: bytes) -> Iterator[bytes]:
        if self._stream is None:
            data = self._head + data
            if len(data) < 2:
                self._head = data
                return
            self._head = b""
            # zlib's header: the method 8, and a multiple of 31.
            wrapped = data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2], "big") % 31 == 0
            self._stream = zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
        while not self._stream.eof:
            try:
                piece = self._stream.decompress(data, PIECE)
            except zlib.error as error:
                raise Corrupt(f"not deflate: {error}") from error
            data = self._stream.unconsumed_tail
            yield piece
            if not piece and not data:
                return

    def finish(self) -> None:
        """The end of the body."""
        if self._head or (self._stream is not None and not self._stream.eof):
            raise Corrupt("the deflate body ends too early")


class Brotli(_Bounded):
    """Brotli (``br``)."""

    def __init__(self, limit: int | None) -> None:
        super().__init__(limit)
        self._stream = brotli.Decompressor()
        self._empty = True

    def _plain(self, data: bytes) -> Iterator[bytes]:
        self._empty = self._empty and not data
        more = bool(data)
        while more and not self._stream.is_finished():  # what follows the stream is ignored
            try:
                piece = self._stream.process(data, output_buffer_limit=PIECE)
            except brotli.error as error:
                raise Corrupt(f"not brotli: {error}") from error
            data = b""
            yield piece
            # It can hold output back although it would accept more input.
            more = bool(piece) or not self._stream.can_accept_more_data()

    def finish(self) -> None:
        """The end of the body."""
        if not self._empty and not self._stream.is_finished():
            raise Corrupt("the brotli body ends too early")


class Unzstd(_Bounded):
    """Zstandard, of one or several frames."""

    def __init__(self, limit: int | None) -> None:
        super().__init__(limit)
        self._frame = self._new()
        self._started = False

    @staticmethod
    def _new() -> zstd.ZstdDecompressor:
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})

    def _plain(self, data: bytes) -> Iterator[bytes]:
        while data or not (self._frame.needs_input or self._frame.eof):
            if self._frame.eof:
                self._frame = self._new()
            self._started = True
            try:
                piece = self._frame.decompress(data, PIECE)
            except zstd.ZstdError as error:
                raise Corrupt(f"not zstd: {error}") from error
            data = self._frame.unused_data if self._frame.eof else b""
            yield piece

    def finish(self) -> None:
        """The end of the body."""
        if self._started and not self._frame.eof:
            raise Corrupt("the zstd body ends too early")


class _Chain(_Bounded):
    """A body that several encodings were applied to; ``stages`` undo them, in order. Each has the limit."""

    def __init__(self, stages: list[Decompressor]) -> None:
        super().__init__(None)
        self._first, *self._rest = stages

    def _plain(self, data: bytes) -> Iterator[bytes]:
        pieces = self._first.pieces(data)
        for stage in self._rest:
            pieces = _through(stage, pieces)
        return pieces

    def finish(self) -> None:
        """The end of the body."""
        for stage in (self._first, *self._rest):
            stage.finish()


def _through(stage: Decompressor, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield from stage.pieces(piece)


def decompressor(encoding: str, limit: int | None, *, trailing: bool = False) -> Decompressor:
    """What undoes a ``Content-Encoding``: any of gzip, deflate, br, zstd, or several, separated by commas.

    ``limit``: the maximum number of decompressed bytes, None for no limit. ``trailing``: as for ``Gunzip``. Names that
    are no encoding, such as ``utf-8``, are ignored. Raises ``UnknownEncoding``.
    """
    stages: list[Decompressor] = []
    for name in reversed(encoding.lower().split(",")):
        match name.strip():
            case "gzip" | "x-gzip":
                stages.append(Gunzip(limit, trailing=trailing))
            case "deflate" | "x-deflate":
                stages.append(Inflate(limit))
            case "br":
                stages.append(Brotli(limit))
            case "zstd":
                stages.append(Unzstd(limit))
            case other if other not in _IDENTITY:
                raise UnknownEncoding(f"content encoding {other[:40]!r} is not supported")
    if len(stages) > _MAX_ENCODINGS:
        raise UnknownEncoding(f"more than {_MAX_ENCODINGS} content encodings")
    return _Chain(stages) if len(stages) > 1 else (stages or [Identity(limit)])[0]


def unpack(data: bytes, encoding: str, limit: int) -> bytes:
    """A whole body without its ``Content-Encoding``, as lenient as readers of the web are.

    A body that is not in the encoding that was announced but plain markup or JSON is taken as it is. A gzip file (by
    its first bytes) is unpacked too. Raises ``Oversized``, ``Corrupt`` or ``UnknownEncoding``.
    """
    if not (encoding.strip() and _looks_plain(data)):
        data = _whole(decompressor(encoding, limit, trailing=True), data)
    if data.startswith(_GZIP_MAGIC):
        data = _whole(Gunzip(limit, trailing=True), data)
    elif len(data) > limit:
        raise Oversized
    return data


def _whole(stage: Decompressor, data: bytes) -> bytes:
    plain = stage.feed(data)
    stage.finish()
    return plain


def _looks_plain(data: bytes) -> bool:
    """Whether this begins as XML, HTML or JSON does, with no bytes that text does not have."""
    head = data[:512].removeprefix(b"\xef\xbb\xbf").lstrip()
    return head[:1] in {b"<", b"{", b"["} and not _NOT_IN_TEXT.intersection(head)
