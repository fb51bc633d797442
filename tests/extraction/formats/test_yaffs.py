"""YAFFS images written chunk by chunk by the documented layout, and real ones, read back as a mount would show them.

Debian has no tool that makes them: the writer below follows yaffs_guts.h and the two packed tag layouts.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats.yaffs import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(YAFFS,) = FORMATS
CORPUS = Path(__file__).parents[4] / "shared/corpus/open"
FILE, SYMLINK, DIRECTORY, HARD_LINK, SPECIAL = range(1, 6)


def column(byte: int) -> int:
    """The column parity of one byte by its definition: bit pairs from coarse to fine, parity of all bits lowest."""
    bits = [byte >> n & 1 for n in range(8)]
    value = sum(bits) & 1
    for place, width in ((2, 1), (4, 2), (6, 4)):
        odd = sum(bit for n, bit in enumerate(bits) if n & width) & 1
        even = sum(bit for n, bit in enumerate(bits) if not n & width) & 1
        value |= even << place | odd << place + 1
    return value


def tags_ecc(raw: bytes, order: str) -> bytes:
    columns = line = prime = 0
    for at, byte in enumerate(raw):
        columns ^= column(byte)
        if byte.bit_count() & 1:
            line, prime = line ^ at, prime ^ ~at
    return struct.pack(order + "B3sII", columns >> 2 & 0x3F, b"\xff" * 3, line, prime & 0xFFFFFFFF)


class Writer:
    """Pages with their spare areas; version 1 for pages of 512 with the scattered tags."""

    def __init__(
        self,
        page: int = 2048,
        spare: int = 64,
        place: int = 2,
        order: str = "<",
        ecc: bool = True,
        extra: bool = False,
        version: int = 2,
    ) -> None:
        self.page, self.spare, self.place, self.order, self.ecc, self.extra, self.version = (
            page,
            spare,
            place,
            order,
            ecc,
            extra,
            version,
        )
        self.sequence = 0x1000
        self.image = bytearray()

    @property
    def stride(self) -> int:
        return self.page + self.spare

    def chunk(
        self, number: int, chunk: int, data: bytes, used: int, words: tuple[int, int, int] | None = None, serial: int = 0
    ) -> None:
        spare = bytearray(b"\xff" * self.spare)
        if self.version == 1:
            spare[:] = self.tags1(number, chunk, used, serial)
        else:
            tags = struct.pack(self.order + "4I", self.sequence, *(words or (number, chunk, used)))
            tags += tags_ecc(tags, self.order) if self.ecc else b""
            spare[self.place : self.place + len(tags)] = tags
        assert len(spare) == self.spare
        self.image += data.ljust(self.page, b"\xff") + spare

    def tags1(self, number: int, chunk: int, used: int, serial: int) -> bytes:
        fields = ((chunk, 20), (serial, 2), (used & 0x3FF, 10)), ((number, 18), (0, 12), (3, 2))
        for _ in range(2):
            words = []
            for row in fields:
                value, at = 0, 0
                for field, width in row:
                    value |= field << (at if self.order == "<" else 32 - at - width)
                    at += width
                words.append(value)
            raw = struct.pack(self.order + "II", *words)
            ecc = 0
            for bit in range(64):
                if raw[bit // 8] >> bit % 8 & 1:
                    ecc ^= bit + 1
            fields = fields[0], ((number, 18), (ecc if fields[1][1][0] == 0 else fields[1][1][0], 12), (3, 2))
        return raw[:4] + b"\xff\xff" + raw[4:6] + b"\xff\xff\xff" + raw[6:8] + b"\xff\xff\xff"

    def header(
        self, number: int, parent: int, name: bytes, kind: int = FILE, size: int = 0, mode: int | None = None, means: int = 1,
        target: bytes = b"", device: int = 0, shadows: int = 0, shrink: int = 0, tail: bytes = b"", serial: int = 0,
    ) -> None:  # fmt: skip
        mode = (
            {FILE: 0o100644, SYMLINK: 0o120777, DIRECTORY: 0o040755, HARD_LINK: 0, SPECIAL: 0o020600}[kind]
            if mode is None
            else mode
        )
        raw = struct.pack(self.order + "IIH256s2xIIIIII", kind, parent, 0xFFFF, name, mode, 7, 8, 1, 1000 + number, 3)
        raw += struct.pack(self.order + "II160sI24x", size & 0xFFFFFFFF, means, target, device)
        inband = self.page % 512 != 0
        raw += struct.pack(
            self.order + "6I", shadows if inband else 0, 0, size >> 32, 0xFFFFFFFF, 0 if inband else shadows, shrink
        )
        words = (number, 0, 0xFFFF)
        if self.extra:
            words = (number | kind << 28, 0x80000000 | shrink << 30 | parent, means if kind == HARD_LINK else size)
        self.chunk(number, 0, raw + tail, 0xFFFF, words, serial)

    def file(self, number: int, parent: int, name: bytes, data: bytes, mode: int = 0o100644) -> None:
        self.header(number, parent, name, size=len(data), mode=mode)
        for at in range(0, len(data), self.page):
            piece = data[at : at + self.page]
            self.chunk(number, at // self.page + 1, piece, len(piece))

    def erase(self, pages: int) -> None:
        self.image += b"\xff" * (pages * self.stride)


TEXT = b"".join(b"line %d of a text\n" % n for n in range(700))


def tree(writer: Writer) -> bytes:
    writer.header(257, 1, b"etc", DIRECTORY, mode=0o040700)
    writer.file(258, 257, b"shadow", b"root::1:0:99999:7:::\n", 0o104640)
    writer.file(259, 1, b"text", TEXT)
    writer.header(260, 1, b"link", SYMLINK, target=b"etc/shadow")
    writer.header(261, 1, b"console", SPECIAL, device=5 << 8 | 1)
    writer.header(262, 257, b"again", HARD_LINK, means=258)
    writer.file(263, 1, b"empty", b"")
    return bytes(writer.image)


def listing(data: bytes, offset: int = 0) -> tuple[Container, dict[str, Entry]]:
    container = YAFFS.open(Memory(data), offset)
    return container, {one.path: one for one in container.entries}


def content(one: Entry) -> bytes:
    assert one.open is not None
    source = one.open()
    assert source.size == one.size
    return source.read(0, source.size)


VARIANTS = {
    "2K at 2 with correction": Writer(),
    "2K at 0 without": Writer(place=0, ecc=False),
    "2K big-endian": Writer(order=">"),
    "2K at 1": Writer(place=1),
    "2K with extra": Writer(extra=True),
    "2K of 128": Writer(spare=128, place=32),
    "4K": Writer(4096, 128),
    "4K of 224": Writer(4096, 224, place=20, order=">", extra=True),
    "8K": Writer(8192, 256, place=3),
    "1K": Writer(1024, 32, place=0),
    "512 of version 2": Writer(512, 16, place=0, ecc=False),
    "version 1": Writer(512, 16, version=1),
    "version 1 big-endian": Writer(512, 16, version=1, order=">"),
    "in band": Writer(2032, 16, place=0, ecc=False),
    "in band big-endian": Writer(4080, 16, place=0, ecc=False, order=">", extra=True),
}


def fresh(variant: str) -> Writer:
    one = VARIANTS[variant]
    return Writer(one.page, one.spare, one.place, one.order, one.ecc, one.extra, one.version)


def seeds() -> list[bytes]:
    out = [
        tree(fresh(variant))
        for variant in ("2K at 2 with correction", "4K of 224", "version 1", "version 1 big-endian", "in band")
    ]
    writer = fresh("2K with extra")
    writer.file(257, 1, b"old", TEXT)
    writer.sequence += 1
    writer.header(257, 1, b"new", size=100, shrink=1)
    writer.header(258, 1, b"heir", shadows=257, tail=struct.pack("<I", 11) + b"user.a\0")
    return [*out, bytes(writer.image)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_geometry_reads_back_as_written(variant: str) -> None:
    writer = fresh(variant)
    data = tree(writer)
    container, entries = listing(b"\x5a" * 100 + data + b"\x17" * 20_000_00, 100)
    assert container.problems == []
    assert (container.size, container.before) == (len(data), 0)
    assert container.detail["version"] == writer.version
    assert container.detail["byte_order"] == {"<": "little", ">": "big"}[writer.order]
    assert container.detail["page"] == writer.page + (16 if writer.page % 512 else 0)
    assert set(entries) == {"/etc", "/etc/shadow", "/etc/again", "/text", "/link", "/console", "/empty"}
    assert content(entries["/text"]) == TEXT
    assert content(entries["/etc/again"]) == content(entries["/etc/shadow"]) == b"root::1:0:99999:7:::\n"
    shadow = entries["/etc/shadow"]
    assert (shadow.mode, shadow.uid, shadow.gid, shadow.mtime) == (0o4640, 7, 8, 1258)
    assert shadow.detail == entries["/etc/again"].detail == {"inode": 258, "links": 2}
    assert (entries["/etc"].kind, entries["/etc"].mode) == (NodeKind.DIRECTORY, 0o700)
    assert (entries["/link"].kind, entries["/link"].target) == (NodeKind.SYMLINK, "etc/shadow")
    assert entries["/console"].device == "c 5:1"
    assert content(entries["/empty"]) == b""
    assert ("correction right" in str(container.detail["tags"])) == (writer.ecc or writer.version == 1)


def test_contents_lie_in_the_image_as_they_are() -> None:
    image = Memory(tree(fresh("2K at 0 without")))
    image.origin = 0
    one = next(entry for entry in YAFFS.open(image, 0).entries if entry.path == "/text")
    assert one.open is not None
    assert list(one.open().extents(0, 4096)) == [(4 * 2112, 2048), (5 * 2112, 2048)]


def test_the_newest_block_holds_wherever_it_lies() -> None:
    writer = Writer()
    writer.sequence = 0x1002
    writer.chunk(257, 1, b"new", 3)
    writer.header(257, 1, b"name", size=3)
    writer.sequence = 0x1001
    writer.header(257, 1, b"before", size=2)
    writer.chunk(257, 1, b"xx", 2)
    container, entries = listing(bytes(writer.image), writer.stride)
    assert (container.before, container.size) == (writer.stride, 3 * writer.stride)
    assert {path: content(one) for path, one in entries.items()} == {"/name": b"new"}


def test_data_in_front_of_the_first_header_belongs_to_the_file_system() -> None:
    writer = Writer()
    writer.sequence = 0x1005
    writer.chunk(257, 2, b"end", 3)
    writer.erase(30)
    writer.sequence = 0x1001
    writer.file(257, 1, b"name", b"a" * 2048)
    data = b"\x5a" * 7 + bytes(writer.image) + bytes(100)
    found = Explorer(Limits()).explore(Memory(data), ("image",), 0)
    (node,) = (item.node for item in found.items if item.node.format == "yaffs")
    assert (node.offset, node.size) == (7, 33 * writer.stride)
    (one,) = (item for item in found.items if item.node.path == "/name")
    source = one.content()
    assert source is not None
    assert source.read(0, source.size) == b"a" * 2048 + b"end"


@pytest.mark.parametrize("parent", [3, 4])
def test_deleted_objects_are_not_shown(parent: int) -> None:
    writer = Writer()
    writer.file(257, 1, b"kept", b"kept")
    writer.sequence += 1
    writer.file(258, 1, b"gone", b"gone")
    writer.header(258, parent, b"unlinked", size=0)
    container, entries = listing(bytes(writer.image))
    assert list(entries) == ["/kept"]
    assert container.detail["deleted_objects"] == 1


def test_shrunk_files_do_not_show_what_was_cut_off() -> None:
    writer = Writer()
    writer.sequence = 0x1001
    writer.file(257, 1, b"f", b"a" * 6000)
    writer.header(257, 1, b"f", size=100, shrink=1)
    writer.chunk(257, 1, b"b" * 100, 100)
    writer.header(257, 1, b"f", size=5000)
    _, entries = listing(bytes(writer.image))
    assert content(entries["/f"]) == b"b" * 100 + bytes(4900)


def test_data_written_after_the_last_header_lengthens_the_file() -> None:
    writer = Writer()
    writer.file(257, 1, b"f", b"a" * 2048)
    writer.chunk(257, 3, b"end", 3)
    assert content(listing(bytes(writer.image))[1]["/f"]) == b"a" * 2048 + bytes(2048) + b"end"


@pytest.mark.parametrize("variant", ["2K at 2 with correction", "in band"])
def test_an_object_that_another_one_shadows_is_gone(variant: str) -> None:
    writer = fresh(variant)
    writer.sequence = 0x1001
    writer.file(257, 1, b"name", b"old")
    writer.header(258, 1, b"name", size=0, shadows=257)
    writer.chunk(258, 1, b"new", 3)
    _, entries = listing(bytes(writer.image))
    assert {path: content(one) for path, one in entries.items()} == {"/name": b"new"}


def test_version_1_keeps_the_next_serial_number_and_no_deleted_chunk() -> None:
    writer = Writer(512, 16, version=1)
    writer.header(257, 1, b"f", size=3)
    writer.chunk(257, 1, b"new", 3, serial=0)
    writer.chunk(257, 1, b"old", 3, serial=3)
    writer.header(258, 1, b"gone", size=3)
    image = writer.image
    image[-16 + 4] = 0
    container, entries = listing(bytes(image))
    assert {path: content(one) for path, one in entries.items()} == {"/f": b"new"}
    assert container.detail["skipped_chunks"] == "1 deleted"


def test_checkpoints_and_summaries_are_skipped() -> None:
    writer = Writer()
    writer.file(257, 1, b"f", b"data")
    writer.chunk(0x10, 1, b"summary", 7)
    writer.sequence = 0x21
    for page in range(3):
        writer.chunk(9, page + 1, b"checkpoint", 2048)
    container, entries = listing(bytes(writer.image))
    assert list(entries) == ["/f"]
    assert container.size == len(writer.image)
    assert container.detail["skipped_chunks"] == "3 checkpoint, 1 summary"


def test_erased_pages_up_to_the_end_of_the_block_are_claimed() -> None:
    writer = Writer()
    writer.file(257, 1, b"f", b"data")
    writer.erase(200)
    assert listing(bytes(writer.image))[0].size == 64 * writer.stride


def test_a_second_file_system_behind_the_first_is_another_container() -> None:
    first, second, live = Writer(), Writer(), Writer()
    first.file(257, 1, b"first", b"1" * 9000)
    second.file(257, 1, b"second", b"2" * 9000)
    data = bytes(first.image + second.image)
    container, entries = listing(data)
    assert (container.size, list(entries)) == (len(first.image), ["/first"])
    assert list(listing(data, len(first.image))[1]) == ["/second"]
    live.sequence = 0x1001
    live.file(257, 1, b"third", b"3" * 70_000)
    live.erase(256 - 36)
    data = bytes(live.image + live.image)
    assert listing(data)[0].size == len(live.image) // 4


def test_attributes_in_the_page_of_the_header_are_told() -> None:
    writer = Writer()
    value = bytes.fromhex("0100000200200000000000000000000000000000")
    writer.header(257, 1, b"ping", tail=struct.pack("<I", 4 + 20 + 20) + b"security.capability\0" + value + b"\xff" * 8)
    writer.chunk(257, 1, b"x", 1)
    assert listing(bytes(writer.image))[1]["/ping"].detail == {"security.capability": "cap_net_raw+ep"}


def test_loops_lost_objects_and_odd_names_end() -> None:
    writer = Writer()
    writer.header(257, 258, b"a", DIRECTORY)
    writer.header(258, 257, b"b", DIRECTORY)
    writer.header(259, 1, b"..", DIRECTORY)
    writer.header(260, 1, b"dangling", HARD_LINK, means=999)
    writer.header(261, 2, b"found", FILE)
    container, entries = listing(bytes(writer.image))
    assert set(entries) == {"/lost+found", "/lost+found/found", "/dangling"}
    assert len(container.problems) == 3


def test_absurd_sizes_cost_their_quota_and_no_more() -> None:
    writer = Writer()
    writer.header(257, 1, b"f", size=1 << 40)
    writer.chunk(257, 1, b"x", 1)
    one = listing(bytes(writer.image))[1]["/f"]
    assert one.open is not None
    with pytest.raises(QuotaExceeded):
        one.open()


def test_headers_without_tags_are_rejected() -> None:
    data = bytearray(tree(Writer()))
    for at in range(0, len(data), 2112):
        data[at + 2048 : at + 2112] = b"\xff" * 64
    for raw in (b"", bytes(data), bytes(data[:600]), b"\1\0\0\0\1\0\0\0\xff\xff" + b"a" * 5000):
        with pytest.raises(FormatError):
            YAFFS.open(Memory(raw), 0)


def test_tables_of_programs_are_no_headers() -> None:
    data = bytearray(tree(Writer()))
    for at, change in ((100, b"x"), (268, b"\0\0\0\0"), (4, b"\0\0\0\0"), (15, b"/")):
        other = bytearray(data)
        other[at : at + len(change)] = change
        with pytest.raises(FormatError):
            YAFFS.open(Memory(bytes(other)), 0)


def test_tags_do_not_reach_behind_the_spare_area() -> None:
    writer = Writer(4080, 16, place=0, ecc=False)
    writer.sequence = 0x1001
    writer.file(257, 1, b"f", b"x" * 400_000)
    writer.header(258, 1, b"g")
    data = bytes(writer.image)
    for cut in range(5):
        for at in (0, len(data) - 4096):
            container, entries = listing(data[: len(data) - cut] if not at else data, at)
            assert container.before == at
            assert len(content(entries["/f"])) == 400_000


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "count", "path"), [("fmt-yaffs2_*", 13, "/yaffs_ecc.c"), ("fmt-yaffs-le_*", 4, "/generic folder/test file 3_.txt")]
)
def test_real_images_are_read(name: str, count: int, path: str) -> None:
    images = sorted(CORPUS.glob(name)) if CORPUS.is_dir() else []
    if not images:
        pytest.skip("the shared corpus is not there")
    data = images[0].read_bytes()
    container, entries = listing(data)
    assert (container.size, container.problems, len(entries)) == (len(data), [], count)
    assert content(entries[path])
