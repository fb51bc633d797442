"""Intel flash: regions lie where the descriptor says, the host's rights are told; partitions of the engine come out."""

from __future__ import annotations

import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.intel_flash import FORMATS
from fwcheck.extraction.source import Memory

FLASH, ENGINE = FORMATS


def engine(rom_bypass: bool = True) -> bytes:
    rows = [(b"FTPR", 0x200, 0x300), (b"NFTP", 0x600, 0x100), (b"GONE", 0xFFFFFFFF, 0)]
    header = bytearray(struct.pack("<4sIBBBBHHII4H", b"$FPT", len(rows), 0x20, 0x10, 0x20, 0, 7, 31, 0, 0, 11, 8, 50, 3425))
    header[11] = -sum(header) & 0xFF
    table = bytes(header)
    table += b"".join(struct.pack("<4s4sIIIIII", name, b"\xff" * 4, at, size, 1, 1, 0, 0) for name, at, size in rows)
    image = bytearray(0x700)
    begin = 16 if rom_bypass else 0
    image[begin : begin + len(table)] = table
    image[0x200:0x500] = b"F" * 0x300
    image[0x600:0x700] = b"N" * 0x100
    return bytes(image)


def flash(master: int = 0xFFFFFF00, clock: int = 6) -> bytes:
    head = bytearray(b"\xff" * 4096)
    struct.pack_into("<IIII", head, 0x10, 0x0FF0A55A, 0x03040003, 0x06100208, 0x00310330)
    struct.pack_into("<I", head, 0x30, clock << 17)
    words = [0, (3 << 16) | 2, (1 << 16) | 1, 0x7FFF, 0x7FFF]
    struct.pack_into("<16I", head, 0x40, *words, *[0x7FFF] * 11)
    struct.pack_into("<I", head, 0x80, master)
    return bytes(head) + engine().ljust(4096, b"\xff") + b"B" * 8192


def seeds() -> list[bytes]:
    return [flash(), engine(), engine(rom_bypass=False)]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


def test_regions_are_parts():
    image = flash()
    container = FLASH.open(Memory(b"\0" * 4096 + image + b"after"), 4096)
    found = contents(container)
    assert container.size == len(image)
    assert found == {"me": image[4096:8192], "bios": b"B" * 8192}
    assert container.detail["regions"] == "descriptor, me, bios"
    assert not container.problems


@pytest.mark.parametrize(
    ("master", "clock", "writes", "locked"),
    [
        (0x00A00F00, 6, "bios, gbe", "yes"),
        (0xFFF00F00, 6, "descriptor", "no"),
        (0x0A0B0000, 0, "bios, gbe", "yes"),
        (0xFFFF0000, 0, "descriptor", "no"),
    ],
)
def test_what_the_host_may_write_is_told(master, clock, writes, locked):
    detail = FLASH.open(Memory(flash(master, clock)), 0).detail
    assert str(detail["host_may_write"]).startswith(writes)
    assert detail["descriptor_locked"] == locked


def test_a_cut_image_is_told():
    image = flash()[:-100]
    container = FLASH.open(Memory(image), 0)
    assert container.size == len(image)
    assert container.problems


@pytest.mark.parametrize("bypass", [True, False])
def test_partitions_of_the_engine_are_parts(bypass):
    image = engine(bypass)
    container = ENGINE.open(Memory(image + b"after"), 0)
    found = contents(container)
    assert (found["FTPR"], found["NFTP"], container.size) == (b"F" * 0x300, b"N" * 0x100, 0x700)
    assert container.detail["tool_version"] == "11.8.50.3425"
    assert container.detail["integrity_detail"] == "header checksum right"


def test_other_bytes_are_refused():
    for format, image in ((FLASH, bytes(0x10) + b"\x5a\xa5\xf0\x0f" + bytes(8000)), (ENGINE, b"$FPT" + bytes(400))):
        with pytest.raises(FormatError):
            format.open(Memory(image), 0)
