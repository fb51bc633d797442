"""U-Boot itself: machine code without a magic of its own, told by how it begins, and by its version banner.

It begins with the exception vectors of its processor (arch/*/cpu/start.S, arch/arm/lib/vectors.S of U-Boot):

ARM      a branch, then seven times ``ldr pc, [pc, #20]`` (0xe59ff014); before 2014 words follow at 0x40: link address, then
         offsets of BSS and of the end, or (before 2010) absolute addresses
ARM64    ``b reset``, ``nop``, and before that label 64-bit words: link address, end, begin and end of BSS, counted from the
         beginning. Rockchip's first stages have a branch over a tag, or the tag, in front (arch-rockchip/boot0.h); Allwinner's
         64-bit ones begin with code that a 32-bit processor takes for a branch, and switches by (arch-sunxi/boot0.h).
         Others have the header of a Linux image in front (linux-kernel-image-header.h)
MIPS     at least six branches with a NOP in their delay slot, newer ones a single one; Ingenic: ``bal`` over a GP word and
         ``lw gp, 0(ra)``
PowerPC  the magic of U-Boot images, then the banner
RISC-V   ``mv tp, a0``, ``mv s1, a1``, ``li gp, 0``, in machine mode behind ``csrr a0, mhartid``
x86      ``cli``, ``cld``, the caches switched off in CR0, ``wbinvd``

Where no word tells the end, the code reaches to the next device tree, image, environment or filling of a whole block of 4 KiB.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import code
from fwcheck.extraction.formats.uboot_env import defaults, is_environment
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource, Memory
from fwcheck.model import NodeKind

_LARGEST: Final = 4 << 20
_BANNER_WITHIN: Final = 2 << 20
_FILLINGS: Final = (b"\xff", b"\0")
_BLOCK: Final = 4096
_BANNER: Final = re.compile(rb"U-Boot (?:SPL |TPL )?(?:20[0-9]{2}\.[01][0-9]|1\.[0-9]\.[0-9])[\x20-\x7e]{0,100}")
_FIRST_STAGE: Final = re.compile(rb"U-Boot [ST]PL ")
_DATED: Final = re.compile(rb"\([A-Z][a-z]{2} [ 0-3][0-9] 20[0-9]{2} - [0-9]{2}:[0-9]{2}:[0-9]{2}[^)]{0,16}\)")
# version 16 or 17; dtc writes that 16 can be read, libfdt (and so mkimage) that 2 can
_FDT: Final = re.compile(
    rb"\xd0\x0d\xfe\xed\x00[\x00-\x0f][\x00-\xff]{14}\x00\x00\x00[\x10\x11]\x00\x00\x00[\x02\x10]", re.DOTALL
)
# what begins the next flash partition
_NEXT: Final = (
    b"\x27\x05\x19\x56",
    b"hsqs",
    b"sqsh",
    b"UBI#",
    b"UBI!",
    b"HDR0",
    b"\x85\x19\x03\x20",
    b"\x19\x85\x20\x03",
    b"\x45\x3d\xcd\x28",
)
_INSIDE: Final = re.compile(rb"(?:\x10\x00[\x00-\x0f][\x00-\xff]|[\x00-\xff][\x00-\x0f]\x00\x10)\x00{4}", re.DOTALL)
_OVER_TAG: Final = b"\x01\0\0\x14"  # b .+4
_SWITCH: Final = b"\x1f\0\0\xea"  # tst x0, x0; for a 32-bit processor b .+0x84
# entries of .rel.dyn: an address, and R_ARM_RELATIVE (ELF for the Arm Architecture, 5.6.3)
_RELATIVE: Final = re.compile(rb"(?:[\x00-\xff]{4}\x17\x00{3}){64,}")
_BSS_WITHIN: Final = 1 << 20  # a first stage has it elsewhere in memory
_HEAD: Final = 1024
_UIMAGE: Final = b"\x27\x05\x19\x56"
_MIPS_BIG: Final = rb"(?:\x10\x00[\x00-\x0f][\x00-\xff]\x00\x00\x00\x00){6}"
_MIPS_LITTLE: Final = rb"(?:[\x00-\xff][\x00-\x0f]\x00\x10\x00\x00\x00\x00){6}"
_STARTS: Final = (
    ("ARM", rb"[\x00-\xff]{2}\x00\xea(?:\x14\xf0\x9f\xe5){7}", 32),
    ("ARM64", rb"[\x00-\xff]{2}[\x00-\x0f]\x14\x1f\x20\x03\xd5[\x00-\xff]{5}\x00{3}(?:[\x00-\xff]{3}\x00{5}){3}", 40),
    ("ARM64", rb"(?:\x01\x00\x00\x14|RK[0-9]{2})[\x00-\xff]{2}\x00\x14[\x00-\xff]{5}\x00{3}(?:[\x00-\xff]{3}\x00{5}){3}", 40),
    ("ARM64", rb"[\x00-\xff]{2}\x00\x14\x00{4}[\x00-\xff]{48}ARM\x64", 60),
    ("ARM64", rb"\x1f\x00\x00\xea[\x00-\xff]{2}\x00\x14\x00{32}", 40),
    ("MIPS, big-endian", _MIPS_BIG, 48),
    ("MIPS, little-endian", _MIPS_LITTLE, 48),
    ("MIPS, little-endian", rb"\x02\x00\x11\x04\x00\x00\x00\x00[\x00-\xff]{3}\x80\x00\x00\xfc\x8f", 16),
    ("PowerPC", rb"\x27\x05\x19\x56U-Boot [12]", 12),
    ("RISC-V", rb"\x2a\x82\xae\x84\x93\x01\x00\x00\x97", 9),
    ("RISC-V", rb"\x73\x25\x40\xf1\x2a\x82\xae\x84\x93\x01\x00\x00\x97", 13),
    ("x86", rb"\xfa\xfc\x0f\x20\xc0\x0d\x00\x00\x00\x60\x0f\x22\xc0\x0f\x09", 15),
)  # fmt: skip
# newer MIPS: one branch and a NOP, which tells too little but at the beginning of a source
_WEAK: Final = (
    ("MIPS, big-endian", rb"\x10\x00[\x00-\x03][\x04-\xff]\x00\x00\x00\x00", 8),
    ("MIPS, little-endian", rb"[\x04-\xff][\x00-\x03]\x00\x10\x00\x00\x00\x00", 8),
)  # fmt: skip


class UBoot(Format):
    """U-Boot proper, from its exception vectors to its end; what is appended (device tree, environment) stays outside."""

    name = "uboot"
    title = "U-Boot binary"
    specification = "U-Boot arch/*/cpu/start.S, arch/arm/lib/vectors.S"
    category = "executable"
    reads = "version, architecture, extent, default environment; ARM, ARM64, MIPS, PowerPC, RISC-V, x86"
    not_read = (
        "x86 and RISC-V binaries; code behind vectors of another shape; SPLs that lie in front are found by their own headers"
    )
    signatures = (
        *(Signature(pattern=pattern, width=width) for _, pattern, width in _STARTS),
        *(Signature(pattern=pattern, width=width, anywhere=False) for _, pattern, width in _WEAK),
    )
    priority = 60

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        head = source.peek(offset, _HEAD)
        if offset >= 8 and _INSIDE.fullmatch(source.read(offset - 8, 8)) and head.startswith((b"\x10\0", head[:2] + b"\0\x10")):
            raise FormatError("inside a table of branches, not at its beginning")
        starts = _STARTS if offset else (*_STARTS, *_WEAK)
        architecture = next((name for name, pattern, _ in starts if re.match(pattern, head, re.DOTALL)), None)
        if architecture is None:
            raise FormatError("no vectors that U-Boot begins with")
        data = source.view(offset, min(_LARGEST, source.size - offset))
        banner = _banner(data[:_BANNER_WITHIN])
        if banner is None:
            raise FormatError("no banner of U-Boot behind the vectors")
        announced = _announced(architecture, head)
        least = _relocated(data, banner.end()) if architecture == "ARM" else banner.end()
        tree = _appended(data, max(least, min(announced, len(data)) - _BLOCK))
        limit = _image(data, least, tree)
        size = announced if banner.end() <= announced <= limit else _reach(source, offset, least, limit)
        detail: dict[str, str | int] = {
            "version": banner[0].decode("ascii", "replace").strip(),
            "architecture": architecture,
            "extent": "announced by the code" if size == announced else "up to what follows",
            "device_tree_appended": "yes" if limit == tree < len(data) and limit - size < _BLOCK else "no",
        }
        # a first stage (SPL, TPL) has no command line: what an environment would say of one is not true of it
        said, environment = ({}, b"") if _FIRST_STAGE.match(banner[0]) else defaults(data[:size])
        return Container(
            format=self.name,
            size=size,
            entries=[code(source, "u-boot", offset, size), *_environment(environment)],
            detail=detail | said | {"integrity": "none", "integrity_detail": "no check of its own"},
        )


def _environment(text: bytes) -> Iterator[Entry]:
    """The default environment as a text of its own: one variable on each line."""
    if text:
        yield Entry(
            path="default-environment", kind=NodeKind.REGION, size=len(text) + 1, role="part", open=lambda: Memory(text + b"\n")
        )


def _banner(data: memoryview) -> re.Match[bytes] | None:
    """The banner with its date of build; without a date only one that begins a string of its own."""
    plain = None
    for found in _BANNER.finditer(data):
        if _DATED.search(found[0]):
            return found
        if plain is None and (found.start() == 0 or data[found.start() - 1] == 0):
            plain = found
    return plain


def _announced(architecture: str, head: bytes) -> int:
    """The size that words behind the vectors give; 0 where there are none."""
    if architecture == "ARM64":
        return _announced_64(head)
    if architecture != "ARM" or len(head) < 0x60:
        return 0
    fields: tuple[int, ...] = struct.unpack_from("<4I", head, 0x40)
    base, second, third, fourth = fields
    if second == base and base:  # absolute: link address, beginning, begin of BSS
        return third - base if 0 < third - base <= _LARGEST else 0
    if base % 4096 == 0 and 0 < second <= third <= _LARGEST:  # offsets: begin of BSS, its end, end of the relocations
        return max(second, fourth) if 0 < fourth <= _LARGEST else second
    return 0


def _announced_64(head: bytes) -> int:
    """The end of the image, or the begin of a BSS close behind it: words before the label that the first branch leads to."""
    at = 4 if head.startswith((_OVER_TAG, b"RK", _SWITCH)) else 0
    reset = at + (int.from_bytes(head[at : at + 4], "little") & 0x3FFFFFF) * 4
    if not 32 <= reset <= len(head):
        return 0
    words: tuple[int, ...] = struct.unpack_from("<2Q", head, reset - 24)
    end, bss = words
    return max(end, bss) if bss - end < _BSS_WITHIN else end


def _relocated(data: memoryview, begin: int) -> int:
    """The end of the table of relocations behind ``begin``, which the linker script of ARM puts last; else ``begin``."""
    found = _RELATIVE.search(data, begin)
    return found.end() if found else begin


def _appended(data: memoryview, begin: int) -> int:
    """Where the first device tree from ``begin`` on lies; those in front of the end of the code are part of it."""
    tree = _FDT.search(data, begin)
    return tree.start() if tree else len(data)


def _image(data: memoryview, begin: int, end: int) -> int:
    """Where the first U-Boot image between ``begin`` and ``end`` begins, such as a packed second stage; else ``end``."""
    for found in re.finditer(_UIMAGE, data[begin:end]):
        header = bytes(data[begin + found.start() :][:64])
        if zlib.crc32(header[:4] + bytes(4) + header[8:]) == int.from_bytes(header[4:8], "big"):
            return begin + found.start()
    return end


def _reach(source: ByteSource, offset: int, begin: int, limit: int) -> int:
    """Where the code ends that reaches at least to ``begin``: at the first block that begins something else, or is filling."""
    first = (offset + begin) // _BLOCK * _BLOCK + _BLOCK
    end = offset + limit
    for at in range(first, offset + limit, _BLOCK):
        block = source.peek(at, _BLOCK)
        if (
            block.startswith(_NEXT)
            or not block.strip(block[:1] if block[:1] in _FILLINGS else b"\0")
            or is_environment(source, at)
        ):
            end = at
            break
    tail = source.read(max(offset + begin, end - _BLOCK), end - max(offset + begin, end - _BLOCK))
    filling = max(len(tail) - len(tail.rstrip(value)) for value in _FILLINGS)
    return end - offset - (filling if filling >= 16 else 0)


FORMATS = (UBoot(),)
