"""Novatek updates for cameras: the all-in-one file, the checked container and the packed one.

``nvtpack``, little-endian: GUID {D6012E07-10BC-4F91-B28A-352F82261A50} as it lies in memory (16), version 0x16071515, offset of
the table, number of partitions, file size, method and value of the checksum; the table: offset, size, number of each partition.

``CKSM``, little-endian: version 0x16040719, method, value of the checksum, offset, size and filling of the data, kind (64 bytes).

``BCL1``, big-endian: checksum (2), method (2: 9 LZ77 of the Basic Compression Library, 11 LZMA, 12 zlib), sizes unpacked, packed.

The checksum of the first two is 16 bits: all words and their indices are added, and the sum is zero with the stored value in it.
(Novatek U-Boot, nvtpack.h; NTKFWinfo; viofo-fw.)
"""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Iterator
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import sum16, verdict
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind

_GUID: Final = bytes.fromhex("072e01d6bc10914fb28a352f82261a50")
_HEADER: Final = struct.Struct("<16s6I")
_PARTITION: Final = struct.Struct("<III")
_PARTITIONS: Final = 64
_CKSM: Final = struct.Struct("<4s7I")
_BCL: Final = struct.Struct(">4sHHII")
_METHODS: Final = {9: "LZ77", 11: "LZMA", 12: "zlib"}
_LARGEST: Final = 256 << 20
_LZ_LARGEST: Final = 16 << 20  # LZ77 is decoded in Python
_PIECE: Final = 1 << 16


