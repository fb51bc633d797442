"""Android vendor boot images, header versions 3 and 4: the vendor's ramdisks, device tree and boot configuration.

Little-endian: magic ``VNDRBOOT``, version, page size, load addresses of kernel and ramdisk, size of all ramdisks (5 x 4), command
line (2048), address of the tags, name (16), size of the header, size of the DTB (4 + 4), its address (8); version 4: size of the
table of ramdisks, its entries and the size of one, size of the boot configuration (4 x 4). Sections follow in whole pages:
ramdisks, DTB, table, boot configuration. Entry of the table: size, offset, type (4 each), name (32), board id (64).
Source: ``include/bootimg/bootimg.h`` of Android.
"""

from __future__ import annotations

from struct import Struct, unpack_from

from fwcheck.extraction.errors import FormatError, Truncated
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._android_boot_parts import PAGES, Section, Sections
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

MAGIC = b"VNDRBOOT"
_HEADER = Struct("<8s5I2048sI16sIIQ")
_HEADERS = {3: 2112, 4: 2128}
_ENTRY = 108
_TYPES = {0: "none", 1: "platform", 2: "recovery", 3: "dlkm"}
_LINES = 4096  # characters of the boot configuration that are shown


class AndroidVendorBoot(Format):
    """A vendor boot image; each ramdisk of its table is a part."""

    name = "android-vendor-boot"
    title = "Android vendor boot image"
    specification = "bootimg.h of Android"
    category = "firmware"
    reads = "versions 3 and 4: ramdisk table, device tree, boot configuration"
    not_read = "nothing inside is checked: the format has no checksum (vbmeta signs it)"
    signatures = (Signature(pattern=MAGIC + rb"[\x03\x04]\x00\x00\x00", width=12),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, _HEADERS[4])
        if len(raw) < _HEADERS[3] or raw[:8] != MAGIC:
            raise FormatError("no header of a vendor boot image")
        _, number, page, kernel_at, ramdisk_at, ramdisk, line, tags_at, name, header, tree, _ = _HEADER.unpack_from(raw)
        # The first writer of version 3 counted 2,108 bytes.
        plausible = number in _HEADERS and _HEADERS[number] - 4 <= header <= 4096 and page in PAGES
        if not plausible or len(raw) < _HEADERS[number]:
            raise FormatError("implausible header of a vendor boot image")
        sections = Sections(source, offset, page, max(header, _HEADERS[number]))
        sections.add("ramdisk", ramdisk)
        sections.add("dtb", tree)
        table, count, entry, config = unpack_from("<4I", raw, 2112) if number == 4 else (0, 0, 0, 0)
        sections.add("ramdisk table", table)
        sections.add("bootconfig", config)
        if not sections.every or not sections.every[0].there:
            raise Truncated("a vendor boot image without its first section")
        detail: dict[str, str | int] = {
            "header_version": number, "name": words(name), "cmdline": words(line), "page_size": page,
            "kernel_address": f"0x{kernel_at:08x}", "ramdisk_address": f"0x{ramdisk_at:08x}", "tags_address": f"0x{tags_at:08x}",
            "integrity": "none", "integrity_detail": "no hash, no signature",
        }  # fmt: skip
        named = {each.name: each for each in sections.every}
        if (found := named.get("bootconfig")) is not None:
            text = source.peek(found.at, min(found.there, _LINES)).decode("utf-8", "replace")
            detail["bootconfig"] = "; ".join(
                line for line in text.replace("\0", "\n").splitlines() if line.isprintable() and line
            )
        entries = sections.entries()
        if number == 4 and "ramdisk" in named and (ramdisks := _ramdisks(source, named, count, entry, limits, sections.problems)):
            entries = [*ramdisks, *(each for each in entries if each.path != "ramdisk")]
        detail = {key: value for key, value in detail.items() if value != ""}
        return Container(format=self.name, size=sections.size, entries=entries, detail=detail, problems=sections.problems)


def _ramdisks(
    source: ByteSource, named: dict[str, Section], count: int, width: int, limits: Limits, problems: list[str]
) -> list[Entry]:
    """The ramdisks that the table names."""
    table, whole = named.get("ramdisk table"), named["ramdisk"]
    if table is None or width < _ENTRY or not 0 < count <= min(table.there // width, limits.nodes):
        if table is not None:
            note(problems, f"the table of {count} ramdisks cannot be read")
        return []
    out = []
    for number in range(count):
        raw = source.read(table.at + number * width, _ENTRY)
        size, begin, kind = unpack_from("<3I", raw)
        name = words(raw[12:44]).replace("/", "_") or _TYPES.get(kind, str(kind))
        if begin + size > whole.size:
            note(problems, f"ramdisk {number} ({name}) lies outside the section of ramdisks")
            continue
        there = max(0, min(size, whole.there - begin))
        if there:
            detail: dict[str, str | int] = {"type": _TYPES.get(kind, str(kind))}
            out.append(part(source, f"ramdisk-{number}-{name}", whole.at + begin, there, detail))
    return out


FORMATS = (AndroidVendorBoot(),)
