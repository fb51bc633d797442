"""What is built into a Linux kernel that is an ELF file: the initramfs, plain or packed, and the configuration.

A loader that carries a packed kernel is an ELF file as well. An ELF file is inspected as one piece of code, so nothing
inside is searched for; a kernel is the exception. The initramfs lies in ``.init.data`` (usr/initramfs_data.S of Linux),
on a 4-byte boundary, and begins with the magic of a newc archive once unpacked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fwcheck.extraction.errors import ExtractionError
from fwcheck.extraction.format import Entry
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import CHUNK, ByteSource

SMALLEST = 32 << 10  # bytes below which an ELF file is no kernel
_BANNER = b"Linux version "
_CONFIG = b"IKCFG_ST\x1f\x8b\x08"
_ARCHIVE = re.compile(rb"07070[12][0-9A-Fa-f]{8}")
_PACKED = re.compile(
    rb"\x1f\x8b\x08[\x00-\x1f]|\xfd7zXZ\x00|BZh[1-9]1AY|\x89LZO\x00|\x02\x21\x4c\x18|\x28\xb5\x2f\xfd|[\x5d\x6d]\x00\x00[\x00-\xff]{2}"
)
_TRIALS = 64
_KERNEL = 512 << 10  # unpacked bytes below which a stream in a program is no kernel
_TRIAL = Limits(bytes_stream=9 << 20, ratio_floor=9 << 20)


def embedded(source: ByteSource, offset: int, size: int, init: tuple[int, int] | None) -> Iterator[Entry]:
    """Parts inside the ELF file at ``offset``; ``init`` is the place of ``.init.data`` in the source, when it has one."""
    if size < SMALLEST:
        return
    if _find(source, _BANNER, offset, offset + size) is None:
        yield from _loaded(source, offset, offset + size)
        return
    at = _find(source, _CONFIG, offset, offset + size)
    if at is not None and (length := _length("ikconfig", source, at)):
        yield part(source, "configuration", at, length)
    begin, end = init if init is not None else (offset, offset + size)
    number = 0
    for at in _archives(source, begin, end):
        if length := _length("cpio", source, at):
            yield part(source, f"initramfs-{number}" if number else "initramfs", at, length)
            number += 1
    if not number and init is not None:
        yield from _packed(source, *init)


def _loaded(source: ByteSource, begin: int, end: int) -> Iterator[Entry]:
    """The kernel that a loader carries packed: lzma-loader of OpenWrt, vmlinuz of MIPS, zImage of PowerPC."""
    from fwcheck.extraction.formats import _kernel  # noqa: PLC0415

    found = _kernel.packed_kernel(source, begin + 64, end, _KERNEL)
    if found is not None:
        yield part(source, "kernel", found[0], end - found[0])


def _find(source: ByteSource, wanted: bytes, begin: int, end: int) -> int | None:
    """The first place of some bytes; chunks overlap by their length."""
    for at in range(begin, end, CHUNK):
        found = source.read(at, min(CHUNK + len(wanted), end - at)).find(wanted)
        if found >= 0:
            return at + found
    return None


def _archives(source: ByteSource, begin: int, end: int) -> Iterator[int]:
    """Where newc archives may begin: not inside the one that was found before."""
    tried, behind = 0, begin
    for at in range(begin, end, CHUNK):
        for match in _ARCHIVE.finditer(source.read(at, min(CHUNK + 16, end - at))):
            place = at + match.start()
            if place >= behind and tried < _TRIALS:
                tried += 1
                behind = place + max(1, _length("cpio", source, place))
                yield place


def _packed(source: ByteSource, begin: int, end: int) -> Iterator[Entry]:
    tried = 0
    for at in range(begin, end, CHUNK):
        for match in _PACKED.finditer(source.read(at, min(CHUNK + 16, end - at))):
            place = at + match.start()
            if (place - begin) % 4 or tried >= _TRIALS:
                continue
            tried += 1
            if length := _stream(source, place, end):
                yield part(source, "initramfs", place, length)
                return


def _stream(source: ByteSource, at: int, end: int) -> int:
    """The place that a packed archive takes, up to the end of the section; 0 when none begins here."""
    from fwcheck.extraction.formats import _kernel  # noqa: PLC0415  # it knows the formats of streams, which come after this one

    window = source.window(at, end - at)
    opened = _kernel.opened(window, _TRIAL)
    return end - at if opened is not None and _ARCHIVE.match(opened.peek(0, 16)) else 0


def _length(name: str, source: ByteSource, at: int) -> int:
    from fwcheck.extraction.formats import cpio, ikconfig  # noqa: PLC0415

    format = cpio.FORMATS[0] if name == "cpio" else ikconfig.FORMATS[0]
    try:
        return format.open(source, at).size
    except ExtractionError:
        return 0
