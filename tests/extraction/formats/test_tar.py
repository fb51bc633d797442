"""tar archives made by GNU tar read back as they were written."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hostile import exercise, mutations, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats.tar import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(TAR,) = FORMATS
FLAVOURS = ("v7", "ustar", "oldgnu", "gnu", "pax")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "etc").mkdir(parents=True)
    (root / "etc/shadow").write_bytes(b"root::1:0:99999:7:::\n")
    (root / "etc/shadow").chmod(0o4640)
    (root / "big").write_bytes(bytes(range(256)) * 400)
    (root / "empty").write_bytes(b"")
    (root / "link").symlink_to("etc/shadow")
    (root / "first").write_bytes(b"several names")
    os.link(root / "first", root / "second")
    os.utime(root / "big", (1_500_000_000, 1_500_000_000))
    return root


def pack(tree: Path, *options: str) -> bytes:
    if shutil.which("tar") is None:
        pytest.skip("tar is not installed")
    return subprocess.run(["tar", "-C", str(tree), *options, "-cf", "-", "."], check=True, capture_output=True).stdout


def listing(data: bytes, offset: int = 0) -> tuple[Container, dict[str, Entry]]:
    container = TAR.open(Memory(data), offset)
    return container, {entry.path: entry for entry in container.entries}


def content(entry: Entry) -> bytes:
    assert entry.open is not None
    source = entry.open()
    assert source.size == entry.size
    return source.read(0, source.size)


def same(entries: dict[str, Entry], tree: Path) -> None:
    expected = {"/" + path.relative_to(tree).as_posix(): path for path in tree.rglob("*")}
    assert set(entries) == set(expected)
    for path, original in expected.items():
        entry, info = entries[path], original.lstat()
        assert (entry.mode, entry.uid, entry.gid) == (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid), path
        assert entry.mtime == int(info.st_mtime), path
        if original.is_symlink():
            assert (entry.kind, entry.target) == (NodeKind.SYMLINK, str(original.readlink()))
        elif original.is_dir():
            assert entry.kind is NodeKind.DIRECTORY
        else:
            assert content(entry) == original.read_bytes(), path


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_flavour_reads_back_as_written(flavour: str, tree: Path) -> None:
    data = pack(tree, f"--format={flavour}")
    container, entries = listing(b"HEAD" + data, 4)
    assert container.problems == []
    assert container.detail["variant"] == {"oldgnu": "gnu"}.get(flavour, flavour)
    same(entries, tree)
    last = max(entry.locality for entry in entries.values())
    assert container.size > last
    assert container.size % 512 == 0
    assert not any(data[container.size - 1024 :])
    assert any(data[container.size - 1536 : container.size - 1024])


@pytest.mark.parametrize("flavour", ["oldgnu", "gnu", "pax"])
def test_long_names_and_targets_survive(flavour: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    deep = tree / ("d" * 120) / ("é" * 80)
    deep.mkdir(parents=True)
    (deep / ("f" * 200)).write_bytes(b"deep")
    (tree / "link").symlink_to("/".join(["t" * 100] * 3))
    os.link(deep / ("f" * 200), tree / "hard")
    container, entries = listing(pack(tree, f"--format={flavour}"))
    assert container.problems == []
    same(entries, tree)


@pytest.mark.parametrize(
    "options", [("--format=gnu",), *(("--format=pax", f"--sparse-version={n}") for n in ("0.0", "0.1", "1.0"))]
)
def test_sparse_files_have_their_holes_back(options: tuple[str, ...], tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    with (tree / "sparse").open("wb") as file:
        for n in range(40):
            file.seek(n * 200_000 + n)
            file.write(b"island %d" % n)
        file.truncate(9_000_000)
    (tree / "zafter").write_bytes(b"after")
    data = pack(tree, "-S", *options)
    assert len(data) < 2_000_000
    container, entries = listing(data)
    assert container.problems == []
    same(entries, tree)


def test_devices_keep_their_numbers() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind in (("console", tarfile.CHRTYPE), ("flash", tarfile.BLKTYPE), ("pipe", tarfile.FIFOTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.devmajor, member.devminor = kind, 31, 300
            archive.addfile(member)
    _, entries = listing(out.getvalue())
    assert [entry.device for entry in entries.values()] == ["c 31:300", "b 31:300", "fifo"]


def archive(*members: tuple[str, bytes], **fields: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as file:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for key, value in fields.items():
                setattr(member, key, value)
            file.addfile(member, io.BytesIO(data))
    return out.getvalue()


def sparse() -> bytes:
    """PAX sparse format 1.0: the map stands before the content."""
    content = b"2\n0\n5\n1000\n5\n".ljust(512, b"\0") + b"firstlast!"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as file:
        member = tarfile.TarInfo("GNUSparseFile.0/holes")
        member.size = len(content)
        member.pax_headers = {
            "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "holes", "GNU.sparse.realsize": "2000",
        }  # fmt: skip
        file.addfile(member, io.BytesIO(content))
    return out.getvalue()


def seeds() -> list[bytes]:
    long = "a" * 120
    made = []
    for flavour in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=flavour) as file:
            for name, kind in ((f"{long}/file", tarfile.REGTYPE), ("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE)):
                member = tarfile.TarInfo(name)
                member.type, member.mtime = kind, 1_700_000_000
                member.linkname = {"link": "target", "hard": f"{long}/file"[:99]}.get(name, "")
                member.size = 5 if kind == tarfile.REGTYPE else 0
                file.addfile(member, io.BytesIO(b"hello"))
        made.append(out.getvalue())
    return [*made, sparse()]


def test_a_sparse_file_written_by_hand_has_its_holes_back() -> None:
    _, entries = listing(sparse())
    assert content(entries["/holes"]) == b"first" + bytes(995) + b"last!" + bytes(995)


def test_the_board_of_a_sysupgrade_archive_is_told() -> None:
    container, _ = listing(archive(("sysupgrade-board_x/CONTROL", b"BOARD=board_x\n"), ("sysupgrade-board_x/kernel", b"k")))
    assert container.detail["sysupgrade_board"] == "board_x"
    assert "sysupgrade_board" not in listing(archive(("etc/sysupgrade-x/CONTROL", b"")))[0].detail


def test_names_that_leave_the_archive_stay_inside_and_are_said() -> None:
    container, entries = listing(archive(("../../etc/passwd", b"x"), ("/abs", b"y"), ("./ok", b"z")))
    assert set(entries) == {"/etc/passwd", "/abs", "/ok"}
    assert entries["/abs"].detail["stored"] == "/abs"
    assert len(container.problems) == 2


def test_a_path_stored_twice_is_yielded_twice_and_said() -> None:
    container = TAR.open(Memory(archive(("a", b"old"), ("a", b"new"))), 0)
    assert [content(entry) for entry in container.entries] == [b"old", b"new"]
    assert any("occurs 2 times" in problem for problem in container.problems)


def test_base_256_numbers_are_read() -> None:
    _, entries = listing(archive(("a", b"x"), uid=3_000_000_000, mtime=-86400))
    assert (entries["/a"].uid, entries["/a"].mtime) == (3_000_000_000, -86400)


def test_a_truncated_archive_gives_what_is_there() -> None:
    data = archive(("whole", b"whole"), ("cut", b"x" * 5000))
    container, entries = listing(data[:3000])
    assert content(entries["/whole"]) == b"whole"
    assert container.size == 3000
    with pytest.raises(FormatError):
        content(entries["/cut"])
    assert any("ends before" in problem for problem in container.problems)


def test_a_hard_link_to_nothing_is_a_gap() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        member = tarfile.TarInfo("dangling")
        member.type, member.linkname = tarfile.LNKTYPE, "nowhere"
        file.addfile(member)
    container, entries = listing(out.getvalue())
    with pytest.raises(FormatError):
        content(entries["/dangling"])
    assert len(container.problems) == 1


@pytest.mark.parametrize("data", [b"", bytes(1024), b"\0" * 257 + b"ustar\0" + bytes(2000), b"x" * 2000])
def test_what_only_looks_like_tar_is_rejected(data: bytes) -> None:
    with pytest.raises(FormatError):
        TAR.open(Memory(data), 0)


NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=0x3000, exclude_characters="/"), min_size=1, max_size=180)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(NAMES.filter(lambda name: name not in (".", "..")), st.binary(max_size=1500), min_size=1, max_size=5))
def test_whatever_the_standard_library_writes_is_read(files: dict[str, bytes]) -> None:
    _, entries = listing(archive(*files.items()))
    assert {path: content(entry) for path, entry in entries.items()} == {f"/{name}": data for name, data in files.items()}


def resealed(data: bytes) -> bytes:
    """The first headers with checksums made anew, so that mutations get past the validator."""
    image = bytearray(data)
    for at in range(0, min(len(image) - 511, 8192), 512):
        if image[at + 257 : at + 262] == b"ustar":
            image[at + 148 : at + 156] = b" " * 8
            image[at + 148 : at + 156] = b"%06o\0 " % sum(image[at : at + 512])
    return bytes(image)


@pytest.mark.fuzz
def test_hostile_archives_raise_format_errors_alone(tree: Path) -> None:
    with (tree / "sparse").open("wb") as file:
        for n in range(30):
            file.seek(n * 20_000)
            file.write(b"%d" % n)
    for options in (("--format=gnu", "-S"), ("--format=pax", "-S")):
        data = pack(tree, *options)[:16384]
        for cut in truncations(data, 40):
            exercise(TAR, cut)
        for broken in mutations(data, 1.2, hot=((0, 8192),)):
            exercise(TAR, resealed(broken))
