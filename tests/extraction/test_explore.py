"""What a format explained is not met again as the first thing inside it."""

from __future__ import annotations

import struct
import zlib
from functools import partial
from time import process_time

import pytest

from fwcheck.extraction import explore
from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.format import Container, Entry, Format
from fwcheck.extraction.formats.romfs import Romfs
from fwcheck.extraction.formats.trx import Trx
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import ByteSource, Mapped, Memory


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


def slow(monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[int]:
    """Makes every look at a TRX header take that long on a clock of its own, and none hold; where it was looked at."""
    clock, looked = [0.0], list[int]()

    def rejected(_self: object, _source: object, offset: int, _limits: object) -> None:
        looked.append(offset)
        clock[0] += seconds
        raise FormatError("something else")

    monkeypatch.setattr(Trx, "open", rejected)
    monkeypatch.setattr(explore, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(explore, "thread_time", lambda: clock[0])
    return looked


def test_a_format_whose_signatures_waste_time_is_given_up_and_the_others_are_not(monkeypatch):
    looked = slow(monkeypatch, 0.5)
    romfs = b"-rom1fs-" + struct.pack(">II", 96, 0) + b"disk".ljust(16, b"\0")
    romfs += struct.pack(">IIII", 0, 32, 0, 0) + b".".ljust(16, b"\0")
    romfs = romfs.ljust(96, b"\0")
    total = sum(struct.unpack(">24I", romfs)) & 0xFFFFFFFF
    romfs = romfs[:12] + struct.pack(">I", -total & 0xFFFFFFFF) + romfs[16:]
    found = Explorer(Limits()).explore(Memory(trx() * 200 + romfs.ljust(1024, b"\0")), ("image",), 1)
    assert 0 < len(looked) <= (explore.WASTE + 1) * explore.WASTE_SHARE / 0.5 + 1
    assert [gap.reason for gap in found.gaps if "signatures of trx" in gap.reason]
    assert "romfs" in [item.node.format for item in found.items]


def test_quick_rejections_are_not_given_up(monkeypatch):
    looked = slow(monkeypatch, 0.0001)
    found = Explorer(Limits()).explore(Memory(trx() * 200), ("image",), 1)
    assert len(looked) == 200
    assert not [gap for gap in found.gaps if "took too long" in gap.reason]


def test_parts_that_overlap_share_the_time_for_signatures_that_are_none(monkeypatch):
    """A table may list the same bytes a thousand times, each time from a little further on."""
    looked = slow(monkeypatch, 0.5)
    whole = Memory(trx() * 20)

    def opened(self: Format, source: ByteSource, _offset: int, _limits: Limits) -> Container:
        parts = [
            Entry(path=f"p{at}", role="part", size=whole.size - at, open=partial(whole.window, at, whole.size - at))
            for at in range(0, 200, 2)
        ]
        return Container(format=self.name, size=source.size, entries=parts)

    monkeypatch.setattr(Romfs, "open", opened)
    found = Explorer(Limits()).explore(Memory(b"-rom1fs-" + bytes(1016)), ("image",), 1)
    assert len([item for item in found.items if item.node.path.startswith("p")]) == 100
    assert 0 < len(looked) < 20


def test_the_structure_of_an_image_has_a_budget_of_processor_time():
    """A million valid containers: what was found until then stands, and the rest is told."""
    image = trx() * 20_000
    Explorer(Limits()).explore(Memory(trx()), ("image",), 1)  # the signatures are made ready, whichever test ran before
    begun = process_time()
    whole = Explorer(Limits(seconds_structure=600.0).metered(len(image))).explore(Memory(image), ("image",), 1)
    half = (process_time() - begun) / 2
    limits = Limits(seconds_structure=half, seconds_structure_mib=0.0).metered(len(image))
    found = Explorer(limits).explore(Memory(image), ("image",), 1)
    assert len(found.items) < len(whole.items)
    assert any("processor time for the structure" in gap.reason for gap in found.gaps)
    limits.meter.allow(10)  # contents are bounded by themselves
    limits.meter.check()
