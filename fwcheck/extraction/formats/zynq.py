"""Xilinx (AMD) boot image of Zynq-7000 and Zynq UltraScale+, little-endian.

    0x20 width detection 66 55 99 AA       0x40 7000: total length of it; MP: the same
    0x24 ``XNLX``                          0x48 complement of the sum of the words from 0x20 to 0x44
    0x28 key source, zero when plain       0x98 offset of the image header table
    0x30 offset of the first stage         0x9C offset of the partition header table
    0x34 7000: length of the first stage;  0x3C MP: length of the first stage

Partition headers of 64 bytes hold lengths and offsets in words of four bytes and end with the complement of their sum
(UG821 and UG1283, boot image format; U-Boot tools/zynqimage.c, tools/zynqmpimage.h).
"""

from __future__ import annotations

import struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._decrypt import encrypted
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_HEADER = 0xA0
_MP_VECTOR = b"\x00\x00\x00\x14"  # what an UltraScale+ image begins with
_PARTITIONS = 64
_RSA = 1 << 15
_LARGEST = 1 << 30
_KEYS = {0xA5C3C5A3: "eFUSE", 0xA5C3C5A5: "eFUSE black", 0xA5C3C5A7: "eFUSE grey", 0x3A5C3C5A: "BBRAM", 0xA35C7C53: "boot header"}


class _Partition(msgspec.Struct, frozen=True, kw_only=True):
    offset: int
    size: int
    load: int
    encrypted: bool
    signed: bool


class Zynq(Format):
    """Zynq boot image; first stage and partitions are parts."""

    name = "zynq-boot"
    title = "Xilinx Zynq / Zynq UltraScale+ boot image"
    specification = "AMD UG821, UG1283; U-Boot tools/zynqimage.c"
    category = "firmware"
    reads = "boot header (checksum recomputed), first stage, all partitions; encryption and RSA authentication are told"
    not_read = "authentication certificates are not verified; Versal PDI"
    signatures = (Signature(pattern=rb"\x66\x55\x99\xaaXNLX", width=8, offset=0x20),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEADER)
        summed = struct.unpack_from("<10I", raw, 0x20)
        if ~sum(summed) & 0xFFFFFFFF != int.from_bytes(raw[0x48:0x4C], "little"):
            raise FormatError("wrong checksum of a Zynq boot header")
        multi = raw[:4] == _MP_VECTOR
        start, short = struct.unpack_from("<II", raw, 0x30)
        length = struct.unpack_from("<I", raw, 0x3C)[0] if multi else short
        key = _KEYS.get(summed[2], f"0x{summed[2]:08x}") if summed[2] else ""
        table = int.from_bytes(raw[0x9C:0xA0], "little")
        available = source.size - offset
        problems: list[str] = []
        partitions = _partitions(source, offset, table, multi, problems) if _HEADER <= table < available else []
        if not partitions:
            if not _HEADER <= start < available:
                raise FormatError("a Zynq boot header that leads nowhere")
            first = _Partition(offset=start, size=length or available - start, load=0, encrypted=bool(key), signed=False)
            partitions = [first]
            # mkimage writes the length of the whole file where that of the first stage belongs.
            if start + length > available and length <= available:
                partitions = [msgspec.structs.replace(first, size=available - start)]
        end = max(each.offset + each.size for each in partitions)
        signed = any(each.signed for each in partitions)
        if end > available:
            note(problems, f"{end} bytes announced, {available} there")
        told = "boot header checksum right"
        return Container(
            format=self.name,
            size=min(max(end, _HEADER), available),
            entries=_entries(source, offset, partitions),
            detail={
                "family": "Zynq UltraScale+" if multi else "Zynq-7000",
                "partitions": len(partitions),
                "key_source": key or "none",
                "integrity": "signature" if signed else "checksum",
                "integrity_detail": f"RSA authentication (not verified), {told}" if signed else told,
            },
            problems=problems,
        )


def _partitions(source: ByteSource, offset: int, table: int, multi: bool, problems: list[str]) -> list[_Partition]:
    found: list[_Partition] = []
    for number in range(_PARTITIONS):
        raw = source.peek(offset + table + 64 * number, 64)
        if len(raw) < 64 or not any(raw[:60]):
            break
        numbers = struct.unpack("<16I", raw)
        if ~sum(numbers[:15]) & 0xFFFFFFFF != numbers[15]:
            note(problems, f"partition-{number}: wrong checksum of its header")
            break
        place, load, attributes = (numbers[8], numbers[6], numbers[9]) if multi else (numbers[5], numbers[3], numbers[6])
        one = _Partition(
            offset=4 * place,
            size=4 * numbers[2],
            load=load,
            encrypted=numbers[0] != numbers[1],
            signed=bool(attributes & _RSA),
        )
        if one.size and one.offset >= _HEADER and one.offset + one.size <= _LARGEST:
            found.append(one)
    return found


def _entries(source: ByteSource, offset: int, partitions: list[_Partition]) -> list[Entry]:
    entries = []
    for number, each in enumerate(partitions):
        size = min(each.size, source.size - offset - each.offset)
        if size <= 0:
            continue
        name, at = f"partition-{number}", offset + each.offset
        if each.encrypted:
            entries.append(encrypted(source, at, size, "AES-256, Xilinx Zynq boot", name))
        else:
            detail: dict[str, str | int] = {"load_address": f"0x{each.load:08x}", "rsa": int(each.signed)}
            entries.append(part(source, name, at, size, detail))
    return entries


FORMATS = (Zynq(),)
