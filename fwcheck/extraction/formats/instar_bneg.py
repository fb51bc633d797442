"""Instar camera update (BNEG): two partitions behind a header of five little-endian words.

``BNEG``, major and minor version, length of the first and of the second partition; the partitions follow one another (layout as
read by unblob).
"""

from __future__ import annotations

import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEADER: Final = struct.Struct("<4s4I")


class InstarBneg(Format):
    """BNEG update; both partitions are parts."""

    name = "instar-bneg"
    title = "Instar camera update (BNEG)"
    specification = "layout as read by unblob"
    category = "update bundle"
    reads = "both partitions"
    not_read = "it has no check that could be recomputed"
    signatures = (
        Signature(
            pattern=rb"BNEG[\x01-\xff]\x00\x00\x00[\x00-\xff]\x00\x00\x00[\x00-\xff]{3}[\x00-\x0f][\x00-\xff]{3}[\x00-\x0f]",
            width=20,
        ),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, major, minor, first, second = _HEADER.unpack(source.read(offset, _HEADER.size))
        total = _HEADER.size + first + second
        available = source.size - offset
        if magic != b"BNEG" or not first or first >= available:
            raise FormatError("no BNEG update")
        size = min(total, available)
        entries, at = [], offset + _HEADER.size
        for number, length in enumerate((first, second), 1):
            there = min(length, offset + size - at)
            if there > 0:
                entries.append(part(source, f"partition-{number}", at, there))
            at += length
        return Container(
            format=self.name,
            size=size,
            entries=entries,
            detail={"version": f"{major}.{minor}", "integrity": "none", "integrity_detail": "no check"},
            problems=[f"{total} bytes announced, {size} there"] if size < total else [],
        )


FORMATS = (InstarBneg(),)
