"""The partition table of the ESP32 family, and the flash dump it stands in (ESP-IDF, "Partition Tables").

Entries of 32 bytes, little-endian: u16 magic 0x50AA, u8 type, u8 subtype, u32 offset, u32 size, 16 bytes name, u32 flags (1:
encrypted, 2: read-only). An entry that begins with 0xEBEB and 14 bytes 0xFF holds the MD5 of all entries before it. At most 95
entries; 0xFF up to the end of the 3,072 bytes (0xC00), then, with Secure Boot version 1, a signature of 68 bytes; the sector
has 4,096 bytes.

Offsets count from the beginning of the flash, while the table stands at 0x8000 of it by default, behind the boot loader and
before every partition. So the table claims all from itself to the end of its last partition, and every byte in there: the
partitions are parts, what no partition covers is a part named ``unused``. The boot loader in front is a container of its own.
Where the flash begins in the source is looked for: at the source's beginning, or such that the first partition follows the
sector of the table (a dump that begins with the table); that one is taken where more partitions begin as their type does. A
table that stands alone (``partition-table.bin``), or whose partitions cannot be found, is its own 3,072 bytes.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

import msgspec

from fwcheck.extraction.coverage import looks_random
from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import verdict
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_ENTRY = struct.Struct("<HBBII16sI")
_MAGIC, _MD5 = 0x50AA, b"\xeb\xeb" + b"\xff" * 14
_TABLE: Final = 0xC00
_SECTOR: Final = 0x1000
_FLASH_LIMIT: Final = 1 << 30
_APPLICATION, _DATA = 0, 1
_APPLICATIONS = {0x00: "factory", **{0x10 + n: f"ota_{n}" for n in range(16)}, 0x20: "test"}
_DATAS = {
    0x00: "ota", 0x01: "phy", 0x02: "nvs", 0x03: "coredump", 0x04: "nvs_keys", 0x05: "efuse", 0x06: "undefined", 0x80: "esphttpd",
    0x81: "fat", 0x82: "spiffs", 0x83: "littlefs", 0x90: "tee_ota", 0x91: "tee_secure_storage",
}  # fmt: skip
_BOOT_LOADERS = {0x00: "primary", 0x01: "ota", 0x02: "recovery"}
_TABLES = {0x00: "primary", 0x01: "ota"}
_KINDS = {
    0: ("app", _APPLICATIONS), 1: ("data", _DATAS), 2: ("bootloader", _BOOT_LOADERS), 3: ("partition_table", _TABLES),
}  # fmt: skip


class _Partition(msgspec.Struct, frozen=True):
    kind: int
    subtype: int
    offset: int  # in the flash
    size: int
    name: str
    flags: int

    @property
    def words(self) -> tuple[str, str]:
        kind, subtypes = _KINDS.get(self.kind, (f"0x{self.kind:02x}", {}))
        return kind, subtypes.get(self.subtype, f"0x{self.subtype:02x}")


class EspPartitionTable(Format):
    """ESP32 partition table; in a flash dump every partition is a part."""

    name = "esp-partition-table"
    title = "ESP32 partition table and flash dump"
    specification = "ESP-IDF: Partition Tables, esp_flash_partitions.h"
    category = "microcontroller"
    reads = "entries with types, flags and MD5; partitions of a dump at their place in the flash; encrypted ones are told"
    not_read = "encrypted flash"
    signatures = (
        # the first entry: known type, offset and size in whole blocks of 4 KiB (size of data in bytes), offset below 16 MiB or so
        Signature(
            pattern=rb"\xaa\x50[\x00-\x03][\x00-\x06\x10-\x20\x80-\x91]\x00[\x00\x10\x20\x30\x40\x50\x60\x70\x80\x90\xa0\xb0"
            rb"\xc0\xd0\xe0\xf0].{2}.{3}[\x00-\x07][\x21-\x7e]",
            width=13,
        ),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, _TABLE)
        partitions, md5 = _read(raw)
        problems: list[str] = []
        checked = "no MD5"
        if md5 is not None:
            right = hashlib.md5(raw[: len(partitions) * 32], usedforsecurity=False).digest() == md5
            checked = verdict(problems, "MD5 of the entries", right)
        elif len(partitions) < 2 and raw[32:64] != b"\xff" * 32:
            raise FormatError("a single partition without MD5 or end")
        base = _base(source, offset, partitions)
        detail: dict[str, str | int] = {
            "partitions": len(partitions),
            "table": ", ".join(f"{each.name} {'/'.join(each.words)} 0x{each.offset:x}+0x{each.size:x}" for each in partitions)[
                :2000
            ],
            "encrypted_partitions": " ".join(each.name for each in partitions if each.flags & 1),
            "checks": checked,  # of the table: what it lists is protected by what it is itself
        }
        entries: list[Entry] = []
        size = min(_TABLE, len(raw))
        if base is not None:
            detail["flash_begins_at"] = base
            end, entries = _parts(source, base, offset, partitions, problems)
            size = end - offset
        return Container(format=self.name, size=size, entries=entries, detail=_filled(detail), problems=problems)


def _line(each: _Partition) -> str:
    return f"{each.name} {'/'.join(each.words)} 0x{each.offset:x}+0x{each.size:x}"


def _filled(detail: dict[str, str | int]) -> dict[str, str | int]:
    return {key: value for key, value in detail.items() if value != ""}


def _read(raw: bytes) -> tuple[list[_Partition], bytes | None]:
    out: list[_Partition] = []
    for at in range(0, len(raw) - 31, 32):
        if raw[at : at + 16] == _MD5:
            return _sound(out), raw[at + 16 : at + 32]
        magic, kind, subtype, offset, size, name, flags = _ENTRY.unpack_from(raw, at)
        if magic != _MAGIC:
            break
        out.append(_Partition(kind, subtype, offset, size, words(name), flags))
    return _sound(out), None


def _sound(partitions: list[_Partition]) -> list[_Partition]:
    """The partitions, if they can be those of a flash: aligned, named, with a size, and inside what the bus can address."""
    if not partitions or any(
        each.offset % _SECTOR or not each.size or not each.name or each.offset + each.size > _FLASH_LIMIT for each in partitions
    ):
        raise FormatError("not a table of ESP32 partitions")
    return partitions


def _base(source: ByteSource, offset: int, partitions: list[_Partition]) -> int | None:
    """Where the flash begins in the source, below zero when the source begins inside it; None when it cannot be told."""
    behind = [each for each in partitions if each.kind <= _DATA]
    if not behind:
        return None
    first = min(each.offset for each in behind)
    best: tuple[int, int | None] = (0, None)
    for base in dict.fromkeys((0, offset + _SECTOR - first)):
        if offset - base + _SECTOR > first:
            continue
        score = 2 * sum(_begins_right(source, base + each.offset, each) for each in behind)
        # Where nothing can be recognised (all erased, or encrypted), a table at its usual place in the dump still tells.
        score += base == 0 and offset % _SECTOR == 0 and source.size >= first + _SECTOR
        if score > best[0]:
            best = score, base
    return best[1]


def _begins_right(source: ByteSource, at: int, each: _Partition) -> bool:
    head = source.peek(at, 32)
    if each.kind == _APPLICATION:
        return head[:1] == b"\xe9"
    return each.subtype == 2 and head[1:4] == b"\xff\xff\xff" and head[9:28] == b"\xff" * 19 and head[:1] != b"\xff"


def _parts(
    source: ByteSource, base: int, offset: int, partitions: list[_Partition], problems: list[str]
) -> tuple[int, list[Entry]]:
    """The partitions as parts, and between them what is unused; gives the offset in the source behind the last one."""
    entries: list[Entry] = []
    at = min(offset + _SECTOR, source.size)
    rest = offset + _TABLE
    if rest < at:
        entries.append(part(source, "behind the table", rest, at - rest))
    for each in sorted(partitions, key=lambda each: each.offset):
        begin = base + each.offset
        end = min(begin + each.size, source.size)
        if begin < offset + _SECTOR and each.kind > _DATA:
            continue  # boot loader and table themselves
        if begin < at:
            problems.append(f"partition {each.name} overlaps what stands before it")
        if begin >= end:
            problems.append(f"partition {each.name} lies behind the end of the image")
            continue
        if end < begin + each.size:
            problems.append(f"partition {each.name}: {each.size} bytes announced, {end - begin} there")
        if begin > at:
            entries.append(part(source, f"unused@0x{at - base:x}", at, begin - at))
        entries.append(_partition(source, begin, end - begin, each))
        at = max(at, end)
    return at, entries


def _partition(source: ByteSource, begin: int, size: int, each: _Partition) -> Entry:
    kind, subtype = each.words
    detail: dict[str, str | int] = {"type": kind, "subtype": subtype, "address": f"0x{each.offset:x}"}
    flags = [word for bit, word in ((1, "encrypted"), (2, "read-only")) if each.flags & bit]
    if flags:
        detail["flags"] = ", ".join(flags)
    entry = part(source, each.name, begin, size, detail)
    if (each.flags & 1 or each.kind == _APPLICATION) and _scrambled(source.peek(begin, min(size, _SECTOR))):
        scheme = "ESP32 flash encryption" if each.flags & 1 else "suspected ESP32 flash encryption"
        entry = msgspec.structs.replace(entry, role="encrypted", detail={**detail, "encryption": scheme})
    return entry


def _scrambled(head: bytes) -> bool:
    """Whether the first block looks like a cipher's output: applications begin with plain headers and tables."""
    return head[:1] != b"\xe9" and looks_random(head)


FORMATS = (EspPartitionTable(),)
