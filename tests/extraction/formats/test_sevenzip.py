"""7z archives of an independent writer and of 7-Zip: solid folders, branch filters, packed and encrypted headers."""

from __future__ import annotations

import lzma
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError, Truncated
from fwcheck.extraction.formats.sevenzip import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(SEVEN,) = FORMATS
FILES = {"d/hi": b"hi\n", "big": bytes(range(256)) * 40, "link": b"d/hi"}


def number(value: int) -> bytes:
    if value < 0x80:
        return bytes([value])
    if value < 0x4000:
        return bytes([0x80 | value >> 8, value & 0xFF])
    return b"\xf0" + value.to_bytes(4, "little")


def streams(packed: int, method: bytes, properties: bytes, sizes: list[int], crcs: list[int], at: int = 0) -> bytes:
    """Pack, unpack and substream info of one folder with one coder."""
    coder = bytes([len(method) | (0x20 if properties else 0)]) + method
    coder += number(len(properties)) + properties if properties else b""
    out = b"\6" + number(at) + b"\1\x09" + number(packed) + b"\0"
    out += b"\7\x0b\1\0\1" + coder + b"\x0c" + number(sum(sizes)) + b"\0"
    out += b"\x08\x0d" + number(len(sizes)) + b"\x09" + b"".join(map(number, sizes[:-1]))
    return out + b"\x0a\1" + struct.pack(f"<{len(crcs)}I", *crcs) + b"\0\0"


def listing(names: list[str], empty: int) -> bytes:
    """The file list; the last ``empty`` names are directories."""
    count = len(names)
    raw = b"\0" + b"".join(name.encode("utf-16-le") + b"\0\0" for name in names)
    bits = int("1" * empty + "0" * (-count % 8), 2) if empty else 0
    out = number(count) + (b"\x0e" + number(-(-count // 8)) + bits.to_bytes(-(-count // 8), "big") if empty else b"")
    out += b"\x11" + number(len(raw)) + raw
    modes = [0o120777 if name == "link" else 0o040750 if index >= count - empty else 0o100640 for index, name in enumerate(names)]
    attributes = b"".join(struct.pack("<I", mode << 16 | 0x8000) for mode in modes)
    times = struct.pack(f"<{count}Q", *[(1_700_000_000 + 11_644_473_600) * 10_000_000] * count)
    out += b"\x15" + number(2 + len(attributes)) + b"\1\0" + attributes
    return out + b"\x14" + number(2 + len(times)) + b"\1\0" + times + b"\0"


def archive(method: bytes = b"\x21", properties: bytes = b"\x10", packed_header: bool = False, spoil: bool = False) -> bytes:
    content = b"".join(FILES.values())
    if method == b"\x21":
        body = lzma.compress(content, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}])
    else:
        body = content
    crcs = [zlib.crc32(data) ^ spoil for data in FILES.values()]
    sizes = [len(data) for data in FILES.values()]
    header = b"\1\4" + streams(len(body), method, properties, sizes, crcs) + b"\5" + listing([*FILES, "dir"], 1) + b"\0"
    if packed_header:
        chosen = [{"id": lzma.FILTER_LZMA1, "lc": 3, "lp": 0, "pb": 2, "dict_size": 4096}]
        packed = lzma.compress(header, lzma.FORMAT_RAW, filters=chosen)
        properties = bytes([93]) + (4096).to_bytes(4, "little")
        outer = b"\x17" + streams(len(packed), b"\3\1\1", properties, [len(header)], [zlib.crc32(header)], len(body))
        body, header = body + packed, outer
    start = struct.pack("<QQI", len(body), len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(start)) + start + body + header


def seeds() -> list[bytes]:
    return [archive(), archive(b"\0", b""), archive(packed_header=True)]


def opened(data: bytes, offset: int = 0):
    container = SEVEN.open(Memory(data), offset)
    return container, {entry.path: entry for entry in container.entries}


@pytest.mark.parametrize("data", seeds(), ids=["lzma2", "copy", "packed header"])
def test_files_of_a_solid_folder(data: bytes) -> None:
    container, entries = opened(b"rubbish!" + data + b"behind", 8)
    assert (container.size, container.problems, container.detail["members"]) == (len(data), [], 4)
    for name in ("d/hi", "big"):
        entry = entries[f"/{name}"]
        assert (entry.mode, entry.mtime, entry.open().read(0, entry.size)) == (0o640, 1_700_000_000, FILES[name])
    assert (entries["/link"].kind, entries["/link"].target) == (NodeKind.SYMLINK, "d/hi")
    assert (entries["/dir"].kind, entries["/dir"].mode) == (NodeKind.DIRECTORY, 0o750)


def test_a_wrong_crc_of_a_file_is_said() -> None:
    _, entries = opened(archive(spoil=True))
    with pytest.raises(FormatError, match="CRC32"):
        entries["/big"].open()


def test_a_broken_header_leaves_the_archive_with_a_reason() -> None:
    data = bytearray(archive())
    data[-5] ^= 1
    container, entries = opened(bytes(data))
    assert (container.size, entries) == (len(data), {})
    assert container.problems == ["the header cannot be read: the CRC32 of the header is wrong"]


def test_a_cut_archive_and_a_wrong_start() -> None:
    with pytest.raises(Truncated):
        SEVEN.open(Memory(archive()[:-1]), 0)
    data = bytearray(archive())
    data[12] ^= 1
    with pytest.raises(FormatError):
        SEVEN.open(Memory(data), 0)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "in/d").mkdir(parents=True)
    (tmp_path / "in/d/hi").write_bytes(b"hi\n")
    (tmp_path / "in/ls").write_bytes(Path("/bin/sh").read_bytes()[:50_001])
    (tmp_path / "in/empty").write_bytes(b"")
    (tmp_path / "in/link").symlink_to("d/hi")
    return tmp_path


