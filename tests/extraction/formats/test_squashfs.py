"""SquashFS of every version, byte order and compression reads back as it was written; lies and damage stay contained."""

from __future__ import annotations

import base64
import hashlib
import lzma
import os
import random
import re
import shutil
import stat
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.squashfs_images import (
    SQUASHFS,
    Compress,
    Link,
    Member,
    Writer,
    better_of_two,
    content,
    contents,
    lzma_4,
    lzma_5,
    lzma_13,
    lzma_prefixed,
    lzma_stripped,
    lzma_stripped_oddly,
    lzma_unknown_size,
    members,
    opened,
)

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container
from fwcheck.extraction.source import Mapped, Memory
from fwcheck.model import NodeKind

TOOL = {name: shutil.which(name) for name in ("mksquashfs", "unsquashfs", "7z")}
needs_mksquashfs = pytest.mark.skipif(not TOOL["mksquashfs"], reason="squashfs-tools is not installed")
CORPUS = Path(__file__).parents[4] / "shared" / "corpus"
VERSIONS = [(version, order) for version in (1, 2, 3, 4) for order in ("little", "big")]


# Images of the usual maker


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chance = random.Random(3)
    root = tmp_path_factory.mktemp("tree")
    for directory in ("etc", "bin", "many", "deep/a/b/c"):
        (root / directory).mkdir(parents=True)
    (root / "etc/passwd").write_bytes(b"root:x:0:0::/root:/bin/sh\n")
    (root / "etc/shadow").write_bytes(b"root::0:0:99999:7:::\n")
    (root / "etc/shadow").chmod(0o4600)
    os.utime(root / "etc/shadow", (1_600_000_000, 1_600_000_000))
    os.link(root / "etc/passwd", root / "etc/passwd-")
    (root / "etc/link").symlink_to("/very/" + "long/" * 30 + "target")
    (root / "empty").write_bytes(b"")
    (root / "noise").write_bytes(chance.randbytes(300_000))
    (root / "text").write_bytes(b"".join(b"%08d\n" % n for n in range(60_000)))
    (root / "bin/busybox").write_bytes(Path(shutil.which("mksquashfs") or "/bin/sh").read_bytes())
    with (root / "sparse").open("wb") as file:
        for at in (0, 400_000, 5_000_000):
            file.seek(at)
            file.write(b"island %d" % at)
    for n in range(700):
        (root / f"many/a name long enough to fill the directory's metadata {n:04d}").write_bytes(b"%d" % n)
    (root / "deep/a/b/c/leaf").write_bytes(b"leaf")
    (root / os.fsdecode(b"latin-\xe9")).write_bytes(b"e")
    return root


def make(tree: Path, *options: str) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "image"
        command = [str(TOOL["mksquashfs"]), str(tree), str(target), "-noappend", "-processors", "1", *options]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            pytest.skip(f"mksquashfs {' '.join(options)}: {(ran.stderr or ran.stdout).strip().splitlines()[0]}")
        return target.read_bytes()


def assert_equal_to(tree: Path, data: bytes) -> Container:
    container, entries = opened(data)
    assert not container.problems
    expected = {"/"} | {"/" + os.path.relpath(each, tree) for each in tree.rglob("*")}
    assert expected == set(entries)
    for path, entry in entries.items():
        real = tree / path[1:]
        status = real.lstat()
        assert entry.mode == stat.S_IMODE(status.st_mode), path
        assert entry.mtime == int(status.st_mtime), path
        assert (entry.uid, entry.gid) == (status.st_uid, status.st_gid), path
        if real.is_symlink():
            assert (entry.kind, entry.target) == (NodeKind.SYMLINK, str(real.readlink())), path
        elif real.is_dir():
            assert entry.kind is NodeKind.DIRECTORY, path
        else:
            assert content(entry) == real.read_bytes(), path
    return container


