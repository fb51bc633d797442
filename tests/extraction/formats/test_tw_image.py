"""T&W images: kernel and root file system come out, both CRC32 are recomputed, the update file holds the image."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.tw_image import FORMATS
from fwcheck.extraction.source import Mapped, Memory

IMAGE, UPDATE = FORMATS
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"


def image(kernel: bytes = b"kernel" * 300, rootfs: bytes = b"hsqs" * 512) -> bytes:
    start = 4096
    content = kernel.ljust(start - 512, b"\xff") + rootfs
    total = 512 + len(content)
    crc = zlib.crc32(content)

    def header(own: int) -> bytes:
        numbers = (total, 1, 1593737889, total, len(kernel), len(rootfs), start, crc, own, 0xDFFDBE35)
        texts = (b"squashfs", b"GTO100I V1", b"GTO100I", b"V1.00", b"ACME")
        return struct.pack("<10I16s32s32s32s32s", *numbers, *texts).ljust(512, b"\xff")

    return header(zlib.crc32(header(0))) + content


def update() -> bytes:
    line = b"Copyright 2000-2010 T&W. All rights reserved.".ljust(64, b"\0") + b"Thu Jul  7 09:23:03 2016".ljust(32, b"\0")
    head = (line + b"\2\1\0\0\x35\xbe\xfd\xdf" + bytes(4) + b"ABC".ljust(16, b"\0") + b"V5.0").ljust(512, b"\0")
    return head[:0x68] + struct.pack(">I", zlib.crc32(head + image())) + head[0x6C:] + image()


def seeds() -> list[bytes]:
    return [image(), update()]


def test_kernel_and_root_file_system_come_out():
    data = image()
    container = IMAGE.open(Memory(b"\xff" * 100 + data + b"\xff" * 100), 100)
    kernel, rootfs = container.entries
    assert kernel.open().read(0, 1800) == b"kernel" * 300
    assert rootfs.open().read(0, rootfs.size) == b"hsqs" * 512
    assert (container.size, container.detail["integrity_detail"]) == (len(data), "header CRC32 right, content CRC32 right")
    assert container.detail["model"] == "GTO100I"


def test_changes_are_told_and_a_broken_header_is_refused():
    data = bytearray(image())
    data[-1] ^= 1
    assert IMAGE.open(Memory(data), 0).problems
    assert IMAGE.open(Memory(data[:-50]), 0).detail["integrity_detail"].endswith("cannot be checked")
    data[0x60] ^= 1
    with pytest.raises(FormatError):
        IMAGE.open(Memory(data), 0)


def test_an_update_holds_the_image():
    data = update()
    container = UPDATE.open(Memory(data + b"\0" * 9), 0)
    (entry,) = container.entries
    assert (container.size, entry.open().read(0, entry.size)) == (len(data), image())
    assert (container.detail["build"], container.detail["date"]) == ("35befddf", "Thu Jul  7 09:23:03 2016")
    assert container.detail["integrity_detail"] == "CRC32 right"
    assert UPDATE.open(Memory(data.replace(b"kernel", b"Kernel", 1)), 0).problems == ["wrong CRC32"]


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "offset"),
    [
        ("zyxel-pmg3000-v100_zyxel-pmg3000-v100-flash8m.bin", 0x70000),
        ("zyxel-pmg3000-v100_zyxel-pmg3000-v100-flash8m.bin", 0x400000),
        ("zisa-op151s_TW2362H-CDEL-TW-R01B010D35befddf-CN.squashfs.upf", 0x200),
    ],
)
def test_real_ones_are_right_to_the_crc(name, offset):
    if not (CORPUS / name).exists():
        pytest.skip("the shared corpus is not here")
    container = IMAGE.open(Mapped.open(CORPUS / name), offset)
    assert (container.size, container.detail["integrity_detail"]) == (0x380000, "header CRC32 right, content CRC32 right")


@pytest.mark.corpus
def test_a_real_update_is_right_to_the_crc():
    path = CORPUS / "zisa-op151s_TW2362H-CDEL-TW-R01B010D35befddf-CN.squashfs.upf"
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    container = UPDATE.open(Mapped.open(path), 0)
    assert (container.size, container.detail["integrity_detail"]) == (path.stat().st_size, "CRC32 right")
