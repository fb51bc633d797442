"""FAT12, FAT16 and FAT32 with long names.

Layout (little-endian): boot sector with the BIOS parameter block (bytes per sector at 11, sectors per cluster 13, reserved
sectors 14, number of tables 16, root entries 17, sectors 19 or 32, media 21, sectors per table 22 or 36, root cluster 44),
reserved sectors, the allocation tables, the root directory (FAT12/16), clusters from number 2 on. Source: "Microsoft Extensible
Firmware Initiative FAT32 File System Specification" 1.03; which of the three widths holds as the Linux kernel decides it
(``fs/fat/inode.c``): 32 bits when the 16-bit field of the table's size is 0, else 12 bits up to 4,084 clusters.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Sequence
from functools import partial
from struct import Struct, unpack_from

import msgspec

from fwcheck.extraction.errors import FormatError, Truncated
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._fat_chains import Heap, dos_time, place
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource, Joined
from fwcheck.model import NodeKind

READ_ONLY, HIDDEN, SYSTEM, LABEL, DIRECTORY = 1, 2, 4, 8, 16
LONG_NAME = 0x0F
DIRECTORY_LIMIT = 65536 * 32  # bytes
COMPARE_LIMIT = 32 << 20  # bytes of tables that are compared with their copy

# name, attributes, case bits, 7 bytes, cluster high, time, date, cluster low, size
_ENTRY = Struct("<11sBB7xHHHHI")
_BPB = (
    rb"\x00[\x02\x04\x08\x10]"  # bytes per sector
    rb"[\x01\x02\x04\x08\x10\x20\x40\x80]..[\x01\x02]"  # sectors per cluster, reserved, tables
    rb"....[\xF0\xF8-\xFF]"  # root entries, sectors, media
)


class Geometry(msgspec.Struct, frozen=True, kw_only=True):
    """The parameter block; sizes and offsets in bytes."""

    bits: int
    sector: int
    cluster: int
    clusters: int
    table_at: int
    table_size: int
    tables: int
    active: int | None  # the only table in use, when mirroring is off
    root_at: int
    root_size: int
    root_cluster: int
    data_at: int
    size: int
    label: str
    serial: str
    oem: str


def geometry(boot: bytes) -> Geometry:
    """Reads a boot sector; raises FormatError."""
    if len(boot) < 90:
        raise FormatError("no FAT boot sector")
    sector, per_cluster, reserved, tables, entries, small, media, short = unpack_from("<HBHBHHBH", boot, 11)
    large, long_table, flags, version, root_cluster = unpack_from("<II HHI", boot, 32)
    table, sectors = short or long_table, small or large
    sane = (
        sector in (512, 1024, 2048, 4096)
        and per_cluster
        and not per_cluster & (per_cluster - 1)
        and reserved
        and tables in (1, 2)
        and (media == 0xF0 or media >= 0xF8)
        and table
        and sectors
        and (short or (version == 0 and not entries))
    )
    root = -(-entries * 32 // sector) if sane else 0
    data = reserved + tables * table + root
    clusters = (sectors - data) // per_cluster if sane else 0
    bits = 32 if not short else 16 if clusters > 4084 else 12
    if not sane or clusters < 1 or table * sector * 8 < (clusters + 2) * bits or (bits < 32 and not entries):
        raise FormatError("no FAT parameter block")
    extended = 66 if bits == 32 else 38
    named = boot[extended] in (0x28, 0x29)
    label = _oem(boot[extended + 5 : extended + 16]) if boot[extended] == 0x29 else ""
    return Geometry(
        bits=bits, sector=sector, cluster=per_cluster * sector, clusters=clusters, table_at=reserved * sector,
        table_size=table * sector, tables=tables, active=flags & 15 if bits == 32 and flags & 0x80 else None,
        root_at=(reserved + tables * table) * sector, root_size=entries * 32, root_cluster=root_cluster & 0x0FFFFFFF,
        data_at=data * sector, size=sectors * sector, label="" if label == "NO NAME" else label,
        serial=f"{unpack_from('<I', boot, extended + 1)[0]:08x}" if named else "", oem=_oem(boot[3:11]),
    )  # fmt: skip


def _oem(raw: bytes) -> str:
    text = raw.split(b"\0")[0].decode("cp437").rstrip()
    return "".join(char if char.isprintable() else "?" for char in text)


class FileSystem:
    """A validated volume at ``offset`` of ``source``."""

    def __init__(self, source: ByteSource, offset: int, limits: Limits) -> None:
        self.geometry = layout = geometry(source.peek(offset, 512))
        self.limits = limits
        self.offset = offset
        self.problems: list[str] = []
        self.size = min(layout.size, source.size - offset)
        self.source = source.window(offset, self.size)
        if self.size < layout.data_at:
            raise Truncated(f"a FAT volume of {layout.size} bytes, {self.size} are there")
        if self.size < layout.size:
            note(self.problems, f"the volume claims {layout.size} bytes, {self.size} are there")
        table = self._table()
        self.heap = Heap(
            self.source, self._cells(table), layout.data_at, layout.cluster, layout.clusters,
            {12: 0xFF8, 16: 0xFFF8, 32: 0x0FFFFFF8}[layout.bits],
        )  # fmt: skip
        self.label = self._label() or layout.label

    def _table(self) -> int:
        """Where the allocation table lies: the first whose first entry repeats the media byte."""
        layout = self.geometry
        found = [at for at in self._tables() if self._announced(at)]
        if not found:
            raise FormatError("no FAT allocation table")
        if layout.active is not None and layout.active < layout.tables and self._tables()[layout.active] in found:
            return self._tables()[layout.active]
        if found[0] != layout.table_at:
            note(self.problems, "the first allocation table is damaged: the second was read")
        elif layout.tables == 2 and len(found) == 2 and layout.table_size <= COMPARE_LIMIT and layout.active is None:
            one, two = (self.source.window(at, layout.table_size) for at in found)
            if any(left != right for left, right in zip(one.chunks(), two.chunks(), strict=True)):
                note(self.problems, "the two allocation tables differ: the first was read")
        return found[0]

    def _tables(self) -> list[int]:
        return [self.geometry.table_at + n * self.geometry.table_size for n in range(self.geometry.tables)]

    def _announced(self, at: int) -> bool:
        """Entry 0 is the media byte with all higher bits set; entry 1 an end of chain whose top bits tell how it was closed."""
        first = self.source.peek(at, 8)
        if self.geometry.bits == 12:
            return first[:1] >= b"\xf0" and first[1:3] == b"\xff\xff"
        if self.geometry.bits == 16:
            return first[:1] >= b"\xf0" and first[1:2] == b"\xff" and first[2:3] >= b"\xf0"
        return first[:1] >= b"\xf0" and first[1:3] == b"\xff\xff" and first[3:4] in (b"\x0f", b"\xff")

    def _cells(self, at: int) -> Sequence[int]:
        """The entries of the table, as an indexable sequence; not copied unless they have twelve bits."""
        layout = self.geometry
        cells = layout.clusters + 2
        if layout.bits == 12:
            raw = self.source.read(at, -(-cells * 3 // 2)) + b"\0\0"
            pairs = (int.from_bytes(raw[n : n + 3], "little") for n in range(0, len(raw) - 2, 3))
            return array("H", [half for pair in pairs for half in (pair & 0xFFF, pair >> 12)])
        view = self.source.view(at, cells * layout.bits // 8)
        if sys.byteorder == "big":
            swapped = array("I" if layout.bits == 32 else "H", bytes(view))
            swapped.byteswap()
            return swapped
        return view.cast("I" if layout.bits == 32 else "H")

    def _label(self) -> str:
        """The label from the root directory, which outranks the one in the boot sector."""
        layout = self.geometry
        at = layout.root_at if layout.bits < 32 else self.heap.place(layout.root_cluster)
        raw = self.source.peek(at, min(layout.root_size or layout.cluster, 65536)) if at > 0 else b""
        for begin in range(0, len(raw) - 31, 32):
            if raw[begin] == 0:
                break
            if raw[begin] != 0xE5 and raw[begin + 11] & 0x3F != LONG_NAME and raw[begin + 11] & (LABEL | DIRECTORY) == LABEL:
                return _oem(raw[begin : begin + 11])
        return ""

    def walk(self) -> Iterator[Entry]:
        """Every member, parents first."""
        pending: list[tuple[str, int]] = [("", 0)]
        while pending:
            path, cluster = pending.pop()
            try:
                for name, raw in names(self._directory(path, cluster), path, self.problems):
                    entry = self._member(f"{path}/{name}", raw)
                    if entry.kind is NodeKind.DIRECTORY:
                        pending.append((entry.path, _cluster(raw, self.geometry.bits)))
                    yield entry
            except FormatError as error:
                note(self.problems, f"{path or '/'}: {error}")

    def _directory(self, path: str, cluster: int) -> ByteSource:
        layout = self.geometry
        if not path and layout.bits < 32:
            return self.source.window(layout.root_at, layout.root_size)
        chain = self.heap.chain(cluster if path else layout.root_cluster, max(1, DIRECTORY_LIMIT // layout.cluster), alone=True)
        if chain.complaint:
            note(self.problems, f"{path or '/'}: {chain.complaint}")
        return self.heap.content(chain.runs, chain.clusters * layout.cluster)

    def _member(self, path: str, raw: bytes) -> Entry:
        _, attributes, _, _, time, date, _, size = _ENTRY.unpack(raw)
        entry = Entry(path=path, mtime=dos_time(date, time), mode=0o444 if attributes & READ_ONLY else 0o644)
        shown = [word for bit, word in ((HIDDEN, "hidden"), (SYSTEM, "system")) if attributes & bit]
        if shown:
            entry.detail = {"attributes": ", ".join(shown)}
        if attributes & DIRECTORY:
            entry.kind, entry.mode = NodeKind.DIRECTORY, 0o755
            return entry
        entry.size = size
        if not size:
            entry.open = partial(Joined, [])
            return entry
        place(self.heap, entry, _cluster(raw, self.geometry.bits), self.offset, self.problems)
        return entry


def _cluster(raw: bytes, bits: int) -> int:
    low: int = unpack_from("<H", raw, 26)[0]
    return low | (unpack_from("<H", raw, 20)[0] & 0xFFF) << 16 if bits == 32 else low


def names(directory: ByteSource, path: str, problems: list[str]) -> Iterator[tuple[str, bytes]]:
    """The live entries of a directory with their names: the long one where its pieces are complete and meant for this entry."""
    pieces: list[bytes] = []
    for chunk in directory.chunks(1 << 16):
        data = bytes(chunk)
        for at in range(0, len(data) - 31, 32):
            first, attributes = data[at], data[at + 11]
            if first == 0:
                return
            raw = data[at : at + 32]
            if first == 0xE5:
                pieces = []
            elif attributes & 0x3F == LONG_NAME:
                pieces = [raw] if first & 0x40 else [*pieces, raw][-20:]
            else:
                long, pieces = _long(pieces, raw), []
                if attributes & LABEL:
                    continue
                name = long or _short(raw)
                if name in (".", "..") and not long:
                    continue
                if not name or "/" in name or "\0" in name or name in (".", ".."):
                    note(problems, f"{path or '/'}: an impossible name {name!r}")
                    continue
                yield name, raw


def _long(pieces: list[bytes], raw: bytes) -> str:
    """The long name of an entry; empty when its pieces are not numbered down to 1 or carry another entry's checksum."""
    if not pieces or pieces[0][0] & 0x1F != len(pieces) or any(one[0] & 0x1F != n for n, one in zip(
        range(len(pieces), 0, -1), pieces, strict=True)):  # fmt: skip
        return ""
    total = 0
    for byte in raw[:11]:
        total = ((total >> 1 | total << 7) + byte) & 0xFF
    if any(one[13] != total for one in pieces):
        return ""
    units = b"".join(one[1:11] + one[14:26] + one[28:32] for one in reversed(pieces))
    return units.decode("utf-16-le", "surrogatepass").split("\0")[0]