@needs_mksquashfs
@pytest.mark.parametrize(
    "options",
    [
        ("-comp", "gzip"),
        ("-comp", "lzo"),
        ("-comp", "lz4"),
        ("-comp", "lz4", "-Xhc", "-b", "4096"),
        ("-comp", "xz", "-b", "1M"),
        ("-comp", "xz", "-Xbcj", "x86,arm", "-Xdict-size", "50%"),
        ("-comp", "zstd"),
        ("-comp", "lzma"),
        ("-comp", "gzip", "-b", "4K", "-Xwindow-size", "9"),
        ("-comp", "gzip", "-no-fragments"),
        ("-comp", "gzip", "-always-use-fragments", "-no-exports"),
        ("-comp", "xz", "-noI", "-noD", "-noF", "-noX"),
        ("-comp", "zstd", "-noI"),
        ("-comp", "lzo", "-noD"),
    ],
    ids=" ".join,
)
def test_every_compression_and_option_reads_back(tree: Path, options: tuple[str, ...]) -> None:
    container = assert_equal_to(tree, make(tree, *options))
    assert container.detail["version"] == "4.0"
    if "-noI" not in options:
        assert container.detail["compression"] == options[1]


@needs_mksquashfs
def test_the_claim_ends_where_the_file_system_does(tree: Path) -> None:
    data = make(tree)
    used = struct.unpack_from("<Q", data, 40)[0]
    assert used < len(data)
    shifted = b"\xff" * 777 + data + b"\xff" * 100
    assert SQUASHFS.open(Memory(shifted), 777).size == used


@needs_mksquashfs
def test_devices_owners_and_hard_links(tree: Path) -> None:
    nodes = ("console c 600 0 5 5 1", "block b 640 7 8 31 300", "pipe i 644 0 0 f", "socket i 644 0 0 s")
    data = make(tree, *(word for each in nodes for word in ("-p", each)))
    _, entries = opened(data)
    assert entries["/console"].device == "c 5:1"
    assert (entries["/block"].device, entries["/block"].uid, entries["/block"].gid) == ("b 31:300", 7, 8)
    assert entries["/console"].mode == 0o600
    assert (entries["/pipe"].device, entries["/socket"].device) == ("fifo", "socket")
    assert entries["/etc/passwd"].locality == entries["/etc/passwd-"].locality
    assert content(entries["/etc/passwd"]) == content(entries["/etc/passwd-"])


# Versions, byte orders and vendors' variants


def assert_holds(made: dict[str, Member], data: bytes) -> Container:
    container, entries = opened(data)
    assert not container.problems
    assert container.size == len(data)
    for path, member in made.items():
        entry = entries[path]
        if isinstance(member, bytes):
            assert content(entry) == member, path
        elif isinstance(member, Link):
            assert entry.target == member.target
    assert (entries["/link"].uid, entries["/link"].gid) == (7, 8)
    names = {"console": "c 5:1", "mtdblock0": "b 31:0", "pipe": "fifo", "socket": "socket"}
    assert {name: entries[f"/dev/{name}"].device for name in names} == names
    assert entries["/d0/same"].locality == entries["/d0/file003"].locality
    return container


@pytest.mark.parametrize("marker", [False, True], ids=["plain", "marked"])
@pytest.mark.parametrize(("version", "order"), VERSIONS)
def test_every_version_in_both_byte_orders(version: int, order: str, marker: bool, tmp_path: Path) -> None:
    made = members()
    data = Writer(made, version, order, marker=marker).build()
    container = assert_holds(made, data)
    assert (container.detail["version"], container.detail["byte_order"]) == (f"{version}.0", order)
    # unsquashfs reads all of them but big-endian version 4, which exists in devices alone.
    if TOOL["unsquashfs"] and (version, order) != (4, "big"):
        (tmp_path / "image").write_bytes(data)
        out = tmp_path / "out"
        command = [TOOL["unsquashfs"], "-n", "-no-xattrs", "-d", str(out), str(tmp_path / "image")]
        subprocess.run(command, capture_output=True, check=False)  # without privileges it may not make devices
        assert {path: (out / path[1:]).read_bytes() for path, member in made.items() if isinstance(member, bytes)} == {
            path: member for path, member in made.items() if isinstance(member, bytes)
        }


