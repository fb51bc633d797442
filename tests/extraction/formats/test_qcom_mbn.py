"""Qualcomm boot images, laid out here: headers of 40 and 80 bytes, and hash segments inside ELF files."""

from __future__ import annotations

import datetime as dt
import hashlib
import random
import struct
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container
from fwcheck.extraction.formats.elf import FORMATS as ELF_FORMATS
from fwcheck.extraction.formats.qcom_mbn import FORMATS
from fwcheck.extraction.source import Memory

(MBN,) = FORMATS
(ELF,) = ELF_FORMATS
CODE = random.Random(10).randbytes(3000)
SIGNATURE = b"\x55" * 256


@cache
def chain() -> bytes:
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    out = b""
    for number, name in enumerate(("Attestation", "Root")):
        units = ("02 007B00E100000000 HW_ID", "01 0000000000000005 SW_ID")
        subject = x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
            + [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        )
        builder = x509.CertificateBuilder(subject, subject, key.public_key(), number + 1)
        begin = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
        out += builder.not_valid_before(begin).not_valid_after(begin + dt.timedelta(9)).sign(key, None).public_bytes(Encoding.DER)
    return out.ljust(1024, b"\xff")


def sbl(signed: bool = True) -> bytes:
    load, sizes = 0x8000000, (256, 1024) if signed else (0, 0)
    head = b"\xd1\xdc\x4b\x84\x34\x10\xd7\x73" + struct.pack(
        "<12I28x", 21, 0xFFFFFFFF, 0xFFFFFFFF, 80, load, 3000 + sum(sizes), 3000, load + 3000, sizes[0],
        load + 3000 + sizes[0], sizes[1], 1,
    )[:72]  # fmt: skip
    return head + CODE + (SIGNATURE + chain() if signed else b"")


def short(version: int = 3) -> bytes:
    load = 0x8F600000
    if version == 3:
        head = struct.pack("<10I", 5, 3, 0, load, 3000 + 1280, 3000, load + 3000, 256, load + 3256, 1024)
        return head + CODE + SIGNATURE + chain()
    head = struct.pack("<10I", 5, version, 256, 0, 3000 + 256 + 1280, 3000, 0xFFFFFFFF, 256, 0xFFFFFFFF, 1024)
    if version == 6:
        head += struct.pack("<II", 16, 24) + b"M" * 40
    return head + CODE + b"\x11" * 256 + SIGNATURE + chain()


def elf(*, wrong: bool = False, bits: int = 32, signed: bool = True) -> bytes:
    """An ELF file with a header segment, a hash segment behind everything else, and two segments."""
    count = 4
    width, first = (32, 52) if bits == 32 else (56, 64)
    header_size = first + count * width
    places = [(0, header_size), (header_size + 2000, 0), (header_size, 1500), (header_size + 1500, 500)]
    table = 32 * count
    sizes = (256, 1024) if signed else (0, 0)
    total = 40 + table + sum(sizes)
    places[1] = (header_size + 2000, total)
    flags = (0x07000000, 0x02200000, 7, 5)
    ident = b"\x7fELF" + bytes([1 if bits == 32 else 2, 1, 1]) + bytes(9)
    fields = (2, 40, 1, 0x1000, first, 0, 0, first, width, count, 0, 0, 0)
    head = ident + struct.pack("<HHIIIIIHHHHHH" if bits == 32 else "<HHIQQQIHHHHHH", *fields)
    for number, ((at, size), flag) in enumerate(zip(places, flags, strict=True)):
        kind = 0 if number < 2 else 1
        row = (kind, at, 0, 0, size, size, flag, 4) if bits == 32 else (kind, flag, at, 0, 0, size, size, 4)
        head += struct.pack("<8I" if bits == 32 else "<IIQQQQQQ", *row)
    body = CODE[:2000]
    image = head + body
    digests = [hashlib.sha256(image[at : at + size]).digest() for at, size in places]
    digests[1] = bytes(32)
    load = 0x1000
    segment = struct.pack(
        "<10I", 0, 3, 0, load, table + sum(sizes), table, load + table, sizes[0], load + table + sizes[0], sizes[1]
    )
    segment += b"".join(digests) + (SIGNATURE + chain() if signed else b"")
    if wrong:
        image = image[:-1] + bytes([image[-1] ^ 1])
    return image + segment


def seeds() -> list[bytes]:
    return [sbl(), short(), short(6), elf(), elf(bits=64)]


def opened(data: bytes, offset: int = 0) -> tuple[Container, dict[str, bytes]]:
    container = MBN.open(Memory(data), offset)
    return container, {each.path: each.open().read(0, each.size) for each in container.entries if each.open is not None}


def test_the_first_boot_loader() -> None:
    data = sbl()
    container, members = opened(b"R" * 100 + data + b"T" * 100, 100)
    assert container.size == len(data)
    assert members == {"code": CODE, "signature": SIGNATURE, "certificates": chain()}
    expected = {
        "type": "SBL1", "load_address": "0x08000000", "certificates": 2, "integrity": "signature",
        "integrity_detail": "signature of 256 bytes (not verified)",
    }  # fmt: skip
    assert expected.items() <= container.detail.items()
    assert "CN=Attestation" in str(container.detail["signer"])
    size = 4 + int.from_bytes(chain()[2:4], "big")
    root = chain()[size : size + 4 + int.from_bytes(chain()[size + 2 : size + 4], "big")]
    assert container.detail["root_certificate"] == hashlib.sha256(root).hexdigest()


def test_without_a_signature() -> None:
    container, members = opened(sbl(signed=False))
    assert members == {"code": CODE}
    assert container.detail["integrity"] == "none"
    cut, _ = opened(sbl()[:2000])
    assert cut.size == 2000
    assert cut.problems


@pytest.mark.parametrize("version", [3, 5, 6])
def test_short_headers(version: int) -> None:
    data = short(version)
    container, members = opened(data + b"T" * 10)
    assert container.size == len(data)
    assert members["code"] == CODE
    assert members["signature"] == SIGNATURE
    assert ("qualcomm-signature" in members) is (version > 3)
    assert container.detail["type"] == "APPSBL"


def test_other_bytes_are_refused() -> None:
    for data in (b"", sbl()[:70], b"\xd1\xdc\x4b\x84\x34\x10\xd7\x73" + b"\xff" * 100, short()[:3000],
                 struct.pack("<12I", 1, 3, 5, 7, 9, 9, 0, 0, 0, 0, 0, 0) + bytes(100)):  # fmt: skip
        with pytest.raises(FormatError):
            MBN.open(Memory(data), 0)


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("wrong", [False, True])
def test_the_hash_segment_of_an_elf_file(bits: int, *, wrong: bool) -> None:
    data = elf(bits=bits, wrong=wrong)
    container = ELF.open(Memory(b"R" * 16 + data + b"T" * 16), 16)
    assert container.size == len(data)
    verdict = "sha256 of 1 segments wrong" if wrong else "sha256 of 3 segments right"
    assert container.detail["integrity_detail"] == f"signature of 256 bytes (not verified), {verdict}"
    assert container.detail["certificates"] == 2
    assert bool(container.problems) is wrong


def test_an_unsigned_hash_segment_is_only_a_hash() -> None:
    container = ELF.open(Memory(elf(signed=False)), 0)
    assert container.detail["integrity"] == "hash"
    assert container.detail["integrity_detail"] == "no signature, sha256 of 3 segments right"
