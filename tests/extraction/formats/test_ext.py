"""ext file systems made by mke2fs read back as they were written."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import subprocess
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats.ext import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(EXT,) = FORMATS
TOOLS = {name: shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") for name in ("mke2fs", "debugfs")}


def crc32c(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value


CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)  # cap_net_raw, effective
CONTEXT = bytes([2, 1, 4, 0, 0, 0, 0, 0]) + bytes(32)  # fscrypt v2: AES-256-XTS, AES-256-CBC-CTS
INLINE = bytes(range(100))
BLOCKS = b"".join(b"%08d" % n for n in range(1800))  # twelve direct blocks and an indirect one


def attribute(index: int, name: bytes, value: bytes, offset: int) -> bytes:
    head = struct.pack("<BBHIII", len(name), index, offset, 0, len(value), 0) + name
    return head + bytes(-len(head) % 4)


def body(*attributes: tuple[int, bytes, bytes]) -> bytes:
    """What follows the first 128 bytes of an inode of 256: extra size, attributes from the front, their values from the back."""
    table, values, end = b"", b"", 256 - 128 - 32 - 4
    for index, name, value in attributes:
        values = value + bytes(-len(value) % 4) + values
        table += attribute(index, name, value, end - len(values))
    area = struct.pack("<I", 0xEA020000) + table
    return struct.pack("<H", 32) + bytes(30) + (area.ljust(96 - len(values), b"\0") + values if attributes else bytes(96))


def small(*, modern: bool) -> bytearray:
    """64 blocks of 1 KiB: superblock 1, descriptor 2, bitmaps 3 and 4, inodes 5 to 8, directories and files behind.

    ``modern``: extents, inline data, attributes, an encrypted directory, and the checksum of the superblock.
    """
    out, nxt = bytearray(64 * 1024), 9
    incompat, ro = (0x2 | 0x40 | 0x8000 | 0x10000, 0x1 | 0x400) if modern else (0x2, 0x1)
    struct.pack_into("<11I", out, 1024, 16, 64, 0, 8, 0, 1, 0, 0, 8192, 8192, 16)
    struct.pack_into("<HHHHIIIIHHIHHIII", out, 1024 + 56, 0xEF53, 1, 1, 0, 0, 0, 0, 1, 0, 0, 11, 256, 0, 0, incompat, ro)
    out[1024 + 104 : 1024 + 136] = bytes(range(16)) + b"small".ljust(16, b"\0")
    struct.pack_into("<3I", out, 2048, 3, 4, 5)
    if modern:
        struct.pack_into("<I", out, 1024 + 1020, crc32c(bytes(out[1024:2044])))

    def put(data: bytes) -> int:
        nonlocal nxt
        out[nxt * 1024 : nxt * 1024 + len(data)] = data
        first, nxt = nxt, nxt + -(-len(data) // 1024)
        return first

    def inode(number: int, mode: int, data: bytes, flags: int = 0, extra: bytes = b"", raw: bytes = b"") -> None:
        count = -(-len(data) // 1024)
        if raw:
            block = raw
        elif modern and count:
            flags |= 0x80000
            block = struct.pack("<4HI", 0xF30A, 1, 4, 0, 0) + struct.pack("<IHHI", 0, count, 0, put(data))
        else:
            first = put(data) if count else 0
            pointers = [first + n for n in range(count)]
            block = struct.pack(f"<{len(pointers[:12])}I", *pointers[:12]).ljust(48, b"\0")
            if pointers[12:]:
                block += struct.pack("<I", put(struct.pack(f"<{len(pointers[12:])}I", *pointers[12:])))
        sectors = 2 * (count + (count > 12 and not modern))
        head = struct.pack("<HHIIIIIHHII", mode, 7, len(data), 1, 2, 1_600_000_000, 0, 8, 1, sectors, flags)
        at = 5 * 1024 + (number - 1) * 256
        out[at : at + 256] = ((head + bytes(4) + block.ljust(60, b"\0")).ljust(128, b"\0") + extra).ljust(256, b"\0")

    def directory(*names: tuple[bytes, int]) -> bytes:
        listed, at = b"", 0
        for n, (name, number) in enumerate(names):
            length = 8 + (len(name) + 3 & ~3) if n + 1 < len(names) else 1024 - at
            listed += (struct.pack("<IHBB", number, length, len(name), 0) + name).ljust(length, b"\0")
            at += length
        return listed

    names = [(b".", 2), (b"..", 2), (b"file", 12), (b"blocks", 13), (b"link", 14), (b"tty", 15)]
    if modern:
        names += [(b"inline", 11), (b"locked", 16)]
    inode(2, 0o040755, directory(*names))
    inode(
        12,
        0o104755,
        b"#!/bin/sh\n",
        extra=body((6, b"capability", CAPABILITY), (6, b"selinux", b"u:r:init\0")) if modern else b"",
    )
    inode(13, 0o100644, BLOCKS)
    inode(14, 0o120777, b"", raw=b"file")
    at = 5 * 1024 + 13 * 256
    struct.pack_into("<I", out, at + 4, 4)
    inode(15, 0o020600, b"", raw=struct.pack("<I", 5 << 8 | 1))
    if modern:
        inode(11, 0o100600, b"", 0x10000000, body((7, b"data", INLINE[60:])), INLINE[:60])
        struct.pack_into("<I", out, 5 * 1024 + 10 * 256 + 4, len(INLINE))
        inode(16, 0o040700, directory((b".", 16), (b"..", 2), (b"\x01/\0\xff", 1)), 0x800, body((9, b"c", CONTEXT)))
        inode(1, 0o100600, b"ciphertext", 0x800, body((9, b"c", CONTEXT)))
    return out


def seeds() -> list[bytes]:
    return [bytes(small(modern=False)), bytes(small(modern=True))]


@pytest.mark.parametrize("modern", [False, True])
def test_a_small_file_system_reads_back_as_written(modern: bool) -> None:
    data = small(modern=modern)
    container, entries = listing(b"front" + data + b"tail", 5)
    assert (container.size, container.format) == (len(data), "ext4" if modern else "ext2")
    assert container.detail["volume"] == "small"
    assert content(entries["/blocks"]) == BLOCKS
    assert content(entries["/file"]) == b"#!/bin/sh\n"
    assert (entries["/file"].mode, entries["/file"].uid, entries["/file"].gid) == (0o4755, 7, 8)
    assert entries["/file"].mtime == 1_600_000_000
    assert (entries["/link"].target, entries["/tty"].device) == ("file", "c 5:1")
    assert container.detail["integrity"] == ("checksum" if modern else "none")


def test_attributes_inline_data_and_encryption_are_told() -> None:
    container, entries = listing(small(modern=True))
    assert entries["/file"].detail == {"security.capability": "cap_net_raw+ep", "security.selinux": "u:r:init"}
    assert content(entries["/inline"]) == INLINE
    assert "CRC32C of the superblock right" in str(container.detail["integrity_detail"])
    (hidden,) = [entry for path, entry in entries.items() if path.startswith("/locked/")]
    assert hidden.path == "/locked/encrypted-012f00ff-1"
    assert hidden.role == "encrypted"
    assert hidden.detail["encryption"] == "fscrypt v2, AES-256-XTS contents, AES-256-CBC-CTS names"
    assert container.problems == ["/locked: names and contents are encrypted"]


def test_a_wrong_checksum_of_the_superblock_is_told() -> None:
    data = small(modern=True)
    data[1024 + 121] ^= 1
    container, _ = listing(data)
    assert "the checksum of the superblock is wrong" in container.problems
    assert str(container.detail["integrity_detail"]).startswith("CRC32C of the superblock wrong")


def test_attributes_set_by_debugfs_are_read(tmp_path: Path) -> None:
    tree, image = tmp_path / "root", tmp_path / "image"
    tree.mkdir()
    (tree / "ping").write_bytes(b"x")
    (tmp_path / "value").write_bytes(CAPABILITY)
    make(tree, image, "-t", "ext4", "-I", "128", blocks="2M")  # no room in the inode: a block of its own
    debug(image, f"ea_set -f {tmp_path / 'value'} /ping security.capability", "ea_set /ping user.note hello")
    container, entries = listing(image.read_bytes())
    assert entries["/ping"].detail["security.capability"] == "cap_net_raw+ep"
    assert entries["/ping"].detail["user.note"] == "hello"
    assert container.problems == []


def test_a_large_volume_is_listed_with_little_memory(tmp_path: Path) -> None:
    tree, image = tmp_path / "root", tmp_path / "image"
    (tree / "d").mkdir(parents=True)
    (tree / "d/file").write_bytes(b"content")
    if not all(TOOLS.values()):
        pytest.skip("e2fsprogs is not installed")
    subprocess.run(
        [str(TOOLS["mke2fs"]), "-q", "-F", "-t", "ext4", "-d", str(tree), str(image), "1G"], check=True, capture_output=True
    )
    import tracemalloc

    from fwcheck.extraction.source import Mapped

    source = Mapped.open(image)
    tracemalloc.start()
    container = EXT.open(source, 0)
    entries = {entry.path: entry for entry in container.entries}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert container.size == 1 << 30
    assert content(entries["/d/file"]) == b"content"
    assert peak < 1 << 20


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
    if not all(TOOLS.values()):
        pytest.skip("e2fsprogs is not installed")
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
