"""The remarks in an ELF file: notes, compiler comments, build attributes, module information.

Sources: gABI chapter 5 (notes), glibc ``<elf.h>`` (NT_GNU_*), "Addenda to, and Errata in, the ABI for the Arm Architecture"
(build attributes), binutils ``include/elf/mips.h`` (GNU attributes of MIPS), Linux ``include/linux/moduleparam.h`` (.modinfo).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_REMARK_LIMIT = 64  # entries of any kind
_TEXT_LIMIT = 300  # characters of one entry
_SYSTEMS = ("linux", "hurd", "solaris", "freebsd", "netbsd", "syllable", "nacl")
_MODULE_SKIP = ("parm", "parmtype", "alias", "import_ns", "firmware")
_ARM_ARCH = (
    "pre-v4", "v4", "v4T", "v5T", "v5TE", "v5TEJ", "v6", "v6KZ", "v6T2", "v6K", "v7", "v6-M", "v6S-M", "v7E-M", "v8-A", "v8-R",
    "v8-M baseline", "v8-M mainline", "v8.1-A", "v8.2-A", "v8.3-A", "v8.1-M mainline", "v9-A",
)  # fmt: skip
_ARM_FP = ("none", "VFPv1", "VFPv2", "VFPv3", "VFPv3-D16", "VFPv4", "VFPv4-D16", "FP-ARMv8", "FP-ARMv8-D16")
_ARM_VFP_ARGS = ("soft-float calls", "hard-float calls", "toolchain-specific calls", "calls fit both")
_MIPS_FP = ("any", "double", "single", "soft", "old 64", "xx", "64", "64A", "NaN 2008")


def remarks(
    content: bytes, sections: Mapping[str, tuple[int, int, int]], notes: Iterable[tuple[int, int]], *, little: bool
) -> dict[str, Any]:
    """The fields ``build_id``, ``comment``, ``notes``, ``attributes`` and ``modinfo`` of ElfFacts.

    ``sections`` maps a name to (offset, size, type). Damaged parts are left out, never an error.
    """
    build_id, words = _read_notes(content, notes, little=little)
    return {
        "build_id": build_id,
        "comment": tuple(dict.fromkeys(_strings(_section(content, sections, ".comment")))),
        "notes": words,
        "attributes": tuple(_attributes(content, sections, little=little)),
        "modinfo": _modinfo(_section(content, sections, ".modinfo")),
    }


def _section(content: bytes, sections: Mapping[str, tuple[int, int, int]], name: str) -> bytes:
    at, size, kind = sections.get(name, (0, 0, 8))
    return content[at : at + min(size, 1 << 20)] if kind != 8 else b""  # SHT_NOBITS holds no bytes


def _strings(data: bytes) -> list[str]:
    parts = (part.decode("utf-8", "replace").strip() for part in data.split(b"\0"))
    return [part[:_TEXT_LIMIT] for part in parts if part][:_REMARK_LIMIT]


def _modinfo(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in data.split(b"\0"):
        key, separator, value = entry.decode("utf-8", "replace").partition("=")
        if separator and key not in _MODULE_SKIP and key not in found and len(found) < _REMARK_LIMIT:
            found[key[:64]] = value[:_TEXT_LIMIT]
    return found


def _read_notes(content: bytes, ranges: Iterable[tuple[int, int]], *, little: bool) -> tuple[str | None, tuple[str, ...]]:
    build_id: str | None = None
    words: list[str] = []
    for at, size in ranges:
        for owner, kind, body in _notes(content[at : at + min(size, 1 << 16)], little=little):
            if owner == "GNU" and kind == 3:  # NT_GNU_BUILD_ID
                build_id = build_id or body.hex()[:128] or None
            elif owner == "GNU" and kind == 1 and len(body) >= 16:  # NT_GNU_ABI_TAG
                system, *version = struct.unpack("<4I" if little else ">4I", body[:16])
                name = _SYSTEMS[system] if system < len(_SYSTEMS) else str(system)
                words.append(f"GNU ABI {name} " + ".".join(map(str, version)))
            elif owner == "GNU" and kind == 4:  # NT_GNU_GOLD_VERSION
                words.append("linker " + body.rstrip(b"\0").decode("utf-8", "replace"))
            elif owner == "Android" and kind == 1 and len(body) >= 4:
                words.append(f"Android API {int.from_bytes(body[:4], 'little' if little else 'big')}")
            elif owner and owner not in {"GNU", "stapsdt"}:
                words.append(f"{owner} note type {kind}, {len(body)} bytes")
    return build_id, tuple(dict.fromkeys(word[:_TEXT_LIMIT] for word in words))[:_REMARK_LIMIT]


def _notes(data: bytes, *, little: bool) -> Iterator[tuple[str, int, bytes]]:
    header = struct.Struct("<3I" if little else ">3I")
    at = 0
    while at + header.size <= len(data):
        name_size, size, kind = header.unpack_from(data, at)
        body = at + header.size + (name_size + 3 & ~3)
        if body + size > len(data):
            return
        yield data[at + 12 : at + 12 + name_size].rstrip(b"\0").decode("utf-8", "replace")[:64], kind, data[body : body + size]
        at = body + (size + 3 & ~3)


def _attributes(content: bytes, sections: Mapping[str, tuple[int, int, int]], *, little: bool) -> list[str]:
    words: list[str] = []
    for name, vendor in ((".ARM.attributes", "aeabi"), (".gnu.attributes", "gnu"), (".riscv.attributes", "riscv")):
        data = _section(content, sections, name)
        if data[:1] != b"A":
            continue
        try:
            values = dict(_attribute_pairs(data, vendor, little=little))
        except (IndexError, ValueError):
            continue
        words += _WORDS[vendor](values)
    return words


def _attribute_pairs(data: bytes, vendor: str, *, little: bool) -> Iterator[tuple[int, int | str]]:
    """Tags of the file-scope subsection of one vendor: odd tags above 32 (and the names 4, 5, 67 of Arm) hold strings."""
    order: Any = "little" if little else "big"
    at = 1
    while at + 4 < len(data):
        length = int.from_bytes(data[at : at + 4], order)
        end = min(at + length, len(data))
        name_end = data.index(0, at + 4)
        if data[at + 4 : name_end].decode("ascii", "replace") == vendor and data[name_end + 1] == 1:  # Tag_File
            stop = min(name_end + 1 + int.from_bytes(data[name_end + 2 : name_end + 6], order), end)
            cursor = name_end + 6
            while cursor < stop:
                tag, cursor = _uleb(data, cursor)
                if (vendor == "aeabi" and tag in {4, 5, 67}) or (tag > 32 and tag & 1) or (vendor == "riscv" and tag & 1):
                    text_end = data.index(0, cursor)
                    yield tag, data[cursor:text_end].decode("utf-8", "replace")[:_TEXT_LIMIT]
                    cursor = text_end + 1
                elif tag == 32:  # Tag_compatibility: a number, then a string
                    _, cursor = _uleb(data, cursor)
                    cursor = data.index(0, cursor) + 1
                else:
                    value, cursor = _uleb(data, cursor)
                    yield tag, value
        if length < 5:
            return
        at = end


def _uleb(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 63:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("number of more than nine bytes")


def _pick(table: tuple[str, ...], value: int | str | None) -> str | None:
    return table[value] if isinstance(value, int) and 0 <= value < len(table) else None


def _arm_words(values: Mapping[int, int | str]) -> list[str]:
    words = [f"CPU {values[5]}"] if isinstance(values.get(5), str) else []
    for label, table, tag in (("ARM ", _ARM_ARCH, 6), ("FP ", _ARM_FP, 10), ("", _ARM_VFP_ARGS, 28)):
        if (word := _pick(table, values.get(tag))) is not None:
            words.append(label + word)
    return words


def _gnu_words(values: Mapping[int, int | str]) -> list[str]:
    word = _pick(_MIPS_FP, values.get(4))
    return [f"MIPS FP {word}"] if word is not None else []


def _riscv_words(values: Mapping[int, int | str]) -> list[str]:
    return [f"arch {values[5]}"] if isinstance(values.get(5), str) else []


_WORDS = {"aeabi": _arm_words, "gnu": _gnu_words, "riscv": _riscv_words}
