r"""The PE/COFF header: sections and where the certificate table lies (Microsoft PE Format).

Layout: ``MZ``, the offset of ``PE\0\0`` in the word at 0x3c, a COFF header of 20 bytes (machine, number of sections,
time, ..., size of the optional header, characteristics), the optional header (magic 0x10b for PE32, 0x20b for PE32+;
data directories at 96 or 112), and a table of 40 bytes per section. The certificate table is the only directory that
counts from the beginning of the file.
"""

from __future__ import annotations

import struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats._parts import words
from fwcheck.extraction.source import ByteSource

MACHINES = {
    0x014C: "i386",
    0x0166: "MIPS R4000",
    0x01C0: "ARM",
    0x01C2: "ARM Thumb",
    0x01C4: "ARM Thumb-2",
    0x01F0: "PowerPC",
    0x0200: "IA-64",
    0x0EBC: "EFI byte code",
    0x5032: "RISC-V 32",
    0x5064: "RISC-V 64",
    0x6232: "LoongArch 32",
    0x6264: "LoongArch 64",
    0x8664: "x86-64",
    0xAA64: "ARM64",
}
SUBSYSTEMS = {
    1: "native",
    2: "Windows GUI",
    3: "Windows console",
    9: "Windows CE",
    10: "EFI application",
    11: "EFI boot service driver",
    12: "EFI runtime driver",
    13: "EFI ROM",
    16: "Windows boot application",
}
_COFF = struct.Struct("<HHIIIHH")
_SECTION = struct.Struct("<8sIIIIIIHHI")
_SECTIONS_LIMIT = 96  # what the loader of Windows takes
_SYMBOL = 18  # bytes of an entry of the COFF symbol table
_CERTIFICATES = 4  # index of the data directory


class Section(msgspec.Struct, frozen=True):
    """A section with bytes in the file."""

    name: str
    address: int
    virtual_size: int
    offset: int  # from the beginning of the file
    size: int


class Pe(msgspec.Struct, frozen=True):
    """What the headers of a PE file say. Offsets count from its beginning."""

    machine: int
    time: int
    characteristics: int
    plus: bool
    subsystem: int
    entry: int
    checksum_at: int
    directory_at: int  # of the certificate table's directory entry; 0 when there is none
    headers: int
    image_size: int
    sections: tuple[Section, ...]
    certificates: tuple[int, int]  # offset, size
    symbols_end: int  # behind the COFF symbols and their strings; 0 when there are none

    @property
    def end(self) -> int:
        """Behind the last byte that headers, sections and certificate table name."""
        ends = [each.offset + each.size for each in self.sections]
        return max([self.headers, *ends, sum(self.certificates), self.symbols_end])


def parse(source: ByteSource, offset: int) -> Pe:
    """The headers at ``offset``; raises FormatError when they are not there or not plausible."""
    head = source.peek(offset, 64)
    if head[:2] != b"MZ" or len(head) < 64:
        raise FormatError("not an MZ header")
    at = int.from_bytes(head[60:64], "little")
    if not 4 <= at <= 0x10000 or source.peek(offset + at, 4) != b"PE\0\0":
        raise FormatError("no PE header behind MZ")
    machine, count, time, symbols_at, symbols, optional, characteristics = _COFF.unpack(source.view(offset + at + 4, 20))
    at += 24
    raw = source.read(offset + at, optional)
    magic = int.from_bytes(raw[:2], "little")
    if magic not in {0x10B, 0x20B} or len(raw) < 96 or not 0 < count <= _SECTIONS_LIMIT:
        raise FormatError("implausible PE optional header")
    first = 96 if magic == 0x10B else 112
    entry = int.from_bytes(raw[16:20], "little")
    image_size, headers = struct.unpack_from("<II", raw, 56)
    subsystem = int.from_bytes(raw[68:70], "little")
    directories = int.from_bytes(raw[first - 4 : first], "little")
    place = first + 8 * _CERTIFICATES
    certificates, directory_at = (0, 0), 0
    if directories > _CERTIFICATES and place + 8 <= len(raw):
        directory_at = at + place
        where, size = struct.unpack_from("<II", raw, place)
        certificates = (where, size) if where and size else (0, 0)
    table = at + optional
    sections = tuple(_sections(source.read(offset + table, 40 * count)))
    headers = max(min(headers, 1 << 20), table + 40 * count)
    return Pe(
        machine, time, characteristics, magic == 0x20B, subsystem, entry, at + 64, directory_at, headers, image_size, sections,
        certificates, _symbols_end(source, offset, symbols_at, symbols, max([headers, *(each.offset for each in sections)])),
    )  # fmt: skip


def _symbols_end(source: ByteSource, offset: int, at: int, count: int, lowest: int) -> int:
    """Where the COFF symbols and the table of strings behind them end: linkers of the GNU kind leave them in EFI programs."""
    strings = at + _SYMBOL * count
    if not count or at < lowest or offset + strings + 4 > source.size:
        return 0
    length = int.from_bytes(source.view(offset + strings, 4), "little")
    end = strings + max(length, 4)
    return end if offset + end <= source.size else strings


def _sections(table: bytes) -> list[Section]:
    out = []
    for raw_name, virtual, address, size, at, _, _, _, _, _ in _SECTION.iter_unpack(table):
        if at and size:
            out.append(Section(words(raw_name), address, virtual, at, size))
    return out


def describe(pe: Pe) -> dict[str, str | int]:
    """The fields worth showing."""
    return {
        "machine": MACHINES.get(pe.machine, f"0x{pe.machine:04x}"),
        "bits": 64 if pe.plus else 32,
        "subsystem": SUBSYSTEMS.get(pe.subsystem, str(pe.subsystem)),
        "sections": ", ".join(each.name or "?" for each in pe.sections),
    }
