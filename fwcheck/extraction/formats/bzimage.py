"""x86 bzImage and zImage: real-mode setup, then the protected-mode kernel (Documentation/arch/x86/boot.rst of Linux).

Layout, little-endian: 0x1f1 sectors of setup, 0x1f4 size of the protected-mode part in 16-byte units, 0x1fe 0xaa55,
0x202 ``HdrS``, 0x206 protocol version, 0x20e offset of the version string (less 0x200), 0x211 load flags, 0x236
extended load flags, 0x238 length of the command line, 0x248 offset of the packed kernel from the protected-mode part,
0x24c its length, 0x258 preferred address, 0x260 memory needed, 0x264 EFI handover entry. With an EFI stub the file is a
PE file too, and may carry an Authenticode signature.
"""

from __future__ import annotations

import struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats import _pe
from fwcheck.extraction.formats._authenticode import Protection, protection
from fwcheck.extraction.formats._kernel import compression, packed_kernel
from fwcheck.extraction.formats._parts import code, crc32, part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = 0x26C
_UNIT = 16  # bytes the size of the system is counted in
_LOADED_HIGH = 1
_FLAGS = ((1, "64-bit"), (2, "above 4 GiB"), (4, "EFI handover 32"), (8, "EFI handover 64"), (16, "kexec"))
_CRC_LIMIT = 64 << 20


class _Header(msgspec.Struct, frozen=True):
    setup: int  # bytes
    system: int
    version: int
    text: int
    flags: int
    extended: int
    cmdline: int
    payload: int
    payload_size: int
    preferred: int
    init: int


class BzImage(Format):
    """bzImage: setup code, stub of the decompressor, packed kernel; the certificate table of a signed one belongs to it."""

    name = "bzimage"
    title = "Linux x86 kernel (bzImage, zImage)"
    specification = "Linux Documentation/arch/x86/boot.rst"
    category = "firmware"
    reads = (
        "boot protocol 2.00 to 2.15, all compressions of the kernel, CRC32 of the build tool, "
        "EFI stub and Authenticode digest of a signed kernel"
    )
    not_read = "kernels older than protocol 2.00; setup_data"
    signatures = (Signature(pattern=rb"\x55\xaa[\xeb\xe9][\x00-\xff]HdrS[\x00-\x0f]\x02", width=10, offset=0x1FE),)
    priority = 15

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        header = _parse(source, offset)
        problems: list[str] = []
        announced = header.setup + header.system
        detail = _describe(source, offset, header)
        guarded = _protection(source, offset, min(announced, source.size - offset), problems)
        detail |= guarded.detail
        size = announced
        if (certified := detail.pop("_end", 0)) and isinstance(certified, int):
            size = max(size, certified)
        available = source.size - offset
        if size > available:
            # The size is told in whole units of 16 bytes: a build that does not fill the last one up lacks nothing.
            if size != announced or size - available >= _UNIT:
                problems.append(f"{size} bytes announced, {available} there")
            size = available
        entries = list(_pieces(source, offset, size, min(announced, available), header, detail, problems))
        return Container(
            format=self.name, size=size, entries=entries, detail=detail, problems=problems, signatures=guarded.blocks
        )


def _parse(source: ByteSource, offset: int) -> _Header:
    raw = source.peek(offset, _HEADER).ljust(_HEADER, b"\0")
    if raw[0x202:0x206] != b"HdrS" or raw[0x1FE:0x200] != b"\x55\xaa":
        raise FormatError("not a Linux x86 setup header")
    version, text = int.from_bytes(raw[0x206:0x208], "little"), int.from_bytes(raw[0x20E:0x210], "little")
    units = int.from_bytes(raw[0x1F4 : 0x1F8 if version >= 0x204 else 0x1F6], "little")
    extended, cmdline = struct.unpack_from("<HI", raw, 0x236)
    payload, payload_size = struct.unpack_from("<II", raw, 0x248) if version >= 0x208 else (0, 0)
    preferred, init = struct.unpack_from("<QI", raw, 0x258) if version >= 0x20A else (0, 0)
    setup = ((raw[0x1F1] or 4) + 1) * 512
    system = units * _UNIT
    if not 0x200 <= version <= 0x2FF or not units or setup >= source.size - offset:
        raise FormatError("implausible Linux x86 setup header")
    return _Header(
        setup, system, version, text, raw[0x211], extended if version >= 0x20C else 0, cmdline if version >= 0x206 else 255,
        payload, payload_size, preferred, init,
    )  # fmt: skip


