"""What Android's boot images share: sections in whole pages, and the version word.

The version word: major, minor and patch level of the system in 7 bits each, then years since 2000 in 7 bits and the month in 4.
Source: ``bootimg.h`` of Android.
"""

from __future__ import annotations

import msgspec

from fwcheck.extraction.format import Entry
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

PAGES = frozenset(1 << n for n in range(10, 18))


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of an image: where it lies in the source, and its bytes that are there."""

    name: str
    at: int
    size: int
    there: int


class Sections:
    """Lays sections out one behind the other, each from a page of its own on."""

    def __init__(self, source: ByteSource, offset: int, page: int, header: int) -> None:
        self._source = source
        self._offset = offset
        self._page = page
        self.next = page * -(-header // page)  # relative to the image
        self.every: list[Section] = []
        self.problems: list[str] = []

    def add(self, name: str, size: int) -> None:
        """The next section; nothing when it is empty. One that is cut off is told."""
        if not size:
            return
        at = self._offset + self.next
        there = max(0, min(size, self._source.size - at))
        if there < size:
            note(self.problems, f"{name} of {size} bytes, {there} there")
        self.every.append(Section(name=name, at=at, size=size, there=there))
        self.next += self._page * -(-size // self._page)

    @property
    def size(self) -> int:
        """Bytes from the begin of the image to the end of the last page that is there."""
        return min(self.next, self._source.size - self._offset)

    @property
    def complete(self) -> bool:
        return all(each.there == each.size for each in self.every)

    def entries(self) -> list[Entry]:
        return [part(self._source, each.name, each.at, each.there) for each in self.every if each.there]


def version(word: int) -> dict[str, str | int]:
    """The system's version and patch level, where they are given."""
    out: dict[str, str | int] = {}
    if word >> 11:
        out["os_version"] = f"{word >> 25}.{word >> 18 & 127}.{word >> 11 & 127}"
    if word & 2047:
        out["os_patch_level"] = f"{2000 + (word >> 4 & 127)}-{word & 15:02}"
    return out
