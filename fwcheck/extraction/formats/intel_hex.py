"""Intel HEX: a memory image as text records with addresses and checksums (Intel, Hexadecimal Object File Format, 1988)."""

from __future__ import annotations

from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._memory_image import ranges, read_lines
from fwcheck.extraction.formats._nordic_flash import boot_checks
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource, Memory

_DATA, _END, _SEGMENT, _START_SEGMENT, _LINEAR, _START_LINEAR = range(6)
_SIZE_LIMIT: Final = 64 << 20  # of the text


class IntelHex(Format):
    """Intel HEX file; each contiguous range of memory is a part."""

    name = "intel-hex"
    title = "Intel HEX"
    specification = "Intel, Hexadecimal Object File Format Specification, revision A, 1988"
    category = "microcontroller"
    reads = "all record types with segment and linear addresses, checksums, start address; overlapping and unordered records"
    not_read = "universal hex files for several boards"
    signatures = (Signature(pattern=rb":[0-9A-Fa-f]{6}0[0-5]", width=9, anywhere=False),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        text = source.read(offset, min(source.size - offset, _SIZE_LIMIT))
        reader = _Reader()
        at = read_lines(text, reader)
        if not reader.chunks:
            raise FormatError("no Intel HEX records")
        problems = [] if reader.ended else [f"no end record: {reader.reason or 'the file is cut off'} at 0x{offset + at:x}"]
        pieces: list[tuple[int, ByteSource]] = [(address, Memory(data)) for address, data in reader.chunks]
        entries = ranges(pieces, problems)
        checks = boot_checks(pieces)
        detail: dict[str, str | int] = {"records": reader.records}
        if reader.start is not None:
            detail["start_address"] = f"0x{reader.start:08x}"
        detail |= {**checks.detail, "integrity": "checksum", "integrity_detail": "checksum byte per record"}
        return Container(
            format=self.name, size=at, entries=entries, detail=detail, problems=problems, signatures=checks.signatures
        )


class _Reader:
    """Records read so far: ``chunks`` are (address, data) in file order."""

    def __init__(self) -> None:
        self.chunks: list[tuple[int, bytearray]] = []
        self.records = 0
        self.start: int | None = None
        self.ended = False
        self.reason = ""
        self._base = 0

    def record(self, line: bytes) -> bool:
        """Takes one record; False, with a reason, when it is none."""
        try:
            raw = bytes.fromhex(line[1:].decode("ascii")) if line[:1] == b":" else b""
        except ValueError:
            raw = b""
        if len(raw) < 5 or len(raw) != raw[0] + 5 or sum(raw) & 0xFF or raw[3] > _START_LINEAR:
            self.reason = "a broken record"
            return False
        self.records += 1
        address, kind, data = int.from_bytes(raw[1:3], "big"), raw[3], raw[4:-1]
        if kind == _DATA:
            self._data(self._base + address, data)
        elif kind == _END:
            self.ended = True
        elif kind == _SEGMENT and len(data) == 2:
            self._base = int.from_bytes(data, "big") << 4
        elif kind == _LINEAR and len(data) == 2:
            self._base = int.from_bytes(data, "big") << 16
        elif kind in {_START_SEGMENT, _START_LINEAR}:
            self.start = int.from_bytes(data, "big")
        return True

    def _data(self, address: int, data: bytes) -> None:
        if self.chunks and self.chunks[-1][0] + len(self.chunks[-1][1]) == address:
            self.chunks[-1][1].extend(data)
        else:
            self.chunks.append((address, bytearray(data)))


FORMATS = (IntelHex(),)
