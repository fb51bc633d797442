"""The superblock of dm-verity and the hash tree behind it.

512 bytes, little-endian: ``verity`` and two zeros, version (4), hash type (4), UUID (16), algorithm (32), block size of data and
of hashes (4 + 4), data blocks (8), size of the salt (2), unused (6), salt (256). The tree begins at the next hash block. The root
of the tree stands elsewhere (a signed command line): here it is computed. Source: ``lib/verity/verity.c`` of cryptsetup for the
fields' order, and the kernel's ``admin-guide/device-mapper/verity``.
"""

from __future__ import annotations

from struct import Struct
from uuid import UUID

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._parts import words as text
from fwcheck.extraction.formats._verity_tree import ALGORITHMS, Tree, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_HEADER = Struct("<8sII16s32sIIQH6x256s")
_SIZE = 512


class DmVerity(Format):
    """Superblock and tree; the data is found by its own format."""

    name = "dm-verity"
    title = "dm-verity hash tree"
    specification = "Linux kernel documentation, admin-guide/device-mapper/verity"
    category = "encryption"
    reads = (
        "superblock version 1, hash types 0 and 1; the root is computed, 2,048 blocks of the tree and of data in the same image"
        " are recomputed"
    )
    not_read = "trees without a superblock; forward error correction; the root that is trusted stands outside"
    signatures = (
        Signature(pattern=rb"verity\x00\x00\x01\x00\x00\x00[\x00\x01]\x00\x00\x00.{16}(?:sha|bla)", width=35),
    )  # fmt: skip
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, _SIZE)
        if len(raw) < _SIZE:
            raise FormatError("no verity superblock")
        magic, version, kind, uuid, algorithm, data_block, hash_block, blocks, salt_size, salt = _HEADER.unpack_from(raw)
        name = text(algorithm).lower()
        sizes = all(512 <= each <= 1 << 19 and each & each - 1 == 0 for each in (data_block, hash_block))
        if magic != b"verity\0\0" or version != 1 or kind > 1 or not sizes or not 0 < blocks < 1 << 48 or salt_size > 256:
            raise FormatError("implausible verity superblock")
        problems: list[str] = []
        detail: dict[str, str | int] = {
            "uuid": str(UUID(bytes=uuid)), "hash_type": kind, "algorithm": name, "data_block_size": data_block,
            "hash_block_size": hash_block, "data_blocks": blocks, "salt": salt[:salt_size].hex(),
            "integrity": "hash", "integrity_detail": "hash tree not checked",
        }  # fmt: skip
        if name not in ALGORITHMS:
            return Container(format=self.name, size=_SIZE, detail=detail, problems=[f"a hash tree of {name}"])
        tree = Tree(
            algorithm=name, salt=salt[:salt_size], data_block=data_block, hash_block=hash_block, blocks=blocks,
            at=offset + -(-_SIZE // hash_block) * hash_block, version=kind,
        )  # fmt: skip
        claimed = tree.at - offset + tree.size
        size = min(claimed, source.size - offset)
        if size < claimed:
            note(problems, f"the hash tree ends {claimed} bytes behind its superblock, {size} are there")
        elif tree.levels():
            detail["root_hash"] = tree.root(source).hex()
            said, right = words(tree, source, _data(source, offset, tree))
            detail["integrity_detail"] = f"{said}, root computed"
            if not right:
                note(problems, said)
        return Container(format=self.name, size=size, detail=detail, problems=problems)


def _data(source: ByteSource, offset: int, tree: Tree) -> int | None:
    """Where the data lies: in front of the superblock, or from the begin of the source on; None when at neither place."""
    length = tree.blocks * tree.data_block
    for at in (offset - length, 0):
        if at >= 0 and at + length <= offset and not all(tree.differing(source, at, 1)):
            return at
    return None


FORMATS = (DmVerity(),)
