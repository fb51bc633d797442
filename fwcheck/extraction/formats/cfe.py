"""Broadcom CFE boot loader in flash: ``CFE1CFE1`` at 0x4E0 (BCM47xx), or ``cfe-v`` and the version at 0x570 (BCM63xx).

CFE has no length. It ends at the first multiple of 64 KiB behind which something else begins: a TRX, NVRAM (``FLSH``), an image
tag, a file system, an empty block or the end (linux bcm47xxpart and bcm963xx parsers).
"""

from __future__ import annotations

import re

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._parts import code, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_BLOCK, _BLOCKS = 0x10000, 16
_FOLLOWING = (b"HDR0", b"FLSH", b"UBI#", b"hsqs", b"sqsh", b"\x85\x19", b"\x19\x85", b"\x27\x05\x19\x56")
_TAG = re.compile(rb"[1-9]\x00\x00\x00[A-Za-z]")
_VERSION = re.compile(rb"CFE version ([0-9][\x21-\x7e]{1,40})")
_SMALL = (b"CFE1CFE1", 0x4E0)
_XDSL = (b"cfe-v", 0x570)


class Cfe(Format):
    """CFE boot loader."""

    name = "cfe"
    title = "Broadcom CFE boot loader"
    specification = "linux drivers/mtd/parsers/bcm47xxpart.c and bcm963xx"
    category = "firmware"
    reads = "version, and the boot loader as one piece of code"
    not_read = "the compressed second stage and the NVRAM inside are not told apart"
    signatures = (
        Signature(pattern=rb"CFE1CFE1", width=8, offset=_SMALL[1]),
        Signature(pattern=rb"cfe-v[\x00-\x63]{3}", width=8, offset=_XDSL[1]),
    )
    priority = 40

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        xdsl = source.peek(offset + _XDSL[1], 5) == _XDSL[0]
        if not xdsl and source.peek(offset + _SMALL[1], 8) != _SMALL[0]:
            raise FormatError("not a CFE boot loader")
        size = _end(source, offset)
        detail: dict[str, str | int] = {"flavour": "BCM63xx" if xdsl else "BCM47xx"}
        if xdsl:
            detail["version"] = ".".join(str(each) for each in source.read(offset + _XDSL[1] + 5, 3))
        elif match := _VERSION.search(source.view(offset, size)):
            detail["version"] = words(match[1])
        return Container(format=self.name, size=size, entries=[code(source, "boot", offset, size)], detail=detail)


def _end(source: ByteSource, offset: int) -> int:
    available = source.size - offset
    for number in range(1, _BLOCKS + 1):
        size = number * _BLOCK
        if size >= available:
            return available
        head = bytes(source.peek(offset + size, 64))
        if head.startswith(_FOLLOWING) or _TAG.match(head) or not head.strip(b"\xff"):
            return size
    raise FormatError("a CFE boot loader without an end")


FORMATS = (Cfe(),)
