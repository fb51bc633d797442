"""Android vendor boot images: of mkbootimg where it is installed, and laid out here."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container
from fwcheck.extraction.formats.android_vendor_boot import FORMATS
from fwcheck.extraction.source import Memory

(VENDOR,) = FORMATS
FIRST, SECOND, TREE = b"first ramdisk" * 100, b"second" * 50, b"\xd0\x0d\xfe\xed" + bytes(400)
CONFIG = b"androidboot.hardware=x\nandroidboot.slot=1\n"


def paged(data: bytes) -> bytes:
    return data + bytes(-len(data) % 2048)


def image(version: int = 4, *, begin: int = 0) -> bytes:
    ramdisks = FIRST + SECOND
    head = b"VNDRBOOT" + struct.pack("<5I", version, 2048, 0x8000, 0x1000000, len(ramdisks))
    head += b"x=y".ljust(2048, b"\0") + struct.pack("<I", 0x100) + b"board".ljust(16, b"\0")
    head += struct.pack("<IIQ", 2112 if version == 3 else 2128, len(TREE), 0x1F00000)
    table = b""
    for kind, name, at, part in ((1, b"", begin, FIRST), (3, b"modules", len(FIRST), SECOND)):
        table += struct.pack("<III", len(part), at, kind) + name.ljust(32, b"\0") + bytes(64)
    if version == 3:
        return paged(head) + paged(ramdisks) + paged(TREE)
    head += struct.pack("<4I", len(table), 2, 108, len(CONFIG))
    return paged(head) + paged(ramdisks) + paged(TREE) + paged(table) + paged(CONFIG)


def seeds() -> list[bytes]:
    return [image(3), image(4)]


def opened(data: bytes, offset: int = 0) -> tuple[Container, dict[str, bytes]]:
    container = VENDOR.open(Memory(data), offset)
    return container, {each.path: each.open().read(0, each.size) for each in container.entries if each.open is not None}


def test_version_4_gives_each_ramdisk() -> None:
    container, members = opened(b"R" * 64 + image() + b"T" * 64, 64)
    assert container.size == len(image())
    assert members["ramdisk-0-platform"] == FIRST
    assert members["ramdisk-1-modules"] == SECOND
    assert members["dtb"] == TREE
    assert members["bootconfig"] == CONFIG
    assert container.detail["bootconfig"] == "androidboot.hardware=x; androidboot.slot=1"
    assert container.detail["cmdline"] == "x=y"
    assert container.problems == []


def test_version_3_gives_one_ramdisk() -> None:
    container, members = opened(image(3))
    assert container.size == len(image(3))
    assert members == {"ramdisk": FIRST + SECOND, "dtb": TREE}


def test_a_table_that_lies_is_told() -> None:
    container, members = opened(image(begin=1 << 20))
    assert "ramdisk-0-platform" not in members
    assert members["ramdisk-1-modules"] == SECOND
    assert any("outside" in problem for problem in container.problems)


def test_what_is_cut_off() -> None:
    container, members = opened(image()[:6000])
    assert container.size == 6000
    assert members["ramdisk"] == FIRST + SECOND
    assert container.problems
    for data in (image()[:2000], b"VNDRBOOT\3\0\0\0" + bytes(3000)):
        with pytest.raises(FormatError):
            VENDOR.open(Memory(data), 0)


def test_images_of_mkbootimg(tmp_path: Path) -> None:
    if not shutil.which("mkbootimg"):
        pytest.skip("mkbootimg is not installed (Debian package mkbootimg)")
    (tmp_path / "ramdisk").write_bytes(FIRST)
    (tmp_path / "dtb").write_bytes(TREE)
    made = tmp_path / "image"
    arguments = ["--header_version", "3", "--vendor_boot", str(made), "--vendor_ramdisk", str(tmp_path / "ramdisk")]
    arguments += ["--dtb", str(tmp_path / "dtb"), "--vendor_cmdline", "a=b"]
    subprocess.run(["mkbootimg", *arguments], check=True, capture_output=True)
    container, members = opened(made.read_bytes())
    assert members == {"ramdisk": FIRST, "dtb": TREE}
    assert container.size == made.stat().st_size
    assert container.detail["cmdline"] == "a=b"
