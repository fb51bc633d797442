"""JFFS2 images made by mkfs.jffs2, and logs written node by node, read back as a mount would show them."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hostile import exercise, mutations, truncations

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats._jffs2_codecs import DYNAMIC_RUBIN, RTIME, RUBIN_MIPS, rtime, unpack
from fwcheck.extraction.formats.jffs2 import FORMATS, crc
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(JFFS2,) = FORMATS
MKFS = shutil.which("mkfs.jffs2", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
CORPUS = Path(__file__).parents[4] / "shared/corpus/open"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "etc/deep/er").mkdir(parents=True)
    (root / "etc/shadow").write_bytes(b"root::1:0:99999:7:::\n")
    (root / "etc/shadow").chmod(0o4640)
    (root / "text").write_bytes(b"".join(b"line %d of a text\n" % n for n in range(9000)))
    (root / "noise").write_bytes(b"".join(zlib.crc32(b"%d" % n).to_bytes(4, "big") for n in range(5000)))
    (root / "empty").write_bytes(b"")
    (root / "runs").write_bytes(b"".join(bytes([n % 7]) * (n % 90) for n in range(900)))
    (root / "link").symlink_to("etc/shadow")
    (root / "first").write_bytes(b"several names")
    os.link(root / "first", root / "second")
    os.utime(root / "text", (1_500_000_000, 1_500_000_000))
    return root


def make(tree: Path, *options: str) -> bytes:
    if MKFS is None:
        pytest.skip("mtd-utils is not installed")
    return subprocess.run([MKFS, "-r", str(tree), *options], check=True, capture_output=True).stdout


def listing(data: bytes, offset: int = 0) -> tuple[Container, dict[str, Entry]]:
    container = JFFS2.open(Memory(data), offset)
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
        assert (entry.mode, entry.uid, entry.gid, entry.mtime) == (
            stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, int(info.st_mtime),
        ), path  # fmt: skip
        if original.is_symlink():
            assert (entry.kind, entry.target) == (NodeKind.SYMLINK, "etc/shadow")
        elif original.is_dir():
            assert entry.kind is NodeKind.DIRECTORY
        else:
            assert content(entry) == original.read_bytes(), path


VARIANTS = {
    "little": ("-l",),
    "big": ("-b",),
    "lzo": ("-l", "-X", "lzo", "-x", "zlib", "-x", "rtime"),
    "rtime": ("-b", "-x", "zlib"),
    "none": ("-l", "-m", "none"),
    "small blocks": ("-l", "-e", "8KiB"),
    "big blocks without markers": ("-b", "-e", "128KiB", "-n"),
    "squashed": ("-l", "-s", "16KiB"),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_reads_back_as_written(variant: str, tree: Path) -> None:
    data = make(tree, *VARIANTS[variant])
    container, entries = listing(b"U-Boot.." * 8 + data + b"\x17" * 200_000, 64)
    assert container.problems == []
    assert container.detail["byte_order"] == ("big" if "-b" in VARIANTS[variant] else "little")
    assert len(data) <= container.size <= len(data) + 4
    same(entries, tree)
    if variant in ("lzo", "rtime"):
        assert variant in str(container.detail["compression"])


def test_erased_rest_of_the_last_block_is_claimed(tree: Path) -> None:
    data = make(tree, "-l", "-e", "64KiB", "-p")
    container, entries = listing(data + b"\xff" * (256 << 10))
    assert len(data) % 65536 == 0
    assert container.size == len(data)
    assert container.detail["erase_block"] == 65536
    same(entries, tree)


def test_device_nodes_keep_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "devices").write_text("/console c 600 0 0 5 1 0 0 -\n/flash b 640 0 6 31 3 0 0 -\n/pipe p 600 0 0 0 0 0 0 -\n")
    for order in ("-l", "-b"):
        _, entries = listing(make(tmp_path / "tree", order, "-D", str(tmp_path / "devices")))
        assert entries["/console"].device == "c 5:1"
        assert (entries["/flash"].device, entries["/flash"].mode, entries["/flash"].gid) == ("b 31:3", 0o640, 6)
        assert entries["/pipe"].device == "fifo"


# Logs written node by node.


def dirent(parent: int, version: int, inode: int, name: bytes, kind: int = 8, order: str = "<") -> bytes:
    size = 40 + len(name)
    head = struct.pack(order + "HHI", 0x1985, 0xE001, size)
    raw = head + struct.pack(order + "IIIIIBBxx", crc(head), parent, version, inode, 0, len(name), kind)
    raw += struct.pack(order + "II", crc(raw), crc(name)) + name
    return raw + b"\xff" * (-len(raw) % 4)


def inode(
    number: int, version: int, data: bytes = b"", begin: int = 0, size: int | None = None, mode: int = 0o100644,
    packed: bytes | None = None, method: int = 0, unpacked: int | None = None,
) -> bytes:  # fmt: skip
    packed = data if packed is None else packed
    size = begin + len(data) if size is None else size
    head = struct.pack("<HHI", 0x1985, 0xE002, 68 + len(packed))
    raw = head + struct.pack(
        "<IIIIHHIIIIIIIBBH", crc(head), number, version, mode, 0, 0, size, 0, 1000 + version, 0, begin,
        len(packed), len(data) if unpacked is None else unpacked, method, 0, 0,
    )  # fmt: skip
    raw += struct.pack("<II", crc(packed), crc(raw)) + packed
    return raw + b"\xff" * (-len(raw) % 4)


def test_the_newest_version_holds_wherever_it_stands() -> None:
    log = (
        dirent(1, 3, 5, b"kept") + dirent(1, 1, 4, b"gone") + dirent(1, 4, 0, b"gone") + dirent(1, 2, 9, b"kept")
        + inode(5, 3, b"XX", 2, 8) + inode(5, 1, b"abcdefgh") + inode(5, 2, b"12", 4, 8) + inode(4, 1, b"old")
    )  # fmt: skip
    container, entries = listing(log)
    assert container.problems == []
    assert list(entries) == ["/kept"]
    assert content(entries["/kept"]) == b"abXX12gh"
    assert entries["/kept"].mtime == 1003


def test_truncation_and_growth_leave_holes() -> None:
    log = dirent(1, 1, 2, b"f") + inode(2, 1, b"a" * 100) + inode(2, 2, b"", size=10) + inode(2, 3, b"end", 5000)
    log += inode(2, 4, b"", 10, 5003, method=1, unpacked=90)
    assert content(listing(log)[1]["/f"]) == b"a" * 10 + bytes(4990) + b"end"


def test_nodes_with_wrong_checksums_and_obsolete_ones_do_not_count() -> None:
    bad = bytearray(inode(2, 9, b"evil"))
    bad[-1] ^= 1
    obsolete = bytearray(inode(2, 8, b"obsolete"))
    obsolete[3] &= ~0x20
    container, entries = listing(dirent(1, 1, 2, b"f") + inode(2, 1, b"good") + bytes(bad) + bytes(obsolete))
    assert content(entries["/f"]) == b"good"
    assert container.detail["obsolete_nodes"] == 1
    assert any("wrong checksum" in problem for problem in container.problems)


def test_a_second_file_system_behind_the_first_is_another_container() -> None:
    first = dirent(1, 1, 2, b"first") + inode(2, 1, b"1")
    first += b"\xff" * (65536 - len(first))
    second = dirent(1, 1, 2, b"second") + inode(2, 1, b"2")
    container, entries = listing(first + second)
    assert container.size == 65536
    assert list(entries) == ["/first"]
    assert list(listing(first + second, 65536)[1]) == ["/second"]


def test_a_directory_below_itself_ends() -> None:
    log = b"".join(inode(number, 1, mode=0o040755) for number in (2, 3))
    log += dirent(1, 1, 2, b"a", 4) + dirent(2, 1, 3, b"b", 4) + dirent(3, 1, 2, b"loop", 4) + dirent(3, 2, 1, b"top", 4)
    container, entries = listing(log)
    assert {"/a", "/a/b"} <= set(entries)
    assert not any("loop" in path for path in entries)
    assert any("second name" in problem for problem in container.problems)


def test_a_file_of_holes_costs_its_quota_and_no_more() -> None:
    log = dirent(1, 1, 2, b"f") + inode(2, 1, b"x", size=0xFFFFFFFF)
    entry = listing(log)[1]["/f"]
    assert entry.open is not None
    with pytest.raises(QuotaExceeded):
        entry.open()


def test_openwrt_lzma_nodes_are_read() -> None:
    import lzma

    text = b"a text of some length " * 150
    filters = [{"id": lzma.FILTER_LZMA1, "lc": 0, "lp": 0, "pb": 0, "dict_size": 0x2000}]
    packed = lzma.compress(text, lzma.FORMAT_RAW, filters=filters)
    _, entries = listing(dirent(1, 1, 2, b"f") + inode(2, 1, text, packed=packed, method=8))
    assert content(entries["/f"]) == text


def encode_rtime(data: bytes) -> bytes:
    """The reference encoder's greedy rule: a literal, then how far the bytes behind its last occurrence repeat."""
    out, at, after = bytearray(), 0, [0] * 256
    while at < len(data):
        value = data[at]
        at += 1
        begin, run = after[value], 0
        after[value] = at
        while at + run < len(data) and run < 255 and data[begin + run] == data[at + run] and begin + run < at + run:
            run += 1
        out += bytes((value, run))
        at += run
    return bytes(out)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=4), st.integers(1, 90)), max_size=20))
