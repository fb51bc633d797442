"""RedBoot: its flash directory (FIS) and its settings (fconfig) (eCos packages/redboot, fis.h and flash_config.c).

FIS directory, words in the byte order of the CPU: entries of 256 bytes: name (16), address in flash, address in memory,
size in flash, entry point, length of the data, room, checksums of the entry and of the file. 0xff in place of a name is
a free entry.

Settings: length of everything, 0x0badface, objects, 0xdeaddead, CRC32 (first value 0, no final inversion). Object:
type, length of its key, sense and length of the key that enables it, both keys, the value: 4 bytes for a truth value,
number or IP address, 8 for a hardware address, as many as the build says for strings and scripts (usually 128 and 512).
A type of 0 ends.
"""

from __future__ import annotations

import struct
import zlib

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource, Memory

_ENTRY = 256
_ENTRIES_LIMIT = 256
_SIZE_LIMIT = 256 << 20
_KEY1, _KEY2 = 0x0BADFACE, 0xDEADDEAD
_SETTINGS_LIMIT = 64 << 10
_BOOL, _INT, _STRING, _SCRIPT, _IP, _ESA, _PORT = range(1, 8)
_LENGTHS = {
    _BOOL: (4, 1),
    _INT: (4,),
    _STRING: (128, 64, 256, 32),
    _SCRIPT: (512, 1024, 2048, 256, 4096, 768),
    _IP: (4,),
    _ESA: (8, 6),
    _PORT: (16, 32, 8),
}


