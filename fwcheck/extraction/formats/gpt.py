"""GUID partition table, with sectors of 512 or 4,096 bytes, from the primary or the backup header.

Layout: UEFI specification 2.10, sections 5.3.2 (header) and 5.3.3 (entry array).
"""

from __future__ import annotations

import re
import uuid
import zlib
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from struct import Struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats.mbr import regions
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind

MAGIC = b"EFI PART"
ENTRY_LIMIT = 4096

# signature, revision, header size, header CRC, reserved, this LBA, other LBA, first and last usable LBA, disk GUID,
# LBA of the entries, number of entries, size of an entry, CRC of the entries
_HEADER = Struct("<8sIIIIQQQQ16sQIII")
# type GUID, partition GUID, first and last LBA, attributes, name
_ENTRY = Struct("<16s16sQQQ72s")


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """A header whose own checksum holds; ``sound`` tells that of its entry array. Offsets in sectors."""

    sector: int
    this: int
    other: int
    first_usable: int
    last_usable: int
    disk: str
    entries_at: int
    entries: bytes
    entry_size: int
    sound: bool


def header(source: ByteSource, offset: int, lba: int, sector: int) -> Header:
    """The header at sector ``lba`` of the disk that begins at ``offset``; raises FormatError."""
    raw = source.read(offset + lba * sector, _HEADER.size)
    magic, _, size, crc, _, this, other, first, last, disk, entries_at, count, entry_size, entries_crc = _HEADER.unpack(raw)
    if magic != MAGIC or not _HEADER.size <= size <= sector or this != lba:
        raise FormatError("no GPT header")
    raw = source.read(offset + lba * sector, size)
    if zlib.crc32(raw[:16] + b"\0\0\0\0" + raw[20:]) != crc:
        raise FormatError("the checksum of the GPT header is wrong")
    if not 0 < count <= ENTRY_LIMIT or entry_size < 128 or entry_size > 4096 or entry_size & (entry_size - 1):
        raise FormatError(f"{count} GPT entries of {entry_size} bytes")
    entries = source.read(offset + entries_at * sector, count * entry_size)
    return Header(
        sector=sector, this=this, other=other, first_usable=first, last_usable=last, disk=str(uuid.UUID(bytes_le=disk)),
        entries_at=entries_at, entries=entries, entry_size=entry_size, sound=zlib.crc32(entries) == entries_crc,
    )  # fmt: skip


def find(source: ByteSource, offset: int, problems: list[str]) -> Header:
    """The primary header, or the backup at the end of the source when the primary is damaged; raises FormatError."""
    damaged: Header | None = None
    reason = "no GPT header"
    for sector in (512, 4096):
        try:
            found = header(source, offset, 1, sector)
        except FormatError as error:
            reason = str(error) if source.peek(offset + sector, 8) == MAGIC else reason
            continue
        if found.sound:
            return found
        damaged, reason = found, "the checksum of the GPT entries is wrong"
    for sector in (512, 4096):
        lba = damaged.other if damaged is not None and damaged.sector == sector else (source.size - offset) // sector - 1
        try:
            backup = header(source, offset, lba, sector) if lba > 1 else None
        except FormatError:
            continue
        if backup is not None and backup.sound and backup.other == 1:
            note(problems, f"{reason}: the backup table was read")
            return backup
    # Without the boot record in front, this is a header read with the wrong sector size, or a stray copy.
    if damaged is None or source.peek(offset + 510, 2) != b"\x55\xaa":
        raise FormatError(reason)
    note(problems, f"{reason}, and there is no sound backup")
    return damaged


