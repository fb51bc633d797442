"""MediaTek boot images: media headers lead to the loader, and the hash behind a GFH loader is recomputed."""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.mtk_boot import FORMATS
from fwcheck.extraction.source import Memory

BOOT, GFH = FORMATS
CODE = b"\x1f\x20\x03\xd5" * 300


def gfh(kind: int = 1) -> bytes:
    headers, signed = 0x100, {0: 0, 1: 32, 2: 128}[kind]
    total = headers + len(CODE) + signed
    head = b"MMM\1" + struct.pack(
        "<HH12sIHBB7I", 0x38, 0, b"FILE_INFO", 1, 1, 5, kind, 0x200D00, total, total, headers, signed, headers, 1
    )
    image = head.ljust(headers, b"\0") + CODE
    return image + (hashlib.sha256(image).digest() if kind == 1 else bytes(signed))


def emmc(name: bytes = b"EMMC_BOOT") -> bytes:
    loader = gfh()
    media = struct.pack("<12sII", name, 1, 512).ljust(512, b"\xff")
    layout = struct.pack("<8sIII4s", b"BRLYT", 1, 0x600, 0x600 + len(loader), b"BBBB")
    return (media + layout).ljust(0x600, b"\0") + loader


def nand() -> bytes:
    loader = gfh().ljust(2048, b"\xff")
    media = b"BOOTLOADER!\0V006NFIINFO\0" + struct.pack("<HH", 0, 2048)
    layout = struct.pack("<8sIII4s", b"BRLYT", 1, 2, 3, b"BBBB")
    return (media.ljust(2048, b"\0") + layout).ljust(4096, b"\0") + loader


def seeds() -> list[bytes]:
    return [gfh(), gfh(2), emmc(), nand(), emmc(b"SF_BOOT")]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


@pytest.mark.parametrize("image", [emmc(), emmc(b"SDMMC_BOOT"), emmc(b"COMBO_BOOT"), emmc(b"SF_BOOT"), nand()])
def test_a_media_header_leads_to_the_loader(image):
    container = BOOT.open(Memory(b"?" * 4 + image + b"tail"), 4)
    assert contents(container)["loader"].startswith(gfh())
    assert (container.size, container.problems) == (len(image), [])


@pytest.mark.parametrize(("kind", "integrity"), [(0, "none"), (1, "hash"), (2, "signature")])
def test_a_loader_is_given_without_headers_and_signature(kind, integrity):
    container = GFH.open(Memory(b"?" * 4 + gfh(kind) + b"tail"), 4)
    assert contents(container) == {"loader": CODE}
    assert (container.size, container.problems, container.detail["integrity"]) == (len(gfh(kind)), [], integrity)


def test_a_wrong_hash_and_a_cut_loader_are_told():
    image = bytearray(gfh())
    image[-1] ^= 1
    assert GFH.open(Memory(image), 0).problems == ["wrong SHA-256"]
    assert GFH.open(Memory(image[:-50]), 0).size == len(image) - 50
    with pytest.raises(FormatError):
        GFH.open(Memory(image[:0x100]), 0)


@pytest.mark.skipif(shutil.which("mkimage") is None, reason="mkimage is not installed")
@pytest.mark.parametrize("media", ["media=emmc", "media=sdmmc", "media=nand;nandinfo=2k+64"])
def test_images_of_the_real_tool_are_read(tmp_path, media):
    (tmp_path / "code").write_bytes(CODE)
    command = ["mkimage", "-T", "mtk_image", "-a", "0x201000", "-e", "0x201000", "-n", media, "-d", "code", "out"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    image = (tmp_path / "out").read_bytes()
    container = BOOT.open(Memory(image), 0)
    loader = GFH.open(Memory(contents(container)["loader"]), 0)
    assert contents(loader) == {"loader": CODE}
    assert (container.size, container.problems, loader.detail["integrity_detail"]) == (len(image), [], "SHA-256 right")


def test_truncation_anywhere_raises_nothing_else():
    for format, image in ((BOOT, emmc()), (GFH, gfh())):
        for data in truncations(image, 60):
            exercise(format, data)
