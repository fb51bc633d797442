"""Espressif images: extent, checksum, hash, description and Secure Boot blocks are read and recomputed."""

from __future__ import annotations

import hashlib
import random
import struct
import zlib
from functools import reduce
from operator import xor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.formats.esp import FORMATS
from fwcheck.extraction.source import Mapped, Memory

ESP = FORMATS[0]
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"
DATA = random.Random(1).randbytes(5000)


def description() -> bytes:
    text = b"1.2.3".ljust(32, b"\0") + b"sensor".ljust(32, b"\0") + b"12:00:00".ljust(16, b"\0") + b"Jan  1 2026".ljust(16, b"\0")
    raw = struct.pack("<II8x", 0xABCD5432, 7) + text + b"v5.3.1".ljust(32, b"\0") + b"\x11" * 32
    return raw.ljust(256, b"\0")


def image(chip: int | None = 0, hashed: bool = True, segments: list[tuple[int, bytes]] | None = None) -> bytes:
    """An image as esptool writes it; ``chip`` None is the ESP8266."""
    parts = segments or [(0x3F400020, description() + DATA), (0x400D0020, DATA[:400])]
    out = struct.pack("<BBBBI", 0xE9, len(parts), 2, 0x20, 0x40081234)
    if chip is not None:
        out += struct.pack("<B3xHBHH4xB", 0xEE, chip, 0, 0, 0, hashed)
    for address, data in parts:
        out += struct.pack("<II", address, len(data)) + data
    out += bytes(15 - len(out) % 16)
    out += bytes([reduce(xor, b"".join(data for _, data in parts), 0xEF)])
    return out + (hashlib.sha256(out).digest() if hashed and chip is not None else b"")


def signature_sector(padded: bytes, key: rsa.RSAPrivateKey) -> bytes:
    digest = hashlib.sha256(padded).digest()
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    signature = key.sign(digest, pss, utils.Prehashed(hashes.SHA256()))
    numbers = key.public_key().public_numbers()
    block = struct.pack("<BBxx", 0xE7, 2) + digest + numbers.n.to_bytes(384, "little") + struct.pack("<I", numbers.e)
    block += bytes(384) + bytes(4) + signature[::-1]
    block += struct.pack("<I", zlib.crc32(block)) + bytes(16)
    return block.ljust(4096, b"\xff")


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 3072)


def image_v2(irom: bytes = DATA[:4000]) -> bytes:
    """An ESP8266 image of the second generation, as esptool's elf2image writes it."""
    out = struct.pack("<BBBBIII", 0xEA, 4, 0, 0, 0x40100004, 0, len(irom)) + irom
    out += image(None, segments=[(0x40100000, DATA[:400]), (0x3FFE8000, DATA[:80])])
    value = zlib.crc32(out)
    return out + struct.pack("<I", value ^ 0xFFFFFFFF if value >> 31 else value + 1)


def ecdsa_sector(padded: bytes, curve: ec.EllipticCurve, number: int) -> bytes:
    wide = curve.key_size == 384
    kind = hashes.SHA384() if wide else hashes.SHA256()
    digest = hashlib.new(kind.name, padded).digest()
    secret = ec.derive_private_key(0x1234567890ABCDEF, curve)
    point = secret.public_key().public_numbers()
    r, s = utils.decode_dss_signature(secret.sign(digest, ec.ECDSA(utils.Prehashed(kind))))
    size = curve.key_size // 8
    fields = [(a.to_bytes(size, "little") + b.to_bytes(size, "little")).ljust(64, b"\0") for a, b in ((point.x, point.y), (r, s))]
    block = struct.pack("<BBBx", 0xE7, 3, wide) + digest + bytes([number]) + b"".join(fields)
    block = block.ljust(1196, b"\0")
    return (block + struct.pack("<I", zlib.crc32(block)) + bytes(16)).ljust(4096, b"\xff")


