"""dm-verity hash trees without a superblock (Linux, Documentation/admin-guide/device-mapper/verity.rst): rebuilt and compared."""

from __future__ import annotations

import hashlib

from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import ByteSource

BLOCK = 4096
_LOOK = 4096  # blocks between two looks at the clock


def tree(data: ByteSource, salt: bytes, limits: Limits) -> tuple[bytes, bytes]:
    """Root hash and tree (highest level first) of ``data``, with SHA-256, blocks of 4 KiB and the salt in front of each."""
    leaves = bytearray()
    prefix = hashlib.sha256(salt)
    for number, chunk in enumerate(data.chunks(BLOCK * 256)):
        if number % (_LOOK // 256) == 0 and limits.meter is not None:
            limits.meter.check()
        leaves += _hashes(chunk, prefix)
    levels: list[bytes] = []
    level = bytes(leaves)
    while True:
        level += bytes(-len(level) % BLOCK)
        levels.insert(0, level)
        level = _hashes(memoryview(level), prefix)
        if len(level) <= hashlib.sha256().digest_size:
            return level, b"".join(levels)


def _hashes(chunk: memoryview, prefix: hashlib._Hash) -> bytes:
    out = []
    for at in range(0, len(chunk), BLOCK):
        state = prefix.copy()
        state.update(chunk[at : at + BLOCK])
        out.append(state.digest())
    return b"".join(out)
