"""D-Link DKBS and TLV headers: payloads, byte orders, the MD5."""

from __future__ import annotations

import hashlib
import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.dlink_headers import FORMATS
from fwcheck.extraction.source import Memory

DKBS, TLV = FORMATS
IMAGE = bytes(range(256)) * 3 + b"end"


def dkbs(order: str = ">", image: bytes = IMAGE) -> bytes:
    head = bytearray(0xA0)
    head[:24] = b"wrgac25_dkbs_dir895l".ljust(24, b"\0")
    head[0x28:0x2E] = b"1.01b0"
    head[0x68:0x6C] = struct.pack(order + "I", len(image))
    head[0x70:0x79] = b"/dev/mtd1"
    return bytes(head) + image


def tlv(md5: bool = True, image: bytes = IMAGE) -> bytes:
    rest = struct.pack("<II", 1, len(image)) + image
    text = hashlib.md5(rest).hexdigest().encode() if md5 else b""
    return struct.pack("<4s32s32s8s32s", b"\x64\x80\x19\x40", b"DIR-X1560", b"RT-1", b"", text) + rest


def seeds() -> list[bytes]:
    return [dkbs(), dkbs("<"), tlv(), tlv(md5=False)]


@pytest.mark.parametrize(("format", "data"), [(DKBS, dkbs()), (DKBS, dkbs("<")), (TLV, tlv()), (TLV, tlv(md5=False))])
def test_the_payload_comes_out(format, data):
    container = format.open(Memory(b"??" + data + b"tail"), 2)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == IMAGE
    assert (container.size, container.problems) == (len(data), [])
    assert format.open(Memory(data[:-1]), 0).problems == [f"{len(IMAGE)} bytes announced, {len(IMAGE) - 1} there"]


def test_what_the_headers_say_is_told():
    detail = DKBS.open(Memory(dkbs("<")), 0).detail
    assert (detail["board"], detail["boot_device"], detail["byte_order"]) == ("wrgac25_dkbs_dir895l", "/dev/mtd1", "little")
    assert TLV.open(Memory(tlv()), 0).detail["integrity_detail"] == "MD5 right"
    assert TLV.open(Memory(tlv(md5=False)), 0).detail["integrity"] == "none"
    assert TLV.open(Memory(tlv()[:-1] + b"!"), 0).problems == ["wrong MD5"]


@pytest.mark.parametrize("format", FORMATS)
def test_other_bytes_are_refused_and_truncation_raises_nothing_else(format):
    with pytest.raises(FormatError):
        format.open(Memory(bytes(4096)), 0)
    for seed in seeds():
        for data in truncations(seed, 40):
            exercise(format, data)
