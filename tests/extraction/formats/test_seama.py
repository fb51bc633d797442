"""SEAMA: sealed update images (dlob too) and single entities, with their meta data and MD5."""

from __future__ import annotations

import hashlib
import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.seama import FORMATS
from fwcheck.extraction.source import Memory

SEAMA = FORMATS[0]
IMAGE = b"\x5d\0\0\x80" + b"kernel" * 400
SEAL = b"signature=wrgac13_dlob.hans_dir865\0"
META = b"dev=/dev/mtdblock/1\0type=firmware\0noheader=1\0"


def header(meta: bytes, image: bytes) -> bytes:
    meta += bytes(-len(meta) % 4)
    return struct.pack(">IHHI", 0x5EA3A417, 0, len(meta), len(image)) + (hashlib.md5(image).digest() if image else b"") + meta


def entity(image: bytes = IMAGE, meta: bytes = META) -> bytes:
    return header(meta, image) + image


def sealed(*entities: bytes) -> bytes:
    return header(SEAL, b"") + b"".join(entities or (entity(),))


def seeds() -> list[bytes]:
    return [entity(), sealed(), sealed(entity(), entity(b"rootfs" * 50, b"type=rootfs\0"))]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


def test_an_entity_as_it_stands_in_flash_is_read():
    container = SEAMA.open(Memory(b"?" * 64 + entity() + b"\xff" * 100), 64)
    assert contents(container) == {"firmware": IMAGE}
    assert (container.size, container.problems, container.detail["integrity_detail"]) == (len(entity()), [], "MD5 right")
    assert (container.detail["dev"], container.detail["form"]) == ("/dev/mtdblock/1", "entity")


def test_an_update_image_gives_all_its_entities():
    image = sealed(entity(), entity(b"rootfs" * 50, b"type=rootfs\0"))
    container = SEAMA.open(Memory(image + b"after"), 0)
    assert contents(container) == {"firmware": IMAGE, "rootfs": b"rootfs" * 50}
    assert (container.size, container.detail["signature"]) == (len(image), "wrgac13_dlob.hans_dir865")
    assert (container.detail["form"], container.detail["integrity_detail"]) == ("update image", "MD5 right")


def test_a_wrong_md5_and_a_cut_image_are_told():
    image = bytearray(sealed())
    image[-1] ^= 1
    assert SEAMA.open(Memory(image), 0).problems == ["image 1: wrong MD5"]
    container = SEAMA.open(Memory(image[:-9]), 0)
    assert container.detail["integrity_detail"] == "MD5 cannot be checked"
    assert container.size == len(image) - 9


@pytest.mark.parametrize(
    "data", [header(SEAL, b""), header(b"no pairs\0", IMAGE) + IMAGE, header(b"", IMAGE) + IMAGE, entity()[:70]]
)
def test_what_is_no_image_is_refused(data):
    with pytest.raises(FormatError):
        SEAMA.open(Memory(data), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(sealed(), 60):
        exercise(SEAMA, data)
