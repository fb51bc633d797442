r"""Microcode updates of Intel and AMD (Intel SDM volume 3A, 9.11; Linux arch/x86/kernel/cpu/microcode).

Intel: header version 1, revision, date (BCD: year, day, month), processor signature, checksum, loader 1, platform
flags, data size (0 stands for 2000), total size (0 stands for 2048), 12 reserved bytes; all 32-bit words sum up to
zero. AMD container: ``DMA\0`` (0x00414d44), type 0, length of the table of equivalent processors; then patches: type
1, length, data: date (BCD), patch level, ..., processor revision at 24.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import code
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_INTEL = struct.Struct("<9I12x")
_SIZE_LIMIT = 4 << 20
_UPDATES_LIMIT = 1024
_AMD_MAGIC = 0x00414D44
_AMD_PATCH = struct.Struct("<IIHBBIIIHBB")  # date, level, ..., processor revision


class _Update(msgspec.Struct, frozen=True):
    size: int
    processor: int
    flags: int
    revision: int
    date: str
    right: bool


class IntelMicrocode(Format):
    """Microcode updates of Intel, one behind the other."""

    name = "intel-microcode"
    title = "Intel microcode updates"
    specification = "Intel SDM volume 3A, 9.11"
    category = "firmware"
    reads = "updates of header version 1 with processor signature, revision, date; checksum demanded of the first, told of all"
    not_read = "extended signature tables; the updates themselves are encrypted"
    signatures = (
        Signature(
            pattern=rb"\x01\x00\x00\x00[\x00-\xff]{4}[\x00-\x99]\x20[\x01-\x31][\x01-\x12][\x00-\xff]{8}\x01\x00\x00\x00",
            width=24,
        ),
    )
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        updates: list[tuple[int, _Update]] = []
        problems: list[str] = []
        at = offset
        while len(updates) < _UPDATES_LIMIT and (update := _intel(source, at)) is not None:
            if not update.right:
                break
            updates.append((at, update))
            at += update.size
        if not updates:
            raise FormatError("not a microcode update, or its checksum is wrong")
        return Container(
            format=self.name,
            size=at - offset,
            entries=[_entry(source, at, update) for at, update in updates],
            detail={
                "updates": len(updates),
                "processors": ", ".join(sorted({f"0x{update.processor:x}" for _, update in updates})),
                "newest": max(update.date for _, update in updates),
                "integrity": "signature",
                "integrity_detail": "checksum right; signed and encrypted for the processor (not verified)",
            },
            problems=problems,
        )


def _intel(source: ByteSource, at: int) -> _Update | None:
    raw = source.peek(at, _INTEL.size)
    if len(raw) < _INTEL.size:
        return None
    version, revision, date, processor, _, loader, flags, data, total = _INTEL.unpack(raw)
    total = total if data and total else 2048
    if version != 1 or loader != 1 or total % 1024 or not 2048 <= total <= _SIZE_LIMIT or at + total > source.size:
        return None
    if flags > 0xFF or data + 48 > total:
        return None
    right = sum(each[0] for each in struct.iter_unpack("<I", source.view(at, total))) & 0xFFFFFFFF == 0
    return _Update(total, processor, flags, revision, _date(date), right)


def _date(bcd: int) -> str:
    """A date stored as month, day and year in BCD."""
    text = f"{bcd:08x}"
    return f"{text[4:]}-{text[:2]}-{text[2:4]}"


def _entry(source: ByteSource, at: int, update: _Update) -> Entry:
    name = f"update-{update.processor:x}-{update.flags:02x}-{update.revision:x}"
    detail: dict[str, str | int] = {
        "processor": f"0x{update.processor:x}",
        "platforms": f"0x{update.flags:02x}",
        "revision": f"0x{update.revision:x}",
        "date": update.date,
    }
    return msgspec.structs.replace(code(source, name, at, update.size), detail=detail, role="meta")


class AmdMicrocode(Format):
    """Microcode container of AMD."""

    name = "amd-microcode"
    title = "AMD microcode container"
    specification = "Linux arch/x86/kernel/cpu/microcode/amd.c"
    category = "firmware"
    reads = "table of equivalent processors, patches with level, date and processor revision"
    not_read = "the patches themselves; they are signed for the processor"
    signatures = (Signature(pattern=rb"DMA\x00\x00\x00\x00\x00[\x00-\xff]{2}\x00\x00", width=12),)
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, kind, length = struct.unpack("<III", source.read(offset, 12))
        if magic != _AMD_MAGIC or kind or not 16 <= length <= 65536 or length % 16:
            raise FormatError("not a microcode container")
        begin = offset + 12
        processors = {row[0] for row in struct.iter_unpack("<I12x", source.read(begin, length)) if row[0]}
        patches = list(_patches(source, begin + length))
        if not patches or not processors:
            raise FormatError("a microcode container without patches")
        end = max((entry.offset or 0) + entry.size for entry in patches)
        return Container(
            format=self.name,
            size=end - offset,
            entries=patches,
            detail={
                "patches": len(patches),
                "processors": ", ".join(f"0x{each:x}" for each in sorted(processors)),
                "newest": max(str(entry.detail["date"]) for entry in patches),
                "integrity": "signature",
                "integrity_detail": "patches signed for the processor (not verified)",
            },
        )


def _patches(source: ByteSource, at: int) -> Iterator[Entry]:
    for _ in range(_UPDATES_LIMIT):
        raw = source.peek(at, 8 + _AMD_PATCH.size)
        if len(raw) < 8 + _AMD_PATCH.size:
            return
        kind, length = struct.unpack_from("<II", raw)
        if kind != 1 or not _AMD_PATCH.size <= length <= _SIZE_LIMIT or at + 8 + length > source.size:
            return
        date, level, *_, processor, _, _ = _AMD_PATCH.unpack_from(raw, 8)
        detail: dict[str, str | int] = {
            "level": f"0x{level:08x}",
            "date": _date(date),
            "processor_revision": f"0x{processor:04x}",
        }
        yield msgspec.structs.replace(code(source, f"patch-{level:08x}", at + 8, length), detail=detail, role="meta")
        at += 8 + length


FORMATS = (IntelMicrocode(), AmdMicrocode())