VARIANTS: list[tuple[Compress, str]] = [
    (lzma_13, "lzma"),
    (lzma_unknown_size, "lzma"),
    (lzma_5, "lzma (5-byte header)"),
    (lzma_4, "lzma (pb, lc, lp header)"),
    (lzma_stripped, "lzma (no header, lc=3 lp=0 pb=2)"),
    (lzma_stripped_oddly, "lzma (no header, lc=0 lp=2 pb=1)"),
    (lzma_prefixed, "lzma (9-byte prefix, lc=2 lp=1 pb=1)"),
    (lzma.compress, "xz"),
]


@pytest.mark.parametrize(("compress", "name"), VARIANTS, ids=[each.__name__ for each, _ in VARIANTS])
@pytest.mark.parametrize(("version", "order"), [(1, "big"), (2, "little"), (3, "big"), (3, "little"), (4, "big"), (4, "little")])
def test_compressions_nobody_recorded_are_found_by_trial(version: int, order: str, compress: Compress, name: str) -> None:
    made = members(files=12)
    container = assert_holds(made, Writer(made, version, order, compress=compress).build())
    assert container.detail["compression"] == name


@pytest.mark.parametrize("version", [3, 4])
def test_makers_that_take_the_better_of_two_per_block(version: int) -> None:
    made = members()
    assert_holds(made, Writer(made, version, "little", compress=better_of_two, magic=b"shsq").build())


