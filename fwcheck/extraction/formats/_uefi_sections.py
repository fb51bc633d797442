"""Sections of UEFI firmware files: leaves, and encapsulations that are unpacked (UEFI PI 1.8, volume 3, chapter 3).

Section: 24-bit size, type; a size of 0xffffff means that a 32-bit size follows. Sections are aligned to four bytes.
Encapsulations: compression (type 1: unpacked size, method), GUID-defined (type 2: GUID, offset of the data,
attributes), disposable (type 3).
"""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Iterator
from itertools import count as numbers
from uuid import UUID

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Entry
from fwcheck.extraction.formats import _tiano
from fwcheck.extraction.formats._x86_filter import undone
from fwcheck.extraction.limits import Limits, bounded
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool

_DEPTH = 8  # encapsulations in encapsulations
_SECTIONS_LIMIT = 4096  # per stream of sections
_COMPRESSION, _GUID_DEFINED, _DISPOSABLE = 1, 2, 3
_UI, _VERSION, _FV_IMAGE, _FREEFORM, _RAW = 0x15, 0x14, 0x17, 0x18, 0x19
_LEAVES = {
    0x10: "pe32",
    0x11: "pic",
    0x12: "te",
    0x13: "dxe-depex",
    _VERSION: "version",
    _UI: "ui",
    0x16: "compatibility16",
    _FV_IMAGE: "volume",
    _FREEFORM: "freeform",
    _RAW: "raw",
    0x1B: "pei-depex",
    0x1C: "mm-depex",
}
_META = {0x13, _VERSION, _UI, 0x1B, 0x1C}
_LZMA = UUID("ee4e5898-3914-4259-9d6e-dc7bd79403cf")
_LZMA_X86 = UUID("d42ae6bd-1352-4bfb-909a-ca72a6eae889")
_TIANO = UUID("a31280ad-481e-41b6-95e8-127f4c984779")
_GZIP = UUID("1d301fe9-be79-4353-91c2-d23bc959ae0c")
_CRC32 = UUID("fc1bcdb0-7d31-49aa-936a-a4600d9dd083")
_BROTLI = UUID("3d532050-5cda-4fd0-879e-0f7f630d5afb")
_RSA = UUID("a7717414-c616-4977-9420-844712a735bf")
_SIGNED = UUID("0f9d89e8-9259-4f76-a5af-0c89e34023df")
_NAMES = {
    _LZMA: "lzma",
    _LZMA_X86: "lzma-x86",
    _TIANO: "tiano",
    _GZIP: "gzip",
    _CRC32: "crc32",
    _BROTLI: "brotli",
    _RSA: "rsa2048-sha256",
    _SIGNED: "signed",
}
_MEMORY = 256 << 20
SMALL = 4096  # bytes below which raw content is no image to be searched
_PIECE = 64 << 10


class Found(msgspec.Struct):
    """What the sections of one file gave."""

    entries: list[Entry] = []
    name: str = ""
    version: str = ""
    methods: set[str] = set()
    signed: set[str] = set()


class Sections:
    """Reads the sections of one firmware file; problems go to the container's list."""

    def __init__(self, limits: Limits, problems: list[str], label: str) -> None:
        self._limits = limits
        self._problems = problems
        self._label = label
        self.found = Found()

    def read(self, source: ByteSource, begin: int, end: int, path: str = "", inner: bool = False, depth: int = 0) -> None:
        """Collects the leaves between two offsets; ``inner`` when the source is no longer the container's own."""
        at, seen = begin, numbers(1)
        while at + 4 <= end:
            size, kind, header = _header(source, at, end)
            if (
                size < header
                or at + size > end
                or (kind not in _LEAVES and kind not in {1, 2, 3})
                or next(seen) > _SECTIONS_LIMIT
            ):
                if at == begin or any(source.peek(at, min(end - at, 4096)).strip(b"\0\xff")):
                    note(self._problems, f"{self._label}: no section at 0x{at:x} where one should be")
                    self._leaf(source, at, end - at, f"{path}rest", inner, role="part")
                return
            self._section(source, at, size, kind, header, path, inner, depth)
            at += size + -size % 4

    def _section(
        self, source: ByteSource, at: int, size: int, kind: int, header: int, path: str, inner: bool, depth: int
    ) -> None:
        if kind in {_COMPRESSION, _GUID_DEFINED, _DISPOSABLE}:
            try:
                self._encapsulation(source, at, size, kind, header, path, inner, depth)
            except FormatError as error:
                note(self._problems, f"{self._label}: {error}")
                self._leaf(source, at + header, size - header, f"{path}packed", inner)
            return
        begin, length = at + header, size - header
        if kind == _UI and not self.found.name:
            self.found.name = _text(source.peek(begin, min(length, 512)))
        elif kind == _VERSION and not self.found.version:
            self.found.version = _text(source.peek(begin + 2, min(max(length - 2, 0), 512)))
        detail: dict[str, str | int] = {}
        if kind == _FREEFORM and length >= 16:
            detail["guid"] = str(UUID(bytes_le=source.read(begin, 16)))
            begin, length = begin + 16, length - 16
        if kind == _RAW and not source.peek(begin, min(length, 4096)).strip(b"\0").strip(b"\xff") and length <= 4096:
            return  # filler: it aligns what follows
        image = kind == _FV_IMAGE or (kind in {_RAW, _FREEFORM, 0x16} and length >= SMALL)
        role = "meta" if kind in _META else "part" if image else "file"
        self._leaf(source, begin, length, path + _LEAVES[kind], inner, role, detail)

    def _leaf(
        self,
        source: ByteSource,
        begin: int,
        length: int,
        path: str,
        inner: bool,
        role: str = "file",
        detail: dict[str, str | int] | None = None,
    ) -> None:
        if length <= 0:
            return
        taken = {each.path for each in self.found.entries}
        unique = path if path not in taken else next(f"{path}-{n}" for n in numbers(2) if f"{path}-{n}" not in taken)
        entry = Entry(
            path=unique,
            size=length,
            offset=None if inner else begin,
            detail=detail or {},
            locality=0 if inner else begin,
            open=lambda: source.window(begin, length),
        )
        self.found.entries.append(msgspec.structs.replace(entry, role=role))

    def _encapsulation(
        self, source: ByteSource, at: int, size: int, kind: int, header: int, path: str, inner: bool, depth: int
    ) -> None:
        if depth >= _DEPTH:
            raise FormatError(f"sections nested deeper than {_DEPTH}")
        begin, end = at + header, at + size
        if kind == _DISPOSABLE:
            self.read(source, begin, end, f"{path}disposable/", inner, depth + 1)
            return
        if kind == _COMPRESSION:
            method = source.read(begin + 4, 1)[0]
            names = ("none", "efi-standard", "lzma")
            name = names[method] if method < len(names) else str(method)
            data = begin + 5
        else:
            guid = UUID(bytes_le=source.read(begin, 16))
            offset, attributes = struct.unpack("<HH", source.read(begin + 16, 4))
            name, data = _NAMES.get(guid, str(guid)), at + offset
            if not begin + 20 <= data <= end:
                raise FormatError("a GUID-defined section whose data are not there")
            if name not in _NAMES.values() and attributes & 1:
                raise FormatError(f"a section that GUID {guid} packs: the method is unknown")
            self._protection(source, begin + 20, data, end, guid)
        self.found.methods.add(name)
        packed = unpacked(source, data, end - data, name, self._limits)
        if packed is None:
            self.read(source, data, end, f"{path}{name}/", inner, depth + 1)
        else:
            self.read(packed, 0, packed.size, f"{path}{name}/", inner=True, depth=depth + 1)

    def _protection(self, source: ByteSource, header: int, data: int, end: int, guid: UUID) -> None:
        if guid == _CRC32 and data >= header + 4:
            right = zlib.crc32(source.view(data, end - data)) == int.from_bytes(source.read(header, 4), "little")
            self.found.signed.add(f"CRC32 {'right' if right else 'wrong'}")
            if not right:
                note(self._problems, f"{self._label}: wrong CRC32 of a section")
        elif guid in {_RSA, _SIGNED}:
            self.found.signed.add("RSA-2048 with SHA-256 (not verified)" if guid == _RSA else "signature (not verified)")


