"""T&W images: kernel and root file system with both CRCs right, in flash and in an update file, and in three real images."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.tw_gpon import FORMATS
from fwcheck.extraction.source import Mapped, Memory

IMAGE, UPDATE = FORMATS
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"
KERNEL, ROOTFS = b"\x27\x05\x19\x56" + b"kernel" * 200, b"hsqs" + b"rootfs" * 300


def image() -> bytes:
    body = KERNEL.ljust(0x800 - 512, b"\0") + ROOTFS
    total = 512 + len(body)
    head = struct.pack(
        "<10I16s", total, 1, 0x577E1F76, total, len(KERNEL), len(ROOTFS), 0x800, zlib.crc32(body), 0, 7, b"squashfs"
    )
    head += (
        b"GTO100I_SFP V1.0".ljust(32, b"\0")
        + b"GTO100I_SFP".ljust(32, b"\0")
        + b"V5.0".ljust(32, b"\0")
        + b"T&W".ljust(32, b"\0")
    )
    head = head.ljust(512, b"\xff")
    return head[:32] + struct.pack("<I", zlib.crc32(head)) + head[36:] + body


def update() -> bytes:
    head = b"Copyright 2000-2010 T&W. All rights reserved.".ljust(0x40, b"\0") + b"Thu Jul  7 09:23:03 2016".ljust(0x3C, b"\0")
    return (head + b"V5.0").ljust(512, b"\0") + image()


def seeds() -> list[bytes]:
    return [image(), update()]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


def test_kernel_and_root_file_system_are_given():
    container = IMAGE.open(Memory(b"?" * 16 + image() + b"tail"), 16)
    assert contents(container) == {"kernel": KERNEL.ljust(0x800 - 512, b"\0"), "rootfs": ROOTFS}
    assert (container.size, container.problems) == (len(image()), [])
    assert (container.detail["product"], container.detail["version"], container.detail["vendor"]) == (
        "GTO100I_SFP",
        "V5.0",
        "T&W",
    )
    assert container.detail["integrity_detail"] == "header CRC32 right, image CRC32 right"


def test_an_update_file_gives_its_image():
    container = UPDATE.open(Memory(update()), 0)
    assert contents(container) == {"image": image()}
    assert container.detail["version"] == "V5.0"


def test_wrong_checksums_are_told_and_nonsense_is_refused():
    broken = bytearray(image())
    broken[-1] ^= 1
    assert IMAGE.open(Memory(broken), 0).problems == ["wrong image CRC32"]
    broken[0x60] ^= 1
    assert IMAGE.open(Memory(broken), 0).problems == ["wrong header CRC32", "wrong image CRC32"]
    broken[12] ^= 1
    with pytest.raises(FormatError):
        IMAGE.open(Memory(broken), 0)


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "offset"),
    [
        ("zisa-op151s_TW2362H-CDEL-TW-R01B010D35befddf-CN.squashfs.upf", 512),
        ("zyxel-pmg3000-v100_zyxel-pmg3000-v100-flash8m.bin", 458752),
        ("zyxel-pmg3000-v100_zyxel-pmg3000-v100-flash8m.bin", 4194304),
    ],
)
def test_real_images_are_right_to_the_crc(name, offset):
    if not (CORPUS / name).exists():
        pytest.skip("the shared corpus is not here")
    container = IMAGE.open(Mapped.open(CORPUS / name), offset)
    assert container.detail["integrity_detail"] == "header CRC32 right, image CRC32 right"


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(image(), 60):
        exercise(IMAGE, data)
