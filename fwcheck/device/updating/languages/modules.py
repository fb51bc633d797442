"""Modules and included files of an image: what ``require``, ``import`` and ``include`` mean, seen from a script.

Sources: ``package.path`` of Lua 5.1 as OpenWrt and Debian set it, the module search of Python, ``include_path`` of PHP, ``@INC``
of Perl; a link or path never leaves the file system.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from fwcheck.device.firmware import FileSystem
from fwcheck.device.updating.form import Program
from fwcheck.device.updating.languages.registry import read

_MODULE = re.compile(r"[\w.:/-]{1,200}")
_LUA = ("/usr/lib/lua", "/usr/share/lua", "/usr/share/lua/5.1", "/usr/local/share/lua/5.1")
_PERL = ("/usr/share/perl5", "/usr/lib/perl5", "/usr/local/share/perl5", "/etc/perl")
# Modules that may hold a check or a write; what others do is not asked for.
_WORTH = re.compile(
    r"openssl|usign|verif|md5sum|sha\d+sum|signify|gpgv|ecdsa|ed25519|hashlib|rsa\b|mtd|sysupgrade|swupdate|rauc|flashcp|nandwrite|/dev/"
)
_LIMIT = 60  # modules read for one file system
_TEXT_LIMIT = 120_000


class Modules:
    """Reads each module of one file system once."""

    def __init__(self, fs: FileSystem) -> None:
        self.fs = fs
        self._held: dict[str, Program | None] = {}
        self._asked: dict[tuple[str, str, str], tuple[str, Program] | None] = {}
        self._python: tuple[str, ...] | None = None

    def load(self, language: str, name: str, seen_from: str) -> tuple[str, Program] | None:
        """The file and form of a module; None where the image does not hold it."""
        folder = posixpath.dirname(seen_from)
        asked = (language, name, folder)
        if asked not in self._asked:
            self._asked[asked] = self._found(language, name, folder) if _MODULE.fullmatch(name) else None
        return self._asked[asked]

    def _found(self, language: str, name: str, folder: str) -> tuple[str, Program] | None:
        for path in self._places(language, name, folder):
            node = self.fs.resolve(path)
            facts = self.fs.facts(path) if node is not None else None
            if node is None or facts is None or facts.text is None or len(facts.text) > _TEXT_LIMIT:
                continue
            if language != "php" and not _WORTH.search(facts.text):
                return None
            if node.path not in self._held:
                if len(self._held) >= _LIMIT:
                    return None
                self._held[node.path] = read(language, facts.text)
            program = self._held[node.path]
            return (node.path, program) if program is not None else None
        return None

    def _places(self, language: str, name: str, folder: str) -> Iterator[str]:
        if language == "php" or name.endswith((".pl", ".pm", ".php", ".inc")):
            yield name if name.startswith("/") else posixpath.join(folder, name)
            return
        inside = name.replace("::", "/").replace(".", "/").strip("/")
        if language == "lua":
            for place in (folder, *_LUA):
                yield from (f"{place}/{inside}.lua", f"{place}/{inside}/init.lua")
        elif language == "perl":
            yield from (f"{place}/{inside}.pm" for place in (folder, *_PERL))
        else:
            for place in (folder, *self._python_places()):
                yield from (f"{place}/{inside}.py", f"{place}/{inside}/__init__.py")

    def _python_places(self) -> tuple[str, ...]:
        if self._python is None:
            roots = [f"{base}/{each}" for base in ("/usr/lib", "/usr/local/lib") for each in self._versions(base)]
            self._python = (
                "/usr/lib/python3/dist-packages",
                *(f"{root}/{end}" for root in roots for end in ("site-packages", "dist-packages")),
            )
        return self._python

    def _versions(self, base: str) -> list[str]:
        return [posixpath.basename(node.path) for node in self.fs.children(base) if re.match(r".*/python\d[\d.]*$", node.path)][
            :4
        ]
