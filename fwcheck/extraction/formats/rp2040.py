"""Flash of the Raspberry Pi RP2040: the second boot stage with its CRC, and the application (RP2040 datasheet, 2.8.1.3).

The first 252 bytes are code that sets up the flash; then u32 CRC-32 of them, most significant bit first and without the final
inversion. The application follows with its vector table at 0x100.
"""

from __future__ import annotations

from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import crc32_msb_first
from fwcheck.extraction.formats._parts import code, part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_STAGE: Final = 256


class Rp2040(Format):
    """RP2040 flash: boot stage as code, the rest as the part ``application``."""

    name = "rp2040"
    title = "Raspberry Pi RP2040 flash"
    specification = "RP2040 datasheet 2.8.1.3"
    category = "executable"
    reads = "second boot stage with its CRC-32, application behind it"
    not_read = ""
    signatures = (Signature(pattern=rb"[\x00\x10\x30\x70\xf0]\xb5.{250}.{4}.{3}[\x20\x21]", width=260, anywhere=False),)
    priority = 80

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        stored = source.peek(offset + _STAGE - 4, 4)
        if len(stored) < 4 or crc32_msb_first(source, offset, _STAGE - 4) != int.from_bytes(stored, "little"):
            raise FormatError("no boot stage of RP2040")
        entries = [code(source, "boot stage", offset, _STAGE)]
        if source.size > offset + _STAGE:
            entries.append(part(source, "application", offset + _STAGE, source.size - offset - _STAGE))
        detail: dict[str, str | int] = {"boot_stage": "CRC32 right"}
        return Container(format=self.name, size=source.size - offset, entries=entries, detail=detail)


FORMATS = (Rp2040(),)
