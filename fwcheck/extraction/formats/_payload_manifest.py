"""The manifest of an Android update payload: partitions, and the operations that write them.

Messages of ``update_engine/update_metadata.proto`` of Android. DeltaArchiveManifest: 3 block size, 4 and 5 offset and size of the
signatures, 12 minor version, 13 partitions, 14 timestamp, 16 partial update, 18 security patch level; version 1 of the format has
1 operations of the root file system, 2 of the kernel, 7 and 9 what is written. PartitionUpdate: 1 name, 4 file system, 7 new
partition (1 size, 2 SHA-256), 8 operations, 17 version. InstallOperation: 1 type, 2 and 3 offset and length of its data,
6 extents (1 first block, 2 blocks), 8 SHA-256 of the data.
"""

from __future__ import annotations

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats._protobuf import Value, fields, number, octets

REPLACE, REPLACE_BZ, ZERO, DISCARD, REPLACE_XZ, REPLACE_ZSTD = 0, 1, 6, 7, 8, 14
FULL = frozenset({REPLACE, REPLACE_BZ, ZERO, DISCARD, REPLACE_XZ, REPLACE_ZSTD})
NAMES = (
    "REPLACE", "REPLACE_BZ", "MOVE", "BSDIFF", "SOURCE_COPY", "SOURCE_BSDIFF", "ZERO", "DISCARD", "REPLACE_XZ", "PUFFDIFF",
    "BROTLI_BSDIFF", "ZUCCHINI", "LZ4DIFF_BSDIFF", "LZ4DIFF_PUFFDIFF", "REPLACE_ZSTD",
)  # fmt: skip


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation; extents are (first block, blocks) of the partition."""

    kind: int
    at: int
    size: int
    extents: tuple[tuple[int, int], ...]
    sha256: bytes


class Partition(msgspec.Struct, kw_only=True):
    name: str
    size: int = 0
    sha256: bytes = b""
    file_system: str = ""
    version: str = ""
    operations: list[Operation] = []

    @property
    def delta(self) -> list[str]:
        """The operations that need the previous content, by their names."""
        return sorted({name_of(each.kind) for each in self.operations if each.kind not in FULL})


class Manifest(msgspec.Struct, kw_only=True):
    block: int = 4096
    signatures: tuple[int, int] = (0, 0)
    minor: int = 0
    timestamp: int = 0
    partial: bool = False
    patch_level: str = ""
    partitions: list[Partition] = []


def name_of(kind: int) -> str:
    return NAMES[kind] if kind < len(NAMES) else f"operation {kind}"


def _text(value: Value) -> str:
    text = bytes(octets(value)[:256]).decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "?" for char in text)


class Reader:
    """Reads a manifest; ``allowed`` bounds its messages."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed

    def _count(self) -> None:
        self._allowed -= 1
        if self._allowed < 0:
            raise FormatError("a manifest of too many messages")

    def manifest(self, raw: memoryview, major: int) -> Manifest:
        """Raises FormatError where the bytes are no manifest."""
        out = Manifest()
        old = (Partition(name="rootfs"), Partition(name="kernel"))
        for key, value in fields(raw):
            self._count()
            if key == 3:
                out.block = number(value)
            elif key in {4, 5}:
                out.signatures = (number(value), out.signatures[1]) if key == 4 else (out.signatures[0], number(value))
            elif key in {12, 14, 16}:
                setattr(out, {12: "minor", 14: "timestamp", 16: "partial"}[key], number(value))
            elif key == 13:
                out.partitions.append(self._partition(octets(value)))
            elif key == 18:
                out.patch_level = _text(value)
            elif major == 1 and key in {1, 2}:
                old[key - 1].operations.append(self._operation(octets(value)))
            elif major == 1 and key in {7, 9}:
                self._info(old[key == 7], octets(value))
        out.partitions += [each for each in old if each.operations]
        out.partial = bool(out.partial)
        return out

    def _partition(self, raw: memoryview) -> Partition:
        out = Partition(name="")
        for key, value in fields(raw):
            self._count()
            if key == 1:
                out.name = _text(value)
            elif key == 4:
                out.file_system = _text(value)
            elif key == 7:
                self._info(out, octets(value))
            elif key == 8:
                out.operations.append(self._operation(octets(value)))
            elif key == 17:
                out.version = _text(value)
        return out

    def _info(self, out: Partition, raw: memoryview) -> None:
        for key, value in fields(raw):
            self._count()
            if key == 1:
                out.size = number(value)
            elif key == 2:
                out.sha256 = bytes(octets(value)[:64])

    def _operation(self, raw: memoryview) -> Operation:
        kind = at = size = 0
        extents: list[tuple[int, int]] = []
        sha256 = b""
        for key, value in fields(raw):
            self._count()
            if key == 1:
                kind = number(value)
            elif key == 2:
                at = number(value)
            elif key == 3:
                size = number(value)
            elif key == 6:
                extents.append(self._extent(octets(value)))
            elif key == 8:
                sha256 = bytes(octets(value)[:64])
        return Operation(kind=kind, at=at, size=size, extents=tuple(extents), sha256=sha256)

    def _extent(self, raw: memoryview) -> tuple[int, int]:
        values = {key: number(value) for key, value in fields(raw) if key in {1, 2}}
        self._count()
        return values.get(1, 0), values.get(2, 0)
