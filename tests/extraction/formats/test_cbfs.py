"""CBFS and FMAP: what cbfstool puts in comes out unpacked; areas are cut without overlap; the writer here covers hashes
and stages."""

from __future__ import annotations

import hashlib
import lzma
import random
import shutil
import struct
import subprocess

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.cbfs import FORMATS
from fwcheck.extraction.source import Memory

CBFS, FMAP = FORMATS
TEXT = b"".join(b"line %d of a file\n" % (i * i % 7919) for i in range(900))


def attribute(tag: int, data: bytes) -> bytes:
    return struct.pack(">II", tag, 8 + len(data)) + data


def alone(content: bytes) -> bytes:
    packed = lzma.compress(content, lzma.FORMAT_ALONE)
    return packed[:5] + struct.pack("<Q", len(content)) + packed[13:]


def file(name: str, data: bytes, kind: int = 0x50, attributes: bytes = b"") -> bytes:
    label = name.encode() + b"\0"
    label += bytes(-len(label) % 4)
    at = 24 + len(label)
    header = struct.pack(">8sIIII", b"LARCHIVE", len(data), kind, at if attributes else 0, at + len(attributes))
    raw = header + label + attributes + data
    return raw + b"\xff" * (-len(raw) % 64)


def cbfs() -> bytes:
    packed = alone(TEXT)
    sha = attribute(0x68736148, struct.pack(">I", 2) + hashlib.sha256(packed).digest())
    segments = struct.pack(">4sIIQII", b"CODE", 1, 56, 0x100000, len(packed), len(TEXT)) + struct.pack(
        ">4sIIQII", b"ENTR", 0, 0, 0, 0, 0
    )
    return (
        file("config", b"CONFIG_X=y\n")
        + file("packed", packed, attributes=attribute(0x42435A4C, struct.pack(">II", 1, len(TEXT))) + sha)
        + file("romstage", struct.pack("<IQQII", 0, 0, 0, len(TEXT), len(TEXT)) + TEXT, 0x10)
        + file("fallback/payload", segments + packed, 0x20)
        + file("../up", b"out", 0x50)
        + file("", b"\xff" * 500, 0xFFFFFFFF)
    )


def fmap(areas: list[tuple[int, int, str, int]], total: int) -> bytes:
    head = b"__FMAP__\1\1" + struct.pack("<QI32sH", 0xFF000000, total, b"FLASH", len(areas))
    return head + b"".join(struct.pack("<II32sH", at, size, name.encode(), flags) for at, size, name, flags in areas)


def flash() -> bytes:
    content = cbfs().ljust(0x3000, b"\xff")
    areas = [
        (0, 0x1000, "DESC", 4),
        (0x1000, 0x5000, "BIOS", 0),
        (0x1000, 0x400, "FMAP", 0),
        (0x1800, 0x800, "VPD", 0),
        (0x2000, 0x3000, "COREBOOT", 4),
    ]
    return bytes(0x1000) + fmap(areas, 0x6000).ljust(0x800, b"\xff") + b"V" * 0x800 + content + bytes(0x1000)


def seeds() -> list[bytes]:
    return [cbfs(), flash()[0x1000:]]


def contents(container) -> dict[str, bytes]:
    opened = [(entry.path, entry.open()) for entry in container.entries if entry.open]
    return {path: source.read(0, source.size) for path, source in opened}


def test_files_come_out_unpacked():
    image = cbfs()
    container = CBFS.open(Memory(b"\xff" * 64 + image + b"after"), 64)
    found = contents(container)
    assert container.size == len(image)
    assert found["/config"] == b"CONFIG_X=y\n"
    assert found["/packed"] == found["/romstage"] == found["/fallback/payload/code-0"] == TEXT
    assert found["/up"] == b"out"
    assert (container.detail["files"], container.detail["integrity"], container.problems) == (5, "hash", [])


def test_a_wrong_hash_is_told():
    image = bytearray(cbfs())
    image[image.index(hashlib.sha256(alone(TEXT)).digest())] ^= 1
    container = CBFS.open(Memory(image), 0)
    assert any("sha256 wrong" in problem for problem in container.problems)


def test_a_file_beyond_the_source_ends_the_list():
    image = bytearray(cbfs())
    struct.pack_into(">I", image, image.index(b"LARCHIVE", 8) + 8, 1 << 30)
    assert list(contents(CBFS.open(Memory(image), 0))) == ["/config"]
    with pytest.raises(FormatError):
        CBFS.open(Memory(cbfs()[:40]), 0)


def test_areas_behind_the_map_are_parts():
    image = flash()
    container = FMAP.open(Memory(image + b"after"), 0x1000)
    found = contents(container)
    assert found["COREBOOT"] == image[0x2000:0x5000]
    assert found["VPD"] == b"V" * 0x800
    assert container.size == 0x4000
    roles = {entry.path: entry.role for entry in container.entries}
    assert (roles["DESC"], roles["BIOS"], roles["FMAP"]) == ("meta", "meta", "meta")
    assert container.detail["read_only"] == "DESC, COREBOOT"


def test_areas_that_lie_stay_inside():
    image = fmap([(0, 0xFFFFFFFF, "A", 0), (0xFFFFFFF0, 0xFFFFFFFF, "B", 0)], 1 << 31)
    container = FMAP.open(Memory(image + bytes(99)), 0)
    assert container.size <= len(image) + 99


@pytest.mark.parametrize("compression", ["none", "lzma", "lz4"])
def test_what_cbfstool_packs_comes_out(tmp_path, compression):
    if shutil.which("cbfstool") is None:
        pytest.skip("coreboot-utils is not installed")
    content = TEXT + random.Random(1).randbytes(2000)
    (tmp_path / "content").write_bytes(content)

    def run(*arguments: str) -> None:
        subprocess.run(["cbfstool", "t.rom", *arguments], cwd=tmp_path, check=True, capture_output=True)

    run("create", "-m", "x86", "-s", "65536")
    run("add", "-f", "content", "-n", "file", "-t", "raw", "-c", compression, "-A", "sha256")
    run("add-flat-binary", "-f", "content", "-n", "payload", "-c", "lzma", "-l", "0x100000", "-e", "0x100000")
    container = CBFS.open(Memory((tmp_path / "t.rom").read_bytes()), 0)
    found = contents(container)
    assert found["/file"] == found["/payload/code-0"] == content
    assert container.detail["integrity_detail"] == "sha256 right of 1 files"
    assert not container.problems
