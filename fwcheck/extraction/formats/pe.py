"""PE32 and PE32+ files, as UEFI, Windows and the EFI stubs of kernels are stored, and TE images.

Inside are told apart: a unified kernel image (UAPI Group's UKI specification: sections ``.linux``, ``.initrd``,
``.cmdline``, ...), and the kernel's EFI zboot image (linux/drivers/firmware/efi/libstub/zboot-header.S): ``MZ``, two
zeros, ``zimg`` at 4, offset and size of the compressed kernel at 8 and 12, the name of the compression at 24.

TE (UEFI PI 1.8, volume 1, chapter 15): ``VZ``, machine, number of sections, subsystem, bytes stripped from the front
(16 bit), entry point, base of code, image base (64 bit), two data directories; 40 bytes in all, then the section table.
File offsets of sections still count the stripped bytes.
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._authenticode import Protection, protection
from fwcheck.extraction.formats._parts import code, part, words
from fwcheck.extraction.formats._pe import MACHINES, SUBSYSTEMS, Pe, describe, parse
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_TE = struct.Struct("<2sHBBHIIQIIII")
_TE_SECTION = struct.Struct("<8sIIIIIIHHI")
_KERNELS = ((0x24, b"\x18\x28\x6f\x01"), (0x202, b"HdrS"))  # zImage of ARM, bzImage: they give stub and kernel one by one
_UKI_PARTS = {".linux", ".initrd", ".dtb", ".dtbauto", ".ucode", ".efifw", ".splash"}


class PortableExecutable(Format):
    """PE file with its certificate table: one piece of code."""

    name = "pe"
    title = "PE32/PE32+ executable"
    specification = "Microsoft PE Format; Windows Authenticode Portable Executable Signature Format"
    category = "executable"
    reads = (
        "PE32 and PE32+ of all machines, exact extent with COFF symbols and certificate table, "
        "Authenticode digests (SHA-1, SHA-2) recomputed"
    )
    not_read = "resources, overlays behind the last section, plain DOS executables; trust in certificates"
    signatures = (Signature(pattern=rb"MZ[\x00-\xff]{59}[\x00-\x0f]\x00\x00", width=64),)
    priority = 40

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        _, size, guarded, problems = _opened(source, offset)
        entries = [code(source, "image", offset, size)]
        return Container(
            format=self.name, size=size, entries=entries, detail=guarded.detail, problems=problems, signatures=guarded.blocks
        )


class EfiZboot(Format):
    """Compressed kernel with an EFI stub that unpacks it."""

    name = "efi-zboot"
    title = "Linux EFI zboot image"
    specification = "Linux drivers/firmware/efi/libstub/zboot-header.S"
    category = "firmware"
    reads = "stub and packed kernel by the offsets of the header, exact extent, Authenticode digest"
    not_read = "trust in certificates"
    signatures = (Signature(pattern=rb"MZ\x00\x00zimg", width=8),)
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        _, size, guarded, problems = _opened(source, offset)
        entries = _zboot(source, offset, size, guarded.detail)
        if not entries:
            raise FormatError("a zboot header without a kernel")
        return Container(
            format=self.name, size=size, entries=entries, detail=guarded.detail, problems=problems, signatures=guarded.blocks
        )


class UnifiedKernel(Format):
    """Unified kernel image: kernel, initramfs, command line and more as sections of one EFI program."""

    name = "uki"
    title = "Unified kernel image (UKI)"
    specification = "UAPI Group, Unified Kernel Image"
    category = "firmware"
    reads = "all sections; kernel, initramfs and device trees are searched, texts are files; Authenticode digest"
    not_read = "profiles are not told apart"
    signatures = PortableExecutable.signatures
    priority = 35

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        pe, size, guarded, problems = _opened(source, offset)
        entries = _unified(source, offset, pe, size, guarded.detail)
        if not entries:
            raise FormatError("a PE file without the sections of a unified kernel image")
        return Container(
            format=self.name, size=size, entries=entries, detail=guarded.detail, problems=problems, signatures=guarded.blocks
        )


def _opened(source: ByteSource, offset: int) -> tuple[Pe, int, Protection, list[str]]:
    """Headers, size, what is told and problems of the PE file at ``offset``; raises FormatError."""
    pe = parse(source, offset)
    if pe.machine not in MACHINES or not pe.sections or pe.image_size < pe.headers:
        raise FormatError("implausible PE header")
    available = source.size - offset
    if pe.end > available and any(source.peek(offset + at, len(magic)) == magic for at, magic in _KERNELS):
        raise FormatError("the head of a kernel with an EFI stub, which its own format gives")
    ends = [pe.headers, *(each.offset + each.size for each in pe.sections), sum(pe.certificates), pe.symbols_end]
    size = max((end for end in ends if 0 < end <= available), default=available)
    problems = [f"{pe.end} bytes named, {available} there"] if pe.end > available else []
    guarded = protection(source, offset, pe, problems)
    return pe, size, Protection(describe(pe) | guarded.detail, guarded.blocks), problems


def _zboot(source: ByteSource, offset: int, size: int, detail: dict[str, str | int]) -> list[Entry]:
    """The kernel of an EFI zboot image; nothing for other files."""
    head = source.peek(offset, 64)
    if head[2:8] != b"\0\0zimg":
        return []
    at, length = struct.unpack_from("<II", head, 8)
    if at + length > size or not length:
        return []
    detail["compression"] = words(head[24:56])
    pieces = [code(source, "stub", offset, at), part(source, "kernel", offset + at, length)]
    rest = size - at - length
    return [*pieces, code(source, "tail", offset + at + length, rest)] if rest else pieces


def _unified(source: ByteSource, offset: int, pe: Pe, size: int, detail: dict[str, str | int]) -> list[Entry]:
    """The sections of a unified kernel image; nothing for other files."""
    names = {each.name for each in pe.sections}
    if ".linux" not in names or not names & {".initrd", ".cmdline", ".osrel"}:
        return []
    out = []
    for section in pe.sections:
        length = min(section.size, section.virtual_size or section.size, size - section.offset)
        if length <= 0:
            continue
        name = section.name
        make = part if name in _UKI_PARTS else code
        out.append(make(source, name.strip(".") or "section", offset + section.offset, length))
        if name == ".cmdline":
            detail["cmdline"] = words(source.peek(offset + section.offset, min(length, 2048)))
    return out


class TerseExecutable(Format):
    """TE image: a PE file whose headers were cut down; told by its size from the section table."""

    name = "te"
    title = "TE (terse executable) image of UEFI"
    specification = "UEFI Platform Initialization 1.8, volume 1, chapter 15"
    category = "executable"
    reads = "header and section table, exact extent"
    not_read = "anything but the image as one piece of code: it has no signature of its own"
    signatures = (
        Signature(
            pattern=rb"VZ(?:\x4c\x01|\x64\x86|\x64\xaa|\xc2\x01|\xc4\x01|\x00\x02|\xbc\x0e|\x64\x50|\x64\x62)[\x01-\x20][\x00\x01\x0a-\x0d]",
            width=6,
            anywhere=False,
        ),
    )
    priority = 40

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _TE.size)
        magic, machine, count, subsystem, stripped, entry, _, base, *_ = _TE.unpack(raw)
        if magic != b"VZ" or machine not in MACHINES or not count or not 40 <= stripped <= 0x1000:
            raise FormatError("not a TE header")
        table = source.read(offset + _TE.size, _TE_SECTION.size * count)
        ends = [_TE.size + len(table)]
        for _, _, _, length, at, _, _, _, _, _ in _TE_SECTION.iter_unpack(table):
            if at and length:
                if at < stripped:
                    raise FormatError("TE section before the stripped header")
                ends.append(at + length - stripped + _TE.size)
        available = source.size - offset
        size = max(end for end in ends if end <= available)
        return Container(
            format=self.name,
            size=size,
            entries=[code(source, "image", offset, size)],
            detail={
                "machine": MACHINES[machine],
                "subsystem": SUBSYSTEMS.get(subsystem, str(subsystem)),
                "image_base": f"0x{base:x}",
                "entry_point": f"0x{entry:x}",
                "integrity": "none",
                "integrity_detail": "no check",
            },
            problems=[f"{max(ends)} bytes named, {available} there"] if max(ends) > available else [],
        )


FORMATS = (PortableExecutable(), TerseExecutable(), EfiZboot(), UnifiedKernel())
