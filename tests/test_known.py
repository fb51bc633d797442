"""What is known by its packed bytes is not unpacked again, and the report does not tell the difference."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

import msgspec
import pytest

from fwcheck.extraction.explore import Explorer, Item
from fwcheck.extraction.formats import _squashfs_content
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory
from fwcheck.inspection.cache import FactsCache
from fwcheck.known import Known
from fwcheck.pipeline import Options, scan
from fwcheck.reading import Reader, Reading
from fwcheck.reports import json as json_report

CORPUS = Path(__file__).parents[2] / "shared" / "corpus"
TOOL = shutil.which("mksquashfs", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
needs_mksquashfs = pytest.mark.skipif(TOOL is None, reason="squashfs-tools is not installed")
COMPRESSIONS = ("xz", "gzip", "zstd", "lzo")
SECRET = b"aws_secret = 'AKIAIOSFODNN7EXAMPLQ' /* wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzz9zzKEY */\n"


def words(seed: int, size: int) -> bytes:
    """Binary bytes that compress like a program does."""
    chance = random.Random(seed)
    pieces = [chance.randbytes(24) for _ in range(64)]
    return b"".join(chance.choice(pieces) for _ in range(size // 24 + 1))[:size]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("known") / "root"
    for folder in ("bin", "sbin", "etc/init.d", "lib", "usr/share", "dev"):
        (root / folder).mkdir(parents=True)
    shutil.copy(sys.executable if Path(sys.executable).stat().st_size < 1 << 20 else "/bin/sh", root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    (root / "sbin/init").write_bytes(words(1, 40_000) + b"Linux version 2.6.36\0")
    (root / "etc/passwd").write_bytes(b"root::0:0:root:/root:/bin/sh\n")
    (root / "etc/init.d/rcS").write_bytes(b"#!/bin/sh\ntelnetd -l /bin/sh\n")
    (root / "etc/long.conf").write_bytes(b"name=value\n" * 30_000)
    for number in range(6):
        (root / f"lib/blob{number}.bin").write_bytes(words(10 + number, 30_000 + 70_000 * number))
    (root / "lib/again.bin").write_bytes((root / "lib/blob3.bin").read_bytes())
    (root / "lib/key.bin").write_bytes(words(30, 50_000) + SECRET + words(31, 50_000))
    (root / "lib/opaque.bin").write_bytes(random.Random(5).randbytes(100_000))
    (root / "usr/share/page.html").write_bytes(b"<html><body>" + b"<p>hello</p>" * 4000)
    (root / "usr/share/inner.bin").write_bytes(words(40, 20_000) + gzip.compress(words(41, 90_000)) + words(42, 20_000))
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        archive.add(root / "etc/passwd", "etc/passwd")
        archive.add(root / "lib/blob2.bin", "lib/blob2.bin")
    (root / "usr/share/inner.tgz").write_bytes(held.getvalue() + random.Random(6).randbytes(20_000))
    with (root / "lib/sparse.bin").open("wb") as file:
        for at in (0, 700_000):
            file.seek(at)
            file.write(words(50, 30_000))
    with sqlite3.connect(root / "usr/share/app.db") as connection:
        connection.execute("create table users (name text, password text)")
        connection.executemany("insert into users values (?, ?)", [(f"user{n}", "hunter2") for n in range(900)])
    connection.close()
    return root


def packed(root: Path, image: Path, *options: str) -> Path:
    command = [str(TOOL), str(root), str(image), "-noappend", "-all-root", "-no-progress", "-processors", "1", *options]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        pytest.skip(f"mksquashfs {' '.join(options)}: {(ran.stderr or ran.stdout).strip().splitlines()[0]}")
    return image


def changed(tree: Path, root: Path) -> Path:
    """The tree of the next build: a file that is longer, one of its size, one more, one less."""
    shutil.copytree(tree, root, symlinks=True)
    with (root / "lib/blob4.bin").open("ab") as file:
        file.write(b"\n")
    (root / "etc/init.d/rcS").write_bytes(b"#!/bin/sh\nhttpd -p 8080\n\n\n\n")
    (root / "lib/new.bin").write_bytes(words(60, 120_000))
    (root / "lib/blob1.bin").unlink()
    return root


def told(image: Path, cache: Path, limits: Limits | None = None) -> str:
    """The report without its times."""
    report = scan(image, Options(jobs=1, cache=cache, name="image.bin", limits=limits or Limits()))
    return json_report.render(msgspec.structs.replace(report, timing={}))


def broken(image: Path, place: Path) -> Path:
    """The image with a byte flipped in the middle of its first data blocks."""
    data = bytearray(image.read_bytes())
    for at in (5_000, 60_000, 120_000):
        data[at] ^= 0x55
    place.write_bytes(data)
    return place


@needs_mksquashfs
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_scan_with_what_is_known_tells_what_one_without_it_does(tree: Path, tmp_path: Path, compression: str) -> None:
    first = packed(tree, tmp_path / "first", "-comp", compression)
    second = packed(changed(tree, tmp_path / "root"), tmp_path / "second", "-comp", compression)
    told(first, tmp_path / "warm")
    assert told(second, tmp_path / "warm") == told(second, tmp_path / "cold")


@needs_mksquashfs
def test_damage_is_told_whatever_is_known_and_leaves_nothing_behind(tree: Path, tmp_path: Path) -> None:
    sound = packed(tree, tmp_path / "sound", "-comp", "xz")
    damaged = broken(sound, tmp_path / "damaged")
    cold = [told(image, tmp_path / image.stem) for image in (damaged, sound)]
    assert "block at 0x" in cold[0]
    warm = tmp_path / "warm"
    assert [told(image, warm) for image in (damaged, sound, damaged)] == [*cold, cold[0]]


def read(image: Path, cache: FactsCache, limits: Limits | None = None) -> dict[str, Reading]:
    explorer = Explorer(limits or Limits())
    items = explorer.explore(Memory(image.read_bytes()), ("image",), 1).items
    reader = Reader(explorer, cache, known=Known(cache, "1"))
    return {item.node.path: reader.read(item) for item in items}


@needs_mksquashfs
def test_nothing_is_unpacked_that_nobody_reads(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = packed(tree, tmp_path / "first")
    second = packed(changed(tree, tmp_path / "root"), tmp_path / "second")
    cache = FactsCache.open(tmp_path / "cache")
    read(first, cache)
    cache.flush()
    unpacked: set[int] = set()
    view = _squashfs_content._Content.view
    monkeypatch.setattr(_squashfs_content._Content, "view", lambda self, *place: unpacked.add(self.size) or view(self, *place))
    after = read(second, cache)
    sizes = {path: reading.nodes[0].size for path, reading in after.items()}
    again = {path for path, size in sizes.items() if size in unpacked}
    kept = {"/lib/blob2.bin", "/lib/blob3.bin", "/lib/blob5.bin", "/lib/again.bin", "/lib/sparse.bin", "/lib/opaque.bin"}
    assert not again & kept
    # New, or read by later stages, or with something inside.
    assert {"/lib/blob4.bin", "/lib/new.bin", "/etc/passwd", "/usr/share/inner.tgz", "/usr/share/app.db"} <= again
    assert [node.size for node in after["/usr/share/inner.tgz"].nodes if node.path.endswith("blob2.bin")] == [170_000]


@needs_mksquashfs
def test_limits_hold_for_what_is_known(tree: Path, tmp_path: Path) -> None:
    image = packed(tree, tmp_path / "first")
    told(image, tmp_path / "warm")
    for limits in (
        Limits(ratio=1, ratio_floor=1000, bytes_stream=200_000),
        Limits(bytes_total=400_000, total_floor=1),
        Limits(depth=1),
    ):
        fresh = tmp_path / f"cold{limits.bytes_total}{limits.depth}{limits.ratio}"
        report = told(image, fresh, limits)
        assert json.loads(report)["coverage"]["gaps"]
        assert told(image, tmp_path / "warm", limits) == report


def digests(image: bytes) -> dict[str, str | None]:
    items: list[Item] = Explorer(Limits()).explore(Memory(image), ("image",), 1).items
    return {
        item.node.path: source.packed_digest()
        for item in items
        if item.readable and (source := item.content()) is not None and item.source is None
    }


@needs_mksquashfs
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_equal_digests_are_equal_contents(tree: Path, tmp_path: Path, compression: str) -> None:
    """In all images there are: of other block sizes, without fragments, stored, and of contents that are nearly the same."""
    files = {f"/{path.relative_to(tree)}": path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    seen: dict[str, bytes] = {}
    for options in ((), ("-b", "4096", "-no-fragments"), ("-noD", "-noF", "-always-use-fragments")):
        image = packed(tree, tmp_path / "image", "-comp", compression, *options).read_bytes()
        found = digests(image)
        assert all(digest is not None for path, digest in found.items() if files[path])
        assert digests(bytes(777) + image) == found
        for path, digest in found.items():
            assert seen.setdefault(str(digest), files[path]) == files[path]
    assert len(seen) > len({bytes(content) for content in files.values()})


@needs_mksquashfs
def test_every_byte_that_decides_a_content_is_in_its_digest(tmp_path: Path) -> None:
    """Any one byte of a small image is changed: a content that comes out differently, or not at all, has another digest."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_bytes(words(1, 9_000))
    (root / "b").write_bytes(words(2, 5_000))
    image = packed(root, tmp_path / "image", "-b", "4096").read_bytes()

    def contents(data: bytes) -> dict[str | None, bytes]:
        found: dict[str | None, bytes] = {}
        for item in Explorer(Limits()).explore(Memory(data), ("image",), 1).items:
            if item.open is not None:
                try:
                    source = item.open()
                    content = bytes(source.view(0, source.size))
                except Exception:  # noqa: BLE001  # broken: never remembered
                    continue
                found[source.packed_digest()] = content
        return found

    sound = contents(image)
    assert len(sound) == 2
    end = max(at for at, byte in enumerate(image) if byte)
    for at in [*range(96), *range(96, end, 61), *range(end - 300, end)]:
        data = bytearray(image)
        data[at] ^= 1 << at % 8
        for digest, content in contents(bytes(data)).items():
            assert digest is None or sound.get(digest, content) == content, hex(at)


def test_a_real_image_is_told_as_without_a_cache(tmp_path: Path) -> None:
    image = CORPUS / "open" / "hlk-wr02-rootfs_mtd5.bin"
    if not image.exists():
        pytest.skip("the corpus of real images is not here")
    cold = told(image, tmp_path / "cache")
    assert told(image, tmp_path / "cache") == cold
