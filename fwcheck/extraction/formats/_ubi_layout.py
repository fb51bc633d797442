"""UBI's headers on flash, all big-endian, as Linux ``drivers/mtd/ubi/ubi-media.h`` lays them out.

Erase counter header, 64 bytes at the beginning of every physical erase block (PEB):
    0 magic ``UBI#``, 4 version (1), 8 erase counter (64 bits), 16 offset of the volume identifier header, 20 offset of the data,
    24 image sequence number, 60 checksum of the first 60 bytes.
Volume identifier header, 64 bytes, in every PEB that holds a logical erase block (LEB):
    0 magic ``UBI!``, 4 version, 5 type (1 dynamic, 2 static), 6 copy flag, 7 compatibility, 8 volume, 12 LEB, 20 data size,
    24 used LEBs, 28 data padding, 32 checksum of the data, 40 sequence number (64 bits), 60 checksum of the first 60 bytes.
Volume table record, 172 bytes, up to 128 of them in both LEBs of the layout volume:
    0 reserved PEBs, 4 alignment, 8 data padding, 12 type, 13 update marker, 14 length of the name, 16 name, 144 flags,
    168 checksum of the first 168 bytes.
"""

from __future__ import annotations

from struct import Struct

import msgspec

from fwcheck.extraction.formats._checksums import crc32_plain

EC_MAGIC, VID_MAGIC = b"UBI#", b"UBI!"
HEADER = 64
RECORD = 172
RECORDS = 128
DYNAMIC, STATIC = 1, 2
TYPES = {DYNAMIC: "dynamic", STATIC: "static"}
LAYOUT_VOLUME, FASTMAP_SUPER, FASTMAP_DATA = 0x7FFFEFFF, 0x7FFFF000, 0x7FFFF001  # internal volumes begin with the first
AUTORESIZE, SKIP_CHECK = 1, 2

_EC = Struct(">8xQIII")
_VID = Struct(">5xBBBII4xIIII4xQ")
_RECORD = Struct(">IIIBBH128sB")


class EraseCounter(msgspec.Struct, frozen=True):
    """A sound erase counter header."""

    count: int
    vid_offset: int
    data_offset: int
    image: int

    @property
    def layout(self) -> tuple[int, int]:
        """What all PEBs of one device have in common."""
        return self.vid_offset, self.data_offset


class Identifier(msgspec.Struct, frozen=True):
    """A sound volume identifier header."""

    type: int
    copy: int
    compatibility: int
    volume: int
    leb: int
    data_size: int
    used: int
    padding: int
    data_crc: int
    sequence: int


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A volume, as the volume table has it."""

    reserved: int
    alignment: int
    padding: int
    type: int
    updating: bool
    name: bytes
    flags: int


def _sealed(raw: bytes, size: int) -> bool:
    return len(raw) >= size and crc32_plain(raw[: size - 4]) == int.from_bytes(raw[size - 4 : size], "big")


def erase_counter(raw: bytes) -> EraseCounter | None:
    """The erase counter header in ``raw``; None when there is none, or its checksum is wrong."""
    if raw[:5] != b"UBI#\1" or not _sealed(raw, HEADER):
        return None
    one = EraseCounter(*_EC.unpack_from(raw))
    sound = HEADER <= one.vid_offset <= one.data_offset - HEADER and one.data_offset % 8 == 0 and one.vid_offset % 4 == 0
    return one if sound and one.data_offset < 1 << 20 else None


def identifier(raw: bytes) -> Identifier | None:
    """The volume identifier header in ``raw``; None when there is none, or its checksum is wrong."""
    if raw[:5] != b"UBI!\1" or not _sealed(raw, HEADER):
        return None
    one = Identifier(*_VID.unpack_from(raw))
    return one if one.type in TYPES else None


def record(raw: bytes) -> Record | None:
    """A record of the volume table; None when its checksum is wrong."""
    if not _sealed(raw, RECORD):
        return None
    reserved, alignment, padding, type_, updating, length, name, flags = _RECORD.unpack_from(raw)
    return Record(
        reserved=reserved, alignment=alignment, padding=padding, type=type_, updating=bool(updating),
        name=name[: min(length, 127)].split(b"\0", 1)[0], flags=flags,
    )  # fmt: skip
