"""ESP32 partition tables: entries and MD5 are read, and in a dump partitions lie where the flash has them."""

from __future__ import annotations

import hashlib
import random
import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.esp_partition_table import FORMATS
from fwcheck.extraction.limits import DEFAULT
from fwcheck.extraction.source import Memory

TABLE = FORMATS[0]
NOISE = random.Random(4).randbytes(0x10000)
LAYOUT = [
    ("nvs", 1, 2, 0x9000, 0x3000, 0),
    ("otadata", 1, 0, 0xC000, 0x2000, 0),
    ("phy_init", 1, 1, 0xE000, 0x1000, 2),
    ("ota_0", 0, 0x10, 0x10000, 0x8000, 0),
    ("storage", 1, 0x82, 0x20000, 0x4000, 1),
]


def table(layout: list[tuple[str, int, int, int, int, int]] = LAYOUT, md5: bytes | None = None) -> bytes:
    """As gen_esp32part.py writes it."""
    out = b"".join(
        struct.pack("<HBBII16sI", 0x50AA, kind, subtype, offset, size, name.encode(), flags)
        for name, kind, subtype, offset, size, flags in layout
    )
    out += b"\xeb\xeb" + b"\xff" * 14 + (hashlib.md5(out).digest() if md5 is None else md5)
    return out.ljust(0xC00, b"\xff")


def dump(storage: bytes = b"config", size: int = 0x28000) -> bytes:
    flash = bytearray(b"\xff" * size)
    flash[0x8000:0x8C00] = table()
    flash[0xE000:0xE010] = b"phy"[:3] + bytes(13)
    flash[0x10000:0x10100] = b"\xe9" + NOISE[:255]
    flash[0x20000 : 0x20000 + len(storage)] = storage
    return bytes(flash)


def seeds() -> list[bytes]:
    return [table(), dump()[0x8000:], table(LAYOUT[:1])]


def test_a_table_alone_is_its_own_extent():
    container = TABLE.open(Memory(b"\0" * 16 + table() + b"behind"), 16)
    assert (container.size, list(container.entries), container.problems) == (0xC00, [], [])
    assert (container.detail["partitions"], container.detail["checks"]) == (5, "MD5 of the entries right")
    assert "ota_0 app/ota_0 0x10000+0x8000" in container.detail["table"]


def test_partitions_of_a_dump_lie_at_their_place_in_the_flash():
    data = dump()
    container = TABLE.open(Memory(data), 0x8000)
    entries = {entry.path: entry for entry in container.entries}
    assert container.size == 0x24000 - 0x8000
    assert [*entries] == [
        *("behind the table", "nvs", "otadata", "phy_init", "unused@0xf000", "ota_0", "unused@0x18000", "storage"),
    ]
    assert all(entry.open().read(0, entry.size) == data[entry.offset : entry.offset + entry.size] for entry in entries.values())
    assert (entries["ota_0"].offset, entries["ota_0"].size, entries["ota_0"].detail["type"]) == (0x10000, 0x8000, "app")
    assert (entries["storage"].role, entries["phy_init"].detail["flags"]) == ("part", "read-only")
    assert sum(entry.size for entry in entries.values()) + 0xC00 == container.size


def test_a_dump_that_begins_with_the_table_is_understood():
    container = TABLE.open(Memory(dump()[0x8000:]), 0)
    assert container.detail["flash_begins_at"] == -0x8000
    assert {entry.path: entry.offset for entry in container.entries}["ota_0"] == 0x8000


def test_an_encrypted_partition_is_told():
    container = TABLE.open(Memory(dump(NOISE[:0x4000])), 0x8000)
    [entry] = [entry for entry in container.entries if entry.role == "encrypted"]
    assert (entry.path, entry.detail["encryption"]) == ("storage", "ESP32 flash encryption")


def test_a_partition_behind_the_end_is_told():
    container = TABLE.open(Memory(dump()[:0x12000]), 0x8000)
    assert container.size == 0x12000 - 0x8000
    assert container.problems == [
        "partition ota_0: 32768 bytes announced, 8192 there",
        "partition storage lies behind the end of the image",
    ]


def test_a_wrong_md5_is_a_problem():
    container = TABLE.open(Memory(table(md5=bytes(16))), 0)
    assert container.problems == ["wrong MD5 of the entries"]


def test_every_byte_of_a_dump_is_accounted_for():
    findings = Explorer(DEFAULT).explore(Memory(dump()), ("dump",), 0)
    assert any(item.node.chain[-1] == "esp-partition-table@0x8000" for item in findings.items)


@pytest.mark.parametrize(
    "layout",
    [[("", 1, 2, 0x9000, 0x3000, 0)], [("nvs", 1, 2, 0x9001, 0x3000, 0)], [("nvs", 1, 2, 0x9000, 0, 0)], []],
)
def test_other_bytes_are_refused(layout):
    with pytest.raises(FormatError):
        TABLE.open(Memory(table(layout)), 0)
