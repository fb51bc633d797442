"""Writers of UEFI images for tests, after the PI specification: sections, files, volumes, variable stores, EFI compression."""

from __future__ import annotations

import lzma
import struct
import zlib
from uuid import UUID

LZMA = UUID("ee4e5898-3914-4259-9d6e-dc7bd79403cf")
CRC32 = UUID("fc1bcdb0-7d31-49aa-936a-a4600d9dd083")
TIANO = UUID("a31280ad-481e-41b6-95e8-127f4c984779")
FFS = {2: UUID("8c8ce578-8a3d-4f1c-9935-896185c32dd3"), 3: UUID("5473c07a-3dcb-4dca-bd6f-1e9689e7349a")}
NVRAM = UUID("fff12b8d-7696-4c8b-a985-2747075b4f50")
AUTHENTICATED = UUID("aaf32c78-947b-439a-a180-2e144ec37792")


def section(kind: int, body: bytes, large: bool = False) -> bytes:
    if large:
        return b"\xff\xff\xff" + struct.pack("<BI", kind, len(body) + 8) + body
    return struct.pack("<I", len(body) + 4)[:3] + bytes([kind]) + body


def joined(*sections: bytes) -> bytes:
    """Sections one behind the other, each aligned to four bytes."""
    return b"".join(each + bytes(-len(each) % 4) for each in sections)


def guided(guid: UUID, body: bytes, extra: bytes = b"", attributes: int = 1) -> bytes:
    return section(2, guid.bytes_le + struct.pack("<HH", 24 + len(extra), attributes) + extra + body)


def with_crc32(body: bytes) -> bytes:
    return guided(CRC32, body, struct.pack("<I", zlib.crc32(body)), 2)


def with_lzma(body: bytes) -> bytes:
    packed = lzma.compress(body, lzma.FORMAT_ALONE)
    return guided(LZMA, packed[:5] + struct.pack("<Q", len(body)) + packed[13:])


def with_efi(body: bytes, method: int = 1) -> bytes:
    return section(1, struct.pack("<IB", len(body), method) + efi(body))


def named(name: str) -> bytes:
    return section(0x15, name.encode("utf-16-le") + b"\0\0")


def file(guid: UUID, kind: int, body: bytes, large: bool = False, checked: bool = False, state: int = 0xF8) -> bytes:
    """A file as flash that is erased to ones holds it."""
    header = 32 if large else 24
    size = header + len(body)
    flags = (1 if large else 0) | (0x40 if checked else 0)
    raw = bytearray(
        guid.bytes_le + struct.pack("<BBBB", 0, 0, kind, flags) + (b"\xff\xff\xff" if large else struct.pack("<I", size)[:3])
    )
    raw += b"\0" + (struct.pack("<Q", size) if large else b"")
    raw[16] = -sum(raw) & 0xFF
    raw[17] = -sum(body) & 0xFF if checked else 0xAA
    raw[23] = state
    return bytes(raw) + body


def volume(files: list[bytes], system: int = 2, name: UUID | None = None, spare: int = 256) -> bytes:
    """A volume of files; ``name`` makes an extended header."""
    body = b""
    if name is not None:
        body = name.bytes_le + struct.pack("<I", 20)
    for each in files:
        body += b"\xff" * (-(72 + len(body)) % 8) + each
    return _volume(FFS[system], body, spare, 72 if name else 0)


def _volume(guid: UUID, body: bytes, spare: int, extended: int = 0) -> bytes:
    body += b"\xff" * (spare + -len(body) % 8)
    length = 72 + len(body)
    header = bytearray(bytes(16) + guid.bytes_le + struct.pack("<Q4sIHHHBB", length, b"_FVH", 0x4FEFF, 72, 0, extended, 0, 2))
    header += struct.pack("<IIII", 1, length, 0, 0)
    struct.pack_into("<H", header, 50, -sum(each[0] for each in struct.iter_unpack("<H", header)) & 0xFFFF)
    return bytes(header) + body


def variable(name: str, guid: UUID, data: bytes, state: int = 0x3F, authenticated: bool = True) -> bytes:
    text = name.encode("utf-16-le") + b"\0\0"
    raw = struct.pack("<HBBI", 0x55AA, state, 0, 7) + (bytes(28) if authenticated else b"")
    raw += struct.pack("<II", len(text), len(data)) + guid.bytes_le + text + data
    return raw + b"\xff" * (-len(raw) % 4)


def nvram(variables: bytes, spare: int = 512) -> bytes:
    size = 28 + len(variables) + 64
    store = AUTHENTICATED.bytes_le + struct.pack("<IBB6x", size, 0x5A, 0xFE) + variables + b"\xff" * 64
    return _volume(NVRAM, store + b"\x11" * 16, spare)


class _Writer:
    def __init__(self) -> None:
        self.bits = ""

    def put(self, value: int, width: int) -> None:
        self.bits += format(value, f"0{width}b") if width else ""

    def done(self) -> bytes:
        padded = self.bits + "0" * (-len(self.bits) % 8)
        return bytes(int(padded[at : at + 8], 2) for at in range(0, len(padded), 8)) + bytes(4)


def efi(content: bytes, distance_bits: int = 4) -> bytes:
    """EFI 1.1 (4) or Tiano (5) compression with one fixed code and greedy matches at small distances (UEFI 2.10, 19).

    Characters 0-255 and match lengths from 5 on have 9 bits, the lengths 3 and 4 have 8: together that is a complete code.
    """
    symbols: list[tuple[int, int]] = []
    at = 0
    while at < len(content):
        best = (0, 0)
        for distance in range(1, min(at, 120) + 1):
            length = 0
            while length < 200 and at + length < len(content) and content[at + length - distance] == content[at + length]:
                length += 1
            best = max(best, (length, -distance))
        if best[0] >= 3:
            symbols.append((best[0] + 253, -best[1]))
            at += best[0]
        else:
            symbols.append((content[at], 0))
            at += 1
    lengths = [9] * 256 + [8, 8] + [9] * 252
    codes, code, last = {}, 0, 8
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths)):
        code <<= length - last
        codes[symbol], last = (code, length), length
        code += 1
    out = _Writer()
    for begin in range(0, len(symbols), 30_000):
        block = symbols[begin : begin + 30_000]
        out.put(len(block), 16)
        out.put(12, 5)  # code of the lengths: only "8 bits" and "9 bits" (symbols 10 and 11), one bit each
        for symbol in range(12):
            out.put(1 if symbol >= 10 else 0, 3)
            if symbol == 2:
                out.put(0, 2)
        out.put(510, 9)
        for length in lengths:
            out.put(length - 8, 1)
        out.put(8, distance_bits)  # distances: eight symbols of three bits
        for _ in range(8):
            out.put(3, 3)
        for symbol, distance in block:
            out.put(*codes[symbol])
            if symbol > 255:
                place = distance - 1
                width = place.bit_length()
                out.put(width, 3)
                if width > 1:
                    out.put(place - (1 << (width - 1)), width - 1)
    body = out.done()
    return struct.pack("<II", len(body), len(content)) + body
