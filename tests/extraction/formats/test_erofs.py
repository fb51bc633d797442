"""EROFS images: of mkfs.erofs where it is installed, and laid out here for what that one cannot make."""

from __future__ import annotations

import lzma
import os
import random
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import lz4.block
import msgspec
import pytest
import zstandard
from support.hostile import exercise

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats.erofs import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(EROFS,) = FORMATS
BLOCK = 4096
DATA = 4  # first block of data: the inodes stand in the blocks 1 to 3
TEXT = b"".join(b"%d: a line that packs well, %d\n" % (n, n * n % 101) for n in range(1300))
NOISE = random.Random(5).randbytes(5000)
CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 13 | 1 << 10, 0, 0, 0)


def crc32c(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def microlzma(data: bytes) -> bytes:
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": 65536, "lc": 3, "lp": 0, "pb": 2}]
    raw = lzma.compress(data, lzma.FORMAT_RAW, filters=filters)
    assert raw[0] == 0
    return bytes([0x5D ^ 0xFF]) + raw[1:]


def lz4_block(data: bytes) -> bytes:
    return bytes(lz4.block.compress(data, store_size=False))


PACKERS: list[Callable[[bytes], bytes]] = [lz4_block, microlzma, deflate, zstandard.ZstdCompressor().compress]


class Extent(msgspec.Struct):
    begin: int
    block: int
    kind: int = 1
    blocks: int = 1


class Image:
    """A file system with compressed files under a full index of 8 bytes for each block."""

    def __init__(self, incompat: int = 1, algorithms: int = 0) -> None:
        self.incompat, self.algorithms = incompat, algorithms
        self.inodes = bytearray(64)
        self.blocks = bytearray()
        self.names: dict[bytes, int] = {}
        self.packed = 0
        self.shared = b""

    def data(self, raw: bytes) -> int:
        """Stores whole blocks and gives the number of the first one."""
        number = DATA + len(self.blocks) // BLOCK
        self.blocks += raw
        self.blocks += bytes(-len(self.blocks) % BLOCK)
        return number

    def pack(self, raw: bytes, algorithm: int, *, padded: bool = True) -> tuple[int, int]:
        packed = PACKERS[algorithm](raw)
        fill = bytes(-len(packed) % BLOCK)
        return self.data(fill + packed if padded else packed + fill), (len(packed) + len(fill)) // BLOCK

    def inode(self, layout: int, size: int, value: int = 0, mode: int = 0o100644, body: bytes = b"", attributes: bytes = b"",
              links: int = 1) -> int:  # fmt: skip
        self.inodes += bytes(-len(self.inodes) % 32)
        number = len(self.inodes) // 32
        words = (len(attributes) - 12) // 4 + 1 if attributes else 0
        head = (layout << 1 | 1, words, mode, 0, size, value, 0, 1000, 100, 1_600_000_000, 7, links)
        self.inodes += struct.pack("<HHHHQIIIIQII16x", *head) + attributes
        self.inodes += body
        return number

    def compressed(self, size: int, extents: list[Extent], advise: int = 0, algorithm: int = 0, fragment: int = 0,
                   tail: bytes = b"") -> int:  # fmt: skip
        self.inodes += bytes(-len(self.inodes) % 32)  # with 64 bytes of inode, the header begins on a border of 8
        first = fragment & 0xFFFFFFFF if not tail else len(tail) << 16
        body = struct.pack("<IHBB8x", first, advise, algorithm | algorithm << 4, 0)
        heads = {each.begin // BLOCK: each for each in extents}
        last, head = 0, extents[0]
        for number in range(-(-size // BLOCK)):
            if number in heads:
                last, head = number, heads[number]
                body += struct.pack("<HHI", head.kind, head.begin % BLOCK, head.block)
                continue
            back = number - last
            if back == 1 and advise & 6 and head.kind:
                back = 1 << 11 | head.blocks
            ahead = min([each - number for each in heads if each > number], default=0)
            body += struct.pack("<HHHH", 2, BLOCK - 1, back, ahead)
        return self.inode(1, size, 1, body=body + tail)

    def records(self, size: int, rows: list[tuple[int, int, int]], width: int, *, advise: int = 0, bits: int = 0) -> int:
        """A file under an index of records: (begin, packed length with its format, place)."""
        self.inodes += bytes(-len(self.inodes) % 32)
        many = len(rows) if width > 8 else 0
        form = 1 | {4: 0, 8: 1, 16: 2, 32: 3}[width] << 1 | advise
        body = struct.pack("<IHBB", many, form, 0, bits if width <= 8 else 0)
        at = len(self.inodes) + 64 + len(body)
        body += bytes(-at % width)
        if width == 4:
            body += struct.pack("<Q", rows[0][2]) + b"".join(struct.pack("<I", packed) for _, packed, _ in rows)
        for begin, packed, place in rows if width > 4 else ():
            row = struct.pack("<5I12x", packed, place & 0xFFFFFFFF, place >> 32, begin, 0)
            body += row[:width]
        return self.inode(1, size, 1, body=body)

    def name(self, name: bytes, number: int) -> None:
        self.names[name] = number

    def bytes(self, *, seal: bool = True) -> bytes:
        self.inodes += bytes(-len(self.inodes) % 32)
        root = len(self.inodes) // 32
        names = sorted({**self.names, b".": root, b"..": root}.items())
        at, heads, tail = 12 * len(names), b"", b""
        for name, number in names:
            heads += struct.pack("<QHBB", number, at + len(tail), 0, 0)
            tail += name
        # root: a compact inode, inline
        listing = heads + tail
        self.inodes += struct.pack("<HHHHIIIIHHI", 4, 0, 0o040755, 2, len(listing), 0, 0, 0, 0, 0, 0) + listing
        assert len(self.inodes) <= (DATA - 1) * BLOCK
        shared = self.data(self.shared) if self.shared else 0
        total = DATA + len(self.blocks) // BLOCK
        head = bytearray(struct.pack(
            "<4sIIBBHQQIIII16s16sIHHHBBIQ24x", b"\xe2\xe1\xf5\xe0", 0, 1, 12, 0, root, 9, 1_700_000_000, 0, total, 1, shared,
            bytes(range(16)), b"volume", self.incompat, self.algorithms, 0, 0, 0, 0, 0, self.packed,
        ))  # fmt: skip
        if self.incompat & 0x80:
            head[14:16], head[112:120] = bytes(2), struct.pack("<Q", root)
        block = bytes(1024) + head + bytes(BLOCK - 1024 - len(head))
        if seal:
            block = block[:1028] + struct.pack("<I", crc32c(block[1024:])) + block[1032:]
        return block + bytes(self.inodes) + bytes((DATA - 1) * BLOCK - len(self.inodes)) + bytes(self.blocks)


def algorithms() -> bytes:
    """One file for each algorithm, of three extents, the second of several blocks; capabilities, shared and own."""
    image = Image(incompat=3, algorithms=15)
    for algorithm in range(4):
        parts = [(0, TEXT[:10000]), (10000, TEXT[10000:13000] + NOISE), (18000, TEXT[13000:])]
        extents = []
        for begin, raw in parts:
            block, blocks = image.pack(raw, algorithm)
            extents.append(Extent(begin, block, blocks=blocks))
        size = len(TEXT) + len(NOISE)
        image.name(b"file%d" % algorithm, image.compressed(size, extents, advise=2, algorithm=algorithm))
    value = struct.pack("<BBH", 10, 6, len(CAPABILITY)) + b"capability" + CAPABILITY
    image.shared = bytes(4) + value
    shared = struct.pack("<IB7xI", 0, 1, 1)
    image.name(b"shared", image.inode(2, 5, body=b"inner", attributes=shared, links=2))
    own = (
        struct.pack("<IB7x", 0, 0) + value + bytes(-len(value) % 4) + struct.pack("<BBH", 7, 6, 8) + b"selinuxu:r:s:s0" + bytes(1)
    )
    image.name(b"own", image.inode(2, 5, body=b"inner", attributes=own))
    return image.bytes()


def fragments() -> bytes:
    """Ends of files in the packed inode, a whole file there, extents of two files over the same packed bytes."""
    image = Image(incompat=1 | 0x20)
    kept = b"the end of one" + b"a whole small file"
    image.packed = image.inode(2, len(kept), body=kept)
    block, _ = image.pack(TEXT[:16000], 0)
    tail = Extent(16000, 0)
    image.name(b"end", image.compressed(16000 + 14, [Extent(0, block), tail], advise=0x20, fragment=0))
    image.name(b"shorter", image.compressed(9000, [Extent(0, block)]))
    whole = struct.pack("<Q", 14 | 1 << 63)
    image.name(b"whole", image.inode(3, len(kept) - 14, body=whole))
    return image.bytes()


def stored() -> bytes:
    """Stored clusters, as they come and interlaced; an LZ4 tail behind the index; chunks with a hole; the old LZ4 form."""
    image = Image(incompat=4)
    block, _ = image.pack(TEXT[:9000], 0, padded=False)
    second = image.data(NOISE[:4000])
    image.name(b"shifted", image.compressed(13000, [Extent(0, block), Extent(9000, second, 0)]))
    within = 9000 % BLOCK
    turned = bytearray(BLOCK)
    for at, byte in enumerate(NOISE[:4000]):
        turned[(within + at) % BLOCK] = byte
    third = image.data(bytes(turned))
    image.name(b"interlaced", image.compressed(13000, [Extent(0, block), Extent(9000, third, 0)], advise=0x10))
    packed = lz4_block(TEXT[9000:12000])
    image.name(b"tail", image.compressed(12000, [Extent(0, block), Extent(9000, 0)], advise=8, tail=packed))
    chunks = struct.pack("<HHI", 0, 0, second) + struct.pack("<HHI", 0, 0, 0xFFFFFFFF) + struct.pack("<HHI", 0, 0, second)
    image.name(b"chunks", image.inode(4, 2 * BLOCK + 10, 0x20, body=chunks))
    image.name(b"null", image.inode(0, 0, 1 << 8 | 3, mode=0o020666))
    image.name(b"link", image.inode(2, 6, mode=0o120777, body=b"chunks"))
    return image.bytes()


def wide() -> bytes:
    """48-bit addresses: records of all four lengths, chunks with a high word, a compact inode with a time of its own."""
    image = Image(incompat=0x80 | 0x20 | 5)
    packed = [lz4_block(TEXT[at : at + 8192]) for at in range(0, 24576, 8192)]
    place = image.data(b"".join(packed)) * BLOCK  # in a row, not in whole blocks
    begins = [place, place + len(packed[0]), place + len(packed[0]) + len(packed[1])]
    rows = [(n * 8192, len(data) | 1 << 28, begins[n]) for n, data in enumerate(packed)]
    kept = b"kept in the packed inode"
    image.packed = image.inode(2, len(kept), body=kept)
    for width in (4, 8, 16, 32):
        image.name(b"records%d" % width, image.records(24576, rows, width, bits=1))
    hole = [(0, rows[0][1] | 1 << 27, begins[0]), (8192, 0, 0), (12288, 5, 0)]
    image.name(b"hole", image.records(12288 + 19, hole, 16, advise=0x20))
    noise = image.data(NOISE)
    image.name(b"plain", image.records(5000, [(0, 5000, noise * BLOCK)], 32))
    chunks = struct.pack("<HHI", 0, 0, noise) + struct.pack("<HHI", 0xFFFF, 0, 0xFFFFFFFF) + struct.pack("<HHI", 1, 0, noise)
    image.name(b"chunks", image.inode(4, 2 * BLOCK, 0x60, body=chunks[:16]))
    image.name(b"beyond", image.inode(4, 3 * BLOCK, 0x60, body=chunks))
    image.inodes += bytes(-len(image.inodes) % 32)
    image.name(b"compact", len(image.inodes) // 32)
    image.inodes += struct.pack("<HHHHIIIIHHI", 0x10, 0, 0o100600, 0, 5000, 77, noise, 0, 1, 2, 0)
    return image.bytes()


def seeds() -> list[bytes]:
    return [algorithms(), fragments(), stored(), wide()]


def listing(data: bytes, offset: int = 0) -> tuple[Container, dict[str, Entry]]:
    container = EROFS.open(Memory(data), offset)
    return container, {entry.path: entry for entry in container.entries}


def content(entry: Entry) -> bytes:
    assert entry.open is not None
    source = entry.open()
    whole = b"".join(bytes(chunk) for chunk in source.chunks(5000))
    assert whole == source.read(0, source.size)
    return whole


def test_every_algorithm_gives_what_went_in() -> None:
    image = algorithms()
    container, members = listing(b"R" * 100 + image + b"T" * 100, 100)
    assert container.size == len(image)
    assert container.problems == []
    assert container.detail["algorithms"] == "lz4, microlzma, deflate, zstd"
    assert container.detail["volume"] == "volume"
    assert container.detail["integrity_detail"] == "CRC32C of the superblock right"
    whole = TEXT[:13000] + NOISE + TEXT[13000:]
    for algorithm in range(4):
        entry = members[f"/file{algorithm}"]
        assert content(entry) == whole
        assert (entry.size, entry.mode, entry.uid, entry.gid, entry.mtime) == (len(whole), 0o644, 1000, 100, 1_600_000_000)
        assert entry.open is not None
        assert bytes(entry.open().view(9990, 9000)) == whole[9990:18990]


def test_capabilities_and_contexts_are_told() -> None:
    _, members = listing(algorithms())
    granted = "cap_net_bind_service,cap_net_raw+ep"
    assert members["/shared"].detail["security.capability"] == granted
    assert members["/shared"].detail["links"] == 2
    assert members["/own"].detail == {"security.capability": granted, "security.selinux": "u:r:s:s0"}
    assert content(members["/own"]) == b"inner"


def test_fragments_and_shared_extents() -> None:
    container, members = listing(fragments())
    assert content(members["/end"]) == TEXT[:16000] + b"the end of one"
    assert content(members["/whole"]) == b"a whole small file"
    assert content(members["/shorter"]) == TEXT[:9000]
    assert container.problems == []


def test_stored_clusters_tails_and_chunks() -> None:
    container, members = listing(stored())
    whole = TEXT[:9000] + NOISE[:4000]
    assert content(members["/shifted"]) == whole
    assert content(members["/interlaced"]) == whole
    assert content(members["/tail"]) == TEXT[:12000]
    block = NOISE[:4000] + bytes(96)
    assert content(members["/chunks"]) == block + bytes(BLOCK) + block[:10]
    assert members["/null"].device == "c 1:3"
    assert members["/link"].target == "chunks"
    assert container.problems == []


def test_48_bit_addresses_and_records_of_extents() -> None:
    container, members = listing(wide())
    assert container.problems == []
    for width in (4, 8, 16, 32):
        assert content(members[f"/records{width}"]) == TEXT[:24576], width
    assert content(members["/hole"]) == TEXT[:8192] + bytes(4096) + b"in the packed inode"
    assert content(members["/plain"]) == NOISE
    assert content(members["/chunks"]) == NOISE[:BLOCK] + bytes(BLOCK)
    beyond = members["/beyond"].open
    assert beyond is not None
    with pytest.raises(FormatError):
        beyond()
    compact = members["/compact"]
    assert content(compact) == NOISE
    assert (compact.mtime, compact.mode, compact.detail) == (1_700_000_077, 0o600, {})


def test_a_wrong_checksum_is_told() -> None:
    image = bytearray(stored())
    image[1024 + 48] ^= 1  # a byte of the UUID
    container, members = listing(bytes(image))
    assert container.detail["integrity_detail"] == "CRC32C of the superblock wrong"
    assert any("wrong CRC32C" in problem for problem in container.problems)
    assert "/chunks" in members


def test_a_fragment_of_the_packed_inode_itself_is_refused() -> None:
    image = Image(incompat=0x21)
    image.packed = image.inode(3, 40, body=struct.pack("<Q", 1 << 63))
    image.name(b"whole", image.inode(3, 40, body=struct.pack("<Q", 1 << 63)))
    _, members = listing(image.bytes())
    entry = members["/whole"]
    assert entry.open is not None
    with pytest.raises(FormatError):
        entry.open().read(0, 40)


def test_a_directory_that_holds_itself_ends() -> None:
    image = Image()
    image.name(b"again", 0xABCDEF)
    data = bytearray(image.bytes())
    root = struct.unpack_from("<H", data, 1024 + 14)[0]
    at = data.index(struct.pack("<Q", 0xABCDEF))
    data[at : at + 8] = struct.pack("<Q", root)
    container, members = listing(bytes(data))
    assert "/again" not in members
    assert any("second name" in problem for problem in container.problems)


def test_a_size_that_lies_costs_nothing() -> None:
    image = Image()
    image.name(b"lie", image.compressed(1 << 20, [Extent(0, DATA)]))
    data = image.bytes()
    at = data.index(struct.pack("<Q", 1 << 20))
    _, members = listing(data[:at] + struct.pack("<Q", 1 << 50) + data[at + 8 :])
    entry = members["/lie"]
    assert entry.open is not None
    with pytest.raises(ExtractionError):
        entry.open()


def test_what_is_cut_off_is_told() -> None:
    image = algorithms()
    container, _ = listing(image[:-5000])
    assert container.size == len(image) - 5000
    assert any("are there" in problem for problem in container.problems)
    assert exercise(EROFS, image[:1100]) is None


OPTIONS = {
    "stored": [], "lz4": ["-zlz4"], "large clusters": ["-zlz4hc,9", "-C65536"], "tails": ["-zlz4hc", "-Eztailpacking"],
    "old form": ["-zlz4", "-Elegacy-compress"], "extended": ["-zlz4", "-Eforce-inode-extended"], "chunks": ["--chunksize=4096"],
}  # fmt: skip


def tree(root: Path) -> Path:
    root.mkdir()
    (root / "dir").mkdir()
    (root / "text").write_bytes(TEXT * 4)
    (root / "mixed").write_bytes(TEXT[:20000] + NOISE * 4 + bytes(300_000) + TEXT)
    (root / "dir" / "noise").write_bytes(NOISE)
    (root / "dir" / "empty").write_bytes(b"")
    (root / "dir" / "block").write_bytes(NOISE[:4096])
    (root / "dir" / "link").symlink_to("../text")
    os.link(root / "text", root / "dir" / "hard")
    os.mkfifo(root / "dir" / "fifo")
    (root / "text").chmod(0o4755)
    for number in range(400):
        (root / "dir" / f"one-of-many-files-{number:03}").write_bytes(b"%d" % number)
    return root


@pytest.mark.parametrize("name", OPTIONS)
def test_images_of_mkfs_give_what_went_in(tmp_path: Path, name: str) -> None:
    if not shutil.which("mkfs.erofs"):
        pytest.skip("mkfs.erofs is not installed (Debian package erofs-utils)")
    root = tree(tmp_path / "root")
    image = tmp_path / "image"
    subprocess.run(["mkfs.erofs", "--quiet", *OPTIONS[name], str(image), str(root)], check=True, capture_output=True)
    data = image.read_bytes()
    container, members = listing(b"R" * 512 + data + b"T", 512)
    assert container.size == len(data)
    assert container.problems == []
    assert container.detail["integrity_detail"] == "CRC32C of the superblock right"
    assert set(members) == {f"/{path.relative_to(root)}" for path in root.rglob("*")}
    for path, entry in members.items():
        there = root / path[1:]
        status = there.lstat()
        assert (entry.mode, entry.uid, entry.gid) == (status.st_mode & 0o7777, status.st_uid, status.st_gid)
        if entry.kind is NodeKind.FILE:
            assert content(entry) == there.read_bytes(), path
            if entry.offset is not None:
                assert (b"R" * 512 + data)[entry.offset : entry.offset + entry.size] == there.read_bytes()
    assert members["/dir/link"].target == "../text"
    assert members["/dir/fifo"].device == "fifo"
    assert members["/dir/hard"].detail["inode"] == members["/text"].detail["inode"]


def test_bytes_on_another_device_are_told(tmp_path: Path) -> None:
    if not shutil.which("mkfs.erofs"):
        pytest.skip("mkfs.erofs is not installed (Debian package erofs-utils)")
    image, root = tmp_path / "image", tree(tmp_path / "root")
    options = ["--quiet", "--chunksize=4096", f"--blobdev={tmp_path / 'blob'}"]
    subprocess.run(["mkfs.erofs", *options, str(image), str(root)], check=True, capture_output=True)
    container, members = listing(image.read_bytes())
    assert container.detail["devices"] == 1
    entry = members["/text"]
    assert entry.open is not None
    with pytest.raises(FormatError, match="device 1 of 1"):
        entry.open()
