"""Dahua update: a ZIP archive whose first two letters read ``DH`` instead of ``PK``.

Everything behind them is as in any ZIP file; its members are U-Boot images with the partitions of the camera, a script
(``Install``, ``Install.lua``) and, in newer ones, ``sign.img`` with a signature (Dahua-Firmware-Mod-Kit; FACT_core, dahua).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats.zip import FORMATS as ZIP
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource, Joined, Memory


class Dahua(Format):
    """Dahua update, read as the ZIP archive that it is."""

    name = "dahua"
    title = "Dahua update (ZIP that begins with DH)"
    specification = "Dahua-Firmware-Mod-Kit; PKWARE APPNOTE 6.3.10"
    category = "update bundle"
    reads = "as the ZIP archive that it is"
    not_read = "the signature in sign.img is not verified; encrypted members of newer updates"
    signatures = (Signature(pattern=rb"DH\x03\x04[\x0a-\x3f]\x00[\x00-\xff][\x00\x08][\x00\x08]\x00", width=10, anywhere=False),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        if source.peek(offset, 4) != b"DH\x03\x04":
            raise FormatError("no Dahua update")
        archive = Joined([Memory(b"PK"), source.window(offset + 2, source.size - offset - 2)])
        container = ZIP[0].open(archive, 0, limits)
        container.format = self.name
        container.entries = _same_place(container.entries, offset)
        return container


def _same_place(entries: Iterable[Entry], offset: int) -> Iterator[Entry]:
    """Members with offsets counted in the source, where the archive begins at ``offset``."""
    for entry in entries:
        if entry.offset is not None:
            entry.offset += offset
        entry.locality += offset
        yield entry


FORMATS = (Dahua(),)
