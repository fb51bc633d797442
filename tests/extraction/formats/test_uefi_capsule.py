"""Capsules: payloads and drivers come out, the certificate and the versions in front of them are told."""

from __future__ import annotations

import struct
from uuid import UUID

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.uefi_capsule import FORMATS
from fwcheck.extraction.source import Memory

CAPSULE = FORMATS[0]
FMP = UUID("6dcbd5ed-e82d-4c44-bda1-7194199ad92a")
AMI = UUID("4a3ca68b-7723-48fb-803d-578cc1fec44d")
INTEL = UUID("539182b9-abb5-4391-b69a-e3a943f72fcc")
PKCS7 = UUID("4aafd29d-68df-49ee-8aa9-347d375665a7")
DEVICE = UUID(int=77)
IMAGE = b"firmware " * 40


def capsule(guid: UUID, body: bytes, header: int = 32) -> bytes:
    return (guid.bytes_le + struct.pack("<III", header, 0x50000, header + len(body))).ljust(header, b"\0") + body


def authenticated(content: bytes, lowest: int = 3) -> bytes:
    versioned = b"MSS1" + struct.pack("<III", 16, 7, lowest) + content
    certificate = b"\x30\x82" + bytes(200)
    return struct.pack("<QIHH", 1, 24 + len(certificate), 0x200, 0xEF1) + PKCS7.bytes_le + certificate + versioned


def managed(content: bytes = IMAGE, version: int = 3, driver: bytes = b"MZ driver", signed: bool = True) -> bytes:
    body = authenticated(content) if signed else content
    payload = struct.pack("<I16sB3xII", version, DEVICE.bytes_le, 1, len(body), 6)
    payload += struct.pack("<Q", 5) if version > 1 else b""
    payload += struct.pack("<Q", 1 if signed else 0) if version > 2 else b""
    payload += body + b"vendor"
    table = struct.pack("<IHH", 1, 1, 1) + struct.pack("<QQ", 24, 24 + len(driver))
    return capsule(FMP, table + driver + payload)


def seeds() -> list[bytes]:
    return [managed(), managed(version=1, signed=False), capsule(INTEL, IMAGE, 80), capsule(AMI, IMAGE, 300)]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


@pytest.mark.parametrize("version", [1, 2, 3])
def test_payload_driver_and_vendor_code_come_out(version):
    image = managed(version=version)
    container = CAPSULE.open(Memory(b"\0" * 8 + image + b"after"), 8)
    found = contents(container)
    assert container.size == len(image)
    assert (found["payload-0"], found["driver-0"], found["payload-0-vendor-code"]) == (IMAGE, b"MZ driver", b"vendor")
    assert container.detail["integrity"] == "signature"
    assert "PKCS #7" in container.detail["integrity_detail"]
    payload = next(entry for entry in container.entries if entry.path == "payload-0")
    assert (payload.detail["firmware_version"], payload.detail["lowest_supported_version"]) == (7, 3)
    assert payload.detail["device"] == str(DEVICE)
    assert not container.problems


def test_an_unsigned_payload_is_said_to_be_so():
    container = CAPSULE.open(Memory(managed(signed=False)), 0)
    assert contents(container)["payload-0"] == IMAGE
    assert container.detail["integrity"] == "none"


def test_vendors_capsules_are_one_image():
    for guid, header in ((INTEL, 80), (AMI, 300)):
        container = CAPSULE.open(Memory(capsule(guid, IMAGE, header)), 0)
        assert contents(container) == {"image": IMAGE}


def test_a_table_that_lies_leaves_the_content_to_be_searched():
    image = bytearray(managed())
    struct.pack_into("<Q", image, 32 + 8, 1 << 40)
    container = CAPSULE.open(Memory(image), 0)
    assert list(contents(container)) == ["image"]
    assert container.problems


def test_a_cut_capsule_is_told():
    image = managed()[:-50]
    container = CAPSULE.open(Memory(image), 0)
    assert container.size == len(image)
    assert container.problems


def test_other_headers_are_refused():
    for image in (capsule(UUID(int=5), IMAGE), capsule(FMP, b"")[:28], capsule(INTEL, IMAGE)[:16] + bytes(40)):
        with pytest.raises(FormatError):
            CAPSULE.open(Memory(image), 0)
