"""Bcachefs: the superblock alone.

Layout (little-endian), at 4,096: checksum, version 16, magic 24, UUID 56, label 72, block size in sectors 120, devices 123,
length of the fields in words 124, fields from 752 on (words, type; 1 members: UUID, buckets 16, bucket size in sectors 26).
Source: Linux kernel, ``fs/bcachefs/bcachefs_format.h``.
"""

from __future__ import annotations

from struct import unpack_from

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Signature
from fwcheck.extraction.formats._identified import Facts, Identified, described, words
from fwcheck.extraction.source import ByteSource

SUPERBLOCK = 4096
FIELDS = 752
MAGIC = bytes.fromhex("c68573f666ce90a9d96a60cf803df7ef")
MEMBERS, MEMBERS_2 = 1, 11


class Bcachefs(Identified):
    """The copy-on-write file system that grew out of bcache."""

    name = "bcachefs"
    title = "bcachefs (identified)"
    specification = "Linux kernel, fs/bcachefs/bcachefs_format.h"
    category = "file system"
    reads = "superblock: extent of the first member, version, label, UUID"
    signatures = (Signature(pattern=b"".join(b"\\x%02x" % byte for byte in MAGIC), width=16, offset=SUPERBLOCK + 24),)

    def facts(self, source: ByteSource, offset: int) -> Facts:
        raw = source.peek(offset + SUPERBLOCK, 65536)
        version = unpack_from("<H", raw, 16)[0]
        block, _, devices, length = unpack_from("<HBBI", raw, 120)
        if raw[24:40] != MAGIC or not block or not devices or FIELDS + length * 8 > len(raw):
            raise FormatError("no bcachefs superblock")
        size, problems = _member(raw, FIELDS + length * 8), []
        if not size:
            problems = ["the superblock does not say how large the volume is: all that follows was taken for it"]
        return Facts(
            size=size or source.size - offset, problems=problems,
            detail=described(version=f"{version >> 10}.{version & 1023}", block_size=block * 512, devices=devices,
                             uuid=raw[56:72].hex(), volume=words(raw[72:104])),
        )  # fmt: skip


def _member(raw: bytes, end: int) -> int:
    """The bytes of the first member device; 0 when no field tells."""
    at = FIELDS
    while at + 8 <= end:
        length, kind = unpack_from("<II", raw, at)
        begin = at + 8 + (8 if kind == MEMBERS_2 else 0)  # the second form puts the size of a member in front
        if kind in (MEMBERS, MEMBERS_2) and begin + 28 <= end:
            buckets, _, sectors = unpack_from("<QHH", raw, begin + 16)
            if buckets and sectors and buckets < 1 << 40:
                return int(buckets * sectors * 512)
        if not length:
            break
        at += length * 8
    return 0


FORMATS = (Bcachefs(),)
