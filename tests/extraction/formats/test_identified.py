"""File systems that are told by their superblock: those of the real tools, and superblocks laid out here as their headers say."""

from __future__ import annotations

import importlib
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.format import Container, Format
from fwcheck.extraction.identify import signatures
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

PATHS = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
NAMES = ("apfs", "bcachefs", "hfsplus", "jfs", "ntfs", "reiserfs", "swap", "udf", "ufs", "xfs")
UUID = bytes(range(16))


def parser(name: str) -> Format:
    (found,) = importlib.import_module(f"fwcheck.extraction.formats.{name}").FORMATS
    assert isinstance(found, Format)
    return found


def crc32c(data: bytes) -> bytes:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return struct.pack("<I", value ^ 0xFFFFFFFF)


def placed(size: int, *pieces: tuple[int, bytes]) -> bytes:
    out = bytearray(size)
    for at, data in pieces:
        out[at : at + len(data)] = data
    return bytes(out)


def apfs() -> bytes:
    block = placed(4096, (8, struct.pack("<QQII", 1, 5, 0x80000001, 0)), (32, b"NXSB" + struct.pack("<IQ", 4096, 16)), (72, UUID))
    low = high = 0
    for (word,) in struct.iter_unpack("<I", block[8:]):
        low = (low + word) % (2**32 - 1)
        high = (high + low) % (2**32 - 1)
    one = 2**32 - 1 - (low + high) % (2**32 - 1)
    two = 2**32 - 1 - (low + one) % (2**32 - 1)
    return (struct.pack("<II", one, two) + block[8:]).ljust(65536, b"\0")


def bcachefs() -> bytes:
    magic = bytes.fromhex("c68573f666ce90a9d96a60cf803df7ef")
    member = UUID + struct.pack("<QHH", 16, 0, 8).ljust(40, b"\0")
    head = placed(
        752,
        (16, struct.pack("<HH", 1 << 10 | 7, 0)),
        (24, magic),
        (56, UUID),
        (72, b"LAB"),
        (120, struct.pack("<HBBI", 8, 0, 1, 8)),
    )
    return placed(65536, (4096, head + struct.pack("<II", 8, 1) + member))


def hfsplus() -> bytes:
    head = b"H+\0\4" + struct.pack(">I4sIIIIIIIIII", 0, b"10.0", 0, 3_000_000_000, 0, 0, 0, 5, 6, 4096, 16, 3)
    return placed(65536, (1024, head))


def jfs() -> bytes:
    head = b"JFS1" + struct.pack("<IQIHHI", 1, 112, 4096, 12, 3, 512)
    return placed(65536, (32768, head), (32768 + 72, struct.pack("<IIII", 1, 15, 1, 14)), (32768 + 136, UUID + b"LAB"))


def ntfs() -> bytes:
    head = b"\xeb\x52\x90NTFS    " + struct.pack("<HB", 512, 8)
    return placed(65536, (0, head), (40, struct.pack("<QQQQQ", 127, 4, 8, 0xF6, 0x1122334455667788)), (510, b"\x55\xaa"))


def reiserfs() -> bytes:
    head = struct.pack("<III", 20, 3, 4).ljust(44, b"\0") + struct.pack("<HHHH", 4096, 0, 0, 1) + b"ReIsEr2Fs\0"
    return placed(81920, (65536, head), (65536 + 84, UUID + b"LAB"))


def swap() -> bytes:
    return placed(65536, (1024, struct.pack(">III", 1, 15, 0) + UUID + b"LAB"), (4086, b"SWAPSPACE2"))


def udf() -> bytes:
    def tagged(kind: int, block: int, body: bytes) -> tuple[int, bytes]:
        tag = bytearray(struct.pack("<HHBBHHHI", kind, 3, 0, 0, 1, 0, 0, block))
        tag[4] = sum(tag) & 0xFF
        return block * 512, (bytes(tag) + body).ljust(512, b"\0")

    anchor = struct.pack("<IIII", 512 * 3, 100, 0, 0)
    partition = bytes(172) + struct.pack("<II", 128, 200)
    logical = bytes(68) + (b"\x08LAB").ljust(128, b"\0") + struct.pack("<I", 512)
    recognition = [(32768 + n * 2048, b"\0" + name + b"\1") for n, name in enumerate((b"BEA01", b"NSR02", b"TEA01"))]
    return placed(512 * 340, *recognition, tagged(2, 256, anchor), tagged(2, 339, anchor), tagged(5, 100, partition),
                  tagged(6, 101, logical), tagged(8, 102, b""))  # fmt: skip