class Gpt(Format):
    """The GUID partition table. The container begins at the protective MBR."""

    name = "gpt"
    title = "GPT partition table"
    specification = "UEFI specification 2.10, section 5.3"
    category = "partition table"
    reads = (
        "sectors of 512 and 4,096 bytes, primary table or its backup, names, types, attributes of partitions, the bytes between "
        "them; CRC32 of header and entries"
    )
    not_read = "the protective MBR, but for its presence"
    signatures = (
        Signature(pattern=rb"EFI PART\x00\x00\x01\x00", width=12, offset=512),
        Signature(pattern=rb"EFI PART\x00\x00\x01\x00", width=12, offset=4096),
        Signature(pattern=rb"\x55\xAA", width=2, offset=510, anywhere=False),  # a wiped primary header, a backup at the end
    )
    priority = 40

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        problems: list[str] = []
        table = find(source, offset, problems)
        sector, available = table.sector, source.size - offset
        # Tables written for flash may name more sectors in their entries than in their header.
        claimed = (max(table.this, table.other, table.last_usable, *_last_sectors(table, available // sector)) + 1) * sector
        if claimed > available:
            note(problems, f"the disk claims {claimed} bytes, {available} are there")
        size = min(claimed, available)
        taken = _meta(source, table, offset, size)
        taken += _partitions(source, offset, table, size, problems)
        detail: dict[str, str | int] = {"sector_size": sector, "disk": table.disk, "integrity": "checksum"}
        detail["integrity_detail"] = f"CRC32 of header right, of entries {'right' if table.sound else 'wrong'}"
        return Container(
            format=self.name, size=size, entries=regions(source, offset, taken, size), detail=detail, problems=problems
        )


def _last_sectors(table: Header, sectors: int) -> Iterator[int]:
    """Where the partitions that begin inside the source end."""
    for at in range(0, len(table.entries), table.entry_size):
        kind, _, first, last, _, _ = _ENTRY.unpack_from(table.entries, at)
        if kind != bytes(16) and first < sectors and first <= last:
            yield last


def _meta(source: ByteSource, table: Header, offset: int, size: int) -> list[tuple[int, int, Entry]]:
    """The headers and entry arrays of both tables, as far as they lie inside."""
    sector, array = table.sector, -(-len(table.entries) // table.sector)
    spans = {"gpt": (0, 2), "entries": (2, array)}
    if table.this == 1:
        spans["entries"] = (table.entries_at, array)
    backup = max(table.this, table.other)
    if backup > 1 and source.peek(offset + backup * sector, 8) == MAGIC:
        spans["backup-entries"], spans["backup"] = (backup - array, array), (backup, 1)
    found = []
    for name, (lba, sectors) in spans.items():
        begin, until = lba * sector, (lba + sectors) * sector
        if 0 <= begin < until <= size:
            entry = Entry(path=name, kind=NodeKind.REGION, role="meta", offset=offset + begin, size=until - begin)
            found.append((begin, until, entry))
    return found


def _partitions(source: ByteSource, offset: int, table: Header, size: int, problems: list[str]) -> list[tuple[int, int, Entry]]:
    found: list[tuple[int, int, Entry]] = []
    names: set[str] = set()
    for number, at in enumerate(range(0, len(table.entries), table.entry_size), 1):
        kind, unique, first, last, attributes, raw = _ENTRY.unpack_from(table.entries, at)
        if kind == bytes(16):
            continue
        begin, until = first * table.sector, (last + 1) * table.sector
        if until <= begin or begin >= size:
            note(problems, f"partition {number} lies at 0x{begin:x} to 0x{until:x}, outside the image")
            continue
        if until > size:
            note(problems, f"partition {number} claims {until - begin} bytes, {size - begin} are there")
            until = size
        label = raw.decode("utf-16-le", "replace").split("\0")[0]
        name = re.sub(r"[^\w.+-]+", "_", label) if label else f"partition-{number}"
        if name in names or not name.strip("._"):
            name = f"{name}-{number}".lstrip("._")
        names.add(name)
        detail: dict[str, str | int] = {"type": str(uuid.UUID(bytes_le=kind)), "guid": str(uuid.UUID(bytes_le=unique))}
        if label and label != name:
            detail["stored"] = label
        if attributes:
            detail["attributes"] = f"0x{attributes:x}"
        entry = Entry(
            path=name, kind=NodeKind.REGION, role="part", offset=offset + begin, size=until - begin, detail=detail,
            locality=offset + begin, open=partial(source.window, offset + begin, until - begin),
        )  # fmt: skip
        found.append((begin, until, entry))
    ordered = sorted(found, key=lambda one: one[0])
    for (_, until, one), (begin, _, two) in pairwise(ordered):
        if begin < until:
            note(problems, f"the partitions {one.path} and {two.path} overlap")
    return found


FORMATS = (Gpt(),)
