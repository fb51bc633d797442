"""OpenWrt's unified configuration interface: the files of /etc/config, read as ``uci`` reads them.

Source: openwrt.org, "The UCI system": ``package``, ``config type 'name'``, ``option name 'value'``, ``list name 'value'``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(r"""[^\s'"#\\]+|'[^']*'|"(?:[^"\\]|\\.)*"|\\.|#.*|[ \t]+""", re.DOTALL)


@dataclass(slots=True)
class Section:
    """One section: its type, its name (anonymous sections are numbered), options and the lines they stand on."""

    type: str
    name: str
    line: int
    anonymous: bool = False
    options: dict[str, str | list[str]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def get(self, option: str, default: str = "") -> str:
        """An option as one string; list elements are joined by blanks."""
        held = self.options.get(option, default)
        return " ".join(held) if isinstance(held, list) else held


def read_uci(text: str) -> list[Section]:
    """The sections of a configuration file; lines that do not parse are skipped, as far as they go."""
    sections: dict[str, Section] = {}
    current: Section | None = None
    for number, line in enumerate(text.splitlines(), 1):
        words = split_words(line)
        if not words:
            continue
        keyword = words[0]
        if keyword == "config" and len(words) >= 2:
            named = len(words) >= 3 and words[2] != ""
            name = words[2] if named else f"cfg{len(sections):02x}"
            # A repeated named section continues the first one.
            current = sections.setdefault(name, Section(words[1], name, number, anonymous=not named))
        elif keyword == "option" and len(words) >= 2 and current is not None:
            current.options[words[1]] = words[2] if len(words) > 2 else ""
            current.lines[words[1]] = number
        elif keyword == "list" and len(words) >= 3 and current is not None:
            held = current.options.setdefault(words[1], [])
            if isinstance(held, list):
                held.append(words[2])
            current.lines.setdefault(words[1], number)
    return list(sections.values())


def split_words(line: str) -> list[str]:
    """The words of one line, quotes removed, up to a comment."""
    words: list[str] = []
    grows = False
    for found in _TOKEN.finditer(line):
        token = found.group()
        if token[0] in " \t":
            grows = False
            continue
        if token[0] == "#" and not grows:
            break
        text = token[1:-1] if token[0] in "'\"" and len(token) > 1 else token[1:] if token[0] == "\\" else token
        if grows:
            words[-1] += text
        else:
            words.append(text)
        grows = True
    return words


def truth(value: str) -> bool | None:
    """A UCI boolean; None when it is none."""
    if value in ("1", "on", "true", "yes", "enabled"):
        return True
    return False if value in ("0", "off", "false", "no", "disabled") else None
