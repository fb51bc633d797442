"""ar archives made by binutils and by an independent writer read back as they were written."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.ar import FORMATS
from fwcheck.extraction.source import Memory

(AR,) = FORMATS
LONG = "a-member-with-a-rather-long-name.o"


def member(name: bytes, data: bytes, mtime: int = 0, uid: int = 0, gid: int = 0, mode: int = 0o100644) -> bytes:
    head = b"%-16b%-12d%-6d%-6d%-8o%-10d`\n" % (name, mtime, uid, gid, mode, len(data))
    return head + data + b"\n" * (len(data) % 2)


def ar(*members: bytes) -> bytes:
    return b"!<arch>\n" + b"".join(members)


def gnu() -> bytes:
    names = LONG.encode() + b"/\n"
    return ar(
        member(b"/", bytes(8)),
        member(b"//", names),
        member(b"/0", b"long" * 9 + b"!"),
        member(b"short.o/", b"short", 1700000000, 7, 8),
    )


def bsd() -> bytes:
    name = LONG.encode().ljust(36, b"\0")
    return ar(member(b"__.SYMDEF", bytes(8)), member(b"#1/36", name + b"long"), member(b"short.o", b"odd"))


def seeds() -> list[bytes]:
    return [gnu(), bsd(), b"!<thin>\n" + member(b"//", b"dir/x.o/\n\n") + member(b"/0", b"")]


def listing(data: bytes, offset: int = 0):
    container = AR.open(Memory(data), offset)
    return container, {entry.path: entry for entry in container.entries}


def content(entry) -> bytes:
    return entry.open().read(0, entry.size)


def test_gnu_names_and_attributes() -> None:
    container, entries = listing(b"rubbish!" + gnu() + b"behind", 8)
    assert (container.size, container.problems, container.detail) == (len(gnu()), [], {"variant": "GNU", "members": 2})
    assert {path: content(entry) for path, entry in entries.items()} == {f"/{LONG}": b"long" * 9 + b"!", "/short.o": b"short"}
    short = entries["/short.o"]
    assert (short.mtime, short.uid, short.gid, short.mode) == (1700000000, 7, 8, 0o644)


def test_bsd_names() -> None:
    container, entries = listing(bsd())
    assert (container.size, container.problems, container.detail["variant"]) == (len(bsd()), [], "BSD")
    assert {path: content(entry) for path, entry in entries.items()} == {f"/{LONG}": b"long", "/short.o": b"odd"}


def test_what_binutils_writes(tmp_path: Path) -> None:
    if shutil.which("ar") is None:
        pytest.skip("ar (binutils) is not installed")
    written = {LONG: b"\x7fELF" * 33, "b": b"odd", "empty": b""}
    for name, data in written.items():
        (tmp_path / name).write_bytes(data)
    subprocess.run(["ar", "rcS", "x.a", *written], cwd=tmp_path, check=True)
    data = (tmp_path / "x.a").read_bytes()
    container, entries = listing(data + b"\xff" * 100)
    assert (container.size, container.problems) == (len(data), [])
    assert {path: content(entry) for path, entry in entries.items()} == {f"/{name}": data for name, data in written.items()}
    subprocess.run(["ar", "rcTS", "thin.a", *written], cwd=tmp_path, check=True)
    data = (tmp_path / "thin.a").read_bytes()
    container, entries = listing(data)
    assert container.size == len(data)
    assert [(path, entry.open) for path, entry in entries.items()] == [(f"/{name}", None) for name in written]


def test_members_of_one_name_are_all_kept() -> None:
    _, entries = listing(ar(member(b"x.o/", b"1"), member(b"x.o/", b"2")))
    assert {path: content(entry) for path, entry in entries.items()} == {"/x.o": b"1", "/x.o#2": b"2"}


def test_names_do_not_leave_the_archive() -> None:
    container, entries = listing(ar(member(b"//", b"../../etc/passwd/\n"), member(b"/0", b"x")))
    assert list(entries) == ["/etc/passwd"]
    assert any("leaves the archive" in line for line in container.problems)


def test_a_cut_archive_keeps_what_is_there() -> None:
    container, entries = listing(gnu()[:-3])
    assert container.size == len(gnu()) - 3
    assert content(entries["/short.o"]) == b"sho"
    assert any("the image ends before" in line for line in container.problems)


@pytest.mark.parametrize("data", [b"!<arch>\n", b"!<arch>\n" + b"x" * 60, b"!<arch>\n" + member(b"a/", b"")[:-1] + b"x"])
def test_a_magic_alone_is_no_archive(data: bytes) -> None:
    with pytest.raises(FormatError):
        AR.open(Memory(data), 0)
