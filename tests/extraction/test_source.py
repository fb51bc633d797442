"""Sources give exactly the bytes asked for, or FormatError."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.limits import Limits, bounded
from fwcheck.extraction.source import ByteSource, Joined, Mapped, Memory
from fwcheck.extraction.spool import spool


@given(st.binary(max_size=64), st.integers(-5, 80), st.integers(-5, 80))
def test_view_equals_the_slice_or_raises(data: bytes, offset: int, length: int) -> None:
    source = Memory(data)
    if offset < 0 or length < 0 or offset + length > len(data):
        with pytest.raises(FormatError):
            source.view(offset, length)
    else:
        assert source.read(offset, length) == data[offset : offset + length]
    assert source.peek(offset, max(length, 0)) == (data[offset : offset + max(length, 0)] if offset >= 0 else b"")


@given(st.lists(st.one_of(st.binary(max_size=12), st.integers(0, 12)), max_size=8), st.data())
def test_joined_pieces_read_like_one_string(pieces: list[bytes | int], data: st.DataObject) -> None:
    whole = b"".join(bytes(piece) if isinstance(piece, int) else piece for piece in pieces)
    source = Joined([piece if isinstance(piece, int) else Memory(piece) for piece in pieces])
    assert source.size == len(whole)
    offset = data.draw(st.integers(0, len(whole)))
    length = data.draw(st.integers(0, len(whole) - offset))
    assert source.read(offset, length) == whole[offset : offset + length]
    assert b"".join(bytes(chunk) for chunk in source.chunks(5)) == whole


def test_windows_of_the_image_know_their_origin(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(bytes(range(256)) * 40)
    image = Mapped.open(path)
    inner: ByteSource = image.window(100, 1000).window(28, 100)
    assert inner.origin == 128
    assert inner.read(0, 4) == bytes([128, 129, 130, 131])
    assert Joined([inner]).origin == 128
    assert Joined([inner, 4]).origin is None
    assert sum(len(chunk) for chunk in image.chunks(4096)) == image.size


def test_large_streams_are_spooled_and_stay_readable() -> None:
    source = spool((bytes([number]) * 1000 for number in range(100)), memory_limit=4096)
    assert source.size == 100_000
    assert source.read(50_500, 2) == b"\x32\x32"
    assert source.origin is None


def test_streams_beyond_their_quota_stop() -> None:
    limits = Limits(bytes_stream=10_000, ratio_floor=5_000, ratio=10)
    assert len(b"".join(bounded([b"x" * 5000], 1, limits))) == 5000
    with pytest.raises(QuotaExceeded, match="unpacks to more than 5000 bytes"):
        list(bounded([b"x" * 3000, b"x" * 3000], 100, limits))
    with pytest.raises(QuotaExceeded, match="more than 10000 bytes"):
        list(bounded([b"x" * 6000] * 2, 9000, limits))
