"""Images of which every page is followed by a spare area, as programmers and nanddump give them."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer, Findings
from fwcheck.extraction.formats.nand_oob import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(NAND,) = FORMATS
CHANCE = random.Random(5)


def crc(data: bytes) -> int:
    return ~zlib.crc32(data) & 0xFFFFFFFF


def dumped(data: bytes, page: int, spare: int, block: int = 64, marker: bytes = b"") -> bytes:
    """Pages with spare areas: a good block's mark, ECC from the ninth byte on, nothing behind erased pages."""
    out = bytearray()
    for number, at in enumerate(range(0, len(data), page)):
        one = data[at : at + page].ljust(page, b"\xff")
        oob = bytearray(b"\xff" * spare)
        if one != b"\xff" * page:
            oob[spare // 2 :] = CHANCE.randbytes(spare - spare // 2)
        if marker and number % block == 0:
            oob[2 : 2 + len(marker)] = marker
        out += one + oob
    return bytes(out)


def ubi(page: int, peb: int, volumes: dict[int, list[bytes]]) -> bytes:
    """A device of one page of headers each; every volume dynamic, without a volume table."""
    out = b""
    for volume, lebs in volumes.items():
        for leb, data in enumerate(lebs):
            head = b"UBI#\1\0\0\0" + struct.pack(">QIII", 0, page, 2 * page, 5) + bytes(32)
            vid = b"UBI!\1\1\0\0" + struct.pack(">II", volume, leb) + bytes(44)
            head, vid = head + struct.pack(">I", crc(head)), vid + struct.pack(">I", crc(vid))
            out += head.ljust(page, b"\0") + vid.ljust(page, b"\0") + data.ljust(peb - 2 * page, b"\xff")
    return out


def uimage(data: bytes) -> bytes:
    head = struct.pack(">IIIIIIIBBBB32s", 0x27051956, 0, 0, len(data), 0, 0, zlib.crc32(data), 5, 2, 2, 0, b"linux")
    return head[:4] + struct.pack(">I", zlib.crc32(head)) + head[8:] + data


def found(data: bytes) -> Findings:
    return Explorer(Limits()).explore(Memory(data), ("image",), 0)


def contents(findings: Findings, *chain: str) -> dict[str, bytes]:
    out = {}
    for item in findings.items:
        if item.node.chain == ("image", *chain) and item.readable and item.node.kind is not NodeKind.CONTAINER:
            source = item.content()
            assert source is not None
            out[item.node.path] = source.read(0, source.size)
    return out


TEXT = b"".join(b"line %d of a text\n" % number for number in range(3000))


def seeds() -> list[bytes]:
    device = ubi(512, 4096, {0: [TEXT[:3072], TEXT[3072:6144]]})
    return [dumped(device, 512, 16), dumped(uimage(TEXT[:6000]), 512, 16), dumped(uimage(TEXT[:9000]), 2048, 64)]


@pytest.mark.parametrize(
    ("page", "spare"), [(2048, 64), (512, 16), (4096, 128), (4096, 224), (4096, 256), (8192, 448), (2048, 100), (16384, 1280)]
)
def test_volumes_of_a_dumped_device_are_found(page: int, spare: int) -> None:
    leb = 16 * page - 2 * page
    lebs = [CHANCE.randbytes(leb), TEXT.ljust(leb, b"\xff")[:leb]]
    device = ubi(page, 16 * page, {3: lebs})
    data = dumped(b"boot" * 16 * page + device, page, spare)
    container = NAND.open(Memory(data), 64 * (page + spare))
    assert (container.size + container.before, container.before) == (len(data), 64 * (page + spare))
    assert (container.detail["page"], container.detail["spare"]) == (page, spare)
    findings = found(data)
    name = "nand-oob@0x0"
    inside = contents(findings, name, "data", f"ubi@0x{64 * page:x}")
    assert inside == {"volume-3": b"".join(lebs)}
    (node,) = (item.node for item in findings.items if item.node.format == "nand-oob")
    assert (node.offset, node.size) == (0, len(data))


@pytest.mark.parametrize(("page", "spare"), [(2048, 64), (512, 16), (4096, 224)])
def test_a_u_boot_image_tells_the_geometry(page: int, spare: int) -> None:
    data = dumped(b"\x5a" * 4 * page + uimage(TEXT), page, spare)
    findings = found(data)
    assert any(item.node.format == "uimage" and item.node.offset == 4 * page for item in findings.items)
    assert not any("checksum" in gap.reason for gap in findings.gaps)
    assert TEXT in contents(findings, "nand-oob@0x0", "data", f"uimage@0x{4 * page:x}").values()


@pytest.mark.parametrize(("page", "spare"), [(2048, 64), (4096, 256)])
def test_a_device_tree_longer_than_a_page_tells_the_geometry(page: int, spare: int) -> None:
    value = CHANCE.randbytes(40_000)
    structure = struct.pack(">II", 1, 0) + struct.pack(">III", 3, len(value), 0) + value + struct.pack(">II", 2, 9)
    places = (56, 56 + len(structure), 40, 17, 16, 0, 5, len(structure))
    tree = struct.pack(">II8I", 0xD00DFEED, 61 + len(structure), *places) + bytes(16) + structure + b"data\0"
    data = dumped(b"\x5a" * 2 * page + tree, page, spare)
    container = NAND.open(Memory(data), 2 * (page + spare))
    assert (container.detail["page"], container.detail["spare"]) == (page, spare)
    findings = found(data)
    assert any(item.node.format == "fdt" and item.node.offset == 2 * page for item in findings.items)
    with pytest.raises(FormatError):
        NAND.open(Memory(tree), 0)


@pytest.mark.parametrize("marker", [b"\x85\x19\x03\x20\x08\x00\x00\x00", b"\x19\x85\x20\x03\x00\x00\x00\x08"])
def test_clean_markers_in_spare_areas_tell_the_geometry(marker: bytes) -> None:
    data = dumped(b"".join(CHANCE.randbytes(2048 * 64) for _ in range(5)), 2048, 64, marker=marker)
    container = NAND.open(Memory(data), 2050)
    assert (container.detail["page"], container.detail["spare"], container.before) == (2048, 64, 2050)
    assert found(data).items[0].node.size == len(data)


def test_a_squashfs_in_a_dump_is_read(tmp_path: Path) -> None:
    tool = shutil.which("mksquashfs", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if tool is None:
        pytest.skip("squashfs-tools is not installed")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/noise").write_bytes(CHANCE.randbytes(100_000))
    (tmp_path / "tree/text").write_bytes(TEXT)
    subprocess.run(
        [tool, str(tmp_path / "tree"), str(tmp_path / "image"), "-quiet", "-no-progress"], check=True, capture_output=True
    )
    data = dumped((tmp_path / "image").read_bytes(), 2048, 64)
    inside = contents(found(data), "nand-oob@0x0", "data", "squashfs@0x0")
    assert inside["/text"] == TEXT
    assert len(inside["/noise"]) == 100_000


def test_yaffs_keeps_its_spare_areas() -> None:
    def chunk(number: int, chunk: int, data: bytes, used: int) -> bytes:
        tags = struct.pack("<4I", 0x1000, number, chunk, used)
        return data.ljust(2048, b"\xff") + (b"\xff\xff" + tags).ljust(64, b"\xff")

    head = struct.pack("<IIH256s2xIIIIIIII160sI", 1, 1, 0xFFFF, b"file", 0o100644, 0, 0, 0, 0, 0, 6, 0, b"", 0).ljust(
        512, b"\xff"
    )
    yaffs = chunk(300, 0, head, 0xFFFF) + chunk(300, 1, b"inside", 6)
    data = dumped(ubi(2048, 32768, {0: [b"volume"]}), 2048, 64) + yaffs + b"\xff" * (62 * 2112)
    findings = found(data)
    at = len(data) - 64 * 2112
    assert contents(findings, "nand-oob@0x0", f"yaffs-0x{at:x}", "yaffs@0x0") == {"/file": b"inside"}
    assert "nand-oob@0x0" in findings.items[0].node.chain


def test_where_bytes_lie_is_told_with_their_spare_areas() -> None:
    image = Memory(dumped(ubi(2048, 16384, {0: [b"x"]}), 2048, 64))
    image.origin = 0
    one = next(iter(NAND.open(image, 0).entries))
    assert one.open is not None
    pages = one.open()
    assert list(pages.extents(0, 2048)) == [(0, 2048)]
    assert list(pages.extents(2000, 100)) == [(2000, 164)]
    assert pages.size == 8 * 2048
    assert pages.read(2040, 16) == image.read(2040, 8) + image.read(2112, 8)


def test_dumps_without_spare_areas_are_no_such_dumps() -> None:
    device = ubi(2048, 32768, {0: [TEXT]})
    image = uimage(TEXT)
    for data in (device, image, image + bytes(2112 - len(image) % 2112), b"UBI#" + bytes(4000), b"hsqs" * 99):
        with pytest.raises(FormatError):
            NAND.open(Memory(data), 0)
    marker = b"\x85\x19\x03\x20\x08\x00\x00\x00"
    with pytest.raises(FormatError):
        NAND.open(Memory(marker + CHANCE.randbytes(9000) + marker + bytes(50)), 0)


def test_a_device_whose_volume_header_is_broken_is_not_taken_for_a_dump() -> None:
    device = bytearray(ubi(2048, 16384, {0: [TEXT[:12288], TEXT[:12288]]}))
    device[2060] ^= 1
    with pytest.raises(FormatError):
        NAND.open(Memory(bytes(device)), 0)
