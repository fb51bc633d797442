"""Where a statement stands, and the bytes it rests on."""

from __future__ import annotations

from fwcheck.model.value import Value


class Location(Value, frozen=True, kw_only=True):
    """Where a fact stands: container chain, path, and byte offset or line (1-based)."""

    chain: tuple[str, ...] = ()
    path: str = ""
    offset: int | None = None
    line: int | None = None


class Evidence(Value, frozen=True, kw_only=True):
    """The bytes a statement rests on, masked where they are secret."""

    location: Location
    text: str = ""
