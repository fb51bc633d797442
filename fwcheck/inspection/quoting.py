"""How bytes of an image are shown: on one printable line, secrets masked."""

from __future__ import annotations

QUOTE = 120  # characters of a match that are shown


def mask(value: str) -> str:
    """A secret made unreadable: at most a quarter of it, and four characters, stay; its length is not told."""
    return value[: min(4, len(value) // 4)] + "****"


def printable(raw: bytes) -> str:
    """Bytes as one printable line of at most 120 characters."""
    decoded = raw[: QUOTE * 2].decode("utf-8", "replace")
    return "".join(char if char.isprintable() else " " for char in decoded)[:QUOTE]
