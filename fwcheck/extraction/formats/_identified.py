"""File systems that are told and measured, but whose files are not read: their bytes stay searchable as one content."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from struct import error as struct_error

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind

HEAD = 512  # bytes in front of the searchable content: without them it does not announce the same file system again


class Facts(msgspec.Struct, kw_only=True):
    """What a superblock says: ``size`` in bytes, 0 when it says none; ``checksum`` in words, empty when there is none."""

    size: int
    detail: dict[str, str | int] = {}
    problems: list[str] = []
    checksum: str = ""


class Identified(Format):
    """A file system known by its superblock."""

    not_read = "its files: only the header is read; the rest is searched for strings and patterns as one content"

    @abstractmethod
    def facts(self, source: ByteSource, offset: int) -> Facts:
        """Validates the superblock of a file system at ``offset``; raises FormatError."""

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        try:
            facts = self.facts(source, offset)
        except struct_error:
            raise FormatError("a superblock that is cut off") from None
        problems = [*facts.problems]
        size = min(facts.size, source.size - offset)
        if size <= HEAD:
            raise FormatError("a file system smaller than its header")
        if size < facts.size:
            note(problems, f"the file system claims {facts.size} bytes, {size} are there")
        note(problems, f"{self.name}: the files of this file system are not read")
        detail = {**facts.detail, "integrity": "checksum" if facts.checksum else "none"}
        if facts.checksum:
            detail["integrity_detail"] = f"{facts.checksum}; of the superblock alone"
            if facts.checksum.endswith("wrong"):
                note(problems, facts.checksum)
        entries = [
            Entry(path="header", kind=NodeKind.REGION, role="meta", offset=offset, size=HEAD, locality=offset),
            Entry(
                path="content", kind=NodeKind.REGION, offset=offset + HEAD, size=size - HEAD, locality=offset + HEAD,
                open=partial(source.window, offset + HEAD, size - HEAD),
            ),
        ]  # fmt: skip
        return Container(format=self.name, size=size, entries=entries, detail=detail, problems=problems)


def words(raw: bytes, encoding: str = "utf-8") -> str:
    """A label up to its end, printable."""
    text = decoded(raw.split(b"\0")[0]) if encoding == "utf-8" else raw.decode(encoding, "replace").split("\0")[0]
    return "".join(char if char.isprintable() else "?" for char in text).strip()


def described(**values: str | int) -> dict[str, str | int]:
    """Details without those that are empty."""
    return {key: value for key, value in values.items() if value != ""}


def power_of_two(value: int, low: int, high: int) -> bool:
    """Whether a size is a power of two between two bounds."""
    return low <= value <= high and not value & (value - 1)
