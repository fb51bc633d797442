"""exFAT volumes, laid out here as Microsoft's specification says; fsck.exfat agrees with the layout where it is installed."""

from __future__ import annotations

import calendar
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError, Truncated
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats.exfat import FORMATS
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(EXFAT,) = FORMATS
PATHS = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
END = 0xFFFFFFFF
FILES = {
    "settings.json": b'{"wifi": 1}',
    "\u65e5\u672c a name of more than fifteen characters.bin": bytes(range(256)) * 10,
    "empty": b"",
    "record/chained.bin": b"chained " * 400,
}


def rotated_sum(data: bytes, bits: int, skip: tuple[int, ...] = ()) -> int:
    value = 0
    for at, byte in enumerate(data):
        if at in skip:
            continue
        value = ((value << bits - 1) | (value >> 1)) + byte
        value &= (1 << bits) - 1
    return value


def entry_set(name: str, attributes: int, first: int, length: int, valid: int, chained: bool) -> bytes:
    units = name.encode("utf-16-le")
    names = [b"\xc1\0" + units[at : at + 30].ljust(30, b"\0") for at in range(0, len(units), 30)]
    when = (2024 - 1980) << 25 | 2 << 21 | 29 << 16 | 13 << 11 | 14 << 5 | 8
    head = struct.pack("<BBHHHIIIBBBBB7x", 0x85, 1 + len(names), 0, attributes, 0, when, when, when, 0, 0, 0xA4, 0xA4, 0xA4)
    hashed = rotated_sum(name.upper().encode("utf-16-le"), 16)
    stream = struct.pack(
        "<BBBBHHQIIQ", 0xC0, 1 if chained or not length else 3, 0, len(units) // 2, hashed, 0, valid, 0, first, length
    )
    whole = head + stream + b"".join(names)
    return whole[:2] + struct.pack("<H", rotated_sum(whole, 16, (2, 3))) + whole[4:]


