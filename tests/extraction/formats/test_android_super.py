"""Logical partitions, laid out here as metadata_format.h says."""

from __future__ import annotations

import hashlib
import random
import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container
from fwcheck.extraction.formats.android_super import FORMATS
from fwcheck.extraction.source import Memory

(SUPER,) = FORMATS
NOISE = random.Random(4).randbytes(512 * 6)
SLOT = 1024
DATA = 24576  # first byte behind the metadata of two slots


def sealed(raw: bytes, at: int) -> bytes:
    return raw[:at] + hashlib.sha256(raw).digest() + raw[at + 32 :]


def geometry() -> bytes:
    return sealed(struct.pack("<II32sIII", 0x616C4467, 52, b"", SLOT, 2, 4096), 8).ljust(4096, b"\0")


def metadata(names: tuple[bytes, ...] = (b"system_a", b"vendor_a", b"system_b"), *, minor: int = 2, device: int = 0) -> bytes:
    first = DATA // 512
    extents = [(2, 0, first + 3, 0), (4, 1, 0, 0), (1, 0, first, 0), (3, 0, first + 1, device)]
    counts = [(0, 3), (3, 1), (4, 0)]
    tables = b"".join(struct.pack("<36sIIII", name, 1, *count, 1) for name, count in zip(names, counts, strict=True))
    tables += b"".join(struct.pack("<QIQI", *extent) for extent in extents)
    tables += struct.pack("<36sIQ", b"default", 0, 0) + struct.pack("<36sIQ", b"group_a", 0, 1 << 30)
    tables += struct.pack("<QIIQ36sI", first, 0, 0, DATA + len(NOISE), b"super", 0)
    sizes = [(0, 3, 52), (156, 4, 24), (252, 2, 48), (348, 1, 64)]
    size = 256 if minor == 2 else 128
    head = struct.pack("<IHHI32sI32s", 0x414C5030, 10, minor, size, b"", len(tables), hashlib.sha256(tables).digest())
    head += b"".join(struct.pack("<III", *each) for each in sizes)
    if minor == 2:
        head += struct.pack("<I124x", 1)
    return (sealed(head, 12) + tables).ljust(SLOT, b"\0")


def image(other: bytes | None = None, **options: int) -> bytes:
    one = metadata(**options)
    slots = one + (other or one)
    head = bytes(4096) + geometry() * 2 + slots * 2
    return head.ljust(DATA, b"\0") + NOISE


def seeds() -> list[bytes]:
    return [image(), image(metadata((b"system_a", b"odm_a", b"system_b"))), geometry() + metadata(minor=0)]


def opened(data: bytes, offset: int = 0) -> tuple[Container, dict[str, bytes]]:
    container = SUPER.open(Memory(data), offset)
    members = {}
    for entry in container.entries:
        assert entry.open is not None
        content = entry.open()
        assert content.size == entry.size
        members[entry.path] = content.read(0, content.size)
        if entry.offset is not None:
            assert data[entry.offset : entry.offset + entry.size] == members[entry.path]
    return container, members


@pytest.mark.parametrize("minor", [0, 2])
def test_partitions_are_joined_from_their_extents(minor: int) -> None:
    data = image(minor=minor)
    container, members = opened(b"R" * 512 + data + b"T" * 512, 512)
    assert container.size == len(data)
    assert members == {
        "system_a": NOISE[512 * 3 : 512 * 5] + bytes(2048) + NOISE[:512],
        "vendor_a": NOISE[512:2048],
    }
    expected = {"partitions": "system_a, vendor_a, system_b", "groups": "default, group_a", "devices": "super", "slots": 2}
    assert expected.items() <= container.detail.items()
    assert container.problems == []
    assert ("flags" in container.detail) is (minor == 2)


def test_what_another_slot_has_besides_is_told() -> None:
    _, members = opened(image(metadata((b"system_a", b"odm_a", b"system_b"))))
    assert set(members) == {"system_a", "vendor_a", "odm_a (slot 1)"}


def test_backups_stand_in_for_what_is_broken() -> None:
    data = bytearray(image())
    data[4096 + 20] ^= 1
    data[12288 + 300] ^= 1
    container, members = opened(bytes(data))
    assert set(members) == {"system_a", "vendor_a"}
    assert len(container.problems) == 2
    assert "wrong in a copy" in str(container.detail["integrity_detail"])


def test_an_image_without_contents() -> None:
    data = geometry() + metadata()
    container, members = opened(data + b"T")
    assert members == {}
    assert container.size == len(data)
    assert container.detail["partitions"] == "system_a, vendor_a, system_b"


def test_what_lies_elsewhere_is_refused_when_opened() -> None:
    container = SUPER.open(Memory(image(device=1)), 0)
    entry = list(container.entries)[1]
    assert entry.open is not None
    with pytest.raises(FormatError, match="another partition"):
        entry.open()
    cut = SUPER.open(Memory(image()[: DATA + 512]), 0)
    assert any("are there" in problem for problem in cut.problems)
    with pytest.raises(FormatError):
        next(iter(cut.entries)).open()


def test_wrong_sums_are_refused() -> None:
    data = bytearray(image())
    for at in (4096 + 20, 8192 + 20):
        data[at] ^= 1
    with pytest.raises(FormatError):
        SUPER.open(Memory(bytes(data)), 0)
    with pytest.raises(FormatError):
        SUPER.open(Memory(bytes(4096) + geometry() * 2 + bytes(9000)), 0)
