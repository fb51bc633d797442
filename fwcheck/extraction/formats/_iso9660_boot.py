"""El Torito: the boot catalogue of an ISO 9660 volume and the images it names.

Layout: "El Torito Bootable CD-ROM Format Specification" 1.0. Entries of 32 bytes: a validation entry (platform at 1, words that
add up to zero, 55 AA at 30), the initial entry (88 bootable, media type, load segment, sectors of 512 bytes, block), then section
headers (90, the last 91: platform, number of entries) with their entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import unpack, unpack_from

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Entry
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.formats.fat import geometry
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

ENTRIES = 64
BLOCK = 2048
PLATFORMS = {0: "x86 BIOS", 1: "PowerPC", 2: "Mac", 0xEF: "UEFI"}
FLOPPIES = {1: 1_228_800, 2: 1_474_560, 3: 2_949_120}


def boot_images(
    source: ByteSource, offset: int, end: int, catalogue: int, sizes: dict[int, int], problems: list[str]
) -> Iterator[Entry]:
    """The images as parts of ``source``, whose volume lies from ``offset`` to ``end``; ``sizes``: first block of a file to size.

    An image may lie behind the volume, in a partition that was appended to it (xorriso ``--interval:appended_partition``).
    """
    raw = source.peek(offset + catalogue * BLOCK, BLOCK)
    if len(raw) < 64 or raw[:1] != b"\1" or raw[30:32] != b"\x55\xaa":
        note(problems, "no El Torito boot catalogue where the boot record says")
        return
    if sum(unpack("<16H", raw[:32])) & 0xFFFF:
        note(problems, "the checksum of the El Torito boot catalogue is wrong")
    platform, left, seen, number = raw[1], 1, set[int](), 0
    for at in range(32, min(len(raw) - 31, 32 * ENTRIES), 32):
        kind = raw[at]
        if not left:
            if kind not in (0x90, 0x91):
                return
            platform, left = raw[at + 1], unpack_from("<H", raw, at + 2)[0]
            continue
        if kind == 0x44:  # goes on with the entry before
            continue
        left -= 1
        sectors, block = unpack_from("<HI", raw, at + 6)
        begin = offset + block * BLOCK
        if kind not in (0x88, 0) or not block or block in seen:
            continue
        seen.add(block)
        number += 1
        there = (end if begin < end else source.size) - begin
        size = min(_size(source, begin, raw[at + 1] & 15, sectors, sizes.get(block)), there)
        if size <= 0:
            note(problems, f"boot image {number} is not there: it begins at 0x{begin:x}, the source ends at 0x{source.size:x}")
            continue
        detail: dict[str, str | int] = {"platform": PLATFORMS.get(platform, f"0x{platform:02x}"), "bootable": int(kind == 0x88)}
        yield part(source, f"boot-{number}", begin, size, detail)


def _size(source: ByteSource, begin: int, media: int, sectors: int, known: int | None) -> int:
    """The size of an image: of the file that begins there, of its medium, of the FAT volume it is, or what the BIOS loads."""
    if known:
        return known
    if media in FLOPPIES:
        return FLOPPIES[media]
    try:
        return max(geometry(source.peek(begin, 512)).size, sectors * 512)
    except FormatError:
        return max(sectors, 4) * 512
