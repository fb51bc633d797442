"""What the boot scripts of one root file system see on disk: the image, what they wrote so far, and what nobody can know.

An answer is True, False, or None when the running device decides (memory file systems, mount points, missing partitions).
"""

from __future__ import annotations

import posixpath
import re
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from fwcheck.device._partitions import meant
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.device.shell.patterns import fits
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.model import Node, NodeKind

_VOLATILE = ("/tmp", "/var", "/run", "/proc", "/sys", "/dev", "/mnt", "/media", "/overlay", "/rom")  # noqa: S108 -- paths in the image
_ALWAYS = re.compile(
    r"/proc(/(mounts|cmdline|version|cpuinfo|meminfo|mtd|filesystems|self|modules|partitions|sys|net|uptime|stat|loadavg|interrupts"
    r"|devices|misc|swaps|1|kmsg|version|sys/kernel|sys/kernel/(printk|hostname|osrelease|random|hotplug|core_pattern|panic)"
    r"|sys/net|sys/net/ipv4|sys/net/ipv4/ip_forward|sys/vm|net/(dev|route|arp|tcp|udp|unix|wireless)?))?"
    r"|/sys|/sys/class|/sys/kernel|/dev|/dev/(null|zero|console|tty|urandom|random|ptmx)|/tmp|/var|/"
)
_LINK_LIMIT = 16
_GLOB_LIMIT = 2048
_LOOK_LIMIT = 20_000
_ASKED_LIMIT = 256
_PATH_LIMIT = 24  # components of a path that is looked for in other file systems


class Found(NamedTuple):
    """A file or directory, and the file system that holds it."""

    fs: FileSystem
    node: Node


