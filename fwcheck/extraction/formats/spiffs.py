"""SPIFFS as ESP-IDF, Arduino (ESP8266, ESP32) and NodeMCU configure it: 16-bit numbers, little-endian, packed headers.

Layout of a page: object id (bit 15 for an index page), span index, flags (0 bits: 0 used, 1 final, 2 index, 7 deleted, 6 index
being deleted). Index pages go on at 8 with the pages of the object; the first of them has size (8), type (12), name (13) and the
build's metadata in front. Data pages hold their content from byte 5 on. Files are put together from data pages, whose headers
say which piece of which object they are; the index decides where two pages claim to be the same piece.
Source: SPIFFS ``docs/TECH_SPEC``, ``src/spiffs_nucleus.h``; ESP-IDF ``components/spiffs/spiffsgen.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from struct import Struct, unpack_from

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._spiffs_layout import INDEX, Geometry, around, at_start, entries
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, member_path, note
from fwcheck.extraction.source import ByteSource, Joined

DATA_HEADER, INDEX_HEADER, NAME = 5, 8, 13
NAME_LENGTH = 32
FLAG_INDEX, FLAG_INDEX_DELETED = 4, 0x40
LIVE, LIVE_MASK = 0x80, 0x83  # used, final, not deleted
UNDEFINED = 0xFFFFFFFF
TABLES = range(NAME + 8, NAME + 288)  # where the page numbers of a header may begin

_HEADER = Struct("<HHB")


class Volume:
    """A validated volume: all live pages by object and span."""

    def __init__(self, source: ByteSource, geometry: Geometry) -> None:
        self.geometry = geometry
        self.problems: list[str] = []
        claimed = geometry.count * geometry.block
        self.size = min(claimed, source.size - geometry.begin)
        if self.size < claimed:
            note(self.problems, f"the volume claims {claimed} bytes, {self.size} are there")
        self.source = source.window(geometry.begin, self.size)
        self.data: dict[int, dict[int, list[int]]] = {}
        self.index: dict[int, dict[int, int]] = {}  # object, span of the index, offset of the page
        self.wear = 0
        for block in range(0, self.size - geometry.block + 1, geometry.block):
            self._scan(block)
        self.table = self._find_table()

    def _scan(self, block: int) -> None:
        one = self.geometry
        count = unpack_from("<H", self.source.read(block + one.lookups * one.page - 2, 2))[0]
        self.wear = max(self.wear, count if count != 0xFFFF else 0)
        for number, at in entries(self.source, block, one.page, one.block):
            owner, span, flags = _HEADER.unpack(self.source.read(at, DATA_HEADER))
            if owner != number or flags & LIVE_MASK != LIVE:
                continue
            if number & INDEX and not flags & FLAG_INDEX:
                if flags & FLAG_INDEX_DELETED or span:
                    self.index.setdefault(number & ~INDEX, {})[span] = at
            elif not number & INDEX and flags & FLAG_INDEX:
                self.data.setdefault(number, {}).setdefault(span, []).append(at)

    def _find_table(self) -> int:
        """Where headers hold their page numbers: it tells how long name and metadata are, which depends on the build."""
        votes: Counter[int] = Counter()
        for owner, pages in self.index.items():
            first = self.data.get(owner, {}).get(0, [])
            if 0 in pages and len(first) == 1:
                number = (first[0] // self.geometry.page).to_bytes(2, "little")
                header = self.source.read(pages[0], min(self.geometry.page, TABLES.stop + 2))
                votes.update(at for at in TABLES if header[at : at + 2] == number)
        return max(votes, key=lambda at: (votes[at], -at)) if votes else NAME + NAME_LENGTH

    def _indexed(self, owner: int, span: int) -> int | None:
        """Where the index says a piece lies."""
        page = self.geometry.page
        head, more = (page - self.table) // 2, (page - INDEX_HEADER) // 2
        which, entry = (0, span) if span < head else (1 + (span - head) // more, (span - head) % more)
        at = self.index.get(owner, {}).get(which)
        if at is None:
            return None
        number: int = unpack_from("<H", self.source.read(at + (INDEX_HEADER if which else self.table) + 2 * entry, 2))[0]
        return number * page

    def walk(self) -> Iterator[Entry]:
        """Every file; there are no directories but those in the names."""
        seen: set[str] = set()
        for owner, pages in sorted(self.index.items()):
            if 0 not in pages:
                note(self.problems, f"object {owner} has no header")
                continue
            header = self.source.read(pages[0], self.geometry.page)
            size = unpack_from("<I", header, 8)[0]
            stored = decoded(header[NAME : max(NAME + NAME_LENGTH, min(self.table, NAME + 256))].split(b"\0")[0])
            path, escapes = member_path(stored)
            if escapes or path == "/" or path in seen:
                note(self.problems, f"object {owner}: {'a second' if path in seen else 'an impossible'} name {stored!r}")
                path = f"/object-{owner}"
            seen.add(path)
            entry = Entry(path=path, size=0 if size == UNDEFINED else size, mtime=self._time(header))
            entry.locality = self.geometry.begin + pages[0]
            self._open(entry, owner)
            yield entry

    def _time(self, header: bytes) -> int:
        """ESP-IDF keeps the time of modification behind the name, in four bytes or in eight."""
        extra = self.table - NAME - NAME_LENGTH & ~1
        if extra not in (4, 8):
            return 0
        value = int.from_bytes(header[NAME + NAME_LENGTH : NAME + NAME_LENGTH + extra], "little")
        return 0 if value >= UNDEFINED else value

    def _open(self, entry: Entry, owner: int) -> None:
        room = self.geometry.page - DATA_HEADER
        spans = self.data.get(owner, {})
        wanted = -(-entry.size // room)
        if wanted > self.size // self.geometry.page:
            note(self.problems, f"{entry.path}: claims {entry.size} bytes, more than the volume has")
            entry.size = min(entry.size, (max(spans, default=-1) + 1) * room)
            wanted = -(-entry.size // room)
        if missing := wanted - sum(1 for span in spans if span < wanted):
            note(self.problems, f"{entry.path}: {missing} of {wanted} pages are missing, and read as zeros")
        if wanted == 1 and len(spans.get(0, [])) == 1:
            entry.offset = self.geometry.begin + spans[0][0] + DATA_HEADER
        entry.open = partial(self._content, owner, entry.size, wanted)

    def _content(self, owner: int, size: int, wanted: int) -> ByteSource:
        room, left = self.geometry.page - DATA_HEADER, size
        pieces: list[ByteSource | int] = []
        spans = self.data.get(owner, {})
        for span in range(wanted):
            length = min(room, left)
            left -= length
            places = spans.get(span, [])
            at = places[0] if len(places) == 1 else self._indexed(owner, span) if places else None
            if places and at not in places:
                at = places[-1]
            pieces.append(length if at is None else self.source.window(at + DATA_HEADER, length))
        return Joined(pieces)


class Spiffs(Format):
    """The flat file system of ESP8266 and ESP32 designs."""

    name = "spiffs"
    title = "SPIFFS"
    specification = "SPIFFS docs/TECH_SPEC; ESP-IDF components/spiffs"
    category = "flash"
    reads = (
        "16-bit little-endian builds: pages of 256 to 4,096 bytes, blocks of 4 to 128 KiB, magic with or without length or none, "
        "any name and metadata length (time of modification of ESP-IDF), volumes rewritten many times"
    )
    not_read = "big-endian builds, 32-bit object numbers; deleted pages; the exact end of a volume without length in its magic"
    signatures = (
        # An object's first index page: id, span 0, flags, padding, size, type, name.
        Signature(pattern=rb".[\x80-\xFE]\x00\x00\xF8.{5}[\x00-\x7F]\x00\x01[\x21-\x7E][\x00\x20-\x7E]", width=15),
        Signature(pattern=rb"\xFF{64}", width=64, anywhere=False),  # an empty volume: its first block holds a magic alone
    )
    priority = 60

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        empty = source.peek(offset, 2) == b"\xff\xff"
        geometry = at_start(source, offset) if empty else around(source, offset)
        volume = Volume(source, geometry)
        if not empty and not volume.index:
            raise FormatError("a SPIFFS volume without objects")
        before = offset - geometry.begin
        if before < 0 or volume.size <= before:
            raise FormatError("an object header outside its SPIFFS volume")
        detail: dict[str, str | int] = {
            "page_size": geometry.page, "block_size": geometry.block, "blocks": geometry.count, "magic": geometry.magic,
            "erase_count": volume.wear, "integrity": "none",
        }  # fmt: skip
        if volume.table != NAME + NAME_LENGTH:
            detail["name_and_metadata_length"] = volume.table - NAME
        return Container(
            format=self.name,
            size=volume.size - before,
            before=before,
            entries=volume.walk(),
            detail=detail,
            problems=volume.problems,
        )


FORMATS = (Spiffs(),)
