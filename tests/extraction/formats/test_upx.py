"""UPX: blocks of every method come out; the NRV encoders here follow the description of the bit streams."""

from __future__ import annotations

import lzma
import random
import struct
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats import _nrv
from fwcheck.extraction.formats import upx as module
from fwcheck.extraction.formats.upx import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

UPX = FORMATS[0]
TEXT = (
    b"".join(b"line %d of a program %d\n" % (i, i * i % 7919) for i in range(150)) + random.Random(2).randbytes(300) + b"A" * 3000
)


class _Bits:
    """Bits in words of some bytes; a word is laid down where its first bit is written, bytes follow as they come."""

    def __init__(self, width: int) -> None:
        self.width, self.out, self.word, self.left, self.value = width, bytearray(), -1, 0, 0

    def bit(self, bit: int) -> None:
        if not self.left:
            self.word, self.left, self.value = len(self.out), 8 * self.width, 0
            self.out += bytes(self.width)
        self.left -= 1
        self.value |= bit << self.left
        self.out[self.word : self.word + self.width] = self.value.to_bytes(self.width, "little")

    def byte(self, value: int) -> None:
        self.out.append(value)

    def upper(self, value: int, variant: str) -> None:
        """The prefix code of a distance: found by following the decoder's arithmetic backwards."""
        steps: list[tuple[int, int]] = []  # bit, and whether the middle rule gave it
        if variant == "b":
            digits = bin(value)[3:]
            for number, digit in enumerate(digits):
                self.bit(int(digit))
                self.bit(1 if number == len(digits) - 1 else 0)
            return
        while True:
            steps.append((value & 1, 0))
            value >>= 1
            if value == 1:
                break
            steps.append((value & 1, 1))
            value = (value >> 1) + 1
        for number, (digit, middle) in enumerate(reversed(steps)):
            self.bit(digit)
            if not middle:
                self.bit(1 if number == len(steps) - 1 else 0)

    def long(self, value: int) -> None:
        digits = bin(value)[3:]
        for number, digit in enumerate(digits):
            self.bit(int(digit))
            self.bit(1 if number == len(digits) - 1 else 0)


def nrv(content: bytes, variant: str, width: int) -> bytes:
    """Greedy matches of at least 7 bytes within 4,000 bytes, found by a table of what was seen."""
    bits, at, last, seen = _Bits(width), 0, 1, {}
    far = 0xD00 if variant == "b" else 0x500
    while at < len(content):
        start = seen.get(content[at : at + 6])
        seen[content[at : at + 6]] = at
        length = 0
        if start is not None and at - start <= 4000:
            while at + length < len(content) and content[start + length] == content[at + length] and length < 2000:
                length += 1
        if length < 7:
            bits.bit(1)
            bits.byte(content[at])
            at += 1
            continue
        distance = at - start
        at += length
        value = length - 1 - (distance > far)  # what the decoder has before it adds
        bits.bit(0)
        short = 0  # long enough for the last form of all variants
        if distance == last:
            bits.upper(2, variant)
            if variant != "b":
                bits.bit(short)
        else:
            last = distance
            coded = distance - 1 if variant == "b" else (distance - 1) * 2 + 1 - short
            bits.upper(coded // 256 + 3, variant)
            bits.byte(coded % 256)
        if variant == "e":
            bits.bit(0)
            bits.long(value - 3)
        else:
            if variant == "b":
                bits.bit(0)
            bits.bit(0)
            bits.long(value - 2)
    bits.bit(0)
    bits.upper(0x1000002, variant)  # the end: a distance of all ones
    bits.byte(0xFF)
    return bytes(bits.out)


def lzma_block(content: bytes) -> bytes:
    raw = lzma.compress(
        content, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA1, "lc": 3, "lp": 0, "pb": 2, "dict_size": 1 << 20}]
    )
    return bytes([3 << 3 | 2, 0 << 4 | 3]) + raw


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=-15)
    return packer.compress(content) + packer.flush()


