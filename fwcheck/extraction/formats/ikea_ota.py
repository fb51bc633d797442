"""IKEA's wrapping of Zigbee OTA files (``.ota.ota.signed``), as zigpy, zigbee-herdsman and others read it.

``NGIS``, at 0x10 u32 offset of the Zigbee OTA file, little-endian. The file says its size at its offset 52; what follows it, to
the end of the source, is the signature. Other fields of the header are not documented.
"""

from __future__ import annotations

import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.formats.zigbee_ota import MAGIC
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind

_HEADER_LIMIT: Final = 4096
_SIGNATURE_LIMIT: Final = 4096


class IkeaOta(Format):
    """IKEA OTA file; the Zigbee OTA file inside is a part."""

    name = "ikea-ota"
    title = "IKEA signed Zigbee OTA file"
    specification = "zigpy and zigbee-herdsman: IKEA OTA"
    category = "microcontroller"
    reads = "offset and size of the Zigbee OTA file; a signature behind it is told"
    not_read = "verification of the signature"
    signatures = (Signature(pattern=rb"NGIS.{12}.[\x00-\x0f]\x00\x00", width=20),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        head = source.peek(offset, 20)
        if len(head) < 20 or head[:4] != b"NGIS":
            raise FormatError("not an IKEA header")
        start = int.from_bytes(head[16:20], "little")
        inner = source.peek(offset + start, 56)
        if not 20 <= start <= _HEADER_LIMIT or len(inner) < 56 or int.from_bytes(inner[:4], "little") != MAGIC:
            raise FormatError("an IKEA header without its OTA file")
        (size,) = struct.unpack_from("<I", inner, 52)
        at = offset + start
        there = min(size, source.size - at)
        problems = [f"OTA file of {size} bytes announced, {there} there"] if there < size else []
        behind = source.size - at - there
        signed = 0 < behind <= _SIGNATURE_LIMIT
        entries: list[Entry] = [part(source, "ota", at, there)]
        if signed:
            entries.append(Entry(path="signature", kind=NodeKind.REGION, size=behind, offset=at + there, role="meta"))
        detail: dict[str, str | int] = {
            "ota_offset": start,
            "ota_size": size,
            "integrity": "signature" if signed else "none",
            "integrity_detail": f"signature of {behind} bytes (not verified)" if signed else "no signature behind the file",
        }
        end = source.size if signed else at + there
        return Container(format=self.name, size=end - offset, entries=entries, detail=detail, problems=problems)


FORMATS = (IkeaOta(),)
