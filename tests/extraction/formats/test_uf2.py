"""UF2: blocks come together in any order, families and files apart, and MD5 sums are recomputed."""

from __future__ import annotations

import hashlib
import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.uf2 import FORMATS
from fwcheck.extraction.source import Memory

UF2 = FORMATS[0]
CODE = bytes(range(256)) * 4
RP2040, NRF = 0xE48BFF56, 0xADA52840


def block(
    address: int, data: bytes, number: int, count: int, family: int = RP2040, flags: int = 0x2000, rest: bytes = b""
) -> bytes:
    head = struct.pack("<8I", 0x0A324655, 0x9E5D5157, flags, address, len(data), number, count, family)
    return head + (data + rest).ljust(476, b"\0") + struct.pack("<I", 0x0AB16F30)


def image(address: int = 0x10000000, data: bytes = CODE, family: int = RP2040, flags: int = 0x2000, rest: bytes = b"") -> bytes:
    pieces = [data[at : at + 256] for at in range(0, len(data), 256)]
    return b"".join(
        block(address + 256 * number, piece, number, len(pieces), family, flags, rest) for number, piece in enumerate(pieces)
    )


def md5_rest(data: bytes, length: int = len(CODE)) -> bytes:
    return bytes(196) + struct.pack("<II", 0x10000000, length) + hashlib.md5(data).digest()


def files() -> bytes:
    parts = [(0, b"first "), (6, b"second")]
    blocks = [block(at, data, number, 2, 12, 0x1000, b"dir/main.py\0") for number, (at, data) in enumerate(parts)]
    return b"".join(reversed(blocks))


def seeds() -> list[bytes]:
    tags = b"\x0a\xbc\xc7\x9f1.2.3\0\0\0"
    return [image(), image(flags=0x6000, rest=md5_rest(CODE)), image() + image(0x26000, CODE, NRF, 0xA000, tags), files()]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


def test_memory_comes_back_at_its_address():
    data = image()
    container = UF2.open(Memory(b"xx" + data + b"behind"), 2)
    assert contents(container) == {"0x10000000": CODE}
    assert (container.size, container.problems, container.detail["families"]) == (len(data), [], "RP2040")


def test_blocks_may_come_in_any_order():
    data = image()
    turned = b"".join(data[at : at + 512] for at in range(len(data) - 512, -1, -512))
    assert contents(UF2.open(Memory(turned), 0)) == {"0x10000000": CODE}


def test_families_are_kept_apart():
    container = UF2.open(Memory(image() + image(0x26000, CODE[:256], NRF)), 0)
    assert contents(container) == {"RP2040-0x10000000": CODE, "nRF52840-0x00026000": CODE[:256]}


def test_a_missing_block_is_told():
    data = image()
    container = UF2.open(Memory(data[:512] + data[1024:]), 0)
    assert container.problems == ["1 blocks of family RP2040 are missing"]
    assert contents(container) == {"0x10000000": CODE[:256] + b"\xff" * 256 + CODE[512:]}


@pytest.mark.parametrize(("summed", "problems"), [(CODE, []), (b"other", ["wrong MD5 of 0x10000000+0x400"])])
def test_the_md5_of_a_range_is_recomputed(summed, problems):
    container = UF2.open(Memory(image(flags=0x6000, rest=md5_rest(summed))), 0)
    assert (container.problems, container.detail["integrity"]) == (problems, "hash")


def test_tags_are_read():
    tags = b"\x09\xbc\xc7\x9f1.2.3\0\0\0" + b"\x08\xf7\xe9\x0b" + struct.pack("<I", 256)
    detail = UF2.open(Memory(image(flags=0xA000, rest=tags)), 0).detail
    assert (detail["version"], detail["page_size"]) == ("1.2.3", 256)


def test_files_are_members():
    container = UF2.open(Memory(files()), 0)
    assert contents(container) == {"/dir/main.py": b"first second"}


def test_blocks_that_are_not_for_the_flash_give_nothing():
    assert contents(UF2.open(Memory(image(flags=0x2001)), 0)) == {}


@pytest.mark.parametrize("data", [image()[:511], image()[:508] + bytes(4), b"UF2\n" + bytes(508)])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        UF2.open(Memory(data), 0)
