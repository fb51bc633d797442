"""What the metadata block of an RP2350 image says (RP2350 datasheet 5.9; pico-sdk boot/picobin.h).

Within the first 4 KiB, at a multiple of four: u32 0xFFFFDED3, items, i32 distance to the next block, u32 0xAB123579. An item:
u8 type (its highest bit: the size has two bytes), size in words, then type-specific. 0x42 kind of image (u16: bits 0 to 3 kind,
4 and 5 security, 8 to 10 processor, 15 try before you buy), 0x48 version (u16 minor, u16 major), 0x4B hash, 0x09 signature,
0x7F the last one.
"""

from __future__ import annotations

import struct
from typing import Final

from fwcheck.extraction.source import ByteSource

_BEGIN, _END = b"\xd3\xde\xff\xff", b"\x79\x35\x12\xab"
_WINDOW: Final = 4096
_LARGEST: Final = 640
_IMAGE, _VERSION, _HASH, _SIGNATURE, _LAST = 0x42, 0x48, 0x4B, 0x09, 0x7F
_KINDS = {0: "invalid", 1: "executable", 2: "data"}
_SECURITY = {0: "unspecified", 1: "non-secure", 2: "secure"}
_PROCESSORS = {0: "Arm", 1: "RISC-V"}


def picobin(source: ByteSource, offset: int) -> dict[str, str | int]:
    """Fields of the first block, for the detail of an image; none when there is no block."""
    window = source.peek(offset, _WINDOW + _LARGEST)
    at = window.find(_BEGIN)
    while 0 <= at < _WINDOW:
        if at % 4 == 0 and (found := _block(window, at + 4)):
            return found
        at = window.find(_BEGIN, at + 1)
    return {}


def _block(raw: bytes, at: int) -> dict[str, str | int]:
    out: dict[str, str | int] = {}
    end, signed, hashed = at + _LARGEST, False, False
    while at + 8 <= min(end, len(raw)):
        kind, size = raw[at], raw[at + 1]
        if kind & 0x80:
            size = int.from_bytes(raw[at + 1 : at + 3], "little")
        if kind & 0x7F == _LAST:
            if raw[at + 8 : at + 12] != _END or "rp2350_image" not in out:
                return {}
            words = "secp256k1 signature" if signed else "SHA-256" if hashed else ""
            return out | ({"rp2350_protection": f"{words} in the metadata block (not verified)"} if words else {})
        if kind == _IMAGE:
            (flags,) = struct.unpack_from("<H", raw, at + 2)
            names = (_KINDS.get(flags & 15, "?"), _PROCESSORS.get(flags >> 8 & 7, "?"), _SECURITY.get(flags >> 4 & 3, "?"))
            out["rp2350_image"] = ", ".join(names) + (", try before you buy" if flags >> 15 else "")
        elif kind == _VERSION:
            minor, major = struct.unpack_from("<HH", raw, at + 4)
            out["version"] = f"{major}.{minor}"
        signed, hashed = signed or kind & 0x7F == _SIGNATURE, hashed or kind == _HASH
        if not size:
            return {}
        at += 4 * size
    return {}
