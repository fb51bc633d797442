"""Airoha packages: the firmware comes out or is told as encrypted, the hash is recomputed, sections are told."""

from __future__ import annotations

import hashlib
import lzma
import struct

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.airoha import FORMATS
from fwcheck.extraction.source import Memory

AIROHA = FORMATS[0]
FIRMWARE = lzma.compress(bytes(range(256)) * 20, lzma.FORMAT_ALONE)


def airoha(compression: int = 1, integrity: int = 1, firmware: bytes = FIRMWARE) -> bytes:
    records = struct.pack("<HHBBII", 0x11, 10, compression, integrity, 0x1000, len(firmware))
    records += struct.pack("<HHI", 0x20, 4, 7) + struct.pack("<HHIIII", 0x12, 16, 1, 0, 5120, 0x08012000)
    rest = (b"\xff" * 224 + records).ljust(0x1000 - 32, b"\xff") + firmware
    return hashlib.sha256(rest).digest() + rest


def seeds() -> list[bytes]:
    return [airoha(), airoha(0, 0), airoha(2, 2)]


@pytest.mark.parametrize(("compression", "role"), [(0, "part"), (1, "part"), (2, "encrypted")])
def test_the_firmware_comes_out_or_is_told_as_encrypted(compression, role):
    data = airoha(compression)
    container = AIROHA.open(Memory(b"??" + data + b"tail"), 2)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == FIRMWARE
    assert (container.size, container.problems, entry.role) == (len(data), [], role)
    assert container.detail["integrity_detail"] == "SHA-256 right"
    assert container.detail["sections"] == "5120 bytes to 0x08012000"


def test_a_wrong_hash_a_signature_and_a_cut_package_are_told():
    assert AIROHA.open(Memory(airoha()[:-1] + b"!"), 0).problems == ["wrong SHA-256"]
    assert AIROHA.open(Memory(airoha(1, 2)), 0).detail["integrity"] == "signature"
    assert len(AIROHA.open(Memory(airoha()[:-1]), 0).problems) == 1


def test_other_bytes_are_refused_and_truncation_raises_nothing_else():
    with pytest.raises(FormatError):
        AIROHA.open(Memory(b"\xff" * 600), 0)
    for data in truncations(airoha(), 40):
        exercise(AIROHA, data)