def _zero_sum(source: ByteSource, offset: int, size: int) -> bool:
    """Whether words and their indices add up to zero."""
    count = size // 2
    return (sum16(source, offset, count * 2, big=False) + count * (count - 1) // 2) & 0xFFFF == 0


class Nvtpack(Format):
    """All-in-one update; each partition is a part, under the number that the camera's device tree names."""

    name = "nvtpack"
    title = "Novatek all-in-one update (NVTPACK)"
    specification = "Novatek U-Boot, nvtpack.h; NTKFWinfo"
    category = "update bundle"
    reads = "version 2 headers, all partitions, checksum recomputed"
    not_read = "the names of partitions, which stand in the device tree of the camera"
    signatures = (Signature(pattern=rb"\x07\x2e\x01\xd6\xbc\x10\x91\x4f\xb2\x8a\x35\x2f\x82\x26\x1a\x50", width=16),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        guid, version, table, count, total, _, _ = _HEADER.unpack(source.read(offset, _HEADER.size))
        if guid != _GUID or not 0 < count <= _PARTITIONS or not _HEADER.size <= table <= 4096 or total <= table:
            raise FormatError("no header of a Novatek update")
        size = min(total, source.size - offset)
        problems: list[str] = []
        if size < total:
            note(problems, f"{total} bytes announced, {size} there")
        entries = []
        for at, length, number in _PARTITION.iter_unpack(source.read(offset + table, count * _PARTITION.size)):
            there = min(length, size - at)
            if at < table or there <= 0:
                note(problems, f"partition {number} does not lie inside the update")
                continue
            entries.append(part(source, f"partition-{number}", offset + at, there))
        if not entries:
            raise FormatError("a Novatek update without partitions")
        right = _zero_sum(source, offset, size) if size == total else None
        return Container(
            format=self.name,
            size=size,
            entries=entries,
            detail={
                "version": f"0x{version:08x}",
                "partitions": count,
                "integrity": "checksum",
                "integrity_detail": verdict(problems, "16-bit sum", right),
            },
            problems=problems,
        )


class Cksm(Format):
    """Checked container of one partition."""

    name = "novatek-cksm"
    title = "Novatek checked container (CKSM)"
    specification = "Novatek U-Boot, nvtpack.h; NTKFWinfo"
    category = "firmware"
    reads = "the data, checksum recomputed"
    not_read = "nothing is signed"
    signatures = (Signature(pattern=rb"CKSM\x19\x07\x04\x16[\x00-\xff]{8}[\x00-\xff]{2}\x00\x00", width=20),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, version, _, _, start, length, filling, kind = _CKSM.unpack(source.read(offset, _CKSM.size))
        total = start + length + filling
        if magic != b"CKSM" or not _CKSM.size <= start <= 4096 or not length or filling > 1 << 20:
            raise FormatError("no header of a CKSM container")
        size = min(total, source.size - offset)
        problems: list[str] = []
        if size < total:
            note(problems, f"{total} bytes announced, {size} there")
        there = min(length, size - start)
        if there <= 0:
            raise FormatError("a CKSM container without data")
        right = _zero_sum(source, offset, size) if size == total else None
        return Container(
            format=self.name,
            size=size,
            entries=[part(source, "data", offset + start, there)],
            detail={
                "version": f"0x{version:08x}",
                "kind": kind,
                "integrity": "checksum",
                "integrity_detail": verdict(problems, "16-bit sum", right),
            },
            problems=problems,
        )


class Bcl(Format):
    """Packed partition; the unpacked bytes are a part."""

    name = "novatek-bcl1"
    title = "Novatek packed partition (BCL1)"
    specification = "Basic Compression Library 1.2; NTKFWinfo"
    category = "stream"
    reads = "LZ77, LZMA, zlib"
    not_read = "the checksum, which is made before packing; the other methods of the Basic Compression Library"
    signatures = (Signature(pattern=rb"BCL1[\x00-\xff]{2}\x00[\x09\x0b\x0c][\x00-\x0f][\x00-\xff]{3}[\x00-\x0f]", width=13),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, _, method, unpacked, packed = _BCL.unpack(source.read(offset, _BCL.size))
        largest = _LZ_LARGEST if method == 9 else _LARGEST
        if magic != b"BCL1" or method not in _METHODS or not 0 < unpacked <= largest or not 8 <= packed <= largest:
            raise FormatError("no header of a BCL1 stream")
        at = offset + _BCL.size
        size = min(packed, source.size - at)
        if size <= 8:
            raise FormatError("a BCL1 header without data")
        problems = [f"{packed} bytes announced, {size} there"] if size < packed else []
        decode = {9: _lz, 11: _lzma, 12: _zlib}[method]
        # The first bytes tell whether it is one at all: the header alone has no check.
        if not next(decode(source.window(at, min(size, _PIECE)), unpacked), b""):
            raise FormatError("a BCL1 stream that unpacks to nothing")
        entry = Entry(
            path="unpacked",
            kind=NodeKind.REGION,
            size=unpacked,
            role="part",
            locality=at,
            open=lambda: spool(bounded(decode(source.window(at, size), unpacked), size, limits)),
        )
        return Container(
            format=self.name,
            size=_BCL.size + size,
            entries=[entry],
            detail={
                "method": _METHODS[method],
                "unpacked_size": unpacked,
                "integrity": "none",
                "integrity_detail": "checksum not checked",
            },
            problems=problems,
        )


def _lz(packed: ByteSource, unpacked: int) -> Iterator[bytes]:
    """LZ77 with a marker: marker and 0 for the marker itself, else marker, length and distance in groups of 7 bits."""
    data = packed.read(0, packed.size)
    marker, at, end = data[:1], 1, len(data)
    out = bytearray()
    sent = 0
    while at < end and len(out) < unpacked:
        found = data.find(marker, at)
        found = end if found < 0 else found
        out += data[at:found]
        at = found + 1
        if at >= end:
            break
        if not data[at]:
            out += marker
            at += 1
            continue
        length, at = _number(data, at)
        distance, at = _number(data, at)
        length = min(length, unpacked - len(out))
        if not 0 < distance <= len(out):
            break
        if distance >= length:
            out += out[-distance : len(out) - distance + length]
        else:
            piece = out[-distance:]
            out += (piece * (length // distance + 1))[:length]
        if len(out) - sent >= _PIECE:
            yield bytes(out[sent:unpacked])
            sent = len(out)
    yield bytes(out[sent:unpacked])


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of 7 bits, the highest first, and where it ends; at most 5 groups."""
    value = 0
    for step in range(5):
        byte = data[at + step] if at + step < len(data) else 0
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            return value, at + step + 1
    return 0, at + 5


def _lzma(packed: ByteSource, unpacked: int) -> Iterator[bytes]:
    decoder = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=256 << 20)
    done = 0
    try:
        for chunk in packed.chunks(_PIECE):
            piece = decoder.decompress(bytes(chunk), _PIECE)
            while piece and done < unpacked:
                yield piece[: unpacked - done]
                done += len(piece)
                piece = b"" if decoder.eof or decoder.needs_input else decoder.decompress(b"", _PIECE)
            if decoder.eof or done >= unpacked:
                return
    except (lzma.LZMAError, MemoryError, EOFError) as error:
        if not done:
            raise FormatError(f"a BCL1 stream that is no LZMA: {error}") from error


def _zlib(packed: ByteSource, unpacked: int) -> Iterator[bytes]:
    decoder = zlib.decompressobj()
    done = 0
    try:
        for chunk in packed.chunks(_PIECE):
            piece = decoder.decompress(bytes(chunk), _PIECE)
            while piece and done < unpacked:
                yield piece[: unpacked - done]
                done += len(piece)
                piece = decoder.decompress(decoder.unconsumed_tail, _PIECE) if decoder.unconsumed_tail else b""
            if decoder.eof or done >= unpacked:
                return
    except zlib.error as error:
        if not done:
            raise FormatError(f"a BCL1 stream that is no zlib: {error}") from error


FORMATS = (Nvtpack(), Cksm(), Bcl())
