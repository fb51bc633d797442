"""The tree of a UBIFS: inodes and names as entries, extended attributes in detail, and what is encrypted called so.

Encryption: Linux ``Documentation/filesystems/fscrypt.rst`` (contexts of version 1 and 2, kept in the attribute ``c``).
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Iterator
from functools import partial
from struct import Struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Entry
from fwcheck.extraction.formats._ubifs_content import ciphertext, content
from fwcheck.extraction.formats._ubifs_index import Index
from fwcheck.extraction.formats._ubifs_nodes import INODE as NODE
from fwcheck.extraction.formats._xattrs import attribute
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.members import decoded, device_name, note
from fwcheck.model import NodeKind

ROOT = 1
ENCRYPTED = 0x40
CONTEXT = b"c"
SIZE_LIMIT = 1 << 41  # blocks have 29 bits
_KINDS = {0o040000: NodeKind.DIRECTORY, 0o100000: NodeKind.FILE, 0o120000: NodeKind.SYMLINK}
_INODE = Struct("<Q16xQ12xIIIIII")  # from 48
_MODES = {1: "AES-256-XTS", 4: "AES-256-CTS", 5: "AES-128-CBC", 6: "AES-128-CTS", 7: "SM4-XTS", 8: "SM4-CTS", 9: "Adiantum"}


class Inode(msgspec.Struct, frozen=True, kw_only=True):
    """An inode; ``data`` is a link's target, a device's number, or an attribute's value."""

    size: int
    mtime: int
    links: int
    uid: int
    gid: int
    mode: int
    flags: int
    data: bytes


class Tree:
    """What a mount would show."""

    def __init__(self, index: Index, limits: Limits) -> None:
        self._index = index
        self._limits = limits
        self._left = 4 * limits.nodes  # names

    def inode(self, number: int) -> Inode:
        """Raises FormatError when the inode is missing or broken."""
        place = self._index.inodes.get(number)
        if place is None:
            raise FormatError(f"inode {number} is missing")
        raw = self._index.flash.node(*place, NODE).raw
        size, mtime, links, uid, gid, mode, flags, length = _INODE.unpack_from(raw, 48)
        if int.from_bytes(raw[24:28], "little") != number or size > SIZE_LIMIT:
            raise FormatError(f"inode {number} is not where the index has it")
        return Inode(
            size=size, mtime=mtime if mtime < 1 << 63 else mtime - (1 << 64), links=links, uid=uid, gid=gid, mode=mode,
            flags=flags, data=bytes(raw[160 : 160 + length]),
        )  # fmt: skip

    def walk(self) -> Iterator[Entry]:
        """Every name, parents first; a directory reached twice and a name without inode are problems, not the end."""
        problems, pending, seen = self._index.problems, [("", ROOT, self._hidden(ROOT))], {ROOT}
        while pending:
            path, parent, hidden = pending.pop()
            for raw, (number, kind) in sorted(self._index.names.get(parent, {}).items()):
                name = _no_key(raw) if hidden else decoded(raw)
                if "/" in name or "\0" in name or name in ("", ".", ".."):
                    note(problems, f"{path or '/'}: an impossible name {name!r}")
                    continue
                self._left -= 1
                entry = self._entry(f"{path}/{name}", number, kind)
                if entry is None or self._left < 0:
                    continue
                if entry.kind is NodeKind.DIRECTORY:
                    if number in seen:
                        note(problems, f"{entry.path}: a second name of a directory")
                        continue
                    seen.add(number)
                    pending.append((entry.path, number, self._hidden(number)))
                yield entry
        lost = sum(parent not in seen and bool(names) for parent, names in self._index.names.items())
        if lost:
            note(problems, f"{lost} directories cannot be reached from the root")

    def _hidden(self, number: int) -> bool:
        """Whether the names in a directory are encrypted."""
        try:
            return bool(self.inode(number).flags & ENCRYPTED)
        except FormatError:
            return False

    def _entry(self, path: str, number: int, kind: int) -> Entry | None:
        try:
            inode = self.inode(number)
        except FormatError as error:
            note(self._index.problems, f"{path}: {error}")
            # The name alone tells a directory: what lies in it is still worth listing.
            return Entry(path=path, kind=NodeKind.DIRECTORY, mode=0o755) if kind == 1 else None
        leb, at = self._index.inodes[number]
        entry = Entry(
            path=path, kind=_KINDS.get(inode.mode & 0o170000, NodeKind.DEVICE), mode=inode.mode & 0o7777, uid=inode.uid,
            gid=inode.gid, mtime=inode.mtime, locality=self._index.flash.offset + leb * self._index.flash.leb_size + at,
            detail=self._attributes(number),
        )  # fmt: skip
        if entry.kind is NodeKind.FILE:
            self._file(entry, number, inode)
        elif entry.kind is NodeKind.SYMLINK:
            if inode.flags & ENCRYPTED:
                entry.detail["target"] = f"encrypted ({self._scheme(number, 1)})"
            else:
                entry.target = decoded(inode.data)
        elif entry.kind is NodeKind.DEVICE:
            value = int.from_bytes(inode.data[:8], "little")
            entry.device = device_name(inode.mode, (value & 0xFFF00) >> 8, (value & 0xFF) | (value >> 12 & 0xFFF00))
        elif inode.flags & ENCRYPTED:
            entry.detail["encryption"] = f"names: {self._scheme(number, 1)}"
        return entry

    def _file(self, entry: Entry, number: int, inode: Inode) -> None:
        entry.size = inode.size
        if inode.links > 1:
            entry.detail |= {"inode": number, "links": inode.links}
        first = min(self._index.data.get(number, {}).values(), default=None)
        if first is not None:
            entry.locality = self._index.flash.offset + first
        if inode.flags & ENCRYPTED and first is not None:
            entry.role = "encrypted"
            entry.detail["encryption"] = self._scheme(number, 0)
            entry.open = partial(ciphertext, self._index, number, inode.size)
        else:
            entry.open = partial(content, self._index, number, inode.size, self._limits)

    def _attributes(self, number: int) -> dict[str, str | int]:
        out: dict[str, str | int] = {}
        for name, holder in sorted(self._index.attributes.get(number, {}).items())[:16]:
            if name == CONTEXT:
                continue
            try:
                key, value = attribute(decoded(name), self.inode(holder).data)
            except FormatError as error:
                note(self._index.problems, f"attribute {decoded(name)} of inode {number}: {error}")
                continue
            out[key] = value
        return out

    def _scheme(self, number: int, which: int) -> str:
        """The cipher that an encryption context names: of contents (0) or of names (1)."""
        try:
            context = self.inode(self._index.attributes.get(number, {}).get(CONTEXT, 0)).data
        except FormatError:
            context = b""
        if len(context) < 12 or context[0] not in (1, 2):
            return "fscrypt"
        mode = _MODES.get(context[1 + which], f"mode {context[1 + which]}")
        key = context[4:12] if context[0] == 1 else context[8:24]
        return f"{mode}, fscrypt, key {key.hex()}"


def _no_key(raw: bytes) -> str:
    """An encrypted name in letters, as fscrypt shows it to those without the key."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def kinds(index: Index) -> Counter[str]:
    """How many names, inodes and data nodes there are."""
    return Counter(
        {
            "inodes": len(index.inodes),
            "names": sum(map(len, index.names.values())),
            "data_nodes": sum(map(len, index.data.values())),
        }
    )
