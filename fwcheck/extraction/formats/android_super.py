"""Android's ``super`` partition: logical partitions, each made of extents of the device.

4,096 bytes are left alone, then two copies of the geometry, then one copy of the metadata for each slot, then as many backups;
the partitions' extents follow. An image without contents (``super_empty.img``) is a geometry and one copy of the metadata.
Layout: :mod:`_lp_metadata`, after ``liblp`` of Android.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from fwcheck.extraction.errors import FormatError, QuotaExceeded, Truncated
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._lp_metadata import (
    GEOMETRY,
    RESERVED,
    SECTOR,
    ZEROS,
    Extent,
    Geometry,
    Metadata,
    Partition,
    geometry,
    metadata,
)
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource, Joined
from fwcheck.model import NodeKind

_MAGIC = rb"\x67\x44\x6c\x61\x34\x00\x00\x00"
_SHARED = 4  # how often all partitions together may name the bytes of the device


class Super:
    """The metadata of every slot of the device at ``offset``."""

    def __init__(self, source: ByteSource, offset: int) -> None:
        self.problems: list[str] = []
        self.slots: list[Metadata] = []
        self.source = source
        self.offset = offset
        self.form, at, self.empty = self._geometry()
        copies = 1 if self.empty else 2
        for slot in range(1 if self.empty else self.form.slots):
            for copy in range(copies):
                try:
                    self.slots.append(metadata(source, at + (copy * self.form.slots + slot) * self.form.size, self.form.size))
                except FormatError as error:
                    note(self.problems, f"slot {slot}, {'backup' if copy else 'primary'}: {error}")
                else:
                    break
        if not self.slots:
            raise FormatError("a geometry without metadata")
        self.begin = at + (0 if self.empty else copies * self.form.slots * self.form.size)  # behind the metadata

    def _geometry(self) -> tuple[Geometry, int, bool]:
        """Geometry, where the metadata begins, and whether the image has no contents."""
        for number in range(2):
            try:
                found = geometry(self.source, self.offset + RESERVED + number * GEOMETRY)
            except FormatError as error:
                note(self.problems, f"geometry {number}: {error}")
            else:
                return found, self.offset + RESERVED + 2 * GEOMETRY, False
        self.problems.clear()
        return geometry(self.source, self.offset), self.offset + GEOMETRY, True

    @property
    def size(self) -> int:
        """Bytes that the device takes: as many as it says, or as there are."""
        there = self.source.size - self.offset
        if self.empty:
            return min(GEOMETRY + self.form.size, there)
        claimed = max((each.devices[0].size for each in self.slots if each.devices), default=self.begin - self.offset)
        if claimed > there:
            note(self.problems, f"the device has {claimed} bytes, {there} are there")
        return max(min(claimed, there), min(self.begin - self.offset, there))

    def entries(self, limits: Limits) -> Iterator[Entry]:
        """The partitions of the first slot, then what other slots have besides."""
        seen: set[tuple[str, tuple[Extent, ...]]] = set()
        spent = 0
        for number, each in enumerate(self.slots):
            for one in each.partitions:
                if not one.extents or (one.name, one.extents) in seen:
                    continue
                seen.add((one.name, one.extents))
                spent += sum(extent.sectors for extent in one.extents if extent.kind != ZEROS) * SECTOR
                if spent > _SHARED * self.source.size:
                    raise FormatError("partitions share their bytes over and over")
                name = one.name.replace("/", "_") or "unnamed"
                yield self._entry(name if number == 0 else f"{name} (slot {number})", one, limits)

    def _entry(self, name: str, one: Partition, limits: Limits) -> Entry:
        size = sum(extent.sectors for extent in one.extents) * SECTOR
        detail: dict[str, str | int] = {"group": one.group, "extents": len(one.extents)}
        if one.attributes:
            detail["attributes"] = one.attributes
        at = self.offset + one.extents[0].first * SECTOR
        single = len(one.extents) == 1 and one.extents[0].kind == 0 and at + size <= self.source.size
        return Entry(
            path=name, kind=NodeKind.REGION, size=size, role="part", locality=at, offset=at if single else None, detail=detail,
            open=partial(self.content, one, limits),
        )  # fmt: skip

    def content(self, one: Partition, limits: Limits) -> ByteSource:
        """Windows of the device and holes; raises FormatError for what lies outside, or on another device."""
        zeros = sum(each.sectors for each in one.extents if each.kind == ZEROS) * SECTOR
        if zeros > limits.bytes_stream:
            raise QuotaExceeded(f"a partition with {zeros} bytes of zeros")
        pieces: list[ByteSource | int] = []
        for each in one.extents:
            size = each.sectors * SECTOR
            if each.kind == ZEROS:
                pieces.append(size)
            elif each.kind or each.device:
                raise FormatError(f"an extent of type {each.kind} on device {each.device}, which is another partition")
            elif self.empty:
                raise Truncated("the image has no contents")
            else:
                pieces.append(self.source.window(self.offset + each.first * SECTOR, size))
        return pieces[0] if len(pieces) == 1 and isinstance(pieces[0], ByteSource) else Joined(pieces)


class AndroidSuper(Format):
    """A device of logical partitions; each is a part."""

    name = "android-super"
    title = "Android logical partitions (super)"
    specification = "fs_mgr/liblp/include/liblp/metadata_format.h of Android"
    category = "partition table"
    reads = "metadata 10.0 to 10.2 of all slots and its backups, linear and zero extents; every SHA-256 is recomputed"
    not_read = "extents on further devices of older phones (told)"
    signatures = (Signature(pattern=_MAGIC, width=8, offset=RESERVED), Signature(pattern=_MAGIC, width=8))
    priority = 15

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        device = Super(source, offset)
        first = device.slots[0]
        detail: dict[str, str | int] = {
            "version": first.version, "slots": device.form.slots, "block_size": device.form.block,
            "partitions": ", ".join(each.name for each in first.partitions[:64]),
            "groups": ", ".join(first.groups[:64]), "devices": ", ".join(each.name for each in first.devices[:16]),
            "integrity": "hash",
            "integrity_detail": f"SHA-256 of the metadata {'wrong in a copy' if device.problems else 'right'},"
            " contents have none here",
        }  # fmt: skip
        if first.flags & 1:
            detail["flags"] = "virtual A/B"
        if len(first.devices) > 1:
            note(device.problems, f"the partitions lie on {len(first.devices)} devices")
        entries: Iterator[Entry] = iter(()) if device.empty else device.entries(limits)
        return Container(format=self.name, size=device.size, entries=entries, detail=detail, problems=device.problems)


FORMATS = (AndroidSuper(),)