def test_rtime_gives_back_what_its_encoder_took(runs: list[tuple[bytes, int]]) -> None:
    data = b"".join(piece * count for piece, count in runs)
    packed = encode_rtime(data)
    assert rtime(packed, len(data)) == data
    assert unpack(RTIME, packed, len(data)) == data


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.binary(min_size=1, max_size=40)), min_size=1, max_size=12), st.randoms())
def test_overlapping_writes_in_any_order_of_nodes_give_the_last_content(writes: list[tuple[int, bytes]], chance: object) -> None:
    expected, nodes = bytearray(), []
    for version, (begin, data) in enumerate(writes, 1):
        expected.extend(bytes(max(0, begin + len(data) - len(expected))))
        expected[begin : begin + len(data)] = data
        nodes.append(inode(2, version, data, begin, len(expected)))
    chance.shuffle(nodes)  # type: ignore[attr-defined]
    _, entries = listing(dirent(1, 1, 2, b"f") + b"".join(nodes))
    assert content(entries["/f"]) == bytes(expected)


def encode_rubin(data: bytes, weights: list[int], divider: int) -> bytes:
    """The reference encoder: each bit narrows an interval of 16 bits; what is settled is written, the rest flushed at the end."""
    upper, out = 1 << 15, []
    q, p = 0, 2 * upper

    def shift() -> None:
        nonlocal q
        out.append("1" if q & upper else "0")
        q = (q & upper - 1) << 1

    for byte in data:
        for place, weight in enumerate(weights):
            while q >= upper or p + q <= upper:
                shift()
                p <<= 1
            low = min(max((divider - weight) * p // divider, 1), p - 1)
            if byte >> place & 1:
                q, p = q + low, p - low
            else:
                p = low
    for _ in range(16):
        shift()
    bits = "".join(out)
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def dynrubin(data: bytes) -> bytes:
    weights = [min(max(sum(byte >> place & 1 for byte in data) * 256 // max(len(data), 1), 1), 255) for place in range(8)]
    return bytes(weights) + encode_rubin(data, weights, 256)


def rubinmips(data: bytes) -> bytes:
    return encode_rubin(data, [277, 249, 290, 267, 229, 341, 212, 241], 1043)


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=300) | st.text("abcdefgh\n ", min_size=1, max_size=300).map(str.encode))
def test_both_kinds_of_rubin_give_back_what_their_encoders_took_under_either_number(data: bytes) -> None:
    for packed in (dynrubin(data), rubinmips(data)):
        assert data in (unpack(RUBIN_MIPS, packed, len(data)), unpack(DYNAMIC_RUBIN, packed, len(data)))


def test_rubin_nodes_are_told_apart_by_what_they_use_up() -> None:
    text = b"".join(b"line %d of a text\n" % number for number in range(200))
    for packed in (dynrubin(text), rubinmips(text)):
        for method in (RUBIN_MIPS, DYNAMIC_RUBIN):
            _, entries = listing(dirent(1, 1, 2, b"f") + inode(2, 1, text, packed=packed, method=method))
            assert content(entries["/f"]) == text
    for broken in (b"", dynrubin(text)[:-9], dynrubin(text) + b"more", bytes(40)):
        with pytest.raises(FormatError):
            unpack(RUBIN_MIPS, broken, len(text))


def test_lzo_under_the_number_of_lzma_is_read() -> None:
    import lzallright

    text = b"a text of some length " * 150
    packed = bytes(lzallright.LZOCompressor().compress(text))
    _, entries = listing(dirent(1, 1, 2, b"f") + inode(2, 1, text, packed=packed, method=8))
    assert content(entries["/f"]) == text


def xattr(number: int, version: int, prefix: int, name: bytes, value: bytes) -> bytes:
    data = name + b"\0" + value
    head = struct.pack("<HHI", 0x1985, 0xE008, 32 + len(data))
    raw = head + struct.pack("<IIIBBHI", crc(head), number, version, prefix, len(name), len(value), crc(data))
    raw += struct.pack("<I", crc(raw)) + data
    return raw + b"\xff" * (-len(raw) % 4)


def xref(number: int, attribute: int, sequence: int) -> bytes:
    head = struct.pack("<HHI", 0x1985, 0xE009, 28)
    raw = head + struct.pack("<IIII", crc(head), number, attribute, sequence)
    return raw + struct.pack("<I", crc(raw))


CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


def test_attributes_are_told_in_their_newest_version() -> None:
    log = dirent(1, 1, 2, b"f") + inode(2, 1, b"x") + xattr(1, 1, 2, b"capability", CAPABILITY) + xref(2, 1, 2)
    log += xattr(2, 2, 1, b"note", b"new") + xattr(2, 1, 1, b"note", b"old") + xref(2, 2, 4)
    log += xattr(3, 1, 1, b"gone", b"x") + xref(2, 3, 6) + xref(2, 3, 7)
    container, entries = listing(log)
    assert container.problems == []
    assert entries["/f"].detail == {"security.capability": "cap_net_raw+ep", "user.note": "new"}
    broken = bytearray(log)
    broken[log.index(CAPABILITY)] ^= 2
    container, entries = listing(bytes(broken))
    assert list(entries["/f"].detail) == ["user.note"]
    assert container.detail["integrity_detail"] == "CRC32 of every node, 1 wrong"


def test_attributes_stored_by_the_tool_are_read(tree: Path) -> None:
    try:
        os.setxattr(tree / "text", "user.note", b"stored")
    except OSError:
        pytest.skip("no extended attributes here")
    for order in ("-l", "-b"):
        assert listing(make(tree, order, "--with-xattr"))[1]["/text"].detail == {"user.note": "stored"}


@pytest.mark.parametrize(("order", "node"), [("-l", b"\x85\x19\x06\x20"), ("-b", b"\x19\x85\x20\x06")])
def test_images_with_summaries_read_back(order: str, node: bytes, tree: Path, tmp_path: Path) -> None:
    tool = shutil.which("sumtool", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if tool is None:
        pytest.skip("mtd-utils is not installed")
    (tmp_path / "image").write_bytes(make(tree, order, "-e", "16KiB", "-p"))
    command = [tool, "-i", str(tmp_path / "image"), "-o", str(tmp_path / "summed"), "-e", "16KiB", order, "-p"]
    subprocess.run(command, check=True, capture_output=True)
    data = (tmp_path / "summed").read_bytes()
    assert node in data
    container, entries = listing(data)
    assert (container.problems, container.size) == ([], len(data))
    same(entries, tree)


def seeds() -> list[bytes]:
    text = b"a text of some length " * 50
    packed = zlib.compress(text)
    first = b"\x85\x19\x03\x20" + struct.pack("<II", 12, crc(b"\x85\x19\x03\x20\x0c\0\0\0"))
    tree = (
        dirent(1, 1, 2, b"d", 4) + inode(2, 1, mode=0o040755) + dirent(2, 1, 3, b"f") + inode(3, 1, text, packed=packed, method=6)
    )
    tree += (
        dirent(1, 2, 4, b"l", 10) + inode(4, 1, b"d/f", mode=0o120777) + xattr(1, 1, 2, b"capability", CAPABILITY) + xref(3, 1, 2)
    )
    tree += dirent(1, 3, 5, b"c", 2) + inode(5, 1, b"\1\5", mode=0o020600)
    versions = (
        dirent(1, 1, 2, b"f")
        + inode(2, 2, b"XX", 2, 8)
        + inode(2, 1, b"abcdefgh")
        + inode(2, 3, b"", size=5)
        + dirent(1, 2, 2, b"g")
    )
    rubin = dirent(1, 1, 2, b"f") + inode(2, 1, text[:200], packed=dynrubin(text[:200]), method=3)
    rubin += inode(2, 2, text[:100], 200, packed=encode_rtime(text[:100]), method=2)
    return [first + tree + b"\xff" * 2000 + first, versions, rubin, dirent(1, 1, 2, b"big", order=">")]


@pytest.mark.parametrize("data", [b"", b"\x85\x19\x01\xe0", b"\x85\x19\x01\xe0\x40\0\0\0" + bytes(200), b"\x19\x85" * 99])
def test_what_only_looks_like_jffs2_is_rejected(data: bytes) -> None:
    with pytest.raises(FormatError):
        JFFS2.open(Memory(data), 0)


@pytest.mark.fuzz
def test_hostile_images_raise_format_errors_alone(tree: Path) -> None:
    for options in (("-l", "-X", "lzo"), ("-b", "-x", "zlib")):
        data = make(tree, *options)[:40_000]
        for cut in truncations(data, 40):
            exercise(JFFS2, cut)
        for broken in mutations(data, 0.7):
            exercise(JFFS2, broken)
    nodes = [dirent(1, 1, 2, b"f"), inode(2, 1, b"abc" * 30), inode(2, 2, b"x" * 50, 20, 90)]
    for broken in mutations(b"".join(nodes), 0.7):
        exercise(JFFS2, resealed(broken))


def resealed(data: bytes) -> bytes:
    """The checksums of both nodes of content made anew, so that mutations get past them."""
    image = bytearray(data)
    at = image.find(b"\x85\x19\x02\xe0")
    while at >= 0:
        (size,) = struct.unpack_from("<I", image, at + 4)
        (packed,) = struct.unpack_from("<I", image, at + 48) if at + 68 <= len(image) else (0,)
        if at + 68 > len(image) or size > 4096:
            break
        image[at + 8 : at + 12] = struct.pack("<I", crc(image[at : at + 8]))
        image[at + 60 : at + 64] = struct.pack("<I", crc(image[at + 68 : at + 68 + min(packed, 4096)]))
        image[at + 64 : at + 68] = struct.pack("<I", crc(image[at : at + 60]))
        at = image.find(b"\x85\x19\x02\xe0", at + 4)
    return bytes(image)


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("pattern", "offset", "size", "paths"),
    [
        ("cam-sannce_*", 5898240, 2359296, {"/init/ipcam.sh", "/system/bin/wifidaemon"}),
        ("cam-yi-1080-bfus_*", 6881280, 1245184, {"/init.sh", "/tools/wpa_supplicant"}),
        ("fmt-jffs2-le_*", 0, None, {"/testfile1", "/generic folder/test file 3_.txt"}),
    ],
)
def test_real_partitions_have_their_extent_and_files(pattern: str, offset: int, size: int | None, paths: set[str]) -> None:
    images = sorted(CORPUS.glob(pattern)) if CORPUS.is_dir() else []
    if not images:
        pytest.skip("the shared corpus is not there")
    container, entries = listing(images[0].read_bytes(), offset)
    assert container.problems == []
    assert size in (None, container.size)
    assert paths <= set(entries)
    for entry in entries.values():
        if entry.kind is NodeKind.FILE:
            content(entry)
