"""Well-formed ELF files are read without lief, to the same facts; anything else is left to it."""

from __future__ import annotations

import contextlib
import struct
import subprocess
import sys
import warnings
from itertools import chain, islice
from pathlib import Path

import msgspec
import pytest
from support.hostile import mutations, truncations

from fwcheck.inspection import elf
from fwcheck.inspection.elf_direct import Unusual, read_directly
from fwcheck.inspection.elf_judgement import ElfUnreadable

REFUSALS = (Unusual, struct.error, ValueError, OverflowError)
PLACES = ("/usr/bin", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", *map(str, Path("/usr").glob("*-linux-*/lib")))


def programs(folder: str, count: int = 12) -> list[bytes]:
    """Some programs and libraries of a folder, the smaller ones."""
    found = []
    for path in sorted(Path(folder).glob("*")):
        if path.is_file() and not path.is_symlink() and 1000 < path.stat().st_size < 400_000:
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    found.append(path)
    return [path.read_bytes() for path in islice(found, 0, None, max(1, len(found) // count))]


@pytest.mark.parametrize("folder", PLACES)
def test_both_say_the_same(folder: str) -> None:
    contents = programs(folder)
    if not contents:
        pytest.skip(f"no ELF files in {folder}")
    same = 0
    for content in contents:
        try:
            facts = read_directly(content)
        except REFUSALS:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            told = elf._by_lief(content)
        assert told is not None
        assert msgspec.structs.replace(told, reader="direct") == facts
        same += 1
    assert same * 10 >= len(contents) * 8  # of libraries for developers some are none


def test_lief_is_not_even_imported_for_them() -> None:
    content = Path(sys.executable).resolve()
    code = (
        "import sys; from fwcheck.inspection.elf import read_elf\n"
        f"print(read_elf(open({str(content)!r}, 'rb').read()).reader, 'lief' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert told in (["direct", "False"], ["lief", "True"])
    for place in ("/bin/ls", "/bin/true"):
        if Path(place).is_file():
            assert elf.read_elf(Path(place).read_bytes()).reader == "direct"


@pytest.mark.fuzz
def test_damaged_files_are_refused_in_one_way() -> None:
    content = next(iter(programs("/usr/bin", 1)), b"")
    if not content:
        pytest.skip("no program to damage")
    (table,) = struct.unpack_from("<Q", content, 40)
    hot = ((0, 64), (64, 1024), (table, len(content)))
    refused = 0
    for damaged in chain(truncations(content, 40), mutations(content, 2.0, hot=hot)):
        if len(damaged) < 52:
            continue
        try:
            read_directly(damaged)
        except REFUSALS:
            refused += 1
    assert refused


def test_names_that_name_the_same_bytes_over_and_over_do_not_add_up() -> None:
    """A table of 100,000 symbols, each of whose names is the rest of a string of 4,000 characters."""
    number, longest = 100_000, 4_000
    strings = b"\0" + b"a" * longest + b"\0"
    names = 64 + 2 * 56 + 7 * 16
    symbols = names + len(strings)
    chains = symbols + number * 24
    size = chains + 8
    tags = ((5, names), (10, len(strings)), (6, symbols), (11, 24), (4, chains), (1, 1), (0, 0))
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = ident + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 4, 0, 0, 0, size, size, 1)
    dynamic = struct.pack("<IIQQQQQQ", 2, 4, 64 + 2 * 56, 64 + 2 * 56, 0, 7 * 16, 7 * 16, 8)
    table = b"".join(struct.pack("<IBBHQQ", 1 + index % longest, 0x12, 0, index % 2, 0, 0) for index in range(number))
    content = head + load + dynamic + b"".join(struct.pack("<QQ", *tag) for tag in tags) + strings + table
    content += struct.pack("<II", 1, number)
    with pytest.raises(Unusual, match="names"):
        read_directly(content)
    few = content.replace(strings, b"\0" + b"bcd\0" * (longest // 4) + b"\0", 1)
    assert read_directly(few).imports


@pytest.mark.parametrize(
    ("at", "value"),
    [(4, 3), (5, 0), (6, 2), (16, 4), (18, 0xFF), (54, 1), (58, 1), (62, 0xFF)],
)
def test_an_unusual_header_is_not_read(at: int, value: int) -> None:
    content = bytearray(next(iter(programs("/usr/bin", 1)), b""))
    if not content:
        pytest.skip("no program to change")
    content[at] = value
    content[at + 1] = 0 if at > 16 else content[at + 1]
    try:
        facts = read_directly(bytes(content))
    except REFUSALS:
        facts = None
    assert facts is None
    with contextlib.suppress(ElfUnreadable):
        assert elf.read_elf(bytes(content)).reader != "direct"
