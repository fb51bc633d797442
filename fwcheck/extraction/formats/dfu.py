"""The USB DFU suffix: 16 bytes behind a firmware file (USB Device Firmware Upgrade Specification 1.1, appendix B; DfuSe, UM0391).

Little-endian: u16 device release, u16 product, u16 vendor (0xFFFF: any), u16 version of the specification (0x0100, or 0x011A
for DfuSe), ``UFD``, u8 length 16, u32 CRC of everything before it, without the final inversion.

Files for the boot loader of NXP LPC microcontrollers begin with a prefix of 16 bytes: the header of the LPC43xx (UM10503, chapter
5: u8 0xDA type of the image, u8 0xFF, u16 size in blocks of 512, 12 bytes 0xFF). It is commonly put in front after the suffix was
made, whose CRC then leaves it out.

The suffix claims the file in front of it, from the beginning of the source, and gives it as the part ``payload``; where that
begins with the signature of a format of its own, the suffix claims just its 16 bytes, and the file is found as what it is.
"""

from __future__ import annotations

import re
import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._parts import crc32, part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

SUFFIX: Final = 16
_PREFIX: Final = 16
_LPC = re.compile(rb"[\xda\x1a]\xff..\xff{12}", re.DOTALL)
_FIELDS = struct.Struct("<4H3sBI")


class Dfu(Format):
    """DFU suffix at the very end of a source."""

    name = "dfu"
    title = "USB DFU suffix"
    specification = "USB DFU 1.1, appendix B"
    category = "microcontroller"
    reads = "suffixes of DFU 1.0, 1.1 and 1.1a: ids, CRC over the whole file, or without a prefix for NXP LPC"
    not_read = ""
    signatures = (Signature(pattern=rb"[\x00\x10\x1a]\x01UFD\x10", width=6, offset=6),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        if source.size - offset != SUFFIX or not offset:
            raise FormatError("a DFU suffix that is not at the end of its file")
        detail, problems = suffix(source, offset)
        entries: list[Entry] = []
        before = 0
        if not _announced(source):
            entries, before = [part(source, "payload", 0, offset)], offset
        return Container(format=self.name, size=SUFFIX, before=before, entries=entries, detail=detail, problems=problems)


def suffix(source: ByteSource, offset: int) -> tuple[dict[str, str | int], list[str]]:
    """What the suffix of the source says, and what is wrong with it."""
    release, product, vendor, version, magic, length, crc = _FIELDS.unpack(source.view(offset, SUFFIX))
    if magic != b"UFD" or length != SUFFIX:
        raise FormatError("not a DFU suffix")
    problems: list[str] = []
    end = offset + SUFFIX - 4
    name, right = "CRC32", crc32(source, 0, end) ^ 0xFFFFFFFF == crc
    if not right and offset > _PREFIX and _LPC.fullmatch(source.peek(0, _PREFIX)):
        right = crc32(source, _PREFIX, end - _PREFIX) ^ 0xFFFFFFFF == crc
        name = "CRC32 of what follows the LPC prefix" if right else name
    detail: dict[str, str | int] = {
        "vendor": f"0x{vendor:04x}",
        "product": f"0x{product:04x}",
        "release": f"0x{release:04x}",
        "dfu_version": f"{version >> 8:x}.{version & 0xFF:02x}",
        "integrity": "checksum",
        "integrity_detail": verdict(problems, name, right),
    }
    return detail, problems


def _announced(source: ByteSource) -> bool:
    """Whether the file begins with the signature of some format."""
    from fwcheck.extraction.identify import signatures  # noqa: PLC0415  # it knows all formats, this one too

    return bool(signatures().at_start(source.peek(0, signatures().head)))


FORMATS = (Dfu(),)
