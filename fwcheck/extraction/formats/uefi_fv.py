"""UEFI firmware volumes: files of sections, or the store of variables (UEFI PI 1.8, volume 3, chapters 2 and 3).

Volume: 16 zero bytes (or a reset vector), GUID of its file system, length (64 bit), ``_FVH`` at 0x28, attributes
(0x800: erased bits are 1), header length, checksum (all 16-bit words sum up to zero), offset of the extended header
(GUID of the volume, size), reserved, revision, block map. File: GUID, header checksum, data checksum, type, attributes
(0x01: a 64-bit size follows; 0x40: the data checksum is one), 24-bit size, state; aligned to eight bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from uuid import UUID

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats import _uefi_variables
from fwcheck.extraction.formats._parts import code, part
from fwcheck.extraction.formats._uefi_sections import SMALL, Sections
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<16s16sQ4sIHHHBB")
_FILE = struct.Struct("<16sBBBB3sB")
_NVRAM = UUID("fff12b8d-7696-4c8b-a985-2747075b4f50")
_FILE_SYSTEMS = {
    UUID("7a9354d9-0468-444a-81ce-0bf617d890df"): "FFS1",
    UUID("8c8ce578-8a3d-4f1c-9935-896185c32dd3"): "FFS2",
    UUID("5473c07a-3dcb-4dca-bd6f-1e9689e7349a"): "FFS3",
    UUID("04adeead-61ff-4d31-b6ba-64f8bf901f5a"): "FFS2 (Apple)",
    UUID("bd001b8c-6a71-487b-a14f-0c2a2dcf7a5d"): "FFS2 (Apple)",
    UUID("ad3fffff-d28b-44c4-9f13-9ea98a97f9f0"): "FFS2 (Intel)",
    UUID("d6a1cd70-4b33-4994-a6ea-375f2ccc5437"): "FFS2 (Intel)",
    UUID("4f494156-aed6-4d64-a537-b8a5557bceec"): "FFS2 (Sony)",
    _NVRAM: "NVRAM",
}
_TYPES = {
    0x01: "raw", 0x02: "freeform", 0x03: "SEC core", 0x04: "PEI core", 0x05: "DXE core", 0x06: "PEIM", 0x07: "DXE driver",
    0x08: "PEIM and driver", 0x09: "application", 0x0A: "MM driver", 0x0B: "volume image", 0x0C: "MM and DXE driver",
    0x0D: "MM core", 0x0E: "standalone MM driver", 0x0F: "standalone MM core", 0xF0: "padding",
}  # fmt: skip
_RAW, _PADDING = 0x01, 0xF0
_NAMES = {
    UUID("1ba0062e-c779-4582-8566-336ae8f78f09"): "VolumeTop",
    UUID("1b45cc0a-156a-428a-af62-49864da0e6e6"): "PeiApriori",
    UUID("fc510ee7-ffdc-11d4-bd41-0080c73c8881"): "DxeApriori",
    UUID("7e374e25-8e01-4fee-87f2-390c23c606cd"): "AcpiTables",
    UUID("9e21fd93-9c72-4c15-8c4b-e77f1db2d792"): "CompressedVolume",
    UUID("7bb28b99-61bb-11d5-9a5d-0090273fc14d"): "Logo",
    UUID("197db236-f856-4924-90f8-cdf12fb875f3"): "Microcode",
}
_LARGE, _CHECKED, _ERASED_ONES = 0x01, 0x40, 0x800
_DELETED = 0x10
_FILES_LIMIT = 10_000


class _Volume(msgspec.Struct, frozen=True):
    size: int
    header: int
    extended: int
    revision: int
    guid: UUID
    attributes: int
    length: int  # announced

    @property
    def erased(self) -> int:
        return 0xFF if self.attributes & _ERASED_ONES else 0


class UefiVolume(Format):
    """Firmware volume. Sections are files or parts under the name of their file; packed sections are unpacked on the way."""

    name = "uefi-fv"
    title = "UEFI firmware volume"
    specification = "UEFI Platform Initialization 1.8, volume 3; EDK II VariableFormat.h"
    category = "firmware"
    reads = (
        "FFS1, FFS2, FFS3 and vendors' names of them, extended headers, large files, all section types, packed sections "
        "(LZMA, LZMA with x86 filter, EFI 1.1, Tiano, gzip), CRC32 sections, checksums of headers and files, "
        "variable stores with authenticated variables"
    )
    not_read = (
        "Brotli sections, sections packed by vendors' methods, deleted variables, fault-tolerant-write logs; signatures are told"
    )
    signatures = (
        Signature(pattern=rb"_FVH[\x00-\xff]{4}[\x00-\xff][\x00\x01][\x00-\xff]{4}\x00[\x01\x02]", width=16, offset=0x28),
    )
    priority = 15

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        volume = _parse(source, offset)
        problems: list[str] = []
        if volume.length > volume.size:
            problems.append(f"length {volume.length} announced, {volume.size} bytes there")
        kind = _FILE_SYSTEMS.get(volume.guid, "unknown")
        detail: dict[str, str | int] = {
            "file_system": kind,
            "file_system_guid": str(volume.guid),
            "revision": volume.revision,
            "length": volume.length,
            "integrity": "checksum",
            "integrity_detail": "header checksum right",
        }
        entries: Iterator[Entry] | list[Entry]
        if volume.guid == _NVRAM:
            entries = _nvram(source, offset, volume, detail, limits, problems)
        elif kind == "unknown" and not _begins_with_file(source, offset, volume):
            entries = [part(source, "content", offset + volume.header, volume.size - volume.header)]
        else:
            entries = _Files(source, offset, volume, limits, problems).all(detail)
        return Container(format=self.name, size=volume.size, entries=entries, detail=detail, problems=problems)


def _parse(source: ByteSource, offset: int) -> _Volume:
    raw = source.read(offset, _HEADER.size)
    _, guid, length, magic, attributes, header, _, extended, _, revision = _HEADER.unpack(raw)
    if magic != b"_FVH" or header < _HEADER.size + 8 or header % 2 or revision not in {1, 2} or length <= header:
        raise FormatError("not a firmware volume header")
    if sum(each[0] for each in struct.iter_unpack("<H", source.read(offset, header))) & 0xFFFF:
        raise FormatError("wrong checksum of a firmware volume header")
    size = min(length, source.size - offset)
    if size <= header:
        raise FormatError("a firmware volume that is cut off in its header")
    return _Volume(size, header, extended if revision == 2 else 0, revision, UUID(bytes_le=guid), attributes, length)


def _nvram(
    source: ByteSource, offset: int, volume: _Volume, detail: dict[str, str | int], limits: Limits, problems: list[str]
) -> Iterator[Entry] | list[Entry]:
    """Variables first, then what follows the store: the log of fault-tolerant writes and spare blocks."""
    at, end = offset + volume.header, offset + volume.size
    try:
        found = _uefi_variables.store(source, at)
    except FormatError:
        note(problems, "no store of variables in a volume that should hold one")
        return [part(source, "content", at, end - at)]
    entries = list(_uefi_variables.variables(source, at, found, limits))
    detail |= _uefi_variables.describe(found)
    rest = min(at + found.size, end)
    if rest < end:
        entries.append(code(source, "fault-tolerant-write", rest, end - rest))
    return entries


def _begins_with_file(source: ByteSource, offset: int, volume: _Volume) -> bool:
    try:
        return _file(source, offset + volume.header, offset + volume.size, volume) is not None
    except FormatError:
        return False


class _File(msgspec.Struct, frozen=True):
    guid: UUID
    type: int
    attributes: int
    size: int
    header: int
    deleted: bool
    check: int


def _file(source: ByteSource, at: int, end: int, volume: _Volume) -> _File | None:
    """The file header at ``at``; None for erased flash. Raises FormatError for anything else."""
    raw = source.peek(at, min(32, end - at))
    if len(raw) < _FILE.size or raw[: _FILE.size] == bytes([volume.erased]) * _FILE.size:
        return None
    guid, _, check, type, attributes, size, state = _FILE.unpack_from(raw)
    length, header = int.from_bytes(size, "little"), _FILE.size
    if attributes & _LARGE and len(raw) == 32:
        length, header = int.from_bytes(raw[24:32], "little"), 32
    if (sum(raw[:header]) - check - state) & 0xFF or not header <= length <= end - at:
        raise FormatError("no file header")
    if volume.erased:
        state = ~state & 0xFF
    return _File(UUID(bytes_le=guid), type, attributes, length, header, bool(state & _DELETED), check)


class _Files:
    """The files of one volume while they are listed."""

    def __init__(self, source: ByteSource, offset: int, volume: _Volume, limits: Limits, problems: list[str]) -> None:
        self.source = source
        self.volume = volume
        self.limits = limits
        self.problems = problems
        self.begin, self.end = offset + volume.header, offset + volume.size
        self.offset = offset
        self._taken: set[str] = set()

    def all(self, detail: dict[str, str | int]) -> Iterator[Entry]:
        at = self._extended(detail)
        for _ in range(_FILES_LIMIT):
            if at >= self.end:
                return
            try:
                file = _file(self.source, at, self.end, self.volume)
            except FormatError:
                note(self.problems, f"no file at 0x{at - self.offset:x}: the rest of the volume is searched as a whole")
                yield part(self.source, f"rest-0x{at - self.offset:x}", at, self.end - at)
                return
            if file is None:
                at = self._next(at)
                continue
            yield from self._content(at, file)
            at += file.size
            at += -(at - self.offset) % 8
        note(self.problems, f"more than {_FILES_LIMIT} files: the others stay unread")

    def _extended(self, detail: dict[str, str | int]) -> int:
        """Where the first file begins; the extended header gives the volume's name."""
        at = self.offset + self.volume.extended
        raw = self.source.peek(at, 20) if self.volume.extended >= self.volume.header else b""
        size = int.from_bytes(raw[16:20], "little")
        if len(raw) < 20 or not 20 <= size <= self.end - at:
            return self.begin
        detail["volume_guid"] = str(UUID(bytes_le=raw[:16]))
        at += size
        return at + -(at - self.offset) % 8

    def _next(self, at: int) -> int:
        """The next place, aligned, that is not erased flash."""
        erased = bytes([self.volume.erased])
        while at < self.end:
            chunk = self.source.peek(at, min(1 << 16, self.end - at))
            rest = chunk.lstrip(erased)
            if rest:
                at += len(chunk) - len(rest)
                return at - (at - self.offset) % 8
            at += len(chunk)
        return at

    def _content(self, at: int, file: _File) -> Iterator[Entry]:
        begin, end = at + file.header, at + file.size
        if file.type == _PADDING:
            if self._filled(begin, end):
                yield part(self.source, f"padding-0x{at - self.offset:x}", begin, end - begin)
            return
        label = f"file {file.guid}"
        if file.attributes & _CHECKED and (sum(self.source.view(begin, end - begin)) + file.check) & 0xFF:
            note(self.problems, f"{label}: wrong checksum")
        detail: dict[str, str | int] = {"guid": str(file.guid), "type": _TYPES.get(file.type, f"0x{file.type:02x}")}
        if file.deleted:
            detail["state"] = "deleted"
        if file.type == _RAW or file.type not in _TYPES:
            name = self._name(file, "")
            whole = part(self.source, f"/{name}", begin, end - begin, detail)
            yield msgspec.structs.replace(whole, role="file" if name == "VolumeTop" or end - begin < SMALL else "part")
            return
        sections = Sections(self.limits, self.problems, label)
        sections.read(self.source, begin, end)
        found = sections.found
        name = self._name(file, found.name)
        if found.version:
            detail["version"] = found.version
        if found.methods:
            detail["methods"] = ", ".join(sorted(found.methods))
        if found.signed:
            detail["protected_by"] = ", ".join(sorted(found.signed))
        for entry in found.entries:
            path = f"/{name}/{entry.path}"
            yield msgspec.structs.replace(entry, path=path, detail={**detail, **entry.detail})

    def _filled(self, begin: int, end: int) -> bool:
        return any(bytes(chunk).strip(b"\xff").strip(b"\0") for chunk in self.source.window(begin, end - begin).chunks())

    def _name(self, file: _File, shown: str) -> str:
        """The name a file shows, else a well-known one, else its GUID; told apart by the GUID where two have the same."""
        name = shown if shown not in {"", ".", ".."} else _NAMES.get(file.guid, str(file.guid))
        for candidate in (name, f"{name}.{file.guid}"):
            if candidate not in self._taken:
                self._taken.add(candidate)
                return candidate
        self._taken.add(name := f"{name}.{len(self._taken)}")
        return name


FORMATS = (UefiVolume(),)
