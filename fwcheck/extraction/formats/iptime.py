"""ipTIME images of EFM Networks, little-endian: routers with a CRC32 over header and image, NAS packages with a sum.

Router, 56 bytes: model (8), version (8, ``00_000``), reserved (32), length of the image, CRC32 (without final inversion; over the
header with a zero in this field, then the image). The image follows, at 0x800 on the A6004MX (firmware-utils, iptime-crc32).

NAS package, 0x400 bytes: model (32), version (32), date as text (32), length, checksum, offsets in flash of header, root file
system and application, checksum of kernel and root file system, ``EFM_NAS_PKG`` (16), and from Armada 380 on length and checksum
of all three and the offset of the extension; then the image. Checksum: with S the sum of all bytes, (length of the model's name
* 0x19283745 + ~S) ^ S (firmware-utils, iptime-naspkg).
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import sum8, verdict
from fwcheck.extraction.formats._parts import crc32, part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource, Memory

_ROUTER = struct.Struct("<8s8s32sII")
_FAR = 0x800
_FAR_MODEL = b"a6004mx"
_NAS = struct.Struct("<32s32s32s6I16s")
_NAS_HEADER = 0x400
_NAS_MAGIC = b"EFM_NAS_PKG"
_FACTOR = 0x19283745
_MASK = 0xFFFFFFFF


class IptimeRouter(Format):
    """ipTIME router image."""

    name = "iptime"
    title = "ipTIME router image (EFM)"
    specification = "OpenWrt firmware-utils, iptime-crc32"
    category = "firmware"
    reads = "model, version and image; CRC32 recomputed"
    not_read = "images whose reserved bytes are set"
    signatures = (
        Signature(
            pattern=rb"[a-z][a-z0-9]{3}[a-z0-9\x00]{3}\x00[0-9]{2}_[0-9]{3}\x00{34}.{3}[\x00-\x0f]", width=52, anywhere=False
        ),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _ROUTER.size)
        model, version, reserved, length, stored = _ROUTER.unpack(raw)
        start = _FAR if model.startswith(_FAR_MODEL) else _ROUTER.size
        size = min(length, source.size - offset - start)
        if any(reserved) or version[2:3] != b"_" or size <= 0:
            raise FormatError("not an ipTIME header")
        problems: list[str] = []
        right = None
        if size == length:
            zeroed = crc32(Memory(raw[:52] + bytes(4)), 0, _ROUTER.size)
            right = crc32(source, offset + start, size, zeroed) ^ _MASK == stored
        else:
            problems.append(f"{length} bytes announced, {size} there")
        return Container(
            format=self.name,
            size=start + size,
            entries=[part(source, "image", offset + start, size)],
            detail={
                "model": words(model),
                "version": words(version),
                "integrity": "checksum",
                "integrity_detail": verdict(problems, "CRC32", right),
            },
            problems=problems,
        )


class IptimeNas(Format):
    """ipTIME NAS package."""

    name = "iptime-nas"
    title = "ipTIME NAS package (EFM_NAS_PKG)"
    specification = "OpenWrt firmware-utils, iptime-naspkg"
    category = "firmware"
    reads = "model, version, date, offsets in flash and the image; checksum recomputed"
    not_read = "the checksums of kernel, root file system and application on their own"
    signatures = (Signature(pattern=rb"EFM_NAS_PKG\x00{5}", width=16, offset=120),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        source.check(offset, _NAS_HEADER)
        model, version, date, length, stored, *rest = _NAS.unpack(source.read(offset, _NAS.size))
        header_at, rootfs_at, app_at, _, magic = rest
        start = offset + _NAS_HEADER
        size = min(length, source.size - start)
        if magic.rstrip(b"\0") != _NAS_MAGIC or size <= 0 or not model[:1].isalnum():
            raise FormatError("not an ipTIME NAS package")
        problems: list[str] = []
        right = None
        if size == length:
            total = sum8(source, start, size) & _MASK
            right = ((len(model.split(b"\0")[0]) * _FACTOR + (total ^ _MASK)) & _MASK) ^ total == stored
        else:
            problems.append(f"{length} bytes announced, {size} there")
        return Container(
            format=self.name,
            size=_NAS_HEADER + size,
            entries=[part(source, "image", start, size)],
            detail={
                "model": words(model),
                "version": words(version),
                "date": words(date.replace(b"\n", b"")),
                "flash offset": f"0x{header_at:x}",
                "rootfs_flash_offset": f"0x{rootfs_at:x}",
                "application flash offset": f"0x{app_at:x}",
                "integrity": "checksum",
                "integrity_detail": verdict(problems, "checksum", right),
            },
            problems=problems,
        )


FORMATS = (IptimeRouter(), IptimeNas())
