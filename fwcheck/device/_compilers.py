"""The compilers that programs name in their section ``.comment``: what the software of the image was built with.

A program carries the remark of every object that was linked into it; those of the C library's start files may be older than its
own (uClibc's say 3.3.2 whatever built them). Only compilers that several programs name are told, and none that has a newer one
beside it everywhere. Forms: ``GCC: (GNU) 4.3.3``, ``GCC: (crosstool-NG 1.20.0) 4.9.1``,
``GCC: (OpenWrt GCC 12.3.0 r23497) 12.3.0``, ``clang version 10.0.1``, ``Android (6454773) clang version 11.0.2``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from fwcheck.device.firmware import Firmware
from fwcheck.model import Evidence, Location

_GCC = re.compile(r"^GCC: \([^()]{0,120}(?:\([^()]{0,80}\)[^()]{0,80})?\) (\d{1,2}\.\d{1,2}(?:\.\d{1,2})?)(?: |$)")
_CLANG = re.compile(r"^(?:[\w .()+-]{0,80} )?clang version (\d{1,2}\.\d{1,2}\.\d{1,2})(?:[ (-]|$)")
_PROGRAMS = 3  # that name it
_PLACES = 8


_PACKAGES = frozenset({"zip", "tar", "gzip", "xz", "zstd", "bzip2", "ar", "deb", "ipk", "rpm", "apk", "apk-v3", "cpio", "7z"})


class Compiler(NamedTuple):
    """A compiler with the programs that name it, at most eight."""

    name: str
    version: str
    evidence: tuple[Evidence, ...]


def compilers(firmware: Firmware) -> Iterator[Compiler]:
    """Every compiler that at least three programs or libraries name, kernel modules apart.

    Not of a package alone (a wheel, a deb): what built it is no part of a device.
    """
    if firmware.image.format in _PACKAGES and not any(fs.is_root for fs in firmware.filesystems):
        return
    found: dict[tuple[str, str], list[Evidence]] = {}
    newest: set[tuple[str, str]] = set()  # of at least one program
    for node, facts in firmware.contents():
        if facts.elf is None or facts.elf.modinfo:
            continue
        named = {compiler: remark for remark in facts.elf.comment if (compiler := _read(remark)) is not None}
        for compiler, remark in named.items():
            place = Location(chain=node.chain, path=node.path)
            found.setdefault(compiler, []).append(Evidence(location=place, text=f".comment: {remark[:120]}"))
        newest |= {max((each for each in named if each[0] == name), key=_numbers) for name, _ in named}
    for (name, version), evidence in sorted(found.items()):
        if len(evidence) >= _PROGRAMS and (name, version) in newest:
            yield Compiler(name, version, tuple(evidence[:_PLACES]))


def _numbers(compiler: tuple[str, str]) -> tuple[int, ...]:
    return tuple(int(number) for number in compiler[1].split("."))


def _read(remark: str) -> tuple[str, str] | None:
    if match := _GCC.match(remark):
        return "gcc", match[1]
    if match := _CLANG.match(remark):
        return "clang", match[1]
    return None