@pytest.mark.skipif(not TOOL["7z"], reason="7-Zip, which writes LZMA without an end marker, is not installed")
@pytest.mark.parametrize("header", ["", "props"])
def test_lzma_without_end_marker(header: str) -> None:
    def compress(raw: bytes) -> bytes:
        with tempfile.TemporaryDirectory() as directory:
            target = Path(directory) / "a.7z"
            method = "-m0=LZMA:lc=3:lp=0:pb=2:d=64k"
            subprocess.run(
                [str(TOOL["7z"]), "a", method, "-mhc=off", "-si", str(target)], input=raw, capture_output=True, check=True
            )
            data = target.read_bytes()
        stream = data[32 : 32 + int.from_bytes(data[12:20], "little")]
        return (b"\x5d\0\0\1\0" if header else b"") + stream

    made = members(files=6)
    data = Writer(made, 3, "big", compress=compress).build()
    assert_holds(made, data)
    good = contents(data)
    for at in range(200, len(data) // 2, len(data) // 40):
        damaged = bytearray(data)
        damaged[at] ^= 16
        assert all(good[path] == raw or path == "/noise" for path, raw in contents(bytes(damaged)).items())


@pytest.mark.parametrize("magic", [b"hsqs", b"sqsh", b"shsq", b"qshs", b"hsqt", b"tqsh", b"sqlz"])
@pytest.mark.parametrize(("version", "order"), VERSIONS)
def test_signatures_match_vendors_magics(magic: bytes, version: int, order: str) -> None:
    made = members(files=4)
    data = Writer(made, version, order, magic=magic).build()
    (signature,) = SQUASHFS.signatures
    match = re.match(signature.pattern, data, re.DOTALL)
    assert match is not None
    assert len(match.group()) == signature.width
    assert opened(data)[0].detail["magic"] == magic.decode()


def test_a_version_4_image_with_a_false_compression_is_read() -> None:
    made = members(files=5)
    for declared in (1, 2, 3, 4, 5, 6, 99):
        assert_holds(made, Writer(made, 4, "little", compress=lzma_5, compression=declared).build())


# Made by mksquashfs 4.5.1 of a directory and five files with extended attributes, some of whose values are stored once.
ATTRIBUTES = base64.b64decode(
    "aHNxcwYAAADoAwAAAAACAAEAAAABABEAwAABAAQAAAAYAQAAAAAAAPgBAAAAAAAALwEAAAAAAADgAQAAAAAAAGwAAAAAAAAAvwAAAAAAAAD9AA"
    "AAAAAAACEBAAAAAAAAaGkKaG8KMQoyCjMKUQB42uNkWMLIAAQvmBkYwAwoYGZABYxofE4kfUxE6GOGspH1IatlwqGPDSqHrI+FCH0cUDuR9bES"
    "oY+LAWI+B8NbuD6YG+yhatihNMg8AME0CncqAHjaY2GAAEYozQTEaRZALoiRXgCkmICcDMMVDMwQltEDBhYIyxgAYCoE6BCAYAAAAAAAAAAMAA"
    "ABAAAAAOsAAAAAAAAAGgB42mNggAALKF0ApVdA6QdQWoIRQgMANXcCSgUBAAAAAAAABIAAAAAAKQEAAAAAAAB5AHjaY2LgYkhOLEhMyszJLKkU"
    "YWBgYGRgYGJQYEADLAx5+SWpzEBWYlIyEyOyJg6gIB9UmQ5Qd+UoIBqAAja/PM8QGGwMVQyMLAw5+XnpoAD1Rwp5oAIjQgqMcSp4AYy0ilEwCk"
    "bBsAcMjMwMSZng7P+IEZL9AbJXfaQsAHjaY2CAACYgNoViEGAEYg0grmdEyDsC2QvQ+AfR+OdYEfo/MjMwAACyHgUNNwEAAAAAAAAGAAAAAAAA"
    "ALIBAAAAAAAA"
)


def test_extended_attributes_are_told() -> None:
    _, entries = opened(ATTRIBUTES)
    expected: dict[str, dict[str, str]] = {
        "/": {"user.big": "x" * 200}, "/f": {"security.capability": "cap_net_raw+ep", "user.note": "abc"},
        "/g": {"security.capability": "cap_net_raw+ep"},
        **{f"/h{n}": {f"user.own{n}": "z", "user.long": "y" * 200} for n in (1, 2, 3)},
    }  # fmt: skip
    assert {path: entry.detail for path, entry in entries.items()} == expected


def test_attributes_of_a_mounted_file_are_those_of_the_image(tmp_path: Path) -> None:
    if not TOOL["mksquashfs"]:
        pytest.skip("mksquashfs is not installed (Debian package squashfs-tools)")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "ping").write_bytes(b"#!")
    capability = struct.pack("<5I", 0x02000001, 1 << 13 | 1 << 10, 0, 0, 0)
    try:
        os.setxattr(tmp_path / "tree" / "ping", "security.capability", capability)
    except OSError as error:
        pytest.skip(f"this file system or user may not set capabilities: {error}")
    command = [TOOL["mksquashfs"], str(tmp_path / "tree"), str(tmp_path / "image"), "-quiet", "-no-progress"]
    subprocess.run(command, check=True, capture_output=True)
    _, entries = opened((tmp_path / "image").read_bytes())
    assert entries["/ping"].detail == {"security.capability": "cap_net_bind_service,cap_net_raw+ep"}


def test_attributes_that_cannot_be_read_are_a_problem() -> None:
    table = int.from_bytes(ATTRIBUTES[56:64], "little")
    broken = ATTRIBUTES[: table + 8] + bytes(4) + ATTRIBUTES[table + 12 :]
    container, entries = opened(broken)
    assert content(entries["/f"]) == b"hi\n"
    assert entries["/f"].detail == {}
    assert any("extended attributes" in problem for problem in container.problems)


def seeds() -> list[bytes]:
    made = {path: member for path, member in members(files=6).items() if path != "/noise"}
    variants: list[tuple[int, str, Compress]] = [
        (1, "big", zlib.compress), (2, "little", zlib.compress), (3, "big", lzma_13), (3, "little", lzma_stripped),
        (4, "little", lzma.compress), (4, "big", lzma_4),
    ]  # fmt: skip
    return [ATTRIBUTES, *(Writer(made, version, order, compress=compress).build() for version, order, compress in variants)]


