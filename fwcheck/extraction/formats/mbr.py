"""Master boot record: four primary partitions, and logical ones in a chain of extended boot records.

Layout: "PC/DOS partition table" as in the UEFI specification 2.10, section 5.2, and the extended boot records of the Linux
kernel, ``block/partitions/msdos.c``.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from struct import Struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind

SECTOR = 512
TABLE = 446
PROTECTIVE = 0xEE
EXTENDED = frozenset({0x05, 0x0F, 0x85})
LOGICAL_LIMIT = 256

# status, first CHS, type, last CHS, first sector, sectors
_ENTRY = Struct("<B3sB3sII")


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """A partition in sectors from the start of the disk."""

    number: int
    type: int
    start: int
    sectors: int
    active: bool


def regions(source: ByteSource, offset: int, taken: list[tuple[int, int, Entry]], end: int) -> list[Entry]:
    """The partitions and, as parts of their own, the bytes between them.

    ``taken`` holds begin, end (relative to ``offset``) and entry; boot loaders like to live in the gaps, so gaps are parts too.
    """
    entries: list[Entry] = []
    at = 0
    for begin, until, entry in sorted(taken, key=lambda one: one[:2]):
        if begin > at:
            entries.append(_gap(source, offset + at, begin - at))
        entries.append(entry)
        at = max(at, until)
    if end > at:
        entries.append(_gap(source, offset + at, end - at))
    return entries


def _gap(source: ByteSource, offset: int, size: int) -> Entry:
    return Entry(
        path=f"unallocated@0x{offset:x}", kind=NodeKind.REGION, role="part", offset=offset, size=size, locality=offset,
        open=partial(source.window, offset, size),
    )  # fmt: skip


def _records(sector: bytes) -> list[tuple[bool, int, int, int]]:
    """Active, type, first sector and length of the four entries; raises FormatError for a status that is none."""
    found = []
    for at in range(TABLE, TABLE + 64, _ENTRY.size):
        status, _, kind, _, start, sectors = _ENTRY.unpack_from(sector, at)
        if status not in (0x00, 0x80):
            raise FormatError(f"partition status 0x{status:02x}")
        found.append((status == 0x80, kind, start, sectors))
    return found


def is_volume(sector: bytes) -> bool:
    """Whether a sector that ends in 55 AA is the first one of a FAT, exFAT or NTFS volume."""
    if sector[3:11] in (b"NTFS    ", b"EXFAT   ") or sector[54:57] == b"FAT" or sector[82:87] == b"FAT32":
        return True
    per_sector, per_cluster, reserved = int.from_bytes(sector[11:13], "little"), sector[13], sector[14] | sector[15] << 8
    return (
        per_sector in (512, 1024, 2048, 4096)
        and per_cluster > 0
        and per_cluster & (per_cluster - 1) == 0
        and reserved > 0
        and sector[16] in (1, 2)
        and sector[21] >= 0xF0
    )


class Mbr(Format):
    """The PC partition table, at the beginning of a source only: 55 AA at 510 is common elsewhere."""

    name = "mbr"
    title = "MBR partition table"
    specification = "UEFI specification 2.10, section 5.2; Linux kernel, block/partitions/msdos.c"
    category = "partition table"
    reads = "primary and logical partitions, and the bytes between them, where boot loaders live"
    not_read = "BSD labels inside a partition; boot code is searched, not explained; sectors of other sizes than 512 bytes"
    signatures = (Signature(pattern=rb"\x55\xAA", width=2, offset=510, anywhere=False),)
    priority = 60  # a GPT brings a protective MBR, which is not the table

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        sector = source.read(offset, SECTOR)
        if sector[510:] != b"\x55\xaa" or is_volume(sector):
            raise FormatError("a boot sector without a partition table")
        problems: list[str] = []
        available = (source.size - offset) // SECTOR
        primary = [
            Partition(number=number, type=kind, start=start, sectors=sectors, active=active)
            for number, (active, kind, start, sectors) in enumerate(_records(sector), 1)
            if kind
        ]
        _validate(primary, available)
        taken: list[tuple[int, int, Entry]] = [(0, SECTOR, _meta("mbr", offset))]
        partitions = []
        for each in primary:
            if each.type in EXTENDED:
                partitions += _logical(source, offset, each, taken, problems)
            else:
                partitions.append(each)
        for each in partitions:
            begin, until = each.start * SECTOR, (each.start + each.sectors) * SECTOR
            if each.start >= available:
                note(problems, f"partition {each.number} begins at 0x{begin:x}, behind the end of the image")
                continue
            if until > source.size - offset:
                note(problems, f"partition {each.number} claims {until - begin} bytes, {source.size - offset - begin} are there")
                until = source.size - offset
            taken.append((begin, until, _part(source, offset + begin, until - begin, each)))
        end = min(max([(each.start + each.sectors) * SECTOR for each in primary]), source.size - offset)
        end = max(end, *(until for _, until, _ in taken))
        detail: dict[str, str | int] = {
            "disk": sector[440:444][::-1].hex(),
            "partitions": len(partitions),
            "integrity": "none",
        }
        return Container(
            format=self.name, size=end, entries=regions(source, offset, taken, end), detail=detail, problems=problems
        )


def _validate(primary: list[Partition], available: int) -> None:
    if not primary or all(each.type == PROTECTIVE for each in primary):
        raise FormatError("no partitions")
    if any(each.start == 0 or each.sectors == 0 for each in primary):
        raise FormatError("a partition over the table, or an empty one")
    if sum(each.active for each in primary) > 1:
        raise FormatError("more than one active partition")
    if all(each.start >= available for each in primary):
        raise FormatError("all partitions lie behind the end")
    ordered = sorted(primary, key=lambda each: each.start)
    if any(one.start + one.sectors > two.start for one, two in pairwise(ordered)):
        raise FormatError("overlapping partitions")


def _logical(
    source: ByteSource, offset: int, extended: Partition, taken: list[tuple[int, int, Entry]], problems: list[str]
) -> list[Partition]:
    """The logical partitions of an extended one, numbered from 5 on; a broken chain is a problem and ends there."""
    found: list[Partition] = []
    at, seen = extended.start, set[int]()
    while at not in seen and len(seen) < LOGICAL_LIMIT:
        seen.add(at)
        record = source.peek(offset + at * SECTOR, SECTOR)
        if len(record) < SECTOR or record[510:] != b"\x55\xaa":
            note(problems, f"no extended boot record at 0x{at * SECTOR:x}")
            return found
        taken.append((at * SECTOR, (at + 1) * SECTOR, _meta(f"ebr@0x{at * SECTOR:x}", offset + at * SECTOR)))
        try:
            (active, kind, start, sectors), (_, link, following, _), _, _ = _records(record)
        except FormatError as error:
            note(problems, f"extended boot record at 0x{at * SECTOR:x}: {error}")
            return found
        if kind and start and sectors:
            found.append(Partition(number=5 + len(found), type=kind, start=at + start, sectors=sectors, active=active))
        if link not in EXTENDED or not following:
            return found
        at = extended.start + following
    note(problems, "the chain of extended boot records has no end")
    return found


def _meta(name: str, offset: int) -> Entry:
    return Entry(path=name, kind=NodeKind.REGION, role="meta", offset=offset, size=SECTOR, locality=offset)


def _part(source: ByteSource, offset: int, size: int, partition: Partition) -> Entry:
    detail: dict[str, str | int] = {"type": f"0x{partition.type:02x}"}
    if partition.active:
        detail["active"] = 1
    return Entry(
        path=f"partition-{partition.number}", kind=NodeKind.REGION, role="part", offset=offset, size=size, locality=offset,
        detail=detail, open=partial(source.window, offset, size),
    )  # fmt: skip


FORMATS = (Mbr(),)
