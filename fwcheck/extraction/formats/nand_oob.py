"""A dump of NAND flash with its spare areas: the pages are given as one part, so that everything in them is found.

Geometry and evidence: see ``_nand_pages.py``. A dump has no header of its own; it is recognised where a structure inside it is
right without the spare areas and wrong with them. YAFFS needs its spare areas: what looks like it is given as it was dumped.
"""

from __future__ import annotations

from collections.abc import Iterator

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._nand_pages import EVIDENCE, Geometry, Pages
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.formats.yaffs import Yaffs
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind

_STEP = 8 << 20
_UNUSED = b"\xff\xff"
_TRIES = 256  # headers of YAFFS looked at


def _entries(source: ByteSource, geometry: Geometry, limits: Limits) -> Iterator[Entry]:
    pages = Pages(source, geometry)
    yield Entry(path="data", kind=NodeKind.REGION, size=pages.size, role="part", open=lambda: pages)
    yield from _yaffs(source, geometry, limits)


def _yaffs(source: ByteSource, geometry: Geometry, limits: Limits) -> Iterator[Entry]:
    """The ranges that a YAFFS takes, with their spare areas."""
    yaffs, end, tries = Yaffs(), 0, 0
    for base in range(0, source.size, _STEP // geometry.stride * geometry.stride):
        chunk = source.view(base, min(_STEP, source.size - base))
        # The place of a checksum that is no longer used, in pages that are not erased.
        likely = [at for at in range(0, len(chunk) - 10, geometry.stride) if chunk[at + 8 : at + 10] == _UNUSED and chunk[at] < 6]
        for at in (base + place for place in likely):
            if at < end or tries >= _TRIES:
                continue
            try:
                one = yaffs.open(source, at, limits)
            except FormatError:
                tries += 1
                continue
            begin, end = max(end, at - one.before), at + one.size
            yield part(source, f"yaffs-0x{begin:x}", begin, end - begin)
        source.release(base, len(chunk))


class NandOob(Format):
    """Pages and spare areas in turn, over the whole source."""

    name = "nand-oob"
    title = "NAND dump with spare areas"
    specification = "ONFI parameter pages; Linux kernel, drivers/mtd/nand"
    category = "flash"
    reads = (
        "pages of 512 to 16384 bytes with spare areas behind each, recognised by UBI (any spare size), U-Boot images, device"
        " trees, SquashFS 4 or JFFS2 clean markers that are right only without them; YAFFS keeps its spare areas"
    )
    not_read = "ECC (bit errors stay); ECC laid between the bits of a page; spare areas gathered at the end of a dump"
    priority = 12  # before what it finds: whose spare areas must not be read as content
    signatures = (
        Signature(pattern=rb"UBI#\x01\x00\x00\x00........\x00[\x00-\x0F]..\x00[\x00-\x0F]..", width=24),
        Signature(pattern=rb"\x27\x05\x19\x56.{8}[\x00-\x03].{15}[\x00-\x2F].[\x00-\x20].", width=32),
        Signature(pattern=rb"\xD0\x0D\xFE\xED.{16}\x00\x00\x00\x11", width=24),
        Signature(pattern=rb"hsqs.{24}\x04\x00\x00\x00", width=32),
        Signature(pattern=rb"\x85\x19\x03\x20\x08\x00\x00\x00|\x19\x85\x20\x03\x00\x00\x00\x08", width=8),
    )

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic = source.peek(offset, 4)
        words, find = EVIDENCE.get(magic, ("", None))
        geometry = find(source, offset) if find is not None else None
        if geometry is None:
            raise FormatError("no page of a NAND dump begins here")
        count = source.size // geometry.stride
        detail: dict[str, str | int] = {
            "page": geometry.page, "spare": geometry.spare, "pages": count, "recognised_by": words, "integrity": "none",
        }  # fmt: skip
        size = count * geometry.stride
        if offset >= size:
            raise FormatError("no page of a NAND dump begins here")
        return Container(
            format=self.name, size=size - offset, before=offset, entries=_entries(source, geometry, limits), detail=detail
        )


FORMATS = (NandOob(),)
