"""Extended attributes of EROFS inodes: capabilities, SELinux contexts and the rest.

Behind an inode stand, when it has any: name filter (4), count of shared attributes (1), unused (7), their numbers (4 each:
units of 4 bytes from the block of shared attributes on), then attributes of its own. Each is: length of the name (1), index of
its prefix (1), size of the value (2), name, value, filled up to 4 bytes. Source: ``fs/erofs/erofs_fs.h`` of Linux.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from struct import unpack_from

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats._erofs_layout import Inode, Superblock
from fwcheck.extraction.formats._xattrs import attribute
from fwcheck.extraction.members import decoded
from fwcheck.extraction.source import ByteSource

_PREFIXES = {1: "user.", 2: "system.posix_acl_access", 3: "system.posix_acl_default", 4: "trusted.", 6: "security."}
_SHOWN = 16
_READ = 256  # bytes of a value that are read: more is not shown


def attributes(source: ByteSource, head: Superblock, inode: Inode) -> dict[str, str | int]:
    """The attributes of an inode as rows of detail; raises FormatError."""
    if inode.behind == inode.body:
        return {}
    rows = islice(_every(source, head, inode), _SHOWN)
    return dict(attribute(f"{_PREFIXES[index]}{decoded(name)}", value) for index, name, value in rows if index in _PREFIXES)


def _every(source: ByteSource, head: Superblock, inode: Inode) -> Iterator[tuple[int, bytes, bytes]]:
    raw = source.view(inode.body, inode.behind - inode.body)
    shared = raw[4]
    at = 12 + 4 * shared
    if at > len(raw):
        raise FormatError("more shared attributes than there is room for")
    for number in unpack_from(f"<{shared}I", raw, 12):
        place = head.attributes + number * 4
        _, index, name, value = _one(source.window(place, max(source.size - place, 0)), 0)
        yield index, name, value
    own = source.window(inode.body, len(raw))
    while at + 4 <= len(raw) and raw[at : at + 4] != bytes(4):
        size, index, name, value = _one(own, at)
        yield index, name, value
        at += size + 3 & ~3


def _one(source: ByteSource, at: int) -> tuple[int, int, bytes, bytes]:
    """Bytes of an attribute, index of its prefix, name and the first bytes of its value; raises FormatError outside."""
    length, index, size = unpack_from("<BBH", source.view(at, 4))
    name = source.read(at + 4, length)
    source.check(at + 4 + length, size)
    return 4 + length + size, index, name, source.read(at + 4 + length, min(size, _READ))
