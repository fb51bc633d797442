"""TI boot images: the configuration header in both byte orders leads to the code."""

from __future__ import annotations

import shutil
import struct
import subprocess

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.ti_gp import FORMATS
from fwcheck.extraction.source import Memory

TI = FORMATS[0]
CODE = b"\x1f\x20\x03\xd5" * 300


def ti(swapped: bool = False) -> bytes:
    head = struct.pack("<5I12s", 0x40, 12, 0, 0, 0, b"CHSETTINGS").ljust(0x40, b"\0") + struct.pack("<III", 0xC0C0C0C1, 0x100, 0)
    image = head.ljust(512, b"\0") + struct.pack("<II", len(CODE) + 8, 0x402F0400) + CODE
    if swapped:
        image = b"".join(image[at : at + 4][::-1] for at in range(0, len(image), 4))
    return image


def seeds() -> list[bytes]:
    return [ti(), ti(swapped=True)]


@pytest.mark.parametrize("swapped", [False, True])
def test_the_code_is_given(swapped):
    image = ti(swapped)
    container = TI.open(Memory(b"?" * 4 + image + b"tail"), 4)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == image[520:]
    assert (container.size, container.problems, container.detail["load_address"]) == (len(image), [], "0x402f0400")


def test_a_cut_image_is_told_and_nonsense_refused():
    assert len(TI.open(Memory(ti()[:-9]), 0).problems) == 1
    image = bytearray(ti())
    image[515] = 0xFF
    with pytest.raises(FormatError):
        TI.open(Memory(image), 0)


@pytest.mark.skipif(shutil.which("mkimage") is None, reason="mkimage is not installed")
@pytest.mark.parametrize("more", [[], ["-n", "byteswap"]])
def test_images_of_the_real_tool_are_read(tmp_path, more):
    (tmp_path / "code").write_bytes(CODE)
    command = ["mkimage", "-T", "omapimage", "-a", "0x402F0400", *more, "-d", "code", "out"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    image = (tmp_path / "out").read_bytes()
    container = TI.open(Memory(image), 0)
    assert (container.size, container.problems, container.detail["load_address"]) == (len(image), [], "0x402f0400")


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(ti(), 60):
        exercise(TI, data)
