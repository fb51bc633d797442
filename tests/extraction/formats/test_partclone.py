"""partclone images: the file system comes out with its holes, checksums between the blocks are passed over."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zlib

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.partclone import FORMATS
from fwcheck.extraction.source import Memory

PARTCLONE = FORMATS[0]
USED = (0, 1, 2, 5, 9, 10, 11, 12, 18)
BLOCKS = 19


def crc(data: bytes) -> int:
    return zlib.crc32(data) ^ 0xFFFFFFFF


def block(number: int) -> bytes:
    return bytes([number + 1]) * 512


def filesystem() -> bytes:
    return b"".join(block(number) if number in USED else bytes(512) for number in range(BLOCKS))


def partclone(order: str = "<", mode: int = 0x20, group: int = 2) -> bytes:
    head = struct.pack(order + "16s14s4sH16s", b"partclone-image", b"0.3.23", b"0002", 0xC0DE, b"EXTFS")
    head += struct.pack(order + "QQQQII", BLOCKS * 512, BLOCKS, len(USED), len(USED), 512, 18)
    head += struct.pack(order + "HHHHIBB", 2, 64, mode, 4 if mode else 0, group, 1, 1)
    bitmap = bytes(sum(1 << bit for bit in range(8) if at * 8 + bit in USED) for at in range(3))
    out = head + struct.pack(order + "I", crc(head)) + bitmap + struct.pack(order + "I", crc(bitmap))
    for at in range(0, len(USED), group):
        data = b"".join(map(block, USED[at : at + group]))
        out += data + (struct.pack(order + "I", crc(data)) if mode else b"")
    return out


def seeds() -> list[bytes]:
    return [partclone(), partclone(">"), partclone(mode=0), partclone(group=64)]


@pytest.mark.parametrize("data", seeds())
def test_the_file_system_comes_out(data):
    container = PARTCLONE.open(Memory(b"??" + data + b"tail"), 2)
    (entry,) = container.entries
    content = entry.open()
    assert content.read(0, content.size) == filesystem()
    assert (container.size, container.problems, container.detail["filesystem"]) == (len(data), [], "EXTFS")


def test_an_image_of_the_real_program_is_the_file_system_it_was_made_from(tmp_path):
    if shutil.which("partclone.extfs") is None or shutil.which("mke2fs") is None:
        pytest.skip("partclone or e2fsprogs is not installed: the writer in this module covers the format")
    disk, image = tmp_path / "disk", tmp_path / "image"
    disk.write_bytes(bytes(4 << 20))
    subprocess.run(["mke2fs", "-q", "-F", disk], check=True)
    command = ["partclone.extfs", "-c", "-F", "-s", disk, "-o", image, "-L", tmp_path / "log"]
    subprocess.run(command, check=True, capture_output=True)
    container = PARTCLONE.open(Memory(image.read_bytes()), 0)
    (entry,) = container.entries
    content = entry.open()
    assert content.read(0, content.size) == disk.read_bytes()
    assert (container.size, container.problems) == (image.stat().st_size, [])


def test_a_wrong_bitmap_and_a_cut_image_are_told_and_a_wrong_header_refused():
    data = bytearray(partclone())
    data[112] ^= 0x10
    assert PARTCLONE.open(Memory(data), 0).problems == ["wrong CRC32 of the bitmap"]
    assert len(PARTCLONE.open(Memory(partclone()[:-1]), 0).problems) == 1
    data[60] ^= 1
    with pytest.raises(FormatError):
        PARTCLONE.open(Memory(data), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(partclone(), 60):
        exercise(PARTCLONE, data)