def _describe(source: ByteSource, offset: int, header: _Header) -> dict[str, str | int]:
    text = words(source.peek(offset + 0x200 + header.text, 256)) if 0 < header.text < header.setup - 0x200 else ""
    detail: dict[str, str | int] = {
        "protocol": f"{header.version >> 8}.{header.version & 0xFF:02d}",
        "version": text,
        "kind": "bzImage" if header.flags & _LOADED_HIGH else "zImage",
        "cmdline_size": header.cmdline,
        "init_size": header.init,
        "preferred_address": f"0x{header.preferred:x}" if header.preferred else "",
        "extended_flags": ", ".join(name for bit, name in _FLAGS if header.extended & bit),
    }
    return {key: value for key, value in detail.items() if value not in {"", 0}}


def _protection(source: ByteSource, offset: int, size: int, problems: list[str]) -> Protection:
    """EFI stub, signature and CRC32; ``_end`` is where a certificate table ends."""
    try:
        pe = _pe.parse(source, offset)
    except FormatError:
        return Protection({"efi_stub": "no", **_checksum(source, offset, size)})
    detail: dict[str, str | int] = {"efi_stub": _pe.MACHINES.get(pe.machine, "yes")}
    if not pe.certificates[1]:
        return Protection(detail | _checksum(source, offset, size))
    guarded = protection(source, offset, pe, problems)
    # Setup and kernel stand in front of the certificates, which the header of the boot protocol does not count.
    return Protection(detail | guarded.detail | {"_end": sum(pe.certificates)}, guarded.blocks)


def _checksum(source: ByteSource, offset: int, size: int) -> dict[str, str | int]:
    """The word at the end makes the CRC32 of the file come out (arch/x86/boot/tools/build.c, until Linux 6.16)."""
    right = 4 < size <= _CRC_LIMIT and crc32(source, offset, size - 4) ^ 0xFFFFFFFF == int.from_bytes(
        source.peek(offset + size - 4, 4), "little"
    )
    words = "CRC32 of the build tool right" if right else "no check, or a CRC32 that is not right (signing breaks it)"
    return {"integrity": "checksum" if right else "none", "integrity_detail": words}


def _pieces(
    source: ByteSource,
    offset: int,
    size: int,
    end: int,
    header: _Header,
    detail: dict[str, str | int],
    problems: list[str],
) -> list[Entry]:
    """Setup, stub, kernel, what stands behind it, certificates: in order and without holes."""
    begin = min(header.setup, end)
    out = [code(source, "setup", offset, begin)]
    at, length = begin + header.payload, header.payload_size
    if not length or at + length > end:
        if length:
            problems.append("the packed kernel the header names is not there as a whole")
        found = packed_kernel(source, offset + begin, offset + end)
        if found is None:
            return [*out, part(source, "kernel", offset + begin, size - begin)]
        at, detail["compression"] = found[0] - offset, found[1]
        length = end - at
    else:
        detail["compression"] = compression(source, offset + at, offset + at + length) or "none or unknown"
    out.append(code(source, "stub", offset + begin, at - begin))
    out.append(part(source, "kernel", offset + at, length))
    out.append(code(source, "stub-data", offset + at + length, end - at - length))
    out.append(msgspec.structs.replace(code(source, "certificates", offset + end, size - end), role="meta"))
    return [each for each in out if each.size]


FORMATS = (BzImage(),)
