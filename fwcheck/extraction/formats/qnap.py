"""QNAP firmware: an update archive whose first part is encrypted with PC1, and a trailer of 74 bytes, little-endian.

``icpnas``, length of the encrypted part, device (16), version (16), date (16), revision (16). The key is made of a published
text and the first digit of the version (qts-fw-cryptor; unblob, qnap).
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._decrypt import encrypted
from fwcheck.extraction.formats._parts import words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_TRAILER = struct.Struct("<6sI16s16s16s16s")
_SCHEME = "PC1, QNAP"


class Qnap(Format):
    """Trailer of a QNAP update file."""

    name = "qnap"
    title = "QNAP firmware (PC1, icpnas trailer)"
    specification = "qts-fw-cryptor; unblob, qnap"
    category = "encryption"
    reads = "the trailer: device, version, date and which bytes are encrypted"
    not_read = "the encrypted bytes: PC1 goes byte by byte and is not undone"
    signatures = (Signature(pattern=rb"icpnas.{4}[\x20-\x7e]{3}[\x00\x20-\x7e]{13}[\x20-\x7e]", width=27),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        mark, length, device, version, date, revision = _TRAILER.unpack(source.read(offset, _TRAILER.size))
        texts = [words(each).strip() for each in (device, version, date, revision)]
        if mark != b"icpnas" or not 0 < length <= offset or not all(each.isascii() for each in texts):
            raise FormatError("not a QNAP trailer")
        # What stands behind the encrypted bytes is plain: it was searched before the trailer was met.
        return Container(
            format=self.name,
            size=_TRAILER.size,
            entries=[encrypted(source, 0, length, _SCHEME)],
            before=offset,
            detail={
                "device": texts[0],
                "version": texts[1],
                "date": texts[2],
                "revision": texts[3],
                "encrypted_length": length,
                "encryption": _SCHEME,
                "integrity": "none",
                "integrity_detail": "none in the trailer",
            },
        )


FORMATS = (Qnap(),)
