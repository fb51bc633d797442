"""Core dumps of ESP-IDF, as their partition holds them (ESP-IDF components/espcoredump; esp-coredump, corefile/loader.py).

Little-endian: u32 length of all, u32 version (low half: kind and version of the format, high half: chip), then fields of the
version; an ELF core file (kind 1) or tasks with their stacks (kind 0) follow, and a checksum: SHA-256 or CRC-32 of what stands
before it. A dump is a copy of memory: what is in it (keys, passwords, addresses) left the device.
"""

from __future__ import annotations

import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import digest, verdict
from fwcheck.extraction.formats._parts import code, crc32
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

# Version of the format: size of its header, checksum
_ELF: Final = {0x100: (20, "CRC32"), 0x101: (20, "SHA-256"), 0x102: (24, "CRC32"), 0x103: (24, "SHA-256"), 0x104: (12, "SHA-256")}
_TASKS: Final = {1: (16, "CRC32"), 2: (20, "CRC32"), 3: (24, "CRC32")}
_LENGTHS: Final = {"CRC32": 4, "SHA-256": 32}
_CHIPS: Final = {
    0: "ESP32", 2: "ESP32-S2", 5: "ESP32-C3", 9: "ESP32-S3", 12: "ESP32-C2", 13: "ESP32-C6", 16: "ESP32-H2", 18: "ESP32-P4",
    20: "ESP32-C61", 23: "ESP32-C5",
}  # fmt: skip
_LARGEST: Final = 16 << 20


class EspCoredump(Format):
    """A core dump: its ELF file, or its tasks."""

    name = "esp-coredump"
    title = "ESP-IDF core dump"
    specification = "ESP-IDF components/espcoredump; esp-coredump, corefile/loader.py"
    category = "microcontroller"
    reads = (
        "ELF dumps of versions 1.0 to 1.4; dumps of tasks (0.1 to 0.3) at the beginning of a source; CRC32 or SHA-256 recomputed"
    )
    not_read = "the tasks of dumps that are no ELF file"
    signatures = (
        Signature(pattern=rb".{3}\x00\x04\x01[\x00-\x20]\x00.{4}\x7fELF\x01\x01\x01", width=19),
        Signature(pattern=rb".{3}\x00[\x00\x01]\x01[\x00-\x20]\x00.{12}\x7fELF\x01\x01\x01", width=27),
        Signature(pattern=rb".{3}\x00[\x02\x03]\x01[\x00-\x20]\x00.{16}\x7fELF\x01\x01\x01", width=31),
        Signature(pattern=rb".{3}\x00[\x01-\x03]\x00[\x00-\x20]\x00.{2}\x00{2}.{2}\x00{2}", width=16, anywhere=False),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        length, kind, chip = struct.unpack("<IHH", source.read(offset, 8))
        header, check = _ELF.get(kind) or _TASKS.get(kind) or (0, "")
        if not check or not header + _LENGTHS[check] < length <= _LARGEST:
            raise FormatError("not a core dump")
        elf = kind in _ELF
        if elf and source.peek(offset + header, 4) != b"\x7fELF":
            raise FormatError("a core dump without its ELF file")
        right, size = None, min(length, source.size - offset)
        checked = length - _LENGTHS[check]
        if size == length:
            stored = source.read(offset + checked, _LENGTHS[check])
            made = digest("sha256", source, (offset, checked)) if check == "SHA-256" else b""
            right = stored == (made or crc32(source, offset, checked).to_bytes(4, "little"))
        if not elf and not right:
            raise FormatError("not a core dump of tasks")
        problems = [f"{length} bytes announced, {size} there"] if size < length else []
        words = verdict(problems, check, right)
        end = min(checked, size)
        return Container(
            format=self.name,
            size=size,
            entries=[code(source, "core.elf" if elf else "tasks", offset + header, end - header)],
            detail={
                "format_version": f"{kind >> 8}.{kind & 0xFF}",
                "chip": _CHIPS.get(chip, f"0x{chip:x}"),
                "integrity": "hash" if check == "SHA-256" else "checksum",
                "integrity_detail": words,
            },
            problems=problems,
        )


FORMATS = (EspCoredump(),)
