"""Packed boot loaders of Android devices with Qualcomm processors (``bootloader.img``).

Little-endian: ``BOOTLDR!``, number of images, offset of the first one, bytes of all of them (3 x 4), then for each its name (64)
and size (4). The images lie one behind the other. Source: ``releasetools.py`` of Android's device trees (lge/hammerhead) and
``archive/android_bootldr_qcom.ksy`` of the Kaitai Struct format library.
"""

from __future__ import annotations

from struct import Struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

MAGIC = b"BOOTLDR!"
_HEADER = Struct("<8sIII")
_ENTRY = Struct("<64sI")
_IMAGES = 256


class QcomBootldr(Format):
    """The boot loaders of a device in one file; each is a part."""

    name = "qcom-bootldr"
    title = "Packed boot loaders (bootloader.img, Qualcomm)"
    specification = "releasetools.py of Android's device trees"
    category = "update bundle"
    reads = "every image; the stored sum of sizes is compared"
    not_read = "the variants of other processors that share the magic and lay their images out otherwise"
    signatures = (Signature(pattern=MAGIC + rb"[\x01-\xff]\x00\x00\x00", width=12),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, _HEADER.size)
        if len(raw) < _HEADER.size:
            raise FormatError("no header of packed boot loaders")
        magic, count, begin, total = _HEADER.unpack(raw)
        table = source.peek(offset + _HEADER.size, count * _ENTRY.size if count <= _IMAGES else 0)
        if magic != MAGIC or not count or len(table) < count * _ENTRY.size or begin < _HEADER.size + len(table):
            raise FormatError("implausible header of packed boot loaders")
        rows = [(words(name), size) for name, size in _ENTRY.iter_unpack(table)]
        there = source.size - offset
        if begin >= there or not all(name and name.isascii() for name, _ in rows):
            raise FormatError("implausible names or places of packed boot loaders")
        problems: list[str] = []
        end = begin + sum(size for _, size in rows)
        if total != end - begin:
            note(problems, f"{total} bytes of images announced, {end - begin} in the table")
        if end > there:
            note(problems, f"{end} bytes announced, {there} there")
        detail: dict[str, str | int] = {
            "images": ", ".join(name for name, _ in rows), "integrity": "none", "integrity_detail": "no check",
        }  # fmt: skip
        entries = _entries(source, offset + begin, rows)
        return Container(format=self.name, size=min(end, there), entries=entries, detail=detail, problems=problems)


def _entries(source: ByteSource, at: int, rows: list[tuple[str, int]]) -> list[Entry]:
    out = []
    for name, size in rows:
        there = max(0, min(size, source.size - at))
        if there:
            out.append(part(source, name.replace("/", "_"), at, there))
        at += size
    return out


FORMATS = (QcomBootldr(),)
