"""WRG and WRGG: headers of Alpha Networks (D-Link, TRENDnet) in front of one image.

WRG, 96 bytes: signature of the board (32), 0x20040220 twice, length, flash offset, device (32), MD5. WRGG, 160 bytes: signature
(32), 0x20080321 twice, version (16), model (16), flags (8), reserved (8), build (16), length, flash offset, device (32), MD5.
Numbers in either byte order. The MD5 is that of flash offset, device and image (OpenWrt firmware-utils, mkwrgimg and
mkwrggimg). Images of newer access points are encrypted behind the header.
"""

from __future__ import annotations

import struct
from functools import partial

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._alpha import SCHEME, SHARED, head, mixed
from fwcheck.extraction.formats._checksums import digest, verdict
from fwcheck.extraction.formats._decrypt import aes_cbc, decrypted, encrypted
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_SIZES = {0x20040220: ("WRG", 96, 40), 0x20080321: ("WRGG", 160, 104)}  # header, where length and offset stand
_BEGINNINGS = (b"\x5d\x00\x00", b"\xd0\x0d\xfe\xed", b"\x27\x05\x19\x56", b"\x5e\xa3\xa4\x17", b"\x1f\x8b\x08")


class Wrg(Format):
    """WRG or WRGG image."""

    name = "wrg"
    title = "WRG / WRGG firmware image (Alpha Networks, D-Link)"
    specification = "OpenWrt firmware-utils, mkwrgimg and mkwrggimg"
    category = "firmware"
    reads = "both headers in both byte orders; MD5 recomputed; encrypted payloads told and, where asked for, decrypted"
    signatures = (
        Signature(pattern=rb"[\x21-\x7e]{4}[\x00\x21-\x7e]{28}(?:\x20\x02\x04\x20|\x20\x04\x02\x20){2}", width=40),
        Signature(pattern=rb"[\x21-\x7e]{4}[\x00\x21-\x7e]{28}(?:\x21\x03\x08\x20|\x20\x08\x03\x21){2}", width=40),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, 96)
        both = (int.from_bytes(raw[32:36], "little"), int.from_bytes(raw[32:36], "big"))
        magic = next((each for each in both if each in _SIZES), None)
        if magic is None or raw[32:36] != raw[36:40]:
            raise FormatError("not a WRG header")
        kind, header, at = _SIZES[magic]
        raw = source.read(offset, header)
        available = source.size - offset - header
        # WRGG writes its magic in little-endian order whatever the target: the smaller length is the right one.
        length, flash = min(struct.unpack_from("<II", raw, at), struct.unpack_from(">II", raw, at))
        size = min(length, available)
        if not 0 < length <= 1 << 28 or size <= 0:
            raise FormatError("implausible length in a WRG header")
        problems: list[str] = []
        if size < length:
            problems.append(f"{length} bytes announced, {size} there")
        start = offset + header
        wanted = raw[header - 16 :]
        right = digest("md5", source, (start, size), before=raw[at + 4 : at + 40]) == wanted if size == length else None
        told = verdict(problems, "MD5", right)
        detail: dict[str, str | int] = {"header": kind, "signature": words(raw[:32]), "device": words(raw[at + 8 : at + 40])}
        if kind == "WRGG":
            detail |= {"version": words(raw[40:56]), "model": words(raw[56:72]), "build": words(raw[88:104])}
        detail |= {"flash_offset": f"0x{flash:08x}", "integrity": "hash", "integrity_detail": told}
        entry = _payload(source, start, size, raw[:32].rstrip(b"\0"), limits)
        return Container(format=self.name, size=header + size, entries=[entry], detail=detail, problems=problems)


def _payload(source: ByteSource, start: int, size: int, signature: bytes, limits: Limits) -> Entry:
    window = source.window(start, size)
    plain = bytes(window.peek(0, 4)).startswith(_BEGINNINGS) or size < 16
    if plain or not head(window, signature, *SHARED, 16).startswith(_BEGINNINGS):
        return part(source, "payload", start, size)
    if not limits.published_keys:
        return encrypted(source, start, size, SCHEME)
    key, iv = (mixed(signature, each) for each in SHARED)
    return decrypted(partial(aes_cbc, window, key, iv), start, size - size % 16, SCHEME, limits)


FORMATS = (Wrg(),)
