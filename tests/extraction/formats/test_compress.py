"""compress: what ncompress packs comes out whole; the independent writer covers widths and table resets."""

from __future__ import annotations

import random
import shutil
import subprocess

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.compress import FORMATS
from fwcheck.extraction.source import Memory

COMPRESS = FORMATS[0]
TEXT = b"".join(b"line %d: %d of a file that packs well\n" % (i, i * i % 7919) for i in range(9000))
MIXED = random.Random(4).randbytes(30_000) + TEXT


def lzw(content: bytes, most: int = 12, block: bool = True) -> bytes:
    """An encoder after the description of compress(1); the table is cleared once, when 3,000 codes were written."""
    table = {bytes([byte]): byte for byte in range(256)}
    start = 257 if block else 256
    following, width, group, out, word, written, known = start, 9, [], bytearray(), b"", 0, dict(table)

    def flush() -> None:
        bits = sum(code << (index * width) for index, code in enumerate(group))
        length = width if len(group) == 8 or not last else -(-len(group) * width // 8)
        out.extend(bits.to_bytes(length, "little"))
        group.clear()

    last = False

    def put(code: int) -> None:
        group.append(code)
        if len(group) == 8:
            flush()

    for byte in content:
        longer = word + bytes([byte])
        if longer in known:
            word = longer
            continue
        put(known[word])
        written += 1
        if following < 1 << most:
            known[longer] = following
            following += 1
        if following > 1 << width and width < most:
            if group:
                flush()
            width += 1
        word = bytes([byte])
        if block and written == 3000:
            put(256)
            if group:
                flush()
            known, following, width = dict(table), start, 9
    put(known[word])
    last = True
    if group:
        flush()
    return bytes([0x1F, 0x9D, most | (0x80 if block else 0)]) + bytes(out)


def seeds() -> list[bytes]:
    return [lzw(TEXT[:9000]), lzw(TEXT[:9000], 10, block=False), lzw(MIXED[29_000:33_000], 16)]


def unpacked(container) -> bytes:
    (entry,) = container.entries
    source = entry.open()
    return source.read(0, source.size)


@pytest.mark.parametrize("most", [10, 11, 13, 16])
@pytest.mark.parametrize("content", [TEXT, MIXED, b"a" * 100_000], ids=["text", "mixed", "run"])
def test_what_ncompress_packs_comes_out_whole(most, content):
    if shutil.which("compress") is None:
        pytest.skip("ncompress is not installed")
    stream = subprocess.run(["compress", "-c", "-b", str(most)], input=content, capture_output=True, check=False).stdout
    container = COMPRESS.open(Memory(stream), 0)
    assert unpacked(container) == content
    assert (container.size, container.problems) == (len(stream), [])
    assert container.detail["bits"] == most


@pytest.mark.parametrize("block", [True, False])
@pytest.mark.parametrize("most", [10, 12, 16])
def test_widths_and_resets_are_followed(most, block):
    stream = lzw(MIXED, most, block)
    assert unpacked(COMPRESS.open(Memory(stream), 0)) == MIXED


def test_impossible_codes_end_the_stream():
    stream = lzw(TEXT)
    container = COMPRESS.open(Memory(stream[:9000] + b"\xff" * 500), 0)
    assert TEXT.startswith(unpacked(container)[:9000])
    assert container.problems


@pytest.mark.parametrize(
    "data", [b"\x1f\x9d\x90", b"\x1f\x9d\x90ab", b"\x1f\x9d\xf0" + bytes(99), b"\x1f\x9d\x90" + b"\xff" * 99]
)
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        COMPRESS.open(Memory(data), 0)
