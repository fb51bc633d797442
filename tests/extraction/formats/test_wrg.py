"""WRG and WRGG: header, image and MD5 in both byte orders; encrypted payloads of newer access points."""

from __future__ import annotations

import hashlib
import struct

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.wrg import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

WRG = FORMATS[0]
IMAGE = b"\x5d\0\0\x80" + b"kernel" * 300


def wrg(sign: str = "<", image: bytes = IMAGE) -> bytes:
    device = b"/dev/mtdblock/2".ljust(32, b"\0")
    offset = struct.pack(f"{sign}I", 0x70000)
    head = (
        b"wrgn11_dlink_dir412".ljust(32, b"\0") + struct.pack(f"{sign}3I", 0x20040220, 0x20040220, len(image)) + offset + device
    )
    return head + hashlib.md5(offset + device + image).digest() + image


def wrgg(sign: str = ">", image: bytes = IMAGE, signature: bytes = b"wapac02_dkbs_dap2695") -> bytes:
    device = b"/dev/mtdblock/1".ljust(32, b"\0")
    offset = struct.pack(f"{sign}I", 0x70000)
    head = struct.pack("<32sII16s16s16x16s", signature, 0x20080321, 0x20080321, b"1.10", b"DAP-2695", b"r40")
    return head + struct.pack(f"{sign}I", len(image)) + offset + device + hashlib.md5(offset + device + image).digest() + image


def scrambled(image: bytes, signature: bytes) -> bytes:
    key, iv = (
        bytes(each ^ (at + 1) % 0xFC ^ signature[at % len(signature)] for at, each in enumerate(data))
        for data in (b"oVhq0hvXHdfaGFLdubM4/QvuVHdKee7v", b"0BO5nlYankuVBe4s")
    )
    return Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor().update(image + bytes(-len(image) % 16))


SIGNATURE = b"wapac42_dkbs_dap2610"


def seeds() -> list[bytes]:
    return [wrg(), wrg(">"), wrgg(), wrgg("<"), wrgg("<", scrambled(IMAGE, SIGNATURE), SIGNATURE)]


@pytest.mark.parametrize(("image", "header"), [(wrg("<"), "WRG"), (wrg(">"), "WRG"), (wrgg("<"), "WRGG"), (wrgg(">"), "WRGG")])
def test_header_and_image_are_read(image, header):
    container = WRG.open(Memory(b"?" * 4 + image + b"tail"), 4)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == IMAGE
    assert (container.size, container.problems, container.detail["header"]) == (len(image), [], header)
    assert (container.detail["integrity_detail"], container.detail["flash_offset"]) == ("MD5 right", "0x00070000")


def test_an_encrypted_payload_is_told_and_decrypted_with_the_published_key():
    image = wrgg("<", scrambled(IMAGE, SIGNATURE), SIGNATURE)
    (entry,) = WRG.open(Memory(image), 0).entries
    assert entry.role == "encrypted"
    (entry,) = WRG.open(Memory(image), 0, Limits(published_keys=True)).entries
    content = entry.open()
    assert content.read(0, len(IMAGE)) == IMAGE


def test_a_wrong_md5_and_a_cut_image_are_told():
    image = bytearray(wrg())
    image[-1] ^= 1
    assert WRG.open(Memory(image), 0).problems == ["wrong MD5"]
    assert WRG.open(Memory(image[:-50]), 0).size == len(image) - 50
    with pytest.raises(FormatError):
        WRG.open(Memory(image[:96]), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(wrgg(), 60):
        exercise(WRG, data)
