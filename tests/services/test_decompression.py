"""Bounded decompression."""

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.decompression import Corrupt, Gunzip, Oversized


@settings(deadline=None)
@given(parts=st.lists(st.binary(max_size=300), min_size=1, max_size=3), step=st.integers(1, 50))
def test_any_chunks_any_members(parts: list[bytes], step: int) -> None:
    """However a body is split into chunks and members, it is decompressed correctly."""
    packed = b"".join(gzip.compress(part) for part in parts)
    gunzip = Gunzip(1_000)
    plain = b"".join(gunzip.feed(packed[at : at + step]) for at in range(0, len(packed), step))
    gunzip.finish()
    assert plain == b"".join(parts)


def test_limit_is_exact() -> None:
    """Exactly as many bytes as the limit are allowed, one more is not, also over several members."""
    assert Gunzip(100).feed(gzip.compress(b"x" * 100)) == b"x" * 100
    with pytest.raises(Oversized):
        Gunzip(100).feed(gzip.compress(b"x" * 101))
    with pytest.raises(Oversized):
        Gunzip(100).feed(gzip.compress(b"x" * 60) * 2)


def test_damage() -> None:
    """Data that are not gzip, have a trailing part, or are truncated raise ``Corrupt``."""
    packed = gzip.compress(b"news" * 50)
    for broken in (b"plain", packed + b"trailing", packed[:20] + b"\xff\xff\xff\xff" + packed[24:]):
        gunzip = Gunzip(1_000)
        with pytest.raises(Corrupt):
            gunzip.feed(broken)
            gunzip.finish()
    gunzip = Gunzip(1_000)
    gunzip.feed(packed[:-3])
    with pytest.raises(Corrupt, match="early"):
        gunzip.finish()
