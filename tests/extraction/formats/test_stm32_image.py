"""STM32MP images: both header versions, the payload checksum, signatures and encryption as they are told."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.stm32_image import FORMATS
from fwcheck.extraction.source import Memory

STM32 = FORMATS[0]
KEY = ec.derive_private_key(0x57, ec.SECP256R1())
PAYLOAD = b"\x1f\x20\x03\xd5" * 300


def pair(first: int, second: int) -> bytes:
    return first.to_bytes(32, "big") + second.to_bytes(32, "big")


def stm32(major: int = 1, signed: bool = False, flags: int | None = None) -> bytes:
    signature = random.Random(3).randbytes(64) if signed and major == 2 else bytes(64)
    flags = (0 if signed or major == 2 else 1) if flags is None else flags
    fields = (sum(PAYLOAD), major << 16, len(PAYLOAD), 0x2FFC2500, 0, 0x2FFC2500, 0, 7, flags)
    point = KEY.public_key().public_numbers()
    head = b"STM2" + signature + struct.pack("<9I", *fields)
    if major == 1:
        image = head + struct.pack("<I64s83xB", 1, pair(point.x, point.y) if signed else bytes(64), 0x10) + PAYLOAD
        numbers = utils.decode_dss_signature(KEY.sign(image[72:], ec.ECDSA(hashes.SHA256())))
        return image[:4] + pair(*numbers) + image[68:] if signed else image
    return head + struct.pack("<II16x", 0x180, 0x10) + bytes(0x180) + PAYLOAD


def seeds() -> list[bytes]:
    return [stm32(), stm32(signed=True), stm32(2, signed=True), stm32(2, flags=3)]


@pytest.mark.parametrize(("major", "signed"), [(1, False), (1, True), (2, False), (2, True)])
def test_header_and_payload_are_read(major, signed):
    image = stm32(major, signed)
    container = STM32.open(Memory(b"?" * 3 + image + b"tail"), 3)
    (entry,) = container.entries
    assert (entry.role, entry.open().read(0, entry.size)) == ("part", PAYLOAD)
    assert (container.size, container.problems) == (len(image), [])
    assert (container.detail["header_version"], container.detail["binary_type"]) == (f"{major}.0", "TF-A BL2")
    assert container.detail["integrity"] == ("signature" if signed else "checksum")


def test_an_encrypted_payload_is_told():
    (entry,) = STM32.open(Memory(stm32(2, flags=3)), 0).entries
    assert (entry.role, entry.detail["encryption"]) == ("encrypted", "AES-128, STM32MP boot")


def test_a_wrong_checksum_is_told_when_signed_and_refused_otherwise():
    image = bytearray(stm32(signed=True))
    image[-1] ^= 1
    assert STM32.open(Memory(image), 0).problems == [
        "wrong payload checksum",
        "ECDSA signature (invalid for the key beside it)",
    ]
    image = bytearray(stm32())
    image[-1] ^= 1
    with pytest.raises(FormatError):
        STM32.open(Memory(image), 0)


def test_a_cut_image_is_told():
    container = STM32.open(Memory(stm32()[:-100]), 0)
    assert (container.size, len(container.problems)) == (len(stm32()) - 100, 1)


@pytest.mark.skipif(shutil.which("mkimage") is None, reason="mkimage is not installed")
def test_an_image_of_the_real_tool_is_read(tmp_path):
    (tmp_path / "code").write_bytes(PAYLOAD)
    command = ["mkimage", "-T", "stm32image", "-a", "0x2ffc2500", "-e", "0x2ffc2500", "-d", "code", "out"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    image = (tmp_path / "out").read_bytes()
    container = STM32.open(Memory(image + b"tail"), 0)
    (entry,) = container.entries
    assert (entry.open().read(0, entry.size), container.size, container.problems) == (PAYLOAD, len(image), [])
    assert container.detail["load_address"] == "0x2ffc2500"


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(stm32(2), 60):
        exercise(STM32, data)
