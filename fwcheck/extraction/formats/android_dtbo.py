"""Android DTBO images: a table of device trees or overlays.

Big-endian header of 32 bytes: magic 0xD7B7AB1E, bytes of the whole image, of this header and of an entry, entries, offset of
the first one, page size, version. Entry: size and offset of the tree, id, revision, four words of the vendor's own; in version 1
the low bits of the first of these name a compression. Source: ``libufdt/utils/src/dt_table.h`` of Android.
"""

from __future__ import annotations

from struct import Struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_HEADER = Struct(">8I")
_ENTRY = Struct(">8I")
_COMPRESSIONS = {0: "none", 1: "zlib", 2: "gzip"}


class AndroidDtbo(Format):
    """A DTBO partition; each tree is a part."""

    name = "android-dtbo"
    title = "Android DTBO image"
    specification = "libufdt/utils/src/dt_table.h of Android"
    category = "firmware"
    reads = "versions 0 and 1, trees shared by several entries"
    not_read = "a tree that is packed with zlib without a gzip header is given as it is"
    # magic; total size; header and entry size
    signatures = (Signature(pattern=rb"\xd7\xb7\xab\x1e.{4}\x00\x00\x00[\x20-\x80]\x00\x00\x00[\x20-\x80]", width=16),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, 32)
        if len(raw) < 32:
            raise FormatError("no header of a DTBO image")
        magic, total, header, width, count, first, page, version = _HEADER.unpack(raw)
        size = min(total, source.size - offset)
        if (
            magic != 0xD7B7AB1E or header < 32 or width < 32 or version > 1 or first < header
            or not 0 < count <= limits.nodes or first + count * width > min(total, size)
        ):  # fmt: skip
            raise FormatError("implausible header of a DTBO image")
        problems = [f"{total} bytes announced, {size} there"] if size < total else []
        detail: dict[str, str | int] = {
            "version": version, "entries": count, "page_size": page, "integrity": "none", "integrity_detail": "no check",
        }  # fmt: skip
        table = source.read(offset + first, count * width)
        entries = _trees(source, offset, size, [table[at : at + 32] for at in range(0, len(table), width)], version, problems)
        return Container(format=self.name, size=size, entries=entries, detail=detail, problems=problems)


def _trees(source: ByteSource, offset: int, size: int, table: list[bytes], version: int, problems: list[str]) -> list[Entry]:
    out, seen = [], set[tuple[int, int]]()
    for number, raw in enumerate(table):
        length, at, id, revision, *own = _ENTRY.unpack(raw)
        if (length, at) in seen:
            continue
        seen.add((length, at))
        if not length or at + length > size:
            note(problems, f"tree {number} of {length} bytes at 0x{at:x} lies outside the image")
            continue
        detail: dict[str, str | int] = {"id": f"0x{id:x}", "revision": f"0x{revision:x}"}
        if version:
            detail["compression"] = _COMPRESSIONS.get(own[0] & 15, str(own[0] & 15))
        out.append(part(source, f"dt-{number}", offset + at, length, detail))
    return out


FORMATS = (AndroidDtbo(),)
