"""barebox: the header gives the extent, the banner the version."""

from __future__ import annotations

import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.barebox import FORMATS
from fwcheck.extraction.source import Memory

BAREBOX = FORMATS[0]


def barebox(arm: bool = True, order: str = "<", size: int | None = None) -> bytes:
    body = b"\0barebox 2023.05.0-custom #1 Mon May 1\0" + b"code" * 700
    start = b"\x0e\0\0\xea" + bytes(28) if arm else b"\0\x10\0\x10" + bytes(12)
    length = len(start) + 16 + (0 if arm else 16) + len(body)
    head = start + b"barebox\0" + struct.pack(order + "II", 0x80000000, length if size is None else size)
    return head + bytes(0 if arm else 16) + body


def seeds() -> list[bytes]:
    return [barebox(), barebox(arm=False, order=">")]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("arm", [True, False])
def test_extent_and_version_are_told(arm, order):
    image = barebox(arm, order)
    container = BAREBOX.open(Memory(b"\xff" * 64 + image + b"after"), 64)
    assert container.size == len(image)
    assert str(container.detail["version"]).startswith("2023.05.0-custom")
    assert container.detail["byte_order"] == ("little" if order == "<" else "big")
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == image[0x30:]


def test_a_cut_image_is_told_and_words_in_text_are_refused():
    assert BAREBOX.open(Memory(barebox()[:-9]), 0).problems
    for image in (barebox(size=12), barebox(size=0x7F7F7F7F), b"text about barebox\0" * 9, barebox()[:40]):
        with pytest.raises(FormatError):
            BAREBOX.open(Memory(image), 0)