def ufs() -> bytes:
    body = placed(
        1376, (48, struct.pack(">III", 16384, 2048, 8)), (680, b"LAB"), (1080, struct.pack(">Q", 40)), (1372, b"\x19\x54\x01\x19")
    )
    return placed(81920, (65536, body))


def xfs() -> bytes:
    head = placed(512, (0, b"XFSB" + struct.pack(">IQ", 4096, 16)), (32, UUID), (84, struct.pack(">II", 16, 1)),
                  (100, struct.pack(">HHHH", 0xB4A5, 512, 512, 8) + b"LAB"), (120, bytes([12])))  # fmt: skip
    return (head[:224] + crc32c(head) + head[228:]).ljust(65536, b"\0")


BUILT = {name: globals()[name] for name in NAMES}


def seeds() -> list[bytes]:
    return [build() for build in BUILT.values()]


@pytest.mark.parametrize("name", NAMES)
def test_a_superblock_tells_what_it_is_and_how_far_it_reaches(name: str) -> None:
    data = BUILT[name]()
    hits, _ = signatures().everywhere(Memory(b"front" + data))
    assert (5, name) in {(offset, each.name) for offset, _, each in hits}
    container = parser(name).open(Memory(b"front" + data + b"tail" * 5000), 5)
    assert (container.format, container.size) == (name, len(data))
    assert [problem for problem in container.problems if "not read" not in problem] == []
    assert any("not read" in problem for problem in container.problems)
    assert "wrong" not in str(container.detail.get("integrity_detail"))
    for key, value in (("volume", "LAB"), ("uuid", UUID.hex())):
        assert container.detail.get(key, value) == value


@pytest.mark.parametrize("name", NAMES)
def test_the_bytes_stay_one_content_that_is_not_the_same_file_system_again(name: str) -> None:
    found = Explorer(Limits()).explore(Memory(BUILT[name]()), ("image",), 0)
    assert [item.node.format for item in found.items if item.node.format == name] == [name]
    (content,) = [item.content() for item in found.items if item.node.path == "content"]
    assert content is not None
    assert name not in {each.name for _, _, each in signatures().at_start(content.peek(0, 70000))}


@pytest.mark.parametrize("name", ["apfs", "xfs"])
def test_wrong_checksums_are_told(name: str) -> None:
    data = bytearray(BUILT[name]())
    at = data.index(UUID)
    data[at + 5] ^= 1
    container = parser(name).open(Memory(data), 0)
    assert any(problem.endswith("wrong") for problem in container.problems)


@pytest.mark.parametrize("name", NAMES)
def test_a_truncated_volume_is_told_and_a_bare_magic_is_none(name: str) -> None:
    data = BUILT[name]()
    container = parser(name).open(Memory(data[:-512]), 0) if name != "udf" else parser(name).open(Memory(data[: 300 * 512]), 0)
    assert any("are there" in problem for problem in container.problems)
    for broken in (b"", data[:500], bytes(len(data))):
        with pytest.raises(FormatError):
            parser(name).open(Memory(broken), 0)


REAL = {
    "xfs": ("xfsprogs", "mkfs.xfs", ("-q", "-L", "LAB"), 320),
    "ntfs": ("ntfs-3g", "mkfs.ntfs", ("-F", "-q", "-L", "LAB"), 4),
    "udf": ("udftools", "mkudffs", ("-b", "2048", "--label=LAB"), 4),
    "jfs": ("jfsutils", "mkfs.jfs", ("-q", "-L", "LAB"), 17),
    "swap": ("util-linux", "mkswap", ("-L", "LAB"), 1),
}


@pytest.mark.parametrize("name", REAL)
def test_a_volume_of_the_real_tool_is_told_with_its_extent(name: str, tmp_path: Path) -> None:
    package, program, options, mebibytes = REAL[name]
    tool = shutil.which(program, path=PATHS)
    if tool is None:
        pytest.skip(f"{package} is not installed")
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.truncate(mebibytes << 20)
    subprocess.run([tool, *options, str(path)], check=True, capture_output=True)
    from fwcheck.extraction.source import Mapped

    source = Mapped.open(path)
    assert name in {each.name for _, _, each in signatures().at_start(source.peek(0, 70000))}
    container: Container = parser(name).open(source, 0)
    assert container.size == mebibytes << 20
    assert container.detail.get("volume", "LAB") == "LAB"
    assert len(container.problems) == 1
