"""exFAT.

Layout (little-endian): boot region of twelve sectors (``EXFAT   `` at 3, volume length 72, FAT offset and length 80, cluster
heap 88, clusters 92, root 96, serial 100, flags 106, sector and cluster shifts 108; sector 11 repeats the checksum of the eleven
before), its backup, the allocation table, clusters. A directory is a list of 32-byte entries: allocation bitmap 81, up-case table
82, label 83, and sets of a file entry 85, a stream extension C0 and name entries C1, with a checksum over the set.
Source: Microsoft, "exFAT file system specification" (2019), sections 3 to 7.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
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

READ_ONLY, HIDDEN, SYSTEM, DIRECTORY = 1, 2, 4, 16
BITMAP, UP_CASE, LABEL, FILE, STREAM, NAME = 0x81, 0x82, 0x83, 0x85, 0xC0, 0xC1
NO_FAT_CHAIN = 2
DIRECTORY_LIMIT = 8 << 20  # bytes: the specification allows 256 MiB, which no device fills
UP_CASE_LIMIT = 128 << 10
BITMAP_LIMIT = 8 << 20

_BOOT = Struct("<QQIIIIIIHHBBB")
_STREAM = Struct("<BxBHxxQ4xIQ")  # flags, name length, name hash, valid length, first cluster, length (from byte 1 on)


class Geometry(msgspec.Struct, frozen=True, kw_only=True):
    """The boot sector; offsets and sizes in bytes."""

    sector: int
    cluster: int
    size: int
    table_at: int
    heap_at: int
    clusters: int
    root: int
    serial: str
    flags: int


def geometry(boot: bytes) -> Geometry:
    """Reads a boot sector; raises FormatError."""
    if len(boot) < 512 or boot[3:11] != b"EXFAT   " or any(boot[11:64]):
        raise FormatError("no exFAT boot sector")
    _, length, fat, fat_length, heap, clusters, root, serial, _, flags, shift, per, tables = _BOOT.unpack_from(boot, 64)
    if not (9 <= shift <= 12 and per <= 25 - shift and tables in (1, 2) and clusters and fat >= 24):
        raise FormatError("impossible sizes in an exFAT boot sector")
    if fat_length << shift < (clusters + 2) * 4 or heap < fat + fat_length * tables or length < heap + (clusters << per):
        raise FormatError("the regions of an exFAT volume overlap")
    fat += fat_length * (flags & 1 if tables == 2 else 0)
    return Geometry(
        sector=1 << shift, cluster=1 << shift + per, size=length << shift, table_at=fat << shift, heap_at=heap << shift,
        clusters=clusters, root=root, serial=f"{serial:08x}", flags=flags,
    )  # fmt: skip


def boot_checksum(region: bytes) -> int:
    """The sum over the first eleven sectors, without the fields that change while the volume is mounted."""
    total = 0
    for at, byte in enumerate(region):
        if at not in (106, 107, 112):
            total = (total >> 1 | (total & 1) << 31) + byte & 0xFFFFFFFF
    return total


def set_checksum(entries: bytes) -> int:
    """The sum over the entries of one file, without the field that holds it."""
    total = 0
    for at, byte in enumerate(entries):
        if at not in (2, 3):
            total = (total >> 1 | (total & 1) << 15) + byte & 0xFFFF
    return total


class FileSystem:
    """A validated volume at ``offset`` of ``source``."""

    def __init__(self, source: ByteSource, offset: int) -> None:
        self.geometry = layout = geometry(source.peek(offset, 512))
        self.offset = offset
        self.problems: list[str] = []
        self.size = min(layout.size, source.size - offset)
        self.source = source.window(offset, self.size)
        if self.size < layout.heap_at + layout.cluster:
            raise Truncated(f"an exFAT volume of {layout.size} bytes, {self.size} are there")
        if self.size < layout.size:
            note(self.problems, f"the volume claims {layout.size} bytes, {self.size} are there")
        if layout.flags & 2:
            note(self.problems, "the volume was not unmounted cleanly")
        self.checks = [self._check_boot()]
        self.heap = Heap(self.source, self._cells(), layout.heap_at, layout.cluster, layout.clusters, 0xFFFFFFF8)
        self.detail: dict[str, str | int] = {}
        self._root = self._read_root()

    def _check_boot(self) -> str:
        sector = self.geometry.sector
        expected = boot_checksum(self.source.read(0, 11 * sector))
        right = self.source.read(11 * sector, sector) == expected.to_bytes(4, "little") * (sector // 4)
        return self._said("boot checksum", right=right)

    def _said(self, what: str, *, right: bool) -> str:
        if not right:
            note(self.problems, f"{what} wrong")
        return f"{what} {'right' if right else 'wrong'}"

    def _cells(self) -> Sequence[int]:
        view = self.source.view(self.geometry.table_at, (self.geometry.clusters + 2) * 4)
        if sys.byteorder == "big":
            swapped = array("I", bytes(view))
            swapped.byteswap()
            return swapped
        return view.cast("I")

    def _read_root(self) -> ByteSource:
        """The root directory, whose first entries name the label, the allocation bitmap and the up-case table."""
        root = self._directory("", self.geometry.root, 0, chained=True)
        head = root.peek(0, 4096)
        for at in range(0, len(head) - 31, 32):
            kind, count = head[at], head[at + 1]
            first, length = unpack_from("<IQ", head, at + 20)
            if kind == LABEL and count <= 11:
                self.detail["volume"] = head[at + 2 : at + 2 + 2 * count].decode("utf-16-le", "replace")
            elif kind == UP_CASE:
                self._up_case(first, length, unpack_from("<I", head, at + 4)[0])
            elif kind == BITMAP and not count & 1:
                self._bitmap(first, length)
        if not self.checks[1:]:
            raise FormatError("an exFAT root directory without an up-case table")
        return root

    def _up_case(self, first: int, length: int, checksum: int) -> None:
        data = self.heap.content(self.heap.contiguous(first, -(-min(length, UP_CASE_LIMIT) // self.heap.cluster)).runs,
                                 min(length, UP_CASE_LIMIT))  # fmt: skip
        total = 0
        for byte in bytes(data.view(0, data.size)):
            total = (total >> 1 | (total & 1) << 31) + byte & 0xFFFFFFFF
        self.checks.append(self._said("up-case table checksum", right=total == checksum))

    def _bitmap(self, first: int, length: int) -> None:
        if length != -(-self.geometry.clusters // 8) or length > BITMAP_LIMIT:
            note(self.problems, "the allocation bitmap is not as long as the clusters are many")
            return
        chain = self.heap.contiguous(first, -(-length // self.heap.cluster))
        if not chain.complaint:
            data = self.heap.content(chain.runs, length).view(0, length)
            self.detail["clusters_in_use"] = int.from_bytes(data, "little").bit_count()

    def walk(self) -> Iterator[Entry]:
        """Every member, parents first."""
        pending: list[tuple[str, ByteSource | None, tuple[int, int, bool]]] = [("", self._root, (0, 0, True))]
        while pending:
            path, directory, (first, length, chained) = pending.pop()
            try:
                directory = directory or self._directory(path, first, length, chained=chained)
                for name, attributes, raw in self._sets(directory, path):
                    entry = self._member(f"{path}/{name}", attributes, raw)
                    if entry.kind is NodeKind.DIRECTORY:
                        flags, _, _, _, first, length = _STREAM.unpack_from(raw, 33)
                        pending.append((entry.path, None, (first, length, not flags & NO_FAT_CHAIN)))
                    yield entry
            except FormatError as error:
                note(self.problems, f"{path or '/'}: {error}")

    def _directory(self, path: str, first: int, length: int, *, chained: bool) -> ByteSource:
        if path and not length:
            return Joined([])
        wanted = -(-min(length or DIRECTORY_LIMIT, DIRECTORY_LIMIT) // self.heap.cluster)
        chain = self.heap.chain(first, wanted, alone=True) if chained else self.heap.contiguous(first, wanted)
        if chain.complaint:
            note(self.problems, f"{path or '/'}: {chain.complaint}")
            if not chained:  # nobody can tell whose clusters these are
                return Joined([])
        return self.heap.content(chain.runs, chain.clusters * self.heap.cluster)

    def _sets(self, directory: ByteSource, path: str) -> Iterator[tuple[str, int, bytes]]:
        """Name, attributes and entries of each file in use."""
        at = 0
        while at + 32 <= directory.size:
            kind, secondary = directory.view(at, 2)
            if kind == 0:
                return
            if kind != FILE:
                at += 32
                continue
            raw = directory.peek(at, 32 * (1 + secondary))
            at += 32
            if len(raw) < 96 or raw[32] != STREAM:
                note(self.problems, f"{path or '/'}: a file entry without its stream extension")
                continue
            at += 32 * secondary
            pieces = [raw[n + 2 : n + 32] for n in range(64, len(raw) - 31, 32) if raw[n] == NAME]
            name = b"".join(pieces)[: 2 * raw[35]].decode("utf-16-le", "surrogatepass")
            if not name or "/" in name or "\0" in name or name in (".", ".."):
                note(self.problems, f"{path or '/'}: an impossible name {name!r}")
                continue
            if set_checksum(raw) != unpack_from("<H", raw, 2)[0]:
                note(self.problems, f"{path}/{name}: the checksum of its entries is wrong")
            yield name, unpack_from("<H", raw, 4)[0], raw

    def _member(self, path: str, attributes: int, raw: bytes) -> Entry:
        flags, _, _, valid, first, size = _STREAM.unpack_from(raw, 33)
        entry = Entry(path=path, mtime=_time(raw), mode=0o444 if attributes & READ_ONLY else 0o644)
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
        place(self.heap, entry, first, self.offset, self.problems, chained=not flags & NO_FAT_CHAIN)
        if valid < entry.size and entry.open is not None:
            # What was allocated but never written reads as zeros, whatever the clusters hold.
            entry.detail = {**entry.detail, "written": valid}
            entry.offset, entry.open = None, partial(_written, entry.open, valid)
        return entry


def _written(opened: Callable[[], ByteSource], valid: int) -> ByteSource:
    whole = opened()
    return Joined([whole.window(0, valid), whole.size - valid])


def _time(raw: bytes) -> int:
    """When a file was last modified; the zone is given in quarters of an hour where it is known."""
    time, date = unpack_from("<HH", raw, 12)
    zone = raw[23]
    quarters = ((zone & 0x7F) ^ 0x40) - 0x40 if zone & 0x80 else 0
    seconds = dos_time(date, time)
    return seconds - quarters * 900 if seconds else 0


class Exfat(Format):
    """The exFAT file system."""

    name = "exfat"
    title = "exFAT"
    specification = "Microsoft, exFAT file system specification (2019)"
    category = "file system"
    reads = (
        "chained and contiguous files and directories, valid data length, labels, attributes, times with their zone; boot, "
        "up-case table and entry set checksums"
    )
    not_read = "deleted entries; vendor extensions; the second table and bitmap of TexFAT beyond the one marked active"
    signatures = (Signature(pattern=rb"EXFAT   \x00{53}", width=61, offset=3),)
    priority = 40

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        system = FileSystem(source, offset)
        layout = system.geometry
        detail: dict[str, str | int] = {
            "cluster_size": layout.cluster, "sector_size": layout.sector, "serial": layout.serial, **system.detail,
            "integrity": "checksum", "integrity_detail": f"{', '.join(system.checks)}; metadata only",
        }  # fmt: skip
        return Container(format=self.name, size=system.size, entries=system.walk(), detail=detail, problems=system.problems)


FORMATS = (Exfat(),)