def seeds() -> list[bytes]:
    whole = image()
    padded = whole.ljust(-(-len(whole) // 4096) * 4096, b"\xff")
    return [
        whole,
        image(None, segments=[(0x40201010, DATA[:600])]),
        image_v2(DATA[:400]),
        padded + ecdsa_sector(padded, ec.SECP256R1(), 2),
    ]


def segments_of(container) -> list[bytes]:
    return [entry.open().read(0, entry.size) for entry in container.entries]


@pytest.mark.parametrize(("chip", "name"), [(0, "ESP32"), (5, "ESP32-C3"), (13, "ESP32-C6"), (9, "ESP32-S3")])
def test_segments_hash_and_description_are_read(chip, name):
    data = image(chip)
    container = ESP.open(Memory(b"\xff" * 64 + data + b"\xff" * 64), 64)
    detail = container.detail
    assert (container.size, container.problems) == (len(data), [])
    assert segments_of(container) == [description() + DATA, DATA[:400]]
    assert (detail["chip"], detail["project"], detail["version"], detail["idf_version"]) == (name, "sensor", "1.2.3", "v5.3.1")
    assert (detail["secure_version"], detail["integrity"]) == (7, "hash")
    assert detail["integrity_detail"] == "checksum byte, SHA-256 right"


def test_an_esp8266_image_has_a_checksum_only():
    data = image(None, segments=[(0x40201010, DATA[:4000]), (0x3FFE8000, DATA[:100])])
    container = ESP.open(Memory(data + b"\xff" * 100), 0)
    assert (container.size, container.detail["chip"], container.detail["integrity"]) == (len(data), "ESP8266", "checksum")


def test_a_changed_byte_is_told_by_checksum_and_hash():
    data = bytearray(image())
    data[3000] ^= 1
    container = ESP.open(Memory(data), 0)
    assert container.problems == ["wrong image checksum", "the appended SHA-256 does not match the image"]


def test_a_changed_byte_of_an_image_without_description_is_no_image():
    data = bytearray(image(None, segments=[(0x40201010, DATA[:4000])]))
    data[300] ^= 1
    with pytest.raises(FormatError):
        ESP.open(Memory(data), 0)


def test_a_secure_boot_block_is_verified_with_the_key_beside_it(key):
    data = image()
    padded = data.ljust(-(-len(data) // 4096) * 4096, b"\xff")
    container = ESP.open(Memory(padded + signature_sector(padded, key) + b"tail"), 0)
    assert container.size == len(padded) + 4096
    assert container.detail["integrity"] == "signature"
    assert "RSA-3072 PSS signature of Secure Boot V2 (valid for the key beside it)" in container.detail["integrity_detail"]
    assert not container.problems


@pytest.mark.parametrize(("at", "word"), [(900, "wrong CRC32"), (10, "wrong CRC32"), (None, "wrong image hash")])
def test_a_damaged_secure_boot_block_is_told(key, at, word):
    data = image()
    padded = data.ljust(-(-len(data) // 4096) * 4096, b"\xff")
    sector = bytearray(signature_sector(padded if at else padded + b"other", key))
    if at:
        sector[at] ^= 1
    container = ESP.open(Memory(padded + sector), 0)
    assert any(word in problem for problem in container.problems)


def test_a_foreign_signature_is_told_as_invalid(key):
    data = image()
    padded = data.ljust(-(-len(data) // 4096) * 4096, b"\xff")
    sector = bytearray(signature_sector(padded, key))
    sector[812] ^= 1
    sector[1196:1200] = struct.pack("<I", zlib.crc32(sector[:1196]))
    assert "invalid for the key beside it" in ESP.open(Memory(padded + sector), 0).detail["integrity_detail"]


@pytest.mark.parametrize(("curve", "number"), [(ec.SECP256R1(), 2), (ec.SECP384R1(), 3), (ec.SECP192R1(), 1)])
def test_an_ecdsa_block_is_verified_with_the_key_beside_it(curve, number):
    data = image(13)
    padded = data.ljust(-(-len(data) // 4096) * 4096, b"\xff")
    sector = ecdsa_sector(padded, curve, number)
    words = f"ECDSA P-{curve.key_size} signature of Secure Boot V2"
    assert f"{words} (valid for the key beside it)" in ESP.open(Memory(padded + sector), 0).detail["integrity_detail"]
    foreign = bytearray(sector)
    foreign[150 if number == 3 else 101] ^= 1
    foreign[1196:1200] = struct.pack("<I", zlib.crc32(foreign[:1196]))
    assert f"{words} (invalid for the key beside it)" in ESP.open(Memory(padded + foreign), 0).detail["integrity_detail"]


def test_an_esp8266_image_of_the_second_generation_is_read():
    data = image_v2()
    container = ESP.open(Memory(b"\xff" * 16 + data + b"\xff" * 16), 16)
    assert (container.size, container.problems, container.detail["integrity_detail"]) == (
        len(data),
        [],
        "checksum byte, CRC32 right",
    )
    assert segments_of(container) == [DATA[:4000], DATA[:400], DATA[:80]]
    changed = bytearray(data)
    changed[100] ^= 1
    assert ESP.open(Memory(changed), 0).problems == ["wrong CRC32"]


def test_the_filling_behind_the_boot_loader_of_the_arduino_core_belongs_to_it():
    data = image(None, segments=[(0x4010F000, DATA[:3000])])
    container = ESP.open(Memory(data.ljust(4096, b"\xaa") + image(None, segments=[(0x40201010, DATA[:600])])), 0)
    assert container.size == 4096


def crc_of_eboot(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return value


def test_an_application_of_core_3_holds_size_and_crc_in_its_first_segment():
    front = image(None, segments=[(0x4010F000, DATA[:3000])]).ljust(4096, b"\xaa")
    back = image(None, segments=[(0x40201010, bytes(8) + DATA[:602]), (0x40100000, DATA[:394]), (0x3FFE8000, DATA[:77])])
    stamp = struct.pack("<II", 4096 + len(back), crc_of_eboot(front + back))
    data = front + back[:16] + stamp + back[24:]
    container = ESP.open(Memory(data), 4096)
    assert (container.size, container.problems) == (len(back), [])
    assert container.detail["integrity_detail"] == "checksum byte, CRC32 of boot loader and application right"
    alone = ESP.open(Memory(data[4096:]), 0)  # the application without its boot loader: nothing to make the CRC of
    assert (alone.size, alone.detail["integrity_detail"]) == (len(back), "checksum byte")
    with pytest.raises(FormatError):
        ESP.open(Memory(data[:-20] + bytes([data[-20] ^ 1]) + data[-19:]), 4096)
    wrong = ESP.open(Memory(b"\xe9" + bytes(4095) + data[4096:]), 4096)
    assert wrong.problems == ["wrong CRC32 of boot loader and application"]


def test_the_crc_of_an_arduino_image_is_recomputed():
    front = image(None, segments=[(0x4010F000, DATA[:3000])]).ljust(4088, b"\xaa")
    back = image(None, segments=[(0x40201010, DATA[:600])])
    value = crc_of_eboot(front + bytes(8) + back)
    data = front + struct.pack("<II", 4096 + len(back), value) + back
    container = ESP.open(Memory(data), 0)
    assert (container.size, container.problems) == (4096, [])
    assert container.detail["integrity_detail"] == "checksum byte, CRC32 of boot loader and application right"
    assert ESP.open(Memory(data[:-1] + b"?"), 0).problems == ["wrong CRC32 of boot loader and application"]


@pytest.mark.corpus
def test_a_real_arduino_image_is_explained_whole():
    path = CORPUS / "tasmota-8.5.0_tasmota.bin"
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    container = ESP.open(Mapped.open(path), 0)
    assert (container.size, container.problems) == (4096, [])
    assert "CRC32 of boot loader and application right" in container.detail["integrity_detail"]


def test_padding_behind_an_image_is_no_signature():
    assert ESP.open(Memory(image() + bytes(200)), 0).detail["integrity"] == "hash"


def test_a_version_1_signature_is_told():
    container = ESP.open(Memory(image() + bytes(4) + random.Random(3).randbytes(64)), 0)
    assert container.detail["integrity"] == "signature"
    assert container.size == len(image()) + 68


def test_truncation_and_mutations_raise_nothing_else():
    randomness = random.Random(5)
    for number in range(800):
        data = bytearray(image(0 if number % 2 else None, segments=None if number % 2 else [(0x40201010, DATA[:600])]))
        for _ in range(randomness.randint(0, 5)):
            data[randomness.randrange(80)] = randomness.randrange(256)
        data = data[: randomness.randrange(len(data) + 1)]
        try:
            container = ESP.open(Memory(data), 0)
            assert container.size <= len(data)
            segments_of(container)
        except ExtractionError:
            continue


@pytest.mark.corpus
def test_a_real_signed_boot_loader_is_verified():
    path = CORPUS / "esp-bootloader-signed-v2-rsa_bootloader_signed_v2_rsa.bin"
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    container = ESP.open(Mapped.open(path), 0)
    assert str(container.detail["key_digests"]).startswith("cb2791a3")
    assert "valid for the key beside it" in container.detail["integrity_detail"]
