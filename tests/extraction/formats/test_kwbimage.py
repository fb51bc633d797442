"""Marvell kwbimage: both versions, binary headers, checksums of header and payload."""

from __future__ import annotations

import shutil
import struct
import subprocess

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.kwbimage import FORMATS
from fwcheck.extraction.source import Memory

KWB = FORMATS[0]
CODE = b"\x1f\x20\x03\xd5" * 300
SPL = b"\xfe\xff\xff\xea" * 50
CONFIGURATIONS = {
    0: "BOOT_FROM nand\nNAND_ECC_MODE default\nNAND_PAGE_SIZE 0x0800\nDATA 0xFFD100e0 0x1B1B1B9B\nDATA 0x0 0x0\n",
    1: "VERSION 1\nBOOT_FROM spi\nBINARY spl 0000005b 00000068\n",
}


def kwb(version: int = 1, device: int = 0x5A, secure: bool = False, sector: bool = False) -> bytes:
    payload = CODE + struct.pack("<I", sum(struct.unpack(f"<{len(CODE) // 4}I", CODE)) & 0xFFFFFFFF)
    extensions = b""
    if version:
        if secure:
            extensions += struct.pack("<BBH", 1, 0, 0x100) + bytes(0xF8) + b"\1\0\0\0"
        extensions += struct.pack("<BBHB3xII", 2, 0, 8 + 8 + len(SPL) + 4, 2, 0x5B, 0x68) + SPL + bytes(4)
    headers = 32 + len(extensions)
    start = -(-headers // 512) * 512
    head = struct.pack("<BBHIB", device, 0, 0x800, len(payload), version)
    head += struct.pack("<BH", headers >> 16, headers & 0xFFFF) if version else bytes(3)
    head += struct.pack("<3I6xB", start // 512 if sector else start, 0x800000, 0x800000, 1 if version else 0)
    head += bytes([sum(head + extensions) & 0xFF])
    return (head + extensions).ljust(start, b"\0") + payload


def seeds() -> list[bytes]:
    return [kwb(0, 0x8B), kwb(), kwb(secure=True), kwb(device=0x78, sector=True)]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


def test_version_1_gives_its_binary_header_and_payload():
    container = KWB.open(Memory(b"?" * 4 + kwb() + b"tail"), 4)
    assert contents(container) == {"header-0": SPL, "payload": CODE}
    assert (container.size, container.problems, container.detail["boot_device"]) == (len(kwb()), [], "SPI")
    assert container.detail["integrity_detail"] == "header checksum right, payload checksum right"


def test_version_0_gives_its_payload():
    container = KWB.open(Memory(kwb(0, 0x8B)), 0)
    assert contents(container) == {"payload": CODE}
    assert (container.detail["version"], container.detail["integrity"]) == (0, "checksum")


def test_offsets_in_sectors_are_understood():
    assert contents(KWB.open(Memory(kwb(device=0x78, sector=True)), 0))["payload"] == CODE
    assert contents(KWB.open(Memory(kwb(device=0xAE)), 0))["payload"] == CODE


def test_a_secure_header_is_a_signature():
    container = KWB.open(Memory(kwb(secure=True)), 0)
    assert (container.detail["integrity"], contents(container)["header-0"]) == ("signature", SPL)


def test_a_wrong_payload_checksum_is_told_and_a_wrong_header_refused():
    image = bytearray(kwb())
    image[-5] ^= 1
    assert KWB.open(Memory(image), 0).problems == ["wrong payload checksum"]
    image[40] ^= 1
    with pytest.raises(FormatError):
        KWB.open(Memory(image), 0)


@pytest.mark.skipif(shutil.which("mkimage") is None, reason="mkimage is not installed")
@pytest.mark.parametrize("version", [0, 1])
def test_images_of_the_real_tool_are_read(tmp_path, version):
    (tmp_path / "code").write_bytes(CODE)
    (tmp_path / "spl").write_bytes(SPL)
    (tmp_path / "cfg").write_text(CONFIGURATIONS[version])
    command = ["mkimage", "-n", "cfg", "-T", "kwbimage", "-a", "0x800000", "-e", "0x800000", "-d", "code", "out"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    container = KWB.open(Memory((tmp_path / "out").read_bytes()), 0)
    assert contents(container) == ({"header-0": SPL} if version else {}) | {"payload": CODE}
    assert not container.problems


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(kwb(), 60):
        exercise(KWB, data)
