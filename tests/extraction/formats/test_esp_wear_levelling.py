"""Partitions under ESP-IDF's wear levelling: rotated here as its library does, and wrapped by fatfs-ng."""

from __future__ import annotations

import struct
import zlib

import pytest
from support.fat_images import volume

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.esp_wear_levelling import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

(LEVELLING,) = FORMATS
PAGE = 4096
DEVICE = 0xFFFFFFF0  # the numbers behind it run over
FILES = {"config.txt": b"wifi=on\n", "big.bin": bytes(range(251)) * 60}


def crc(data: bytes) -> bytes:
    return struct.pack("<I", zlib.crc32(data, 0xFFFFFFFF))


def partition(data: bytes, moves: int = 0, spare: int = 0, version: int = 2) -> bytearray:
    """The pages of ``data`` after so many rounds of the spare page, and so many steps of the next one.

    A step moves the page behind the spare one, or from the last place on the first one, to the spare one's place.
    """
    pages: list[bytes | None] = [None, *(data[at : at + PAGE] for at in range(0, len(data), PAGE))]
    for step in range(moves * len(pages) + spare):
        at, behind = step % len(pages), (step + 1) % len(pages)
        pages[at], pages[behind] = pages[behind], None
    rotated = b"".join(b"\xff" * PAGE if page is None else page for page in pages)
    head = struct.pack("<7I", 0, len(pages), moves, 5, 16, PAGE, version)
    state = head + crc(head) + bytes(32) if version == 1 else head + struct.pack("<I", DEVICE) + bytes(28)
    state = state if version == 1 else state + crc(state)
    for step in range(spare):
        for n in range(4):
            state += crc(struct.pack("<I", (DEVICE + step * 4 + n) & 0xFFFFFFFF))
    size = PAGE  # room for a record of every page of the partition, the copies of the state among them
    while size < 64 + 16 * (len(pages) + 2 * size // PAGE + 1):
        size += PAGE
    copy = state.ljust(size, b"\xff")
    config = struct.pack("<8I", 0, (len(pages) + 1) * PAGE + 2 * size, PAGE, PAGE, 16, 16, version, 32)
    return bytearray(rotated + copy + copy + (config + crc(config)).ljust(PAGE, b"\xff"))


def seeds() -> list[bytes]:
    data = bytes(volume(FILES, sector=PAGE, clusters=6))
    return [bytes(partition(data)), bytes(partition(data, spare=3))]


def logical(data: bytes | bytearray, offset: int) -> bytes:
    container = LEVELLING.open(Memory(data), offset)
    entry = next(entry for entry in container.entries if entry.path == "volume")
    assert entry.open is not None
    source = entry.open()
    return source.read(0, source.size)


@pytest.mark.parametrize("moves", [0, 1, 2, 7, 30])
@pytest.mark.parametrize("spare", [0, 1, 2, 5, 13])
def test_the_rotation_is_undone(moves: int, spare: int) -> None:
    data = bytes(volume(FILES, sector=PAGE, clusters=9))
    pages = len(data) // PAGE
    spare = min(spare, pages - 1)
    image = partition(data, moves, spare)
    # From the boot sector, wherever it went, and from the state.
    boot = image.index(b"\xeb\x3c\x90")
    state = (pages + 1) * PAGE
    for offset in (boot, state):
        container = LEVELLING.open(Memory(b"front" + image + b"behind"), offset + 5)
        assert container.size == len(image) - offset
        assert container.before == offset
        assert container.problems == []
        assert (container.detail["moves"], container.detail["spare_page"]) == (moves, spare)
        assert logical(b"front" + image, offset + 5) == data


def test_a_large_partition_has_copies_of_the_state_of_several_pages() -> None:
    data = bytes(volume(FILES, sector=PAGE, clusters=300))
    image = partition(data, 2, 280)
    offset = image.index(b"\xeb\x3c\x90")
    container = LEVELLING.open(Memory(image + b"x" * PAGE), offset)
    assert container.problems == []
    assert container.before + container.size == len(image) == (len(data) // PAGE + 1 + 2 * 2 + 1) * PAGE
    assert logical(image, offset) == data


def test_version_1_is_read() -> None:
    data = bytes(volume(FILES, sector=PAGE, clusters=9))
    assert logical(partition(data, version=1), PAGE) == data


def test_one_damaged_copy_of_the_state_is_told_and_the_other_used() -> None:
    data = bytes(volume(FILES, sector=PAGE, clusters=9))
    for copy in (1, 2):
        image = partition(data, 3, 0)
        image[len(image) - (4 - copy) * PAGE] ^= 1
        offset = image.index(b"\xeb\x3c\x90")
        container = LEVELLING.open(Memory(image), offset)
        assert container.problems == [f"CRC32 of state {copy} wrong"]
        assert logical(image, offset) == data


def test_the_volume_inside_is_found_and_its_files_read() -> None:
    data = bytes(volume(FILES, sector=PAGE, clusters=9))
    found = Explorer(Limits()).explore(Memory(b"\x11" * 64 + bytes(partition(data, 1, 2))), ("image",), 0)
    files = {item.node.path: item.content() for item in found.items if item.node.chain[-1].startswith("fat@")}
    big = files["/big.bin"]
    assert big is not None
    assert big.read(0, big.size) == FILES["big.bin"]


def test_a_partition_made_by_fatfs_ng_reads_back() -> None:
    fatfs = pytest.importorskip("fatfs", reason="fatfs-ng is not installed")
    data = bytes(volume(FILES, sector=PAGE, clusters=30))
    size = len(data) + 4 * PAGE
    image = fatfs.create_esp32_wl_image(data, size)
    assert len(image) == size
    container = LEVELLING.open(Memory(image), PAGE)
    assert container.problems == []
    assert container.detail["partition_size"] == size
    assert container.size == size - PAGE
    assert logical(image, PAGE) == data


def test_a_plain_volume_is_left_to_the_fat_parser() -> None:
    with pytest.raises(FormatError):
        LEVELLING.open(Memory(bytes(volume(FILES, sector=PAGE, clusters=9))), 0)
