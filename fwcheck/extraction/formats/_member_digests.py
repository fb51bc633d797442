"""Digests that a container keeps of its members: recomputed over ranges, and told in words."""

from __future__ import annotations

import hashlib

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import ByteSource

_CHECK = 64 << 20  # bytes between two looks at the clock
KNOWN = frozenset({"md5", "sha1", "sha224", "sha256", "sha384", "sha512"})


def digest(algorithm: str, source: ByteSource, limits: Limits) -> bytes:
    """The digest of all of ``source``; raises FormatError for an algorithm that is not known, and Spent."""
    if algorithm not in KNOWN:
        raise FormatError(f"no digest is called {algorithm!r}")
    state = hashlib.new(algorithm, usedforsecurity=False)
    seen = 0
    for chunk in source.chunks():
        state.update(chunk)
        seen += len(chunk)
        if seen >= _CHECK and limits.meter is not None:
            limits.meter.check()
            seen = 0
    return state.digest()


def verdict(right: bool | None) -> str:
    """``right``, ``wrong``, or that nothing can be told."""
    return "cannot be checked" if right is None else "right" if right else "wrong"
