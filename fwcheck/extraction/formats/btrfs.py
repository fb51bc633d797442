"""Btrfs: the superblock alone.

Layout (little-endian), at 65,536: checksum, filesystem UUID 32, own address 48, magic 64, bytes 112, devices 136, sector
size 144, node size 148, checksum type 196, this device 201 (id, its bytes 209), label 299. Source: Linux kernel,
``fs/btrfs`` (``include/uapi/linux/btrfs_tree.h``).
"""

from __future__ import annotations

import hashlib
from struct import unpack_from

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Signature
from fwcheck.extraction.formats._erofs_layout import crc32c
from fwcheck.extraction.formats._identified import Facts, Identified, described, power_of_two, words
from fwcheck.extraction.source import ByteSource

SUPERBLOCK = 65536
LENGTH = 4096


class Btrfs(Identified):
    """The copy-on-write file system of Linux; NAS appliances use it."""

    name = "btrfs"
    title = "Btrfs (identified)"
    specification = "Linux kernel, include/uapi/linux/btrfs_tree.h"
    category = "file system"
    reads = "superblock: extent, label, UUID, devices, checksum (CRC32C, SHA-256, BLAKE2b)"
    signatures = (Signature(pattern=rb"\x00\x00\x01\x00\x00\x00\x00\x00.{8}_BHRfS_M", width=24, offset=SUPERBLOCK + 48),)

    def facts(self, source: ByteSource, offset: int) -> Facts:
        raw = source.peek(offset + SUPERBLOCK, LENGTH)
        if len(raw) < LENGTH or raw[64:72] != b"_BHRfS_M":
            raise FormatError("no Btrfs superblock")
        sector, node = unpack_from("<II", raw, 144)
        size = unpack_from("<Q", raw, 209)[0]
        if not power_of_two(sector, 512, 65536) or not power_of_two(node, 512, 65536) or size < SUPERBLOCK + LENGTH:
            raise FormatError("impossible values in a Btrfs superblock")
        return Facts(
            size=size, checksum=_checksum(raw),
            detail=described(uuid=raw[32:48].hex(), devices=unpack_from("<Q", raw, 136)[0], sector_size=sector, node_size=node,
                             volume=words(raw[299:555])),
        )  # fmt: skip


def _checksum(raw: bytes) -> str:
    kind, body = unpack_from("<H", raw, 196)[0], raw[32:]
    if kind == 0:
        right = (crc32c(body) ^ 0xFFFFFFFF).to_bytes(4, "little") == raw[:4]
    elif kind in (2, 3):
        right = (hashlib.sha256(body) if kind == 2 else hashlib.blake2b(body, digest_size=32)).digest() == raw[:32]
    else:
        return "xxHash (not verified)" if kind == 1 else ""
    return f"{('CRC32C', '', 'SHA-256', 'BLAKE2b')[kind]} {'right' if right else 'wrong'}"


FORMATS = (Btrfs(),)
