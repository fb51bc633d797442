"""The ESP32's non-volatile storage: settings, credentials and certificates by name (ESP-IDF, "Non-Volatile Storage Library").

Pages of 4,096 bytes: a header of 32 (u32 state, u32 sequence number, u8 version, 19 bytes 0xFF, u32 CRC32 of bytes 4 to 27), 32
bytes with two bits for each entry (3 empty, 2 written, 0 erased), 126 entries of 32 bytes. An entry: u8 namespace, u8 type, u8
span (entries it takes), u8 chunk, u32 CRC32 of everything but itself, 16 bytes key, 8 bytes value. Namespace 0 holds the names
of the others: the key is a name and the u8 value its number. Strings and blobs (types 0x21, 0x41 of version 1, 0x42 a chunk of
version 2) keep u16 size, u16 0xFFFF and u32 CRC32 in the value and their bytes in the entries that follow; 0x48 is the index of
a blob of version 2: u32 size, u8 number of chunks, u8 number of the first one. All CRCs begin with 0xFFFFFFFF and are
little-endian like everything else.

Entries are members ``/namespace/key``: numbers as decimal text, strings without their NUL. What was erased stays in flash until
its page is reclaimed: entries whose CRC is still right are members of ``/.erased``. With NVS encryption the entries are
XTS-AES-256 one by one under keys of another partition, while page headers and bitmaps stay readable.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import member_path, note
from fwcheck.extraction.source import ByteSource, Memory
from fwcheck.model import NodeKind

_PAGE: Final = 4096
_ENTRIES: Final = 126
_PAGES_LIMIT: Final = 8192
_HEADER = struct.Struct("<IIB19sI")
_ITEM = struct.Struct("<BBBBI16s8s")
_STATES = {0xFFFFFFFE: "active", 0xFFFFFFFC: "full", 0xFFFFFFF8: "freeing", 0xFFFFFFF0: "corrupt", 0: "corrupt"}
_NUMBERS = {0x01: "u8", 0x02: "u16", 0x04: "u32", 0x08: "u64", 0x11: "i8", 0x12: "i16", 0x14: "i32", 0x18: "i64"}
_STRING, _BLOB, _CHUNK, _INDEX = 0x21, 0x41, 0x42, 0x48
_WORDS = {**_NUMBERS, _STRING: "string", _BLOB: "blob", _CHUNK: "blob chunk", _INDEX: "blob"}
_WRITTEN, _ERASED, _EMPTY = 2, 0, 3
_VERSION_OFFSET: Final = 0x80  # blobs of version 2 are written alternately as chunks from 0 and from here


class _Item(msgspec.Struct, frozen=True):
    namespace: int
    kind: int
    chunk: int
    key: str
    value: bytes
    data: bytes  # of strings and blobs
    offset: int
    right: bool  # CRC32 of the data


class EspNvs(Format):
    """NVS partition; every stored value is a member."""

    name = "esp-nvs"
    title = "ESP32 non-volatile storage (NVS)"
    specification = "ESP-IDF: Non-Volatile Storage Library, nvs_page.hpp, nvs_types.hpp"
    category = "microcontroller"
    reads = "pages of version 1 and 2, numbers, strings, blobs of both versions over several pages, erased values; all CRC32"
    not_read = "encrypted NVS (told)"
    signatures = (Signature(pattern=rb"[\xfe\xfc\xf8]\xff{3}.{2}[\x00-\x0f]\x00[\xfe\xff]\xff{19}", width=28),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        pages: list[tuple[int, bytes]] = []  # sequence number and bytes of the page
        states: list[str] = []
        end = at = offset
        while at + _PAGE <= source.size and len(states) < _PAGES_LIMIT:
            head = _header(source.read(at, 32))
            if head is None:
                if not states or set(source.read(at, _PAGE)) != {0xFF}:
                    break
            else:
                states.append(head[0])
                end = at + _PAGE
                if head[0] != "corrupt":
                    pages.append((head[1], at.to_bytes(8, "little") + source.read(at, _PAGE)))
            at += _PAGE
        if not pages:
            raise FormatError("no NVS page")
        store = _Store()
        for _, page in sorted(pages, key=lambda each: each[0]):
            store.read(page, int.from_bytes(page[:8], "little"))
        detail: dict[str, str | int] = {"pages": len(states), "states": ", ".join(states[:32]), "namespaces": len(store.names)}
        if store.broken and not store.live:
            return _encrypted(source, offset, end, detail)
        if store.broken:
            note(store.problems, f"{store.broken} NVS entries with a wrong CRC32")
        detail |= {
            "entries": len(store.live),
            "erased_entries": len(store.erased),
            "checks": "CRC32 per page and entry " + ("wrong" if store.problems else "right"),
        }
        return Container(
            format=self.name, size=end - offset, entries=list(_members(store, limits)), detail=detail, problems=store.problems
        )


def _header(raw: bytes) -> tuple[str, int] | None:
    """State and sequence number of a page; None for what is none."""
    state, sequence, version, blank, crc = _HEADER.unpack(raw)
    if state not in _STATES or version < 0xFE or blank != b"\xff" * 19 or zlib.crc32(raw[4:28], 0xFFFFFFFF) != crc:
        return None
    return _STATES[state], sequence


class _Store:
    """The items of all pages, in the order in which they were written."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.live: list[_Item] = []
        self.erased: list[_Item] = []
        self.broken = 0
        self.problems: list[str] = []

    def read(self, page: bytes, offset: int) -> None:
        """Takes the items of one page, which has its offset in eight bytes in front."""
        bits = int.from_bytes(page[40:72], "little")
        number = 0
        while number < _ENTRIES:
            state = bits >> (2 * number) & 3
            at = 72 + 32 * number
            taken = 1
            if state in {_WRITTEN, _ERASED}:
                item, taken = _item(page, at, _ENTRIES - number, offset)
                if item is None:
                    self.broken += state == _WRITTEN
                    taken = 1
                elif state == _WRITTEN:
                    self._take(item)
                else:
                    self.erased.append(item)
            number += taken

    def _take(self, item: _Item) -> None:
        if item.namespace == 0 and item.kind == 0x01:
            self.names[item.value[0]] = item.key
            return
        if not item.right:
            note(self.problems, f"wrong CRC32 of the value of {item.key}")
        self.live.append(item)


