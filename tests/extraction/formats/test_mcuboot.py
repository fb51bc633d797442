"""MCUboot: payload, version and TLVs are read, the hash is recomputed, only a signature TLV makes an image signed."""

from __future__ import annotations

import hashlib
import random
import shutil
import struct
import subprocess

import pytest

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.formats.mcuboot import FORMATS
from fwcheck.extraction.source import Memory

MCUBOOT = FORMATS[0]
PAYLOAD = random.Random(1).randbytes(3001)


def image(
    tlvs: list[tuple[int, bytes]] = (), protected: list[tuple[int, bytes]] = (), flags: int = 0, header: int = 512
) -> bytes:
    def area(magic: int, entries: list[tuple[int, bytes]]) -> bytes:
        body = b"".join(struct.pack("<HH", kind, len(value)) + value for kind, value in entries)
        return struct.pack("<HH", magic, len(body) + 4) + body

    inner = area(0x6908, protected) if protected else b""
    out = struct.pack("<IIHHIIBBHI", 0x96F3B83D, 0, header, len(inner), len(PAYLOAD), flags, 1, 2, 3, 4).ljust(header, b"\0")
    out += PAYLOAD + inner
    return out + area(0x6907, [(0x10, hashlib.sha256(out).digest()), *tlvs])


def payload(container) -> bytes:
    (entry,) = container.entries
    return entry.open().read(0, entry.size)


def test_a_hash_alone_is_no_signature():
    data = image()
    container = MCUBOOT.open(Memory(b"\xff" * 32 + data + b"\xff" * 99), 32)
    assert (payload(container), container.size, container.problems) == (PAYLOAD, len(data), [])
    assert (container.detail["version"], container.detail["integrity"]) == ("1.2.3+4", "hash")
    assert container.detail["integrity_detail"] == "sha256 right, no signature"


def test_signature_key_hash_and_protected_values_are_told():
    data = image([(0x01, b"\x22" * 32), (0x22, b"\x30" * 70)], [(0x50, struct.pack("<I", 9))])
    detail = MCUBOOT.open(Memory(data), 0).detail
    assert (detail["integrity"], detail["key_hash"], detail["security_counter"]) == ("signature", "22" * 32, 9)
    assert detail["integrity_detail"] == "ECDSA P-256 signature (not verified), sha256 right"
    assert "development_key" not in detail


def test_a_published_development_key_is_recognised():
    known = bytes.fromhex("fc5701dc6135e1323847bdc40f04d2e5bee5833b23c29f93593d00018cfa9994")
    detail = MCUBOOT.open(Memory(image([(0x01, known), (0x20, bytes(range(256)))])), 0).detail
    assert "root-rsa-2048.pem" in detail["development_key"]


def test_a_changed_byte_breaks_the_hash_and_is_told():
    data = bytearray(image())
    data[700] ^= 1
    container = MCUBOOT.open(Memory(data), 0)
    assert container.problems == ["the sha256 in the TLV area does not match the image"]


def test_the_hash_of_an_encrypted_image_is_not_called_wrong():
    data = bytearray(image([(0x32, b"\x01" * 113)], flags=4))
    data[700] ^= 1
    container = MCUBOOT.open(Memory(data), 0)
    assert (container.problems, container.detail["encryption"]) == ([], "ECIES P-256")
    assert "cannot be checked" in container.detail["integrity_detail"]


def test_a_cut_payload_is_told():
    container = MCUBOOT.open(Memory(image()[:2000]), 0)
    assert (container.size, container.detail["integrity"]) == (2000, "none")
    assert container.problems


@pytest.mark.parametrize("arguments", [["--key", "key.pem"], []])
def test_images_of_imgtool_are_read(tmp_path, arguments):
    if shutil.which("imgtool") is None:
        pytest.skip("imgtool is not installed")
    (tmp_path / "app.bin").write_bytes(PAYLOAD)
    common = ["--header-size", "0x200", "--pad-header", "--align", "4", "--version", "1.2.3", "--slot-size", "0x10000"]
    subprocess.run(["imgtool", "keygen", "-k", "key.pem", "-t", "ecdsa-p256"], cwd=tmp_path, check=True)
    subprocess.run(["imgtool", "sign", *common, *arguments, "app.bin", "out.bin"], cwd=tmp_path, check=True)
    data = (tmp_path / "out.bin").read_bytes()
    container = MCUBOOT.open(Memory(data), 0)
    assert (payload(container), container.size, container.problems) == (PAYLOAD, len(data), [])
    assert container.detail["integrity"] == ("signature" if arguments else "hash")
    assert "sha256 right" in container.detail["integrity_detail"]


@pytest.mark.fuzz
def test_truncation_and_mutations_raise_nothing_else():
    randomness = random.Random(6)
    whole = image([(0x01, bytes(32)), (0x23, bytes(384))], [(0x50, bytes(4))])
    tail = len(whole) - 600
    for number in range(2000):
        data = bytearray(whole)
        for _ in range(randomness.randint(0, 5)):
            data[randomness.randrange(32) if number % 2 else tail + randomness.randrange(600)] = randomness.randrange(256)
        if number % 3 == 0:
            data = data[: randomness.randrange(len(data))]
        try:
            container = MCUBOOT.open(Memory(data), 0)
            assert container.size <= len(data)
            payload(container)
        except ExtractionError:
            continue
    with pytest.raises(FormatError):
        MCUBOOT.open(Memory(whole[:40]), 0)
