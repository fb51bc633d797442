"""CRC-16/ARC (polynomial 0x8005 reflected, no inversion), which ARC and LHA keep of each member. No native one is at hand."""

from __future__ import annotations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.source import ByteSource

LIMIT = 1 << 20  # bytes of a content that is verified: the sum goes byte by byte


def _table() -> list[int]:
    out = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
        out.append(value)
    return out


_TABLE = _table()


def crc16(data: bytes | memoryview, value: int = 0) -> int:
    """The CRC of all bytes, continued from ``value``."""
    table = _TABLE
    for byte in data:
        value = value >> 8 ^ table[(value ^ byte) & 0xFF]
    return value


def verified(source: ByteSource, at: int, size: int, crc: int) -> ByteSource:
    """A stored content; raises FormatError when it does not fit its CRC, as far as that is computed."""
    found = source.window(at, size)
    if size <= LIMIT and (value := crc16(found.view(0, size))) != crc:
        raise FormatError(f"the CRC-16 is 0x{value:04x}, the header says 0x{crc:04x}")
    return found
