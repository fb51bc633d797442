"""casync archives and indexes, written after caformat.h and by casync."""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.casync import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

INDEX, CATAR = FORMATS
TIME = 1_700_000_000


def record(kind: int, data: bytes) -> bytes:
    return struct.pack("<QQ", 16 + len(data), kind) + data


def entry(mode: int) -> bytes:
    return record(0x1396FABCEA5BBB51, struct.pack("<6Q", 0, mode, 0, 7, 8, TIME * 1_000_000_000 + 5))


def name(text: bytes) -> bytes:
    return record(0x6DBB6EBCB3161F0B, text + b"\0")


GOODBYE = record(0xDFD35C5E8327C403, bytes(24))


def catar() -> bytes:
    payload = record(0x8B9E1D93D6DCFFC9, b"hi\n")
    link = name(b"link") + entry(0o120777) + record(0x664A6FB6830E0D6C, b"d/hi\0")
    device = name(b"null") + entry(0o020666) + record(0xAC3DACE369DFE643, struct.pack("<QQ", 1, 3))
    user = record(0xF453131AAEEACCB3, b"root\0")
    inside = name(b"d") + entry(0o040750) + name(b"hi") + entry(0o100640) + user + payload + GOODBYE
    return entry(0o040755) + inside + link + device + GOODBYE


def index(chunks: int = 3) -> bytes:
    table = b"".join(struct.pack("<Q", 1000 * n + 1000) + hashlib.sha256(bytes([n])).digest() for n in range(chunks))
    head = struct.pack("<6Q", 48, 0x96824D9C7B129FF9, 0, 100, 1000, 4000)
    tail = struct.pack("<5Q", 0, 0, 48, 16 + len(table) + 40, 0x4B4F050E5549ECD1)
    return head + struct.pack("<QQ", (1 << 64) - 1, 0xE75B9E112F17417D) + table + tail


def seeds() -> list[bytes]:
    return [catar(), index(), entry(0o100644) + record(0x8B9E1D93D6DCFFC9, b"alone")]


def opened(data: bytes, offset: int = 0):
    container = CATAR.open(Memory(data), offset)
    return container, {each.path: each for each in container.entries}


def test_an_archive() -> None:
    container, entries = opened(b"rubbish!" + catar() + b"behind", 8)
    assert (container.size, container.problems) == (len(catar()), [])
    assert list(entries) == ["/", "/d", "/d/hi", "/link", "/null"]
    hi = entries["/d/hi"]
    assert (hi.open().read(0, 3), hi.mode, hi.uid, hi.gid, hi.mtime) == (b"hi\n", 0o640, 7, 8, TIME)
    assert (entries["/d"].kind, entries["/d"].mode) == (NodeKind.DIRECTORY, 0o750)
    assert (entries["/link"].target, entries["/null"].device) == ("d/hi", "c 1:3")


def test_an_archive_of_one_file() -> None:
    container, entries = opened(seeds()[2] + b"behind")
    assert (container.size, entries["/"].open().read(0, 5)) == (len(seeds()[2]), b"alone")


def test_names_do_not_leave_the_archive() -> None:
    data = catar().replace(name(b"hi"), name(b".."))
    assert all(path.startswith("/") and ".." not in path for path in opened(data)[1])


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_cut_archive_keeps_what_stands_before(cut: int) -> None:
    container, entries = opened(catar()[:-cut])
    assert "/d/hi" in entries
    assert len(container.problems) == 1


def test_an_index() -> None:
    container = INDEX.open(Memory(b"rubbish!" + index() + b"behind"), 8)
    assert container.size == len(index())
    assert (container.detail["chunks"], container.detail["content_size"], container.detail["integrity"]) == (3, 3000, "hash")


@pytest.mark.parametrize(
    "data", [index()[:-1], index()[:-8] + bytes(8), index().replace(struct.pack("<Q", 2000), struct.pack("<Q", 500))]
)
def test_an_index_that_contradicts_itself_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        INDEX.open(Memory(data), 0)


def test_what_casync_writes(tmp_path: Path) -> None:
    if shutil.which("casync") is None:
        pytest.skip("casync is not installed")
    (tmp_path / "in/d").mkdir(parents=True)
    (tmp_path / "in/d/hi").write_bytes(b"hi\n")
    (tmp_path / "in/link").symlink_to("d/hi")
    (tmp_path / "in/big").write_bytes(hashlib.sha512(b"x").digest() * 5000)
    for output in ("x.catar", "x.caidx"):
        subprocess.run(["casync", "make", "--store=x.castr", output, "in"], cwd=tmp_path, check=True, capture_output=True)
    data = (tmp_path / "x.catar").read_bytes()
    container, entries = opened(data + b"behind")
    assert (container.size, container.problems) == (len(data), [])
    assert entries["/big"].open().read(0, 320_000) == (tmp_path / "in/big").read_bytes()
    assert (entries["/link"].target, entries["/d/hi"].open().read(0, 3)) == ("d/hi", b"hi\n")
    found = INDEX.open(Memory((tmp_path / "x.caidx").read_bytes() + b"behind"), 0)
    assert (found.size, found.detail["content_size"]) == ((tmp_path / "x.caidx").stat().st_size, len(data))
