"""RBL packages: header and firmware are checked, encryption is told, a header that stands alone claims nothing else."""

from __future__ import annotations

import gzip
import struct
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.beken_rbl import FORMATS
from fwcheck.extraction.source import Memory

RBL = FORMATS[0]
FIRMWARE = gzip.compress(b"plug" * 200, mtime=0)


def rbl(firmware: bytes = FIRMWARE, algorithm: int = 0x100, crc: int | None = None) -> bytes:
    crc = zlib.crc32(firmware) if crc is None else crc
    head = struct.pack("<4sII16s24s24sIIII", b"RBL", algorithm, 1700000000, b"app", b"1.1.7", b"00", crc, 0, 800, len(firmware))
    return head + struct.pack("<I", zlib.crc32(head)) + firmware


def seeds() -> list[bytes]:
    return [rbl(), rbl(bytes(range(256)), 0x102), rbl()[:96] + b"\xff" * 64]


def test_firmware_and_fields_are_read():
    data = rbl()
    container = RBL.open(Memory(b"xxx" + data + b"behind"), 3)
    [entry] = container.entries
    assert (entry.open().read(0, entry.size), entry.role) == (FIRMWARE, "part")
    assert (container.size, container.problems) == (len(data), [])
    detail = container.detail
    assert (detail["partition"], detail["version"], detail["compression"]) == ("app", "1.1.7", "gzip")
    assert detail["integrity_detail"] == "CRC32 of the header right, CRC32 of the packed firmware right"


def test_encrypted_firmware_is_told():
    [entry] = RBL.open(Memory(rbl(algorithm=2)), 0).entries
    assert (entry.role, entry.detail["encryption"]) == ("encrypted", "AES-256-CBC, RT-Thread OTA")


def test_wrong_and_cut_firmware_is_told():
    assert RBL.open(Memory(rbl(crc=1)), 0).problems == ["wrong CRC32 of the packed firmware"]
    assert len(RBL.open(Memory(rbl()[:-4]), 0).problems) == 2


def test_a_header_alone_claims_itself():
    container = RBL.open(Memory(rbl()[:96] + b"\xff" * 4096), 0)
    assert (container.size, list(container.entries), container.problems) == (96, [], [])


@pytest.mark.parametrize("data", [rbl()[:95], rbl().replace(b"1.1.7", b"1.1.8"), rbl(algorithm=0x5)])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        RBL.open(Memory(data), 0)
