"""SquashFS images that are damaged or lie: the loss stays where the damage is, and no cost grows beyond the image."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import TypeVar

import pytest
from support.hostile import exercise, mutations, truncations
from support.squashfs_images import (
    SQUASHFS,
    Compress,
    Link,
    Member,
    Writer,
    better_of_two,
    content,
    contents,
    lzma_13,
    lzma_stripped,
    members,
    opened,
)

from fwcheck.extraction.errors import ExtractionError, FormatError, QuotaExceeded
from fwcheck.extraction.formats import _squashfs_blocks
from fwcheck.extraction.formats._squashfs_codecs import Codec, bare
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

T = TypeVar("T")


def gathered(items: Iterable[T]) -> tuple[list[T], ExtractionError | None]:
    """What an iterable gave, and the error it ended with."""
    taken: list[T] = []
    try:
        taken.extend(items)  # keeps what came before the error
    except ExtractionError as error:
        return taken, error
    return taken, None


# Damage


def test_a_flipped_byte_loses_only_what_was_stored_there() -> None:
    made = {f"/f{n}": random.Random(n).randbytes(300) * 200 for n in range(20)}
    for version, order, compress in ((4, "little", zlib.compress), (3, "big", lzma_13), (2, "big", lzma_stripped)):
        data = Writer(dict(made), version, order, compress=compress, fragments=False).build()
        start = {4: 96, 3: 119, 2: 63}[version]
        damaged = bytearray(data)
        damaged[start + 40] ^= 0x55
        found = contents(bytes(damaged))
        assert set(made) - set(found) == {"/f0"}
        assert all(found[path] == made[path] for path in found)


def test_a_damaged_fragment_loses_only_the_files_in_it() -> None:
    made = {f"/f{n:02}": random.Random(n).randbytes(2000) * 2 for n in range(60)}
    data = bytearray(Writer(dict(made), 4, "little").build())
    data[96 + 400] ^= 0xFF
    found = contents(bytes(data))
    assert 0 < len(made) - len(found) <= 9
    assert all(found[path] == made[path] for path in found)


def test_a_damaged_metadata_block_loses_only_its_inodes() -> None:
    chance = random.Random(1)
    made: dict[str, Member] = {f"/d{n % 7}/{chance.randbytes(20).hex()}": Link(chance.randbytes(40).hex()) for n in range(900)}
    writer = Writer(made, 4, "little")
    data = bytearray(writer.build())
    second = 96 + 2 + struct.unpack_from("<H", data, 96)[0]
    data[second + 1000] ^= 0xFF
    container, entries = opened(bytes(data))
    assert 500 < len(entries) < 909
    assert any("entries from" in problem for problem in container.problems)


def test_truncated_images_give_what_is_left() -> None:
    # Every maker writes the tables last: without them nothing has a name.
    made = members(files=10)
    data = Writer(made, 4, "little").build()
    with pytest.raises(FormatError):
        opened(data[: len(data) // 2])
    inodes = struct.unpack_from("<Q", data, 64)[0]
    assert inodes < len(data)
    short = data[:-4]  # the pointer to the table of owners
    container, entries = opened(short)
    assert container.size == len(short)
    assert "truncated" in container.problems[0]
    assert "owners" in container.problems[1]
    assert content(entries["/noise"]) == made["/noise"]


def test_a_file_beyond_the_end_is_an_error_when_it_is_read() -> None:
    writer = Writer({"/a": b"a" * 10, "/b": random.Random(1).randbytes(90_000)}, 4, "little", fragments=False)
    data = writer.build()
    block, offset, _, _ = writer.places["/b"]
    assert block == 0
    table = struct.unpack_from("<Q", data, 64)[0]
    inodes = bytearray(zlib.decompress(data[table + 2 : table + 2 + struct.unpack_from("<H", data, table)[0]]))
    struct.pack_into("<I", inodes, offset + 16, len(data) + 5)
    lying = _with_inodes(data, table, bytes(inodes))
    _, entries = opened(lying)
    assert content(entries["/a"]) == b"a" * 10
    with pytest.raises(FormatError, match="outside"):
        content(entries["/b"])


def _with_inodes(data: bytes, table: int, inodes: bytes) -> bytes:
    """The image with its one block of inodes moved, changed and stored as it is, in front of its directories."""
    directories = struct.unpack_from("<Q", data, 72)[0]
    shift = 2 + len(inodes) - (directories - table)
    body = data[:table] + struct.pack("<H", len(inodes) | 1 << 15) + inodes + data[directories:]
    copy = bytearray(body)
    for at in (40, 48, 72, 80):
        (value,) = struct.unpack_from("<Q", copy, at)
        struct.pack_into("<Q", copy, at, value + shift)
    for at in (48, 80):  # index tables hold absolute pointers
        (where,) = struct.unpack_from("<Q", copy, at)
        if where + 8 <= len(copy) and not (at == 80 and not struct.unpack_from("<I", copy, 16)[0]):
            (value,) = struct.unpack_from("<Q", copy, where)
            struct.pack_into("<Q", copy, where, value + shift)
    return bytes(copy)


# Lies


class Liar(Writer):
    """Adds entries to one directory's listing."""

    def __init__(self, extra: dict[str, list[tuple[bytes, str]]], made: dict[str, Member], version: int = 4) -> None:
        super().__init__(made, version, "little")
        self.extra = extra

    def names(self, path: str) -> list[tuple[bytes, str]]:
        return super().names(path) + self.extra.get(path, [])


