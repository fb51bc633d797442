"""Reolink PAK: sections come out whole with their partitions, the CRC32 is recomputed, lies stay inside."""

from __future__ import annotations

import struct
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.reolink_pak import FORMATS
from fwcheck.extraction.source import Memory

PAK, PAKS = FORMATS
SECTIONS = [(b"loader", b"\x11" * 700), (b"fdt", b""), (b"kernel", b"k" * 3000), (b"rootfs", b"hsqs" + b"r" * 2000)]


def pak(bits: int = 32, sections=SECTIONS) -> bytes:
    """Sum as pakler describes it: contents, the word 2, the table of sections."""
    word = "I" if bits == 32 else "Q"
    at = struct.calcsize(f"<3{word}") + len(sections) * (56 + 2 * struct.calcsize(word) + 76)
    table, partitions, contents = b"", b"", b""
    for number, (name, content) in enumerate(sections):
        table += struct.pack(f"<32s24s2{word}", name, b"v3.0", at + len(contents), len(content))
        partitions += struct.pack("<32sI32sII", name, 0, f"/dev/mtd{number}".encode(), 0x10000 * number, 0x20000)
        contents += content
    value = zlib.crc32(table, zlib.crc32(b"\2\0\0\0", zlib.crc32(contents, 0xFFFFFFFF))) ^ 0xFFFFFFFF
    return struct.pack(f"<3{word}", 0x32725913, value, 0x2302) + table + partitions + contents


def paks() -> bytes:
    body = b"".join(
        struct.pack("<II32s32sIIII", 1, 0x1234, name, b"v1", len(content), 0, 0, 0) + content for name, content in SECTIONS
    )
    fields = (0xABCD, 104 + len(body), 1, 0, 77, 0)
    return struct.pack("<4s6I32s32sIII", b"SKAP", *fields, b"IPC_1", b"v3.1.0", len(body), len(SECTIONS), 0) + body


def seeds() -> list[bytes]:
    return [pak(), pak(64), paks()]


@pytest.mark.parametrize("bits", [32, 64])
def test_sections_come_out(bits):
    data = pak(bits)
    container = PAK.open(Memory(b"\xff" * 64 + data + b"after" * 9), 64)
    entries = list(container.entries)
    assert [entry.path for entry in entries] == ["00_loader", "02_kernel", "03_rootfs"]
    assert [entry.open().read(0, entry.size) for entry in entries] == [content for _, content in SECTIONS if content]
    assert entries[1].detail == {"version": "v3.0", "mtd": "/dev/mtd2", "flash_address": "0x20000", "partition_size": 0x20000}
    assert (container.size, container.problems) == (len(data), [])
    assert (container.detail["bits"], container.detail["integrity_detail"]) == (bits, "CRC32 right")


def test_a_changed_byte_and_a_cut_are_told():
    data = bytearray(pak())
    data[-1] ^= 1
    assert PAK.open(Memory(data), 0).detail["integrity_detail"] == "CRC32 wrong"
    cut = PAK.open(Memory(pak()[:-500]), 0)
    assert cut.detail["integrity_detail"] == "CRC32 cannot be checked"
    assert sum(entry.size for entry in cut.entries) == 5704 - 500


def test_an_implausible_table_is_refused():
    data = bytearray(pak())
    struct.pack_into("<I", data, 12 + 56, 20)  # the first section inside the tables
    with pytest.raises(FormatError):
        PAK.open(Memory(data), 0)
    with pytest.raises(FormatError):
        PAK.open(Memory(pak()[:300]), 0)


def test_bytes_behind_the_last_section_belong_to_the_file_where_the_crc_says_so():
    tail = b"tail" * 9
    shorter = pak()
    assert PAK.open(Memory(shorter + tail), 0).size == len(shorter)
    contents = shorter[12 + 4 * (64 + 76) :] + tail
    value = zlib.crc32(shorter[12 : 12 + 256], zlib.crc32(b"\2\0\0\0", zlib.crc32(contents, 0xFFFFFFFF))) ^ 0xFFFFFFFF
    whole = shorter[:4] + struct.pack("<I", value) + shorter[8:] + tail
    assert PAK.open(Memory(whole), 0).size == len(whole)


def test_the_newer_layout_is_read():
    data = paks()
    container = PAKS.open(Memory(data + b"x"), 0)
    assert container.size == len(data)
    assert [entry.open().read(0, entry.size) for entry in container.entries] == [content for _, content in SECTIONS if content]
    assert container.detail["firmware_version"] == "v3.1.0"
    assert PAKS.open(Memory(data[:-900]), 0).problems