def seven(tree: Path, *options: str) -> bytes:
    if shutil.which("7zz") is None:
        pytest.skip("7zz (7zip) is not installed")
    subprocess.run(["7zz", "a", "-bso0", "-snl", *options, "../x.7z", "."], cwd=tree / "in", check=True)
    return (tree / "x.7z").read_bytes()


@pytest.mark.parametrize(
    "options",
    [
        ("-m0=lzma2",), ("-m0=lzma",), ("-m0=bcj", "-m1=lzma"), ("-m0=arm", "-m1=lzma2"), ("-m0=delta:4", "-m1=lzma"),
        ("-m0=bzip2",), ("-m0=deflate",), ("-m0=copy", "-mhc=off"), ("-m0=lzma2", "-ms=off"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_7zip_writes(options: tuple[str, ...], tree: Path) -> None:
    data = seven(tree, *options)
    container, entries = opened(data + b"behind")
    assert (container.size, container.problems) == (len(data), [])
    assert entries["/link"].target == "d/hi"
    for name in ("d/hi", "ls", "empty"):
        entry = entries[f"/{name}"]
        assert entry.open().read(0, entry.size) == (tree / "in" / name).read_bytes()


def test_encrypted_folders_and_headers_are_told(tree: Path) -> None:
    data = seven(tree, "-psecret")
    _, entries = opened(data)
    assert entries["packed stream 0"].role == "encrypted"
    assert (entries["/ls"].open, entries["/ls"].detail) == (None, {"encrypted": 1})
    (tree / "x.7z").unlink()
    data = seven(tree, "-psecret", "-mhe=on")
    container, entries = opened(data)
    assert (container.detail["header"], container.size) == ("encrypted", len(data))
    assert [entry.role for entry in entries.values()] == ["encrypted"]


def test_methods_that_are_not_read_are_said(tree: Path) -> None:
    _, entries = opened(seven(tree, "-m0=ppmd"))
    with pytest.raises(FormatError, match="PPMd cannot be unpacked"):
        entries["/ls"].open()