def _short(raw: bytes) -> str:
    """The name of eight and three characters; Windows marks a base or an extension that is all lower case in byte 12."""
    base = (b"\xe5" + raw[1:8] if raw[0] == 5 else raw[:8]).decode("cp437").rstrip(" ")
    extension = raw[8:11].decode("cp437").rstrip(" ")
    base = base.lower() if raw[12] & 0x08 else base
    extension = extension.lower() if raw[12] & 0x10 else extension
    return f"{base}.{extension}" if extension else base


class Fat(Format):
    """The FAT file system."""

    name = "fat"
    title = "FAT12, FAT16, FAT32"
    specification = "Microsoft FAT32 File System Specification 1.03; Linux kernel, fs/fat"
    category = "file system"
    reads = (
        "FAT12, FAT16, FAT32 with sectors of 512 to 4,096 bytes; long names, labels, attributes, times; fragmented files; "
        "the second table when the first is damaged; chains that loop, cross or end early are told"
    )
    not_read = "deleted entries; OEM code pages other than 437 in short names; volumes of more than two tables"
    signatures = (
        Signature(pattern=rb"\xEB.\x90.{8}" + _BPB, width=22),
        Signature(pattern=_BPB, width=11, offset=11, anywhere=False),  # any other jump, or none
    )

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        system = FileSystem(source, offset, limits)
        layout = system.geometry
        detail: dict[str, str | int] = {
            "width": layout.bits,
            "cluster_size": layout.cluster,
            "sector_size": layout.sector,
            "integrity": "none",
        }
        named = {"label": system.label, "serial": layout.serial, "oem": layout.oem}
        detail.update({key: value for key, value in named.items() if value})
        return Container(
            format=f"fat{layout.bits}", size=system.size, entries=system.walk(), detail=detail, problems=system.problems
        )


FORMATS = (Fat(),)
