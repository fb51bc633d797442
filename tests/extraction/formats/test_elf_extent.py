"""ELF in raw bytes: the extent is that of the file, and lying tables neither raise nor claim what follows."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.formats.elf import FORMATS
from fwcheck.extraction.source import Memory

ELF = FORMATS[0]


def elf32(order: str = ">", segments: int = 1, section_offset: int = 0) -> bytes:
    """A 32-bit MIPS file with one segment of 100 bytes and, if told so, a section header table at the end."""
    ident = b"\x7fELF" + bytes([1, 1 if order == "<" else 2, 1]) + bytes(9)
    header = struct.pack(order + "HHIIIIIHHHHHH", 2, 8, 1, 0x80001000, 52, section_offset, 0, 52, 32, segments, 40, 0, 0)
    return ident + header + struct.pack(order + "8I", 1, 84, 0, 0, 100, 4000, 7, 4) + b"C" * 100


@pytest.fixture(scope="module")
def real() -> bytes:
    path = shutil.which("true") or sys.executable
    data = Path(path).resolve().read_bytes()
    if data[:4] != b"\x7fELF":
        pytest.skip("this system's programs are no ELF files")
    return data


def test_the_extent_of_a_real_program_is_its_file(real):
    container = ELF.open(Memory(b"\0" * 100 + real + b"\xff" * 100), 100)
    assert (container.size, container.problems, list(container.entries)) == (len(real), [], [])


def test_the_extent_of_a_stripped_program_is_not_too_long(real, tmp_path):
    if shutil.which("strip") is None:
        pytest.skip("strip (binutils) is not installed")
    (tmp_path / "program").write_bytes(real)
    subprocess.run(["strip", "--remove-section=.comment", "program"], cwd=tmp_path, check=True)
    data = (tmp_path / "program").read_bytes()
    assert ELF.open(Memory(data + real), 0).size == len(data)


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_are_read(order):
    container = ELF.open(Memory(elf32(order) + b"behind"), 0)
    assert container.size == len(elf32())
    assert container.detail["byte_order"] == ("little" if order == "<" else "big")
    assert (container.detail["type"], container.detail["bits"], container.detail["machine"]) == ("executable", 32, 8)


def test_a_range_that_is_not_there_is_told_and_claims_nothing():
    image = bytearray(elf32() + b"behind" * 1000)
    image[52 + 16 : 52 + 20] = struct.pack(">I", 1 << 30)
    container = ELF.open(Memory(image), 0)
    assert container.size == 84
    assert container.problems


@pytest.mark.parametrize(("at", "value"), [(16, 0xFE00), (18, 0), (20, 2 << 16), (40, 51), (42, 31), (44, 0)])
def test_a_header_that_does_not_fit_is_refused(at, value):
    image = bytearray(elf32())
    image[at : at + 2] = struct.pack(">H", value & 0xFFFF)
    if at == 20:
        image[20:24] = struct.pack(">I", 2)
    with pytest.raises(FormatError):
        ELF.open(Memory(image), 0)


@pytest.mark.fuzz
def test_truncations_and_mutations_raise_nothing_else(real):
    randomness = random.Random(2)
    for number in range(1500):
        image = bytearray(real[:20_000] if number % 2 else elf32())
        for _ in range(randomness.randint(0, 5)):
            image[randomness.randrange(200 if number % 2 else 84)] = randomness.randrange(256)
        image = image[: randomness.randrange(len(image))]
        try:
            assert 0 < ELF.open(Memory(image), 0).size <= len(image)
        except ExtractionError:
            continue


def seeds() -> list[bytes]:
    return [elf32("<"), elf32(">")]
