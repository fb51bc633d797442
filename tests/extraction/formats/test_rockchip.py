"""Rockchip images: both idbloaders, RKFW and RKAF, with the checksums and hashes that can be recomputed."""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
from cryptography.hazmat.primitives.ciphers import Cipher
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.rockchip import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

IDBLOCK, RKNS, RKFW, RKAF = FORMATS
CODE = (b"\x1f\x20\x03\xd5" * 300).ljust(2048, b"\0")
needs_mkimage = pytest.mark.skipif(shutil.which("mkimage") is None, reason="mkimage is not installed")


def rc4(data: bytes) -> bytes:
    return Cipher(ARC4(bytes.fromhex("7c4e0304550509072d2c7b38170d1711")), mode=None).encryptor().update(data)


def idblock(first: bytes = b"RK32" + CODE[4:], second: bytes = CODE, coded: bool = False) -> bytes:
    sectors = len(first) // 512
    head = struct.pack("<I4xIH", 0x0FF0AA55, 0 if coded else 1, 4).ljust(506, b"\0")
    head += struct.pack("<HH2x", sectors, sectors + len(second) // 512)
    stages = first + second
    if coded:
        stages = b"".join(rc4(stages[at : at + 512]) for at in range(0, len(stages), 512))
    return rc4(head).ljust(2048, b"\0") + stages


def rkns(kind: int = 1, images=(CODE, CODE[::-1])) -> bytes:
    algorithm = {1: hashlib.sha256, 2: hashlib.sha512}[kind]
    head = struct.pack("<4s4xHHI", b"RKNS", 384, len(images), kind).ljust(0x78, b"\0")
    sector, body = 4, b""
    for number, data in enumerate(images):
        head += struct.pack("<HHIII8x64s", sector, len(data) // 512, 0xFFFFFFFF, 0, number + 1, algorithm(data).digest())
        sector += len(data) // 512
        body += data
    head = head.ljust(0x600, b"\0")
    return (head + algorithm(head).digest()).ljust(2048, b"\0") + body


def rkaf() -> bytes:
    parts = (
        (b"package-file", b"package-file\tpackage-file\n"),
        (b"boot", b"KRNL" + bytes(300)),
        (b"system", b"hsqs" + bytes(600)),
    )
    table, body = b"", b""
    for name, data in parts:
        table += struct.pack("<32s60s5I", name, name + b".img", 0, 0x800 + len(body), 0x4000, len(data), len(data))
        body += data
    length = 0x800 + len(body)
    head = struct.pack("<4sI34s30s56sIII", b"RKAF", length, b"RK3288", b"", b"RK", 0, 0x01000000, len(parts))
    return (head + table).ljust(0x800, b"\0") + body + b"\x12\x34\x56\x78"


def rkfw() -> bytes:
    loader, update = b"BOOT" + bytes(500), rkaf()
    head = b"RKFW" + struct.pack(
        "<HIIH5BI4I", 0x66, 0x01000002, 0, 2020, 5, 6, 7, 8, 9, 0x33323341, 0x66, len(loader), 0x66 + len(loader), len(update)
    )
    image = head.ljust(0x66, b"\0") + loader + update
    return image + hashlib.md5(image).hexdigest().encode()


def seeds() -> list[bytes]:
    return [idblock(), idblock(coded=True), rkns(), rkns(2), rkaf(), rkfw()]


def contents(container) -> dict[str, bytes]:
    return {entry.path: (content := entry.open()).read(0, content.size) for entry in container.entries}


def test_the_stages_of_an_idbloader_are_given():
    container = IDBLOCK.open(Memory(b"?" * 4 + idblock() + b"tail"), 4)
    assert contents(container) == {"first-stage": b"RK32" + CODE[4:], "second-stage": CODE}
    assert (container.size, container.problems, container.detail["chip"]) == (len(idblock()), [], "RK32")


def test_coded_stages_are_told_and_decoded_with_the_published_key():
    container = IDBLOCK.open(Memory(idblock(coded=True)), 0)
    assert {(entry.path, entry.role) for entry in container.entries} == {
        ("first-stage", "encrypted"),
        ("second-stage", "encrypted"),
    }
    assert container.detail["chip"] == "RK32"
    container = IDBLOCK.open(Memory(idblock(coded=True)), 0, Limits(published_keys=True))
    assert contents(container) == {"first-stage": b"RK32" + CODE[4:], "second-stage": CODE}


@pytest.mark.parametrize("kind", [1, 2])
def test_the_images_of_version_2_are_given_with_their_hash(kind):
    image = rkns(kind)
    container = RKNS.open(Memory(b"?" * 4 + image + b"tail"), 4)
    assert contents(container) == {"image-0": CODE, "image-1": CODE[::-1]}
    assert (container.size, container.problems, "wrong" in container.detail["integrity_detail"]) == (len(image), [], False)
    broken = bytearray(image)
    broken[-1] ^= 1
    assert [problem.split()[-1] for problem in RKNS.open(Memory(broken), 0).problems] == ["image-1"]


def test_a_firmware_file_gives_loader_and_update_and_its_md5_is_right():
    container = RKFW.open(Memory(b"?" * 4 + rkfw() + b"tail"), 4)
    assert contents(container) == {"loader": b"BOOT" + bytes(500), "update": rkaf()}
    assert (container.size, container.problems, container.detail["version"]) == (len(rkfw()), [], "1.0.2")
    assert (container.detail["integrity_detail"], container.detail["time"]) == ("MD5 right", "2020-05-06T07:08:09")
    broken = bytearray(rkfw())
    broken[0x70] ^= 1
    assert RKFW.open(Memory(broken), 0).problems == ["wrong MD5"]


def test_the_parts_of_an_update_are_given():
    container = RKAF.open(Memory(rkaf() + b"tail"), 0)
    assert set(contents(container)) == {"package-file", "boot", "system"}
    assert contents(container)["system"] == b"hsqs" + bytes(600)
    assert (container.size, container.problems, container.detail["model"]) == (len(rkaf()), [], "RK3288")
    assert RKAF.open(Memory(rkaf()[:-300]), 0).problems


@pytest.mark.parametrize("format", FORMATS)
def test_headers_that_lead_nowhere_are_refused(format):
    for image in (idblock()[:8], b"RKNS" + bytes(2000), b"RKFW\x66\0" + bytes(200), b"RKAF" + bytes(0x900)):
        with pytest.raises(FormatError):
            format.open(Memory(image), 0)


@needs_mkimage
@pytest.mark.parametrize(("chip", "format"), [("rk3288", IDBLOCK), ("rk3399", IDBLOCK), ("rk3568", RKNS)])
def test_images_of_the_real_tool_are_read(tmp_path, chip, format):
    (tmp_path / "code").write_bytes(CODE)
    subprocess.run(["mkimage", "-n", chip, "-T", "rksd", "-d", "code", "out"], cwd=tmp_path, check=True, capture_output=True)
    container = format.open(Memory((tmp_path / "out").read_bytes()), 0)
    (content,) = contents(container).values()
    assert CODE[4:1200] in content
    assert not container.problems


def test_truncation_anywhere_raises_nothing_else():
    for format, image in zip(FORMATS, (idblock(), rkns(), rkfw(), rkaf()), strict=True):
        for data in truncations(image, 60):
            exercise(format, data)
