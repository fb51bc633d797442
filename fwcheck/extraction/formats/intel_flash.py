"""Intel flash descriptor and the partition table of the management engine (ME, CSME, TXE, SPS).

Descriptor (Intel SPI programming guides; coreboot util/ifdtool): 0x0ff0a55a at 0x10, then three map words: bits 0-7 of
the second half of FLMAP0 and the like give, times 16, where regions (FRBA), masters (FMBA) and components (FCBA) stand.
A region is a word: first and last 4 KiB block in bits 0-14 and 16-30. The host's rights are in the first master word.

``$FPT`` stands at 0x10 of the engine's region (or at its beginning): number of entries, versions, header length, a
checksum (all bytes sum up to zero); entries of 32 bytes: name, owner, offset, size, three words, flags.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_MAGIC = 0x0FF0A55A
_REGIONS = (
    "descriptor", "bios", "me", "gbe", "platform-data", "device-expansion", "bios-2", "microcode", "ec", "device-expansion-2",
    "innovation-engine", "10gbe-0", "10gbe-1", "region-13", "region-14", "ptt",
)  # fmt: skip
_BLOCK = 4096
_OLD_CLOCK, _NEW_CLOCK = 0, 6  # read clock in FLCOMP: 20 MHz until Broadwell, 17 MHz from Skylake on
_FPT = struct.Struct("<4sIBBBBHHII4H")
_ENTRY = struct.Struct("<4s4sIIIIII")
_ENTRIES_LIMIT = 64


class IntelDescriptor(Format):
    """Flash image with an Intel descriptor; its regions are parts, the host's write access is told."""

    name = "intel-flash"
    title = "Intel flash descriptor"
    specification = "coreboot util/ifdtool; Intel SPI programming guides"
    category = "partition table"
    reads = "both layouts of the masters' rights, up to 16 regions, write access of the host to descriptor and management engine"
    not_read = "straps; descriptors whose signature stands at offset 0 (ICH8)"
    signatures = (Signature(pattern=rb"\x5a\xa5\xf0\x0f[\x00-\x30][\x00-\x0f][\x01-\x40][\x00-\x1f]", width=8, offset=0x10),)
    priority = 10

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _BLOCK)
        magic, first, second = struct.unpack_from("<III", raw, 0x10)
        regions_at, masters_at, parts_at = (first >> 16 & 0xFF) << 4, (second & 0xFF) << 4, (first & 0xFF) << 4
        if magic != _MAGIC or not 0x20 <= regions_at < masters_at <= 0xFF0 or not 0x20 <= parts_at <= 0xFF0:
            raise FormatError("not a flash descriptor")
        problems: list[str] = []
        spans = _spans(raw, regions_at, min(16, (masters_at - regions_at) // 4))
        if not spans or spans[0] != ("descriptor", 0, _BLOCK):
            raise FormatError("a flash descriptor without its own region")
        end = max(at + size for _, at, size in spans)
        size = min(end, source.size - offset)
        if size < end:
            problems.append(f"regions up to {end} bytes, {size} there")
        detail: dict[str, str | int] = {"regions": ", ".join(name for name, _, _ in spans)}
        detail |= _rights(raw, masters_at, parts_at) | {"integrity": "none", "integrity_detail": "no check"}
        entries = list(_regions(source, offset, spans[1:], size, problems))
        return Container(format=self.name, size=size, entries=entries, detail=detail, problems=problems)


def _spans(raw: bytes, at: int, count: int) -> list[tuple[str, int, int]]:
    """Name, offset and size of the regions in use, by offset."""
    out = []
    for number in range(count):
        word = int.from_bytes(raw[at + 4 * number : at + 4 * number + 4], "little")
        first, last = word & 0x7FFF, word >> 16 & 0x7FFF
        if first <= last and word != 0xFFFFFFFF and (first or last or number == 0):
            out.append((_REGIONS[number], first * _BLOCK, (last - first + 1) * _BLOCK))
    return sorted(out, key=lambda span: span[1])


def _regions(
    source: ByteSource, offset: int, spans: list[tuple[str, int, int]], size: int, problems: list[str]
) -> Iterator[Entry]:
    """Regions and, so that nothing is lost, what lies between them."""
    end = _BLOCK
    for name, at, length in [*spans, ("", size, 0)]:
        if at > end and end < size:
            yield part(source, f"between-0x{end:x}", offset + end, min(at, size) - end)
        if at < end and name:
            note(problems, f"region {name} lies inside another one")
        elif name and at < size:
            yield part(source, name, offset + at, min(length, size - at))
        end = max(end, at + length)


def _rights(raw: bytes, masters: int, components: int) -> dict[str, str | int]:
    word = int.from_bytes(raw[masters : masters + 4], "little")
    clock = int.from_bytes(raw[components : components + 4], "little") >> 17 & 7
    if clock == _NEW_CLOCK:
        reads, writes, layout = word >> 8 & 0xFFF, word >> 20 & 0xFFF, "Skylake and later"
    else:
        reads, writes, layout = word >> 16 & 0xFF, word >> 24 & 0xFF, "until Broadwell"

    def names(bits: int) -> str:
        return ", ".join(name for number, name in enumerate(_REGIONS[:12]) if bits >> number & 1) or "none"

    return {
        "layout": layout,
        "host_may_read": names(reads),
        "host_may_write": names(writes),
        "descriptor_locked": "no" if writes & 1 else "yes",
    }


class IntelEngine(Format):
    """Region of the management engine: the partitions of its table are parts, the code inside is not read."""

    name = "intel-me"
    title = "Intel management engine ($FPT)"
    specification = "coreboot util/me_cleaner and ifdtool; layout of $FPT"
    category = "partition table"
    reads = "partition table of versions 1 and 2, its checksum, version of the tool that built it"
    not_read = "what is inside the partitions (manifests, Huffman and LZMA modules)"
    signatures = (
        Signature(pattern=rb"\$FPT[\x01-\x40]\x00\x00\x00[\x10\x20\x21][\x10\x20][\x20\x30]", width=11, offset=0x10),
        Signature(pattern=rb"\$FPT[\x01-\x40]\x00\x00\x00[\x10\x20\x21][\x10\x20][\x20\x30]", width=11, anywhere=False),
    )
    priority = 15

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        table = offset if source.peek(offset, 4) == b"$FPT" else offset + 0x10
        raw = source.read(table, _FPT.size)
        magic, count, version, _, length, _, _, _, _, _, *tool = _FPT.unpack(raw)
        if magic != b"$FPT" or not 0 < count <= _ENTRIES_LIMIT or length not in {0x20, 0x30}:
            raise FormatError("not a partition table of the management engine")
        begin = table + length
        rows = [row for row in _ENTRY.iter_unpack(source.read(begin, _ENTRY.size * count)) if _used(row)]
        header_end = begin + _ENTRY.size * count - offset
        ends = [header_end, *(row[2] + row[3] for row in rows)]
        size = min(max(ends), source.size - offset)
        problems = [f"partitions up to {max(ends)} bytes, {size} there"] if size < max(ends) else []
        right = not sum(source.read(table, length)) & 0xFF
        entries = list(_partitions(source, offset, size, header_end, rows, problems))
        return Container(
            format=self.name,
            size=size,
            entries=entries,
            detail={
                "header_version": f"{version >> 4}.{version & 15}",
                "partitions": ", ".join(words(row[0]) for row in rows),
                "tool_version": ".".join(map(str, tool)),
                "integrity": "checksum",
                "integrity_detail": f"header checksum {'right' if right else 'wrong or of another layout'}",
            },
            problems=problems,
        )


def _used(row: tuple[bytes, bytes, int, int, int, int, int, int]) -> bool:
    return 0 < row[2] < 0xFFFFFFFF and 0 < row[3] < 0xFFFFFFFF


def _partitions(
    source: ByteSource,
    offset: int,
    size: int,
    end: int,
    rows: list[tuple[bytes, bytes, int, int, int, int, int, int]],
    problems: list[str],
) -> Iterator[Entry]:
    for name, owner, at, length, _, _, _, flags in sorted(rows, key=lambda row: row[2]):
        shown = words(name) or "unnamed"
        if at < end:
            note(problems, f"partition {shown} lies inside another one")
            continue
        if at > end and end < size:
            yield part(source, f"between-0x{end:x}", offset + end, min(at, size) - end)
        if at < size:
            detail: dict[str, str | int] = {"owner": words(owner) if owner != b"\xff" * 4 else "", "flags": f"0x{flags:08x}"}
            yield part(source, shown, offset + at, min(length, size - at), {key: value for key, value in detail.items() if value})
        end = at + length


FORMATS = (IntelDescriptor(), IntelEngine())
