"""Intel HEX: memory comes out at its addresses, broken records end the file with a problem, hostile addresses cost nothing."""

from __future__ import annotations

import hashlib
import random
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.formats.intel_hex import FORMATS
from fwcheck.extraction.formats.mcuboot import FORMATS as MCUBOOTS
from fwcheck.extraction.source import Mapped, Memory

HEX, MCUBOOT = FORMATS[0], MCUBOOTS[0]
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"
END = b":00000001FF\r\n"


def record(kind: int, address: int, data: bytes) -> bytes:
    raw = bytes([len(data)]) + address.to_bytes(2, "big") + bytes([kind]) + data
    return b":" + (raw + bytes([-sum(raw) & 0xFF])).hex().upper().encode() + b"\r\n"


def memory(address: int, data: bytes, width: int = 16) -> bytes:
    out = b""
    for at in range(0, len(data), width):
        place = address + at
        out += record(4, 0, (place >> 16).to_bytes(2, "big")) if at == 0 or place & 0xFFFF == 0 else b""
        out += record(0, place & 0xFFFF, data[at : at + width])
    return out


def seeds() -> list[bytes]:
    unordered = memory(0x2000, b"b" * 64) + memory(0x1000, b"a" * 64) + record(3, 0, bytes(4)) + record(2, 0, b"\x10\x00")
    return [
        memory(0x26000, bytes(range(256)) * 3) + record(5, 0, b"\x00\x02\x60\x01") + END,
        unordered + record(0, 0x20, b"segment") + END,
    ]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=3000), st.integers(0, 0xFFFF).map(lambda page: page << 16), st.sampled_from([16, 32]))
def test_memory_comes_back_at_its_address(data, address, width):
    text = memory(address, data, width) + END
    container = HEX.open(Memory(text + b"trailer"), 0)
    assert contents(container) == {f"0x{address:08x}": data}
    assert (container.size, container.problems) == (len(text), [])


def test_small_holes_are_erased_flash_and_large_ones_part_the_image():
    text = memory(0x1000, b"a" * 64) + memory(0x1080, b"b" * 64) + memory(0x10001000, b"uicr" * 4) + END
    assert contents(HEX.open(Memory(text), 0)) == {
        "0x00001000": b"a" * 64 + b"\xff" * 64 + b"b" * 64,
        "0x10001000": b"uicr" * 4,
    }


def test_overlapping_records_are_told_and_the_first_counts():
    text = memory(0x1000, b"a" * 32) + memory(0x1010, b"b" * 32) + END
    container = HEX.open(Memory(text), 0)
    assert contents(container) == {"0x00001000": b"a" * 32 + b"b" * 16}
    assert container.problems == ["pieces overlap at 0x1010", "pieces overlap at 0x1020"][: len(container.problems)]
    assert container.problems


def test_segment_addresses_and_start_addresses_are_read():
    text = record(2, 0, b"\x10\x00") + record(0, 0x20, b"segment!") + record(5, 0, b"\x08\x00\x01\x31") + END
    container = HEX.open(Memory(text), 0)
    assert contents(container) == {"0x00010020": b"segment!"}
    assert container.detail["start_address"] == "0x08000131"


def test_files_of_intelhex_are_read(tmp_path):
    intelhex = pytest.importorskip("intelhex", reason="intelhex is not installed")
    image = intelhex.IntelHex()
    image.puts(0x8000000, b"flash" * 100)
    image.puts(0x10001014, b"uicr")
    image.start_addr = {"EIP": 0x8000101}
    image.write_hex_file(str(tmp_path / "out.hex"))
    container = HEX.open(Memory((tmp_path / "out.hex").read_bytes()), 0)
    assert contents(container) == {"0x08000000": b"flash" * 100, "0x10001014": b"uicr"}
    assert container.detail["start_address"] == "0x08000101"


def test_a_broken_record_ends_the_file_and_is_told():
    text = memory(0, b"a" * 64) + b":10004000ZZ\n" + END
    container = HEX.open(Memory(text), 0)
    assert contents(container) == {"0x00000000": b"a" * 64}
    assert "broken record" in container.problems[0]


def test_text_that_only_begins_with_a_colon_is_refused():
    for text in (b":0000000", b":10000000 hello", b":zz", b":" * 100):
        with pytest.raises(FormatError):
            HEX.open(Memory(text), 0)


