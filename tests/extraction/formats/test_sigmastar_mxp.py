"""SigmaStar partition lists: names and places are told, the list ends at its end record."""

from __future__ import annotations

import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.sigmastar_mxp import FORMATS
from fwcheck.extraction.source import Memory

MXP = FORMATS[0]


def record(kind: int, name: bytes = b"", start: int = 0, size: int = 0, backup: bytes = b"") -> bytes:
    fields = (kind, 0, 0, start, size, 0x1000, size // 0x1000, name, backup, b"\xff" * 32, b"", 0xFFFFFFFF, 0xF6, b"TPXM", b"")
    return struct.pack("<4s4BQQII16s16s32s24sIB4s7s", b"MXPT", 1, *fields)


def table() -> bytes:
    return record(0) + record(1, b"IPL", 0, 0x10000) + record(2, b"KERNEL", 0x60000, 0x200000, b"KERNEL_BAK") + record(255)


def seeds() -> list[bytes]:
    return [table(), table() + b"\xff" * 4096]


def test_partitions_are_told():
    container = MXP.open(Memory(b"\xff" * 16 + table() + b"\xff" * 300), 16)
    assert container.size == len(table()) == 4 * 136
    assert container.detail["partitions"] == "IPL 0x0+0x10000 (ready); KERNEL 0x60000+0x200000 (ready, backup KERNEL_BAK)"
    assert container.detail["records"] == 4


def test_a_list_without_its_end_record_ends_where_records_end():
    assert MXP.open(Memory(table()[: 3 * 136] + b"\xff" * 300), 0).size == 3 * 136


def test_other_bytes_are_refused():
    with pytest.raises(FormatError):
        MXP.open(Memory(table().replace(b"TPXM", b"XXXX")), 0)
