"""Writes small dynamic ELF files: the header, one loadable segment, symbols, needed libraries, and strings.

Layout after the System V ABI (gABI 4.1), 32-bit, big-endian MIPS (EM_MIPS 8), as found in many routers.
"""

from __future__ import annotations

import struct

BASE = 0x400000
_DT_NEEDED, _DT_HASH, _DT_STRTAB, _DT_SYMTAB, _DT_STRSZ, _DT_SYMENT, _DT_SONAME, _DT_BIND_NOW, _DT_FLAGS_1 = (
    1,
    4,
    5,
    6,
    10,
    11,
    14,
    24,
    0x6FFFFFFB,
)
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP, _PT_GNU_STACK, _PT_GNU_RELRO = 1, 2, 3, 0x6474E551, 0x6474E552


def build(
    *,
    imports: tuple[str, ...] = (),
    needed: tuple[str, ...] = ("libc.so.0",),
    strings: tuple[str, ...] = (),
    soname: str = "",
    interpreter: str = "/lib/ld-uClibc.so.0",
    hardened: bool = False,
) -> bytes:
    """An executable (or, with ``soname``, a shared library) that imports ``imports`` and holds ``strings``.

    ``hardened`` adds what a hardened build shows: position independence, full RELRO, a stack that is not executable, and the
    stack protector's import.
    """
    shared = bool(soname) or hardened
    base = 0 if shared else BASE
    names = (*imports, "__stack_chk_fail") if hardened else imports
    strtab, places = b"\0", {}
    for name in (*names, *needed, soname):
        if name:
            places[name] = len(strtab)
            strtab += name.encode() + b"\0"
    symbols = b"\0" * 16 + b"".join(struct.pack(">IIIBBH", places[name], 0, 0, 0x12, 0, 0) for name in names)
    count = len(names) + 1
    hashes = struct.pack(
        f">{2 + 1 + count}I", 1, count, 1 if count > 1 else 0, *range(2, count), *([0] * (count - max(0, count - 2)))
    )
    segments = 3 + (not soname) + hardened
    at = 52 + 32 * segments
    parts: dict[str, tuple[int, bytes]] = {}
    for key, data in (
        ("interp", interpreter.encode() + b"\0"),
        ("hash", hashes),
        ("symbols", symbols),
        ("strings", strtab),
        ("rodata", b"\0".join(each.encode() for each in ("", *strings, ""))),
    ):
        at = (at + 15) & ~15
        parts[key] = (at, data)
        at += len(data)
    tags = [(_DT_NEEDED, places[name]) for name in needed]
    tags += [(_DT_SONAME, places[soname])] if soname else []
    tags += [
        (_DT_HASH, base + parts["hash"][0]),
        (_DT_STRTAB, base + parts["strings"][0]),
        (_DT_SYMTAB, base + parts["symbols"][0]),
    ]
    tags += [(_DT_STRSZ, len(strtab)), (_DT_SYMENT, 16)]
    tags += [(_DT_BIND_NOW, 0), (_DT_FLAGS_1, 0x08000001)] if hardened else []
    dynamic = b"".join(struct.pack(">II", *tag) for tag in [*tags, (0, 0)])
    at = (at + 15) & ~15
    parts["dynamic"] = (at, dynamic)
    size = at + len(dynamic)
    headers = [(_PT_LOAD, 0, size, 5, 0x10000)]
    if not soname:
        headers.append((_PT_INTERP, parts["interp"][0], len(parts["interp"][1]), 4, 1))
    headers.append((_PT_DYNAMIC, at, len(dynamic), 6, 4))
    headers.append((_PT_GNU_STACK, 0, 0, 6 if hardened else 7, 16))
    if hardened:
        headers.append((_PT_GNU_RELRO, at, len(dynamic), 4, 1))
    out = bytearray(size)
    out[:16] = b"\x7fELF\x01\x02\x01" + b"\0" * 9
    out[16:52] = struct.pack(
        ">HHIIIIIHHHHHH", 3 if shared else 2, 8, 1, base + parts["rodata"][0], 52, 0, 0x70001005, 52, 32, len(headers), 40, 0, 0
    )
    for index, (kind, offset, length, flags, align) in enumerate(headers):
        place = base + offset if length else 0
        out[52 + 32 * index : 84 + 32 * index] = struct.pack(">8I", kind, offset, place, place, length, length, flags, align)
    for offset, data in parts.values():
        out[offset : offset + len(data)] = data
    return bytes(out)
