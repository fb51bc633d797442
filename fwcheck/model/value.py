"""The base of all nouns."""

from __future__ import annotations

import msgspec


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all nouns: immutable, comparable, picklable, JSON-serialisable."""
