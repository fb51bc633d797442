"""ext file systems made by mke2fs read back as they were written."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from support.hostile import exercise, mutations, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats.ext import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(EXT,) = FORMATS
TOOLS = {name: shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") for name in ("mke2fs", "debugfs")}
pytestmark = pytest.mark.skipif(not all(TOOLS.values()), reason="e2fsprogs is not installed")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    (root / "etc").mkdir()
    (root / "etc/passwd").write_bytes(b"root:x:0:0::/root:/bin/sh\n")
    (root / "empty").write_bytes(b"")
    (root / "inline100").write_bytes(bytes(range(100)))
    (root / "triple").write_bytes(b"".join(b"%08d" % n for n in range(300_000)))
    with (root / "sparse").open("wb") as file:
        for at in (0, 40_000, 900_000, 70_000_000):
            file.seek(at)
            file.write(b"island %d" % at)
    (root / "short").symlink_to("etc/passwd")
    (root / "long").symlink_to("/very/" + "long/" * 30 + "target")
    (root / "many").mkdir()
    for n in range(700):
        (root / f"many/a file with a long name to fill directory blocks {n:04d}").write_bytes(b"%d" % n)
    (root / "deep").mkdir()
    (root / "deep/a/b/c/d").mkdir(parents=True)
    (root / "deep/a/b/c/d/leaf").write_bytes(b"leaf")
    os.link(root / "etc/passwd", root / "etc/passwd-")
    (root / "etc/shadow").write_bytes(b"root::0:0:99999:7:::\n")
    (root / "etc/shadow").chmod(0o4600)
    os.utime(root / "etc/shadow", (1_600_000_000, 1_600_000_000))
    (root / os.fsdecode(b"latin-\xe9")).write_bytes(b"e")
    return root


def make(tree: Path, target: Path, *options: str, blocks: str = "24M") -> bytes:
    subprocess.run(
        [str(TOOLS["mke2fs"]), "-q", "-F", "-d", str(tree), *options, str(target), blocks], check=True, capture_output=True
    )
    return target.read_bytes()


def listing(data: bytes, offset: int = 0) -> tuple[Container, dict[str, Entry]]:
    container = EXT.open(Memory(data), offset)
    entries = list(container.entries)
    assert len({entry.path for entry in entries}) == len(entries)
    return container, {entry.path: entry for entry in entries}


def content(entry: Entry) -> bytes:
    assert entry.open is not None
    source = entry.open()
    assert source.size == entry.size
    return source.read(0, source.size)


def same(entries: dict[str, Entry], tree: Path) -> None:
    """Every path of the tree and nothing else; kind, mode, owner, time, target and content alike."""
    entries = {path: entry for path, entry in entries.items() if path != "/lost+found"}
    expected = {"/" + path.relative_to(tree).as_posix(): path for path in tree.rglob("*")}
    assert set(entries) == set(expected)
    for path, original in expected.items():
        entry, info = entries[path], original.lstat()
        assert (entry.mode, entry.uid, entry.gid) == (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid), path
        assert entry.mtime == int(info.st_mtime), path
        if original.is_symlink():
            assert entry.kind is NodeKind.SYMLINK
            assert entry.target == str(original.readlink())
        elif original.is_dir():
            assert entry.kind is NodeKind.DIRECTORY
        else:
            assert entry.kind is NodeKind.FILE
            assert content(entry) == original.read_bytes(), path


VARIANTS = {
    "ext2 1k": ("ext2", "-t", "ext2", "-b", "1024"),
    "ext2 4k old inodes": ("ext2", "-t", "ext2", "-b", "4096", "-I", "128"),
    "ext2 revision 0": ("ext2", "-t", "ext2", "-r", "0", "-b", "1024"),
    "ext3 2k": ("ext3", "-t", "ext3", "-b", "2048"),
    "ext4 defaults": ("ext4", "-t", "ext4"),
    "ext4 1k": ("ext4", "-t", "ext4", "-b", "1024"),
    "ext4 block maps": ("ext4", "-t", "ext4", "-O", "^extent,^64bit", "-b", "1024"),
    "ext4 inline": ("ext4", "-t", "ext4", "-O", "inline_data", "-I", "256"),
    "ext4 large inodes": ("ext4", "-t", "ext4", "-O", "inline_data", "-I", "1024", "-b", "4096"),
    "ext4 64bit": ("ext4", "-t", "ext4", "-O", "64bit,metadata_csum"),
    "ext4 meta_bg": ("ext4", "-t", "ext4", "-O", "meta_bg,^resize_inode", "-b", "1024", "-g", "256", "-N", "4096"),
    "ext4 meta_bg 32bit": ("ext4", "-t", "ext4", "-O", "meta_bg,^resize_inode,^64bit", "-b", "1024", "-g", "256", "-N", "4096"),
    "ext4 sparse_super2": ("ext4", "-t", "ext4", "-O", "sparse_super2,^resize_inode", "-b", "1024", "-g", "1024"),
    "ext4 no flex_bg": ("ext4", "-t", "ext4", "-O", "^flex_bg", "-b", "1024", "-g", "1024"),
    "ext4 bigalloc": ("ext4", "-t", "ext4", "-O", "bigalloc", "-C", "16384"),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_layout_reads_back_as_written(variant: str, tree: Path, tmp_path: Path) -> None:
    version, *options = VARIANTS[variant]
    data = make(tree, tmp_path / "image", *options, blocks="32M" if "bigalloc" in variant else "16M")
    container, entries = listing(data)
    assert container.format == version
    assert container.size == len(data)
    assert container.problems == []
    same(entries, tree)


def test_a_file_system_in_the_middle_of_an_image_has_offsets_in_that_image(tree: Path, tmp_path: Path) -> None:
    data = make(tree, tmp_path / "image", "-t", "ext4")
    image = b"U" * 4096 + data + b"tail"
    container, entries = listing(image, 4096)
    assert container.size == len(data)
    same(entries, tree)
    entry = entries["/etc/passwd"]
    assert entry.offset is not None
    assert image[entry.offset : entry.offset + entry.size] == content(entry)
    assert {entries["/etc/passwd"].detail["inode"]} == {entries["/etc/passwd-"].detail["inode"]}


def test_contents_are_windows_of_the_image_when_contiguous(tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "image"
    make(tree, path, "-t", "ext4")
    from fwcheck.extraction.source import Mapped

    for entry in EXT.open(Mapped.open(path), 0).entries:
        if entry.kind is NodeKind.FILE and entry.offset is not None and entry.open is not None:
            assert entry.open().origin == entry.offset


def debug(image: Path, *commands: str) -> None:
    script = "\n".join(commands)
    subprocess.run([str(TOOLS["debugfs"]), "-w", "-f", "-", str(image)], input=script, text=True, check=True, capture_output=True)


def test_devices_deleted_names_and_a_deep_extent_tree(tmp_path: Path) -> None:
    tree = tmp_path / "root"
    tree.mkdir()
    (tree / "doomed").write_bytes(b"gone")
    with (tree / "islands").open("wb") as file:
        for n in range(3000):
            file.seek(n * 3072)
            file.write(b"%06d" % n)
    image = tmp_path / "image"
    make(tree, image, "-t", "ext4", "-b", "1024")
    debug(image, "mknod console c 5 1", "mknod flash b 31 300", "mknod pipe p", "rm doomed")
    container, entries = listing(image.read_bytes())
    assert container.problems == []
    assert "/doomed" not in entries
    assert entries["/console"].device == "c 5:1"
    assert entries["/flash"].device == "b 31:300"
    assert entries["/pipe"].device == "fifo"
    assert content(entries["/islands"]) == (tree / "islands").read_bytes()


def test_a_hashed_directory_reads_linearly(tmp_path: Path) -> None:
    tree, image = tmp_path / "root", tmp_path / "image"
    tree.mkdir()
    for n in range(1200):
        (tree / f"{n:04d}{'x' * 60}").write_bytes(b"")
    make(tree, image, "-t", "ext4", "-b", "1024", "-N", "2000")
    fsck = shutil.which("e2fsck", path="/usr/sbin:/sbin:/usr/bin")
    if fsck is None:
        pytest.skip("e2fsck is not installed")
    subprocess.run([fsck, "-fyD", str(image)], check=False, capture_output=True)
    _, entries = listing(image.read_bytes())
    assert len(entries) == 1201


def test_a_journal_that_needs_recovery_is_said(tree: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    make(tree, image, "-t", "ext4")
    debug(image, "feature needs_recovery")
    assert any("journal" in problem for problem in listing(image.read_bytes())[0].problems)


def test_a_truncated_image_gives_what_is_there(tree: Path, tmp_path: Path) -> None:
    data = make(tree, tmp_path / "image", "-t", "ext4", "-b", "1024")
    container, entries = listing(data[: len(data) // 4])
    assert container.size == len(data) // 4
    assert any("are there" in problem for problem in container.problems)
    assert content(entries["/etc/passwd"]) == b"root:x:0:0::/root:/bin/sh\n"


def test_backup_superblocks_and_noise_are_no_file_system(tree: Path, tmp_path: Path) -> None:
    data = make(tree, tmp_path / "image", "-t", "ext2", "-b", "1024", "-g", "4096", "-O", "^sparse_super,^resize_inode")
    backup = (1 + 4096) * 1024
    assert data[backup + 56 : backup + 58] == b"\x53\xef"
    for source, offset in ((data, backup - 1024), (b"\x53\xef" * 4096, 0), (b"", 0)):
        with pytest.raises(FormatError):
            EXT.open(Memory(source), offset)


def test_a_directory_that_contains_itself_ends(tmp_path: Path) -> None:
    tree, image = tmp_path / "root", tmp_path / "image"
    (tree / "a/b").mkdir(parents=True)
    make(tree, image, "-t", "ext2", blocks="1M")
    debug(image, "link a a/b/loop")
    container, entries = listing(image.read_bytes())
    assert {"/a", "/a/b"} <= set(entries)
    assert "/a/b/loop" not in entries
    assert any("second name" in problem for problem in container.problems)


@pytest.mark.fuzz
def test_hostile_images_raise_format_errors_alone(tmp_path: Path) -> None:
    tree = tmp_path / "root"
    (tree / "d").mkdir(parents=True)
    (tree / "d/file").write_bytes(b"x" * 3000)
    (tree / "blocks").write_bytes(b"y" * 300_000)
    (tree / "link").symlink_to("d/file")
    for options in (("-t", "ext2", "-b", "1024"), ("-t", "ext4", "-b", "1024", "-O", "inline_data", "-I", "256")):
        data = make(tree, tmp_path / "image", "-N", "64", *options, blocks="3M")
        for cut in truncations(data, 60):
            exercise(EXT, cut)
        hot = ((1024, 2048), *((at, at + 512) for at in range(2048, len(data), 1024) if any(data[at : at + 1024])))
        for broken in mutations(data, 1.2, hot=hot):
            exercise(EXT, broken)
