"""Code in the flash of Beken BK7231: a CRC behind every 32 bytes (libretiny, "Beken 72xx flash layout").

Boot loader and application are stored as blocks of 34 bytes: 32 bytes code, then CRC-16 (polynomial 0x8005, initial 0xFFFF, not
reflected) of them with its high byte first. Erased blocks are 0xFF. The code is that of an ARM9: branches in its vector table;
most chips have it encrypted besides, word by word under a key in their fuses, and then begin alike because their code does.

Only the beginning of a source can be told: the first blocks have to be right, and all blocks that are, are taken.
"""

from __future__ import annotations

from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource, Memory
from fwcheck.model import NodeKind

_BLOCK: Final = 34
_CODE: Final = 32
_FIRST: Final = 64  # blocks that have to be right
_SIZE_LIMIT: Final = 8 << 20
_CIPHERED: Final = b"\x2f\x07\xb5\x94\x35\xff\x2a\x9b"


def _table() -> tuple[bytes, bytes]:
    high, low = bytearray(256), bytearray(256)
    for index in range(256):
        value = index << 8
        for _ in range(8):
            value = (value << 1 ^ (0x8005 if value & 0x8000 else 0)) & 0xFFFF
        high[index], low[index] = value >> 8, value & 0xFF
    return bytes(high), bytes(low)


_HIGH, _LOW = _table()


class BekenFlash(Format):
    """Code with interleaved CRC; without its CRC it is one content, or told as encrypted."""

    name = "beken-flash"
    title = "Beken BK7231 flash with interleaved CRC"
    specification = "libretiny: Beken 72xx flash layout"
    category = "executable"
    reads = "all blocks from the beginning of a source whose CRC-16 is right; the code without them"
    not_read = "encrypted code (told)"
    signatures = (
        Signature(pattern=rb".{3}\xea.{3}[\xea\xe5].{3}[\xea\xe5].{3}[\xea\xe5]", width=16, anywhere=False),
        Signature(pattern=rb"\x2f\x07\xb5\x94\x35\xff\x2a\x9b", width=8, anywhere=False),
    )
    priority = 80

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        if _right(source.peek(offset, _FIRST * _BLOCK)) < _FIRST:
            raise FormatError("no CRC behind every 32 bytes")
        data = source.read(offset, min(source.size - offset, _SIZE_LIMIT) // _BLOCK * _BLOCK)
        blocks = _right(data)
        data = data[: blocks * _BLOCK]
        kept = -(-len(data.rstrip(b"\xff")) // _BLOCK)
        size = kept * _BLOCK
        detail: dict[str, str | int] = {"blocks": kept, "checks": "CRC-16 of every 32 bytes right"}
        ciphered = data.startswith(_CIPHERED)
        entries = [_encrypted(source, offset, size) if ciphered else _plain(data[:size], offset)]
        return Container(format=self.name, size=size, entries=entries, detail=detail)


def _right(data: bytes) -> int:
    """How many blocks from the first on are right or erased; all are computed at once, column by column."""
    count = len(data) // _BLOCK
    data = data[: count * _BLOCK]
    high = low = b"\xff" * count
    for column in range(_CODE):
        index = _xor(high, data[column::_BLOCK])
        high, low = _xor(low, index.translate(_HIGH)), index.translate(_LOW)
    wrong = _or(_xor(high, data[_CODE::_BLOCK]), _xor(low, data[_CODE + 1 :: _BLOCK]))
    for number, value in enumerate(wrong):
        if value and data[number * _BLOCK : (number + 1) * _BLOCK] != b"\xff" * _BLOCK:
            return number
    return count


def _xor(first: bytes, second: bytes) -> bytes:
    return (int.from_bytes(first, "little") ^ int.from_bytes(second, "little")).to_bytes(len(first), "little")


def _or(first: bytes, second: bytes) -> bytes:
    return (int.from_bytes(first, "little") | int.from_bytes(second, "little")).to_bytes(len(first), "little")


def _plain(data: bytes, offset: int) -> Entry:
    code = bytearray(len(data) // _BLOCK * _CODE)
    for column in range(_CODE):
        code[column::_CODE] = data[column::_BLOCK]
    return Entry(path="code", kind=NodeKind.REGION, size=len(code), locality=offset, open=lambda: Memory(code))


def _encrypted(source: ByteSource, offset: int, size: int) -> Entry:
    return Entry(
        path="code",
        kind=NodeKind.REGION,
        size=size,
        offset=offset,
        role="encrypted",
        detail={"encryption": "Beken flash encryption, key in the fuses"},
        locality=offset,
        open=lambda: source.window(offset, size),
    )


FORMATS = (BekenFlash(),)
