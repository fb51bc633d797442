"""CFE: told by its marks, ended by what follows it in flash."""

from __future__ import annotations

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.cfe import FORMATS
from fwcheck.extraction.source import Memory

CFE = FORMATS[0]


def cfe(xdsl: bool = False, size: int = 0x10000) -> bytes:
    image = bytearray(b"\x10\x00\x02\x7b" * (size // 4))
    if xdsl:
        image[0x570:0x578] = b"cfe-v\x01\x00\x26"
    else:
        image[0x4E0:0x4E8] = b"CFE1CFE1"
        image[0x600:0x618] = b"CFE version 5.10.128.2 f"
    return bytes(image)


def seeds() -> list[bytes]:
    return [cfe(size=0xF000), cfe(xdsl=True, size=0xF000)]


@pytest.mark.parametrize(("xdsl", "version"), [(False, "5.10.128.2"), (True, "1.0.38")])
@pytest.mark.parametrize("behind", [b"HDR0" + bytes(100), b"\xff" * 200, b"FLSH", b"6\0\0\0Broadcom Corporatio", b""])
def test_a_boot_loader_ends_where_something_else_begins(xdsl, version, behind):
    container = CFE.open(Memory(b"?" * 16 + cfe(xdsl, 0x20000) + behind), 16)
    (entry,) = container.entries
    assert (container.size, entry.role, entry.size) == (0x20000, "file", 0x20000)
    assert container.detail["version"] == version


def test_without_a_mark_or_an_end_there_is_none():
    with pytest.raises(FormatError):
        CFE.open(Memory(bytes(0x1000)), 0)
    with pytest.raises(FormatError):
        CFE.open(Memory(cfe(size=0x200000)), 0)


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(cfe(), 30):
        exercise(CFE, data)
