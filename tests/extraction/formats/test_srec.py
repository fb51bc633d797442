"""S-records: memory comes out at its addresses whatever the width, checksums and counts are looked at."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.srec import FORMATS
from fwcheck.extraction.source import Memory

SREC = FORMATS[0]
WIDTHS = {1: 2, 2: 3, 3: 4}


def record(kind: int, address: int, data: bytes = b"", width: int = 2) -> bytes:
    raw = bytes([width + len(data) + 1]) + address.to_bytes(width, "big") + data
    return b"S%d" % kind + (raw + bytes([~sum(raw) & 0xFF])).hex().upper().encode() + b"\r\n"


def image(pieces: list[tuple[int, bytes]], kind: int = 3) -> bytes:
    width, out, count = WIDTHS[kind], record(0, 0, b"lamp.srec"), 0
    for address, data in pieces:
        for at in range(0, len(data), 16):
            out += record(kind, address + at, data[at : at + 16], width)
            count += 1
    return out + record(5, count) + record(10 - kind, pieces[0][0], width=width)


def seeds() -> list[bytes]:
    return [
        image([(0x8000, b"code" * 50)], 1),
        image([(0x20000, b"a" * 40), (0x1000, b"b" * 40)], 2),
        image([(1 << 28, b"z" * 90)]),
    ]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


@pytest.mark.parametrize(("kind", "address"), [(1, 0x8000), (2, 0x123456), (3, 0x08000000)])
def test_memory_comes_back_at_its_address(kind, address):
    text = image([(address, b"firmware" * 9)], kind)
    container = SREC.open(Memory(text + b"behind"), 0)
    assert contents(container) == {f"0x{address:08x}": b"firmware" * 9}
    assert (container.size, container.problems, container.detail["header"]) == (len(text), [], "lamp.srec")
    assert container.detail["start_address"] == f"0x{address:08x}"


def test_a_wrong_count_and_a_missing_end_are_told():
    text = record(1, 0, b"abcd")
    assert SREC.open(Memory(text), 0).problems == [f"no end record: broken or cut off at 0x{len(text):x}"]
    assert SREC.open(Memory(text + record(5, 7)), 0).problems == ["1 data records, 7 counted"]


def test_a_broken_record_ends_the_file():
    text = record(1, 0, b"abcd") + record(1, 4, b"efgh")[:-4] + b"00\r\n" + record(9, 0)
    container = SREC.open(Memory(text), 0)
    assert contents(container) == {"0x00000000": b"abcd"}
    assert container.problems


@pytest.mark.parametrize("text", [b"S000000000", b"S113", record(0, 0, b"only a header"), b"Summer"])
def test_other_text_is_refused(text):
    with pytest.raises(FormatError):
        SREC.open(Memory(text), 0)


@pytest.mark.parametrize("width", ["16", "24", "32"])
def test_files_of_srec_cat_are_read(tmp_path, width):
    if shutil.which("srec_cat") is None:
        pytest.skip("srec_cat is not installed")
    (tmp_path / "in.bin").write_bytes(b"\x01\x02\x03" * 333)
    command = [
        "srec_cat",
        "in.bin",
        "-binary",
        "-offset",
        "0x4000",
        "-o",
        "out.srec",
        "-motorola",
        f"-address-length={int(width) // 8}",
    ]
    subprocess.run(command, cwd=tmp_path, check=True)
    container = SREC.open(Memory((tmp_path / "out.srec").read_bytes()), 0)
    assert (contents(container), container.problems) == ({"0x00004000": b"\x01\x02\x03" * 333}, [])
