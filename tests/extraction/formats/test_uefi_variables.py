"""$VSS: live variables are files, deleted ones are counted, lies stay inside."""

from __future__ import annotations

import struct
from uuid import UUID

import pytest
from support.uefi_images import variable

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.uefi_variables import FORMATS
from fwcheck.extraction.source import Memory

VSS = FORMATS[0]
GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")


def vss(*variables: bytes) -> bytes:
    body = b"".join(variables) + b"\xff" * 100
    return b"$VSS" + struct.pack("<IBB6x", 16 + len(body), 0x5A, 0xFE) + body


def seeds() -> list[bytes]:
    return [vss(*(variable(f"Boot000{n}", GLOBAL, b"x" * n, authenticated=False) for n in range(1, 5)))]


def test_variables_are_files():
    image = vss(
        variable("Setup", GLOBAL, b"settings", authenticated=False),
        variable("Setup", GLOBAL, b"before", 0x3C, authenticated=False),
        variable("Setup", GLOBAL, b"again", authenticated=False),
    )
    container = VSS.open(Memory(b"\xff" * 64 + image + b"after"), 64)
    found = {entry.path: entry.open().read(0, entry.size) for entry in container.entries}
    assert container.size == len(image)
    assert found["/global/Setup"] == b"settings"
    assert sorted(found.values()) == [b"again", b"settings"]
    assert (container.detail["deleted_variables"], container.detail["platform_key"]) == (1, "not enrolled: setup mode")


def test_sizes_that_lie_end_the_list():
    image = bytearray(seeds()[0])
    struct.pack_into("<I", image, 16 + 12, 1 << 30)
    assert not list(VSS.open(Memory(image), 0).entries)


def test_other_bytes_are_refused():
    with pytest.raises(FormatError):
        VSS.open(Memory(b"$VSS" + bytes(40)), 0)
