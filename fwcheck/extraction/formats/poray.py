"""Poray, Hame and Nexx images, little-endian: 28 bytes of header, then the image combined with a key of 15 bytes by exclusive or.

Hardware id (four characters), length, 0x020E0000, 16 bytes zero; image, checksum of two bytes. The key depends on the board;
which one it is shows where the image begins as a uImage (OpenWrt firmware-utils, mkporayfw).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import sum16, verdict
from fwcheck.extraction.formats._parts import words
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind

_HEADER = struct.Struct("<4sII16s")
_FLAGS = 0x020E0000
_KEYS = tuple(
    bytes.fromhex(each)
    for each in (
        "c83c3a93a295c36348455809120308",
        "896b5a939295c363d0a39c922ee6c7",
        "c91c3a939295c363d0a39c922ee6c7",
        "191b3a939295c363d0a39c922ee6c7",
        "797b7a939295c363d0a39c922ee6c7",
        "191c4a939695c363d0a39c922e16c6",
        "391c4a939695c363d0a39c922e16c6",
        "c83c3a93a295c36348455809201108",
    )
)
_UIMAGE = b"\x27\x05\x19\x56"
_STEP = 15 << 16  # whole keys


def _combined(data: bytes | memoryview, key: bytes) -> bytes:
    mask = (key * (len(data) // len(key) + 1))[: len(data)]
    return (int.from_bytes(data, "little") ^ int.from_bytes(mask, "little")).to_bytes(len(data), "little")


def _plain(source: ByteSource, key: bytes) -> Iterator[bytes]:
    for at in range(0, source.size, _STEP):
        yield _combined(source.view(at, min(_STEP, source.size - at)), key)


class Poray(Format):
    """Poray image."""

    name = "poray"
    title = "Poray, Hame, Nexx firmware image"
    specification = "OpenWrt firmware-utils, mkporayfw"
    category = "firmware"
    reads = "header and image with all known keys; checksum recomputed"
    signatures = (Signature(pattern=rb"[0-9A-Z]{4}.{3}\x00\x00\x00\x0e\x02\x00{16}", width=28),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        hardware, length, flags, rest = _HEADER.unpack(source.read(offset, _HEADER.size))
        start = offset + _HEADER.size
        head = source.read(start, 4)
        key = next((each for each in _KEYS if _combined(head, each) == _UIMAGE), None)
        if flags != _FLAGS or any(rest) or key is None or length < 64:
            raise FormatError("not a Poray image")
        # Two of the keys differ behind the tenth byte only: the header of the uImage has zeros in its name.
        similar = [each for each in _KEYS if _combined(head, each) == _UIMAGE]
        key = max(similar, key=lambda each: _combined(source.peek(start, 64), each)[32:].count(0))
        size = min(length, source.size - start)
        content = spool(bounded(_plain(source.window(start, min(length + 2, source.size - start)), key), length, limits))
        problems: list[str] = []
        right = None
        if content.size == length + 2:
            right = _checksum(content, length) == int.from_bytes(content.read(length, 2), "little")
        else:
            problems.append(f"{length + 2} bytes announced, {content.size} there")
        told = verdict(problems, "checksum", right)
        entry = Entry(
            path="image",
            kind=NodeKind.REGION,
            size=size,
            role="part",
            locality=start,
            open=partial(content.window, 0, size),
        )
        return Container(
            format=self.name,
            size=_HEADER.size + content.size,
            entries=[entry],
            detail={"hardware": words(hardware[::-1]), "key": key.hex(), "integrity": "checksum", "integrity_detail": told},
            problems=problems,
        )


def _checksum(content: ByteSource, length: int) -> int:
    total = sum16(content, 0, length, big=False) & 0xFFFFFFFF
    total -= (total & 1 << 31) << 1  # the vendor's code computes in 32 bits with a sign
    total += (total >> 16) + 0xFFFF
    return ~(total + (total >> 16)) & 0xFFFF


FORMATS = (Poray(),)
