"""MediaTek partition images: boot loaders, trusted environments, modems and logos, and the pieces of MediaTek's boot images.

A header of 512 bytes, little-endian, filled up with 0xFF: magic 0x58881688 (4), size of the data (4), name (32), address (4),
mode (4); extended headers have 0x58891689 (4) at byte 48, then size of the header, its version, type of the image, whether it is
the last of a list, alignment, high words of size and address (7 x 4). In a list the next header follows behind the data, aligned;
images named ``cert1`` and ``cert2`` hold the certificates of the one before them. Source: ``union prt_img_hdr`` of
``drivers/misc/mediatek/eccci`` in MediaTek's kernels.
"""

from __future__ import annotations

from struct import Struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_HEADER = Struct("<II32sII8I")
_MAGIC, _EXTENDED = 0x58881688, 0x58891689
_SIZE = 512
_IMAGES = 64
_ALIGN_LIMIT = 1 << 16


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """One header: its place, its size, and that of the data behind it."""

    at: int
    header: int
    size: int
    name: str
    address: int
    type: int | None  # None: no extended header
    last: bool
    align: int


def image(source: ByteSource, at: int) -> Image:
    """The header at ``at``; raises FormatError."""
    raw = source.peek(at, _SIZE)
    if len(raw) < _SIZE:
        raise FormatError("no header of a MediaTek image")
    magic, size, name, address, _, extended, header, _, kind, last, align, high, high_address = _HEADER.unpack_from(raw)
    if magic != _MAGIC or not name[0] or not name.split(b"\0", 1)[0].isascii():
        raise FormatError("no header of a MediaTek image")
    if extended != _EXTENDED:
        if not size or raw[-16:] not in (b"\xff" * 16, bytes(16)):
            raise FormatError("implausible header of a MediaTek image")
        return Image(at=at, header=_SIZE, size=size, name=words(name), address=address, type=None, last=True, align=1)
    if not _SIZE <= header <= 4096:
        raise FormatError("implausible header of a MediaTek image")
    return Image(
        at=at, header=header, size=size | high << 32, name=words(name), address=address | high_address << 32, type=kind,
        last=bool(last), align=align if 0 < align <= _ALIGN_LIMIT else 1,
    )  # fmt: skip


class MtkImage(Format):
    """A list of images behind headers of 512 bytes; each is a part."""

    name = "mtk-image"
    title = "MediaTek partition image"
    specification = "union prt_img_hdr of MediaTek's kernels (drivers/misc/mediatek/eccci)"
    category = "firmware"
    reads = "plain and extended headers, lists of images with their certificates (told, not verified)"
    not_read = "encrypted images are not told from others: the header does not say"
    signatures = (Signature(pattern=rb"\x88\x16\x88\x58.{4}[A-Za-z0-9]", width=9),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        every = [image(source, offset)]
        while not every[-1].last and len(every) < _IMAGES:
            one = every[-1]
            behind = one.at + one.header + one.size
            behind += -(behind - offset) % one.align
            try:
                every.append(image(source, behind))
            except FormatError:
                break
        there = source.size - offset
        last = every[-1]
        claimed = last.at + last.header + last.size - offset
        problems: list[str] = []
        if every[0].header >= there:
            raise FormatError("a MediaTek header without its image")
        if claimed > there:
            note(problems, f"{claimed} bytes announced, {there} there")
        certificates = [each.name for each in every if each.name.startswith("cert")]
        detail: dict[str, str | int] = {"name": every[0].name, "images": ", ".join(each.name for each in every)}
        if every[0].address not in (0, 0xFFFFFFFF):
            detail["load_address"] = f"0x{every[0].address:08x}"
        if every[0].type is not None:
            detail["type"] = f"0x{every[0].type:08x}"
        detail["integrity"] = "signature" if certificates else "none"
        detail["integrity_detail"] = f"{', '.join(certificates)} (not verified)" if certificates else "no certificate in the list"
        return Container(
            format=self.name, size=min(claimed, there), entries=_entries(source, every), detail=detail, problems=problems
        )


def _entries(source: ByteSource, every: list[Image]) -> list[Entry]:
    out, seen = [], dict[str, int]()
    for each in every:
        seen[each.name] = seen.get(each.name, 0) + 1
        count = seen[each.name]
        name = each.name.replace("/", "_")
        at = each.at + each.header
        size = max(0, min(each.size, source.size - at))
        if size:
            out.append(part(source, name if count == 1 else f"{name}-{count}", at, size))
    return out


FORMATS = (MtkImage(),)