def image(files: dict[str, bytes] = FILES, clusters: int = 64, valid: dict[str, int] | None = None) -> bytearray:
    """Clusters of 512 bytes; files called ``chained`` lie in every other cluster and have a chain, the others are contiguous."""
    size, fat_at, fat_length = 512, 24, 1 + clusters * 4 // 512
    heap_at = fat_at + fat_length + 3
    cells = [0xFFFFFFF8, END] + [0] * clusters
    data = bytearray(clusters * size)
    used = bytearray(-(-clusters // 8))
    nxt = 2

    def put(content: bytes, chained: bool, step: int = 1) -> int:
        nonlocal nxt
        first = nxt if content else 0
        numbers = [nxt + n * step for n in range(-(-len(content) // size))]
        for n, number in enumerate(numbers):
            piece = content[n * size : (n + 1) * size]
            data[(number - 2) * size : (number - 2) * size + len(piece)] = piece
            used[(number - 2) // 8] |= 1 << (number - 2) % 8
            if chained:
                cells[number] = numbers[n + 1] if n + 1 < len(numbers) else END
        nxt = numbers[-1] + 1 if numbers else nxt
        return first

    up_case = b"".join(struct.pack("<H", ord(chr(n).upper())) for n in range(128)) + b"\xff\xff" + struct.pack("<H", 0xFFFF - 127)
    up_case = up_case[: 128 * 2] + struct.pack("<HH", 0xFFFF, 65536 - 128)
    bitmap_first = put(bytes(used), True)
    up_first = put(up_case, True)
    folders: dict[str, bytes] = {"": b""}
    for path, content in files.items():
        folder, _, name = path.rpartition("/")
        chained = "chained" in name
        first = put(content, chained, 2 if chained else 1)
        length = (valid or {}).get(path, len(content))
        folders[folder] = folders.get(folder, b"") + entry_set(name, 0x20, first, len(content), length, chained)
    for folder in [each for each in folders if each]:
        listing = folders[folder].ljust(-(-len(folders[folder]) // size) * size, b"\0")
        folders[""] += entry_set(folder, 0x10, put(listing, True), len(listing), len(listing), True)
    root = b"\x83\x04" + "DATA".encode("utf-16-le").ljust(30, b"\0")
    root += b"\x81\0" + bytes(18) + struct.pack("<IQ", bitmap_first, len(used))
    root += b"\x82\0\0\0" + struct.pack("<I", rotated_sum(up_case, 32)) + bytes(12) + struct.pack("<IQ", up_first, len(up_case))
    root += folders[""]
    root_first = put(root.ljust(-(-len(root) // size) * size, b"\0"), True)
    at = (bitmap_first - 2) * size
    data[at : at + len(used)] = used
    boot = bytearray(512)
    boot[:11] = b"\xeb\x76\x90EXFAT   "
    struct.pack_into("<QQIIIIIIHHBBBBB", boot, 64, 0, heap_at + clusters, fat_at, fat_length, heap_at, clusters, root_first,
                     0xCAFE1234, 0x100, 0, 9, 0, 1, 0x80, 0xFF)  # fmt: skip
    boot[510:] = b"\x55\xaa"
    extended = (bytes(508) + b"\0\0\x55\xaa") * 8
    region = bytes(boot) + extended + bytes(1024)
    region += struct.pack("<I", rotated_sum(region, 32, (106, 107, 112))) * 128
    table = b"".join(struct.pack("<I", cell) for cell in cells)
    return bytearray((region * 2).ljust(fat_at * 512, b"\0") + table.ljust((heap_at - fat_at) * 512, b"\0") + data)


def seeds() -> list[bytes]:
    return [bytes(image()), bytes(image({f"chained{n}": bytes([n]) * 600 for n in range(6)}))]


def listing(data: bytes | bytearray, offset: int = 0) -> tuple[Container, dict[str, Entry]]:
    container = EXFAT.open(Memory(data), offset)
    return container, {entry.path: entry for entry in container.entries}


def content(entry: Entry) -> bytes:
    assert entry.open is not None
    source = entry.open()
    assert source.size == entry.size
    return source.read(0, source.size)


def test_files_read_back_as_written() -> None:
    data = image()
    container, entries = listing(b"front" + data + b"tail", 5)
    assert container.problems == []
    assert container.size == len(data)
    assert (container.detail["volume"], container.detail["serial"]) == ("DATA", "cafe1234")
    assert str(container.detail["integrity_detail"]).count("right") == 2
    assert set(entries) == {*(f"/{path}" for path in FILES), "/record"}
    for path, expected in FILES.items():
        assert content(entries[f"/{path}"]) == expected
    assert entries["/record"].kind is NodeKind.DIRECTORY
    assert entries["/settings.json"].mtime == calendar.timegm((2024, 2, 29, 4, 14, 16))  # 13:14:16 at UTC+9
    assert entries["/settings.json"].offset == (b"front" + data).index(b'{"wifi": 1}')
    assert entries["/record/chained.bin"].offset is None


def test_fsck_exfat_agrees_with_the_layout(tmp_path: Path) -> None:
    tool = shutil.which("fsck.exfat", path=PATHS)
    if tool is None:
        pytest.skip("exfatprogs is not installed")
    (tmp_path / "image").write_bytes(image(clusters=2048))
    result = subprocess.run([tool, "-n", str(tmp_path / "image")], check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_volume_of_mkfs_exfat_opens(tmp_path: Path) -> None:
    tool = shutil.which("mkfs.exfat", path=PATHS)
    if tool is None:
        pytest.skip("exfatprogs is not installed")
    path = tmp_path / "image"
    path.write_bytes(bytes(4 << 20))
    subprocess.run([tool, "-L", "CARD", str(path)], check=True, capture_output=True)
    container, entries = listing(path.read_bytes())
    assert (container.size, container.problems, entries) == (4 << 20, [], {})
    assert container.detail["volume"] == "CARD"


def test_bytes_never_written_read_as_zeros() -> None:
    _, entries = listing(image(valid={"settings.json": 4}))
    assert content(entries["/settings.json"]) == b'{"wi' + bytes(7)


@pytest.mark.parametrize(
    ("what", "said"), [(b"\xeb\x76\x90EXFAT", "boot"), (b"A\0B\0C\0", "up-case"), (b"s\0e\0t\0t\0", "entries")]
)
def test_wrong_checksums_are_told(what: bytes, said: str) -> None:
    data = image()
    at = data.index(what)
    data[at] ^= 0x20
    if said == "boot":
        data[at] ^= 1
    container, entries = listing(data)
    assert any(said in problem for problem in container.problems)
    assert len(entries) == 5


def test_a_chain_that_meets_itself_ends() -> None:
    data = image()
    first = struct.unpack_from("<I", data, 96)[0]
    struct.pack_into("<I", data, 24 * 512 + 4 * first, first)
    container, _ = listing(data)
    assert any("shares" in problem for problem in container.problems)


def test_truncated_volumes_and_impossible_fields() -> None:
    data = image()
    container, _ = listing(data[:-512])
    assert any("are there" in problem for problem in container.problems)
    with pytest.raises(Truncated):
        EXFAT.open(Memory(data[:4096]), 0)
    for at, value in ((108, b"\x20"), (80, b"\1"), (92, b"\xff\xff\xff"), (64 - 8, b"\1")):
        broken = bytearray(data)
        broken[at : at + len(value)] = value
        with pytest.raises(FormatError):
            EXFAT.open(Memory(broken), 0)


def test_names_that_lead_out_are_told_and_left_out() -> None:
    container, entries = listing(image({"..": b"x", "ok": b"y"}))
    assert set(entries) == {"/ok"}
    assert any("impossible name" in problem for problem in container.problems)
