"""UBI devices made by ubinize, and erase blocks written one by one by the kernel's header, read back as an attach would."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats.ubi import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

(UBI,) = FORMATS
UBINIZE = shutil.which("ubinize", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
CORPUS = Path(__file__).parents[4] / "shared/corpus/open"

PEB, VID, DATA = 4096, 512, 1024
LEB = PEB - DATA
LAYOUT = 0x7FFFEFFF


def crc(data: bytes) -> int:
    return ~zlib.crc32(data) & 0xFFFFFFFF


def sealed(raw: bytes) -> bytes:
    return raw + struct.pack(">I", crc(raw))


def counter(count: int = 0, image: int = 77, vid: int = VID, data: int = DATA) -> bytes:
    return sealed(b"UBI#\1\0\0\0" + struct.pack(">QIII", count, vid, data, image) + bytes(32))


def identifier(
    volume: int, leb: int, data: bytes | None = None, sequence: int = 0, used: int = 0, copy: bool = False, padding: int = 0
) -> bytes:
    static, size, check = used > 0, 0, 0
    if data is not None and (static or copy):
        size, check = len(data), crc(data)
    raw = b"UBI!\1" + bytes((2 if static else 1, copy, 5 if volume == LAYOUT else 0)) + struct.pack(">II4x", volume, leb)
    return sealed(raw + struct.pack(">IIII4xQ12x", size, used, padding, check, sequence))


def block(vid: bytes, data: bytes, count: int = 0, image: int = 77) -> bytes:
    head = counter(count, image).ljust(VID, b"\0") + vid
    return head.ljust(DATA, b"\0") + data.ljust(LEB, b"\xff")


def free(image: int = 77) -> bytes:
    return counter(3, image).ljust(PEB, b"\xff")


def record(name: bytes, reserved: int, type: int = 1, flags: int = 0, updating: bool = False, padding: int = 0) -> bytes:
    raw = struct.pack(">IIIBBH128sB23x", reserved, 1, padding, type, updating, len(name), name, flags)
    return sealed(raw)


def layout(rows: dict[int, bytes], image: int = 77, sequence: int = 0) -> list[bytes]:
    table = b"".join(rows.get(number, sealed(bytes(168))) for number in range(128))[: LEB // 172 * 172]
    return [block(identifier(LAYOUT, leb, sequence=sequence), table, image=image) for leb in (0, 1)]


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def listing(data: bytes, offset: int = 0) -> tuple[Container, dict[str, Entry]]:
    container = UBI.open(Memory(data), offset)
    return container, {entry.path: entry for entry in container.entries}


def content(entry: Entry) -> bytes:
    assert entry.open is not None
    source = entry.open()
    assert source.size == entry.size
    return source.read(0, source.size)


def device() -> bytes:
    """Two volumes whose blocks lie in disorder, with free and erased blocks between them."""
    blocks = layout({0: record(b"root", 5, flags=1), 2: record(b"kernel", 3, type=2)})
    root = [block(identifier(0, leb, sequence=9 - leb), noise(LEB, leb)) for leb in (0, 1, 3)]
    kernel = [
        block(identifier(2, leb, noise(size, 10 + leb), used=2), noise(size, 10 + leb)) for leb, size in ((0, LEB), (1, 700))
    ]
    return b"".join([kernel[1], root[2], blocks[1], free(), b"\xff" * PEB, root[0], kernel[0], blocks[0], b"\xff" * PEB, root[1]])


def seeds() -> list[bytes]:
    moved = block(identifier(0, 0, noise(64), 7, copy=True), noise(64), 5)
    lone = layout({0: record(b"a", 1, updating=True)})
    return [
        device(),
        b"".join([*lone, block(identifier(0, 0, sequence=3), b"old"), moved, block(identifier(0x7FFFF000, 0), b"fastmap")]),
        block(identifier(1, 0, noise(99), used=1), noise(99)) + free(),
    ]


def test_volumes_are_put_together_whatever_the_order_of_their_blocks() -> None:
    data = device()
    container, entries = listing(b"boot" * 300 + data + b"\x5a" * 9000, 1200)
    assert container.size == len(data)
    assert container.problems == []
    assert (container.detail["peb_size"], container.detail["leb_size"], container.detail["free_pebs"]) == (PEB, LEB, 1)
    assert container.detail["integrity"] == "checksum"
    assert list(entries) == ["root", "kernel"]
    assert content(entries["root"]) == noise(LEB, 0) + noise(LEB, 1) + b"\xff" * LEB + noise(LEB, 3)
    assert content(entries["kernel"]) == noise(LEB, 10) + noise(700, 11)
    assert entries["root"].detail == {
        "volume": 0, "type": "dynamic", "leb_size": LEB, "mapped LEBs": 3, "reserved LEBs": 5, "flags": "autoresize",
    }  # fmt: skip
    assert entries["kernel"].detail["type"] == "static"


def test_bytes_of_volumes_stand_in_the_image() -> None:
    image = Memory(device())
    image.origin = 0
    source = next(iter(UBI.open(image, 0).entries)).open()  # type: ignore[misc]
    assert list(source.extents(0, 2 * LEB)) == [(5 * PEB + DATA, LEB), (9 * PEB + DATA, LEB)]
    assert list(source.extents(2 * LEB, LEB)) == []


def test_the_highest_sequence_number_holds_unless_its_copy_was_cut_short() -> None:
    table = layout({0: record(b"v", 2)})
    old, new = block(identifier(0, 0, sequence=3), b"old"), block(identifier(0, 0, sequence=4), b"new")
    copied = block(identifier(0, 0, b"copied", 5, copy=True), b"copied")
    torn = block(identifier(0, 0, b"copied", 5, copy=True), b"copi")
    for blocks, expected in (
        ([old, new], b"new"), ([new, old], b"new"), ([new, copied], b"copied"), ([torn, new], b"new"), ([old, torn], b"old"),
    ):  # fmt: skip
        container, entries = listing(b"".join(table + blocks))
        assert content(entries["v"]).rstrip(b"\xff") == expected
        assert container.detail["overridden_pebs"] == 1


def test_wrong_checksums_of_static_data_are_told() -> None:
    bad = bytearray(device())
    bad[DATA] ^= 1
    container, entries = listing(bytes(bad))
    assert len(content(entries["kernel"])) == LEB + 700
    assert container.problems == ["volume kernel: the data of 1 LEBs have a wrong checksum"]
    assert container.detail["integrity_detail"] == "CRC32 of headers right, of static data 1 wrong"


def test_a_broken_erase_counter_costs_nothing_when_the_volume_header_is_sound() -> None:
    bad = bytearray(device())
    bad[5 * PEB + 9] ^= 1
    bad[6 * PEB + VID + 9] ^= 1
    container, entries = listing(bytes(bad))
    assert content(entries["root"])[:LEB] == noise(LEB, 0)
    assert container.size == len(bad)
    assert any("2 blocks have a broken header" in problem for problem in container.problems)
    assert any("1 of 2 LEBs are missing" in problem for problem in container.problems)


def test_one_sound_copy_of_the_volume_table_is_enough() -> None:
    bad = bytearray(device())
    bad[7 * PEB + DATA + 16] ^= 1
    container, entries = listing(bytes(bad))
    assert list(entries) == ["root", "kernel"]
    assert any("copy 1 of the volume table has a wrong checksum" in problem for problem in container.problems)
    for at in (2, 7):
        bad[at * PEB : (at + 1) * PEB] = b"\xff" * PEB
    container, entries = listing(bytes(bad))
    assert list(entries) == ["volume-0", "volume-2"]
    assert content(entries["volume-2"]) == noise(LEB, 10) + noise(700, 11)


def test_a_second_device_behind_the_first_is_another_container() -> None:
    other = b"".join(layout({0: record(b"other", 2)}, image=78)) + block(identifier(0, 0), b"other", image=78)
    data = device()
    for second in (other, data):
        container, _ = listing(data + b"\xff" * PEB + second)
        assert container.size == len(data)
        _, entries = listing(data + b"\xff" * PEB + second, len(data) + PEB)
        assert "other" in entries or "kernel" in entries


def test_a_truncated_device_gives_what_is_there() -> None:
    data = device()[:-1000]
    container, entries = listing(data)
    assert container.size == len(data)
    assert any("1000 bytes are missing" in problem for problem in container.problems)
    assert content(entries["root"])[-LEB:] == noise(LEB, 3)


def test_data_padding_of_aligned_volumes_is_left_out() -> None:
    blocks = [block(identifier(0, leb, padding=72), noise(LEB - 72, leb)) for leb in (0, 1)]
    _, entries = listing(b"".join(layout({0: record(b"v", 2, padding=72)}) + blocks))
    assert content(entries["v"]) == noise(LEB - 72, 0) + noise(LEB - 72, 1)


def test_names_are_made_unique_and_printable() -> None:
    rows = {0: record(b"a/../b\x01", 1), 1: record(b"a/../b\x01", 1), 2: record(b"", 1)}
    blocks = [block(identifier(number, 0), b"x") for number in rows]
    assert list(listing(b"".join(layout(rows) + blocks))[1]) == ["a?..?b?", "a?..?b?-1", "volume-2"]


def test_volumes_without_data_and_with_an_interrupted_update_are_told() -> None:
    container, entries = listing(b"".join(layout({0: record(b"empty", 9), 1: record(b"half", 1, updating=True)})))
    assert (entries["empty"].role, entries["empty"].size) == ("meta", 0)
    assert entries["half"].detail["update"] == "interrupted"
    assert container.problems == ["volume half: an update of it was interrupted"]


def test_an_absurd_block_number_costs_no_memory() -> None:
    data = b"".join([*layout({0: record(b"v", 9)}), block(identifier(0, 0), b"first"), block(identifier(0, 0x7FFFFFFF), b"far")])
    container, entries = listing(data)
    assert len(content(entries["v"])) == LEB
    assert any("too large a hole" in problem for problem in container.problems)


@pytest.mark.parametrize("data", [b"", b"UBI#\1", counter()[:-1] + b"x" + bytes(9999), counter(vid=8) + bytes(9999)])
def test_what_is_no_device_is_rejected(data: bytes) -> None:
    with pytest.raises(ExtractionError):
        UBI.open(Memory(data), 0)
    with pytest.raises(FormatError):
        UBI.open(Memory(bytes(5000)), 0)


@pytest.mark.parametrize(
    ("peb", "page", "sub"), [("128KiB", 2048, 2048), ("128KiB", 2048, 512), ("16KiB", 512, 256), ("256KiB", 4096, 4096)]
)
def test_devices_made_by_ubinize_read_back(peb: str, page: int, sub: int, tmp_path: Path) -> None:
    if UBINIZE is None:
        pytest.skip("mtd-utils is not installed")
    root, kernel = noise(300_000, 1), noise(70_001, 2)
    (tmp_path / "root").write_bytes(root)
    (tmp_path / "kernel").write_bytes(kernel)
    (tmp_path / "config").write_text(
        f"[r]\nmode=ubi\nimage={tmp_path}/root\nvol_id=4\nvol_type=dynamic\nvol_name=rootfs\nvol_flags=autoresize\nvol_size=2MiB\n"
        f"[k]\nmode=ubi\nimage={tmp_path}/kernel\nvol_id=1\nvol_type=static\nvol_name=kernel\nvol_size=1MiB\n"
        "[d]\nmode=ubi\nvol_id=2\nvol_type=dynamic\nvol_name=data\nvol_size=1MiB\n"
    )
    image = tmp_path / "image"
    command = [UBINIZE, "-p", peb, "-m", str(page), "-s", str(sub), "-o", str(image), str(tmp_path / "config")]
    subprocess.run(command, check=True, capture_output=True)
    data = image.read_bytes()
    container, entries = listing(b"\0" * 4096 + data + noise(300_000, 3), 4096)
    assert container.size == len(data)
    assert container.problems == []
    assert f"{container.detail['peb_size'] // 1024}KiB" == peb  # type: ignore[operator]
    assert list(entries) == ["kernel", "data", "rootfs"]
    assert content(entries["kernel"]) == kernel
    assert content(entries["rootfs"]).rstrip(b"\xff") == root.rstrip(b"\xff")
    assert entries["rootfs"].detail["flags"] == "autoresize"


def test_containers_in_volumes_are_found() -> None:
    inner = device()
    blocks = [block(identifier(0, leb), inner[leb * LEB : (leb + 1) * LEB]) for leb in range(-(-len(inner) // LEB))]
    data = b"".join(layout({0: record(b"outer", 99)}) + blocks[::-1])
    found = Explorer(Limits()).explore(Memory(data), ("image",), 0)
    chains = {item.node.chain for item in found.items}
    assert ("image", "ubi@0x0", "outer", "ubi@0x0") in chains


@pytest.mark.corpus
def test_a_real_image_with_tiny_blocks_is_read() -> None:
    images = sorted(CORPUS.glob("fmt-ubi_*")) if CORPUS.is_dir() else []
    if not images:
        pytest.skip("the shared corpus is not there")
    data = images[0].read_bytes()
    container, entries = listing(data)
    assert (container.size, container.problems, container.detail["peb_size"]) == (len(data), [], 1024)
    assert list(entries) == ["rootfs"]
    assert content(entries["rootfs"])[:4] == b"\x31\x18\x10\x06"
