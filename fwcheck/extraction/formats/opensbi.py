"""OpenSBI firmware of RISC-V boards (fw_jump, fw_dynamic, fw_payload): machine code without a header.

It begins by keeping its arguments: ``add s0, a0, zero``, ``add s1, a1, zero``, ``add s2, a2, zero`` (firmware/fw_base.S), and
holds the format of its banner. A payload follows at 2 MiB (FW_PAYLOAD_OFFSET), behind filling.
"""

from __future__ import annotations

from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._parts import code
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_START: Final = bytes.fromhex("33040500b384050033090600")
_BANNER: Final = b"OpenSBI v"
_PAYLOAD: Final = 2 << 20


class OpenSbi(Format):
    """OpenSBI; what lies behind it, its payload or a device tree, is found on its own."""

    name = "opensbi"
    title = "OpenSBI firmware (RISC-V)"
    specification = "OpenSBI firmware/fw_base.S"
    category = "executable"
    reads = "extent: up to the payload at 2 MiB, or to the end of the source without its filling"
    not_read = "the version, which is printed from numbers in the code; builds whose entry is compressed code"
    signatures = (Signature(pattern=rb"\x33\x04\x05\x00\xb3\x84\x05\x00\x33\x09\x06\x00", width=12),)
    priority = 60

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        data = source.peek(offset, _PAYLOAD)
        if not data.startswith(_START) or _BANNER not in data:
            raise FormatError("no OpenSBI")
        filled = data.rstrip(b"\xff") if data.endswith(b"\xff" * 16) else data
        stripped = filled.rstrip(b"\0")
        # Zeros of a few words at the end are data; a block of them is filling.
        size = len(stripped) if len(filled) - len(stripped) >= 4096 or len(data) == _PAYLOAD else len(filled)
        size += -size % 8 if size + -size % 8 <= len(data) else 0
        return Container(
            format=self.name,
            size=size,
            entries=[code(source, "opensbi", offset, size)],
            detail={
                "payload": "at 2 MiB" if any(source.peek(offset + _PAYLOAD, 64)) else "none",
                "integrity": "none",
                "integrity_detail": "no check of its own",
            },
        )


FORMATS = (OpenSbi(),)
