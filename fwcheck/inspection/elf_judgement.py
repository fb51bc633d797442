"""What is judged of an ELF file from the facts that a reader found: type and hardening, whichever reader found them.

Layouts and constants: System V ABI (gABI) chapters 4 and 5, the Linux ``<elf.h>``, and the processor supplement of MIPS.
``None`` always means that the file does not allow an answer, never "no".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

EXPORT_LIMIT = 4096
IMPORT_LIMIT = 16384
_CANARY = frozenset({"__stack_chk_fail", "__stack_chk_fail_local", "__stack_chk_guard"})
_CANARY_BYTES = b"__stack_chk_"
_FORTIFIED = re.compile(r"__(?!stack_chk)\w+_chk$")
# Functions that glibc's _FORTIFY_SOURCE replaces where it can: only their plain form among the imports tells "not fortified".
_FORTIFIABLE = frozenset({
    "memcpy", "memmove", "memset", "mempcpy", "strcpy", "strncpy", "strcat", "strncat", "stpcpy", "sprintf", "snprintf",
    "vsprintf", "vsnprintf", "printf", "fprintf", "vprintf", "vfprintf", "syslog", "gets", "fgets", "fread", "read", "recv",
    "recvfrom", "readlink", "realpath", "getcwd", "getwd", "confstr", "gethostname", "poll",
})  # fmt: skip
_DF_BIND_NOW = 0x8  # DT_FLAGS
_DF_1_NOW = 0x1  # DT_FLAGS_1
_DF_1_PIE = 0x08000000  # DT_FLAGS_1
MACHINES = {  # e_machine
    2: "sparc", 3: "x86", 4: "m68k", 8: "mips", 20: "powerpc", 21: "powerpc64", 22: "s390", 40: "arm", 42: "superh",
    43: "sparc64", 45: "arc", 50: "ia64", 62: "x86_64", 83: "avr", 92: "openrisc", 93: "arc", 94: "xtensa", 105: "msp430",
    106: "blackfin", 164: "hexagon", 183: "aarch64", 189: "microblaze", 195: "arc", 243: "riscv", 247: "bpf", 252: "csky",
    258: "loongarch",
}  # fmt: skip
Type = Literal["executable", "shared", "relocatable", "core", "other"]


class Shape(NamedTuple):
    """What the header and the dynamic section say, whichever reader read them."""

    type: int  # e_type
    dynamic: bool
    interpreter: str | None
    soname: str | None
    flags: int  # DT_FLAGS
    flags_1: int  # DT_FLAGS_1
    tags: frozenset[int]
    stack: int | None  # p_flags of PT_GNU_STACK
    relro: bool  # PT_GNU_RELRO is there


class ElfUnreadable(Exception):
    """No reader could make sense of the file; the message says why, in one line."""


def judge(
    shape: Shape,
    needed: tuple[str, ...],
    imports: set[str],
    exports: set[str],
    content: bytes,
    sections: Mapping[str, tuple[int, int, int]],
) -> dict[str, Any]:
    """The hardening fields of ElfFacts, from what a reader found."""
    kind = _type(shape)
    linked = kind in {"executable", "shared"}
    has_table = ".symtab" in sections
    return {
        "type": kind,
        "nx": None if shape.stack is None or not linked else not shape.stack & 1,
        "pie": None if kind != "executable" else shape.type == 3,
        "relro": _relro(shape) if linked else None,
        "canary": _canary(imports, exports, content, dynamic=shape.dynamic, has_table=has_table, kind=kind),
        "fortify": _fortify(shape, needed, imports) if linked else None,
        "stripped": not has_table if linked else None,
        "dwarf": any(name in sections for name in (".debug_info", ".zdebug_info")),
    }


def _type(shape: Shape) -> Type:
    """ET_DYN is an executable when it says so (DF_1_PIE), or when only the static linker of programs leaves such marks.

    libc.so.6 and ld.so have an interpreter or can be started too; they have a SONAME, programs have none.
    """
    if shape.type != 3:
        named: dict[int, Type] = {1: "relocatable", 2: "executable", 4: "core"}
        return named.get(shape.type, "other")
    if shape.flags_1 & _DF_1_PIE:
        return "executable"
    debug = 21 in shape.tags or bool(shape.tags & {0x70000016, 0x70000035})  # DT_DEBUG, DT_MIPS_RLD_MAP, DT_MIPS_RLD_MAP_REL
    return "executable" if shape.soname is None and (shape.interpreter is not None or debug) else "shared"


def _relro(shape: Shape) -> Literal["none", "partial", "full"]:
    if not shape.relro:
        return "none"
    now = 24 in shape.tags or shape.flags & _DF_BIND_NOW or shape.flags_1 & _DF_1_NOW  # DT_BIND_NOW
    return "full" if now else "partial"


def _canary(imports: set[str], exports: set[str], content: bytes, *, dynamic: bool, has_table: bool, kind: Type) -> bool | None:
    if imports & _CANARY:
        return True
    if kind not in {"executable", "shared", "relocatable"}:
        return None
    if exports & _CANARY and kind == "shared":
        return None  # the C library itself: it offers the check, whether its own code calls it cannot be seen here
    if has_table and not dynamic:
        return _CANARY_BYTES in content
    return False if dynamic and (imports or exports) else None


def _fortify(shape: Shape, needed: tuple[str, ...], imports: set[str]) -> bool | None:
    if any(_FORTIFIED.match(name) for name in imports):
        return True
    # musl fortifies in its headers, inline: its imports say nothing either way.
    musl = "ld-musl" in (shape.interpreter or "") or any(name.startswith("libc.musl") for name in needed)
    bionic = (shape.interpreter or "").startswith("/system/bin/linker")
    if musl or ("libc.so" in needed and not bionic) or not shape.dynamic:
        return None
    return False if imports & _FORTIFIABLE else None
