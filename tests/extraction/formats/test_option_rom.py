"""PCI expansion ROMs: images one behind the other, the sum of bytes, the EFI program inside."""

from __future__ import annotations

import struct

import pytest
from support.kernel_images import pe

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.option_rom import FORMATS
from fwcheck.extraction.limits import DEFAULT
from fwcheck.extraction.source import Memory

ROM = FORMATS[0]
PROGRAM = pe([(b".text", b"\x48\x89\xe5\xc3" * 300)])


def structure(units: int, kind: int, last: bool) -> bytes:
    return struct.pack("<4sHHHHB3sHHBBHH", b"PCIR", 0x8086, 0x100E, 0, 28, 3, b"\0\0\2", units, 1, kind, last << 7, 0, 0) + bytes(
        2
    )


def for_pc(last: bool = True, units: int = 4) -> bytes:
    out = bytearray(units * 512)
    out[:4] = bytes([0x55, 0xAA, units, 0xE9])
    struct.pack_into("<H", out, 0x18, 0x1C)
    out[0x1C:0x38] = structure(units, 0, last)[:28]
    out[0x40:0x400] = b"code" * 240
    out[6] = -sum(out) & 0xFF
    return bytes(out)


def for_efi(last: bool = True, packed: int = 0) -> bytes:
    units = -(-(0x38 + len(PROGRAM)) // 512)
    head = struct.pack("<2sHIHHH8xHH2x", b"\x55\xaa", units, 0x0EF1, 11, 0x8664, packed, 0x38, 0x1C)
    return (head + structure(units, 3, last)[:28] + PROGRAM).ljust(units * 512, b"\0")


def seeds() -> list[bytes]:
    return [for_pc(), for_pc(last=False) + for_efi(), for_efi()]


def test_both_images_of_a_rom_are_given():
    image = for_pc(last=False) + for_efi()
    container = ROM.open(Memory(b"?" * 7 + image + b"after"), 7)
    found = {entry.path: entry.open().read(0, entry.size) for entry in container.entries}
    assert (container.size, container.problems) == (len(image), [])
    assert found["image-0-x86"] == for_pc(last=False)
    assert found["image-1-efi"].startswith(PROGRAM)
    assert b"".join(found.values()) == image
    detail = container.detail
    assert (detail["vendor"], detail["device"], detail["images"]) == ("0x8086", "0x100e", "x86, efi")
    assert detail["integrity_detail"] == "sum of bytes right"


def test_the_program_inside_is_opened():
    findings = Explorer(DEFAULT).explore(Memory(for_efi()), ("rom",), 0)
    assert "option-rom" in {item.node.format for item in findings.items}
    [entry] = [each for each in ROM.open(Memory(for_efi()), 0).entries if each.path == "image-0-efi"]
    assert entry.role == "part"


def test_a_packed_program_is_named_as_such():
    assert "image-0-efi-packed" in [each.path for each in ROM.open(Memory(for_efi(packed=1)), 0).entries]


def test_a_changed_byte_is_told():
    image = bytearray(for_pc())
    image[0x50] ^= 1
    container = ROM.open(Memory(image), 0)
    assert (container.problems, container.detail["integrity_detail"]) == (["wrong sum of bytes"], "sum of bytes wrong")


def test_a_missing_last_image_and_a_cut_one_are_told():
    assert ROM.open(Memory(for_pc(last=False)), 0).problems == ["no image is marked as the last one"]
    container = ROM.open(Memory(for_pc()[:1500]), 0)
    assert (container.size, container.problems[0]) == (1500, "2048 bytes announced, 1500 there")


@pytest.mark.parametrize("at", [0, 0x18, 0x1C, 0x26, 0x2C])
def test_other_bytes_are_refused(at):
    image = bytearray(for_pc())
    image[at : at + 2] = bytes(2)
    with pytest.raises(FormatError):
        ROM.open(Memory(image), 0)
