"""Reader of flattened device trees, versions 16 and 17 (Devicetree Specification 0.4, chapter 5)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.source import ByteSource

MAGIC = b"\xd0\x0d\xfe\xed"
_BEGIN_NODE, _END_NODE, _PROPERTY, _NOP, _END = 1, 2, 3, 4, 9
_DEPTH_LIMIT = 64
_NODE_LIMIT = 100_000
_PROPERTY_LIMIT = 500_000
_STRINGS_LIMIT = 4 << 20
_NAME_LIMIT = 256


class DeviceTreeNode:
    """A node: ``children`` by name, and properties whose values stay in the source until they are asked for."""

    def __init__(self, source: ByteSource, path: str) -> None:
        self.path = path or "/"
        self.name = path.rpartition("/")[2]
        self.children: dict[str, DeviceTreeNode] = {}
        self.spans: dict[str, tuple[int, int]] = {}  # property name to offset in the source and length
        self._source = source

    def __contains__(self, name: str) -> bool:
        return name in self.spans

    def raw(self, name: str) -> bytes | None:
        """The value of a property; None when there is none."""
        span = self.spans.get(name)
        return None if span is None else self._source.read(*span)

    def texts(self, name: str) -> list[str]:
        """The value as a list of strings (``stringlist``); empty when there is none. What cannot be printed becomes ``?``."""
        raw = (self.raw(name) or b"").rstrip(b"\0")
        strings = raw.decode("utf-8", "replace").split("\0") if raw else []
        return ["".join(char if char.isprintable() else "?" for char in each) for each in strings]

    def text(self, name: str) -> str:
        """The value as one string, several joined by a comma and a blank; empty when there is none."""
        return ", ".join(self.texts(name))

    def number(self, name: str) -> int | None:
        """The value as one unsigned number of one or two cells; None when there is none or it is of another length."""
        raw = self.raw(name) if self.spans.get(name, (0, 0))[1] in {4, 8} else None
        return None if raw is None else int.from_bytes(raw, "big")

    def walk(self) -> Iterator[DeviceTreeNode]:
        """The node itself and all below it, parents first."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children.values()))


class DeviceTree:
    """A parsed tree.

    ``size`` is the announced total size in bytes, which may reach beyond the source; ``used`` is where its blocks end.
    """

    def __init__(self, source: ByteSource, offset: int) -> None:
        """Parses the tree at ``offset``; raises FormatError when it is none, or lies about where its blocks are."""
        header = source.read(offset, 40)
        magic, size, struct_at, strings_at, _, version, compatible, _, strings_size, struct_size = struct.unpack(">4s9I", header)
        if magic != MAGIC or version < 16 or not 2 <= compatible <= 17:
            raise FormatError("not a flattened device tree of version 16 or later")
        if version == 16:
            struct_size = (strings_at if strings_at > struct_at else size) - struct_at
        if struct_at % 4 or min(struct_at, strings_at) < 36 or max(struct_at + struct_size, strings_at + strings_size) > size:
            raise FormatError("a device tree block lies outside the tree")
        source.check(offset + struct_at, struct_size)
        self.size = size
        self.used = max(struct_at + struct_size, strings_at + strings_size)
        self.version = version
        self._source = source
        self._strings = source.read(offset + strings_at, min(strings_size, _STRINGS_LIMIT))
        self.root = self._parse(offset + struct_at, struct_size)

    def node(self, path: str) -> DeviceTreeNode | None:
        """The node with this absolute path; None when there is none."""
        node: DeviceTreeNode | None = self.root
        for name in path.strip("/").split("/"):
            if name and node is not None:
                node = node.children.get(name)
        return node

    def _parse(self, base: int, size: int) -> DeviceTreeNode:
        view = self._source.view(base, size)
        names: dict[int, str] = {}
        stack: list[DeviceTreeNode] = []
        root: DeviceTreeNode | None = None
        at = nodes = properties = 0
        while at + 4 <= size:
            token = int.from_bytes(view[at : at + 4], "big")
            at += 4
            if token == _BEGIN_NODE:
                name = _name(bytes(view[at : at + _NAME_LIMIT]))
                at += (len(name) + 4) & ~3
                nodes += 1
                if nodes > _NODE_LIMIT:
                    raise QuotaExceeded(f"a device tree of more than {_NODE_LIMIT} nodes")
                if len(stack) >= _DEPTH_LIMIT or (root is not None and not stack):
                    raise FormatError("too deep nodes or several roots in a device tree")
                text = name.decode("utf-8", "replace")
                parent = stack[-1] if stack else None
                node = DeviceTreeNode(self._source, f"{parent.path.rstrip('/')}/{text}" if parent else "")
                root = root or node
                if parent is not None:
                    parent.children.setdefault(text, node)
                stack.append(node)
            elif token == _END_NODE and stack:
                stack.pop()
            elif token == _PROPERTY and stack and at + 8 <= size:
                length, name_at = struct.unpack_from(">II", view, at)
                at += 8
                properties += 1
                if properties > _PROPERTY_LIMIT:
                    raise QuotaExceeded(f"a device tree of more than {_PROPERTY_LIMIT} properties")
                if length > size - at:
                    raise FormatError("a property reaches beyond its device tree")
                if name_at not in names:
                    names[name_at] = _name(self._strings[name_at : name_at + _NAME_LIMIT]).decode("utf-8", "replace")
                stack[-1].spans[names[name_at]] = (base + at, length)
                at += (length + 3) & ~3
            elif token == _END and root is not None and not stack:
                return root
            elif token != _NOP:
                break
        raise FormatError("device tree structure is broken")


def _name(raw: bytes) -> bytes:
    end = raw.find(0)
    if end < 0:
        raise FormatError("a name in a device tree has no end")
    return raw[:end]
