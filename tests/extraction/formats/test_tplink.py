"""TP-Link headers: parts cover the image, the salted MD5 is recomputed, the boot loader's second header is found."""

from __future__ import annotations

import hashlib
import random
import struct
from pathlib import Path

import pytest

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.formats.tplink import FORMATS
from fwcheck.extraction.source import Mapped, Memory

TPLINK = FORMATS[0]
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"
OPENWRT = "openwrt-15.05.1-mr3020_openwrt-15.05.1-ar71xx-generic-tl-mr3020-v1-squashfs-factory.bin"
SALT = bytes.fromhex("dcd73aa5c39598fbddf9e7f40eae4738")
BOOT_SALT = bytes.fromhex("8cef335bd5c5cefaa79c28dab2e90f42")
BOOT_SALT_3 = bytes.fromhex("8cef335fd5c5cefaac9c28dab2e90f42")
KERNEL = b"K" * 3000 + bytes(96)
ROOTFS = b"hsqs" + b"R" * 5000


def header_1(length: int, kernel=(512, 3000), rootfs=(512 + 3096, 5004), boot=(0, 0)) -> bytearray:
    raw = bytearray(512)
    raw[:64] = b"\1\0\0\0" + b"TP-LINK Technologies".ljust(24, b"\0") + b"ver. 1.0".ljust(36, b"\0")
    struct.pack_into(">II", raw, 0x40, 0x08410011, 1)
    struct.pack_into(">9I", raw, 0x74, 0x80002000, 0x801CD810, length, *kernel, *rootfs, *boot)
    return raw


def header_3(length: int, kernel=(512, 3000), rootfs=(512 + 3096, 5004), boot=(0, 0), version=3) -> bytearray:
    raw = bytearray(512)
    raw[:52] = bytes([version, 0, 0, 0]) + b"ver. 2.0\0".ljust(48, b"\xff")
    struct.pack_into(">III", raw, 0x34, 0x08410014, 1, 0)
    struct.pack_into(">9I", raw, 0x68, 0x80, 0x50C10080, length, *kernel, *rootfs, *boot)
    return raw


def signed(image: bytes | bytearray, salt: bytes, at: int) -> bytes:
    image = bytearray(image)
    image[at : at + 16] = salt
    image[at : at + 16] = hashlib.md5(image).digest()
    return bytes(image)


def simple(version: int = 1) -> bytes:
    length = 512 + len(KERNEL) + len(ROOTFS)
    head = header_1(length) if version == 1 else header_3(length, version=version)
    return signed(head + KERNEL + ROOTFS, SALT, 0x4C if version == 1 else 0x40)


def seeds() -> list[bytes]:
    boot = b"U-Boot 1.1.4".ljust(0x1000, b"\xff")
    inner = bytes(header_1(512 + len(KERNEL) + len(ROOTFS))) + KERNEL + ROOTFS
    outer = header_1(512 + len(boot) + len(inner), boot=(0, 0x800)) + boot + inner
    return [simple(1), simple(2), simple(3), signed(outer, BOOT_SALT, 0x4C)]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


@pytest.mark.parametrize("version", [1, 2, 3])
def test_parts_and_md5_of_an_image_are_read(version):
    image = simple(version)
    container = TPLINK.open(Memory(b"?" * 28 + image + b"tail"), 28)
    assert contents(container) == {"kernel": KERNEL, "rootfs": ROOTFS}
    assert (container.size, container.problems, container.detail["integrity"]) == (len(image), [], "hash")
    assert "verified" in container.detail["integrity_detail"]
    assert container.detail["header_version"] == version


@pytest.mark.parametrize(("header", "salt", "at"), [(header_1, BOOT_SALT, 0x4C), (header_3, BOOT_SALT_3, 0x40)])
def test_an_image_with_boot_loader_gives_it_and_the_inner_image(header, salt, at):
    inner = bytes(header(512 + len(KERNEL) + len(ROOTFS))) + KERNEL + ROOTFS
    boot = b"U-Boot 1.1.4".ljust(0x20000, b"\xff")
    outer = header(512 + len(boot) + len(inner), boot=(0, 0xC454))
    container = TPLINK.open(Memory(signed(outer + boot + inner, salt, at)), 0)
    assert contents(container) == {"boot": boot, "firmware": inner}
    assert not container.problems
    assert "verified" in container.detail["integrity_detail"]
    assert contents(TPLINK.open(Memory(inner), 0)) == {"kernel": KERNEL, "rootfs": ROOTFS}


