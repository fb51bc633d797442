"""GBL: tags become parts, the CRC is recomputed, a signature tag makes a file signed, lies stay inside."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.formats.gbl import FORMATS
from fwcheck.extraction.source import Mapped, Memory

GBL = FORMATS[0]
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"
PROGRAM = (0xFE0101FE, struct.pack("<I", 0x4000) + b"code" * 100)
INFO = (0xF40A0AF4, struct.pack("<III", 1, 77, 0) + bytes(16))
SIGNATURE = (0xF70A0AF7, bytes(range(64)))


def gbl(*tags: tuple[int, bytes]) -> bytes:
    out = struct.pack("<4I", 0x03A617EB, 8, 0x03000000, 0)
    out += b"".join(struct.pack("<II", tag, len(data)) + data for tag, data in tags) + struct.pack("<II", 0xFC0404FC, 4)
    return out + struct.pack("<I", zlib.crc32(out))


def signed(key: ec.EllipticCurvePrivateKey, damage: bool = False) -> bytes:
    """A file with a certificate, whose key signs all tags before the signature."""
    numbers = key.public_key().public_numbers()
    point = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    tags = [INFO, PROGRAM, (0xF30B0BF3, b"\1\0\0\0" + point + bytes(4) + bytes(64))]
    r, s = utils.decode_dss_signature(key.sign(gbl(*tags)[:-12], ec.ECDSA(hashes.SHA256())))
    return gbl(*tags, (0xF70A0AF7, (r ^ damage).to_bytes(32, "big") + s.to_bytes(32, "big")))


def seeds() -> list[bytes]:
    encrypted = gbl((0xFA0606FA, bytes(16)), (0xF90707F9, bytes(range(200))), SIGNATURE)
    return [gbl(INFO, PROGRAM, (0xF50909F5, b"abc"), SIGNATURE), encrypted, signed(ec.derive_private_key(9, ec.SECP256R1()))]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


def test_program_and_application_are_read():
    data = gbl(INFO, PROGRAM)
    container = GBL.open(Memory(b"?" + data + b"tail"), 1)
    assert (container.size, container.problems) == (len(data), [])
    assert contents(container) == {"program-0@0x00004000": b"code" * 100}
    assert (container.detail["application_version"], container.detail["encrypted"]) == (77, "no")
    assert (container.detail["integrity"], container.detail["integrity_detail"]) == ("checksum", "no signature, CRC32 right")


def test_a_signature_tag_is_told():
    detail = GBL.open(Memory(gbl(INFO, PROGRAM, SIGNATURE)), 0).detail
    assert (detail["integrity"], detail["integrity_detail"]) == ("signature", "ECDSA P-256 signature (not verified), CRC32 right")


def test_a_signature_is_verified_with_the_certificate_in_the_file():
    key = ec.derive_private_key(9, ec.SECP256R1())
    detail = GBL.open(Memory(signed(key)), 0).detail
    assert detail["integrity_detail"] == "ECDSA P-256 signature (valid for the key beside it), CRC32 right"
    assert GBL.open(Memory(signed(key, damage=True)), 0).problems == ["signature: invalid for the key beside it"]


def test_encrypted_tags_are_told():
    container = GBL.open(Memory(gbl((0xFA0606FA, bytes(16)), (0xF90707F9, b"secret"))), 0)
    [entry] = container.entries
    assert (entry.role, entry.detail["encryption"]) == ("encrypted", "AES-128-CTR, GBL")


def test_delta_and_dependency_tags_are_known():
    container = GBL.open(Memory(gbl((0x76A617EB, bytes(8)), (0xF80A0AF8, b"patch"))), 0)
    assert (contents(container), container.problems) == ({"delta-0": b"patch"}, [])


def test_a_changed_byte_is_told():
    data = bytearray(gbl(INFO, PROGRAM))
    data[100] ^= 1
    assert GBL.open(Memory(data), 0).problems == ["wrong CRC32 in the end tag"]


def test_a_cut_file_gives_its_whole_tags():
    container = GBL.open(Memory(gbl(INFO, PROGRAM, SIGNATURE)[:-80]), 0)
    assert contents(container) == {"program-0@0x00004000": b"code" * 100}
    assert container.problems


def test_a_header_alone_is_refused():
    with pytest.raises(FormatError):
        GBL.open(Memory(gbl()[:16] + bytes(100)), 0)


def test_mutations_raise_nothing_else():
    randomness = random.Random(4)
    whole = gbl(INFO, PROGRAM, (0xF50909F5, b"abc"), SIGNATURE)
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(randomness.randint(1, 5)):
            data[randomness.randrange(len(data))] = randomness.randrange(256)
        data = data[: randomness.randrange(len(data) + 1)]
        try:
            container = GBL.open(Memory(data), 0)
            assert sum(map(len, contents(container).values())) <= container.size <= len(data)
        except ExtractionError:
            continue


@pytest.mark.corpus
def test_a_real_encrypted_image_is_signed_and_right_to_the_crc():
    path = CORPUS / "zb-hue-efr32mg26_100B-0129-01000D06-Light-EFR32MG26.zigbee"
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    container = GBL.open(Mapped.open(path), 0x404)
    assert (container.problems, container.size, container.detail["encrypted"]) == ([], 812943, "yes")
    assert container.detail["integrity"] == "signature"
