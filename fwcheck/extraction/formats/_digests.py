"""Hashes over ranges of a source, and what firmware formats say of one: right, wrong, or not to be checked."""

from __future__ import annotations

import hashlib

from fwcheck.extraction.source import ByteSource


def digest(source: ByteSource, offset: int, size: int, name: str = "sha256") -> bytes:
    """Hash of a range by the name that :mod:`hashlib` has for it; raises FormatError when it lies outside the source."""
    state = hashlib.new(name)
    for chunk in source.window(offset, size).chunks():
        state.update(chunk)
    return state.digest()


def verdict(right: bool, what: str, problems: list[str]) -> str:
    """``what`` with right or wrong behind it; a wrong one is noted among the problems."""
    if not right:
        problems.append(f"wrong {what}")
    return f"{what} {'right' if right else 'wrong'}"