class RedBootDirectory(Format):
    """FIS directory: its images are listed with address and size; their content lies elsewhere in the flash."""

    name = "redboot-fis"
    title = "RedBoot flash directory (FIS)"
    specification = "eCos packages/redboot/current/include/fis.h; Linux drivers/mtd/parsers/redboot.c"
    category = "partition table"
    reads = "names, addresses, sizes and entry points in both byte orders"
    not_read = "images as parts: they stand in front of the directory and are found where they lie; checksums of entries"
    signatures = (Signature(pattern=rb"(?:RedBoot\x00{9}|FIS directory\x00{3})", width=16),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = [source.peek(offset + _ENTRY * number, _ENTRY) for number in range(_ENTRIES_LIMIT)]
        rows, order = max(((_rows(raw, order), order) for order in "<>"), key=lambda each: _aligned(each[0]))
        if len(rows) < 2 or not any(row.path == "FIS directory" for row in rows):
            raise FormatError("not a FIS directory")
        return Container(
            format=self.name,
            size=_ENTRY * len(rows),
            entries=rows,
            detail={
                "images": ", ".join(row.path for row in rows),
                "byte_order": "little" if order == "<" else "big",
                "integrity": "none",
                "integrity_detail": "no check that is known for all builds",
            },
        )


def _aligned(rows: list[Entry]) -> int:
    """How many addresses and sizes are round: in the wrong byte order they are not."""
    return sum(str(row.detail["flash"]).endswith("000") for row in rows) + sum(row.size % 4096 == 0 for row in rows)


def _rows(raw: list[bytes], order: str) -> list[Entry]:
    rows = []
    for entry in raw:
        if len(entry) < _ENTRY or entry[0] in {0, 0xFF}:
            break
        flash, memory, size, start, length = struct.unpack_from(order + "5I", entry, 16)
        name = words(entry[:16])
        if not 0 < size <= _SIZE_LIMIT or length > _SIZE_LIMIT or "?" in name:
            break
        detail: dict[str, str | int] = {"flash": f"0x{flash:08x}", "memory": f"0x{memory:08x}", "entry_point": f"0x{start:08x}"}
        rows.append(Entry(path=name, size=size, role="meta", detail=detail | {"data_length": length}))
    return rows


class RedBootSettings(Format):
    """RedBoot's settings as one text file; the boot script among them says what is started."""

    name = "redboot-config"
    title = "RedBoot settings (fconfig)"
    specification = "eCos packages/redboot/current/src/flash_config.c"
    category = "firmware"
    reads = "all types of values in both byte orders, usual lengths of strings and scripts; CRC32"
    not_read = "builds with other lengths: the settings before the first that does not fit are given"
    signatures = (Signature(pattern=rb"(?:\x0b\xad\xfa\xce|\xce\xfa\xad\x0b)[\x01-\x07]", width=5, offset=4),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        order = ">" if source.peek(offset + 4, 1) == b"\x0b" else "<"
        length, key = struct.unpack(order + "II", source.read(offset, 8))
        if key != _KEY1 or not 32 <= length <= _SETTINGS_LIMIT:
            raise FormatError("not RedBoot settings")
        size = min(length, source.size - offset)
        raw = source.read(offset, size)
        lines, whole = _settings(raw[8 : length - 8], order)
        if not lines:
            raise FormatError("RedBoot settings without a value")
        second, stored = struct.unpack_from(order + "II", raw, length - 8) if size == length else (0, 0)
        right = second == _KEY2 and zlib.crc32(raw[:-4], 0xFFFFFFFF) ^ 0xFFFFFFFF == stored
        problems = (
            [] if right else ["wrong end mark or CRC32 of the settings" if size == length else f"{size} of {length} bytes there"]
        )
        if not whole:
            problems.append("a value of an unusual length: the settings behind it are not read")
        text = Memory("".join(f"{name}={value}\n" for name, value in lines).encode("utf-8", "replace"))
        values = dict(lines)
        detail: dict[str, str | int] = {
            name: values[name][:300] for name in ("boot_script", "boot_script_data") if name in values
        }
        detail |= {
            "settings": len(lines),
            "byte_order": "little" if order == "<" else "big",
            "integrity": "checksum",
            "integrity_detail": f"CRC32 {'right' if right else 'wrong or of another kind'}",
        }
        entry = Entry(path="settings", size=text.size, open=lambda: text, locality=offset)
        return Container(format=self.name, size=size, entries=[entry], detail=detail, problems=problems)


def _settings(raw: bytes, order: str) -> tuple[list[tuple[str, str]], bool]:
    """Names and values, and whether all were read."""
    out: list[tuple[str, str]] = []
    at = 0
    while not _ends(raw, at):
        if not _plausible(raw, at):
            return out, False
        kind, key, _, enable = raw[at : at + 4]
        value = at + 4 + key + enable
        # Zeros inside a longer value look like the end: another object behind it says more.
        ends = [value + length for length in _LENGTHS[kind]]
        fitting = [end for end in ends if _plausible(raw, end)] or [end for end in ends if _ends(raw, end)]
        if not fitting:
            return out, False
        out.append((words(raw[at + 4 : at + 4 + key]), _shown(kind, raw[value : fitting[0]], order)))
        at = fitting[0]
    return out, True


def _ends(raw: bytes, at: int) -> bool:
    return at >= len(raw) or raw[at] == 0 or raw[at] == 0xFF


def _plausible(raw: bytes, at: int) -> bool:
    """Whether an object stands here: a known type and keys that are zero-terminated words."""
    if at + 8 > len(raw) or raw[at] not in _LENGTHS:
        return False
    key, enable = raw[at + 1], raw[at + 3]
    name = raw[at + 4 : at + 4 + key]
    other = raw[at + 4 + key : at + 4 + key + enable]
    return (
        all(
            not each or (each[-1:] == b"\0" and each[:-1].isascii() and each[:-1].decode().isprintable())
            for each in (name, other)
        )
        and key > 1
    )


def _shown(kind: int, raw: bytes, order: str) -> str:
    number = int.from_bytes(raw, "little" if order == "<" else "big")
    if kind == _BOOL:
        return "true" if number else "false"
    if kind == _INT:
        return str(number)
    if kind == _IP:
        return ".".join(map(str, raw))
    if kind == _ESA:
        return raw[:6].hex(":")
    text = raw.split(b"\0", 1)[0].decode("utf-8", "replace")
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


FORMATS = (RedBootDirectory(), RedBootSettings())
