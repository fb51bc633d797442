"""SEAMA: Alpha Networks' container (D-Link, also told as dlob), big-endian.

    0  magic 5E A3 A4 17      12  MD5 of the image, only where its length is not zero
    4  reserved               ..  meta data: ``key=value`` strings, each with its zero, filled up to the length
    6  length of meta data    ..  image
    8  length of the image

An update file begins with a header without image, whose ``signature=`` names the board; entities with images follow it. What
stands in flash is one entity alone (OpenWrt firmware-utils, seama.h; linux/drivers/mtd mtdsplit_seama).
"""

from __future__ import annotations

import struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import digest
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct(">4sHHI")
_MAGIC = b"\x5e\xa3\xa4\x17"
_MD5_SIZE = 16
_ENTITIES = 256


class _Entity(msgspec.Struct, frozen=True, kw_only=True):
    meta: dict[str, str]
    md5: bytes
    start: int  # of the image
    size: int


class Seama(Format):
    """SEAMA image or single entity; images are parts."""

    name = "seama"
    title = "SEAMA firmware image (Alpha Networks, D-Link; dlob)"
    specification = "OpenWrt firmware-utils, seama.h; linux mtdsplit_seama"
    category = "firmware"
    reads = "sealed images and single entities with their meta data; MD5 recomputed"
    signatures = (Signature(pattern=rb"\x5e\xa3\xa4\x17\x00\x00[\x00-\x0f].[\x00-\x3f]...", width=12),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        first = _entity(source, offset)
        entities, end, problems = [first], first.start + first.size, list[str]()
        if not first.size:  # the seal of an update file: what follows belongs to it
            while source.peek(end, 4) == _MAGIC and len(entities) < min(_ENTITIES, limits.nodes):
                try:
                    entities.append(_entity(source, end))
                except FormatError as error:
                    problems.append(str(error))
                    break
                end = entities[-1].start + entities[-1].size
            if len(entities) == 1:
                raise FormatError("a SEAMA header with nothing behind it")
        verified: list[bool | None] = []
        parts = [_part(source, each, number, verified, problems) for number, each in enumerate(entities) if each.size]
        told = "MD5 cannot be checked" if None in verified else "MD5 right" if all(verified) else "MD5 wrong"
        return Container(
            format=self.name,
            size=min(end, source.size) - offset,
            entries=parts,
            detail={
                **first.meta,
                "form": "update image" if not first.size else "entity",
                "images": len(parts),
                "integrity": "hash",
                "integrity_detail": told,
            },
            problems=problems,
        )


def _entity(source: ByteSource, at: int) -> _Entity:
    """The header at ``at`` with its meta data; raises FormatError unless these are what they have to be."""
    magic, reserved, meta_size, size = _HEADER.unpack(source.read(at, _HEADER.size))
    meta_at = at + _HEADER.size + (_MD5_SIZE if size else 0)
    raw = source.read(meta_at, meta_size)
    pairs = [words(each).partition("=") for each in raw.split(b"\0") if each.strip(b"\xff")]
    if magic != _MAGIC or reserved or not pairs or not all(key.isidentifier() and equals for key, equals, _ in pairs):
        raise FormatError("not a SEAMA entity")
    start = meta_at + meta_size
    if size and start >= source.size:
        raise FormatError("a SEAMA entity without its image")
    md5 = source.read(at + _HEADER.size, _MD5_SIZE) if size else b""
    return _Entity(meta={key: value for key, _, value in pairs}, md5=md5, start=start, size=size)


def _part(source: ByteSource, entity: _Entity, number: int, verified: list[bool | None], problems: list[str]) -> Entry:
    size = min(entity.size, source.size - entity.start)
    if size < entity.size:
        note(problems, f"image {number}: {entity.size} bytes announced, {size} there")
        verified.append(None)
    else:
        verified.append(digest("md5", source, (entity.start, size)) == entity.md5)
        if not verified[-1]:
            note(problems, f"image {number}: wrong MD5")
    return part(source, entity.meta.get("type") or f"image-{number}", entity.start, size, dict(entity.meta))


FORMATS = (Seama(),)