def test_a_root_file_system_right_behind_the_kernel_is_found_in_spite_of_its_stock_offset():
    head = header_1(512 + len(KERNEL) + len(ROOTFS), kernel=(512, len(KERNEL)), rootfs=(1024, 100))
    container = TPLINK.open(Memory(head + KERNEL + ROOTFS), 0)
    assert contents(container) == {"kernel": KERNEL, "rootfs": ROOTFS}


def test_a_changed_byte_breaks_the_md5_and_is_told():
    image = bytearray(simple())
    image[2000] ^= 1
    container = TPLINK.open(Memory(image), 0)
    assert any("MD5" in problem for problem in container.problems)
    assert "wrong" in container.detail["integrity_detail"]


def test_an_image_without_its_padding_is_right_when_the_md5_says_so():
    short = header_1(1 << 20) + KERNEL + ROOTFS
    container = TPLINK.open(Memory(signed(short, SALT, 0x4C)), 0)
    assert (container.size, container.problems) == (len(short), [])


def test_a_signature_in_a_version_3_header_is_told_and_zeros_are_none():
    image = bytearray(simple(3))
    assert TPLINK.open(Memory(image), 0).detail["integrity"] == "hash"
    image[0xD0:0x150] = random.Random(1).randbytes(128)
    container = TPLINK.open(Memory(signed(image, SALT, 0x40)), 0)
    assert container.detail["integrity"] == "signature"
    assert "RSA-1024" in container.detail["integrity_detail"]


def test_truncation_anywhere_raises_nothing_else():
    image = simple()
    for length in [*range(0, 520, 7), *range(520, len(image), 501)]:
        try:
            container = TPLINK.open(Memory(image[:length]), 0)
        except FormatError:
            assert length < 512
            continue
        assert sum(map(len, contents(container).values())) <= container.size <= length


@pytest.mark.fuzz
def test_mutations_raise_nothing_else():
    randomness = random.Random(4)
    for number in range(3000):
        image = bytearray(simple(1 + number % 3))
        for _ in range(randomness.randint(1, 8)):
            image[randomness.randrange(0xA0)] = randomness.randrange(256)
        try:
            container = TPLINK.open(Memory(image), 0)
            assert sum(map(len, contents(container).values())) <= container.size <= len(image)
        except ExtractionError:
            continue


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "offset", "parts"),
    [
        ("tplink-wr841nv11-160325_wr841n_v11_160325.bin", 0, {"boot": 0x200, "firmware": 0x20200}),
        ("tplink-wr841nv11-160325_wr841n_v11_160325.bin", 0x20200, {"kernel": 132096, "rootfs": 1180160}),
        ("tplink-wr841nv14-stock_TL-WR841Nv14_EU.bin", 0, {"boot": 0x200, "firmware": 0x10200}),
        (OPENWRT, 0, {"kernel": 512, "rootfs": 1177024}),
    ],
)
def test_real_images_are_right_to_the_md5(name, offset, parts):
    if not (CORPUS / name).exists():
        pytest.skip("the shared corpus is not here")
    container = TPLINK.open(Mapped.open(CORPUS / name), offset)
    assert "verified" in container.detail["integrity_detail"]
    assert {entry.path: entry.offset for entry in container.entries} == parts


@pytest.mark.parametrize(
    "title", [b"MALLOC_TRIM\0\0glibc.malloc.perturb\0\0glibc", b"kernel/drivers/usb/serial/cp210x.ko: kernel/drivers"]
)
def test_a_table_of_strings_is_no_header(title):
    image = bytearray(simple(2))
    image[4:52] = title[:48].ljust(48, b"\0")
    with pytest.raises(FormatError):
        TPLINK.open(Memory(image), 0)


def test_a_header_without_anything_of_its_parts_is_none():
    far = header_3(0x900000, kernel=(0x400000, 3000), rootfs=(0x500000, 5004))
    with pytest.raises(FormatError):
        TPLINK.open(Memory(bytes(far) + bytes(5000)), 0)
