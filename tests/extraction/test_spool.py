"""Streams kept for random access: what went in comes out, zeros take no room, and no stream shines through another."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwcheck.extraction import spool as module
from fwcheck.extraction.spool import joined_ranges, spool

MIB = 1 << 20


def used() -> int:
    assert module._File._open is not None
    return os.fstat(module._File._open._file.fileno()).st_blocks * 512


def test_zeros_take_no_room() -> None:
    pieces = [b"begin" * 1000, *[bytes(MIB)] * 200, b"end"]
    content = spool(iter(pieces), memory_limit=1000)
    assert content.size == sum(map(len, pieces))
    assert used() < 4 * MIB
    assert content.read(content.size - 3, 3) == b"end"
    assert content.hole(6 * MIB, MIB)
    assert not content.hole(0, MIB)
    assert b"".join(bytes(chunk) for chunk in content.chunks(1 << 16)) == b"".join(pieces)


def test_a_stream_that_broke_leaves_nothing_behind() -> None:
    def broken():
        yield b"\xaa" * MIB
        yield b"\xbb" * MIB
        raise ValueError("broken")

    keep = spool(iter([b"k" * MIB]), memory_limit=1000)  # keeps the file in use
    with pytest.raises(ValueError, match="broken"):
        spool(broken(), memory_limit=1000)
    after = spool(iter([b"x" * 5000, bytes(3 * MIB), b"y"]), memory_limit=1000)
    assert after.read(0, after.size) == b"x" * 5000 + bytes(3 * MIB) + b"y"
    assert keep.read(0, 4) == b"kkkk"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["zero", "noise", "even"]), st.integers(1, 20_000)), min_size=1, max_size=12),
    st.integers(0, 1 << 16),
)
def test_what_went_in_comes_out(parts: list[tuple[str, int]], offset: int) -> None:
    make = {"zero": bytes, "noise": random.Random(1).randbytes, "even": lambda size: b"\xff" * size}
    pieces = [make[kind](size) for kind, size in parts]
    whole = b"".join(pieces)
    content = spool(iter(pieces), memory_limit=100)
    assert content.read(0, content.size) == whole
    at = offset % len(whole)
    assert content.peek(at, 5000) == whole[at : at + 5000]
    length = min(5000, len(whole) - at)
    assert not content.hole(at, length) or whole[at : at + length] == bytes(length)


def test_ranges_that_touch_become_one() -> None:
    assert joined_ranges([(0, 1), (1, 3), (5, 6), (6, 7)]) == [(0, 3), (5, 7)]
