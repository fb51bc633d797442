"""Images that the immutable boot loader of nRF Connect SDK starts (nrf/include/fw_info_bare.h, subsys/bootloader/bl_validation).

A raw Cortex-M image with a structure at 0, 0x200, 0x400, 0x600, 0x800, 0xE00 or 0x1000, little-endian: u32 0x281EE6DE, u32
0x8FCEBB4C, u32 compatibility; u32 size of the structure, u32 size of the image, u32 version, u32 address, u32 address of the
vector table, u32 valid. Behind the image, within four bytes, what the boot loader checks: u32 0x281EE6DE, u32 0x86518483, u32
compatibility, u32 address, SHA-256, public key (64) and ECDSA signature (64) over P-256; builds for nRF54L leave out hash or key
and sign with Ed25519. What is signed is the SHA-256 of the SHA-256.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import digest
from fwcheck.extraction.formats._parts import code, part
from fwcheck.extraction.formats._signed import BAD, VALID, ec_key, ecdsa, two_numbers
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource
from fwcheck.model import SignedBlock

_INFO = struct.Struct("<8s7I")
_MAGIC: Final = bytes.fromhex("dee61e284cbbce8f")
_VALIDATION: Final = bytes.fromhex("dee61e2883845186")
_VALID: Final = 0x9102FFFF
_PLACES: Final = (0x0, 0x200, 0x400, 0x600, 0x800, 0xE00, 0x1000)
_FIELDS = struct.Struct("<32s32s32s32s32s")  # hash, key (x, y), signature (r, s)
_HEAD: Final = 16
_LARGEST: Final = 16 << 20


class NrfSecureImage(Format):
    """An image with firmware information, and the validation information behind it."""

    name = "nrf-secure-image"
    title = "nRF Connect SDK image (fw_info, for the immutable boot loader)"
    specification = "nRF Connect SDK: fw_info_bare.h, bl_validation.c"
    category = "microcontroller"
    reads = "firmware information at every place it may have, extent, SHA-256 recomputed, ECDSA signature verified with its key"
    not_read = "interfaces that the image offers and asks for; Ed25519 signatures of builds for nRF54L, whose key is elsewhere"
    signatures = tuple(
        Signature(pattern=rb"\xde\xe6\x1e\x28\x4c\xbb\xce\x8f.{2}\x00\x00", width=12, offset=place) for place in _PLACES
    )
    priority = 25

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        place = next((each for each in _PLACES if source.peek(offset + each, 8) == _MAGIC), None)
        if place is None:
            raise FormatError("no firmware information")
        _, _, own, length, version, address, boot, valid = _INFO.unpack(source.read(offset + place, _INFO.size))
        vectors, there = boot - address, source.size - offset
        if not place + own <= length <= _LARGEST or not 0 <= vectors <= length - 8 or own < _INFO.size:
            raise FormatError("impossible firmware information")
        reset = int.from_bytes(source.read(offset + vectors + 4, 4), "little")
        if not reset & 1 or not address <= reset < address + length:
            raise FormatError("the vector table lies elsewhere: the image begins at another place")
        image = min(length, there)
        entries = [code(source, "application", offset, image)]
        detail: dict[str, str | int] = {
            "version": version,
            "load_address": f"0x{address:08x}",
            "valid": "yes" if valid == _VALID else f"no (0x{valid:08x})",
        }
        problems = [f"{length} bytes announced, {there} there"] if there < length else []
        checked = _checked(source, offset, length, address) if there >= length else _Checked()
        if checked.end:
            behind = part(source, "validation", offset + length, checked.end - length)
            entries.append(msgspec.structs.replace(behind, role="meta"))
        detail |= {"integrity": checked.integrity, "integrity_detail": checked.words}
        return Container(
            format=self.name,
            size=max(image, checked.end),
            entries=entries,
            detail=detail,
            problems=problems + checked.problems,
            signatures=checked.blocks,
        )


class _Checked(msgspec.Struct):
    """What the validation information says; ``end`` 0 where there is none."""

    end: int = 0
    integrity: str = "none"
    words: str = "no validation information behind the image"
    problems: list[str] = []
    blocks: tuple[SignedBlock, ...] = ()


def _checked(source: ByteSource, offset: int, length: int, address: int) -> _Checked:
    at = source.peek(offset + length, len(_VALIDATION) + 4).find(_VALIDATION)
    head = source.peek(offset + length + at, _HEAD)
    if at < 0 or len(head) < _HEAD or int.from_bytes(head[12:], "little") != address:
        return _Checked()
    begin = length + at + _HEAD
    raw = source.peek(offset + begin, _FIELDS.size)
    made = digest("sha256", source, (offset, length))
    if len(raw) < _FIELDS.size or not _point(raw[32:96]):
        # Without hash or key, or cut off: the signature alone is known to be there.
        return _Checked(begin, "signature", "a signature (not verified: its key is elsewhere)")
    stored, *rest = _FIELDS.unpack(raw)
    x, y, r, s = (int.from_bytes(each, "big") for each in rest)
    states = [(ecdsa(256, (x, y), (r, s), each), each) for each in (hashlib.sha256(made).digest(), made)]
    state, signed = next((one for one in states if one[0] == VALID), states[0])
    right = stored == made
    block = SignedBlock(
        scheme="nRF secure boot", algorithm="ECDSA", signature=two_numbers(r, s), digest=signed,
        carried=ec_key(256, x, y), key_hint=hashlib.sha256(raw[32:96]).hexdigest()[:32], covers="the image",
    )  # fmt: skip
    problems = [] if right else ["wrong SHA-256"]
    problems += [f"signature: {state}"] if state in BAD else []
    words = f"ECDSA P-256 signature ({state}), SHA-256 {'right' if right else 'wrong'}"
    return _Checked(begin + _FIELDS.size, "signature", words, problems, (block,))


def _point(raw: bytes) -> bool:
    """Whether 64 bytes are a point of P-256, as chance makes none."""
    return bool(ec_key(256, int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")))


FORMATS = (NrfSecureImage(),)
