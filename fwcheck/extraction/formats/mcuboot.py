"""MCUboot images: a header, the payload, and type-length-value areas with hash, signature and key (MCUboot design.md, image.h).

The header has 32 bytes (u32 magic, u32 load address, u16 header size, u16 size of the protected area, u32 payload size, u32
flags, version), filled to the header size. Hash and signature are of header, payload and protected area.

An encrypted payload is AES in counter mode under a key of its own, which a TLV holds encrypted. A compressed payload begins
with two bytes, the dictionary's size and the literal parameters of LZMA, before raw LZMA2 data, optionally behind the ARM Thumb
branch filter.
"""

from __future__ import annotations

import lzma
import struct
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._mcuboot_tlvs import KEY_SCHEMES, UNPACKED_SIZE, Tlv, areas, blocks, described, integrity
from fwcheck.extraction.formats._parts import code, part
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool

MAGIC: Final = 0x96F3B83D
# ih_magic ih_load_addr ih_hdr_size ih_protect_tlv_size ih_img_size ih_flags, version: major minor revision build
_HEADER = struct.Struct("<IIHHIIBBHI")
_FLAGS = {
    0x1: "position independent", 0x4: "encrypted (AES-128)", 0x8: "encrypted (AES-256)", 0x10: "not bootable", 0x20: "RAM load",
    0x100: "fixed ROM address", 0x200: "LZMA1", 0x400: "LZMA2", 0x800: "ARM Thumb filter",
}  # fmt: skip
_ENCRYPTED, _AES_256, _LZMA2, _ARM_THUMB = 0x0C, 0x08, 0x400, 0x800


class McuBoot(Format):
    """MCUboot image; hash and, where the key is there, signature are verified."""

    name = "mcuboot"
    title = "MCUboot image"
    specification = "MCUboot docs/design.md, boot/bootutil/include/bootutil/image.h"
    category = "microcontroller"
    reads = (
        "all TLVs; SHA-256/384/512 recomputed; RSA-PSS, ECDSA and Ed25519 signatures verified where the public key is in the "
        "image; LZMA2 payloads with and without ARM Thumb filter"
    )
    not_read = "encrypted payloads (told with their scheme), LZMA1 payloads; signatures whose key is only in the boot loader"
    signatures = (Signature(pattern=rb"\x3d\xb8\xf3\x96[\x00-\xff]{4}[\x00-\xff]{8}[\x00-\xff]{2}\x00\x00", width=20),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, 32)
        magic, load, header, protected_size, size, flags, major, minor, revision, build = _HEADER.unpack_from(raw)
        if magic != MAGIC or header < 32 or not size or raw[28:32] != bytes(4):
            raise FormatError("not an MCUboot header")
        payload = offset + header
        if payload >= source.size:
            raise FormatError("an MCUboot header without its payload")
        there = min(size, source.size - payload)
        problems = [f"payload of {size} bytes announced, {there} there"] if there < size else []
        end, tlvs = payload + there, list[Tlv]()
        if there == size:
            end, tlvs = areas(source, payload + size, protected_size, problems)
        signed = header + size + protected_size
        word, words = integrity(source, offset, signed, bool(flags & _ENCRYPTED), tlvs, problems)
        detail: dict[str, str | int] = {
            "version": f"{major}.{minor}.{revision}+{build}",
            "load_address": f"0x{load:08x}",
            "flags": ", ".join(text for bit, text in _FLAGS.items() if flags & bit),
            **described(tlvs),
            "integrity": word,
            "integrity_detail": words,
        }
        return Container(
            format=self.name,
            size=end - offset,
            entries=[_payload(source, payload, there, flags, tlvs, limits)],
            detail={key: value for key, value in detail.items() if value != ""},
            problems=problems,
            signatures=blocks(source, offset, signed, bool(flags & _ENCRYPTED), tlvs),
        )


def _payload(source: ByteSource, at: int, size: int, flags: int, tlvs: list[Tlv], limits: Limits) -> Entry:
    if flags & _ENCRYPTED:
        key = next((KEY_SCHEMES[each.kind] for each in tlvs if each.kind in KEY_SCHEMES), "unknown scheme")
        scheme = f"AES-{256 if flags & _AES_256 else 128}-CTR, MCUboot (key: {key})"
        return msgspec.structs.replace(part(source, "payload", at, size, {"encryption": scheme}), role="encrypted")
    entry = code(source, "payload", at, size)
    if not flags & _LZMA2 or size < 3:
        return entry
    announced = next((int.from_bytes(each.value[:4], "little") for each in tlvs if each.kind == UNPACKED_SIZE), 0)
    head = source.read(at, 2)
    if head[0] > 40 or head[1] > 224:
        return entry
    packed = source.window(at + 2, size - 2)
    opener = partial(_unpacked, packed, head, bool(flags & _ARM_THUMB), limits)
    return msgspec.structs.replace(entry, size=announced, offset=None, open=opener, detail={"compression": "LZMA2"})


def _unpacked(packed: ByteSource, head: bytes, thumb: bool, limits: Limits) -> ByteSource:
    # The properties byte of the image repeats what each chunk of LZMA2 says itself.
    dictionary = 0xFFFFFFFF if head[0] == 40 else (2 | head[0] & 1) << (head[0] // 2 + 11)
    filters: list[dict[str, Any]] = [{"id": lzma.FILTER_LZMA2, "dict_size": max(4096, min(dictionary, 64 << 20))}]
    if thumb:
        filters.insert(0, {"id": lzma.FILTER_ARMTHUMB})

    def pieces() -> Iterator[bytes]:
        decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
        for chunk in packed.chunks():
            yield decoder.decompress(chunk, 1 << 20)
            while not decoder.needs_input and not decoder.eof:
                yield decoder.decompress(b"", 1 << 20)

    try:
        return spool(bounded(pieces(), packed.size, limits))
    except (lzma.LZMAError, EOFError) as error:
        raise FormatError(f"broken LZMA2 data: {error}") from error


FORMATS = (McuBoot(),)
