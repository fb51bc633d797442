r"""PCI expansion ROMs (PCI Firmware Specification 3.3, chapter 5; UEFI 2.10, chapter 14.4.2).

One image behind the other, each little-endian: ``55 aa``; for PCs u8 at 2 the length in units of 512 bytes, code from 3;
for EFI u16 at 2 the length in those units, u32 at 4 0x0ef1, u16 at 8 subsystem, 0xa machine, 0xc compression (1: UEFI's), 0x16
offset of the EFI program. u16 at 0x18: offset of the data structure ``PCIR``: u16 vendor, u16 device, u16, u16 length of
the structure, u8 revision, 3 bytes class, u16 at 0x10 length of the image in 512 bytes, u16 revision, u8 at 0x14 type of
the code, u8 at 0x15 indicator: bit 7 at the last image. The bytes of a PC's image add up to 0.
"""

from __future__ import annotations

import struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import code, part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_UNIT = 512
_TYPES = {0: "x86", 1: "open-firmware", 2: "pa-risc", 3: "efi"}
_STRUCTURE = struct.Struct("<4sHHHHB3sHHBB")
_IMAGES_LIMIT = 32
_LAST = 0x80
_EFI = 0x0EF1


class _Image(msgspec.Struct, frozen=True):
    offset: int  # from the beginning of the ROM
    size: int
    vendor: int
    device: int
    type: str
    last: bool


class OptionRom(Format):
    """PCI expansion ROM: images of code for PCs, Open Firmware and EFI."""

    name = "option-rom"
    title = "PCI expansion ROM (option ROM)"
    specification = "PCI Firmware Specification 3.3, chapter 5; UEFI 2.10, chapter 14.4.2"
    category = "firmware"
    reads = "all images of a ROM with their data structures, the sum of images for PCs, EFI programs that are not packed"
    not_read = "EFI programs packed by UEFI's method; ROMs for ISA, which have no data structure"
    signatures = (
        Signature(pattern=rb"\x55\xaa[\x01-\xff][\xe8\xe9\xeb]", width=4),
        Signature(pattern=rb"\x55\xaa[\x01-\xff][\x00-\xff]\xf1\x0e\x00\x00", width=8),
    )
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        images = [_image(source, offset, 0)]
        while not images[-1].last and len(images) < _IMAGES_LIMIT:
            try:
                images.append(_image(source, offset, images[-1].offset + images[-1].size))
            except FormatError:
                break
        announced = images[-1].offset + images[-1].size
        size = min(announced, source.size - offset)
        problems = [f"{announced} bytes announced, {size} there"] if size < announced else []
        if not images[-1].last:
            problems.append("no image is marked as the last one")
        entries = [each for number, image in enumerate(images) for each in _entries(source, offset, size, number, image)]
        detail: dict[str, str | int] = {
            "vendor": f"0x{images[0].vendor:04x}",
            "device": f"0x{images[0].device:04x}",
            "images": ", ".join(each.type for each in images),
        }
        detail |= _sums(source, offset, [each for each in images if each.type == "x86"], problems)
        return Container(format=self.name, size=size, entries=entries, detail=detail, problems=problems)


def _image(source: ByteSource, offset: int, at: int) -> _Image:
    """The image ``at`` bytes behind the beginning of the ROM; raises FormatError when there is none."""
    head = source.peek(offset + at, 0x1A)
    if len(head) < 0x1A or head[:2] != b"\x55\xaa":
        raise FormatError("no image of a PCI expansion ROM")
    structure = int.from_bytes(head[0x18:0x1A], "little")
    raw = source.peek(offset + at + structure, _STRUCTURE.size)
    if structure < 0x1A or len(raw) < _STRUCTURE.size:
        raise FormatError("no data structure of a PCI expansion ROM")
    magic, vendor, device, _, length, revision, _, units, _, kind, indicator = _STRUCTURE.unpack(raw)
    size = units * _UNIT
    if magic != b"PCIR" or length < 0x18 or revision > 3 or structure + length > size or vendor in {0, 0xFFFF}:
        raise FormatError("implausible data structure of a PCI expansion ROM")
    return _Image(at, size, vendor, device, _TYPES.get(kind, f"type-{kind}"), bool(indicator & _LAST))


def _entries(source: ByteSource, offset: int, size: int, number: int, image: _Image) -> list[Entry]:
    """The pieces of one image; an EFI program is a part, everything else is code."""
    begin, end = offset + image.offset, offset + min(image.offset + image.size, size)
    name = f"image-{number}-{image.type}"
    head = source.peek(begin, 0x1A).ljust(0x1A, b"\0")
    signature, program = int.from_bytes(head[4:8], "little"), int.from_bytes(head[0x16:0x18], "little")
    if image.type != "efi" or signature != _EFI or not 0x1A <= program < end - begin:
        return [code(source, name, begin, end - begin)] if end > begin else []
    header = msgspec.structs.replace(code(source, f"{name}-header", begin, program), role="meta")
    packed = int.from_bytes(head[0xC:0xE], "little")
    make = code if packed else part
    return [header, make(source, f"{name}-packed" if packed else name, begin + program, end - begin - program)]


def _sums(source: ByteSource, offset: int, images: list[_Image], problems: list[str]) -> dict[str, str | int]:
    """Whether the bytes of every image for PCs add up to 0 over the length its header names."""
    if not images:
        return {"integrity": "none", "integrity_detail": "no check of its own"}
    right = True
    for image in images:
        length = (source.peek(offset + image.offset + 2, 1) or b"\0")[0] * _UNIT
        whole = source.window(offset + image.offset, min(length, max(source.size - offset - image.offset, 0)))
        right = right and not sum(sum(chunk) for chunk in whole.chunks()) & 0xFF
    if not right:
        problems.append("wrong sum of bytes")
    return {"integrity": "checksum", "integrity_detail": f"sum of bytes {'right' if right else 'wrong'}"}


FORMATS = (OptionRom(),)
