"""tar archives: v7, ustar, GNU and PAX, with long names and sparse files.

Layout: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format"; GNU tar manual, "Basic Tar Format" and
"Storing Sparse Files". The header checksum is what tells a header from other bytes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import partial

import msgspec

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, device_name, member_path, note
from fwcheck.extraction.source import ByteSource, Joined
from fwcheck.model import NodeKind

BLOCK = 512
EXTENDED_LIMIT = 1 << 20  # bytes of one long name or PAX header
SPARSE_LIMIT = 100_000  # pieces of one sparse file
FILES = frozenset(b"\x007S0")
DEVICES = {ord("3"): 0o020000, ord("4"): 0o060000, ord("6"): 0o010000}

_SYSUPGRADE = re.compile(r"/sysupgrade-([^/]{1,100})/(?:CONTROL|kernel|root)$")  # OpenWrt scripts/sysupgrade-tar.sh

Opener = Callable[[], ByteSource]


class Header(msgspec.Struct, kw_only=True):
    """One header block with what long-name and PAX blocks before it say; ``raw`` is the block itself."""

    raw: bytes
    at: int
    type: int
    name: str
    link: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    pax: dict[str, bytes]


def number(field: bytes) -> int:
    """An octal field, or a base-256 one (GNU); raises FormatError."""
    if field[0] in (0x80, 0xFF):
        value = int.from_bytes(field[1:], "big") - (field[0] == 0xFF) * (1 << 8 * (len(field) - 1))
        if not -(1 << 63) <= value < 1 << 63:
            raise FormatError("a number of more than 63 bits")
        return value
    digits = field.split(b"\0", 1)[0].strip()
    try:
        return int(digits or b"0", 8)
    except ValueError:
        raise FormatError(f"{bytes(field)!r} is no octal number") from None


def checked(raw: bytes) -> bool:
    """Whether the checksum of a header block holds, summed with or without sign as old programs differ."""
    if len(raw) < BLOCK:
        return False
    try:
        stored = number(raw[148:156])
    except FormatError:
        return False
    blank = raw[:148] + b" " * 8 + raw[156:]
    unsigned = sum(blank)
    return stored == unsigned or stored == unsigned - 256 * sum(byte > 127 for byte in blank)


def _records(data: bytes) -> dict[str, bytes]:
    """The ``length key=value`` records of a PAX header; sparse maps repeat their keys, so those are gathered."""
    found: dict[str, bytes] = {}
    at = 0
    while at < len(data):
        head, _, _ = data[at : at + 24].partition(b" ")
        if not head.isdigit() or not len(head) + 2 < (length := int(head)) <= len(data) - at:
            break
        key, _, value = data[at + len(head) + 1 : at + length - 1].partition(b"=")
        name = decoded(key)
        if name in ("GNU.sparse.offset", "GNU.sparse.numbytes"):
            name, value = "GNU.sparse.map", found.get("GNU.sparse.map", b"") + b"," + value
        found[name] = value.lstrip(b",") if name == "GNU.sparse.map" else value
        at += length
    return found


class Archive:
    """The members from ``offset`` to the two blocks of zeros."""

    def __init__(self, source: ByteSource, offset: int, limits: Limits) -> None:
        self.source = source
        self.limits = limits
        self.problems: list[str] = []
        self.entries: list[Entry] = []
        self.variant = "v7"
        self._openers: dict[str, tuple[int, int | None, Opener]] = {}
        self._global: dict[str, bytes] = {}
        self.end = self._read(offset)
        paths = Counter(entry.path for entry in self.entries if entry.kind is not NodeKind.DIRECTORY)
        for path, count in paths.items():
            if count > 1:
                note(self.problems, f"{path} occurs {count} times: the last one is what unpacking leaves")

    def _read(self, at: int) -> int:
        """Reads all members; the offset behind the archive. Raises FormatError when not even the first header holds."""
        begin, extra, local = at, dict[str, str](), dict[str, bytes]()
        while True:
            raw = self.source.peek(at, BLOCK)
            if not any(raw):
                return self._finish(at, begin, raw)
            try:
                one = self._header(raw, at, extra, {**self._global, **local})
            except FormatError as error:
                if at == begin:
                    raise
                note(self.problems, f"the archive has no end mark: {error}")
                return at
            data = at + BLOCK
            end = data + -(-one.size // BLOCK) * BLOCK
            if data + one.size > self.source.size:
                note(self.problems, f"{one.name} claims {one.size} bytes, the image ends before")
            if one.type in b"LKxgX":
                self._extend(one, data, extra, local)
            else:
                self._member(one, data)
                extra.clear()
                local.clear()
            if end > self.source.size:
                return self.source.size
            if len(self.entries) > self.limits.nodes:
                note(self.problems, "too many members: the listing was cut short")
                return end
            at = end
            if one.type == ord("S"):
                at = self._skip_maps(one, at)

    def _finish(self, at: int, begin: int, raw: bytes) -> int:
        if at == begin:
            raise FormatError("no tar header")
        if len(raw) < BLOCK:
            note(self.problems, "the archive has no end mark: the image ends before")
            return at
        second = self.source.peek(at + BLOCK, BLOCK)
        return at + 2 * BLOCK if len(second) == BLOCK and not any(second) else at + BLOCK

    def _header(self, raw: bytes, at: int, extra: dict[str, str], pax: dict[str, bytes]) -> Header:
        if not checked(raw):
            raise FormatError(f"the checksum of the header at 0x{at:x} is wrong")
        name = raw[:100].split(b"\0", 1)[0]
        magic = raw[257:265]
        if magic[:6] == b"ustar\0" and (prefix := raw[345:500].split(b"\0", 1)[0]):
            name = prefix + b"/" + name
        if magic[:5] == b"ustar" and self.variant == "v7":
            self.variant = "gnu" if magic[5:6] == b" " else "ustar"
        size = number(raw[124:136])
        if "size" in pax and raw[156] not in b"LKxgX":
            size = _decimal(pax["size"])
        if size < 0 or not name:
            raise FormatError("a tar header without a name or with a negative size")
        return Header(
            raw=raw, at=at, type=raw[156], name=extra.get("L") or decoded(pax.get("GNU.sparse.name", pax.get("path", name))),
            link=extra.get("K") or decoded(pax.get("linkpath", raw[157:257].split(b"\0", 1)[0])),
            mode=_lenient(raw[100:108]), uid=_decimal(pax["uid"]) if "uid" in pax else _lenient(raw[108:116]),
            gid=_decimal(pax["gid"]) if "gid" in pax else _lenient(raw[116:124]), size=size,
            mtime=_decimal(pax["mtime"]) if "mtime" in pax else _lenient(raw[136:148]), pax=pax,
        )  # fmt: skip

    def _extend(self, one: Header, data: int, extra: dict[str, str], local: dict[str, bytes]) -> None:
        """A header that only says something about the next one."""
        if one.size > EXTENDED_LIMIT:
            note(self.problems, f"an extended header of {one.size} bytes was passed over")
            return
        content = self.source.peek(data, one.size)
        if one.type in b"LK":
            extra[chr(one.type)] = decoded(content.split(b"\0", 1)[0])
        elif one.type in b"xX":
            self.variant = "pax"
            local.update(_records(content))
        else:
            self.variant = "pax"
            self._global.update(_records(content))

    def _member(self, one: Header, data: int) -> None:
        if one.type in b"VMD" and self._special(one):
            return
        path, escapes = member_path(one.name)
        if path == "/":
            return
        entry = Entry(path=path, mode=one.mode & 0o7777, uid=one.uid, gid=one.gid, mtime=one.mtime)
        if escapes or one.name.startswith("/"):
            entry.detail = {"stored": one.name}
            note(self.problems, f"the name {one.name!r} leaves the archive: kept as {path}")
        if one.type == ord("5") or one.type == ord("D") or (one.type in FILES and one.name.endswith("/")):
            entry.kind = NodeKind.DIRECTORY
        elif one.type == ord("2"):
            entry.kind, entry.target = NodeKind.SYMLINK, one.link
        elif one.type in DEVICES:
            entry.kind = NodeKind.DEVICE
            entry.device = device_name(DEVICES[one.type], _lenient(one.raw[329:337]), _lenient(one.raw[337:345]))
        elif one.type == ord("1"):
            self._hard_link(entry, one)
        else:
            self._file(entry, one, data)
        self.entries.append(entry)

    def _special(self, one: Header) -> bool:
        """Volume labels say nothing about a file; the second half of a file from another volume cannot be read."""
        if one.type == ord("M"):
            note(self.problems, f"{one.name} is continued from another volume")
        return one.type != ord("D")

    def _hard_link(self, entry: Entry, one: Header) -> None:
        target = member_path(one.link)[0]
        entry.detail = {**entry.detail, "link": target}
        if target in self._openers:
            entry.size, entry.offset, entry.open = self._openers[target]
            entry.locality = entry.offset or one.at
            self._openers[entry.path] = self._openers[target]
        else:
            note(self.problems, f"{entry.path} is a hard link to {target}, which the archive does not have before it")
            entry.open = partial(_missing, target)

    def _file(self, entry: Entry, one: Header, data: int) -> None:
        entry.locality = data
        if one.type not in FILES:
            entry.detail = {**entry.detail, "type": repr(chr(one.type))}
        sparse = one.type == ord("S") or "GNU.sparse.map" in one.pax or one.pax.get("GNU.sparse.major") == b"1"
        if sparse:
            real = one.pax.get("GNU.sparse.realsize", one.pax.get("GNU.sparse.size"))
            entry.size = _decimal(real) if real is not None else _lenient(one.raw[483:495])
            entry.open = partial(self._sparse, one, data, entry.size)
        else:
            entry.size, entry.offset = one.size, data if one.size else None
            entry.open = partial(self.source.window, data, one.size)
        self._openers[entry.path] = (entry.size, entry.offset, entry.open)

    def _skip_maps(self, one: Header, at: int) -> int:
        """GNU's old sparse format lays further blocks of its map between the header and the content."""
        return at + BLOCK * self._maps(one)

    def _maps(self, one: Header) -> int:
        count, more = 0, one.raw[482:483]
        while more not in (b"\0", b"") and count < SPARSE_LIMIT // 21:
            more = self.source.peek(one.at + BLOCK * (count + 1) + 504, 1)
            count += 1
        return count

    def _sparse(self, one: Header, data: int, size: int) -> ByteSource:
        """A sparse file as windows and holes; raises FormatError for a map that contradicts itself."""
        if one.type == ord("S"):
            count = self._maps(one)
            fields = one.raw[386:482] + b"".join(self.source.read(data + n * BLOCK, 504) for n in range(count))
            numbers = [number(fields[at : at + 12]) for at in range(0, len(fields), 12) if any(fields[at : at + 12])]
            data += count * BLOCK
        elif "GNU.sparse.map" in one.pax:
            numbers = [_decimal(value) for value in one.pax["GNU.sparse.map"].split(b",")[: 2 * SPARSE_LIMIT]]
        else:
            numbers, length = self._map(data)
            data += length
        if size - sum(numbers[1::2]) > self.limits.bytes_stream:
            raise QuotaExceeded(f"a sparse file of {size} bytes")
        pieces: list[ByteSource | int] = []
        at = 0
        for begin, length in zip(numbers[::2], numbers[1::2], strict=False):
            if begin < at or length < 0 or begin + length > size:
                raise FormatError("the map of a sparse file contradicts itself")
            pieces += [begin - at, self.source.window(data, length)]
            data, at = data + length, begin + length
        return Joined([*pieces, size - at])

    def _map(self, data: int) -> tuple[list[int], int]:
        """The map of PAX sparse format 1.0: decimal lines before the content, filled up to whole blocks."""
        raw = self.source.peek(data, 1 << 20)
        count = _decimal(raw.split(b"\n", 1)[0])
        if not 0 <= count <= SPARSE_LIMIT:
            raise FormatError(f"a sparse file of {count} pieces")
        lines = raw.split(b"\n", 2 * count + 1)[: 2 * count + 1]
        length = sum(len(line) + 1 for line in lines)
        return [_decimal(line) for line in lines[1:]], -(-length // BLOCK) * BLOCK


def _missing(target: str) -> ByteSource:
    raise FormatError(f"a hard link to {target}, which the archive does not have")


def _lenient(field: bytes) -> int:
    """A number whose absence or damage does not make a header unreadable."""
    try:
        return number(field)
    except FormatError:
        return 0


def _decimal(value: bytes) -> int:
    """A decimal number of at most eighteen digits, its fraction cut off; raises FormatError."""
    whole = value.split(b".", 1)[0].strip()
    if not re.fullmatch(rb"-?\d{1,18}", whole):
        raise FormatError(f"{value[:40]!r} is no decimal number")
    return int(whole)


class Tar(Format):
    """tar archives. Those without the word ``ustar`` count at the beginning of a source only."""

    name = "tar"
    title = "tar (v7, ustar, GNU, PAX)"
    specification = "POSIX.1-2017, pax; GNU tar manual, appendix D"
    category = "archive"
    reads = (
        "v7, ustar, GNU, PAX; long names, base-256 numbers, sparse files (GNU, PAX 0.0 to 1.0), links, devices; header checksums"
    )
    not_read = "members continued from another volume"
    signatures = (
        Signature(pattern=rb"ustar[\x00 ]", width=6, offset=257),
        Signature(pattern=rb"[ 0-7]{6}[\x00 ]{2}", width=8, offset=148, anywhere=False),
    )

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        if source.size - offset < BLOCK:
            raise FormatError("no tar header")
        archive = Archive(source, offset, limits)
        detail: dict[str, str | int] = {"variant": archive.variant, "members": len(archive.entries)}
        boards = (_SYSUPGRADE.match(entry.path) for entry in archive.entries[:16])
        if board := next((found[1] for found in boards if found), None):
            detail["sysupgrade_board"] = "".join(char if char.isprintable() else "?" for char in board)
        return Container(
            format=self.name, size=archive.end - offset, entries=archive.entries, detail=detail, problems=archive.problems
        )


FORMATS = (Tar(),)
