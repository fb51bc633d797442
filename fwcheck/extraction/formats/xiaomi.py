"""Xiaomi router images HDR1 and HDR2, little-endian.

HDR1: ``HDR1``, offset of the signature, CRC-32 (without final inversion) of all from 12 on, unused, device, eight offsets.
HDR2: ``HDR2``, the same two, unused, device (8) and region (8) in text, 16 bytes unused, eight offsets. At each offset a blob:
0x0000BABE, flash offset, size, type, unused, name (32), content. The signature: its size, 12 bytes, content (OpenWrt
firmware-utils, xiaomifw; unblob for HDR2).
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._parts import crc32, part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_BLOB = struct.Struct("<IIIHH32s")
_OFFSETS_AT = {b"HDR1": 16, b"HDR2": 48}
_MAGIC = 0x0000BABE
_DEVICES = {3: "r1cm", 4: "r2d", 5: "r1cl", 7: "r3", 8: "r3d", 13: "r3g", 18: "r4cm", 22: "r2100", 37: "ra70"}


class Xiaomi(Format):
    """Xiaomi HDR1 or HDR2 image; blobs are parts."""

    name = "xiaomi-hdr"
    title = "Xiaomi router image (HDR1, HDR2)"
    specification = "OpenWrt firmware-utils, xiaomifw"
    category = "firmware"
    reads = "all blobs with name, type and flash offset; CRC32 recomputed; the RSA signature is told"
    not_read = "the RSA signature is not verified"
    signatures = (Signature(pattern=rb"HDR[12].{3}[\x00-\x1f]", width=8),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, 80)
        signature, stored = struct.unpack_from("<II", raw, 4)
        table = _OFFSETS_AT.get(raw[:4])
        if table is None:
            raise FormatError("not a Xiaomi header")
        offsets = [each for each in struct.unpack_from("<8I", raw, table) if each]
        available = source.size - offset
        if not offsets or signature <= max(offsets) or min(offsets) < table + 32:
            raise FormatError("implausible offsets in a Xiaomi header")
        problems: list[str] = []
        entries = _blobs(source, offset, signature, offsets, problems)
        if not entries:
            raise FormatError("a Xiaomi header without blobs")
        head = source.peek(offset + signature, 16)
        length = int.from_bytes(head[:4], "little") if len(head) == 16 else 0
        signed = 64 <= length <= 1024 and any(source.peek(offset + signature + 16, 64))
        end = signature + 16 + (length if 64 <= length <= 1024 else 256)
        size = min(end, available)
        if size < end:
            note(problems, f"{end} bytes announced, {size} there")
        right = crc32(source, offset + 12, size - 12) ^ 0xFFFFFFFF == stored if size == end else None
        told = verdict(problems, "CRC32", right)
        device = _DEVICES.get(int.from_bytes(raw[14:16], "little"), f"0x{int.from_bytes(raw[14:16], 'little'):04x}")
        detail: dict[str, str | int] = {"header": words(raw[:4]), "device": device}
        if raw[:4] == b"HDR2":
            detail |= {"device": words(raw[16:24]), "region": words(raw[24:32])}
        return Container(
            format=self.name,
            size=size,
            entries=entries,
            detail=detail
            | {
                "integrity": "signature" if signed else "checksum",
                "integrity_detail": f"RSA-{8 * length} signature (not verified), {told}" if signed else told,
            },
            problems=problems,
        )


def _blobs(source: ByteSource, offset: int, end: int, offsets: list[int], problems: list[str]) -> list[Entry]:
    entries = []
    for number, at in enumerate(offsets):
        raw = source.peek(offset + at, _BLOB.size)
        if len(raw) < _BLOB.size:
            note(problems, f"blob {number} lies beyond the end")
            continue
        magic, flash, size, kind, _, name = _BLOB.unpack(raw)
        if magic != _MAGIC:
            note(problems, f"no blob at 0x{at:x}")
            continue
        start = offset + at + _BLOB.size
        there = min(size, offset + end - start, source.size - start)
        label = words(name) or f"blob-{number}"
        if there < size:
            note(problems, f"{label}: {size} bytes announced, {max(there, 0)} there")
        if there > 0:
            detail: dict[str, str | int] = {"type": f"0x{kind:04x}"}
            if flash != 0xFFFFFFFF:
                detail["flash_offset"] = f"0x{flash:08x}"
            entries.append(part(source, label, start, there, detail))
    return entries


FORMATS = (Xiaomi(),)
