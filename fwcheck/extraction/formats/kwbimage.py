"""Marvell boot image (kwbimage), versions 0 and 1, little-endian.

    0  boot device (5A SPI, 69 UART, 78 SATA, 8B NAND, 9B PCIe, AE SD)   12 offset of the payload
    1  flags (v1) or NAND ECC mode (v0)                                  16 load address
    2  NAND page size                                                    20 entry address
    4  length of the payload with its checksum of four bytes             30 whether an extension header follows
    8  version                                                           31 sum of the header's bytes
    9  v1: length of all headers, most significant byte, then 16 bits

Extension headers of version 1: type (1 secure, 2 binary, 3 registers), length in three bytes. The payload ends with the sum of
its 32-bit words. On SATA and SD the offset counts sectors (U-Boot tools/kwbimage.h).
"""

from __future__ import annotations

import struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import sum32, verdict
from fwcheck.extraction.formats._parts import code, part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_DEVICES = {0x5A: "SPI", 0x69: "UART", 0x78: "SATA", 0x8B: "NAND", 0x9B: "PCIe", 0xAE: "SD/MMC"}
_BY_SECTOR = frozenset({0x78, 0xAE})
_MAIN, _EXTENSION_0 = 32, 0x1E0
_SECURE, _BINARY = 1, 2
_EXTENSIONS = 64


class _Found(msgspec.Struct, frozen=True):
    """Extension headers of version 1."""

    codes: list[tuple[int, int]]  # offset, size
    secure: bool


class KwbImage(Format):
    """Marvell kwbimage; the payload is a part, binary headers (the SPL) are code."""

    name = "kwbimage"
    title = "Marvell boot image (kwbimage)"
    specification = "U-Boot tools/kwbimage.h"
    category = "firmware"
    reads = "versions 0 and 1, binary headers and payload; header and payload checksums recomputed; a secure header is told"
    not_read = "images in the middle of other bytes; signatures are not verified"
    signatures = (
        Signature(pattern=rb"[\x5a\x69\x78\x8b\x9b\xae].{6}\x00[\x00\x01]\x00.{21}[\x00-\xff]", width=32, anywhere=False),
    )
    priority = 40

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _MAIN)
        device, _, _, length, version = struct.unpack_from("<BBHIB", raw)
        start, load, entry = struct.unpack_from("<3I", raw, 12)
        if device not in _DEVICES or version > 1 or length < 8 or length % 4:
            raise FormatError("not a kwbimage header")
        headers = raw[9] << 16 | int.from_bytes(raw[10:12], "little") if version else _MAIN
        if headers < _MAIN or (sum(source.read(offset, headers)) - raw[31]) & 0xFF != raw[31]:
            raise FormatError("wrong checksum of a kwbimage header")
        found = _extensions(source, offset, headers) if version and raw[30] & 1 else _Found([], secure=False)
        extension = _EXTENSION_0 if not version and raw[30] & 1 else 0
        at, right = _payload(source, offset, device, start, length)
        if at < headers or at >= source.size - offset:
            raise FormatError("a kwbimage whose payload lies nowhere")
        problems: list[str] = []
        size = min(at + length, source.size - offset)
        if size < at + length:
            problems.append(f"{at + length} bytes announced, {size} there")
        told = f"header checksum right, {verdict(problems, 'payload checksum', right)}"
        entries: list[Entry] = [
            code(source, f"header-{number}", offset + each, count) for number, (each, count) in enumerate(found.codes)
        ]
        payload = size - at - (4 if size == at + length else 0)
        entries.append(part(source, "payload", offset + at, payload))
        return Container(
            format=self.name,
            size=size,
            entries=entries,
            detail={
                "version": version,
                "boot_device": _DEVICES[device],
                "header_length": headers + extension,
                "load_address": f"0x{load:08x}",
                "entry_point": f"0x{entry:08x}",
                "integrity": "signature" if found.secure else "checksum",
                "integrity_detail": f"RSA-2048 signature (not verified), {told}" if found.secure else told,
            },
            problems=problems,
        )


def _extensions(source: ByteSource, offset: int, headers: int) -> _Found:
    codes: list[tuple[int, int]] = []
    secure, at = False, _MAIN
    for _ in range(_EXTENSIONS):
        raw = source.peek(offset + at, 8)
        size = raw[1] << 16 | int.from_bytes(raw[2:4], "little") if len(raw) == 8 else 0
        if size < 8 or at + size > headers:
            break
        secure = secure or raw[0] == _SECURE
        if raw[0] == _BINARY:
            # number of arguments, three bytes, the arguments, then code up to four bytes that tell whether another header follows
            begin = at + 8 + 4 * raw[4]
            if begin < at + size - 4:
                codes.append((begin, at + size - 4 - begin))
        more = source.peek(offset + at + size - 4, 1)
        at += size
        if more != b"\1":
            break
    return _Found(codes, secure)


def _payload(source: ByteSource, offset: int, device: int, start: int, length: int) -> tuple[int, bool | None]:
    """Where the payload lies, and whether its checksum is right there."""
    places = [start * 512, start] if device in _BY_SECTOR else [start]
    for at in places:
        if at + length <= source.size - offset:
            total = sum32(source, offset + at, length - 4, big=False) & 0xFFFFFFFF
            if total == int.from_bytes(source.read(offset + at + length - 4, 4), "little"):
                return at, True
    at = next((each for each in places if each < source.size - offset), places[0])
    return at, False if at + length <= source.size - offset else None


FORMATS = (KwbImage(),)
