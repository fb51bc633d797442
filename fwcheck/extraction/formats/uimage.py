"""U-Boot legacy image: a 64-byte header, big-endian, with CRC32 of itself and of the data (include/image.h of U-Boot)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import crc32, part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

HEADER_SIZE = 64
# ih_magic ih_hcrc ih_time ih_size ih_load ih_ep ih_dcrc ih_os ih_arch ih_type ih_comp ih_name
_HEADER = struct.Struct(">7I4B32s")
_MAGIC = b"\x27\x05\x19\x56"
# What OpenWrt's loader and Netgear's boot loaders write in its place; the header CRC tells them from chance.
_OTHER_MAGICS = (b"OKLI", b"2003", b"3700", b"3701", b"3703")
_PARTS_LIMIT = 64

# IH_OS_*, IH_ARCH_*, IH_TYPE_*, IH_COMP_* by number
OPERATING_SYSTEMS = (
    "invalid", "OpenBSD", "NetBSD", "FreeBSD", "4.4BSD", "Linux", "SVR4", "Esix", "Solaris", "Irix", "SCO", "Dell", "NCR",
    "LynxOS", "VxWorks", "pSOS", "QNX", "U-Boot", "RTEMS", "ARTOS", "Unity OS", "INTEGRITY", "OSE", "Plan 9", "OpenRTOS",
    "ARM Trusted Firmware", "Trusted Execution Environment", "OpenSBI", "EFI",
)  # fmt: skip
ARCHITECTURES = (
    "invalid", "Alpha", "ARM", "x86", "IA64", "MIPS", "MIPS64", "PowerPC", "S390", "SuperH", "SPARC", "SPARC64", "M68K",
    "Nios", "MicroBlaze", "Nios II", "Blackfin", "AVR32", "ST200", "sandbox", "NDS32", "OpenRISC", "ARM64", "ARC", "x86_64",
    "Xtensa", "RISC-V",
)  # fmt: skip
TYPES = (
    "invalid", "standalone", "kernel", "ramdisk", "multi-file", "firmware", "script", "filesystem", "flat device tree",
    "kwbimage", "imximage", "ublimage", "omapimage", "aisimage", "kernel (any load address)", "pblimage", "mxsimage",
    "gpimage", "atmelimage", "socfpgaimage", "x86 setup", "lpc32xximage", "loadable",
)  # fmt: skip
COMPRESSIONS = ("none", "gzip", "bzip2", "lzma", "lzo", "lz4", "zstd")
_MULTI, _SCRIPT = 4, 6
_PART_NAMES = {2: "kernel", 3: "ramdisk", 5: "firmware", 6: "script", 7: "filesystem", 8: "fdt", 14: "kernel"}


class _Header(msgspec.Struct, frozen=True):
    time: int
    size: int
    load: int
    entry: int
    data_crc: int
    system: int
    architecture: int
    type: int
    compression: int
    name: str


class UImage(Format):
    """Legacy uImage of one or several parts; the header CRC has to be right, the data CRC is reported."""

    name = "uimage"
    title = "U-Boot legacy image (uImage)"
    specification = "U-Boot include/image.h"
    category = "firmware"
    reads = "single and multi-file images, scripts, magics of OpenWrt's loader and of Netgear; header and data CRC32 recomputed"
    not_read = "other vendors' magics"
    signatures = (
        Signature(pattern=rb"\x27\x05\x19\x56", width=4),
        Signature(pattern=rb"(?:OKLI|2003|3700|3701|3703)[\x00-\xff]{24}[\x00-\x1c][\x00-\x1a][\x01-\x16][\x00-\x06]", width=32),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        header = _parse(source, offset)
        problems: list[str] = []
        available = source.size - offset - HEADER_SIZE
        size = min(header.size, available)
        data = offset + HEADER_SIZE
        if size < header.size:
            problems.append(f"data of {header.size} bytes announced, {available} there")
            checked = "data CRC32 cannot be checked"
        elif crc32(source, data, size) == header.data_crc:
            checked = "data CRC32 right"
        else:
            checked = "data CRC32 wrong"
            problems.append(f"wrong data CRC32: 0x{header.data_crc:08x} in the header")
        parts = list(_parts(source, data, size, header, problems))
        return Container(
            format=self.name,
            size=HEADER_SIZE + size,
            entries=parts,
            detail=_detail(header) | {"integrity": "checksum", "integrity_detail": f"header CRC32 right, {checked}"},
            problems=problems,
        )


def _parse(source: ByteSource, offset: int) -> _Header:
    raw = source.read(offset, HEADER_SIZE)
    magic, crc, time, size, load, entry, data_crc, system, arch, type, compression, name = _HEADER.unpack(raw)
    if raw[:4] != _MAGIC and raw[:4] not in _OTHER_MAGICS:
        raise FormatError("not a uImage header")
    if zlib.crc32(raw[:4] + bytes(4) + raw[8:]) != crc:
        raise FormatError("wrong CRC32 of a uImage header")
    if not size:
        raise FormatError(f"uImage 0x{magic:08x} without data")
    return _Header(time, size, load, entry, data_crc, system, arch, type, compression, words(name))


def word(table: tuple[str, ...], number: int) -> str:
    """The word of one of the tables above, or ``unknown (n)``."""
    return table[number] if number < len(table) else f"unknown ({number})"


def _detail(header: _Header) -> dict[str, str | int]:
    return {
        "name": header.name,
        "os": word(OPERATING_SYSTEMS, header.system),
        "architecture": word(ARCHITECTURES, header.architecture),
        "type": word(TYPES, header.type),
        "compression": word(COMPRESSIONS, header.compression),
        "load_address": f"0x{header.load:08x}",
        "entry_point": f"0x{header.entry:08x}",
        "data_size": header.size,
        "time": datetime.fromtimestamp(header.time, UTC).isoformat(),
    }


def _parts(source: ByteSource, data: int, size: int, header: _Header, problems: list[str]) -> Iterator[Entry]:
    """The one part, or those of the length table of multi-file images and scripts: sizes, a zero, parts padded to 4 bytes."""
    compression = word(COMPRESSIONS, header.compression)
    if header.type not in {_MULTI, _SCRIPT}:
        name = _PART_NAMES.get(header.type, "payload")
        yield part(source, name, data, size, {"compression": compression}, header.time)
        return
    lengths: list[int] = []
    while length := int.from_bytes(source.peek(data + 4 * len(lengths), min(4, size - 4 * len(lengths))), "big"):
        lengths.append(length)
        if len(lengths) > _PARTS_LIMIT:
            break
    at, end = data + 4 * (len(lengths) + 1), data + size
    if not lengths or len(lengths) > _PARTS_LIMIT or at + sum(lengths) > end + 3:
        problems.append("the table of part lengths is not plausible: the data are taken as one part")
        yield part(source, "payload", data, size, {"compression": compression}, header.time)
        return
    for number, announced in enumerate(lengths):
        name = "script" if header.type == _SCRIPT and len(lengths) == 1 else f"image-{number}"
        length = min(announced, end - at)
        # Only the first part of a multi-file image is packed as the header says.
        entry = part(source, name, at, length, {"compression": compression if number == 0 else "none"}, header.time)
        # A script is a text of the boot loader's shell: nothing in it is searched for, and nothing in it is unknown.
        yield msgspec.structs.replace(entry, role="file") if name == "script" and not header.compression else entry
        at = min(end, at + length + -length % 4)


FORMATS = (UImage(),)
