"""MCUboot slot trailers: the fields in front of the magic are read, and belong to the trailer."""

from __future__ import annotations

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.mcuboot_trailer import FORMATS
from fwcheck.extraction.limits import DEFAULT
from fwcheck.extraction.source import Memory

TRAILER = FORMATS[0]
MAGIC = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")


def trailer(ok: bytes = b"\1", done: bytes = b"\xff", info: bytes = b"\xff", size: bytes = b"", align: int = 8) -> bytes:
    magic = MAGIC if align == 8 else align.to_bytes(2, "little") + bytes.fromhex("2de15d29410b8d77679c110f1f8a")
    return b"".join(each.ljust(align, b"\xff") for each in (size, info, done, ok)) + magic


def seeds() -> list[bytes]:
    return [trailer(), trailer(info=b"\x12", size=b"\0\x10\0\0", done=b"\1"), trailer(align=32)]


@pytest.mark.parametrize("align", [8, 32])
def test_the_state_of_a_swap_is_read(align):
    data = bytes(100) + trailer(b"\xff", b"\1", b"\x12", b"\0\x10\0\0", align)
    container = TRAILER.open(Memory(data + b"next slot"), len(data) - 16)
    assert (container.size, container.before) == (16, 4 * align)
    assert container.detail == {
        "alignment": align,
        "image_ok": "unset",
        "copy_done": "set",
        "swap_type": "test",
        "image_number": 1,
        "swap_size": 4096,
    }


def test_the_fields_are_accounted_to_the_trailer():
    data = b"code" * 1000 + b"\xff" * 4096 + trailer()
    items = Explorer(DEFAULT).explore(Memory(data), ("slot",), 0).items
    [node] = [item.node for item in items if item.node.format == "mcuboot-trailer"]
    assert (node.offset, node.size) == (len(data) - 48, 48)


@pytest.mark.parametrize("data", [MAGIC, bytes(32) + MAGIC, b"\xff" * 20 + MAGIC, trailer(b"\2"), trailer()[:-1]])
def test_the_magic_in_code_is_no_trailer(data):
    with pytest.raises(FormatError):
        TRAILER.open(Memory(data), max(0, len(data) - 16))
