"""Firmware trees built in memory or from a directory, for tests of the device model and the analysers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fwcheck.device.firmware import Firmware
from fwcheck.inspection.inspect import inspect
from fwcheck.model import Coverage, Facts, Image, Node, NodeKind


class Link(str):
    """A symbolic link to this target."""

    __slots__ = ()


def facts_of(content: bytes) -> Facts:
    """Facts as inspection gives them."""
    return inspect(content)


def firmware_of(files: Mapping[str, bytes | str], modes: Mapping[str, int] | None = None, format: str = "squashfs") -> Firmware:
    """A firmware with one file system holding ``files`` (path to content, or to a Link); directories are made."""
    chain = ("test.bin", f"{format}@0x0")
    nodes = [Node(chain=chain, path="", kind=NodeKind.CONTAINER, format=format)]
    directories: set[str] = {"/"}
    facts: dict[str, Facts] = {}
    for path, content in sorted(files.items()):
        parts = path.split("/")[1:-1]
        directories.update("/" + "/".join(parts[: i + 1]) for i in range(len(parts)))
        if isinstance(content, Link):
            nodes.append(Node(chain=chain, path=path, kind=NodeKind.SYMLINK, target=str(content), mode=0o777))
            continue
        raw = content.encode() if isinstance(content, str) else content
        found = facts_of(raw)
        facts[found.sha256] = found
        default = 0o755 if raw[:2] == b"#!" or raw[:4] == b"\x7fELF" else 0o644
        mode = (modes or {}).get(path, default)
        nodes.append(Node(chain=chain, path=path, kind=NodeKind.FILE, size=len(raw), sha256=found.sha256, mode=mode))
    nodes += [Node(chain=chain, path=path, kind=NodeKind.DIRECTORY, mode=0o755) for path in sorted(directories)]
    image = Image(name="test.bin", size=1, sha256="0" * 64, format=format)
    return Firmware(image, nodes, facts, Coverage(bytes_total=1, bytes_explained=1, files=len(files)))


def firmware_of_directory(root: Path) -> Firmware:
    """The same from a directory on disk (an unpacked root file system)."""
    files: dict[str, bytes | str] = {}
    for path in sorted(root.rglob("*")):
        name = "/" + path.relative_to(root).as_posix()
        if path.is_symlink():
            files[name] = Link(path.readlink())
        elif path.is_file():
            files[name] = path.read_bytes()
    return firmware_of(files)