def _header(source: ByteSource, at: int, end: int) -> tuple[int, int, int]:
    """Size, type and header length of the section at ``at``."""
    raw = source.peek(at, min(8, end - at))
    size, kind = int.from_bytes(raw[:3], "little"), raw[3]
    if size == 0xFFFFFF and len(raw) == 8:
        return int.from_bytes(raw[4:8], "little"), kind, 8
    return size, kind, 4


def _text(raw: bytes) -> str:
    text = raw[: len(raw) & ~1].decode("utf-16-le", "replace").split("\0", 1)[0]
    return "".join(char if char.isprintable() and char != "/" else "?" for char in text)


def unpacked(source: ByteSource, at: int, length: int, method: str, limits: Limits) -> ByteSource | None:
    """The content of an encapsulation; None when it is stored as it is. Raises FormatError."""
    if method in {"lzma", "lzma-x86"}:
        content = spool(bounded(_lzma(source, at, length), length, limits))
        if method == "lzma":
            return content
        return spool(bounded(undone(content), content.size, limits))
    if method == "gzip":
        return spool(bounded(_gzip(source, at, length), length, limits))
    if method in {"efi-standard", "tiano"}:
        return _by_trial(source.read(at, length), method, limits)
    if method == "brotli":
        raise FormatError("a section packed with Brotli, which is not read")
    return None


def _by_trial(data: bytes, method: str, limits: Limits) -> ByteSource:
    """Unpacks EFI 1.1 or Tiano data: which of the two it is, only the outcome tells."""
    order = (_tiano.EFI, _tiano.TIANO) if method == "efi-standard" else (_tiano.TIANO, _tiano.EFI)
    first: FormatError | None = None
    for variant in order:
        try:
            content = spool(bounded(_tiano.unpack(data, variant), len(data), limits))
            size, kind, header = _header(content, 0, content.size)
        except (FormatError, IndexError) as error:
            first = first or FormatError(str(error))
            continue
        if header <= size <= content.size and (kind in _LEAVES or kind in {1, 2, 3}):
            return content
    raise first or FormatError("EFI compression: what comes out is no section")


def _lzma(source: ByteSource, at: int, length: int) -> Iterator[bytes]:
    decoder = lzma.LZMADecompressor(lzma.FORMAT_ALONE, _MEMORY)
    end = at + length
    try:
        while not decoder.eof:
            data = source.view(at, min(_PIECE, end - at)) if decoder.needs_input else b""
            if decoder.needs_input and not data:
                raise FormatError("an LZMA section that is cut off")
            at += len(data)
            yield decoder.decompress(data, 1 << 20)
    except (lzma.LZMAError, MemoryError) as error:
        raise FormatError(f"an LZMA section: {error}") from error


def _gzip(source: ByteSource, at: int, length: int) -> Iterator[bytes]:
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
    data: bytes | memoryview = source.view(at, length)
    try:
        while data and not decoder.eof:
            yield decoder.decompress(data, 1 << 20)
            data = decoder.unconsumed_tail
    except zlib.error as error:
        raise FormatError(f"a gzip section: {error}") from error
