"""Two headers of D-Link images: DKBS, and the one with a type and a length in front of its payload.

DKBS, 0xA0 bytes: board id (32, as ``01_dkbs_...`` with the mark at 7), version (at 0x28, 32), length of the payload (at 0x68;
big-endian when that leaves the highest byte zero, else little-endian), boot device (at 0x70, 32); then the payload.

TLV, 0x74 bytes, little-endian: 64 80 19 40, model (32), board (32), 8 bytes, MD5 in hexadecimal text (32; may be empty) over
everything that follows it, type (1), length; then the payload (binwalk v3, dkbs and dlink_tlv).
"""

from __future__ import annotations

import re
import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import digest, verdict
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_DKBS_HEADER = 0xA0
_TLV_MAGIC = b"\x64\x80\x19\x40"
_TLV = struct.Struct("<4s32s32s8s32sII")
_TLV_CHECKED = 0x6C


class Dkbs(Format):
    """D-Link DKBS header."""

    name = "dkbs"
    title = "D-Link DKBS firmware header"
    specification = "binwalk v3, dkbs"
    category = "firmware"
    reads = "board, version, boot device and the payload, in both byte orders"
    not_read = "fields that are not publicly known; a checksum, if there is one among them"
    signatures = (Signature(pattern=rb"_dkbs_", width=6, offset=7),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _DKBS_HEADER)
        board, version, device = (raw[at : at + 32].split(b"\0")[0] for at in (0, 0x28, 0x70))
        order = "big" if not raw[0x68] else "little"
        length = struct.unpack_from(">I" if order == "big" else "<I", raw, 0x68)[0]
        size = min(length, source.size - offset - _DKBS_HEADER)
        if not all(re.fullmatch(rb"[!-~][ -~]*", each) for each in (board, version, device)) or size <= 0:
            raise FormatError("not a DKBS header")
        return Container(
            format=self.name,
            size=_DKBS_HEADER + size,
            entries=[part(source, "payload", offset + _DKBS_HEADER, size)],
            detail={
                "board": words(board),
                "version": words(version),
                "boot_device": words(device),
                "byte_order": order,
                "integrity": "none",
            },
            problems=[] if size == length else [f"{length} bytes announced, {size} there"],
        )


class DlinkTlv(Format):
    """D-Link header with a type and a length."""

    name = "dlink-tlv"
    title = "D-Link TLV firmware header"
    specification = "binwalk v3, dlink_tlv"
    category = "firmware"
    reads = "model, board and the payload; MD5 recomputed where there is one"
    not_read = "types other than 1"
    signatures = (Signature(pattern=rb"\x64\x80\x19\x40[ -~]{3}", width=7),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, model, board, _, md5, kind, length = _TLV.unpack(source.read(offset, _TLV.size))
        names = [each.split(b"\0")[0] for each in (model, board)]
        size = min(length, source.size - offset - _TLV.size)
        sound = all(re.fullmatch(rb"[ -~]+", each) for each in names) and re.fullmatch(rb"[0-9a-fA-F]{32}|\0.*", md5, re.DOTALL)
        if magic != _TLV_MAGIC or kind != 1 or size <= 0 or not sound:
            raise FormatError("not a D-Link TLV header")
        problems: list[str] = []
        right = None
        if size == length:
            right = digest("md5", source, (offset + _TLV_CHECKED, size + 8)).hex().encode() == md5.lower()
        else:
            problems.append(f"{length} bytes announced, {size} there")
        integrity = "hash" if md5[0] else "none"
        return Container(
            format=self.name,
            size=_TLV.size + size,
            entries=[part(source, "payload", offset + _TLV.size, size)],
            detail={
                "model": words(model),
                "board": words(board),
                "integrity": integrity,
                "integrity_detail": verdict(problems, "MD5", right) if md5[0] else "no MD5 stored",
            },
            problems=problems,
        )


FORMATS = (Dkbs(), DlinkTlv())
