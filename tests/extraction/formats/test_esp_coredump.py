"""Core dumps of ESP-IDF: extent and checksum of every version, the ELF file inside."""

from __future__ import annotations

import hashlib
import random
import struct
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.esp_coredump import FORMATS
from fwcheck.extraction.source import Memory

DUMP = FORMATS[0]
ELF = b"\x7fELF\1\1\1" + random.Random(2).randbytes(900)
VERSIONS = [(0x100, 20), (0x101, 20), (0x102, 24), (0x103, 24), (0x104, 12)]


def dump(kind: int, header: int, body: bytes = ELF, chip: int = 9) -> bytes:
    check = 32 if kind in {0x101, 0x103, 0x104} else 4
    tasks = struct.pack("<2I", 3, 0x160) if header > 12 else b""
    out = struct.pack("<IHH", header + len(body) + check, kind, chip) + tasks
    out = out.ljust(header, b"\0") + body
    return out + (hashlib.sha256(out).digest() if check == 32 else struct.pack("<I", zlib.crc32(out)))


def seeds() -> list[bytes]:
    return [dump(0x104, 12), dump(0x101, 20), dump(0x102, 24), dump(2, 20, b"stack" * 90)]


@pytest.mark.parametrize(("kind", "header"), VERSIONS)
def test_the_elf_file_comes_out(kind, header):
    data = dump(kind, header)
    container = DUMP.open(Memory(b"front" + data + b"\xff" * 99), 5)
    [entry] = container.entries
    assert (entry.open().read(0, entry.size), container.size, container.problems) == (ELF, len(data), [])
    assert container.detail["integrity_detail"].endswith("right")
    assert (container.detail["chip"], container.detail["format_version"]) == ("ESP32-S3", f"1.{kind & 0xFF}")


def test_a_changed_or_cut_dump_is_told():
    data = bytearray(dump(0x104, 12))
    data[300] ^= 1
    assert DUMP.open(Memory(data), 0).problems == ["wrong SHA-256"]
    assert DUMP.open(Memory(data[:-40]), 0).problems == [f"{len(data)} bytes announced, {len(data) - 40} there"]


def test_a_dump_of_tasks_is_known_by_its_crc_alone():
    data = bytearray(dump(2, 20, b"stack" * 90))
    assert DUMP.open(Memory(data), 0).size == len(data)
    data[99] ^= 1
    with pytest.raises(FormatError):
        DUMP.open(Memory(data), 0)


@pytest.mark.parametrize("data", [dump(0x104, 12, b"no ELF"), dump(0x105, 12), dump(0x104, 12)[:7], bytes(200)])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        DUMP.open(Memory(data), 0)
