"""HP BDL: printer firmware, little-endian.

``ibdl``, 1, 1, offset of the table, a number, number of entries, three numbers; at 32 release (256), brand (256), device
(256), nine bytes, version (256), revision (256). Entries of the table: offset and length, 64 bits each; each is an ``ipkg``
(hpbdl; unblob, bdl).
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<4sHHI4sI12s256s256s256s9s256s256s")
_ENTRY = struct.Struct("<QQ")
_ENTRIES = 4096


class HpBdl(Format):
    """HP BDL; its packages are parts."""

    name = "hp-bdl"
    title = "HP printer firmware (BDL)"
    specification = "hpbdl; unblob, bdl"
    category = "update bundle"
    reads = "all packages with release, brand, device and version"
    not_read = "what is inside of a package (ipkg)"
    signatures = (Signature(pattern=rb"ibdl\x01\x00\x01\x00", width=8),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        fields = _HEADER.unpack(source.read(offset, _HEADER.size))
        table, count = fields[3], fields[5]
        if fields[0] != b"ibdl" or table < _HEADER.size or not 0 < count <= min(_ENTRIES, limits.nodes):
            raise FormatError("implausible BDL header")
        pairs = list(_ENTRY.iter_unpack(source.read(offset + table, count * _ENTRY.size)))
        end = max([table + count * _ENTRY.size, *(at + size for at, size in pairs)])
        available = source.size - offset
        problems: list[str] = []
        if end > available:
            note(problems, f"{end} bytes announced, {available} there")
        places = [(number, at, min(size, available - at)) for number, (at, size) in enumerate(pairs)]
        return Container(
            format=self.name,
            size=min(end, available),
            entries=[part(source, f"ipkg-{number}", offset + at, size) for number, at, size in places if size > 0],
            detail={
                "release": words(fields[7]),
                "brand": words(fields[8]),
                "device": words(fields[9]),
                "version": words(fields[11]),
                "revision": words(fields[12]),
                "packages": count,
            },
            problems=problems,
        )


FORMATS = (HpBdl(),)
