"""Core dumps, tools and symbols that development left behind."""

from __future__ import annotations

import pytest
from support.trees import facts_of, firmware_of

from fwcheck.analysers import leftovers
from fwcheck.model import Device, Finding

_ELF = b"\x7fELF" + bytes(60)
BASE: dict[str, bytes | str] = {"/sbin/init": _ELF, "/bin/sh": _ELF, "/lib/x": "", "/etc/inittab": "::sysinit:/x\n"}


def found(files: dict[str, bytes | str]) -> list[Finding]:
    return list(leftovers.analyse(firmware_of(BASE | files), Device()))


@pytest.mark.parametrize(
    ("path", "line", "severity"),
    [
        ("/etc/init.d/rcS", "echo /www/core.%e > /proc/sys/kernel/core_pattern", "medium"),
        ("/etc/init.d/rcS", "echo '/mnt/data/core-%e-%p' > /proc/sys/kernel/core_pattern", "low"),
        ("/etc/init.d/rcS", "sysctl -w kernel.core_pattern=/data/core.%p", "low"),
        ("/etc/sysctl.conf", "kernel.core_pattern = /var/lib/dumps/core.%e", "low"),
        ("/etc/sysctl.conf", "kernel.core_pattern=/tmp/%e.%t.%p.%s.core", ""),  # as OpenWrt ships it: memory
        ("/etc/sysctl.conf", "kernel.core_pattern=core", ""),
        ("/etc/sysctl.conf", "kernel.core_pattern=|/bin/false", ""),
        ("/etc/init.d/rcS", "# echo /data/core.%e > /proc/sys/kernel/core_pattern", ""),
        ("/etc/init.d/rcS", "[ -e /proc/sys/kernel/core_pattern ] && echo yes", ""),
    ],
)
def test_where_core_dumps_go(path: str, line: str, severity: str) -> None:
    seen = found({path: ("#!/bin/sh\n" if "init.d" in path else "") + line + "\n"})
    assert [(each.rule, each.verdict, each.severity.value) for each in seen] == (
        [("DBG-008", "concern", severity)] if severity else []
    )


def test_tools_are_told_and_not_counted() -> None:
    (one,) = found({"/usr/bin/strace": _ELF, "/usr/sbin/tcpdump": _ELF, "/usr/share/gdb": "x"})
    assert (one.rule, one.verdict, one.criteria) == ("DBG-009", "info", ())
    assert one.title == "Development tools in the image: strace, tcpdump"


def test_symbols(elf_with_symbols: bytes) -> None:
    elf = facts_of(elf_with_symbols).elf
    assert elf is not None
    assert elf.stripped is False
    (one,) = found({"/usr/bin/app": elf_with_symbols})
    assert (one.rule, one.verdict, one.location.path) == ("DBG-010", "info", "/usr/bin/app")


@pytest.fixture
def elf_with_symbols() -> bytes:
    """A little-endian 64-bit executable with a symbol table and nothing else."""
    import struct

    names = b"\0.symtab\0.strtab\0.shstrtab\0"
    strings = b"\0main\0"
    symbols = bytes(24) + struct.pack("<IBBHQQ", 1, 0x12, 0, 0xFFF1, 0x1000, 16)
    at = 64
    places = []
    body = b""
    for part in (symbols, strings, names):
        places.append((at + len(body), len(part)))
        body += part + bytes(-len(part) % 8)
    rows = [
        (0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        (1, 2, 0, 0, *places[0], 2, 1, 8, 24),
        (9, 3, 0, 0, *places[1], 0, 0, 1, 0),
        (17, 3, 0, 0, *places[2], 0, 0, 1, 0),
    ]
    table = b"".join(struct.pack("<IIQQQQIIQQ", *row) for row in rows)
    head = (
        b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x1000, 0, at + len(body), 0, 64, 56, 0, 64, 4, 3)
    )
    return head + body + table
