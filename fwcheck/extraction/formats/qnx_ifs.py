"""QNX image file system (IFS) and the startup image in front of it (sys/image.h and sys/startup.h of QNX; mkifs).

Startup: 0x00ff7eeb, version 1, flags (bit 0 virtual addresses, bit 1 big-endian, bits 2-4 compression: 0 none, 1 zlib,
2 LZO, 3 UCL), a byte, header size, machine (16 bits each), five addresses and sizes, at 32 size of the startup code
with its header, at 36 stored size of everything, at 44 size of the image file system. Packed with LZO the image follows
as blocks with a big-endian 16-bit length each, 0 ends.

Image: ``imagefs``, flags (bit 0 big-endian), image size, size of header and directory, offset of the directory, inodes,
at 88 mount point. Directory entry: size, offset of extended attributes (16 bits each), inode, mode, group, user, time
(32 bits each), then by type: offset, size and path of a file; path of a directory; offset and length of the target in
what follows, path and target of a link; device and its number, path. A size of 0 ends. All 32-bit words of an image sum
up to zero.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import partial

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import code, part, words
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.members import decoded, device_name, member_path, note
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind

_STARTUP_MAGIC = 0x00FF7EEB
_STARTUP = struct.Struct("HBBHH10IH")  # behind the magic, up to the size of the preboot
_COMPRESSIONS = ("none", "zlib", "LZO", "UCL")
_MACHINES = {3: "x86", 8: "MIPS", 20: "PowerPC", 40: "ARM", 42: "SuperH", 62: "x86-64", 183: "ARM64"}
_IMAGE = struct.Struct("7sBIII4III40xI")
_ATTRIBUTE = struct.Struct("HHIIIII")
_BIG_ENDIAN = 1
_DIRECTORY_LIMIT = 16 << 20
_LINK_LIMIT = 4096
_SUM_LIMIT = 64 << 20
_DIRECTORY, _FILE, _LINK = 0o040000, 0o100000, 0o120000
_BLOCK = 64 << 10


class QnxStartup(Format):
    """Startup image: its code, and the image file system, unpacked when it is packed."""

    name = "qnx-startup"
    title = "QNX startup image"
    specification = "QNX sys/startup.h"
    category = "firmware"
    reads = "both byte orders, image file systems that are stored, zlib or LZO"
    not_read = "images packed with UCL; the preboot code in front"
    signatures = (Signature(pattern=rb"(?:\xeb\x7e\xff\x00\x01\x00|\x00\xff\x7e\xeb\x00\x01)", width=6),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        order = "<" if source.peek(offset, 1) == b"\xeb" else ">"
        if int.from_bytes(source.read(offset, 4), "little" if order == "<" else "big") != _STARTUP_MAGIC:
            raise FormatError("not a QNX startup header")
        layout = struct.Struct(order + _STARTUP.format)
        fields = layout.unpack(source.read(offset + 4, layout.size))
        version, flags, _, header, machine = fields[:5]
        startup, stored, _, image = fields[10:14]
        packing = flags >> 2 & 7
        if version != 1 or not layout.size <= header <= startup < stored or packing >= len(_COMPRESSIONS) or not image:
            raise FormatError("implausible QNX startup header")
        size = min(stored, source.size - offset)
        if size <= startup:
            raise FormatError("a QNX startup image that is cut off in its code")
        problems = [f"{stored} bytes announced, {size} there"] if size < stored else []
        at, length = offset + startup, size - startup
        entries = [code(source, "startup", offset, startup)]
        if packing == 0:
            entries.append(part(source, "image", at, length))
        elif packing == 3:
            note(problems, "an image file system packed with UCL, which is not read")
            entries.append(code(source, "packed-image", at, length))
        else:
            opener = partial(_unpacked, source, at, length, packing, limits)
            entries.append(Entry(path="image", size=image, role="part", locality=at, open=opener))
        detail: dict[str, str | int] = {
            "machine": _MACHINES.get(machine, str(machine)),
            "byte_order": "little" if order == "<" else "big",
            "compression": _COMPRESSIONS[packing],
            "image_size": image,
            "integrity": "checksum",
            "integrity_detail": "sum of words, told by the image itself",
        }
        return Container(format=self.name, size=size, entries=entries, detail=detail, problems=problems)


def _unpacked(source: ByteSource, at: int, length: int, packing: int, limits: Limits) -> ByteSource:
    pieces = _inflated(source, at, length) if packing == 1 else _lzo(source, at, at + length)
    return spool(bounded(pieces, length, limits))


def _inflated(source: ByteSource, at: int, length: int) -> Iterator[bytes]:
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
    data: bytes | memoryview = source.view(at, length)
    try:
        while data and not decoder.eof:
            yield decoder.decompress(data, 1 << 20)
            data = decoder.unconsumed_tail
    except zlib.error as error:
        raise FormatError(f"a QNX image: {error}") from error


def _lzo(source: ByteSource, at: int, end: int) -> Iterator[bytes]:
    from lzallright import LZOCompressor, LZOError  # noqa: PLC0415  # most images have no LZO

    lzo = LZOCompressor()
    try:
        while at + 2 <= end and (length := int.from_bytes(source.read(at, 2), "big")):
            yield bytes(lzo.decompress(source.read(at + 2, min(length, end - at - 2)), output_size_hint=_BLOCK))
            at += 2 + length
    except LZOError as error:
        raise FormatError(f"LZO data of a QNX image are corrupt: {error}") from error


class QnxIfs(Format):
    """Image file system: files, directories, links and devices with mode, owner and time."""

    name = "qnx-ifs"
    title = "QNX image file system (IFS)"
    specification = "QNX sys/image.h"
    category = "file system"
    reads = "both byte orders, files, directories, links, devices with mode, owner and time; sum of words recomputed"
    not_read = "extended attributes; signatures of QNX 7.1 images"
    signatures = (Signature(pattern=rb"imagefs[\x00-\x1f][\x00-\xff]{4}(?:[\x00-\xff]{3}\x00|\x00[\x00-\xff]{3})", width=16),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        flags = source.read(offset, 8)[7]
        order = ">" if flags & _BIG_ENDIAN else "<"
        layout = struct.Struct(order + _IMAGE.format)
        magic, _, announced, header, directory, *_ = layout.unpack(source.read(offset, layout.size))
        if magic != b"imagefs" or not layout.size <= directory < header <= min(announced, _DIRECTORY_LIMIT):
            raise FormatError("not a QNX image file system")
        size = min(announced, source.size - offset)
        table = source.peek(offset + directory, min(header - directory, max(size - directory, 0)))
        if len(table) < _ATTRIBUTE.size:
            raise FormatError("a QNX image file system without directory")
        problems = [f"{announced} bytes announced, {size} there"] if size < announced else []
        mount = words(source.peek(offset + layout.size, min(directory - layout.size, 256))) or "/"
        checked = _checked(source, offset, size, order) if size == announced else "sum of words cannot be checked"
        if checked.endswith("wrong"):
            problems.append("wrong sum of words")
        return Container(
            format=self.name,
            size=size,
            entries=_entries(source, offset, size, table, order, mount, limits, problems),
            detail={
                "mount_point": mount,
                "byte_order": "big" if order == ">" else "little",
                "integrity": "checksum",
                "integrity_detail": checked,
            },
            problems=problems,
        )


def _checked(source: ByteSource, offset: int, size: int, order: str) -> str:
    if size % 4 or size > _SUM_LIMIT:
        return "sum of words cannot be checked"
    total = 0
    for chunk in source.window(offset, size).chunks():
        total += sum(struct.unpack(f"{order}{len(chunk) // 4}I", chunk))
    return f"sum of words {'right' if total & 0xFFFFFFFF == 0 else 'wrong'}"


def _entries(
    source: ByteSource,
    offset: int,
    size: int,
    table: bytes,
    order: str,
    mount: str,
    limits: Limits,
    problems: list[str],
) -> Iterator[Entry]:
    layout, at = struct.Struct(order + _ATTRIBUTE.format), 0
    for _ in range(limits.nodes):
        if at + layout.size > len(table):
            return
        length, _, _, mode, group, user, time = layout.unpack_from(table, at)
        if not length:
            return
        if length < layout.size or at + length > len(table):
            note(problems, f"an entry of {length} bytes in the directory: the others stay unread")
            return
        body = table[at + layout.size : at + length]
        at += length
        entry = _entry(source, offset, size, mode, body, order, mount, problems)
        if entry is not None:
            entry.mode, entry.uid, entry.gid, entry.mtime = mode & 0o7777, user, group, time
            yield entry


def _entry(
    source: ByteSource, offset: int, size: int, mode: int, body: bytes, order: str, mount: str, problems: list[str]
) -> Entry | None:
    """One directory entry by its type; None when it says nothing that can be used."""
    kind, small, large = mode & 0o170000, struct.Struct(order + "HH"), struct.Struct(order + "II")
    skip = 0 if kind == _DIRECTORY else small.size if kind == _LINK else large.size
    if len(body) <= skip:
        note(problems, "an entry of the directory that is too short for its type")
        return None
    raw = body[skip:]
    name = decoded(raw.split(b"\0", 1)[0])
    path, escapes = member_path(f"{mount}/{name}")
    if escapes:
        note(problems, f"{name!r} leaves the root")
    if kind == _DIRECTORY:
        return Entry(path=path, kind=NodeKind.DIRECTORY)
    if kind == _LINK:
        at, length = small.unpack_from(body)
        target = decoded(raw[at : at + min(length, _LINK_LIMIT)].split(b"\0", 1)[0])
        return Entry(path=path, kind=NodeKind.SYMLINK, target=target)
    first, second = large.unpack_from(body)
    if kind == _FILE:
        if first + second > size:
            note(problems, f"{path}: its content lies outside the image")
            return Entry(path=path, size=second)
        place = offset + first
        return Entry(path=path, size=second, offset=place, locality=place, open=lambda: source.window(place, second))
    device = device_name(mode, second >> 10, second & 0x3FF)
    return Entry(path=path, kind=NodeKind.DEVICE, device=device) if device else None


FORMATS = (QnxStartup(), QnxIfs())