class Disk:
    """The files a root file system offers its boot scripts."""

    def __init__(self, firmware: Firmware, root: FileSystem) -> None:
        self.firmware = firmware
        self.root = root
        self.written: dict[str, str] = {}  # path to text, unknown pieces included
        self._written_in: dict[str, set[str]] = {}  # directory to names
        self.asked: deque[str] = deque(maxlen=_ASKED_LIMIT)  # the last texts that were asked for, in order
        self.looked = 0  # names the last pattern was compared with: what it cost
        self.removed: set[str] = set()
        self.mounted: set[str] = set()
        self._elsewhere: dict[str, Found | None] = {}
        self.given: dict[str, str] = {}  # files of the running kernel whose text the image tells
        self.environment: Mapping[str, str] | None = None  # U-Boot's variables, where the image ships them
        self.stated: dict[str, bool] = {}  # what the init makes or does not make on every boot
        self.mounts: dict[str, FileSystem] = {}  # file systems of the image that are known to be mounted, by mount point

    def attach(self, path: str, fs: FileSystem) -> None:
        """Records that a file system of the image is mounted at ``path``."""
        self.mounts[path.rstrip("/") or "/"] = fs
        self._elsewhere.clear()

    def mount(self, device: str, directory: str, type: str = "") -> None:
        """Records a mount; where the image holds what is meant, its files stand there from now on."""
        path = self.real(self.normal(directory))
        self.mounted.add(path)
        fs = meant(self.firmware, self.root, device, path, type) if UNKNOWN not in device + path else None
        if fs is not None and fs not in self.mounts.values():
            self.attach(path, fs)

    def at(self, path: str) -> tuple[FileSystem, str]:
        """The file system that is mounted over a path, and the path inside it."""
        if self.mounts:
            top = path
            while top:
                if top in self.mounts:
                    return self.mounts[top], path[len(top) :] or "/"
                top = top.rpartition("/")[0]
        return self.root, path

    def normal(self, path: str, cwd: str = "/") -> str:
        """The absolute path without ``.``, ``..`` and doubled slashes."""
        text = posixpath.normpath(posixpath.join(cwd, path))
        return "/" + text.lstrip("/")

    def find(self, path: str) -> Found | None:
        """The node at an absolute path, in the root or where another file system of the image would be mounted."""
        if UNKNOWN in path:
            return None
        if self.mounts:
            path = self.real(path)
        fs, inside = self.at(path)
        node = fs.resolve(inside)
        if node is not None:
            return Found(fs, node)
        if path.count("/") > _PATH_LIMIT:
            return None
        if path not in self._elsewhere:
            found = self.firmware.elsewhere(self.root, path, None if fs is self.root else fs)
            self._elsewhere[path] = Found(*found) if found is not None else None
        return self._elsewhere[path]

    def real(self, path: str) -> str:
        """The path with links followed as far as they lead inside the image, dangling links included."""
        for _ in range(_LINK_LIMIT):
            parts = [part for part in path.split("/") if part]
            for cut in range(1, len(parts) + 1):
                step = "/" + "/".join(parts[:cut])
                if self.mounts:
                    fs, inside = self.at(step)
                    node = fs.nodes.get(inside)
                else:
                    node = self.root.nodes.get(step)
                if node is not None and node.kind is NodeKind.SYMLINK and node.target:
                    path = self.normal("/".join((node.target, *parts[cut:])), posixpath.dirname(step))
                    break
            else:
                return path
        return path

    def exists(self, path: str) -> bool | None:
        """Whether something stands at the path when the script asks."""
        if UNKNOWN in path:
            return None
        path = self.real(path)
        if path in self.written:
            return True
        if path in self.stated:
            return self.stated[path]
        if path in self.removed:
            return None
        if self.find(path) is not None or _ALWAYS.fullmatch(path):
            return True
        return None if self.undecided(path) else False

    def undecided(self, path: str) -> bool:
        """Whether a path that the image does not hold may exist on the running device all the same."""
        path = self.real(path)
        if any(path == top or path.startswith(top + "/") for top in _VOLATILE):
            return True
        parent = posixpath.dirname(path)
        while parent != "/":
            if parent in self.mounted or parent in self.written:
                return True
            node = self.root.resolve(parent)
            if node is not None:  # an empty directory is where something gets mounted
                return node.kind is not NodeKind.DIRECTORY or not self.root.children(parent)
            parent = posixpath.dirname(parent)
        return False

    def text(self, path: str) -> str | None:
        """The text of a file; :data:`UNKNOWN` when it may be there but cannot be read, None when there is none."""
        if UNKNOWN in path:
            return UNKNOWN
        path = self.real(path)
        self.asked.append(path)
        if path in self.written:
            return self.written[path]
        if path in self.given:
            return self.given[path]
        found = self.find(path)
        if found is not None and found.node.kind is NodeKind.FILE:
            if found.node.size == 0:
                return ""
            facts = found.fs.facts_of(found.node)
            return UNKNOWN if facts is None or facts.text is None else facts.text.replace(UNKNOWN, " ")
        return UNKNOWN if self.exists(path) is not False else None

    def write(self, path: str, text: str, *, append: bool = False, certain: bool = True) -> None:
        """Records what a script writes; a write that may not happen leaves the file unknown."""
        if UNKNOWN in path or path.startswith("/dev/"):
            return
        path = self.real(path)
        text = text if certain else UNKNOWN
        if append:
            text = (self.text(path) or "") + text
        self.written[path] = text if len(text) <= 1 << 16 else UNKNOWN
        self._written_in.setdefault(posixpath.dirname(path), set()).add(posixpath.basename(path))
        self.removed.discard(path)

    def remove(self, path: str) -> None:
        """Records that a script may have removed a file."""
        self.written.pop(path, None)
        self._written_in.get(posixpath.dirname(path), set()).discard(posixpath.basename(path))
        self.removed.add(path)

    def glob(self, pattern: str) -> list[str] | None:
        """The paths that match, sorted; None when only the running device fills the directory, or there are too many."""
        head, _, _ = pattern.partition("*")
        head = re.split(r"[?\[]", head)[0]
        top = posixpath.dirname(head) or "/"
        paths = [top]
        self.looked = 0
        for part in pattern[len(top) :].strip("/").split("/"):
            step = []
            for path in paths:
                if not re.search(r"[*?\[]", part):
                    candidate = posixpath.join(path, part)
                    step += [candidate] if self.exists(candidate) else []
                    continue
                found = self.children(path)
                self.looked += len(found or ()) + 1
                if found is None or self.looked > _LOOK_LIMIT:
                    return None
                step += [name for name in found if fits(posixpath.basename(name), part) and not _hidden(name, part)]
            paths = step[:_GLOB_LIMIT]
        return sorted(paths)

    def children(self, path: str) -> list[str] | None:
        """The paths of a directory's members under the name asked for; None when unknown."""
        fs, inside = self.at(self.real(path)) if self.mounts else (self.root, path)
        names = {posixpath.basename(node.path) for node in fs.children(inside)}
        if not names and fs is self.root and (found := self.find_directory(path)) is not None:
            names = {posixpath.basename(node.path) for node in found.children("/" if found.resolve(path) is None else path)}
        real = self.real(path)
        names |= self._written_in.get(real, set())
        if not names and self.undecided(posixpath.join(path, "x")):
            return None
        return [posixpath.join(path, name) for name in names]

    def find_directory(self, path: str) -> FileSystem | None:
        """Another file system that has this very directory (a partition unpacked with its mount point)."""
        for fs in self.firmware.filesystems:
            if fs is not self.root and not fs.is_root and fs.children(path):
                return fs
        return None


def _hidden(path: str, pattern: str) -> bool:
    return posixpath.basename(path).startswith(".") and not pattern.startswith(".")