def test_mutations_raise_nothing_else():
    whole = memory(0x26000, random.Random(1).randbytes(800)) + END
    randomness = random.Random(2)
    for _ in range(600):
        data = bytearray(whole)
        for _ in range(randomness.randint(1, 4)):
            data[randomness.randrange(len(data))] = randomness.choice(b"0123456789ABCDEF:\n\x00\xff")
        try:
            container = HEX.open(Memory(data[: randomness.randrange(len(data))]), 0)
            assert sum(map(len, contents(container).values())) <= len(data) * 4
        except ExtractionError:
            continue


@pytest.mark.corpus
def test_a_real_boot_loader_is_read_to_its_end_record():
    path = CORPUS / "nrf-bootloader-ble-debug_secure_bootloader_ble_s140_pca10056_debug_sdk160.hex"
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    container = HEX.open(Mapped.open(path), 0)
    assert (container.problems, container.size) == ([], path.stat().st_size)


def test_an_mcuboot_image_is_whole_over_a_hole_that_the_file_leaves_out():
    """Erased flash is not written to the file, but hash and signature are of it."""
    hole = 0x30000
    head = struct.pack("<IIHHIIBBHI", 0x96F3B83D, 0, 32, 0, 1000 + hole + 500, 0, 1, 2, 3, 4).ljust(32, b"\0")
    body = b"c" * 1000 + b"\xff" * hole + b"d" * 500
    tlvs = struct.pack("<HHHH", 0x6907, 40, 0x10, 32) + hashlib.sha256(head + body).digest()
    behind = 0x20000 + 32 + 1000 + hole
    text = memory(0x20000, head + b"c" * 1000) + memory(behind, b"d" * 500 + tlvs) + memory(0x90000, b"other") + END
    parts = contents(HEX.open(Memory(text), 0))
    assert set(parts) == {"0x00020000", "0x00090000"}
    image = MCUBOOT.open(Memory(parts["0x00020000"]), 0)
    assert (image.size, image.problems) == (len(head + body + tlvs), [])
    assert image.detail["integrity_detail"].startswith("sha256 right")


@pytest.mark.parametrize("size", [1000, 1000 + 0x30000, 0xFFFFFFFF])
def test_a_hole_behind_an_mcuboot_image_parts_the_memory(size):
    head = struct.pack("<IIHHIIBBHI", 0x96F3B83D, 0, 32, 0, size, 0, 1, 2, 3, 4).ljust(32, b"\0")
    text = memory(0x20000, head + b"c" * 1000) + memory(0x20000 + 32 + 1000 + 0x30000, b"other" * 9) + END
    assert len(contents(HEX.open(Memory(text), 0))) == 2


@pytest.mark.parametrize(
    ("address", "data", "expected"),
    [
        (0x10001208, b"\x00\xff\xff\xff", "locked: nRF52 UICR.APPROTECT is 0xffffff00"),
        (0x10001208, b"\x5a\x00\x00\x00", "open: nRF52 UICR.APPROTECT is 0x0000005a"),
        (0x10001208, b"\xff\xff\xff\xff", "unknown: nRF52 UICR.APPROTECT is 0xffffffff"),
        (0x10001000, b"\xff" * 0x208 + b"\x00\xff\xff\xff", "locked: nRF52 UICR.APPROTECT is 0xffffff00"),
        (0x10001004, b"\xff\x00\xff\xff", "locked: nRF51 UICR.RBPCONF is 0xffff00ff"),
        (0x00FF8000, b"\xfa\x50\xfa\x50", "open: nRF53 UICR.APPROTECT is 0x50fa50fa"),
        (0x1FFFF800, b"\xaa\x55", "open: STM32F0/F1/F3 option byte RDP is 0xaa"),
        (0x1FFFC000, b"\xff\xcc\xff\xff", "locked: STM32F2/F4 option byte RDP is 0xcc"),
        (0x1FFF7800, b"\xbb\xff", "partly: STM32L4/G0/G4/WB option byte RDP is 0xbb"),
        (0x1FFFF800, b"\xa5\x5a", "unknown: STM32F0/F1/F3 option byte RDP is 0xa5"),
        (0x10001208, b"\x00\xff", ""),  # half of the word
        (0x10001014, bytes(8), ""),
        (0x00FF0000, bytes(0x10000), ""),  # flash that goes on to there
    ],
)
def test_a_word_that_locks_the_debug_port_is_told(address: int, data: bytes, expected: str) -> None:
    (entry,) = HEX.open(Memory(memory(address, data) + END), 0).entries
    told = f"{entry.detail['debug_lock']}: {entry.detail['debug_lock_word']}" if "debug_lock" in entry.detail else ""
    assert told == expected
