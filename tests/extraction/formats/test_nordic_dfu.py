"""Nordic DFU packages: the init packet is read, the hash of the firmware recomputed, other archives are left alone."""

from __future__ import annotations

import binascii
import hashlib
import io
import json
import struct
import zipfile
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.nordic_dfu import FORMATS
from fwcheck.extraction.source import Mapped, Memory

NORDIC = FORMATS[0]
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"
FIRMWARE = b"thermometer" * 99


def field(number: int, value: int | bytes) -> bytes:
    def varint(n: int) -> bytes:
        return bytes([n & 0x7F | 0x80]) + varint(n >> 7) if n > 0x7F else bytes([n])

    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def secure(firmware: bytes = FIRMWARE, signed: bool = True) -> bytes:
    hashed = field(1, 3) + field(2, hashlib.sha256(firmware).digest()[::-1])
    init = (
        field(1, 300)
        + field(2, 52)
        + field(3, b"\xca\x01\xfe\x95\x03"[:2])
        + field(4, 0)
        + field(7, len(firmware))
        + field(8, hashed)
    )
    command = field(1, 1) + field(2, init)
    return field(2, field(1, command) + field(2, 0) + field(3, bytes(64))) if signed else field(1, command)


def legacy(firmware: bytes = FIRMWARE) -> bytes:
    return struct.pack("<HHIH2H", 0x52, 1, 7, 2, 0xB6, 0xCA) + struct.pack("<H", binascii.crc_hqx(firmware, 0xFFFF))


def package(packet: bytes, manifest: object = None) -> bytes:
    manifest = {"manifest": {"application": {"bin_file": "a.bin", "dat_file": "a.dat"}}} if manifest is None else manifest
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in (("a.bin", FIRMWARE), ("a.dat", packet), ("manifest.json", json.dumps(manifest).encode())):
            archive.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def seeds() -> list[bytes]:
    return [package(secure()), package(legacy()), package(secure(signed=False))]


def test_a_signed_package_is_told_with_its_hash():
    data = package(secure())
    container = NORDIC.open(Memory(data), 0)
    detail = container.detail
    assert (container.size, container.problems, detail["integrity"]) == (len(data), [], "signature")
    assert detail["integrity_detail"] == "application: ECDSA P-256 signature (not verified), sha256 of the firmware right"
    assert (detail["application_firmware_version"], detail["application_softdevices"]) == (300, "0xca")
    assert {entry.path: entry.open().read(0, entry.size) for entry in container.entries}["/a.bin"] == FIRMWARE


@pytest.mark.parametrize(
    ("packet", "integrity", "words", "problems"),
    [
        (secure(signed=False), "hash", "no signature, sha256 of the firmware right", []),
        (
            secure(b"other"),
            "signature",
            "ECDSA P-256 signature (not verified), sha256 of the firmware wrong",
            ["wrong sha256 of the firmware"],
        ),
        (legacy(), "checksum", "no signature, CRC16 of the firmware right", []),
        (legacy(b"other"), "checksum", "no signature, CRC16 of the firmware wrong", ["wrong CRC16 of the firmware"]),
    ],
)
def test_what_protects_a_package_is_told(packet, integrity, words, problems):
    container = NORDIC.open(Memory(package(packet)), 0)
    assert (container.detail["integrity"], container.problems) == (integrity, problems)
    assert container.detail["integrity_detail"] == f"application: {words}"


@pytest.mark.parametrize(
    "manifest", [{}, [], {"manifest": 3}, {"manifest": {"a": {}}}, {"manifest_version": 2, "name": "extension"}]
)
def test_other_archives_are_left_to_their_format(manifest):
    with pytest.raises(FormatError):
        NORDIC.open(Memory(package(secure(), manifest)), 0)


@pytest.mark.corpus
def test_a_real_package_is_right():
    path = CORPUS / "nrf-dfu-hrs-signed_hrs_application_s140_sdk160.zip"
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    detail = NORDIC.open(Mapped.open(path), 0).detail
    assert detail["integrity_detail"] == "application: ECDSA P-256 signature (not verified), sha256 of the firmware right"
