"""Allwinner boot images: eGON with a checksum, TOC0 with items and a certificate."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.sunxi import FORMATS
from fwcheck.extraction.source import Mapped, Memory

EGON, TOC0 = FORMATS
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"
CODE = b"\x1f\x20\x03\xd5" * 400
STAMP = 0x5F0A6C39


def summed(image: bytes, at: int) -> bytes:
    image = image[:at] + struct.pack("<I", STAMP) + image[at + 4 :]
    return image[:at] + struct.pack("<I", sum(struct.unpack(f"<{len(image) // 4}I", image)) & 0xFFFFFFFF) + image[at + 4 :]


def egon(kind: bytes = b"0") -> bytes:
    name = b"sun8i-h3-nanopi-neo\0"
    head = struct.pack("<I8sII4sIII", 0xEA000016, b"eGON.BT" + kind, 0, 4096, b"SPL\2", 0, 0, 96) + bytes(60)
    return summed((head + name + CODE).ljust(4096, b"\0"), 12)


def toc0() -> bytes:
    items = ((0x010101, b"certificate" * 20), (0x010202, egon()))
    head = b"TOC0.GLH" + struct.pack("<6I", 0x89119800, 0, 0, 0, 2, 0x2000) + b"\0\0\0\3" + bytes(8) + b"MIE;"
    at, body = 0xB0, b""
    for kind, data in items:
        head += struct.pack("<6I4x4s", kind, at + len(body), len(data), 0, 0, 0x20000, b"IIE;")
        body += data
    return summed((head.ljust(0xB0, b"\0") + body).ljust(0x2000, b"\0"), 12)


def seeds() -> list[bytes]:
    return [egon(), egon(b"1"), toc0()]


@pytest.mark.parametrize("kind", [b"0", b"1"])
def test_the_code_of_an_egon_image_is_given(kind):
    image = egon(kind)
    container = EGON.open(Memory(b"?" * 8 + image + b"tail"), 8)
    (entry,) = container.entries
    assert (entry.path, entry.role, entry.open().read(0, entry.size)) == (f"boot{kind.decode()}", "file", image)
    assert (container.size, container.problems) == (4096, [])
    assert (container.detail["device_tree"], container.detail["spl_version"]) == ("sun8i-h3-nanopi-neo", 2)
    assert container.detail["integrity_detail"] == "checksum right"


def test_a_wrong_checksum_and_a_cut_image_are_told():
    image = bytearray(egon())
    image[-1] ^= 1
    assert EGON.open(Memory(image), 0).problems == ["wrong checksum"]
    assert EGON.open(Memory(image[:1000]), 0).size == 1000
    image[16:20] = struct.pack("<I", 4092)
    with pytest.raises(FormatError):
        EGON.open(Memory(image), 0)


def test_items_of_a_toc0_image_are_given():
    container = TOC0.open(Memory(b"?" * 4 + toc0() + b"tail"), 4)
    contents = {entry.path: entry.open().read(0, entry.size) for entry in container.entries}
    assert contents == {"certificate": b"certificate" * 20, "firmware": egon()}
    assert (container.size, container.problems, container.detail["integrity"]) == (0x2000, [], "signature")
    image = bytearray(toc0())
    image[-1] ^= 1
    assert TOC0.open(Memory(image), 0).problems == ["wrong checksum"]


@pytest.mark.skipif(shutil.which("mkimage") is None, reason="mkimage is not installed")
def test_an_egon_image_of_the_real_tool_is_read(tmp_path):
    (tmp_path / "code").write_bytes(CODE)
    subprocess.run(
        ["mkimage", "-T", "sunxi_egon", "-d", "code", "-A", "arm", "-n", "x", "out"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    image = (tmp_path / "out").read_bytes()
    container = EGON.open(Memory(image + b"tail"), 0)
    assert (container.size, container.problems) == (len(image), [])


@pytest.mark.skipif(
    shutil.which("mkimage") is None or shutil.which("openssl") is None, reason="mkimage and openssl are not installed"
)
def test_a_toc0_image_of_the_real_tool_is_read(tmp_path):
    (tmp_path / "code").write_bytes(CODE)
    key = ["openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "root_key.pem"]
    subprocess.run(key, cwd=tmp_path, check=True, capture_output=True)
    subprocess.run(
        ["mkimage", "-T", "sunxi_toc0", "-d", "code", "-A", "arm", "out"], cwd=tmp_path, check=True, capture_output=True
    )
    image = (tmp_path / "out").read_bytes()
    container = TOC0.open(Memory(image), 0)
    contents = {entry.path: entry.open().read(0, entry.size) for entry in container.entries}
    assert (contents["firmware"], container.size, container.problems) == (CODE, len(image), [])
    assert container.detail["integrity"] == "signature"


@pytest.mark.corpus
def test_the_spl_of_a_real_image_is_right_to_the_checksum():
    path = CORPUS / "deb-uboot-nanopi-neo_u-boot-sunxi-with-spl.bin"
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    container = EGON.open(Mapped.open(path), 0)
    assert (container.problems, container.detail["integrity_detail"]) == ([], "checksum right")
    assert "nanopi-neo" in container.detail["device_tree"]


def test_truncation_anywhere_raises_nothing_else():
    for format, image in ((EGON, egon()), (TOC0, toc0())):
        for data in truncations(image, 60):
            exercise(format, data)
