"""ARM zImage: the self-extracting kernel of 32-bit ARM (arch/arm/boot/compressed/head.S and vmlinux.lds.S of Linux).

Layout, 32-bit words in the byte order of the kernel: eight words of code (NOPs, or ``MZ`` in a NOP and a PE header for
EFI), 0x24 magic 0x016f2818, 0x28 start address (0 when position-independent), 0x2c end address, 0x30 the byte order
mark 0x04030201, 0x34 the magic 0x45454545 and 0x38 the offset of a table of tags (since Linux 4.15): length in words,
tag, values, a zero at the end; the tag ``ZSLK`` gives the offset of the word behind the packed kernel that holds its
unpacked size, then the size of the kernel's BSS.
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._kernel import packed_kernel
from fwcheck.extraction.formats._parts import code, part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_MAGIC = 0x016F2818
_MARK = 0x04030201
_TABLE_MAGIC = 0x45454545
_SIZE_TAG = 0x5A534C4B
_HEADER = 0x30
_TAGS_LIMIT = 32
_SIZE_LIMIT = 256 << 20
_FDT = b"\xd0\x0d\xfe\xed"


class ZImage(Format):
    """zImage: decompressor stub, packed kernel, the rest of the decompressor."""

    name = "zimage"
    title = "ARM zImage (self-extracting kernel)"
    specification = "Linux arch/arm/boot/compressed/head.S, vmlinux.lds.S"
    category = "firmware"
    reads = (
        "both byte orders, EFI stub, kernels packed with gzip, LZMA, xz, LZO, LZ4, bzip2 or zstd, exact by the tag "
        "table or by decoding"
    )
    not_read = "kernels that are not packed; a device tree appended behind the image is found on its own"
    signatures = (
        Signature(pattern=rb"\x18\x28\x6f\x01", width=4, offset=0x24),
        Signature(pattern=rb"\x01\x6f\x28\x18", width=4, offset=0x24),
    )
    priority = 15

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset + 0x24, 12)
        order = "<" if int.from_bytes(raw[:4], "little") == _MAGIC else ">"
        magic, start, end = struct.unpack(order + "III", raw)
        announced = end - start
        if magic != _MAGIC or not 0x400 <= announced <= _SIZE_LIMIT or start % 4 or end % 4:
            raise FormatError("not a zImage header")
        size = min(announced, source.size - offset)
        problems = [f"{announced} bytes announced, {size} there"] if size < announced else []
        found = packed_kernel(source, offset + _HEADER, offset + size)
        marked = source.peek(offset + 0x30, 4) in {_MARK.to_bytes(4, "little"), _MARK.to_bytes(4, "big")}
        if found is None and not marked:
            raise FormatError("a zImage magic without a packed kernel")
        detail: dict[str, str | int] = {
            "byte_order": "little" if order == "<" else "big",
            "load_address": f"0x{start:x}" if start else "position-independent",
            "length": announced,
            "efi_stub": "yes" if source.peek(offset, 2) == b"MZ" else "no",
            "integrity": "none",
            "integrity_detail": "no check of its own",
        }
        if found is None:
            problems.append("no packed kernel was found inside")
            entries = [part(source, "image", offset + _HEADER, size - _HEADER)]
        else:
            detail["compression"] = found[1]
            entries = _pieces(source, offset, size, found[0], self._end(source, offset, size, order, found[0]))
        if source.peek(offset + size, 4) == _FDT:
            detail["appended_device_tree"] = "yes"
        return Container(format=self.name, size=size, entries=entries, detail=detail, problems=problems)

    @staticmethod
    def _end(source: ByteSource, offset: int, size: int, order: str, kernel: int) -> int:
        """Where the packed kernel ends: behind the size word the tag table points at, else with the image."""
        raw = source.peek(offset + 0x34, 8)
        magic, table = struct.unpack(order + "II", raw) if len(raw) == 8 else (0, 0)
        at = offset + table
        for _ in range(_TAGS_LIMIT if magic == _TABLE_MAGIC and 0x3C <= table < size else 0):
            head = source.peek(at, 12)
            if len(head) < 12:
                break
            length, tag, value = (int(each) for each in struct.unpack(order + "III", head))
            if not length:
                break
            end = offset + value + 4
            if tag == _SIZE_TAG and kernel < end <= offset + size:
                return end
            at += 4 * length
        return offset + size


def _pieces(source: ByteSource, offset: int, size: int, kernel: int, end: int) -> list[Entry]:
    entries = [code(source, "stub", offset, kernel - offset), part(source, "kernel", kernel, end - kernel)]
    if end < offset + size:
        entries.append(code(source, "stub-data", end, offset + size - end))
    return entries


FORMATS = (ZImage(),)
