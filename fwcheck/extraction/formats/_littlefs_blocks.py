"""Metadata blocks of littlefs: the commit log of version 2 and the entry list of version 1.

Both give the same thing: the members of a directory (or of a piece of one) and where the next piece is.
"""

from __future__ import annotations

from struct import unpack_from

import msgspec

from fwcheck.extraction.formats._checksums import crc32_plain

REGULAR, DIRECTORY, SUPERBLOCK = 0x01, 0x02, 0xFF
DIR_STRUCT, INLINE_STRUCT, CTZ_STRUCT = 0x200, 0x201, 0x202
NAME, STRUCT, ATTRIBUTE, SPLICE, CRC, TAIL, STATE = 0, 2, 3, 4, 5, 6, 7  # abstract types: the upper three bits of a type
CREATE, DELETE = 0x401, 0x4FF
MOVE_STATE = 0x7FF
DELETED = 0x3FF  # a length that takes the tag back
NO_FILE = 0x3FF

Pair = tuple[int, int]

_V1_TYPES = {0x11: (REGULAR, CTZ_STRUCT), 0x22: (DIRECTORY, DIR_STRUCT), 0x2E: (SUPERBLOCK, INLINE_STRUCT)}


class Member(msgspec.Struct, kw_only=True):
    """A file or directory. ``data`` is what the structure holds, ``at`` where that stands in the block."""

    type: int = 0
    name: bytes = b""
    struct: int = 0
    data: bytes = b""
    at: int = 0
    attributes: dict[int, bytes] = {}


class Block(msgspec.Struct, kw_only=True):
    """The newest valid state of a metadata block; ``hard``: the tail continues this directory."""

    revision: int
    members: list[Member]
    tail: Pair | None = None
    hard: bool = False
    state: bytes = b""  # this block's share of the global state
    commits: int = 1
    torn: bool = False  # bytes of a commit behind the last valid one


def read_v2(raw: bytes) -> Block | None:
    """Plays the log of a block; None when not even its first commit is valid."""
    out = Block(revision=unpack_from("<I", raw)[0], members=[], commits=0)
    at, begin, before = 4, 0, 0xFFFFFFFF
    pending: list[tuple[int, int]] = []  # tag, offset of its data
    while at + 4 <= len(raw):
        tag = unpack_from(">I", raw, at)[0] ^ before
        length = 0 if tag & 0x3FF == DELETED else tag & 0x3FF
        if tag & 0x80000000 or at + 4 + length > len(raw):
            break
        before = tag
        if tag >> 27 & 0xF == CRC << 1:  # chunks above 0x80 are checksums of what is to come
            if length < 4 or crc32_plain(raw[begin : at + 4]) != unpack_from("<I", raw, at + 4)[0]:
                out.torn = True
                break
            for each, data in pending:
                _apply(out, raw, each, data)
            pending, out.commits = [], out.commits + 1
            before ^= (tag >> 20 & 1) << 31
            begin = at + 4 + length
        else:
            pending.append((tag, at + 4))
        at += 4 + length
    return out if out.commits else None


def _apply(out: Block, raw: bytes, tag: int, at: int) -> None:
    kind, number, length = tag >> 20 & 0x7FF, tag >> 10 & 0x3FF, tag & 0x3FF
    data = b"" if length == DELETED else raw[at : at + length]
    group, members = kind >> 8, out.members
    if group == TAIL and length == 8:
        out.tail, out.hard = unpack_from("<2I", data), bool(kind & 1)
    elif kind == MOVE_STATE:
        out.state = data
    elif kind == CREATE:
        if len(members) < NO_FILE:
            _reach(members, number)
            members.insert(number, Member())
    elif kind == DELETE:
        del members[number : number + 1]
    elif group in (NAME, STRUCT, ATTRIBUTE) and number != NO_FILE:
        _reach(members, number + 1)  # a compacted log may name them in any order
        member = members[number]
        if group == NAME:
            member.type, member.name = kind & 0xFF, data
        elif group == STRUCT:
            member.struct, member.data, member.at = kind, data, at
        elif length == DELETED:
            member.attributes = {key: value for key, value in member.attributes.items() if key != kind & 0xFF}
        else:
            member.attributes = {**member.attributes, kind & 0xFF: data}


def _reach(members: list[Member], count: int) -> None:
    members.extend(Member() for _ in range(count - len(members)))


def read_v1(raw: bytes) -> Block | None:
    """The entries of a version 1 block; None when its checksum is wrong."""
    revision, size, *tail = unpack_from("<4I", raw)
    used = size & 0x7FFFFFFF
    if not 20 <= used <= len(raw) or crc32_plain(raw[: used - 4]) != unpack_from("<I", raw, used - 4)[0]:
        return None
    members: list[Member] = []
    at = 16
    while at + 4 <= used - 4:
        kind, body, attributes, name = raw[at : at + 4]
        end = at + 4 + body + attributes + name
        if end > used - 4:
            break
        type_, struct = _V1_TYPES.get(kind & 0x7F, (0, 0))
        members.append(Member(type=type_, name=raw[end - name : end], struct=struct, data=raw[at + 4 : at + 4 + body], at=at + 4))
        at = end
    return Block(revision=revision, members=members, tail=(tail[0], tail[1]), hard=bool(size >> 31))
