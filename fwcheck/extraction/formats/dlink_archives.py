"""Archives in D-Link firmware: DEAFBEAD (DSL-500G, DSL-504G) and FPKG (DFL firewalls).

DEAFBEAD, little-endian: DE AF BE AD, then records: 86, length of the name, name (a directory); or 87, length of the name, name,
length of the content, content (gzip). FPKG, big-endian: ``FPKG`` or ``CPKG``, 01000000, offset of the first entry; FPKG also
has the name of the model. Entries: 28, type (0x100 file, 0x102 checksum, 0x103 signature), a number, length, name (16), content
(unblob, deafbead and fpkg).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import partial

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.members import decoded, member_path, note
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind

_DIRECTORY, _FILE = 0x86, 0x87
_NAME = 1024
_ENTRY = struct.Struct(">IHHI16s")
_TYPES = {0x100: "file", 0x101: "unknown", 0x102: "checksum", 0x103: "signature"}
_STEP = 1 << 16


class DeafBead(Format):
    """D-Link DEAFBEAD archive."""

    name = "deafbead"
    title = "D-Link DEAFBEAD archive"
    specification = "unblob, deafbead"
    category = "archive"
    reads = "directories and gzip-packed files"
    signatures = (Signature(pattern=rb"\xde\xaf\xbe\xad[\x86\x87][\x01-\xff][\x00-\x03]", width=7),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        problems: list[str] = []
        entries: list[Entry] = []
        at = offset + 4
        while len(entries) < limits.nodes:
            kind = source.peek(at, 3)
            if len(kind) < 3 or kind[0] not in {_DIRECTORY, _FILE}:
                break
            length = int.from_bytes(kind[1:], "little")
            name = source.peek(at + 3, length)
            if not 0 < length <= _NAME or len(name) < length:
                break
            path, escapes = member_path(decoded(name).replace("\\", "/"))
            if escapes:
                note(problems, f"{path}: a name that leaves the root")
            at += 3 + length
            if kind[0] == _DIRECTORY:
                entries.append(Entry(path=path, kind=NodeKind.DIRECTORY, mode=0o755))
                continue
            size = int.from_bytes(source.peek(at, 4), "little")
            at += 4
            if at + size > source.size or at > source.size:
                note(problems, f"{path}: {size} bytes announced, {max(source.size - at, 0)} there")
                at = source.size
                break
            entries.append(_packed(source.window(at, size), path, at, limits))
            at += size
        if not entries:
            raise FormatError("an archive without members")
        return Container(format=self.name, size=min(at, source.size) - offset, entries=entries, problems=problems)


def _packed(window: ByteSource, path: str, at: int, limits: Limits) -> Entry:
    # gzip ends with the unpacked size.
    size = int.from_bytes(window.peek(window.size - 4, 4), "little") if window.peek(0, 2) == b"\x1f\x8b" else window.size
    return Entry(path=path, size=size, locality=at, open=partial(_unpacked, window, limits))


def _unpacked(window: ByteSource, limits: Limits) -> ByteSource:
    if window.peek(0, 2) != b"\x1f\x8b":
        return window
    return spool(bounded(_inflated(window), window.size, limits))


def _inflated(window: ByteSource) -> Iterator[bytes]:
    inflater = zlib.decompressobj(31)
    try:
        for chunk in window.chunks(_STEP):
            data = bytes(chunk)
            while data and not inflater.eof:
                yield inflater.decompress(data, 1 << 20)
                data = inflater.unconsumed_tail
    except zlib.error as error:
        raise FormatError(f"broken gzip stream: {error}") from error


class Fpkg(Format):
    """D-Link FPKG or CPKG archive."""

    name = "fpkg"
    title = "D-Link firewall package (FPKG, CPKG)"
    specification = "unblob, fpkg"
    category = "archive"
    reads = "all entries; checksum and signature entries are told"
    not_read = "checksum and signature entries are not verified"
    signatures = (Signature(pattern=rb"[CF]PKG\x01\x00\x00\x00\x00\x00", width=10),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, 12)
        at = offset + int.from_bytes(raw[8:], "big")
        if at - offset < 12 or at >= source.size:
            raise FormatError("implausible offset of the first entry")
        model = words(source.peek(offset + 20, min(at - offset - 20, 256))) if raw[:1] == b"F" and at - offset > 20 else ""
        problems: list[str] = []
        entries: list[Entry] = []
        kinds: set[int] = set()
        while len(entries) < limits.nodes:
            head = source.peek(at, _ENTRY.size)
            if len(head) < _ENTRY.size:
                break
            length, kind, _, size, name = _ENTRY.unpack(head)
            if length != _ENTRY.size or kind not in _TYPES:
                break
            there = min(size, source.size - at - length)
            label = words(name).strip() or f"entry-{len(entries)}"
            if there < size:
                note(problems, f"{label}: {size} bytes announced, {there} there")
            entry = part(source, label, at + length, there, {"type": _TYPES[kind]})
            entries.append(entry if kind == 0x100 else msgspec.structs.replace(entry, role="file"))
            kinds.add(kind)
            at += length + there
        if not entries:
            raise FormatError("a package without entries")
        integrity = "signature" if 0x103 in kinds else "checksum" if 0x102 in kinds else "none"
        return Container(
            format=self.name,
            size=at - offset,
            entries=entries,
            detail={
                "model": model,
                "entries": len(entries),
                "integrity": integrity,
                "integrity_detail": f"{integrity} entry (not verified)" if integrity != "none" else "none",
            },
            problems=problems,
        )


FORMATS = (DeafBead(), Fpkg())
