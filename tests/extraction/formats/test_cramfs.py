"""cramfs images made by mkfs.cramfs read back as they were written."""

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
from fwcheck.extraction.formats.cramfs import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(CRAMFS,) = FORMATS
MKFS = shutil.which("mkfs.cramfs", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
CORPUS = Path(__file__).parents[4] / "shared/corpus/open"


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


@pytest.mark.fuzz
def test_hostile_images_raise_format_errors_alone(tree: Path) -> None:
    for order in ("little", "big"):
        data = make(tree, "-N", order)
        for cut in truncations(data, 30):
            exercise(CRAMFS, cut)
        for broken in mutations(data, 0.6, hot=((4, 400),)):
            exercise(CRAMFS, broken)


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
