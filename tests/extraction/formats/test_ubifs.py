"""UBIFS images made by mkfs.ubifs, and file systems written node by node, read back as a mount would show them."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats.ubifs import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(UBIFS,) = FORMATS
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
MKFS, UBINIZE = shutil.which("mkfs.ubifs", path=PATH), shutil.which("ubinize", path=PATH)
CORPUS = Path(__file__).parents[4] / "shared/corpus/open"

LEB, LOG, MAIN = 8192, 3, 8  # superblock, two masters, log of two LEBs, LPT of two, orphans of one
LEBS = 16
INO, DATA, DENT, XENT, TRUN, PAD, SB, MST, REF, IDX, CS, ORPH, AUTH, SIG = range(14)


def node(kind: int, sequence: int, body: bytes, group: int = 0) -> bytes:
    tail = struct.pack("<QIBB2x", sequence, 24 + len(body), kind, group) + body
    raw = struct.pack("<II", 0x06101831, ~zlib.crc32(tail) & 0xFFFFFFFF) + tail
    return raw + b"\xce" * (-len(raw) % 8)


def key(inode: int, kind: int = 0, rest: int = 0) -> bytes:
    return struct.pack("<II8x", inode, kind << 29 | rest)


def inode(
    number: int, sequence: int, mode: int = 0o100644, size: int = 0, data: bytes = b"", links: int = 1, flags: int = 1
) -> bytes:
    body = struct.pack(
        "<QQQQQIIIIIIIIIII4xIH26x", 1, size, 10, 20, 1000 + sequence, 0, 0, 0, links, 7, 8, mode, flags, len(data), 0, 0, 0, 0
    )
    return node(INO, sequence, key(number) + body + data)


def entry(parent: int, name: bytes, number: int, sequence: int, type: int = 0, kind: int = DENT, group: int = 0) -> bytes:
    body = struct.pack("<QBBHI", number, 0, type, len(name), 0) + name + b"\0"
    return node(kind, sequence, key(parent, kind, zlib.crc32(name) & 0x1FFFFFFF) + body, group)


def block(number: int, at: int, data: bytes, sequence: int, packed: bytes | None = None, method: int = 0) -> bytes:
    return node(
        DATA, sequence, key(number, DATA, at) + struct.pack("<IHH", len(data), method, 0) + (data if packed is None else packed)
    )


def truncation(number: int, old: int, new: int, sequence: int) -> bytes:
    return node(TRUN, sequence, struct.pack("<I12xQQ", number, old, new))


class Image:
    """LEBs by number. Committed nodes go to the first LEB of the main area, the index to the second, the journal behind."""

    def __init__(self, committed: list[bytes], journal: list[bytes] = (), fanout: int = 4, page: int = 8) -> None:  # type: ignore[assignment]
        self.lebs = [bytearray() for _ in range(LEBS)]
        branches = []
        for raw in committed:
            leb = self.lebs[MAIN]
            branches.append((*struct.unpack_from("<II", raw, 24), MAIN, len(leb), struct.unpack_from("<I", raw, 16)[0]))
            leb += raw
        self.root = self.index(branches, fanout)
        body = struct.pack(
            "<2xBBIIIIIQIIIIIIIHHIIQI16sI",
            0,
            0,
            0,
            page,
            LEB,
            LEBS,
            64,
            0,
            2,
            2,
            1,
            1,
            fanout,
            0,
            4,
            1,
            0,
            0,
            0,
            0,
            1,
            bytes(range(16)),
            0,
        )
        self.lebs[0] += node(SB, 1, body.ljust(4096 - 24, b"\0"))
        for leb in (1, 2):
            self.lebs[leb] += self.master(2 + leb, 5)
        self.lebs[LOG] += node(CS, 50, struct.pack("<Q", 5)) + node(REF, 51, struct.pack("<III28x", MAIN + 3, 64, 1))
        self.lebs[MAIN + 3] += bytes(64) + b"".join(journal)

    def index(self, branches: list[tuple[int, int, int, int, int]], fanout: int) -> tuple[int, int, int]:
        level, leb = 0, self.lebs[MAIN + 1]
        branches.sort()
        while True:
            parents = []
            for at in range(0, len(branches), fanout):
                part = branches[at : at + fanout]
                body = struct.pack("<HH", len(part), level) + b"".join(struct.pack("<IIIII", *one[2:], *one[:2]) for one in part)
                parents.append((*part[0][:2], MAIN + 1, len(leb), 24 + len(body)))
                leb += node(IDX, 40, body)
            branches, level = parents, level + 1
            if len(branches) <= 1:
                return branches[0][2:]

    def master(self, sequence: int, commit: int) -> bytes:
        return node(MST, sequence, struct.pack("<QQIIIII", 99, commit, 2, LOG, *self.root).ljust(512 - 24, b"\0"))

    def __bytes__(self) -> bytes:
        return b"".join(bytes(leb).ljust(LEB, b"\xff") for leb in self.lebs)


ROOT = inode(1, 10, 0o040755)
FILE = [ROOT, entry(1, b"f", 65, 11), inode(65, 12, size=5000), block(65, 0, b"a" * 4096, 13), block(65, 1, b"b" * 904, 14)]


def seeds() -> list[bytes]:
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    text = b"text of a file " * 100
    tree = [
        ROOT, entry(1, b"d", 64, 11, 1), inode(64, 12, 0o040700), entry(64, b"f", 65, 13), inode(65, 14, size=1500),
        block(65, 0, text, 15, packed.compress(text) + packed.flush(), 2),
        entry(1, b"l", 66, 16, 2), inode(66, 17, 0o120777, data=b"d/f"),
        entry(1, b"c", 67, 18, 4), inode(67, 19, 0o020600, data=b"\x01\x05\0\0"),
        entry(65, b"security.capability", 68, 20, kind=XENT),
        inode(68, 21, flags=0x20, data=bytes.fromhex("0100000200200000000000000000000000000000")),
    ]  # fmt: skip
    journal = [
        block(65, 0, b"new", 60),
        truncation(65, 5000, 3, 61),
        entry(1, b"g", 65, 62),
        entry(1, b"f", 0, 63),
        inode(65, 64, size=3),
    ]
    broken = Image(FILE)
    broken.lebs[1] = broken.lebs[2] = bytearray()
    return [
        bytes(Image(tree))[: (MAIN + 4) * LEB],
        bytes(Image(FILE, journal))[: (MAIN + 4) * LEB],
        bytes(broken)[: (MAIN + 2) * LEB],
    ]


def listing(data: bytes, offset: int = 0) -> tuple[Container, dict[str, Entry]]:
    container = UBIFS.open(Memory(data), offset)
    return container, {one.path: one for one in container.entries}


def content(one: Entry) -> bytes:
    assert one.open is not None
    source = one.open()
    assert source.size == one.size
    return source.read(0, source.size)


# Images by mkfs.ubifs.


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "etc/deep/er").mkdir(parents=True)
    (root / "etc/shadow").write_bytes(b"root::1:0:99999:7:::\n")
    (root / "etc/shadow").chmod(0o4640)
    (root / "text").write_bytes(b"".join(b"line %d of a text\n" % n for n in range(9000)))
    (root / "noise").write_bytes(b"".join(zlib.crc32(b"%d" % n).to_bytes(4, "big") for n in range(20000)))
    (root / "empty").write_bytes(b"")
    with (root / "sparse").open("wb") as stream:
        stream.write(b"begin")
        stream.seek(300_000)
        stream.write(b"end")
        stream.truncate(400_000)
    (root / "link").symlink_to("etc/shadow")
    (root / "first").write_bytes(b"several names")
    os.link(root / "first", root / "second")
    os.utime(root / "text", (1_500_000_000, 1_500_000_000))
    for number in range(40):
        (root / f"etc/many{number}").write_bytes(b"%d" % number)
    return root


def make(tree: Path, tmp_path: Path, *options: str, leb: int = 126976) -> bytes:
    if MKFS is None:
        pytest.skip("mtd-utils is not installed")
    command = [MKFS, "-r", str(tree), "-m", "2048", "-e", str(leb), "-c", "300", "-o", str(tmp_path / "image"), *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode and "option" in done.stderr:
        pytest.skip("this mkfs.ubifs lacks an option")
    assert done.returncode == 0, done.stderr
    return (tmp_path / "image").read_bytes()


def same(entries: dict[str, Entry], tree: Path) -> None:
    expected = {"/" + path.relative_to(tree).as_posix(): path for path in tree.rglob("*")}
    assert set(entries) == set(expected)
    for path, original in expected.items():
        one, info = entries[path], original.lstat()
        assert (one.mode, one.uid, one.gid, one.mtime) == (
            stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, int(info.st_mtime),
        ), path  # fmt: skip
        if original.is_symlink():
            assert (one.kind, one.target) == (NodeKind.SYMLINK, "etc/shadow")
        elif original.is_dir():
            assert one.kind is NodeKind.DIRECTORY
        else:
            assert content(one) == original.read_bytes(), path


@pytest.mark.parametrize(
    "options",
    [
        ("-x", "lzo"),
        ("-x", "zlib", "-k", "test"),
        ("-x", "zstd", "-F"),
        ("-x", "none", "-f", "32"),
        ("-x", "favor_lzo", "-l", "6"),
    ],
)
def test_every_variant_reads_back_as_written(options: tuple[str, ...], tree: Path, tmp_path: Path) -> None:
    data = make(tree, tmp_path, *options)
    container, entries = listing(b"U-Boot.." * 8 + data + b"\x17" * 200_000, 64)
    assert container.problems == []
    assert container.size == len(data)
    assert container.detail["compression"] in options or "favor_lzo" in options
    assert container.detail["integrity"] == "checksum"
    same(entries, tree)
    assert {"links", "inode"} <= set(entries["/first"].detail)


@pytest.mark.parametrize("leb", [16384, 253952])
def test_other_erase_blocks_read_back(leb: int, tree: Path, tmp_path: Path) -> None:
    same(listing(make(tree, tmp_path, leb=leb))[1], tree)


def test_device_nodes_keep_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "devices").write_text(
        "/dev d 755 0 0 - - - - -\n/dev/console c 600 0 0 5 1 0 0 -\n"
        "/dev/flash b 640 0 6 31 300 0 0 -\n/dev/pipe p 600 0 0 - - - - -\n"
    )
    _, entries = listing(make(tmp_path / "tree", tmp_path, "-D", str(tmp_path / "devices")))
    assert entries["/dev/console"].device == "c 5:1"
    assert (entries["/dev/flash"].device, entries["/dev/flash"].mode, entries["/dev/flash"].gid) == ("b 31:300", 0o640, 6)
    assert entries["/dev/pipe"].device == "fifo"


def test_encrypted_files_are_told_and_their_cipher_named(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(bytes(range(64)))
    data = make(tree, tmp_path, "-C", "AES-256-XTS", "-K", str(tmp_path / "key"), "-b", "0123456789abcdef")
    container, entries = listing(data)
    assert container.problems == []
    assert "encryption" in str(container.detail["flags"])
    assert len(entries) == len(list(tree.rglob("*")))
    # This mkfs.ubifs leaves files with several names as they are.
    files = [one for one in entries.values() if one.kind is NodeKind.FILE and one.size and "links" not in one.detail]
    assert {one.role for one in files} == {"encrypted"}
    assert {one.detail["encryption"] for one in files} == {"AES-256-XTS, fscrypt, key 0123456789abcdef"}
    assert all(one.open().size >= one.size or one.size == 400_000 for one in files if one.open)
    assert not any("shadow" in path for path in entries)
    (link,) = (one for one in entries.values() if one.kind is NodeKind.SYMLINK)
    assert (link.target, link.detail["target"]) == (None, "encrypted (AES-256-CTS, fscrypt, key 0123456789abcdef)")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_signed_images_have_their_hash_tree_recomputed(algorithm: str, tree: Path, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "certificate.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, "-subj", "/CN=t", "-days", "9"]
    subprocess.run(command, check=True, capture_output=True)
    signing = [
        "--hash-algo",
        algorithm,
        "--auth-key",
        str(tmp_path / "key.pem"),
        "--auth-cert",
        str(tmp_path / "certificate.pem"),
    ]
    data = make(tree, tmp_path, *signing)
    container, entries = listing(data)
    assert (container.detail["integrity"], container.problems) == ("signature", [])
    assert container.detail["integrity_detail"] == (
        f"{algorithm} tree over all nodes right; PKCS#7 signature of the superblock (not verified)"
    )
    same(entries, tree)
    at = data.index(b"several names") - 48
    forged = bytearray(data)
    forged[at + 48 : at + 61] = b"another story"
    size = struct.unpack_from("<I", data, at + 16)[0]
    forged[at + 4 : at + 8] = struct.pack("<I", ~zlib.crc32(forged[at + 8 : at + size]) & 0xFFFFFFFF)
    container, entries = listing(bytes(forged))
    assert content(entries["/first"]) == b"another story"
    assert "wrong" in str(container.detail["integrity_detail"])
    assert container.problems == [f"a {algorithm} hash of the authenticated file system is wrong"]


def test_a_volume_of_a_device_is_read(tree: Path, tmp_path: Path) -> None:
    make(tree, tmp_path)
    if UBINIZE is None:
        pytest.skip("mtd-utils is not installed")
    lines = f"[r]\nmode=ubi\nimage={tmp_path}/image\nvol_id=0\nvol_type=dynamic\nvol_name=rootfs\nvol_size=9MiB\n"
    (tmp_path / "config").write_text(lines)
    command = [UBINIZE, "-p", "128KiB", "-m", "2048", "-s", "2048", "-o", str(tmp_path / "device"), str(tmp_path / "config")]
    subprocess.run(command, check=True, capture_output=True)
    found = Explorer(Limits()).explore(Memory((tmp_path / "device").read_bytes()), ("image",), 0)
    items = {item.node.path: item for item in found.items if item.node.chain == ("image", "ubi@0x0", "rootfs", "ubifs@0x0")}
    assert found.gaps == []
    text = items["/text"].content()
    assert text is not None
    assert text.read(0, text.size) == (tree / "text").read_bytes()


@pytest.mark.parametrize("broken", ["masters", "root", "leaf of the index"])
def test_a_broken_index_is_replaced_by_a_scan_of_all_nodes(broken: str, tree: Path, tmp_path: Path) -> None:
    data = bytearray(make(tree, tmp_path))
    leb = 126976
    if broken == "masters":
        data[leb : 3 * leb] = b"\xff" * (2 * leb)
    else:
        number, at, _ = struct.unpack_from("<III", data, leb + 48)
        if broken != "root":
            number, at, _ = struct.unpack_from("<III", data, number * leb + at + 28)
        data[number * leb + at + 30] ^= 0xFF
    container, entries = listing(bytes(data))
    same(entries, tree)
    assert any("every node of the file system is read instead" in problem for problem in container.problems)


# File systems written node by node.


def test_committed_files_are_found_through_the_index() -> None:
    container, entries = listing(b"x" * 100 + bytes(Image(FILE, fanout=2)), 100)
    assert container.problems == []
    assert container.size == LEB * LEBS
    assert content(entries["/f"]) == b"a" * 4096 + b"b" * 904
    one = entries["/f"]
    assert (one.mode, one.uid, one.gid, one.mtime) == (0o644, 7, 8, 1012)


def replayed(*journal: bytes) -> dict[str, bytes]:
    container, entries = listing(bytes(Image(FILE, list(journal))))
    assert container.problems == []
    return {path: content(one) for path, one in entries.items() if one.kind is NodeKind.FILE}


def test_the_journal_is_replayed_in_the_order_of_its_sequence_numbers() -> None:
    assert replayed(block(65, 0, b"c" * 4096, 61), block(65, 0, b"d" * 4096, 60)) == {"/f": b"c" * 4096 + b"b" * 904}
    assert replayed(entry(1, b"g", 65, 60), entry(1, b"f", 0, 61)) == {"/g": b"a" * 4096 + b"b" * 904}
    assert replayed(entry(1, b"f", 0, 60), inode(65, 61, links=0)) == {}
    assert replayed(inode(66, 61, size=3), entry(1, b"new", 66, 60), block(66, 0, b"xyz", 62))["/new"] == b"xyz"


def test_truncations_take_blocks_away() -> None:
    journal = (truncation(65, 5000, 4096, 60), inode(65, 61, size=4096), inode(65, 62, size=8192))
    assert replayed(*journal) == {"/f": b"a" * 4096 + bytes(4096)}


def test_a_group_that_was_not_finished_does_not_count() -> None:
    half = entry(1, b"f", 0, 60, group=1)
    assert list(replayed(half)) == ["/f"]
    assert list(replayed(half, entry(1, b"g", 65, 61, group=2))) == ["/g"]


def test_a_temporary_file_that_gets_a_name_stays() -> None:
    assert "/t" in replayed(inode(70, 60, links=0), inode(70, 61, size=1), entry(1, b"t", 70, 62), block(70, 0, b"t", 63))


def test_a_log_of_an_older_commit_is_told() -> None:
    image = Image(FILE, [entry(1, b"f", 0, 60)])
    image.lebs[LOG] = bytearray(node(CS, 50, struct.pack("<Q", 4)))
    container, entries = listing(bytes(image))
    assert list(entries) == ["/f"]
    assert any("log does not begin" in problem for problem in container.problems)


def test_the_newest_master_holds() -> None:
    image = Image(FILE)
    image.root = (0, 0, 0)
    for leb, sequence in ((1, 2), (2, 3)):
        image.lebs[leb] = bytearray(image.master(sequence, 4)) + image.lebs[leb]
    assert list(listing(bytes(image))[1]) == ["/f"]


def test_attributes_links_and_devices_are_told() -> None:
    container, entries = listing(seeds()[0])
    assert container.problems == []
    assert entries["/d/f"].detail == {"security.capability": "cap_net_raw+ep"}
    assert content(entries["/d/f"]) == b"text of a file " * 100
    assert (entries["/l"].target, entries["/c"].device) == ("d/f", "c 5:1")


def test_holes_between_and_behind_blocks_read_as_zeros() -> None:
    tree = [ROOT, entry(1, b"f", 65, 11), inode(65, 12, size=50_000_000), block(65, 3, b"x" * 4096, 13), block(65, 4, b"y", 14)]
    data = content(listing(bytes(Image(tree)))[1]["/f"])
    assert data == bytes(3 * 4096) + b"x" * 4096 + b"y" + bytes(50_000_000 - 4 * 4096 - 1)


def test_absurd_sizes_cost_their_quota_and_no_more() -> None:
    one = listing(bytes(Image([ROOT, entry(1, b"f", 65, 11), inode(65, 12, size=1 << 40)])))[1]["/f"]
    assert one.open is not None
    with pytest.raises(QuotaExceeded):
        one.open()


@pytest.mark.parametrize(
    "make",
    [
        lambda: block(65, 0, b"a" * 4096, 13, b"packed", 2),
        lambda: block(65, 0, b"a" * 4096, 13, b"packed", 1),
        lambda: block(65, 0, b"a" * 4096, 13, b"packed", 3),
        lambda: block(65, 0, b"a" * 4096, 13, b"packed", 9),
        lambda: block(65, 0, b"a" * 5000, 13),
    ],
)
def test_broken_blocks_make_their_file_unreadable(make: Callable[[], bytes]) -> None:
    one = listing(bytes(Image([*FILE[:3], make(), FILE[4]])))[1]["/f"]
    assert one.open is not None
    with pytest.raises(FormatError):
        one.open()


def test_names_that_leave_and_directories_below_themselves_end() -> None:
    tree = [
        ROOT, entry(1, b"..", 65, 11), entry(1, b"a/b", 65, 12), entry(1, b"d", 64, 13, 1), inode(64, 14, 0o040755),
        entry(64, b"loop", 64, 15, 1), entry(64, b"top", 1, 16, 1), entry(1, b"gone", 99, 17), inode(65, 18),
    ]  # fmt: skip
    container, entries = listing(bytes(Image(tree)))
    assert list(entries) == ["/d"]
    assert len(container.problems) == 5


def test_a_truncated_image_gives_what_is_there() -> None:
    container, entries = listing(bytes(Image(FILE))[: (MAIN + 1) * LEB])
    assert container.size == (MAIN + 1) * LEB
    assert content(entries["/f"])[4095:4097] == b"ab"


@pytest.mark.parametrize("data", [b"", bytes(Image(FILE))[:4000], bytes(Image(FILE))[:LEB], b"\x31\x18\x10\x06" * 2000])
def test_what_is_no_file_system_is_rejected(data: bytes) -> None:
    with pytest.raises(FormatError):
        UBIFS.open(Memory(data), 0)


@pytest.mark.corpus
def test_a_real_volume_is_read_to_its_last_file() -> None:
    images = sorted(CORPUS.glob("fmt-ubi_*")) if CORPUS.is_dir() else []
    if not images:
        pytest.skip("the shared corpus is not there")
    found = Explorer(Limits()).explore(Memory(images[0].read_bytes()), ("image",), 0)
    items = [item for item in found.items if "ubifs@0x0" in item.node.chain and item.readable]
    assert found.gaps == []
    assert items
    assert all(item.content() is not None for item in items)
