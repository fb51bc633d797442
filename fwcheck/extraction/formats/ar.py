r"""ar archives: the common header of System V, with the long names of GNU and of BSD.

Layout: ``!<arch>\n``, then for each member a header of 60 characters (name 16, date 12, user 6, group 6, octal mode 8, decimal
size 10, grave accent and line feed) and the content, filled to an even offset with a line feed. GNU keeps names longer than 15 in
the member ``//`` and refers to them as ``/OFFSET``; BSD writes ``#1/LENGTH`` and lays the name before the content (ar(5) of
FreeBSD; binutils, include/aout/ar.h). A symbol table is called ``/``, ``/SYM64/`` or ``__.SYMDEF``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, member_path, note
from fwcheck.extraction.source import ByteSource

MAGIC = b"!<arch>\n"
HEADER = 60
_THIN = b"!<thin>\n"
_LINE = re.compile(rb"([ -~\x80-\xff\x00]{16})([0-9 -]{12})([0-9 -]{6})([0-9 -]{6})([0-7 ]{8})([0-9 ]{10})`\n")
_LONG = re.compile(rb"/(\d{1,10})")
_BSD = re.compile(rb"#1/(\d{1,6})")
_TABLES = frozenset({"/", "//", "/SYM64/", "__.SYMDEF", "__.SYMDEF SORTED", "__.SYMDEF_64", "__.SYMDEF_64 SORTED"})
_NAME_LIMIT = 4096
_NAMES_LIMIT = 16 << 20


class Member(msgspec.Struct, kw_only=True):
    """One header, and where the content lies in the source; ``size`` is clamped to it."""

    name: str
    mtime: int
    uid: int
    gid: int
    mode: int
    data: int
    size: int


class Archive:
    """The members of the archive at ``offset``, and its exact ``size``."""

    def __init__(self, source: ByteSource, offset: int, limits: Limits) -> None:
        self.source = source
        self.problems: list[str] = []
        self.members: list[Member] = []
        self.variant = "common"
        head = source.peek(offset, 8)
        if head not in (MAGIC, _THIN):
            raise FormatError("not an ar archive")
        self.thin = head == _THIN
        self._names = b""
        self.size = self._read(offset + 8, limits.nodes) - offset

    def _read(self, at: int, limit: int) -> int:
        begin = at
        while line := _LINE.fullmatch(self.source.peek(at, HEADER)):
            if len(self.members) >= limit:
                note(self.problems, "too many members: the listing was cut short")
                return at
            one, stored = self._member(line, at + HEADER)
            end = at + HEADER + (stored if not self.thin or one.name in _TABLES else 0)
            if one.name == "//" and not self._names:
                self._names = self.source.peek(one.data, min(one.size, _NAMES_LIMIT))
            self.members.append(one)
            if end > self.source.size:
                note(self.problems, f"{one.name} claims {stored} bytes, the image ends before")
                return self.source.size
            at = end + ((end - begin) % 2 and self.source.peek(end, 1) == b"\n")
        if at == begin:
            raise FormatError("an ar magic without a member")
        return at

    def _member(self, line: re.Match[bytes], data: int) -> tuple[Member, int]:
        """A member, and the bytes that its header claims."""
        raw, mtime, uid, gid, mode, length = line.groups()
        stored = _number(length)
        size = min(stored, max(0, self.source.size - data))
        name = raw.rstrip(b" ")
        if (bsd := _BSD.fullmatch(name)) and int(bsd[1]) <= min(size, _NAME_LIMIT):
            self.variant = "BSD"
            width = int(bsd[1])
            name = self.source.peek(data, width).split(b"\0", 1)[0]
            data, size = data + width, size - width
        elif (long := _LONG.fullmatch(name)) and int(long[1]) < len(self._names):
            self.variant = "GNU"
            name = self._names[int(long[1]) : int(long[1]) + _NAME_LIMIT].split(b"\n", 1)[0].rstrip(b"/")
        elif name not in (b"/", b"//", b"/SYM64/"):
            name = name.removesuffix(b"/")
        one = Member(
            name=decoded(name), mtime=_number(mtime), uid=_number(uid), gid=_number(gid), mode=_number(mode, 8),
            data=data, size=size,
        )  # fmt: skip
        return one, stored

    def entries(self) -> Iterator[Entry]:
        """Every member that is a file; several of one name are usual in libraries and numbered."""
        seen: Counter[str] = Counter()
        for one in self.members:
            if one.name in _TABLES:
                continue
            path, escapes = member_path(one.name)
            if path == "/":
                note(self.problems, "a member without a name")
                continue
            seen[path] += 1
            if seen[path] > 1:
                path = f"{path}#{seen[path]}"
            entry = Entry(
                path=path, size=one.size, mode=one.mode & 0o7777, uid=one.uid, gid=one.gid, mtime=one.mtime, locality=one.data,
            )  # fmt: skip
            if escapes or one.name.startswith("/"):
                entry.detail = {"stored": one.name}
                note(self.problems, f"the name {one.name!r} leaves the archive: kept as {path}")
            if self.thin:
                entry.detail = {**entry.detail, "content": "outside the archive"}
            else:
                entry.offset, entry.open = one.data, partial(self.source.window, one.data, one.size)
            yield entry


def _number(field: bytes, base: int = 10) -> int:
    """A field that may be empty or, in its place, hold nothing that can be read."""
    try:
        return max(0, int(field.strip() or b"0", base))
    except ValueError:
        return 0


class Ar(Format):
    """ar archives: static libraries, and the wrapping of Debian packages."""

    name = "ar"
    title = "ar archive (System V, GNU, BSD)"
    specification = "ar(5); binutils, include/aout/ar.h"
    category = "archive"
    reads = "common, GNU and BSD long names; symbol tables passed over; thin archives listed"
    not_read = "AIX big archives"
    signatures = (Signature(pattern=rb"!<(?:arch|thin)>\n", width=8),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        archive = Archive(source, offset, limits)
        detail: dict[str, str | int] = {
            "variant": f"thin, {archive.variant}" if archive.thin else archive.variant,
            "members": sum(one.name not in _TABLES for one in archive.members),
        }
        return Container(format=self.name, size=archive.size, entries=archive.entries(), detail=detail, problems=archive.problems)


FORMATS = (Ar(),)
