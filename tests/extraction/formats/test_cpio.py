"""cpio archives made by GNU cpio read back as they were written."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hostile import exercise, mutations, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats.cpio import FORMATS, checksum
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(CPIO,) = FORMATS


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_bytes(b"root:x:0:0::/root:/bin/sh\n")
    (root / "etc/shadow").write_bytes(b"root::1:0:99999:7:::\n")
    (root / "etc/shadow").chmod(0o4640)
    (root / "big").write_bytes(bytes(range(256)) * 400)
    (root / "odd").write_bytes(b"odd")
    (root / "empty").write_bytes(b"")
    (root / "link").symlink_to("etc/passwd")
    (root / "first").write_bytes(b"several names")
    os.link(root / "first", root / "second")
    os.link(root / "first", root / "third")
    os.utime(root / "odd", (1_500_000_000, 1_500_000_000))
    return root


def pack(tree: Path, variant: str) -> bytes:
    if shutil.which("cpio") is None:
        pytest.skip("cpio is not installed")
    names = "\n".join(sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*")))
    done = subprocess.run(["cpio", "-o", "-H", variant], input=names.encode(), cwd=tree, check=True, capture_output=True)
    return done.stdout


def listing(data: bytes, offset: int = 0) -> tuple[Container, dict[str, Entry]]:
    container = CPIO.open(Memory(data), offset)
    return container, {entry.path: entry for entry in container.entries}


def content(entry: Entry) -> bytes:
    assert entry.open is not None
    source = entry.open()
    assert source.size == entry.size
    return source.read(0, source.size)


@pytest.mark.parametrize(("variant", "named"), [("newc", "newc"), ("crc", "crc"), ("odc", "odc"), ("bin", "binary")])
def test_every_variant_reads_back_as_written(variant: str, named: str, tree: Path) -> None:
    data = pack(tree, variant)
    container, entries = listing(b"HEAD" + data + b"\0" * 100, 4)
    assert container.problems == []
    assert container.detail["variant"] == named
    assert data[: container.size].rstrip(b"\0").endswith(b"TRAILER!!!")
    assert len(data[: container.size].rstrip(b"\0")) <= container.size < len(data.rstrip(b"\0")) + 8
    expected = {"/" + path.relative_to(tree).as_posix(): path for path in tree.rglob("*")}
    assert set(entries) == set(expected)
    for path, original in expected.items():
        entry, info = entries[path], original.lstat()
        assert (entry.mode, entry.mtime) == (stat.S_IMODE(info.st_mode), int(info.st_mtime)), path
        assert (entry.uid, entry.gid) == (info.st_uid, info.st_gid)
        if original.is_symlink():
            assert (entry.kind, entry.target) == (NodeKind.SYMLINK, "etc/passwd")
        elif original.is_file():
            assert content(entry) == original.read_bytes(), path


def swapped(data: bytes) -> bytes:
    """A one-member old binary archive with its header words in the other byte order."""
    words = bytearray(data)
    at = 0
    while True:
        header = bytes(words[at : at + 26])
        length, size = int.from_bytes(header[20:22], "little"), header[22] << 16 | header[23] << 24 | header[24] | header[25] << 8
        words[at : at + 26] = b"".join(header[n : n + 2][::-1] for n in range(0, 26, 2))
        if words[at + 26 :].startswith(b"TRAILER!!!"):
            return bytes(words)
        at += 26 + length + (length & 1) + size + (size & 1)


def test_the_old_binary_format_reads_in_both_byte_orders(tree: Path) -> None:
    data = pack(tree, "bin")
    assert data[:2] == b"\xc7\x71"
    _, little = listing(data)
    container, big = listing(swapped(data))
    assert container.problems == []
    assert {path: (entry.mode, entry.size) for path, entry in big.items()} == {
        path: (entry.mode, entry.size) for path, entry in little.items()
    }


def newc(name: str, mode: int, data: bytes = b"", **fields: int) -> bytes:
    values = dict.fromkeys(
        ("ino", "mode", "uid", "gid", "nlink", "mtime", "size", "maj", "min", "rmaj", "rmin", "name", "check"), 0
    )
    values |= {"mode": mode, "nlink": 1, "size": len(data), "name": len(name) + 1} | fields
    head = b"070701" + b"".join(b"%08x" % value for value in values.values()) + name.encode() + b"\0"
    head += bytes(-len(head) % 4)
    return head + data + bytes(-len(data) % 4)


END = newc("TRAILER!!!", 0)


def seeds() -> list[bytes]:
    def odc(name: str, data: bytes) -> bytes:
        return (
            b"070707"
            + b"%06o" * 7 % (1, 2, 0o100644, 3, 4, 1, 0)
            + b"%011o%06o%011o" % (5, len(name) + 1, len(data))
            + (name.encode() + b"\0" + data)
        )

    def old(name: str, data: bytes) -> bytes:
        head = struct.pack("<13H", 0o070707, 1, 2, 0o100644, 3, 4, 1, 0, 0, 5, len(name) + 1, 0, len(data))
        return head + name.encode() + bytes(1 + (len(name) + 1) % 2) + data + bytes(len(data) % 2)

    several = (
        newc("dev/console", 0o020600, rmaj=5, rmin=1) + newc("link", 0o120777, b"init") + newc("init", 0o100755, b"#!/bin/sh\n")
    )
    summed = newc("init", 0o100755, b"abc", check=294).replace(b"070701", b"070702")
    return [
        several + END,
        summed + END.replace(b"070701", b"070702"),
        odc("init", b"abc") + odc("TRAILER!!!", b""),
        old("init", b"abc") + old("a", b"") + old("b", b"x") + old("TRAILER!!!", b""),
    ]


def test_every_seed_is_read_without_a_problem() -> None:
    assert [listing(data)[0].problems for data in seeds()] == [[], [], [], []]
    assert [listing(data)[0].detail["variant"] for data in seeds()] == ["newc", "crc", "odc", "binary"]


def test_devices_keep_their_numbers() -> None:
    _, entries = listing(newc("dev/console", 0o020600, rmaj=5, rmin=1) + newc("p", 0o010600) + newc("s", 0o140600) + END)
    assert [entry.device for entry in entries.values()] == ["c 5:1", "fifo", "socket"]


def test_names_that_leave_the_archive_stay_inside_and_are_said() -> None:
    container, entries = listing(newc("../../etc/passwd", 0o100644, b"x") + newc("a/../../b", 0o100644, b"y") + END)
    assert set(entries) == {"/etc/passwd", "/b"}
    assert entries["/etc/passwd"].detail["stored"] == "../../etc/passwd"
    assert len(container.problems) == 2


def test_archives_laid_one_behind_the_other_are_one_root() -> None:
    first = newc("init", 0o100755, b"old") + newc("only", 0o100644, b"1") + END
    data = first + bytes(-len(first) % 512) + newc("init", 0o100755, b"new") + END
    container = CPIO.open(Memory(data + b"\xff" * 64), 0)
    entries = list(container.entries)
    assert [(entry.path, content(entry)) for entry in entries] == [("/init", b"old"), ("/only", b"1"), ("/init", b"new")]
    assert container.size == len(data)
    assert any("/init occurs 2 times" in problem for problem in container.problems)


def test_a_wrong_checksum_is_said(tree: Path) -> None:
    data = pack(tree, "crc")
    assert listing(data)[0].problems == []
    broken = data.replace(b"root:x:0:0", b"root::0:0:")
    assert any("checksum" in problem for problem in listing(broken)[0].problems)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=3000))
def test_the_checksum_is_the_sum_of_all_bytes(data: bytes) -> None:
    assert checksum(Memory(data)) == sum(data)


def test_a_truncated_archive_gives_what_is_there() -> None:
    data = newc("whole", 0o100644, b"whole") + newc("cut", 0o100644, b"x" * 4000)
    container, entries = listing(data[:-2000])
    assert content(entries["/whole"]) == b"whole"
    assert container.size == len(data) - 2000
    with pytest.raises(FormatError):
        content(entries["/cut"])
    assert any("ends before" in problem for problem in container.problems)


def test_a_member_of_four_gibibytes_that_is_not_there_costs_nothing() -> None:
    container, _ = listing(newc("liar", 0o100644, size=0xFFFFFFFF) + END)
    assert len(container.problems) == 1


@pytest.mark.parametrize("data", [b"", b"070701" + b"0" * 104, b"070701 is a magic", END, b"\xc7\x71" + b"\x01" * 200])
def test_what_only_looks_like_cpio_is_rejected(data: bytes) -> None:
    with pytest.raises(FormatError):
        CPIO.open(Memory(data), 0)


@pytest.mark.fuzz
def test_hostile_archives_raise_format_errors_alone(tree: Path) -> None:
    for variant in ("newc", "crc", "odc", "bin"):
        data = pack(tree, variant)
        for cut in truncations(data, 40):
            exercise(CPIO, cut)
        for broken in mutations(data, 0.7, hot=((0, 400), (len(data) - 900, len(data)))):
            exercise(CPIO, broken)
