"""barebox boot loader images of ARM and MIPS (barebox include/filetype.h; arch/arm/include/asm/barebox-arm-head.h).

ARM: a branch and code, ``barebox`` at 0x20, start address at 0x28, size of the image at 0x2c. MIPS: ``barebox`` at 0x10, start
address at 0x18, size at 0x1c. Words are in the byte order of the CPU; a size of 0 says nothing.
"""

from __future__ import annotations

import re

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_SIZE_LIMIT = 64 << 20
_VERSION = re.compile(rb"barebox (20[0-9]{2}\.[0-9]{2}\.[0-9][ -~]{0,60})")
_HEAD = 0x30


class Barebox(Format):
    """barebox image; behind its header it is searched: the second stage may be packed inside."""

    name = "barebox"
    title = "barebox boot loader"
    specification = "barebox include/filetype.h"
    category = "firmware"
    reads = "headers of ARM and MIPS in both byte orders, version banner"
    not_read = "images of other architectures; images without a size reach to the end of the source"
    signatures = (
        Signature(pattern=rb"barebox\x00[\x00-\xff]{8}", width=16, offset=0x20),
        Signature(pattern=rb"barebox\x00[\x00-\xff]{8}", width=16, offset=0x10),
    )
    priority = 25

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _HEAD)
        arm = raw[0x20:0x28] == b"barebox\0"
        if not arm and raw[0x10:0x18] != b"barebox\0":
            raise FormatError("not a barebox header")
        field = raw[0x2C:0x30] if arm else raw[0x1C:0x20]
        sizes = {order: int.from_bytes(field, order) for order in ("little", "big")}
        order = min(sizes, key=lambda each: sizes[each])  # the other order makes it huge
        announced = sizes[order]
        if announced > _SIZE_LIMIT or 0 < announced < 1024 or not any(raw[:4]):
            raise FormatError("implausible barebox header")
        available = source.size - offset
        size = min(announced or available, available)
        version = _VERSION.search(source.peek(offset, min(size, 4 << 20)))
        detail: dict[str, str | int] = {"architecture": "ARM" if arm else "MIPS", "length": announced, "byte_order": order}
        if version is not None:
            detail["version"] = version[1].decode("latin-1").strip()
        detail |= {"integrity": "none", "integrity_detail": "no check"}
        return Container(
            format=self.name,
            size=size,
            entries=[part(source, "image", offset + _HEAD, size - _HEAD)],
            detail=detail,
            problems=[f"{announced} bytes announced, {size} there"] if announced > size else [],
        )


FORMATS = (Barebox(),)