def test_impossible_and_double_names_are_recorded_and_left_out() -> None:
    made: dict[str, Member] = {"/d/a": b"first", "/d/b": b"second"}
    bad = [(b"a", "/d/b"), (b"..", "/d/b"), (b"x/../../etc/passwd", "/d/b"), (b"nul\0", "/d/b"), (b"n" * 256, "/d/b")]
    container, entries = opened(Liar({"/d": bad}, made).build())
    assert set(entries) == {"/", "/d", "/d/a", "/d/b", "/d/" + "n" * 256}
    assert content(entries["/d/a"]) == b"first"
    assert len(container.problems) == 4


@pytest.mark.parametrize("version", [2, 3, 4])
def test_directory_loops_and_shared_directories_are_walked_once(version: int) -> None:
    made: dict[str, Member] = {"/d/e/x": b"x", "/d/y": b"y"}
    extra = {"/d/e": [(b"up", "above")], "/d": [(b"again", "/d/e"), (b"once more", "/d/e")]}
    above = (0, 0, 1, 1)
    # The place of an ancestor is known once the image was written for the first time.
    for _ in range(2):
        writer = Liar(extra, made, version)
        writer.places["above"] = above
        data = writer.build()
        above = writer.places["/d"]
    container, entries = opened(data)
    assert set(entries) == {"/", "/d", "/d/e", "/d/e/x", "/d/y"}
    assert [problem.split(":")[0] for problem in container.problems] == ["/d/again", "/d/once more", "/d/e/up"]
    assert all("loop" in problem for problem in container.problems)


def test_exponential_trees_are_linear() -> None:
    made: dict[str, Member] = {"/" + "/".join(["d"] * 30) + "/leaf": b"leaf"}
    paths = ["/" + "/".join(["d"] * n) for n in range(1, 30)]
    extra = {path: [(b"e%d" % n, path + "/d") for n in range(8)] for path in paths}
    container, entries = opened(Liar(extra, made).build())
    assert sum(path.endswith("/leaf") for path in entries) == 1
    assert len(container.problems) <= 101


