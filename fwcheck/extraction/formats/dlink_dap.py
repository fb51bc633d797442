"""D-Link access point headers (SDK of DAP-1350 and DAP-1330), big-endian but for one length.

Older: sum of all bytes of the image, model (20), signature (30), partition, length of the header (64, or 80 with region (4) and
version (12) behind it), two bytes, two of padding, length of the image. Newer, 72 bytes: length of the header, sum of all
bytes, length of the image, size of the kernel partition, signature (32), version (16), region (8) (OpenWrt firmware-utils,
mkdapimg and mkdapimg2).
"""

from __future__ import annotations

import struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import sum8, verdict
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_OLD = struct.Struct(">I20s30sBB2x2xI")
_NEW = struct.Struct(">4sIII32s16s8s")
_MASK = 0xFFFFFFFF


class _Header(msgspec.Struct, frozen=True):
    size: int
    length: int
    checksum: int
    detail: dict[str, str | int]


class DlinkDap(Format):
    """D-Link access point image."""

    name = "dlink-dap"
    title = "D-Link access point image (DAP)"
    specification = "OpenWrt firmware-utils, mkdapimg and mkdapimg2"
    category = "firmware"
    reads = "both headers and the image; checksum recomputed"
    not_read = "images whose checksum is wrong, because little else tells them"
    signatures = (
        Signature(
            pattern=rb"(?:\x48\x00\x00\x00|\x00\x00\x00\x48).{4}[\x00-\x03].{3}\x00.{3}[A-Z0-9]{4}[\x00\x20-\x7e]{12}", width=32
        ),
        Signature(
            pattern=rb".{4}[A-Z0-9]{2}[\x00\x20-\x7e]{18}[A-Z0-9]{4}[\x00\x20-\x7e]{26}[\x00-\x0f][\x40\x50]\x00\x00.{2}[\x00-\x03].{3}",
            width=64,
            anywhere=False,
        ),
    )
    priority = 40

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        header = _new(source, offset) or _old(source, offset)
        start = offset + header.size
        if not 0 < header.length <= source.size - start:
            raise FormatError("implausible length in a D-Link access point header")
        if sum8(source, start, header.length) & _MASK != header.checksum:
            raise FormatError("wrong checksum of a D-Link access point image")
        return Container(
            format=self.name,
            size=header.size + header.length,
            entries=[part(source, "image", start, header.length)],
            detail=header.detail | {"integrity": "checksum", "integrity_detail": verdict([], "byte sum", right=True)},
        )


def _new(source: ByteSource, offset: int) -> _Header | None:
    size, checksum, length, kernel, signature, version, region = _NEW.unpack(source.read(offset, _NEW.size))
    if size not in {b"\x48\0\0\0", b"\0\0\0\x48"}:
        return None
    detail: dict[str, str | int] = {"signature": words(signature), "version": words(version), "region": words(region)}
    return _Header(_NEW.size, length, checksum, detail | {"kernel_size": kernel})


def _old(source: ByteSource, offset: int) -> _Header:
    checksum, model, signature, _, size, length = _OLD.unpack(source.read(offset, _OLD.size))
    if size not in {64, 80}:
        raise FormatError("not a D-Link access point header")
    more = source.read(offset + _OLD.size, size - _OLD.size)
    detail: dict[str, str | int] = {"signature": words(signature), "model": words(model)}
    return _Header(size, length, checksum, detail | {"region": words(more[:4]), "version": words(more[4:])})


FORMATS = (DlinkDap(),)
