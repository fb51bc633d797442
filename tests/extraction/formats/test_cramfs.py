"""cramfs images made by mkfs.cramfs read back as they were written."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats.cramfs import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(CRAMFS,) = FORMATS
MKFS = shutil.which("mkfs.cramfs", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
CORPUS = Path(__file__).parents[4] / "shared/corpus/open"


TEXT = b"line of a text\n" * 700  # three blocks


def by_hand(order: str = "<", *, shift: bool = False) -> bytes:
    """Root, a file of three blocks with a hole, a link, a device, a directory; ``shift``: a boot sector in front."""
    base = 512 if shift else 0
    blocks = [TEXT[:4096], bytes(4096), TEXT[8192:]]

    def inode(mode: int, size: int, name: bytes, offset: int) -> bytes:
        name = name + bytes(-len(name) % 4)
        if order == "<":
            words = (7 << 16 | mode, 8 << 24 | size, offset >> 2 << 6 | len(name) >> 2)
        else:
            words = (mode << 16 | 7, size << 8 | 8, len(name) >> 2 << 26 | offset >> 2)
        return struct.pack(order + "3I", *words) + name

    entries = ((0o040755, b"dir"), (0o104755, b"file"), (0o120777, b"link"), (0o020600, b"tty"))
    listed = base + 76
    inner = listed + sum(12 + len(name) + -len(name) % 4 for _, name in entries)
    file = inner + 12 + 8
    packed = [zlib.compress(block) if any(block) else b"" for block in blocks]
    at = file + 4 * len(blocks)
    pointers = [at + sum(map(len, packed[: n + 1])) for n in range(len(blocks))]
    end = pointers[-1] + -pointers[-1] % 4
    target = zlib.compress(b"dir/inner")
    sizes = {b"dir": (20, inner), b"file": (len(TEXT), file), b"link": (9, end), b"tty": (0x501, 0)}
    body = b"".join(inode(mode, *sizes[name][:1], name, sizes[name][1]) for mode, name in entries)
    body += inode(0o100640, 0, b"inner", 0) + struct.pack(f"{order}3I", *pointers) + b"".join(packed)
    body += bytes(-(listed + len(body)) % 4) + struct.pack(order + "I", end + 4 + len(target)) + target
    total = listed + len(body)
    total += -total % 4096
    root = inode(0o040755, inner - listed, b"", listed)
    head = struct.pack(order + "4I", 0x28CD3D45, total, 1, 0) + b"Compressed ROMFS" + struct.pack(order + "4I", 0, 0, 1, 6)
    image = bytearray((bytes(base) + head + b"by hand".ljust(16, b"\0") + root + body).ljust(total, b"\0"))
    struct.pack_into(order + "I", image, base + 32, zlib.crc32(image[base:]))
    return bytes(image)


def seeds() -> list[bytes]:
    return [by_hand(), by_hand(">"), by_hand(shift=True)]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("shift", [False, True])
def test_an_image_by_hand_reads_as_it_was_written(order: str, shift: bool) -> None:
    data = by_hand(order, shift=shift)
    offset = 512 if shift else 0
    container, entries = listing(data, offset)
    assert (container.size, container.problems, container.detail["volume"]) == (len(data) - offset, [], "by hand")
    assert container.detail["integrity_detail"] == "CRC32 right"
    assert set(entries) == {"/dir", "/dir/inner", "/file", "/link", "/tty"}
    assert content(entries["/file"]) == TEXT[:4096] + bytes(4096) + TEXT[8192:]
    assert (entries["/file"].mode, entries["/file"].uid, entries["/file"].gid) == (0o4755, 7, 8)
    assert (entries["/link"].target, entries["/tty"].device) == ("dir/inner", "c 5:1")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "etc/deep").mkdir(parents=True)
    (root / "etc/shadow").write_bytes(b"root::1:0:99999:7:::\n")
    (root / "etc/shadow").chmod(0o4640)
    (root / "text").write_bytes(b"".join(b"line %d of a text\n" % n for n in range(9000)))
    (root / "holes").write_bytes(b"a" + bytes(50_000) + b"b")
    (root / "empty").write_bytes(b"")
    (root / "link").symlink_to("etc/shadow")
    return root


def make(tree: Path, *options: str) -> bytes:
    if MKFS is None:
        pytest.skip("mkfs.cramfs is not installed")
    out = tree.parent / "image"
    subprocess.run([MKFS, *options, str(tree), str(out)], check=True, capture_output=True)
    return out.read_bytes()


def listing(data: bytes, offset: int = 0) -> tuple[Container, dict[str, Entry]]:
    container = CRAMFS.open(Memory(data), offset)
    return container, {entry.path: entry for entry in container.entries}


def content(entry: Entry) -> bytes:
    assert entry.open is not None
    source = entry.open()
    assert source.size == entry.size
    return source.read(0, source.size)


@pytest.mark.parametrize("options", [("-N", "little"), ("-N", "big"), ("-z", "-n", "volume"), ("-p",)])
def test_every_variant_reads_back_as_written(options: tuple[str, ...], tree: Path) -> None:
    data = make(tree, *options)
    at = 512 if "-p" in options else 0
    container, entries = listing(b"HEAD" * 3 + data + b"tail", 12 + at)
    assert container.problems == []
    assert container.size == len(data) - at
    expected = {"/" + path.relative_to(tree).as_posix(): path for path in tree.rglob("*")}
    assert set(entries) == set(expected)
    for path, original in expected.items():
        entry, info = entries[path], original.lstat()
        assert (entry.mode, entry.uid) == (stat.S_IMODE(info.st_mode), info.st_uid), path
        if original.is_symlink():
            assert (entry.kind, entry.target) == (NodeKind.SYMLINK, "etc/shadow")
        elif original.is_dir():
            assert entry.kind is NodeKind.DIRECTORY
        else:
            assert content(entry) == original.read_bytes(), path


def test_a_wrong_checksum_and_a_cut_are_said(tree: Path) -> None:
    data = bytearray(make(tree))
    data[-2] ^= 1
    assert any("checksum" in problem for problem in listing(bytes(data))[0].problems)
    container, _ = listing(bytes(data[: len(data) // 2]))
    assert container.size == len(data) // 2
    assert any("are there" in problem for problem in container.problems)


@pytest.mark.parametrize("data", [b"", b"\x45\x3d\xcd\x28" + bytes(12) + b"Compressed ROMFS" + bytes(100)])
def test_what_only_looks_like_cramfs_is_rejected(data: bytes) -> None:
    with pytest.raises(FormatError):
        CRAMFS.open(Memory(data), 0)


@pytest.mark.corpus
def test_a_real_image_opens_without_problems() -> None:
    images = sorted(CORPUS.glob("fmt-cramfs_*")) if CORPUS.is_dir() else []
    if not images:
        pytest.skip("the shared corpus is not there")
    container, entries = listing(images[0].read_bytes())
    assert container.problems == []
    assert entries
    for entry in entries.values():
        content(entry)
