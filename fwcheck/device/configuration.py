"""Settings of configuration files, with the line each stands on: ``key value``, ``key = value``, and UCI."""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol

from fwcheck.device._uci import Section, read_uci
from fwcheck.device.firmware import FileSystem
from fwcheck.device.shell.tree import UNKNOWN

_LINE_LIMIT = 20_000
_WIDTH_LIMIT = 4096


class Texts(Protocol):
    """Whatever gives the text of a path: a file system of the image, or the disk as the boot scripts leave it."""

    def text(self, path: str, /) -> str | None:
        """The text, None when there is none."""


class Setting(NamedTuple):
    """One setting: key in lower case, value without quotes, and where it stands."""

    key: str
    value: str
    path: str
    line: int
    text: str
    section: str = ""


def keywords(root: Texts, path: str) -> list[Setting]:
    """``Keyword value`` lines (sshd, boa, nginx, mosquitto): comments after ``#`` and ``;`` at the line's end are dropped."""
    found = []
    for number, line in lines(root, path):
        key, _, value = line.partition(" ") if " " in line else line.partition("\t")
        found.append(Setting(key.lower(), value.strip().rstrip(";").strip().strip("\"'"), path, number, line))
    return found


def assignments(root: Texts, path: str) -> list[Setting]:
    """``key = value`` lines (lighttpd, vsftpd, smb.conf, dnsmasq); a key alone has an empty value."""
    found, section = [], ""
    for number, line in lines(root, path):
        if header := re.fullmatch(r"\[([^\]]+)\]", line):
            section = header.group(1)
            continue
        key, _, value = line.partition("=")
        found.append(Setting(key.strip(" +:").lower(), value.strip(" =>").strip("\"'"), path, number, line, section))
    return found


def uci(root: Texts, package: str) -> list[Setting]:
    """The options of an OpenWrt configuration file, list elements one by one; ``section`` is "type name"."""
    path = f"/etc/config/{package}"
    found = []
    for section in uci_sections(root, package):
        for key, held in section.options.items():
            for value in held if isinstance(held, list) else [held]:
                text = f"{'list' if isinstance(held, list) else 'option'} {key} '{value}'"
                found.append(
                    Setting(key, value, path, section.lines.get(key, section.line), text, f"{section.type} {section.name}")
                )
    return found


def uci_sections(root: Texts, package: str) -> list[Section]:
    """The sections of /etc/config/<package>, none when the image does not hold it."""
    text = root.text(f"/etc/config/{package}")
    if text is None or UNKNOWN in text:
        return []
    return read_uci("\n".join(row[:_WIDTH_LIMIT] for row in text.splitlines()[:_LINE_LIMIT]))


def files(root: FileSystem, directory: str, suffix: str) -> list[str]:
    """The paths of the files with this suffix in a directory."""
    return (
        [node.path for node in root.children(directory) if node.path.endswith(suffix)]
        if root.resolve(directory) is not None
        else []
    )


def lines(root: Texts, path: str) -> list[tuple[int, str]]:
    """The lines of a file with their numbers, without blanks around them; comments, empty and undecided lines left out."""
    rows = (root.text(path) or "").splitlines()[:_LINE_LIMIT]
    stripped = ((number, line[:_WIDTH_LIMIT].strip()) for number, line in enumerate(rows, 1))
    return [(number, line) for number, line in stripped if line and line[0] not in "#;" and UNKNOWN not in line]
