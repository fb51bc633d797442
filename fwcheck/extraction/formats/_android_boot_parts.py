"""What Android's boot images share: sections in whole pages, the version word, and the signature of verified boot 1.0.

The version word: major, minor and patch level of the system in 7 bits each, then years since 2000 in 7 bits and the month in 4.
Verified boot 1.0 puts a DER sequence behind the image: format version, certificate, algorithm, authenticated attributes (target
and length), signature. Sources: ``bootimg.h`` of Android and "Signature format" of its Verified Boot 1.0 documentation.
"""

from __future__ import annotations

from struct import unpack

import msgspec

from fwcheck.extraction.format import Entry
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

PAGES = frozenset(1 << n for n in range(10, 18))
_ATTRIBUTES_LIMIT = 64


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


class Signature1(msgspec.Struct, frozen=True, kw_only=True):
    """A signature of verified boot 1.0: its bytes, and the partition it is made for."""

    size: int
    target: str


def signature_1(source: ByteSource, at: int) -> Signature1 | None:
    """The signature of verified boot 1.0 at ``at``; None when there is none."""
    head = source.peek(at, 7)
    if len(head) < 7 or head[:2] != b"\x30\x82" or head[4:6] != b"\x02\x01":
        return None
    size = 4 + unpack(">H", head[2:4])[0]
    raw = source.peek(at, size)
    found = raw.find(b"\x30", 7)
    if len(raw) < size or found != 7:  # the certificate follows the version
        return None
    return Signature1(size=size, target=_target(raw))


def _target(raw: bytes) -> str:
    """The printable string of the authenticated attributes: the first one that is the path of a partition."""
    at = raw.find(b"\x13")
    while 0 <= at < len(raw) - 2:
        text = raw[at + 2 : at + 2 + raw[at + 1]]
        if text.startswith(b"/") and len(text) <= _ATTRIBUTES_LIMIT and text.isascii():
            return text.decode()
        at = raw.find(b"\x13", at + 1)
    return ""
