"""What containers of ciphertext share: an entry that names its scheme, and where a ciphertext ends that says it nowhere."""

from __future__ import annotations

from typing import Final

import msgspec

from fwcheck.extraction.format import Entry
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.source import ByteSource

_FILLING: Final = 64  # equal bytes at the end that no ciphertext gives: what a flash partition is filled up with
_STEP: Final = 1 << 16


def encrypted(source: ByteSource, name: str, offset: int, size: int, scheme: str) -> Entry:
    """A ciphertext that its container tells, under ``scheme`` in the field's words."""
    return msgspec.structs.replace(part(source, name, offset, size, {"encryption": scheme}), role="encrypted")


def ciphertext(source: ByteSource, offset: int, block: int = 16) -> int:
    """How many bytes from ``offset`` to the end of the source are no filling; with filling behind it, in whole blocks."""
    last, at = source.peek(source.size - 1, 1), source.size
    while at > offset:
        begin = max(offset, at - _STEP)
        kept = source.read(begin, at - begin).rstrip(last)
        at = begin + len(kept)
        if kept:
            break
    if source.size - at < _FILLING:
        return max(0, source.size - offset)
    size = at - offset
    return size + -size % block
