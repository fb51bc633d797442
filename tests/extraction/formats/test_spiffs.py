"""SPIFFS volumes, laid out here as its TECH_SPEC and ESP-IDF's image builder say."""

from __future__ import annotations

import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats.spiffs import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

(SPIFFS,) = FORMATS
FILES = {
    "/index.html": b"<html>" + bytes(range(256)) * 3,
    "/config/wifi.json": b'{"psk": "secret"}',
    "/empty": b"",
    "/large.bin": b"".join(b"%07d\n" % n for n in range(6000)),
}


def image(
    files: dict[str, bytes] = FILES,
    page: int = 256,
    block: int = 4096,
    count: int = 32,
    magic: str = "length",
    meta: int = 4,
    align: bool = False,
    mtime: int = 1_600_000_000,
) -> bytearray:
    """Pages in the order a builder writes them: index page, its data pages, next index page."""
    lookups = max(1, block // page * 2 // page)
    usable = block // page - lookups
    ids: list[int] = []
    pages: list[bytes] = []

    def number(position: int) -> int:
        return position // usable * (block // page) + lookups + position % usable

    table = 13 + 32 + meta
    table += table % 2 if align else 0
    for owner, (name, content) in enumerate(files.items(), 1):
        pieces = [content[at : at + page - 5] for at in range(0, len(content), page - 5)]
        span = done = 0
        while done < len(pieces) or span == 0:
            room = (page - (8 if span else table)) // 2
            chunk = pieces[done : done + room]
            head = struct.pack("<HHB3s", owner | 0x8000, span, 0xF8, b"\xff" * 3)
            if not span:
                head += struct.pack(
                    "<IB32s", len(content) or 0xFFFFFFFF if name == "/undefined" else len(content), 1, name.encode()
                )
                head += struct.pack("<Q", mtime)[:meta].ljust(table - 45, b"\0")
            mine = len(pages)
            numbers = [number(mine + 1 + n) for n in range(len(chunk))]
            ids.append(owner | 0x8000)
            pages.append((head + struct.pack(f"<{len(numbers)}H", *numbers)).ljust(page, b"\xff"))
            for n, piece in enumerate(chunk):
                ids.append(owner)
                pages.append((struct.pack("<HHB", owner, done + n, 0xFC) + piece).ljust(page, b"\xff"))
            done += len(chunk)
            span += 1
    out = bytearray()
    for index in range(count):
        mine = slice(index * usable, (index + 1) * usable)
        lookup = bytearray(struct.pack(f"<{len(ids[mine])}H", *ids[mine]).ljust(lookups * page, b"\xff"))
        if magic != "none":
            value = 0x20140529 ^ page ^ (count - index if magic == "length" else 0)
            lookup[-4:] = struct.pack("<HH", value & 0xFFFF, 3)
        out += (bytes(lookup) + b"".join(pages[mine])).ljust(block, b"\xff")
    assert len(pages) <= usable * count
    return out


def seeds() -> list[bytes]:
    small = {path: data[:2000] for path, data in FILES.items()}
    return [
        bytes(image(small, count=4)),
        bytes(image(small, count=2, block=8192, meta=0, align=True, magic="plain")),
        bytes(image({}, count=4)),
    ]


def listing(data: bytes | bytearray, offset: int) -> tuple[Container, dict[str, Entry]]:
    container = SPIFFS.open(Memory(data), offset)
    return container, {entry.path: entry for entry in container.entries}


def content(entry: Entry) -> bytes:
    assert entry.open is not None
    source = entry.open()
    assert source.size == entry.size
    return source.read(0, source.size)


BUILDS = {
    "ESP-IDF": {},
    "ESP-IDF, wide time": {"meta": 8},
    "ESP-IDF, pages of 512": {"page": 512, "block": 8192},
    "Arduino ESP8266": {"block": 8192, "count": 16, "meta": 0, "align": True},
    "aligned with metadata": {"align": True},
    "blocks of 64 KiB": {"block": 65536, "count": 3},
    "without length": {"magic": "plain"},
    "without magic": {"magic": "none", "meta": 0},
}


@pytest.mark.parametrize("build", BUILDS)
def test_every_build_reads_back_as_written(build: str) -> None:
    options = BUILDS[build]
    data = image(**options)  # type: ignore[arg-type]
    front = b"\x5a" * 4096
    first = data.index(b"\x01\x80\x00\x00\xf8")
    container, entries = listing(front + data + b"\x11" * 999, len(front) + first)
    assert container.before == first
    used = len(data) if options.get("magic") != "none" else (len(data.rstrip(b"\xff")) + 4095) // 4096 * 4096
    assert container.size == used - first
    assert container.problems == []
    assert set(entries) == set(FILES)
    for path, expected in FILES.items():
        assert content(entries[path]) == expected, path
        assert entries[path].mtime == (1_600_000_000 if options.get("meta", 4) else 0)
    offset = entries["/config/wifi.json"].offset
    assert offset is not None
    assert (front + data)[offset : offset + 17] == FILES["/config/wifi.json"]


def test_it_is_found_in_a_flash_dump_and_claims_its_blocks() -> None:
    data = bytes(image())
    found = Explorer(Limits()).explore(Memory(b"\xff" * 8192 + data + b"\x11\x22" * 4096), ("dump",), 0)
    (node,) = [item.node for item in found.items if item.node.format == "spiffs"]
    assert (node.offset, node.size) == (8192, len(data))


def test_an_empty_volume_is_told() -> None:
    container, entries = listing(image({}, count=8), 0)
    assert (container.size, container.detail["blocks"], entries) == (8 * 4096, 8, {})


def test_deleted_and_rewritten_pages() -> None:
    data = image()
    # The flags of /index.html's header say deleted.
    at = data.index(b"\x01\x80\x00\x00\xf8")
    data[at + 4] &= 0x7F
    other = data.index(b"\x02\x80\x00\x00\xf8")
    assert set(listing(data, other)[1]) == set(FILES) - {"/index.html"}
    # A second data page claims to be the first piece of wifi.json: the index decides.
    data = image()
    free = data.index(b"\xff" * 256, 31 * 4096 + 256)
    data[free : free + 256] = (struct.pack("<HHB", 2, 0, 0xFC) + b"an older version").ljust(256, b"\xff")
    data[31 * 4096 : 31 * 4096 + 2] = struct.pack("<H", 2)
    assert free == 31 * 4096 + 256
    _, entries = listing(data, data.index(b"\x01\x80\x00\x00\xf8"))
    assert content(entries["/config/wifi.json"]) == FILES["/config/wifi.json"]


def test_a_missing_page_is_told_and_reads_as_zeros() -> None:
    data = image()
    at = data.index(struct.pack("<HHB", 1, 1, 0xFC))
    data[at + 4] &= 0x7F
    container, entries = listing(data, data.index(b"\x02\x80\x00\x00\xf8"))
    whole = content(entries["/index.html"])
    assert any("missing" in problem for problem in container.problems)
    assert whole[251:502] == bytes(251)
    assert whole[:251] + whole[502:] == FILES["/index.html"][:251] + FILES["/index.html"][502:]


def test_a_truncated_volume_gives_what_is_there() -> None:
    data = image()
    container, entries = listing(data[: 4096 * 3], 256)
    assert any("are there" in problem for problem in container.problems)
    assert content(entries["/index.html"]) == FILES["/index.html"]


def test_names_that_lead_out_are_told() -> None:
    container, entries = listing(image({"/../../etc/passwd": b"x"}), 256)
    assert set(entries) == {"/object-1"}
    assert any("impossible" in problem for problem in container.problems)


def test_an_object_header_on_its_own_is_no_volume() -> None:
    for data, offset in ((bytes(4096) + bytes(image())[256:512] + bytes(8192), 4096), (b"\xff" * 65536, 0), (b"\xff" * 100, 0)):
        with pytest.raises(FormatError):
            SPIFFS.open(Memory(data), offset)
