"""OpenWrt's end mark: alone, repeated, and not where other bytes follow."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.openwrt_eof import FORMATS
from fwcheck.extraction.source import Mapped, Memory

END = FORMATS[0]
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"
MARK = b"\xde\xad\xc0\xde"


def seeds() -> list[bytes]:
    return [MARK, MARK * 3]


@pytest.mark.parametrize("behind", [b"", b"\xff" * 500])
@pytest.mark.parametrize("count", [1, 3])
def test_marks_are_read(count, behind):
    container = END.open(Memory(b"?" * 4 + MARK * count + behind), 4)
    assert (container.size, container.detail["marks"]) == (4 * count, count)


def test_other_bytes_behind_it_make_it_none():
    with pytest.raises(FormatError):
        END.open(Memory(MARK + b"code"), 0)


@pytest.mark.corpus
def test_a_real_image_has_one():
    path = CORPUS / "lede-17.01.4-sysupgrade_lede-17.01.4-ar71xx-generic-tl-wr841-v11-squashfs-sysupgrade.bin"
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    source = Mapped.open(path)
    assert END.open(source, source.size - 4).size == 4


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(MARK * 3, 10):
        exercise(END, data)
