"""PSoC boot loader files: rows of both versions come out at their places."""

from __future__ import annotations

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.cyacd import FORMATS
from fwcheck.extraction.source import Memory

CYACD = FORMATS[0]
ROWS = [bytes([number]) * 128 for number in range(1, 5)]


def first(rows: list[bytes] = ROWS, start: int = 0x10) -> bytes:
    out = b"04C811930000\r\n"
    for number, data in enumerate(rows):
        raw = b"\0" + (start + number).to_bytes(2, "big") + len(data).to_bytes(2, "big") + data
        out += b":" + (raw + bytes([-sum(raw) & 0xFF])).hex().upper().encode() + b"\r\n"
    return out


def second(rows: list[bytes] = ROWS) -> bytes:
    out = b"01E20624002100010102030A\n"
    out += b"@APPINFO:0x10010000,0x200\n"
    for number, data in enumerate(rows):
        out += b":" + ((0x10010000 + 128 * number).to_bytes(4, "little") + data).hex().encode() + b"\n"
    return out


def seeds() -> list[bytes]:
    return [first(), second()]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


def test_rows_of_the_first_version_come_out_at_their_places():
    container = CYACD.open(Memory(first() + b"behind"), 0)
    assert contents(container) == {"0x00000800": b"".join(ROWS)}
    assert (container.size, container.problems, container.detail["silicon_id"]) == (len(first()), [], "04c81193")
    assert container.detail["integrity_detail"] == "checksum byte per row right"


def test_rows_of_the_second_version_come_out_at_their_addresses():
    container = CYACD.open(Memory(second()), 0)
    assert contents(container) == {"0x10010000": b"".join(ROWS)}
    assert (container.size, container.detail["fields"]) == (len(second()), "APPINFO:0x10010000,0x200")


def test_a_wrong_checksum_is_told():
    text = bytearray(first())
    text[40:42] = b"FF"
    assert CYACD.open(Memory(text), 0).problems == ["wrong checksum of row 16"]


@pytest.mark.parametrize("text", [b"04C811930000\r\n", b"04C811930000\r\n:00001000", b"not hexadecimal\n:00", first()[:60]])
def test_other_text_is_refused(text):
    with pytest.raises(FormatError):
        CYACD.open(Memory(text), 0)
