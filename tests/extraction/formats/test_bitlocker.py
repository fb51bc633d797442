"""BitLocker volumes, laid out here as the specification of libbde says."""

from __future__ import annotations

import random
import struct
from uuid import UUID

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.bitlocker import FORMATS
from fwcheck.extraction.source import Memory

(BITLOCKER,) = FORMATS
VOLUME = UUID("11223344-5566-7788-99aa-bbccddeeff00")
GUID = UUID("4967d63b-2e29-4ad8-8399-f6a339e3d001").bytes_le
PLACES = (4096, 8192, 12288)
SIZE = 20480


def metadata(protections: tuple[int, ...]) -> bytes:
    body = b"".join(
        struct.pack("<4H16sQHH20x", 56, 2, 8, 1, b"g", 0, 0, protection) for protection in protections
    ) + struct.pack("<4H8x", 16, 7, 2, 1)  # fmt: skip
    created = (1_600_000_000 + 11_644_473_600) * 10_000_000
    head = struct.pack("<IIII16sIIQ", 48 + len(body), 1, 48, 48 + len(body), VOLUME.bytes_le, 1, 0x8004, created)
    return b"-FVE-FS-" + struct.pack("<HHIQQ3Q8x", 64, 2, 0, SIZE, 0, *PLACES) + head + body


def image(protections: tuple[int, ...] = (0x100, 0x800), *, removable: bool = False) -> bytes:
    boot = bytearray(512)
    boot[:3], boot[510:] = b"\xeb\x58\x90", b"\x55\xaa"
    boot[3:11] = b"MSWIN4.1" if removable else b"-FVE-FS-"
    at = 424 if removable else 160
    boot[at : at + 40] = GUID + struct.pack("<3Q", *PLACES)
    out = bytearray(bytes(boot) + random.Random(9).randbytes(SIZE - 512))
    for place in PLACES:
        one = metadata(protections)
        out[place : place + len(one)] = one
    return bytes(out)


def seeds() -> list[bytes]:
    return [image(), image(removable=True)]


@pytest.mark.parametrize("removable", [False, True])
def test_a_volume_is_told(*, removable: bool) -> None:
    data = image(removable=removable)
    container = BITLOCKER.open(Memory(b"R" * 512 + data + b"T" * 512), 512)
    assert container.size == SIZE
    expected = {
        "method": "AES-128-XTS", "volume": str(VOLUME), "created": 1_600_000_000, "protectors": "TPM, recovery password",
        "kind": "removable" if removable else "fixed", "integrity_detail": "3 of 3 copies of the metadata there",
    }  # fmt: skip
    assert expected.items() <= container.detail.items()
    assert container.problems == []
    (payload,) = container.entries
    assert (payload.role, payload.offset, payload.size) == ("encrypted", 1024, SIZE - 512)
    assert payload.detail["encryption"] == "BitLocker, AES-128-XTS"
    assert payload.open is not None
    assert payload.open().read(0, payload.size) == data[512:]


def test_a_clear_key_is_told() -> None:
    assert BITLOCKER.open(Memory(image((0,))), 0).detail["protectors"] == "clear key"


def test_what_is_broken() -> None:
    data = bytearray(image())
    data[4096] ^= 1
    container = BITLOCKER.open(Memory(bytes(data)), 0)
    assert container.detail["integrity_detail"] == "2 of 3 copies of the metadata there"
    assert len(container.problems) == 1
    cut = BITLOCKER.open(Memory(image()[:10000]), 0)
    assert cut.size == 10000
    assert any("are there" in problem for problem in cut.problems)
    for other in (image()[:500], bytes(510) + b"\x55\xaa", image()[:3] + bytes(20000)):
        with pytest.raises(FormatError):
            BITLOCKER.open(Memory(other), 0)
