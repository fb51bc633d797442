"""Android update payloads, written here with a small writer of protocol buffers."""

from __future__ import annotations

import bz2
import hashlib
import lzma
import random
import struct

import pytest
import zstandard

from fwcheck.extraction.errors import FormatError, Truncated
from fwcheck.extraction.format import Container
from fwcheck.extraction.formats.android_payload import FORMATS
from fwcheck.extraction.source import Memory

(PAYLOAD,) = FORMATS
BLOCK = 4096
TEXT = b"".join(b"%d text of a system\n" % n for n in range(2000))[: BLOCK * 4]
NOISE = random.Random(6).randbytes(BLOCK * 2)


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


class Writer:
    def __init__(self) -> None:
        self.data = b""

    def operation(self, kind: int, extents: list[tuple[int, int]], packed: bytes = b"", *, hashed: bool = True) -> bytes:
        out = field(1, kind)
        if packed:
            out += field(2, len(self.data)) + field(3, len(packed))
            self.data += packed
        for first, count in extents:
            out += field(6, field(1, first) + field(2, count))
        return out + (field(8, hashlib.sha256(packed).digest()) if packed and hashed else b"")


def partition(name: bytes, content: bytes, operations: list[bytes], digest: bytes = b"") -> bytes:
    info = field(1, len(content)) + field(2, digest or hashlib.sha256(content).digest())
    return field(1, name) + field(7, info) + b"".join(field(8, each) for each in operations)


SYSTEM = (
    TEXT + bytes(BLOCK) + NOISE + TEXT[: BLOCK * 2] + bytes(BLOCK * 2) + TEXT[BLOCK : BLOCK * 2] + b"tail".ljust(BLOCK, b"\0")
)


def image(*, digest: bytes = b"", kind: int = 8, signature: bytes = b"S" * 40, minor: int = 0) -> bytes:
    writer = Writer()
    system = [
        writer.operation(1, [(5, 1), (12, 1)], bz2.compress(NOISE[:BLOCK] + b"tail")),  # in no order, two extents
        writer.operation(kind, [(0, 4)], lzma.compress(TEXT)),
        writer.operation(6, [(4, 1)]),
        writer.operation(0, [(6, 1)], NOISE[BLOCK:]),
        writer.operation(14, [(7, 2)], zstandard.ZstdCompressor().compress(TEXT[: BLOCK * 2])),
        writer.operation(7, [(9, 2)]),
        writer.operation(0, [(11, 1)], TEXT[BLOCK : BLOCK * 2], hashed=False),
    ]
    manifest = field(3, BLOCK) + field(12, minor) + field(13, partition(b"system", SYSTEM, system, digest))
    manifest += field(13, partition(b"boot", NOISE, [writer.operation(0, [(0, 2)], NOISE)]))
    manifest += (
        field(14, 1_700_000_000) + field(18, b"2024-05-05") + varint(99 << 3 | 5) + bytes(4) + varint(98 << 3 | 1) + bytes(8)
    )
    manifest += field(4, len(writer.data)) + field(5, 20)
    head = b"CrAU" + struct.pack(">QQI", 2, len(manifest), len(signature))
    return head + manifest + signature + writer.data + b"Z" * 20


def version_1() -> bytes:
    writer = Writer()
    manifest = field(1, writer.operation(0, [(0, 4)], TEXT)) + field(2, writer.operation(0, [(0, 2)], NOISE))
    manifest += field(7, field(1, len(NOISE)) + field(2, hashlib.sha256(NOISE).digest()))
    manifest += field(9, field(1, len(TEXT)) + field(2, hashlib.sha256(TEXT).digest()))
    return b"CrAU" + struct.pack(">QQ", 1, len(manifest)) + manifest + writer.data


def seeds() -> list[bytes]:
    return [image(), version_1()]


def opened(data: bytes, offset: int = 0) -> tuple[Container, dict[str, bytes]]:
    container = PAYLOAD.open(Memory(data), offset)
    members = {}
    for entry in container.entries:
        assert entry.open is not None
        content = entry.open()
        assert content.size == entry.size
        members[entry.path] = content.read(0, content.size)
    return container, members


def test_partitions_are_written_as_the_operations_say() -> None:
    data = image()
    container, members = opened(b"R" * 30 + data + b"T" * 30, 30)
    assert container.size == len(data)
    assert members == {"system": SYSTEM, "boot": NOISE}
    expected = {
        "kind": "full", "partitions": "system, boot", "security_patch_level": "2024-05-05", "timestamp": 1_700_000_000,
        "integrity": "signature",
        "integrity_detail": "metadata signature of 40 bytes (not verified), payload signature of 20 bytes (not verified),"
        " SHA-256 of all of 5 operations right",
    }  # fmt: skip
    assert expected.items() <= container.detail.items()
    assert container.problems == []


def test_version_1_has_two_partitions() -> None:
    container, members = opened(version_1() + b"T")
    assert members == {"rootfs": TEXT, "kernel": NOISE}
    assert container.size == len(version_1())
    assert container.problems == []


def test_wrong_hashes_are_told() -> None:
    data = bytearray(image())
    at = data.index(NOISE[BLOCK : BLOCK + 32])
    data[at] ^= 1
    container, _ = opened(bytes(data))
    assert "SHA-256 of 1 of 5 checked operations wrong" in str(container.detail["integrity_detail"])
    assert sum("unpacked partition" in problem for problem in container.problems) == 1
    container, members = opened(image(digest=b"x" * 32))
    assert container.problems == ["system: wrong SHA-256 of the unpacked partition"]
    assert members["system"] == SYSTEM


def test_a_delta_is_told_and_not_read() -> None:
    container = PAYLOAD.open(Memory(image(kind=5, minor=8)), 0)
    assert container.detail["kind"] == "delta"
    system, boot = container.entries
    assert system.open is not None
    with pytest.raises(FormatError, match="SOURCE_BSDIFF need the previous content"):
        system.open()
    assert boot.open is not None
    assert boot.open().size == len(NOISE)


def test_data_that_cannot_be_unpacked_is_refused() -> None:
    data = image()
    for bad in (data.replace(lzma.compress(TEXT), b"\0" * len(lzma.compress(TEXT))), image(kind=1)):
        system = next(iter(PAYLOAD.open(Memory(bad), 0).entries))
        assert system.open is not None
        with pytest.raises(FormatError):
            system.open()


def test_two_operations_for_one_block_are_refused() -> None:
    writer = Writer()
    twice = [writer.operation(0, [(0, 2)], NOISE), writer.operation(0, [(1, 1)], NOISE[:BLOCK])]
    manifest = field(13, partition(b"boot", NOISE, twice))
    data = b"CrAU" + struct.pack(">QQI", 2, len(manifest), 0) + manifest + writer.data
    (boot,) = PAYLOAD.open(Memory(data), 0).entries
    assert boot.open is not None
    with pytest.raises(FormatError, match="twice"):
        boot.open()


def test_what_is_cut_off() -> None:
    data = image()
    container = PAYLOAD.open(Memory(data[:-BLOCK]), 0)
    assert container.size == len(data) - BLOCK
    assert any("are there" in problem for problem in container.problems)
    with pytest.raises(Truncated):
        PAYLOAD.open(Memory(data[:60]), 0)
    for other in (b"CrAU", data[:24] + b"\xff" * len(data), b"CrAU" + struct.pack(">QQI", 2, 4, 0) + b"\x18\x80\x20\0"):
        with pytest.raises(FormatError):
            PAYLOAD.open(Memory(other), 0)
