r"""PFS/0.9, a read-only file system of VxWorks and ThreadX devices; the layout as binwalk and BANG read it.

Layout, little-endian: ``PFS/0.9``, zeros up to 14, number of files (16 bits). A node per file: name in a field that is
as long in all nodes, then inode, offset and size (32 bits each). Names use ``\`` between directories. The data follow
the nodes; offsets count from there.
"""

from __future__ import annotations

import struct
from itertools import pairwise

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, member_path, note
from fwcheck.extraction.source import ByteSource

_HEADER = 16
_NAMES = (16, 28, 40, 24, 32, 36, 44, 48, 52, 56, 60, 64, 128, 20, 12)  # lengths of the name field, the known ones first
_NUMBERS = 12

_Node = tuple[str, int, int]


class Pfs(Format):
    """PFS/0.9; the length of the name field is found by what makes all nodes plausible."""

    name = "pfs"
    title = "PFS/0.9 file system"
    specification = "binwalk unpfs, BANG pfs"
    category = "file system"
    reads = "all files, name fields of any length that fits every node"
    not_read = "other versions; it has no checksum"
    signatures = (Signature(pattern=rb"PFS/0\.9\x00", width=8),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        head = source.read(offset, _HEADER)
        count = int.from_bytes(head[14:16], "little")
        if head[:8] != b"PFS/0.9\0" or any(head[8:14]) or not 0 < count <= limits.nodes:
            raise FormatError("not a PFS header")
        for length in _NAMES:
            nodes = _nodes(source.peek(offset + _HEADER, (length + _NUMBERS) * count), length, count)
            if nodes is not None:
                return self._container(source, offset, length, nodes)
        raise FormatError("a PFS header whose nodes do not fit any length of names")

    def _container(self, source: ByteSource, offset: int, length: int, nodes: list[_Node]) -> Container:
        begin = offset + _HEADER + (length + _NUMBERS) * len(nodes)
        end = max(begin + at + size for _, at, size in nodes)
        problems: list[str] = []
        if end > source.size:
            problems.append(f"files up to {end - offset} bytes, {source.size - offset} there")
        entries = [_entry(source, begin, node, problems) for node in nodes]
        return Container(
            format=self.name,
            size=min(end, source.size) - offset,
            entries=entries,
            detail={"files": len(nodes), "name_field": length, "integrity": "none", "integrity_detail": "no check"},
            problems=problems,
        )


def _nodes(raw: bytes, length: int, count: int) -> list[_Node] | None:
    """The nodes with names of this length; None when one of them is not plausible."""
    if len(raw) < (length + _NUMBERS) * count:
        return None
    out = []
    for name, _, at, size in struct.iter_unpack(f"<{length}sIII", raw):
        text, _, rest = name.partition(b"\0")
        if not text or rest.strip(b"\0") or any(byte < 0x20 or byte == 0x7F for byte in text):
            return None
        out.append((decoded(text).replace("\\", "/"), at, size))
    spans = sorted((at, size) for _, at, size in out)
    overlaps = any(first + size > second for (first, size), (second, _) in pairwise(spans))
    return None if overlaps or spans[0][0] > 64 else out


def _entry(source: ByteSource, begin: int, node: _Node, problems: list[str]) -> Entry:
    name, at, size = node
    path, escapes = member_path(name)
    if escapes:
        note(problems, f"{name!r} leaves the root")
    place = begin + at
    if place + size > source.size:
        return Entry(path=path, size=size)
    return Entry(path=path, size=size, offset=place, locality=place, open=lambda: source.window(place, size))


FORMATS = (Pfs(),)
