"""Raw images of RISC-V microcontrollers, by what the start-up code of the common run-times does.

There is no header. The first instruction is a jump, or the load of an address and a jump to it (``lui ra``, ``jalr``), as
riscv-rt begins. Soon after it, the global pointer is set (``auipc gp``, ``addi gp, gp``) and the trap vector (``csrw mtvec`` or
the clearing of ``mie``). All that together is what makes an image; it claims the source up to its trailing filling.
"""

from __future__ import annotations

import re
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._loader_keys import keys_of_loader
from fwcheck.extraction.formats._parts import code
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_HEAD: Final = 4096
_SIZE_LIMIT: Final = 64 << 20
_SMALLEST: Final = 256
_LOW_1: Final = rb"[\x01\x11\x21\x31\x41\x51\x61\x71\x81\x91\xa1\xb1\xc1\xd1\xe1\xf1]"
_GLOBAL_POINTER = re.compile(rb"\x97" + _LOW_1 + rb".{2}\x93\x81" + _LOW_1 + rb".", re.DOTALL)
_TRAPS = re.compile(rb"\x73[\x10\x90][\x50-\x5f]\x30|\x73\x50\x40\x30", re.DOTALL)
_LOAD_JUMP: Final = b"\xb7\x00"  # lui ra


class RiscvRaw(Format):
    """Raw RISC-V image that begins with its start-up code."""

    name = "riscv-raw"
    title = "Raw RISC-V image"
    specification = "RISC-V Instruction Set Manual, volumes I and II; riscv-rt"
    category = "executable"
    reads = "images that begin with the start-up code of riscv-rt or a usual crt0"
    not_read = "images that begin with anything else"
    signatures = (
        Signature(pattern=rb"\xb7\x00.{2}\x67\x80.{2}\x73\x50\x40\x30", width=12, anywhere=False),
        Signature(
            pattern=rb"\x6f[\x00\x10\x20\x30\x40\x50\x60\x70\x80\x90\xa0\xb0\xc0\xd0\xe0\xf0].\x00", width=4, anywhere=False
        ),
    )
    priority = 90

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        head = source.peek(offset, _HEAD)
        if len(head) < _SMALLEST or not _GLOBAL_POINTER.search(head) or not _TRAPS.search(head):
            raise FormatError("no start-up code of RISC-V")
        end = min(source.size, offset + _SIZE_LIMIT)
        tail = source.read(end - min(1 << 16, end - offset), min(1 << 16, end - offset))
        size = end - offset - len(tail) + len(tail.rstrip(b"\xff"))
        detail: dict[str, str | int] = {}
        if head.startswith(_LOAD_JUMP):
            upper, jump = (int.from_bytes(head[at : at + 4], "little") for at in (0, 4))
            low = (jump >> 20) - ((jump >> 31) << 12)
            detail["entry_point"] = f"0x{(upper & 0xFFFFF000) + low & 0xFFFFFFFF:08x}"
        held = keys_of_loader(source, offset, size)
        entries = [code(source, "code", offset, size)]
        return Container(format=self.name, size=size, entries=entries, detail=detail | held.detail, keys=held.keys)


FORMATS = (RiscvRaw(),)