# Access


ONE = Writer({"/f": b"".join(b"%06d" % n for n in range(20_000)) + bytes(70_000) + b"tail"}, 4, "little", block_log=12).build()
WHOLE = b"".join(b"%06d" % n for n in range(20_000)) + bytes(70_000) + b"tail"


@settings(max_examples=150, deadline=None)
@given(st.integers(-5, len(WHOLE) + 5), st.integers(-5, len(WHOLE) + 5))
def test_views_equal_slices_or_raise(offset: int, length: int) -> None:
    entry = opened(ONE)[1]["/f"]
    assert entry.open is not None
    source = entry.open()
    if offset < 0 or length < 0 or offset + length > len(WHOLE):
        with pytest.raises(FormatError):
            source.view(offset, length)
    else:
        assert source.view(offset, length) == WHOLE[offset : offset + length]


@pytest.mark.parametrize("size", [100, 4096, 1 << 20])
def test_chunks_are_the_content_in_order(size: int) -> None:
    entry = opened(ONE)[1]["/f"]
    assert entry.open is not None
    pieces = list(entry.open().chunks(size))
    assert max(map(len, pieces)) <= size
    assert b"".join(pieces) == WHOLE


def test_contents_are_readable_after_a_fork() -> None:
    entry = opened(ONE)[1]["/f"]
    child = os.fork()
    if not child:
        os._exit(0 if content(entry) == WHOLE else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert content(entry) == WHOLE


# Real images


def _truth(name: str) -> dict[str, tuple[str, ...]]:
    lines = (CORPUS / "truth/open" / f"files-{name}.tsv").read_text(errors="surrogateescape").split("\n")
    return {row[0]: tuple(row[1:]) for row in (line.split("\t") for line in lines) if len(row) >= 3}


def _images() -> list[Path]:
    if not (CORPUS / "truth/open").is_dir():
        return []
    names = {each.name[len("files-") : -len(".tsv")] for each in (CORPUS / "truth/open").glob("files-*.tsv")}
    return sorted(each for each in (CORPUS / "open").iterdir() if each.name.split("_")[0] in names)


@pytest.mark.corpus
def test_the_corpus_is_here() -> None:
    if not _images():
        pytest.skip("the corpus of real images is not here")
    assert len(_images()) >= 15


@pytest.mark.corpus
@pytest.mark.parametrize("path", _images(), ids=lambda path: path.name.split("_")[0])
def test_real_images_give_every_file_of_their_lists(path: Path) -> None:
    truth = _truth(path.name.split("_")[0])
    source = Mapped.open(path)
    (signature,) = SQUASHFS.signatures
    found: dict[str, set[tuple[str, ...]]] = {}
    for match in re.finditer(signature.pattern, source.view(0, source.size), re.DOTALL):
        container = SQUASHFS.open(source, match.start())
        for entry in sorted(container.entries, key=lambda each: each.locality):
            if entry.kind is NodeKind.FILE:
                raw = content(entry)
                found.setdefault(entry.path, set()).add((str(len(raw)), hashlib.sha256(raw).hexdigest()))
            elif entry.kind is NodeKind.SYMLINK:
                # A list of lines cannot hold a target that ends in a line feed.
                found.setdefault(entry.path, set()).add(("link", str(entry.target).rstrip("\n")))
            elif entry.kind is NodeKind.DEVICE:
                found.setdefault(entry.path, set()).add(("device",))
        assert not container.problems
    empty = ("0", hashlib.sha256(b"").hexdigest())
    # 7-Zip, which made some of the lists, writes devices and links out of the tree as empty files.
    wrong = [
        name
        for name, row in truth.items()
        if row not in found.get(name, set())
        and not (row == empty and any(each[0] in ("link", "device") for each in found.get(name, ())))
    ]
    assert not wrong
