"""Microsoft cabinets: files in folders, each folder one chain of data blocks.

Layout ([MS-CAB]), little-endian: ``MSCF``, size of the cabinet, offset of the first file, version 1.3, numbers of folders and
files, flags (1: continued from, 2: continued in another cabinet, 4: reserved fields), set and number; reserved sizes; names of
the neighbours; folders (offset of the first block, number of blocks, method), files (size, place in the folder, folder, date,
time, attributes, name).
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from functools import partial

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._cab_folders import NAMES, Folder, blocks
from fwcheck.extraction.formats._listed import dos_time, refused
from fwcheck.extraction.formats._parts import words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, member_path, note
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<4s4xI4xI4xBBHHHHH")
_FOLDER = struct.Struct("<IHH")
_FILE = struct.Struct("<IIHHHH")
_BEFORE, _BEHIND, _RESERVED = 1, 2, 4
_READ_ONLY, _EXECUTE = 0x01, 0x40
_NAME = 260
_OVERLAP = 2  # times the content of a folder that its files may add up to


class Cabinet(msgspec.Struct, kw_only=True):
    """The header, and where the folders begin."""

    size: int
    files: int
    folder_count: int
    file_count: int
    flags: int
    set: int
    number: int
    at: int
    reserved_folder: int = 0
    reserved_data: int = 0
    reserve: int = 0
    neighbours: list[str] = []


class Cab(Format):
    """Cabinets, alone or one of a set."""

    name = "cab"
    title = "Microsoft cabinet"
    specification = "[MS-CAB], [MS-MCI]"
    category = "archive"
    reads = "stored and MSZIP folders, block checksums; files of Quantum and LZX folders are listed"
    not_read = "content of Quantum and LZX folders; files continued from or in another cabinet"
    signatures = (Signature(pattern=rb"MSCF\x00{4}.{4}\x00{4}.{8}\x03\x01", width=26),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        head = _header(source, offset)
        problems: list[str] = []
        available = source.size - offset
        if head.size > available:
            note(problems, f"truncated: the cabinet has {head.size} bytes, {available} are there")
        folders = _folders(source, offset, head, limits, problems)
        methods = ", ".join(dict.fromkeys(NAMES.get(each.method, str(each.method)) for each in folders))
        detail: dict[str, str | int] = {
            "members": head.file_count, "folders": head.folder_count, "method": methods, "set": head.set, "number": head.number,
        }  # fmt: skip
        if head.reserve:
            detail["reserved"] = head.reserve
        if head.neighbours:
            detail["neighbours"] = ", ".join(head.neighbours)
        return Container(
            format=self.name, size=min(head.size, available), detail=detail, problems=problems,
            entries=_entries(source, offset, head, folders, problems),
        )  # fmt: skip


def _header(source: ByteSource, offset: int) -> Cabinet:
    magic, size, files, minor, major, folder_count, file_count, flags, set_id, number = _HEADER.unpack(source.read(offset, 36))
    if magic != b"MSCF" or (major, minor) != (1, 3) or not folder_count or flags & ~7:
        raise FormatError("no cabinet header")
    head = Cabinet(
        size=size, files=files, folder_count=folder_count, file_count=file_count, flags=flags, set=set_id, number=number,
        at=offset + 36,
    )  # fmt: skip
    if flags & _RESERVED:
        head.reserve, head.reserved_folder, head.reserved_data = struct.unpack("<HBB", source.read(head.at, 4))
        head.at += 4 + head.reserve
    for _ in range(2 * bool(flags & _BEFORE) + 2 * bool(flags & _BEHIND)):
        raw = source.peek(head.at, _NAME).split(b"\0", 1)
        if len(raw) < 2:
            raise FormatError("a cabinet whose neighbour has no name")
        head.neighbours.append(words(raw[0]))
        head.at += len(raw[0]) + 1
    end = head.at - offset + folder_count * (_FOLDER.size + head.reserved_folder)
    if not end <= files <= size or files + file_count * (_FILE.size + 2) > size:
        raise FormatError("a cabinet whose tables do not fit")
    return head


def _folders(source: ByteSource, offset: int, head: Cabinet, limits: Limits, problems: list[str]) -> list[Folder]:
    found: list[Folder] = []
    budget = limits.nodes
    for index in range(head.folder_count):
        raw = source.peek(head.at + index * (_FOLDER.size + head.reserved_folder), _FOLDER.size)
        if len(raw) < _FOLDER.size:
            break
        begin, count, method = _FOLDER.unpack(raw)
        some = blocks(source, offset + begin, min(count, budget), head.reserved_data)
        budget -= len(some)
        if len(some) < count:
            note(problems, f"folder {index} has {count} blocks, of which {len(some)} are there")
        found.append(Folder(source=source, method=method & 0xF, blocks=some, limits=limits))
    return found


def _entries(source: ByteSource, offset: int, head: Cabinet, folders: list[Folder], problems: list[str]) -> Iterator[Entry]:
    at = offset + head.files
    claimed, sizes = Counter[int](), [each.size for each in folders]
    for _ in range(head.file_count):
        raw = source.peek(at, _FILE.size + _NAME)
        name, mark, _ = raw[_FILE.size :].partition(b"\0")
        if not mark:
            note(problems, "the file list breaks off")
            return
        size, begin, index, date, time, attributes = _FILE.unpack_from(raw)
        at += _FILE.size + len(name) + 1
        stored = decoded(name).replace("\\", "/")
        path, escapes = member_path(stored)
        if path == "/":
            continue
        mode = 0o555 if attributes & _EXECUTE else 0o444
        entry = Entry(
            path=path, size=size, mode=mode if attributes & _READ_ONLY else mode | 0o200, mtime=dos_time(date << 16 | time)
        )
        if escapes or stored.startswith("/"):
            entry.detail = {"stored": stored}
            note(problems, f"the name {stored!r} leaves the archive: kept as {path}")
        claimed[index] += size
        if index < len(folders) and claimed[index] > _OVERLAP * max(sizes[index], 1):
            note(problems, f"the files of folder {index} overlap each other, as in a cabinet made to exhaust its reader")
            entry.open = refused("it overlaps other files of its folder")
        elif index < len(folders):
            entry.locality = folders[index].blocks[0].at if folders[index].blocks else 0
            entry.open = partial(folders[index].file, begin, size)
        else:
            entry.detail = {**entry.detail, "continued": "from or in another cabinet"}
        yield entry


FORMATS = (Cab(),)
