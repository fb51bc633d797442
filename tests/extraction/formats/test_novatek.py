"""Novatek updates: partitions and packed data come out whole, the 16-bit sums are recomputed."""

from __future__ import annotations

import lzma
import random
import struct
import zlib

import pytest

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.formats.novatek import FORMATS
from fwcheck.extraction.source import Memory

PACK, CKSM, BCL = FORMATS
GUID = bytes.fromhex("072e01d6bc10914fb28a352f82261a50")
PARTS = [(1, b"\xd0\x0d\xfe\xed" + b"t" * 101), (4, b"loader" * 50), (7, b"hsqs" * 300)]
TEXT = b"uITRON camera task %d started\n" * 90 + random.Random(2).randbytes(900) + bytes(3000)


def corrected(data: bytearray, slot: int) -> bytes:
    """Puts the word into ``slot`` that makes all words with their indices add up to zero."""
    struct.pack_into("<H", data, slot, 0)
    total = sum(word + index for index, (word,) in enumerate(struct.iter_unpack("<H", data[: len(data) & ~1])))
    struct.pack_into("<H", data, slot, -total & 0xFFFF)
    return bytes(data)


def pack() -> bytes:
    at, table, body = 128 + 12 * len(PARTS), b"", b""
    for number, content in PARTS:
        table += struct.pack("<III", at + len(body), len(content), number)
        body += content + bytes(-len(content) % 64)
    total = at + len(body)
    head = struct.pack("<16s6I", GUID, 0x16071515, 128, len(PARTS), total, 0, 0).ljust(128, b"\0")
    return corrected(bytearray(head + table + body), 0x24)


def cksm(content: bytes) -> bytes:
    filling = -len(content) % 4
    head = struct.pack("<4s7I", b"CKSM", 0x16040719, 0, 0, 64, len(content), filling, 9).ljust(64, b"\0")
    return corrected(bytearray(head + content + bytes(filling)), 12)


def lz(data: bytes) -> bytes:
    """A greedy LZ77 packer with marker 0xE7, in the layout of the Basic Compression Library."""

    def number(value: int) -> bytes:
        groups = [value & 0x7F]
        while value := value >> 7:
            groups.append(value & 0x7F | 0x80)
        return bytes(reversed(groups))

    out, at = bytearray(b"\xe7"), 0
    while at < len(data):
        run = 0
        while at and at + run < len(data) and data[at + run] == data[at + run - 1]:
            run += 1
        if run >= 8:
            out += b"\xe7" + number(run) + number(1)
            at += run
            continue
        far = data.rfind(data[at : at + 24], 0, at) if at + 24 <= len(data) else -1
        if far >= 0:
            out += b"\xe7" + number(24) + number(at - far)
            at += 24
            continue
        out += b"\xe7\0" if data[at] == 0xE7 else data[at : at + 1]
        at += 1
    return bytes(out)


PACKERS = {9: lz, 11: lambda data: lzma.compress(data, lzma.FORMAT_ALONE), 12: zlib.compress}


def bcl(method: int) -> bytes:
    packed = PACKERS[method](TEXT)
    return struct.pack(">4sHHII", b"BCL1", 0x1234, method, len(TEXT), len(packed)) + packed


def seeds() -> list[bytes]:
    return [pack(), cksm(b"UBI#" + b"u" * 501), bcl(9), bcl(11), bcl(12)]


def test_partitions_of_an_update_come_out():
    data = pack()
    container = PACK.open(Memory(b"\xff" * 10 + data + b"\xff" * 10), 10)
    entries = list(container.entries)
    assert [(entry.path, entry.open().read(0, entry.size)) for entry in entries] == [(f"partition-{n}", c) for n, c in PARTS]
    assert (container.size, container.detail["integrity_detail"]) == (len(data), "16-bit sum right")


@pytest.mark.parametrize(("format", "data"), [(PACK, pack()), (CKSM, cksm(b"x" * 999))])
def test_changes_and_cuts_are_told(format, data):
    broken = bytearray(data)
    broken[-9] ^= 8
    assert format.open(Memory(broken), 0).detail["integrity_detail"] == "16-bit sum wrong"
    assert format.open(Memory(data[:-20]), 0).detail["integrity_detail"] == "16-bit sum cannot be checked"


def test_the_data_of_a_checked_container_come_out():
    data = cksm(b"UBI#" + b"u" * 501)
    container = CKSM.open(Memory(data + b"more"), 0)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == b"UBI#" + b"u" * 501
    assert (container.size, container.detail["integrity_detail"]) == (len(data), "16-bit sum right")


@pytest.mark.parametrize("method", PACKERS)
def test_packed_partitions_are_unpacked(method):
    data = bcl(method)
    container = BCL.open(Memory(b"\0" * 8 + data + b"\xff" * 100), 8)
    (entry,) = container.entries
    content = entry.open()
    assert content.read(0, content.size) == TEXT
    assert container.size == len(data)


def test_matches_that_reach_before_the_beginning_end_the_stream():
    packed = b"\xe7abc\xe7\x05\x09" + b"d" * 40
    (entry,) = BCL.open(Memory(struct.pack(">4sHHII", b"BCL1", 0, 9, 100, len(packed)) + packed), 0).entries
    content = entry.open()
    assert content.read(0, content.size) == b"abc"


@pytest.mark.parametrize("data", [pack()[:60], b"BCL1\0\0\0\x0b" + struct.pack(">II", 900, 80) + b"\xff" * 90, cksm(b"x")[:40]])
def test_headers_alone_are_refused(data):
    for each in FORMATS:
        with pytest.raises((FormatError, ExtractionError)):
            each.open(Memory(data), 0)