def test_a_terabyte_of_holes_is_refused_without_allocating() -> None:
    blocks = 1 << 25  # of 32 KiB
    made: dict[str, Member] = {"/big": b"x"}
    writer = Writer(made, 4, "little")
    big = writer.pack((9, 16), (0o644, 16), (0, 16), (0, 16), (0, 32), (1, 32), (96, 64), (1 << 30, 64), (0, 64), (1, 32),
                      (0xFFFFFFFF, 32), (0, 32), (0xFFFFFFFF, 32))  # fmt: skip
    writer._add = lambda path, kind, record, add=writer._add: add(path, kind, big + bytes(1 << 17) if kind == 2 else record)  # type: ignore[method-assign,misc]
    _, entries = opened(writer.build())
    entry = entries["/big"]
    assert entry.size == 1 << 30
    assert entry.open is not None
    source = entry.open()
    assert source.peek(1 << 29, 16) == bytes(16)
    with pytest.raises(QuotaExceeded):
        source.view(0, source.size)
    taken, stopped = gathered(map(len, source.chunks()))
    assert isinstance(stopped, QuotaExceeded)
    assert 32 << 20 <= sum(taken) <= 64 << 20
    huge = struct.pack("<Q", blocks << 15)
    writer = Writer(made, 4, "little")
    lying = big[:24] + huge + big[32:]
    writer._add = lambda path, kind, record, add=writer._add: add(path, kind, lying if kind == 2 else record)  # type: ignore[method-assign,misc]
    _, entries = opened(writer.build())
    assert entries["/big"].open is not None
    with pytest.raises(ExtractionError):
        entries["/big"].open()


def test_blocks_that_unpack_to_more_than_a_block_are_refused() -> None:
    def bomb(raw: bytes) -> bytes:
        return zlib.compress(raw + bytes(1 << 22) if raw[:4] == b"bomb" else raw)

    data = Writer({"/bomb": b"bomb" * 5000, "/fine": b"fine" * 99}, 4, "little", compress=bomb,
                  fragments=False).build()  # fmt: skip
    assert set(contents(data)) == {"/fine"}


def test_more_entries_than_the_limits_allow_stop_the_listing() -> None:
    data = Writer(members(), 4, "little").build()
    container = SQUASHFS.open(Memory(data), 0, Limits(nodes=20))
    seen, stopped = gathered(container.entries)
    assert isinstance(stopped, QuotaExceeded)
    assert 0 < len(seen) <= 20


def test_superblocks_over_rubbish_are_searched_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []

    def counted(packed: bytes) -> Iterator[Codec]:
        searched.append(len(packed))
        return bare(packed)

    monkeypatch.setattr(_squashfs_blocks, "bare", counted)
    data = bytearray(Writer(members(files=4), 3, "little").build())
    table, directories = struct.unpack_from("<QQ", data, 87)
    data[table + 2 : directories] = bytes(13) + random.Random(1).randbytes(directories - table - 15)
    source = Memory(bytes(data) * 40)
    for number in range(40):
        with pytest.raises(FormatError):
            SQUASHFS.open(source, number * len(data))
    assert len(searched) == _squashfs_blocks.REFUSALS


@pytest.mark.parametrize(("version", "order"), [(1, "big"), (3, "little"), (4, "big"), (4, "little")])
def test_truncations_raise_nothing_unforeseen(version: int, order: str) -> None:
    data = Writer(members(files=8), version, order).build()
    for cut in truncations(data, 40):
        exercise(SQUASHFS, cut)


@pytest.mark.fuzz
@pytest.mark.parametrize(
    ("version", "compress"), [(1, zlib.compress), (2, lzma_stripped), (3, better_of_two), (4, zlib.compress)]
)
def test_mutations_raise_nothing_unforeseen(version: int, compress: Compress) -> None:
    made: dict[str, Member] = {path: each[:3000] if isinstance(each, bytes) else each for path, each in members(files=12).items()}
    # Metadata that is stored as it is: changes reach the fields, not only the decoder.
    for packed in (compress, bytes):
        data = Writer(made, version, "little", compress=packed).build()
        tail = (len(data) - 2500, len(data))
        for damaged in mutations(data, 0.6, seed=version, hot=((0, 119), tail)):
            exercise(SQUASHFS, damaged)
