"""Which private keys of the image a service is told to use: by its arguments, its configuration, its code, or its own defaults.

A key counts only where the file that is named really holds one, so any setting may name it: the lines that hold the file's name
are looked at, in every configuration that was read for the service. Comments do not count. Sources of the defaults: dropbear(8),
sshd_config(5), vsftpd.conf(5), cupsd.conf(5), stunnel(8) and unbound.conf(5).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from fwcheck.device._disk import Disk, Found
from fwcheck.device.configurations.reading import Start
from fwcheck.device.firmware import Firmware
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.model import Evidence, KeyFile, NodeKind

# What a program reads where no line says otherwise; the option that says otherwise.
_DROPBEAR = tuple(f"/etc/dropbear/dropbear_{kind}_host_key" for kind in ("rsa", "dss", "ecdsa", "ed25519"))
_SSHD = tuple(f"/etc/ssh/ssh_host_{kind}_key" for kind in ("rsa", "dsa", "ecdsa", "ed25519"))
_DEFAULTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "dropbear": (_DROPBEAR, ("-r", "-d")),
    "sshd": (_SSHD, ("-h",)),
    "vsftpd": (("/etc/ssl/private/vsftpd.pem", "/usr/share/ssl/certs/vsftpd.pem"), ()),
    "cupsd": (("/etc/cups/ssl/server.key",), ()),
    "unbound": (("/etc/unbound/unbound_server.key",), ()),
}
_CONFIGURATIONS = {
    "stunnel": ("/etc/stunnel/stunnel.conf", "/etc/stunnel.conf", "/usr/local/etc/stunnel/stunnel.conf"),
    "stunnel4": ("/etc/stunnel/stunnel.conf", "/etc/stunnel.conf"),
}
_COMMENT = re.compile(r"\s*(?:#|;|//|--|<!--)")
_DECIDES = {"sshd": re.compile(r"(?im)^[ \t]*HostKey\s"), "vsftpd": re.compile(r"(?m)^rsa_(?:cert|private_key)_file=")}
_WITHOUT = {"vsftpd": re.compile(r"(?im)^ssl_enable=yes")}  # the key is read only where this stands
_WIDTH = 2000
_MOST_LINES = 20_000
_MOST = 16  # keys of one service
_MOST_NAMES = 256
_MOST_TEXT_NAMES = 32
_MOST_CALLS = 4000
_GOES_ON = re.compile(r"[\w-]|\.\w")
_NAME_END = re.compile(r"(?<![\w./@+~-])[\w./@+~-]+\Z")
_PATH_WIDTH = 200
_MOST_PLACES = 16  # of a name in a line
_MOST_TRIED = 400  # lines of a text that hold a name


class _Holders:
    """The files of an image that hold private keys, and the names by which a line may refer to them."""

    def __init__(self, firmware: Firmware) -> None:
        self.places = {
            (fs.label, node.path)
            for fs in firmware.filesystems
            for node, facts in fs.files()
            if any(key.private for key in facts.keys)
        }
        names = {posixpath.basename(path) for _, path in self.places}
        if names:
            for fs in firmware.filesystems:
                for path, node in fs.nodes.items():
                    if (
                        node.kind is NodeKind.SYMLINK
                        and (to := fs.resolve(path)) is not None
                        and (fs.label, to.path) in self.places
                    ):
                        names.add(posixpath.basename(path))
        self.names = sorted(names)[:_MOST_NAMES]

    def at(self, disk: Disk, path: str) -> Found | None:
        """The file with a key at a path of this disk."""
        found = disk.find(disk.normal(path)) if path else None
        return found if found is not None and (found.fs.label, found.node.path) in self.places else None


@lru_cache(maxsize=1)
def _holders(firmware: Firmware) -> _Holders:
    return _Holders(firmware)


def key_files(start: Start, read: Iterable[str]) -> tuple[KeyFile, ...]:
    """The private keys that one start of a program uses. ``read``: the configuration files that were read for it."""
    holders = _holders(start.disk.firmware)
    if not holders.names:
        return ()
    found: dict[tuple[str, str], KeyFile] = {}
    texts = [*dict.fromkeys([*read, *_more(start)])]
    for held, where in (
        *_in_arguments(start, holders),
        *(each for path in texts for each in _in_text(start, holders, path)),
        *_in_code(start, holders),
        *_by_default(start, holders, texts),
    ):
        found.setdefault((held.fs.label, held.node.path), KeyFile(path=held.node.path, root=held.fs.label, evidence=where))
        if len(found) >= _MOST:
            break
    return tuple(found.values())


def _more(start: Start) -> Iterator[str]:
    """Texts that arguments name, and the usual ones of programs that no reader knows."""
    for word in start.words[:64]:
        path = word.partition("=")[2] or word
        if path.startswith("/"):
            yield path
    yield from (path for path in _CONFIGURATIONS.get(start.name, ()))


def _in_arguments(start: Start, holders: _Holders) -> Iterator[tuple[Found, Evidence]]:
    tops = [*start.option("--cd"), f"/etc/{start.name}", "/etc", "/"]
    for word in start.words[:64]:
        for name in holders.names:
            if name not in word or (held := _named(start.disk, holders, word, name, tops)) is None or not start.evidence:
                continue
            yield held, start.evidence[0]


def _in_text(start: Start, holders: _Holders, path: str) -> Iterator[tuple[Found, Evidence]]:
    text = start.disk.text(path)
    if text is None or UNKNOWN in text or "PRIVATE KEY-----" in text:
        return
    names = [name for name in holders.names if name in text][:_MOST_TEXT_NAMES]
    if not names:
        return
    tops = [posixpath.dirname(path), *start.option("--cd"), "/"]
    tried = 0
    for number, line in enumerate(text.splitlines()[:_MOST_LINES], 1):
        for name in names:
            if name not in line or _COMMENT.match(line):
                continue
            tried += 1
            if tried > _MOST_TRIED:
                return
            held = _named(start.disk, holders, line[:_WIDTH], name, tops)
            where = _line(start, path, number, line) if held is not None else None
            if held is not None and where is not None:
                yield held, where


def _named(disk: Disk, holders: _Holders, line: str, name: str, tops: list[str]) -> Found | None:
    """The key file that a line names with these last letters, as an absolute path or from one of the directories."""
    end = 0
    for _ in range(_MOST_PLACES):
        at = line.find(name, end)
        if at < 0:
            return None
        end = at + len(name)
        if _GOES_ON.match(line, end):
            continue
        before = _NAME_END.search(line[max(at - _PATH_WIDTH, 0) : at])
        text = (before[0] if before is not None else "") + name
        glued = text.find("/")  # an option may stand before a path without a space
        if (held := holders.at(disk, text[glued:]) if glued >= 0 else None) is not None:
            return held
        if not text.startswith("/"):
            for top in tops:
                if (held := holders.at(disk, posixpath.join(top, text))) is not None:
                    return held
    return None


def _line(start: Start, path: str, number: int, line: str) -> Evidence | None:
    found = start.disk.find(path) if path not in start.disk.written else None
    if found is not None:
        return found.fs.evidence(found.node.path, line.strip(), line=number)
    return start.evidence[0] if start.evidence else None


def _in_code(start: Start, holders: _Holders) -> Iterator[tuple[Found, Evidence]]:
    """Constant paths that calls of the program's code name. Whether they are reached is not known."""
    facts = start.found.fs.facts_of(start.found.node) if start.found is not None else None
    for call in facts.calls[:_MOST_CALLS] if facts is not None and start.found is not None else ():
        for text in call.arguments:
            if isinstance(text, str) and text.startswith("/") and (held := holders.at(start.disk, text.strip())) is not None:
                shown = f"calls {call.function} with {text[:120]}"
                yield held, start.found.fs.evidence(start.found.node.path, shown, offset=call.offset)  # type: ignore[union-attr]


def _by_default(start: Start, holders: _Holders, texts: list[str]) -> Iterator[tuple[Found, Evidence]]:
    if start.name not in _DEFAULTS or not start.evidence:
        return
    paths, options = _DEFAULTS[start.name]
    if any(start.option(each) for each in options):
        return
    held = [text for path in texts if (text := start.disk.text(path)) is not None]
    decides, without = _DECIDES.get(start.name), _WITHOUT.get(start.name)
    if decides is not None and any(decides.search(text) for text in held):
        return
    if without is not None and not any(without.search(text) for text in held):
        return
    for path in paths:
        if (found := holders.at(start.disk, path)) is not None:
            yield found, start.evidence[0]