def _item(page: bytes, at: int, left: int, offset: int) -> tuple[_Item | None, int]:
    """The item at ``at`` and how many entries it takes; None when its CRC is wrong."""
    namespace, kind, span, chunk, crc, key, value = _ITEM.unpack_from(page, at)
    raw = page[at : at + 32]
    if kind not in _WORDS or not 1 <= span <= left or zlib.crc32(raw[8:], zlib.crc32(raw[:4], 0xFFFFFFFF)) != crc:
        return None, 1
    data, right = b"", True
    if kind in {_STRING, _BLOB, _CHUNK}:
        size, _, data_crc = struct.unpack("<HHI", value)
        data = page[at + 32 : at + 32 + min(size, 32 * (span - 1))]
        right = len(data) == size and zlib.crc32(data, 0xFFFFFFFF) == data_crc
    name = key.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
    return _Item(namespace, kind, chunk, name, value, data, offset + at - 8, right), span


def _members(store: _Store, limits: Limits) -> Iterator[Entry]:
    chunks = {(item.namespace, item.key, item.chunk): item for item in store.live if item.kind == _CHUNK}
    latest: dict[str, Entry] = {}
    for item in store.live[: limits.nodes]:
        if item.kind != _CHUNK:
            entry = _member(store, item, chunks, "")
            latest[entry.path] = entry
    yield from latest.values()
    for number, item in enumerate(store.erased[: limits.nodes]):
        if item.right and item.kind != _INDEX and item.namespace:
            yield _member(store, item, {}, f"@{number}")


def _member(store: _Store, item: _Item, chunks: dict[tuple[int, str, int], _Item], after: str) -> Entry:
    detail: dict[str, str | int] = {"type": _WORDS[item.kind]}
    data = item.data.removesuffix(b"\0") if item.kind == _STRING else item.data
    if item.kind in _NUMBERS:
        width = item.kind & 15
        data = str(int.from_bytes(item.value[:width], "little", signed=item.kind > 0x10)).encode()
    elif item.kind == _INDEX:
        data = _blob(store, item, chunks)
    name = store.names.get(item.namespace, f"namespace-{item.namespace}")
    path, _ = member_path(f"{'.erased/' if after else ''}{name.replace('/', '_')}/{item.key.replace('/', '_')}{after}")
    if after:
        detail["state"] = "erased"
    return Entry(path=path, kind=NodeKind.FILE, size=len(data), detail=detail, locality=item.offset, open=lambda: Memory(data))


def _blob(store: _Store, item: _Item, chunks: dict[tuple[int, str, int], _Item]) -> bytes:
    """The chunks of a blob of version 2, one behind the other."""
    size, count, first = struct.unpack("<IBB2x", item.value)
    data = b"".join(
        chunks[item.namespace, item.key, number].data
        for number in range(first, first + count)
        if (item.namespace, item.key, number) in chunks
    )
    if len(data) != size:
        note(store.problems, f"blob {item.key}: {size} bytes announced, {len(data)} there")
    return data[:size]


def _encrypted(source: ByteSource, offset: int, end: int, detail: dict[str, str | int]) -> Container:
    entry = Entry(
        path="entries",
        kind=NodeKind.REGION,
        size=end - offset,
        offset=offset,
        role="encrypted",
        detail={"encryption": "XTS-AES-256, ESP32 NVS encryption"},
        locality=offset,
        open=lambda: source.window(offset, end - offset),
    )
    detail |= {"encrypted": "yes", "checks": "CRC32 per page right, entries encrypted"}
    return Container(format="esp-nvs", size=end - offset, entries=[entry], detail=detail)


FORMATS = (EspNvs(),)
