"""Boot headers of Bouffalo Lab BL602, BL702 and later chips (Bouffalo SDK: bootheader_t; openbouffalo/bflb-mcu-tool).

The header of BL602 and BL702 has 176 bytes, little-endian: ``BFNP``, u32 revision; ``FCFG``, 84 bytes flash configuration, u32
CRC32 of them; ``PCFG``, 8 bytes clock configuration, u32 CRC32 of them; at 116 u32 flags (bits 0 and 1 signed, 2 and 3
encryption, 4 and 5 key, 16 CRC ignored, 17 hash ignored), u32 size of the image, u32 entry point, u32 offset of the image, 32
bytes SHA-256 of it, 8 bytes, at 172 u32 CRC32 of all before. Later chips have larger headers (256 and 352 bytes) with a CRC at
their end. The image follows at its offset, or at 0x1000 or 0x2000 of the header in files that are written behind one another.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import digest, verdict
from fwcheck.extraction.formats._parts import code, part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_SMALL: Final = 176
_SIZES: Final = (_SMALL, 256, 352)
_FIELDS = struct.Struct("<IIII32s")  # at 116: flags, size, entry point, offset, hash
_IGNORED: Final = b"\xef\xbe\xad\xde"
_CIPHERS = {1: "AES-128", 2: "AES-256", 3: "AES-192"}
_SIZE_LIMIT: Final = 16 << 20


class Bouffalo(Format):
    """Boot header, and where the hash finds it, the image."""

    name = "bouffalo"
    title = "Bouffalo Lab boot header (BL602, BL702, BL616, BL808)"
    specification = "Bouffalo SDK: bootheader; openbouffalo/bflb-mcu-tool"
    category = "microcontroller"
    reads = "headers with their CRC32; BL602 and BL702: all flags, image by its SHA-256"
    not_read = "encrypted images (told), verification of signatures, fields of the larger headers"
    signatures = (Signature(pattern=rb"BFNP.{4}FCFG", width=12),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, _SIZES[-1])
        fits = [size for size in _SIZES if len(raw) >= size and _crc(raw, size)]
        if not fits:
            raise FormatError("not a boot header of Bouffalo Lab")
        header = fits[0]
        detail: dict[str, str | int] = {"header_size": header, "revision": int.from_bytes(raw[4:8], "little")}
        checked = "CRC32 of the header not set" if raw[header - 4 : header] == _IGNORED else "CRC32 of the header right"
        if header != _SMALL:
            detail |= {"integrity": "checksum", "integrity_detail": checked}
            return Container(format=self.name, size=header, detail=detail)
        return self._small(source, offset, raw, detail, checked)

    def _small(self, source: ByteSource, offset: int, raw: bytes, detail: dict[str, str | int], checked: str) -> Container:
        flags, size, entry, start, hashed = _FIELDS.unpack_from(raw, 116)
        cipher, signed = _CIPHERS.get(flags >> 2 & 3), bool(flags & 3)
        detail |= {
            "entry_point": f"0x{entry:08x}",
            "image_offset": f"0x{start:x}",
            "image_size": size,
            "encrypted": cipher or "no",
        }
        problems: list[str] = []
        place = None
        if flags >> 17 & 1 or hashed[:4] == _IGNORED:
            words = "hash not set"
        else:
            place = _place(source, offset, start, size, hashed)
            words = (
                verdict(problems, "sha256 of the image", place is not None) if source.size - offset > size else "image elsewhere"
            )
        detail |= {
            "integrity": "signature" if signed else "checksum" if flags >> 17 & 1 else "hash",
            "integrity_detail": f"{'signature (not verified), ' if signed else 'no signature, '}{checked}, {words}",
        }
        if place is None:
            return Container(format=self.name, size=_SMALL, detail=detail, problems=problems)
        entries: list[Entry] = []
        if place > offset + _SMALL:
            entries.append(part(source, "behind the header", offset + _SMALL, place - offset - _SMALL))
        image = code(source, "image", place, size)
        if cipher:
            image = msgspec.structs.replace(image, role="encrypted", detail={"encryption": f"{cipher}-CTR, Bouffalo boot header"})
        return Container(
            format=self.name, size=place + size - offset, entries=[*entries, image], detail=detail, problems=problems
        )


def _crc(raw: bytes, size: int) -> bool:
    stored = raw[size - 4 : size]
    if stored == _IGNORED:
        return size == _SMALL and zlib.crc32(raw[12:96]) == int.from_bytes(raw[96:100], "little")
    return zlib.crc32(raw[: size - 4]) == int.from_bytes(stored, "little")


def _place(source: ByteSource, offset: int, start: int, size: int, hashed: bytes) -> int | None:
    """Where the image lies whose hash is known."""
    if not 0 < size <= _SIZE_LIMIT:
        return None
    for place in dict.fromkeys((offset + start, offset + 0x1000, offset + 0x2000, offset + _SMALL)):
        if offset + _SMALL <= place <= source.size - size and digest("sha256", source, (place, size)) == hashed:
            return place
    return None


FORMATS = (Bouffalo(),)
