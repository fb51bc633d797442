"""What a format explained is not met again as the first thing inside it."""

from __future__ import annotations

import zlib

import pytest

from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Mapped, Memory


def trx() -> bytes:
    body = b"\0\0\1\0" + (28).to_bytes(4, "little") + bytes(8) + b"code" * 50
    return b"HDR0" + (len(body) + 12).to_bytes(4, "little") + (zlib.crc32(body) ^ 0xFFFFFFFF).to_bytes(4, "little") + body


@pytest.mark.parametrize(
    ("chain", "found"),
    [
        (("image",), ["trx"]),
        (("image", "trx@0x0", "loader"), []),  # a piece that the container itself explains as code
        (("image", "trx@0x0", "/boot/loader"), ["trx"]),  # a file may well be of the same format
        (("image", "uimage@0x0", "loader"), ["trx"]),
    ],
)
def test_code_that_begins_with_the_header_of_its_container_is_not_opened_again(chain, found):
    items = Explorer(Limits()).explore(Memory(trx()), chain, 1).items
    assert [item.node.format for item in items if item.node.format == "trx"] == found


def test_the_same_header_further_inside_is_opened():
    items = Explorer(Limits()).explore(Memory(bytes(64) + trx()), ("image", "trx@0x0", "loader"), 1).items
    assert [item.node.offset for item in items if item.node.format == "trx"] == [64]


@pytest.mark.parametrize(
    ("rest", "format", "gaps"),
    [
        (b"boot=1\nname=value\r\n" * 90, "text", 0),
        (b"boot=1\n" * 200 + b"\0\1\2\3" * 90, "unknown", 1),
        (bytes(2000), "padding", 0),
    ],
)
def test_plain_text_that_nothing_claims_is_no_gap(tmp_path, rest, format, gaps):
    path = tmp_path / "image"
    path.write_bytes(trx() + rest)
    found = Explorer(Limits()).explore(Mapped.open(path), ("image",), 1)
    assert [item.node.format for item in found.items][-1] == format
    assert len([gap for gap in found.gaps if gap.bytes == len(rest)]) == gaps
