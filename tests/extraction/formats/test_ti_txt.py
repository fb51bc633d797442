"""TI-TXT: sections come out at their addresses."""

from __future__ import annotations

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.ti_txt import FORMATS
from fwcheck.extraction.source import Memory

TXT = FORMATS[0]


def section(address: int, data: bytes) -> bytes:
    lines = [data[at : at + 16].hex(" ").upper() for at in range(0, len(data), 16)]
    return f"@{address:04X}\n".encode() + "\n".join(lines).encode() + b"\n"


def seeds() -> list[bytes]:
    return [section(0xF000, bytes(range(60))) + section(0xFFFE, b"\0\xf0") + b"q\n", section(0x10000, b"abc") + b"q"]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


def test_sections_come_back_at_their_addresses():
    text = section(0xF000, bytes(range(60))) + section(0x20000, b"far") + b"q\n"
    container = TXT.open(Memory(text + b"behind"), 0)
    assert contents(container) == {"0x0000f000": bytes(range(60)), "0x00020000": b"far"}
    assert (container.size, container.problems) == (len(text), [])


def test_a_missing_end_is_told():
    text = section(0xF000, b"abc")
    container = TXT.open(Memory(text + b"zz"), 0)
    assert container.size == len(text)
    assert container.problems


@pytest.mark.parametrize("text", [b"@F000", b"@F000\nq\n", b"@user said", b"@F000\n0 1 2\n"])
def test_other_text_is_refused(text):
    with pytest.raises(FormatError):
        TXT.open(Memory(text), 0)
