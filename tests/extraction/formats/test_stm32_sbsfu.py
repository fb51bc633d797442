"""SBSFU packages: the firmware is found by its hash, or by its even bytes when it is encrypted."""

from __future__ import annotations

import hashlib
import random
import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.stm32_sbsfu import FORMATS
from fwcheck.extraction.source import Memory

SBSFU = FORMATS[0]
CODE = b"stm32 application code" * 200
NOISE = random.Random(1).randbytes(4400)
SIGNATURE = random.Random(2).randbytes(64)


def package(body: bytes = CODE, place: int = 0x200, signature: bytes = SIGNATURE) -> bytes:
    tag = hashlib.sha256(CODE).digest()
    head = struct.pack("<4sHHIII", b"SFU1", 1, 5, len(CODE), 0, len(CODE)) + tag + tag + bytes(16) + bytes(28) + signature
    return head.ljust(place, b"\xff") + body


def seeds() -> list[bytes]:
    return [package(), package(NOISE), package(place=0x400, signature=bytes(64))]


@pytest.mark.parametrize("place", [0x200, 0x400, 0x1000])
def test_firmware_in_the_clear_is_found_by_its_hash(place):
    data = package(place=place)
    container = SBSFU.open(Memory(b"yz" + data + b"behind"), 2)
    *_, firmware = container.entries
    assert (firmware.open().read(0, firmware.size), container.size, container.problems) == (CODE, len(data), [])
    assert container.detail["integrity_detail"] == "ECDSA P-256 signature (not verified), sha256 right"


def test_encrypted_firmware_is_told():
    container = SBSFU.open(Memory(package(NOISE)), 0)
    [_, firmware] = container.entries
    assert (firmware.role, firmware.offset, firmware.size) == ("encrypted", 0x200, len(CODE))


def test_firmware_that_is_not_there_is_told():
    container = SBSFU.open(Memory(package(b"")), 0)
    assert (container.size, container.problems) == (192, ["the firmware was not found"])


def test_a_package_without_signature_is_told():
    assert SBSFU.open(Memory(package(signature=bytes(64))), 0).detail["integrity"] == "hash"


@pytest.mark.parametrize("data", [package()[:190], b"SFU1\x01\0" + bytes(300)])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        SBSFU.open(Memory(data), 0)