METHODS = {
    14: lzma_block,
    15: deflated,
    **{2 + 3 * number + word: (variant, width) for number, variant in enumerate("bde") for word, width in enumerate((4, 1, 2))},
}


def squeeze(method: int, content: bytes) -> bytes:
    packer = METHODS[method]
    return nrv(content, *packer) if isinstance(packer, tuple) else packer(content)


def upx(method: int, order: str = "<", bits: int = 32, content: bytes = TEXT) -> bytes:
    start, entry = (52, 32) if bits == 32 else (64, 56)
    parts = [content[:116], content[116:]]
    body = b""
    for part in parts:
        packed = squeeze(method, part)
        stored = packed if len(packed) < len(part) else part
        body += struct.pack(order + "IIBBBB", len(part), len(stored), method, 0, 0, 0) + stored
    body += struct.pack(order + "I4sI", 0, b"UPX!", 0) + b"loader" * 50
    head = struct.pack(order + "I4sHBB", 1, b"UPX!", 300, 13, 12) + struct.pack(order + "III", 0, len(content), 1 << 20)
    whole = start + 2 * entry + len(head) + len(body)
    ident = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    shape = "HHIIIIIHHHHHH" if bits == 32 else "HHIQQQIHHHHHH"
    header = ident + struct.pack(order + shape, 2, 8, 1, 0x1000, start, 0, 0, start, entry, 2, 0, 0, 0)
    segment = (
        struct.pack(order + "8I", 1, 0, 0, 0, whole, whole, 5, 4096)
        if bits == 32
        else struct.pack(order + "IIQQQQQQ", 1, 5, 0, 0, 0, whole, whole, 4096)
    )
    trailer = b"UPX!" + bytes([13, 12, method, 9]) + bytes(24) + struct.pack(order + "I", 0x80)
    return header + segment * 2 + head + body + trailer


def seeds() -> list[bytes]:
    return [upx(14), upx(8), upx(2, ">"), upx(5, bits=64), upx(15)]


def unpacked(container) -> bytes:
    (entry,) = container.entries
    source = entry.open()
    return source.read(0, source.size)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_comes_out(method):
    image = upx(method)
    container = UPX.open(Memory(b"\0" * 32 + image + b"after"), 32)
    assert unpacked(container) == TEXT
    assert container.size == len(image)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [32, 64])
def test_both_classes_and_byte_orders_are_read(order, bits):
    container = UPX.open(Memory(upx(14, order, bits)), 0)
    assert unpacked(container) == TEXT
    assert (container.detail["method"], container.detail["original_size"]) == ("LZMA", len(TEXT))


def test_the_search_prefers_it_to_the_elf_file():
    found = Explorer(Limits()).explore(Memory(upx(8)), ("image",), 0)
    assert [item.node.format for item in found.items if item.node.format] == ["upx"]


def test_a_broken_block_is_refused_when_it_is_read():
    image = bytearray(upx(14))
    image[400:420] = b"\xff" * 20
    with pytest.raises(FormatError):
        unpacked(UPX.open(Memory(image), 0))


def test_other_programs_are_refused():
    image = bytearray(upx(14))
    image[0:4] = b"\x7fELG"
    with pytest.raises(FormatError):
        UPX.open(Memory(image), 0)


@pytest.mark.parametrize("data", [b"", b"\0" * 40, b"\xff" * 9, b"\0\0\0\x55" * 30])
@pytest.mark.parametrize("variant", ["b", "d", "e"])
def test_nrv_data_that_cannot_be_are_refused(variant, data):
    with pytest.raises(FormatError):
        _nrv.unpack(data, 5000, variant, 4)


@pytest.mark.parametrize("data", [b"", b"\x1a", b"\x1a\x03"])
def test_a_block_without_its_lzma_properties_is_refused(data):
    block = module._Block(at=0, packed=len(data), unpacked=100, method=14, filter=0)
    with pytest.raises(FormatError):
        module._content(Memory(data), block)
