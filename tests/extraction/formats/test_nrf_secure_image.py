"""Images of nRF Connect SDK's immutable boot loader: place of the information, extent, hash and signature."""

from __future__ import annotations

import hashlib
import random
import struct

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.nrf_secure_image import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

IMAGE = FORMATS[0]
KEY = ec.derive_private_key(53, ec.SECP256R1())
MARK = bytes.fromhex("dee61e28")
ADDRESS = 0x8200


def image(place: int = 0x200, valid: int = 0x9102FFFF, twice: bool = True, gap: int = 0, signed: bool = True) -> bytes:
    size = place + 3001
    handlers = [ADDRESS + 0x101] * 3 + [0] * 7 + [ADDRESS + 0x105] * 2 + [0] + [ADDRESS + 0x105] * 2
    data = bytearray(random.Random(9).randbytes(size))
    data[:64] = struct.pack("<I", 0x20010000) + struct.pack("<14I", *handlers[:14]) + struct.pack("<I", ADDRESS + 0x105)
    info = MARK + bytes.fromhex("4cbbce8f") + struct.pack("<I", 0x3502)
    data[place : place + 60] = (info + struct.pack("<6I", 60, size, 4, ADDRESS, ADDRESS, valid)).ljust(60, b"\0")
    made = hashlib.sha256(data).digest()
    signed_ = hashlib.sha256(made).digest() if twice else made
    r, s = utils.decode_dss_signature(KEY.sign(signed_, ec.ECDSA(utils.Prehashed(hashes.SHA256()))))
    numbers = KEY.public_key().public_numbers()
    fields = b"".join(each.to_bytes(32, "big") for each in (numbers.x, numbers.y, r, s))
    behind = MARK + bytes.fromhex("83845186") + struct.pack("<II", 0x13502, ADDRESS) + made + fields
    return bytes(data) + (bytes(gap) + behind if signed else b"")


def seeds() -> list[bytes]:
    return [image(), image(0x800, gap=3), image(signed=False)]


@pytest.mark.parametrize("place", [0x200, 0x400, 0x600, 0x800, 0xE00, 0x1000])
@pytest.mark.parametrize("twice", [True, False])
def test_the_signature_is_verified_wherever_the_information_stands(place, twice):
    data = image(place, twice=twice, gap=3)
    container = IMAGE.open(Memory(b"front" + data + b"\xff" * 70), 5)
    assert (container.size, container.problems, container.detail["version"]) == (len(data), [], 4)
    assert container.detail["integrity_detail"] == "ECDSA P-256 signature (valid for the key beside it), SHA-256 right"
    [application, _] = container.entries
    assert application.open().read(0, application.size) == data[: place + 3001]
    [block] = container.signatures
    assert block.algorithm == "ECDSA"
    assert block.carried


def test_a_changed_image_is_told():
    data = bytearray(image())
    data[900] ^= 1
    assert IMAGE.open(Memory(data), 0).problems == ["wrong SHA-256", "signature: invalid for the key beside it"]


def test_an_image_without_validation_or_marked_invalid_is_told():
    detail = IMAGE.open(Memory(image(signed=False, valid=0)), 0).detail
    assert (detail["integrity"], detail["valid"]) == ("none", "no (0x00000000)")


def test_a_cut_image_is_told():
    assert "announced" in IMAGE.open(Memory(image()[:2000]), 0).problems[0]


def test_it_is_found_in_a_dump_and_before_a_vector_table():
    found = Explorer(Limits()).explore(Memory(b"\xff" * 512 + image()), ("dump",), 0)
    assert [(item.node.format, item.node.offset) for item in found.items if item.node.path == ""] == [("nrf-secure-image", 512)]
    found = Explorer(Limits()).explore(Memory(image()), ("image",), 0)
    assert [item.node.format for item in found.items if item.node.path == ""] == ["nrf-secure-image"]


def test_a_vector_table_at_another_place_is_refused():
    with pytest.raises(FormatError):
        IMAGE.open(Memory(bytes(0x200) + image()), 0x100)
    hurt = bytearray(image())
    hurt[4:8] = bytes(4)
    with pytest.raises(FormatError):
        IMAGE.open(Memory(hurt), 0)
