"""APFS: the container superblock alone.

Layout (little-endian): Fletcher-64 checksum, object id 8 (1), type 24, ``NXSB`` 32, block size 36, blocks 40, UUID 72.
Source: "Apple File System Reference" (2020).
"""

from __future__ import annotations

from struct import unpack, unpack_from

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Signature
from fwcheck.extraction.formats._identified import Facts, Identified, described, power_of_two
from fwcheck.extraction.source import ByteSource

MODULUS = 0xFFFFFFFF


def fletcher64(block: bytes) -> int:
    """Apple's sum over the 32-bit words of a block behind its first eight bytes."""
    low = high = 0
    for word in unpack(f"<{len(block) // 4 - 2}I", block[8:]):
        low = (low + word) % MODULUS
        high = (high + low) % MODULUS
    first = MODULUS - (low + high) % MODULUS
    return (MODULUS - (low + first) % MODULUS) << 32 | first


class Apfs(Identified):
    """The file system of Apple devices."""

    name = "apfs"
    title = "APFS (identified)"
    specification = "Apple File System Reference (2020)"
    category = "file system"
    reads = "container superblock at block 0: extent, UUID, Fletcher-64 checksum"
    signatures = (Signature(pattern=rb"[\x01]\x00\x00[\x80\x40\x00]\x00\x00\x00\x00NXSB", width=12, offset=24),)

    def facts(self, source: ByteSource, offset: int) -> Facts:
        head = source.peek(offset, 96)
        block, blocks = unpack_from("<IQ", head, 36)
        if head[32:36] != b"NXSB" or not power_of_two(block, 4096, 65536) or blocks < 2 or blocks >= 1 << 44:
            raise FormatError("no APFS container superblock")
        raw = source.read(offset, block)
        right = fletcher64(raw) == unpack_from("<Q", raw)[0]
        if not right and unpack_from("<Q", raw, 8)[0] != 1:
            raise FormatError("no APFS container superblock")
        return Facts(
            size=block * blocks, checksum=f"Fletcher-64 {'right' if right else 'wrong'}",
            detail=described(block_size=block, uuid=raw[72:88].hex()),
        )  # fmt: skip


FORMATS = (Apfs(),)
