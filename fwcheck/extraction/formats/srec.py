"""Motorola S-records: a memory image as text (Motorola, M68000 Family Programmer's Reference Manual, appendix C).

``S``, a digit, then bytes in hexadecimal: count of what follows, address, data, and the complement of the sum of all these. S0
is a header with text, S1, S2 and S3 are data at addresses of 2, 3 and 4 bytes, S5 and S6 count the data records, S7, S8 and S9
end the file with a start address of 4, 3 and 2 bytes.
"""

from __future__ import annotations

from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._memory_image import ranges, read_lines
from fwcheck.extraction.formats._parts import words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource, Memory

_SIZE_LIMIT: Final = 64 << 20  # of the text
_ADDRESS = {0: 2, 1: 2, 2: 3, 3: 4, 5: 2, 6: 3, 7: 4, 8: 3, 9: 2}  # bytes of the address by kind
_HEADER, _COUNTS, _ENDS = 0, {5, 6}, {7, 8, 9}


class Srec(Format):
    """Motorola S-record file; each contiguous range of memory is a part."""

    name = "srec"
    title = "Motorola S-records (S19, S28, S37)"
    specification = "Motorola, M68000 Family Programmer's Reference Manual, appendix C"
    category = "microcontroller"
    reads = "all record types, checksums, record counts, start address; overlapping and unordered records"
    not_read = ""
    signatures = (Signature(pattern=rb"S[0-3][0-9A-Fa-f]{8}", width=10, anywhere=False),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        text = source.read(offset, min(source.size - offset, _SIZE_LIMIT))
        reader = _Reader()
        at = read_lines(text, reader)
        if not reader.chunks:
            raise FormatError("no S-records with data")
        problems = reader.problems
        if not reader.ended and not reader.counted:
            problems.append(f"no end record: broken or cut off at 0x{offset + at:x}")
        entries = ranges([(address, Memory(data)) for address, data in reader.chunks], problems)
        detail: dict[str, str | int] = {"records": reader.records, "header": reader.header}
        if reader.start is not None:
            detail["start_address"] = f"0x{reader.start:08x}"
        detail |= {"integrity": "checksum", "integrity_detail": "checksum byte per record"}
        return Container(format=self.name, size=at, entries=entries, detail=detail, problems=problems)


class _Reader:
    """Records read so far: ``chunks`` are (address, data) in file order."""

    def __init__(self) -> None:
        self.chunks: list[tuple[int, bytearray]] = []
        self.records = 0
        self.header = ""
        self.start: int | None = None
        self.ended = False
        self.counted = False  # a file without a start address may end with its count
        self.problems: list[str] = []
        self._data = 0

    def record(self, line: bytes) -> bool:
        """Takes one record; False when it is none."""
        kind = line[1] - 0x30 if len(line) >= 10 and line[:1] == b"S" else -1
        try:
            raw = bytes.fromhex(line[2:].decode("ascii"))
        except ValueError:
            raw = b""
        width = _ADDRESS.get(kind, 0)
        if not width or len(raw) < width + 2 or len(raw) != raw[0] + 1 or sum(raw) & 0xFF != 0xFF:
            return False
        self.records += 1
        address, data = int.from_bytes(raw[1 : 1 + width], "big"), raw[1 + width : -1]
        if kind == _HEADER:
            self.header = words(data)
        elif kind in _COUNTS:
            self.counted = True
            if address != self._data & (1 << 8 * width) - 1:
                self.problems.append(f"{self._data} data records, {address} counted")
        elif kind in _ENDS:
            self.ended, self.start = True, address
        else:
            self._data += 1
            if self.chunks and self.chunks[-1][0] + len(self.chunks[-1][1]) == address:
                self.chunks[-1][1].extend(data)
            elif data:
                self.chunks.append((address, bytearray(data)))
        return True


FORMATS = (Srec(),)
