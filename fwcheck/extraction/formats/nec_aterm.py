"""NEC Aterm images for an update over USB: 32 bytes of header, then blocks (OpenWrt firmware-utils, nec-usbatermfw).

Header: ``USB ATERM`` and the model (16), FF (16). Block, 24 bytes, big-endian: flags (16 bits, and again inverted), length with
this header, length of this header, checksum (little-endian), load address, entry point; content, filled up to four bytes.
Flag 1 ends the blocks; what follows names the type (32 bytes, ends with ``File END``). Checksum: the sum of all little-endian
16-bit words behind the flags, modulo 0xFFFF, inverted.
"""

from __future__ import annotations

import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import sum16
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_HEADER = 32
_BLOCK = struct.Struct(">HHIIIII")
_END = 1
_TYPE = 32
_BLOCKS = 64


class NecAterm(Format):
    """NEC Aterm image for an update over USB."""

    name = "nec-aterm"
    title = "NEC Aterm firmware image (USB)"
    specification = "OpenWrt firmware-utils, nec-usbatermfw"
    category = "firmware"
    reads = "all blocks with load address and entry point, type; checksums recomputed"
    signatures = (Signature(pattern=rb"USB ATERM[ -~]{6}\x00\xff{16}", width=32),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        head = source.read(offset, _HEADER)
        if not head.startswith(b"USB ATERM"):
            raise FormatError("not an Aterm header")
        problems: list[str] = []
        entries: list[Entry] = []
        at, ended = offset + _HEADER, False
        while not ended and len(entries) < _BLOCKS and len(raw := source.peek(at, _BLOCK.size)) == _BLOCK.size:
            flags, inverted, length, header, _, load, start = _BLOCK.unpack(raw)
            if flags ^ inverted != 0xFFFF or header != _BLOCK.size or not header <= length <= source.size - at:
                break
            size = length - header
            total = sum16(source, at + 4, 8, big=False) + sum16(source, at + 16, 8 + size, big=False)
            if (0xFFFF ^ total % 0xFFFF).to_bytes(4, "little") != raw[12:16]:
                note(problems, f"wrong checksum of block {len(entries)}")
            ended = bool(flags & _END)
            if size:
                where: dict[str, str | int] = {"load": f"0x{load:08x}", "entry": f"0x{start:08x}", "flags": f"0x{flags:04x}"}
                entries.append(part(source, f"block-{len(entries)}", at + header, size, where))
            at = min(at + length + -length % 4, source.size)
        if not entries:
            raise FormatError("an Aterm header without blocks")
        right = "wrong" if problems else "right"
        kind = source.peek(at, _TYPE) if ended else b""
        if b"File END" in kind:
            at += len(kind)
        else:
            note(problems, "the image ends without its type")
        return Container(
            format=self.name,
            size=at - offset,
            entries=entries,
            detail={
                "model": words(head[9:16]),
                "type": words(kind.strip(b"\xff")).strip(),
                "integrity": "checksum",
                "integrity_detail": f"checksums {right}",
            },
            problems=problems,
        )


FORMATS = (NecAterm(),)
