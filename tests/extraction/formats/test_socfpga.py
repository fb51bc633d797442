"""SoCFPGA preloaders: both header versions, header checksum and CRC."""

from __future__ import annotations

import shutil
import struct
import subprocess

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.socfpga import FORMATS
from fwcheck.extraction.source import Memory

SOCFPGA = FORMATS[0]
CODE = b"\x1f\x20\x03\xd5" * 300


def crc(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return value ^ 0xFFFFFFFF


def socfpga(version: int = 0) -> bytes:
    length = 0x600
    if version:
        head = struct.pack("<4sBBHIIH", b"AS01", 1, 0, 0x14, length, 0x14, 0)
    else:
        head = struct.pack("<4sBBHH", b"AS01", 0, 0, length // 4, 0)
    head += struct.pack("<H", sum(head) & 0xFFFF)
    image = (CODE[:0x40] + head + CODE).ljust(length - 4, b"\0")[: length - 4]
    return image + struct.pack("<I", crc(image))


def seeds() -> list[bytes]:
    return [socfpga(0), socfpga(1)]


@pytest.mark.parametrize("version", [0, 1])
def test_a_preloader_is_read(version):
    image = socfpga(version)
    container = SOCFPGA.open(Memory(b"?" * 4 + image + b"tail"), 4)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == image
    assert (container.size, container.problems, container.detail["header_version"]) == (len(image), [], version)
    assert container.detail["integrity_detail"] == "header checksum right, CRC32 right"


def test_a_wrong_crc_is_told_and_a_wrong_header_refused():
    image = bytearray(socfpga())
    image[-1] ^= 1
    assert SOCFPGA.open(Memory(image), 0).problems == ["wrong CRC32"]
    assert len(SOCFPGA.open(Memory(image[:-9]), 0).problems) == 1
    image[0x45] ^= 1
    with pytest.raises(FormatError):
        SOCFPGA.open(Memory(image), 0)


@pytest.mark.skipif(shutil.which("mkimage") is None, reason="mkimage is not installed")
@pytest.mark.parametrize("kind", ["socfpgaimage", "socfpgaimage_v1"])
def test_images_of_the_real_tool_are_read(tmp_path, kind):
    (tmp_path / "code").write_bytes(CODE)
    subprocess.run(["mkimage", "-T", kind, "-d", "code", "out"], cwd=tmp_path, check=True, capture_output=True)
    container = SOCFPGA.open(Memory((tmp_path / "out").read_bytes()), 0)
    assert container.problems == []
    assert container.detail["integrity_detail"] == "header checksum right, CRC32 right"


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(socfpga(), 60):
        exercise(SOCFPGA, data)
