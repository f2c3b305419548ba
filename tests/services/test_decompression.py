"""Bounded decompression."""

import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services import zstd
from services.decompression import (
    PIECE,
    Corrupt,
    Decompressor,
    Gunzip,
    Identity,
    Oversized,
    UnknownEncoding,
    decompressor,
    unpack,
)


def raw_deflate(data: bytes) -> bytes:
    """``deflate`` without zlib's header."""
    packing = zlib.compressobj(wbits=-15)
    return packing.compress(data) + packing.flush()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "x-deflate": raw_deflate,
    "br": brotli.compress,
    "zstd": zstd.compress,
    "identity": bytes,
}
COMPRESSED = [name for name in PACKERS if name != "identity"]


def whole(stage: Decompressor, packed: bytes, step: int) -> bytes:
    """Decompress a body that arrives in chunks of this size."""
    plain = b"".join(stage.feed(packed[at : at + step]) for at in range(0, len(packed), step))
    stage.finish()
    return plain


@settings(deadline=None)
@given(parts=st.lists(st.binary(max_size=300), min_size=1, max_size=3), step=st.integers(1, 50))
def test_any_chunks_any_members(parts: list[bytes], step: int) -> None:
    """However a body is split into chunks and members, it is decompressed correctly."""
    for name in ("gzip", "zstd"):
        packed = b"".join(PACKERS[name](part) for part in parts)
        assert whole(decompressor(name, 1_000), packed, step) == b"".join(parts)


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("step", [1, 7, 1_000, 10**9])
def test_any_encoding(name: str, step: int) -> None:
    """A body in any encoding is decompressed, however it arrives; an empty one is empty."""
    data = b"".join(str(number * number).encode() for number in range(20_000 if step > 1 else 2_000))
    assert whole(decompressor(name.upper(), 10**7), PACKERS[name](data), step) == data
    assert whole(decompressor(name, 10), b"", 1) == b""
    assert whole(decompressor(name, 10), PACKERS[name](b""), step) == b""


@pytest.mark.parametrize("name", PACKERS)
def test_limit_is_exact(name: str) -> None:
    """Exactly as many bytes as the limit are allowed, one more is not."""
    assert decompressor(name, 100).feed(PACKERS[name](b"x" * 100)) == b"x" * 100
    with pytest.raises(Oversized):
        decompressor(name, 100).feed(PACKERS[name](b"x" * 101))


def test_limit_is_of_all_members() -> None:
    """The limit counts all members of a body together."""
    with pytest.raises(Oversized):
        Gunzip(100).feed(gzip.compress(b"x" * 60) * 2)


@pytest.mark.parametrize("name", COMPRESSED)
def test_memory_is_constant(name: str) -> None:
    """A body that expands a thousand times comes in small pieces, without a limit, too."""
    packed = PACKERS[name](b" " * 3_000_000)
    sizes = [len(piece) for piece in decompressor(name, None).pieces(packed)]
    assert sum(sizes) == 3_000_000
    assert max(sizes) <= 2 * PIECE


@pytest.mark.parametrize("name", COMPRESSED)
def test_damage(name: str) -> None:
    """Data that are in another format, damaged or truncated raise ``Corrupt``."""
    packed = PACKERS[name](b"news" * 50)
    for broken in (b"\xff\xfeplain text", packed[:-3], packed[: len(packed) // 2]):
        with pytest.raises(Corrupt):
            whole(decompressor(name, 1_000), broken, 5)


def test_a_large_window_is_refused() -> None:
    """A frame that would take more than 8 MB of memory is refused by name."""
    packed = zstd.compress(b"news" * 5_000_000, options={zstd.CompressionParameter.window_log: 26})
    with pytest.raises(Corrupt, match="window"):
        decompressor("zstd", None).feed(packed)


def test_what_follows_gzip() -> None:
    """Zero bytes may follow the last member; anything else only where that is allowed."""
    packed = gzip.compress(b"news")
    for step in (1, 10**6):
        assert whole(Gunzip(100), packed + b"\0" * 512, step) == b"news"
        for trailing in (b"trailing", b"\x1f", b"\0\0<!-- cached -->"):
            with pytest.raises(Corrupt):
                whole(Gunzip(100), packed + trailing, step)
            assert whole(Gunzip(100, trailing=True), packed + trailing, step) == b"news"


def test_several_encodings() -> None:
    """Encodings that were applied one after the other are undone; the limit holds for each."""
    data = b"news" * 1_000
    packed = brotli.compress(gzip.compress(data))
    assert whole(decompressor("gzip, br", 10_000), packed, 3) == data
    with pytest.raises(Oversized):
        decompressor("br, gzip", 10_000).feed(gzip.compress(brotli.compress(b" " * 20_000)))
    with pytest.raises(UnknownEncoding):
        decompressor("gzip, gzip, gzip, gzip", 10)


@pytest.mark.parametrize("name", ["", "identity", "none", "utf-8", "UTF8", "binary"])
def test_names_of_no_encoding(name: str) -> None:
    """What stands in the header by mistake and is no encoding changes nothing."""
    assert isinstance(decompressor(name, 10), Identity)
    with pytest.raises(UnknownEncoding, match="'compress'"):
        decompressor("compress", 10)


def test_unpack() -> None:
    """A whole body is unpacked although its header is wrong: plain markup under any encoding, gzip under none."""
    data = b"\xef\xbb\xbf<rss>" + b"x" * 500
    for name in ("gzip", "br", "zstd", "deflate", ""):
        assert unpack(data, name, 1_000) == data
    assert unpack(gzip.compress(data), "", 1_000) == data
    assert unpack(gzip.compress(gzip.compress(data)), "gzip", 1_000) == data
    for name, packed in {"": data, "gzip": gzip.compress(data), "br": data}.items():
        with pytest.raises(Oversized):
            unpack(packed, name, 100)
