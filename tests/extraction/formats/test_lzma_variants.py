"""Changed LZMA headers: each variant is read with its exact extent, chance is refused."""

from __future__ import annotations

import lzma
import random
import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.lzma_variants import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

VARIANT = FORMATS[0]
CODE = random.Random(3).randbytes(300)
TEXT = b"".join(b"line %d of a kernel %d\n" % (i, i * i % 7919) + CODE[i % 250 : i % 250 + 9] for i in range(1500))
DICTIONARY = struct.pack("<I", 1 << 23)
FILTERS = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 23, "lc": 3, "lp": 0, "pb": 2}]


def body(content: bytes = TEXT) -> bytes:
    """LZMA data with an end marker."""
    return lzma.compress(content, lzma.FORMAT_RAW, filters=FILTERS)


def headed(size: bytes, content: bytes = TEXT) -> bytes:
    return b"\x5d" + DICTIONARY + size + body(content)


SIZES = {
    "no size": b"",
    "big-endian size": struct.pack(">Q", len(TEXT)),
    "size of 32 bits": struct.pack("<II", len(TEXT), 0xFFFFFFFF),
    "size of 0 for an unknown one": bytes(8),
}


def seeds() -> list[bytes]:
    return [headed(size) for size in SIZES.values()] + [lzma86(TEXT)]


def lzma86(content: bytes) -> bytes:
    return b"\1" + b"\x5d" + DICTIONARY + b"\xff" * 8 + body(content)


def unpacked(container) -> bytes:
    (entry,) = container.entries
    source = entry.open()
    return source.read(0, source.size)


@pytest.mark.parametrize("variant", SIZES)
def test_each_variant_is_read(variant):
    stream = headed(SIZES[variant])
    container = VARIANT.open(Memory(stream + b"\xff" * 3000), 0)
    assert container.detail["variant"] == variant
    assert unpacked(container) == TEXT
    assert len(stream) - 8 <= container.size <= len(stream)  # a size that is told ends the stream before its marker


def test_without_size_and_marker_the_source_ends_the_stream():
    stream = b"\x5d" + DICTIONARY + body()[:-6]
    out = unpacked(VARIANT.open(Memory(stream), 0))
    assert out.startswith(TEXT[:-300])


def test_the_filter_of_lzma86_is_undone():
    calls = b"".join(
        b"\xe8" + struct.pack("<i", i * 40) + b"\x90\x90\x55\x89\xe5" + TEXT[i * 9 : i * 9 + 30] for i in range(1500)
    )
    chain = [{"id": lzma.FILTER_X86}, *FILTERS]
    stream = b"\1\x5d" + DICTIONARY + b"\xff" * 8 + lzma.compress(calls, lzma.FORMAT_RAW, filters=chain)
    assert unpacked(VARIANT.open(Memory(stream), 0)) == calls


def test_the_search_finds_them_in_an_image():
    image = b"boot" * 64 + headed(SIZES["no size"]) + b"\xff" * 5000
    found = Explorer(Limits()).explore(Memory(image), ("image",), 0)
    assert any(item.node.chain[-1] == "lzma-variant@0x100" for item in found.items)


def test_chance_is_refused():
    chance = random.Random(9)
    for number in range(300):
        tail = chance.randbytes(9000) if number % 2 else bytes([0, 1]) * 4500
        for size in (b"\0\x01", *list(SIZES.values())[1:]):
            with pytest.raises(FormatError):
                VARIANT.open(Memory(b"\x5d" + DICTIONARY + size + b"\0" + tail), 0)
