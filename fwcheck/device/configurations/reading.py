"""The nouns of this package: how a daemon is started, and what its arguments and configuration say."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from fwcheck.device import configuration
from fwcheck.device._disk import Disk, Found
from fwcheck.device.configuration import Setting
from fwcheck.device.firmware import FileSystem
from fwcheck.model import Evidence

ANY = "0.0.0.0"  # noqa: S104 -- an address found in images, nothing is bound here
LOCAL = re.compile(r"(127\.\d+\.\d+\.\d+|localhost|ip6-localhost|\[?::1\]?)$")
Authentication = Literal["none", "password", "key", "certificate", "unknown"]
Encryption = Literal["none", "tls", "ssh", "optional", "unknown"]
_INCLUDE_LIMIT = 64


class Bound(NamedTuple):
    """A port with its address and, when a configuration file says so, where; ``interface``: only what comes in there."""

    port: int | None
    transport: str = "tcp"
    address: str = ANY
    setting: Setting | None = None
    tls: bool | None = None
    interface: str = ""


class Note(NamedTuple):
    """A setting worth knowing. ``topic`` is a fixed word that analysers ask for; without a setting the start line says it.

    ``sure`` is False where only a default of a version that is not known stands behind it.
    """

    topic: str
    setting: Setting | None = None
    detail: str = ""
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of one start of a daemon. ``closed``: it says itself that it opens no port."""

    bounds: tuple[Bound, ...] = ()
    closed: bool = False
    authentication: Authentication = "unknown"
    encryption: Encryption = "unknown"
    user: str = ""
    notes: tuple[Note, ...] = ()
    decided_by: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a daemon: the root file system it runs in, its name and its words without the name."""

    disk: Disk
    name: str
    words: tuple[str, ...]
    manner: str = ""
    found: Found | None = None
    evidence: tuple[Evidence, ...] = field(default=(), compare=False)
    opened: tuple[Bound, ...] = ()  # what somebody else listens on for it: inetd, a socket unit

    @property
    def root(self) -> FileSystem:
        """The root file system."""
        return self.disk.root

    def option(self, *names: str) -> list[str]:
        """The values of an option in all its spellings: ``-p 80``, ``-p80``, ``--port 80``, ``--port=80``."""
        return option(self.words, *names)

    def flag(self, letter: str) -> bool:
        """Whether a single-letter switch is given, alone or bundled (``-rw``)."""
        return any(re.fullmatch(rf"-[A-Za-z0-9]*{letter}[A-Za-z0-9]*", word) for word in self.words)

    def has(self, *words: str) -> bool:
        """Whether one of these words is given as it stands."""
        return any(word in self.words for word in words)

    def first(self, *paths: str) -> str:
        """The first of several paths that the disk holds, else the first one."""
        return next((path for path in paths if self.disk.exists(path)), paths[0])

    def keywords(self, path: str) -> list[Setting]:
        """``keyword value`` lines."""
        return configuration.keywords(self.disk, path)

    def assignments(self, path: str) -> list[Setting]:
        """``key = value`` lines."""
        return configuration.assignments(self.disk, path)

    def uci(self, package: str) -> list[Setting]:
        """The options of an OpenWrt configuration."""
        return configuration.uci(self.disk, package)

    def files(self, pattern: str) -> list[str]:
        """The regular files that match an include pattern, at most 64."""
        if not re.search(r"[*?\[]", pattern):
            return [pattern] if self.disk.exists(pattern) else []
        return (self.disk.glob(pattern) or [])[:_INCLUDE_LIMIT]

    def version(self, component: str) -> str:
        """The version that the program's own banner gives, "" when it has none or several."""
        facts = self.found.fs.facts_of(self.found.node) if self.found is not None else None
        versions = {hit.version for hit in facts.banners if hit.component == component} if facts is not None else set()
        return versions.pop() if len(versions) == 1 else ""

    def shown(self, setting: Setting | None) -> Evidence | None:
        """A setting as evidence; what a boot script wrote is shown at the line that starts the daemon."""
        if setting is None or not setting.path:
            return self.evidence[0] if self.evidence else None
        found = self.disk.find(setting.path) if setting.path not in self.disk.written else None
        if found is not None:
            path = setting.path if found.fs is self.disk.root else found.node.path
            return found.fs.evidence(path, setting.text, line=setting.line)
        if self.evidence:
            where = self.evidence[0].location
            return Evidence(location=where, text=f"{setting.path}: {setting.text}"[:240])
        return None


class Includes:
    """How many files one configuration may still include: files that include each other end."""

    def __init__(self) -> None:
        self._left = _INCLUDE_LIMIT

    def follow(self, names: list[str]) -> Iterator[str]:
        """The names, as long as files are left and the nesting is not too deep."""
        for name in names:
            if self._left <= 0:
                return
            self._left -= 1
            yield name


def option(words: tuple[str, ...] | list[str], *names: str) -> list[str]:
    """The values of an option in all its spellings."""
    values = []
    for at, word in enumerate(words):
        for name in names:
            if word == name and at + 1 < len(words):
                values.append(words[at + 1])
            elif word.startswith(name) and len(word) > len(name) and (not name.startswith("--") or word[len(name)] == "="):
                values.append(word[len(name) :].lstrip("="))
    return values


def number(text: str) -> int | None:
    """A port number, None when it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65536 else None


def split_address(text: str) -> tuple[str, int | None]:
    """``address:port``, ``[v6]:port``, ``*:port``, ``port``."""
    host, _, port = text.strip().rpartition(":")
    host = host.strip("[]")
    return (ANY if host in ("", "*", ANY, "::") else host), number(port)


def host_of(text: str) -> str:
    """An address as a configuration names it, with every spelling of "any" made one."""
    host = text.strip().strip("[]")
    return ANY if host in ("", "*", ANY, "::", "any", "all") else host


def is_local(host: str) -> bool:
    """Whether an address is the loopback interface's."""
    return LOCAL.match(host) is not None


def on(value: str) -> bool:
    """A switch in one of its usual spellings."""
    return value.strip().lower() in ("1", "yes", "true", "on", "enable", "enabled")


def off(value: str) -> bool:
    """A switch that is off, in one of its usual spellings."""
    return value.strip().lower() in ("0", "no", "false", "off", "disable", "disabled")


def last(settings: list[Setting], *keys: str) -> Setting | None:
    """The last setting of a key: where a file gives it twice, the later line wins in most daemons."""
    return next((each for each in reversed(settings) if each.key in keys), None)


def first(settings: list[Setting], *keys: str) -> Setting | None:
    """The first setting of a key (OpenSSH keeps the first)."""
    return next((each for each in settings if each.key in keys), None)


def include(directory: str, pattern: str) -> str:
    """The pattern of an include line as an absolute path."""
    return posixpath.normpath(posixpath.join(directory, pattern))
