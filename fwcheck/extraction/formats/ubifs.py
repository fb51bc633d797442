"""UBIFS: a log-structured file system over the logical erase blocks of a UBI volume.

Layout: Linux kernel, ``fs/ubifs/ubifs-media.h`` (see ``_ubifs_nodes.py``). The superblock is the first node of LEB 0, both copies
of the master node lie in LEBs 1 and 2, and the log follows; every file is found through the index tree that the master points at.
"""

from __future__ import annotations

import uuid

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._ubifs_content import NAMES
from fwcheck.extraction.formats._ubifs_index import Index
from fwcheck.extraction.formats._ubifs_nodes import SIGNATURE, SUPERBLOCK_SIZE, Flash, Super, superblock
from fwcheck.extraction.formats._ubifs_tree import Tree, kinds
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_FLAGS = {0x02: "big LPT", 0x04: "space fixup", 0x08: "double hash", 0x10: "encryption", 0x20: "authentication"}
_KEY_HASHES = {0: "r5", 1: "test"}
_VERSION = 5


def _integrity(index: Index, sb: Super) -> dict[str, str | int]:
    """What the file system protects itself with, and whether it is right."""
    broken = index.flash.broken
    checks = f"CRC32 of every node{f', {broken} wrong' if broken else ''}"
    if not sb.flags & 0x20:
        return {"integrity": "checksum", "integrity_detail": checks}
    tree = {True: "right", False: "wrong", None: "not checked"}[index.hashed]
    if index.hashed is False:
        note(index.problems, f"a {sb.hash} hash of the authenticated file system is wrong")
    words = f"{sb.hash or 'unknown hash'} tree over all nodes {tree}"
    signed = next((node for node in index.flash.scan(0, SUPERBLOCK_SIZE) if node.type == SIGNATURE), None)
    if signed is not None:
        return {"integrity": "signature", "integrity_detail": f"{words}; PKCS#7 signature of the superblock (not verified)"}
    return {"integrity": "hash", "integrity_detail": f"{words}; superblock and master sealed by an HMAC (key not in the image)"}


def _detail(index: Index, sb: Super) -> dict[str, str | int]:
    detail: dict[str, str | int] = {
        "version": sb.version,
        "leb_size": sb.leb_size,
        "LEBs": sb.lebs,
        "minimal I/O": sb.page,
        "compression": NAMES.get(sb.compression, str(sb.compression)),
        "key_hash": _KEY_HASHES.get(sb.key_hash, str(sb.key_hash)),
        "uuid": str(uuid.UUID(bytes=sb.uuid)),
        **kinds(index),
    }
    if flags := [name for bit, name in _FLAGS.items() if sb.flags & bit]:
        detail["flags"] = ", ".join(flags)
    if index.replayed:
        detail["journal_nodes"] = index.replayed
    return detail | _integrity(index, sb)


class Ubifs(Format):
    """The file system of raw flash behind UBI."""

    name = "ubifs"
    title = "UBIFS"
    specification = "Linux kernel, fs/ubifs/ubifs-media.h"
    category = "file system"
    reads = (
        "raw images and UBI volumes; index walk with journal replay, scan of all nodes when the index is broken; none, LZO, zlib,"
        " zstd; hard links, devices, attributes, truncations and holes; fscrypt (told as encrypted); CRC32 of every node and the"
        " hash tree of authenticated images checked"
    )
    not_read = "big-endian vendor variants; signatures and HMACs are told, not verified"
    signatures = (Signature(pattern=rb"\x31\x18\x10\x06.{12}\x00\x10\x00\x00\x06[\x00-\x02]\x00\x00", width=24),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        sb = superblock(source.peek(offset, SUPERBLOCK_SIZE))
        if sb is None:
            raise FormatError("no UBIFS superblock")
        flash = Flash(source, offset, sb.leb_size, sb.lebs)
        index = Index(flash, sb, limits)
        if sb.version > _VERSION:
            note(index.problems, f"format version {sb.version} is newer than what is read")
        detail = _detail(index, sb)
        flash.forget()
        return Container(
            format=self.name, size=flash.size, entries=Tree(index, limits).walk(), detail=detail, problems=index.problems
        )


FORMATS = (Ubifs(),)
