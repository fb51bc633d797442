"""ZyXEL: ROM objects of ZyNOS and RAS images of Linux devices, with their checksums."""

from __future__ import annotations

import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.zyxel import FORMATS
from fwcheck.extraction.source import Memory

OBJECT, RAS = FORMATS
CODE = b"\x5d\0\0\x80" + b"kernel" * 301
ROOTFS, KERNEL = b"hsqs" + b"rootfs" * 300, b"\x27\x05\x19\x56" + b"kernel" * 99


def internet(data: bytes) -> int:
    total = 0
    for at in range(0, len(data), 2):
        total += data[at] << 8 | (data[at + 1] if at + 1 < len(data) else 0)
        if total > 0xFFFF:
            total = (total + 1) & 0xFFFF
    return total


def sysv(data: bytes) -> int:
    total = sum(data)
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


def zynos(data: bytes = CODE, flags: int = 0x40, kind: int = 4) -> bytes:
    packed = bool(flags & 0x80)
    sizes = (5 * len(data), len(data)) if packed else (len(data), 0)
    sums = (0, internet(data)) if packed else (internet(data), 0)
    return (
        struct.pack(">IH3sBIIBBHH15sIIB", 0x80014000, 0, b"SIG", kind, *sizes, flags, 0, *sums, b"V4.50", 0xBFC40000, 0, 0) + data
    )


def ras(kernel: bytes = KERNEL, block: int = 0x1000) -> bytes:
    head = struct.pack(">II", sysv(ROOTFS), len(ROOTFS)) + b"V1.00(ABC.0)\0".ljust(32, b"\xff")
    rest = b"NBG6617\0".ljust(64, b"\xff") + (struct.pack(">II", sysv(kernel), len(kernel)) if kernel else b"\xff" * 8)
    own = sysv((head + head[:4] + rest).ljust(2048, b"\xff"))
    return (head + struct.pack(">I", own) + rest).ljust(block, b"\xff") + ROOTFS + kernel


def seeds() -> list[bytes]:
    return [zynos(), zynos(flags=0xA0), zynos(zynos() + zynos(flags=0xA0), kind=3), ras(), ras(kernel=b"")]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


@pytest.mark.parametrize("flags", [0x40, 0xA0, 0x80, 0])
def test_the_content_of_an_object_is_given(flags):
    image = zynos(flags=flags)
    container = OBJECT.open(Memory(b"?" * 4 + image + b"tail"), 4)
    assert contents(container) == {"content": CODE}
    assert (container.size, container.problems, container.detail["version"]) == (len(image), [], "V4.50")
    assert container.detail["integrity_detail"] == ("checksum right" if flags & 0x60 else "no checksum")


def test_a_wrong_checksum_and_a_cut_object_are_told():
    image = bytearray(zynos())
    image[-1] ^= 1
    assert OBJECT.open(Memory(image), 0).problems == ["wrong checksum"]
    assert len(OBJECT.open(Memory(image[:-5]), 0).problems) == 1
    with pytest.raises(FormatError):
        OBJECT.open(Memory(zynos(flags=0)[:-5]), 0)


@pytest.mark.parametrize("block", [0x1000, 0x10000])
@pytest.mark.parametrize("kernel", [KERNEL, b""])
def test_a_ras_image_gives_root_file_system_and_kernel(kernel, block):
    image = ras(kernel, block)
    container = RAS.open(Memory(b"?" * 4 + image + b"tail"), 4)
    assert contents(container) == {"rootfs": ROOTFS} | ({"kernel": kernel} if kernel else {})
    assert (container.size, container.problems) == (len(image), [])
    assert (container.detail["version"], container.detail["model"]) == ("V1.00(ABC.0)", "NBG6617")


def test_a_wrong_kernel_is_told_and_a_wrong_header_refused():
    image = bytearray(ras())
    image[-1] ^= 1
    assert RAS.open(Memory(image), 0).problems == ["wrong kernel checksum"]
    image[9] ^= 1
    with pytest.raises(FormatError):
        RAS.open(Memory(image), 0)


def test_truncation_anywhere_raises_nothing_else():
    for format, image in ((OBJECT, zynos()), (RAS, ras())):
        for data in truncations(image, 60):
            exercise(format, data)
