"""MediaTek partition images, laid out here as MediaTek's kernels declare their header."""

from __future__ import annotations

import random
import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container
from fwcheck.extraction.formats.mtk_image import FORMATS
from fwcheck.extraction.source import Memory

(MTK,) = FORMATS
CHANCE = random.Random(11)
BODIES = {name: CHANCE.randbytes(size) for name, size in ((b"lk", 1001), (b"cert1", 300), (b"cert2", 500))}


def plain(name: bytes, data: bytes) -> bytes:
    return struct.pack("<II32sII", 0x58881688, len(data), name, 0xFFFFFFFF, 0).ljust(512, b"\xff") + data


def extended(name: bytes, data: bytes, *, last: bool) -> bytes:
    head = struct.pack("<II32sII", 0x58881688, len(data), name, 0x4C000000, 0)
    head += struct.pack("<8I", 0x58891689, 512, 1, 0x02000000 if name != b"lk" else 0, last, 16, 0, 0)
    return head.ljust(512, b"\xff") + data


def listed() -> bytes:
    out = b""
    for name, data in BODIES.items():
        out += bytes(-len(out) % 16) + extended(name, data, last=name == b"cert2")
    return out


def seeds() -> list[bytes]:
    return [plain(b"KERNEL", BODIES[b"lk"]), listed()]


def opened(data: bytes, offset: int = 0) -> tuple[Container, dict[str, bytes]]:
    container = MTK.open(Memory(data), offset)
    return container, {each.path: each.open().read(0, each.size) for each in container.entries if each.open is not None}


def test_a_plain_header() -> None:
    data = plain(b"ROOTFS", BODIES[b"lk"])
    container, members = opened(b"R" * 50 + data + b"T" * 50, 50)
    assert container.size == len(data)
    assert members == {"ROOTFS": BODIES[b"lk"]}
    assert container.detail["integrity"] == "none"


def test_a_list_with_certificates() -> None:
    data = listed()
    container, members = opened(data + bytes(100))
    assert container.size == len(data)
    assert members == {name.decode(): body for name, body in BODIES.items()}
    expected = {"images": "lk, cert1, cert2", "load_address": "0x4c000000", "integrity": "signature"}
    assert expected.items() <= container.detail.items()
    assert container.problems == []


def test_two_images_of_one_name_are_both_given() -> None:
    first = extended(b"lk", BODIES[b"lk"][:16], last=False)
    _, members = opened(first + extended(b"lk", BODIES[b"cert1"], last=True))
    assert members == {"lk": BODIES[b"lk"][:16], "lk-2": BODIES[b"cert1"]}


def test_what_is_cut_off() -> None:
    container, members = opened(listed()[:-100])
    assert members["cert2"] == BODIES[b"cert2"][:-100]
    assert container.problems
    for data in (listed()[:512], listed()[:300], b"\x88\x16\x88\x58\1\0\0\0lk" + b"x" * 600):
        with pytest.raises(FormatError):
            MTK.open(Memory(data), 0)
