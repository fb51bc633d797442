"""NXP secure binaries, the encrypted update files of LPC55, i.MX RT and MCX (NXP spsdk: SB 2.0, 2.1 and 3.1; AN12283).

SB 2: a header of 96 bytes, little-endian: 16 bytes nonce, u32, ``STMP``, u8 major and u8 minor version, u16 flags, u32 size in
blocks of 16 bytes, u32 first boot tag, u32 first section, u32 offset of the certificates, u16 header blocks, u16 key blob block
and u16 its blocks, u16 most MACs of a section, ``sgtl``, u64 time in microseconds since 2000, product and component version in
12 bytes each, u32 build, 4 bytes. MAC, key blob, and for 2.1 certificates and signature follow, then sections that are
AES-128-CTR.

SB 3.1: ``sbv3``, u16 minor and u16 major version, u32 flags, u32 number and u32 size of the data blocks, u64 time, u32 firmware
version, u32 size of block 0, u32 type, u32 offset of the certificates, 16 bytes description. Block 0 holds hash, certificates
and ECDSA signature; the data blocks are AES-CBC.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_SB2 = struct.Struct("<16sI4sBBHIIIIHHHH4sQ32x")
_SB3 = struct.Struct("<4sHHIIIQIIII16s")
_EPOCH: Final = 946684800  # 2000-01-01
_BLOCK: Final = 16
_SIZE_LIMIT: Final = 64 << 20


class NxpSb(Format):
    """NXP secure binary: everything behind the header that is encrypted is told as such."""

    name = "nxp-sb"
    title = "NXP secure binary (SB 2, SB 3.1)"
    specification = "NXP spsdk: sbfile; AN12283"
    category = "microcontroller"
    reads = "headers of SB 2.0, 2.1 and 3.1 with their versions; encryption and signature are told"
    not_read = "encrypted sections, certificates, verification of signatures; SB 1"
    signatures = (
        Signature(pattern=rb"STMP\x02[\x00\x01].{26}sgtl", width=36, offset=20),
        Signature(pattern=rb"sbv3[\x00\x01]\x00\x03\x00", width=8),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        return _version_3(source, offset) if source.peek(offset, 4) == b"sbv3" else _version_2(source, offset)


def _version_2(source: ByteSource, offset: int) -> Container:
    raw = source.peek(offset, _SB2.size)
    if len(raw) < _SB2.size:
        raise FormatError("not an SB 2 header")
    _, _, magic, major, minor, flags, blocks, boot, _, certificates, header, _, _, _, second, time = _SB2.unpack(raw)
    size = blocks * _BLOCK
    if (magic, second, major) != (b"STMP", b"sgtl", 2) or not header * _BLOCK <= size <= _SIZE_LIMIT or size < 96:
        raise FormatError("not an SB 2 header")
    there = min(size, source.size - offset)
    begin = boot * _BLOCK
    detail: dict[str, str | int] = {
        "version": f"{major}.{minor}",
        "flags": f"0x{flags:04x}",
        "certificates": "yes" if certificates else "no",
        "integrity": "signature",
        "integrity_detail": f"{'RSA signature' if minor else 'HMAC'} (not verified)",
    }
    if not minor:
        detail["integrity"] = "hash"
    return _container(source, offset, (size, there, begin), time // 1_000_000 + _EPOCH, detail, "AES-128-CTR, NXP SB 2")


def _version_3(source: ByteSource, offset: int) -> Container:
    raw = source.peek(offset, _SB3.size)
    if len(raw) < _SB3.size:
        raise FormatError("not an SB 3.1 header")
    _, minor, major, flags, count, length, time, firmware, first, kind, certificates, text = _SB3.unpack(raw)
    size = first + count * length
    if not _SB3.size <= certificates < first <= 1 << 16 or not 16 <= length <= 4096 or size > _SIZE_LIMIT:
        raise FormatError("not an SB 3.1 header")
    there = min(size, source.size - offset)
    detail: dict[str, str | int] = {
        "version": f"{major}.{minor}",
        "flags": f"0x{flags:08x}",
        "firmware_version": firmware,
        "image_type": kind,
        "description": words(text),
        "integrity": "signature",
        "integrity_detail": "ECDSA signature over block 0 and the chain of hashes behind it (not verified)",
    }
    return _container(source, offset, (size, there, first), time, detail, "AES-CBC, NXP SB 3.1")


def _container(
    source: ByteSource, offset: int, sizes: tuple[int, int, int], time: int, detail: dict[str, str | int], scheme: str
) -> Container:
    """``sizes``: announced, there, and where what is encrypted begins."""
    size, there, begin = sizes
    entries: list[Entry] = []
    if 0 < begin < there:
        entry = part(source, "sections", offset + begin, there - begin, {"encryption": scheme})
        entries.append(msgspec.structs.replace(entry, role="encrypted"))
    problems = [f"{size} bytes announced, {there} there"] if there < size else []
    return Container(format="nxp-sb", size=there, entries=entries, detail={**detail, "time": time}, problems=problems)


FORMATS = (NxpSb(),)
