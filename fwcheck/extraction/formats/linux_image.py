r"""Linux ``Image`` of ARM64 and RISC-V: a flat kernel with a 64-byte header, little-endian.

ARM64 (Documentation/arch/arm64/booting.rst): two words of code (or ``MZ``), 0x08 text offset, 0x10 image size with BSS
(0 before Linux 3.17), 0x18 flags (bit 0 endianness, bits 1-2 page size, bit 3 placement), 0x38 ``ARM\x64``, 0x3c
offset of the PE header. RISC-V (Documentation/arch/riscv/boot-image-header.rst): the same up to the flags (bit 0
endianness), 0x20 version, 0x30 ``RISCV``, 0x38 ``RSC\x05``.

The size in the header counts the BSS, which is not in the file: with an EFI stub the sections of the PE header tell
where the file ends.
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats import _pe
from fwcheck.extraction.formats._authenticode import Protection, protection
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<IIQQQIIQQII")
_SIZE = 64
_ARM64, _RISCV = 0x644D5241, 0x05435352
_PAGES = ("unspecified", "4 KiB", "16 KiB", "64 KiB")
_IMAGE_LIMIT = 512 << 20


class LinuxImage(Format):
    """Flat kernel image; behind its header it is searched for what is built in (initramfs, configuration, keys)."""

    name = "linux-image"
    title = "Linux Image (ARM64, RISC-V)"
    specification = "Linux Documentation/arch/arm64/booting.rst, Documentation/arch/riscv/boot-image-header.rst"
    category = "firmware"
    reads = (
        "headers of ARM64 and RISC-V, exact extent and Authenticode digest with an EFI stub; the kernel is searched at "
        "every offset"
    )
    not_read = "without an EFI stub the file's end: the header counts the BSS too"
    signatures = (
        Signature(pattern=rb"ARM\x64[\x00-\xff]{2}\x00\x00", width=8, offset=0x38),
        Signature(pattern=rb"RISCV\x00\x00\x00RSC\x05", width=12, offset=0x30),
    )
    priority = 15

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        _, jump, text, announced, flags, version, _, _, _, magic, pe_at = _HEADER.unpack(source.read(offset, _SIZE))
        if magic not in {_ARM64, _RISCV} or announced > _IMAGE_LIMIT or text > 64 << 20 or text % 4096 not in {0, 0x80}:
            raise FormatError("not the header of a Linux Image")
        arm = magic == _ARM64
        if source.size - offset <= _SIZE or not (jump or source.peek(offset, 2) == b"MZ"):
            raise FormatError("a Linux Image without code")
        available = source.size - offset
        problems: list[str] = []
        detail: dict[str, str | int] = {
            "architecture": "ARM64" if arm else "RISC-V",
            "image_size": announced,
            "text_offset": f"0x{text:x}",
            "byte_order": "big" if flags & 1 else "little",
        }
        if arm:
            detail["page_size"] = _PAGES[flags >> 1 & 3]
        else:
            detail["header_version"] = f"{version >> 16}.{version & 0xFFFF}"
        size = min(announced or available, available)
        guarded = Protection({})
        try:
            pe = _pe.parse(source, offset) if pe_at else None
        except FormatError:
            pe = None
        if pe is not None:
            guarded = protection(source, offset, pe, problems)
            detail |= {"efi_stub": "yes"} | guarded.detail
            size = min(pe.end, available)
            if pe.end > available:
                problems.append(f"{pe.end} bytes named, {available} there")
        else:
            detail |= {"efi_stub": "no", "integrity": "none", "integrity_detail": "no check"}
        if size <= _SIZE:
            raise FormatError("implausible size in the header of a Linux Image")
        entry = part(source, "kernel", offset + _SIZE, size - _SIZE)
        return Container(
            format=self.name, size=size, entries=[entry], detail=detail, problems=problems, signatures=guarded.blocks
        )


FORMATS = (LinuxImage(),)
