"""ISO 9660 volumes: those of xorriso and genisoimage, and small ones laid out here as ECMA-119 says."""

from __future__ import annotations

import os
import random
import shutil
import stat
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from support.fat_images import volume as fat_volume

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.format import Container, Entry
from fwcheck.extraction.formats.iso9660 import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory
from fwcheck.model import NodeKind

(ISO,) = FORMATS
SECTOR = 2048


def both(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, "little") + value.to_bytes(size, "big")


def record(name: bytes, block: int, size: int, flags: int = 0, area: bytes = b"") -> bytes:
    when = bytes([124, 2, 29, 13, 14, 15, 36])  # UTC+9
    body = both(block) + both(size) + when + bytes([flags, 0, 0]) + both(1, 2) + bytes([len(name)]) + name
    body += b"" if len(name) % 2 else b"\0"
    body += area + b"\0" * (len(area) % 2)
    return bytes([len(body) + 2, 0]) + body


def field(signature: bytes, data: bytes) -> bytes:
    return signature + bytes([len(data) + 4, 1]) + data


def rock(mode: int, name: bytes = b"", *more: bytes) -> bytes:
    posix = field(b"PX", both(mode) + both(1) + both(7) + both(8))
    return posix + (field(b"NM", b"\0" + name) if name else b"") + b"".join(more)


def zisofs(data: bytes) -> bytes:
    pieces = [data[at : at + 32768] for at in range(0, len(data), 32768)]
    packed = [zlib.compress(piece) if any(piece) else b"" for piece in pieces]
    at = 16 + 4 * (len(packed) + 1)
    pointers = [at + sum(map(len, packed[:n])) for n in range(len(packed) + 1)]
    head = b"\x37\xe4\x53\x96\xc9\xdb\xd6\x07" + struct.pack("<IBBxx", len(data), 4, 15)
    return head + struct.pack(f"<{len(pointers)}I", *pointers) + b"".join(packed)


PLAIN = b"contents of a file\n" * 200
PACKED = b"compressible " * 4000 + bytes(32768 * 2)


def image(*, rocky: bool = True, boot: bool = True, loop: bool = False) -> bytearray:
    """Blocks: 16 on descriptors, 20 root, 21 directory, 22 continuation, 23 catalogue, 24 boot image, 33 and on files."""
    fat = bytes(fat_volume({"grub.cfg": b"set x"}, clusters=9))
    packed = zisofs(PACKED)
    blocks = 33 + 2 + -(-len(packed) // SECTOR) + 2
    out = bytearray(blocks * SECTOR)

    def put(block: int, data: bytes) -> None:
        out[block * SECTOR : block * SECTOR + len(data)] = data

    continued = field(b"NM", b"\0name that goes on elsewhere.txt") + field(b"TF", b"\2" + bytes([120, 1, 1, 0, 0, 0, 0]))
    put(22, continued)
    at_continuation = field(b"CE", both(22) + both(0) + both(len(continued)))
    root = record(b"\0", 20, SECTOR, 2, (field(b"SP", b"\xbe\xef\0") + rock(0o040755)) if rocky else b"")
    root += record(b"\1", 20, SECTOR, 2)
    root += record(b"FILE.;1", 33, len(PLAIN), 0, rock(0o100640, b"a long ", at_continuation) if rocky else b"")
    root += record(b"SUB", 20 if loop else 21, SECTOR, 2, rock(0o040700, b"sub") if rocky else b"")
    inner = record(b"\0", 21, SECTOR, 2) + record(b"\1", 20, SECTOR, 2)
    if rocky:
        target = field(b"SL", b"\0" + b"\x08\0" + b"\0\3etc" + b"\4\0" + b"\1\4pass" + b"\0\2wd")
        inner += record(b"LINK", 0, 0, 0, rock(0o120777, b"link", target))
        inner += record(b"TTY", 0, 0, 0, rock(0o020600, b"tty", field(b"PN", both(0) + both(0x501))))
        inner += record(b"Z", 35, len(packed), 0, rock(0o100644, b"z", field(b"ZF", b"pz\4\x0f" + both(len(PACKED)))))
    else:
        inner += record(b"BIG.BIN;1", 33, SECTOR, 0x80) + record(b"BIG.BIN;1", 34, len(PLAIN) - SECTOR)
    put(20, root)
    put(21, inner)
    put(33, PLAIN)
    put(35, packed)
    primary = bytearray(SECTOR)
    primary[:8] = b"\1CD001\1\0"
    primary[40:72] = b"VOLUME".ljust(32)
    primary[80:88] = both(blocks)
    primary[128:132] = both(SECTOR, 2)
    primary[156:190] = record(b"\0", 20, SECTOR, 2)
    put(16, bytes(primary))
    if boot:
        put(17, b"\0CD001\1EL TORITO SPECIFICATION".ljust(71, b"\0") + struct.pack("<I", 23))
        catalogue = bytearray(b"\1\xef" + bytes(28) + b"\x55\xaa")
        catalogue[28:30] = struct.pack("<H", -sum(struct.unpack("<16H", catalogue)) & 0xFFFF)
        put(23, bytes(catalogue) + struct.pack("<BBHBBHI", 0x88, 0, 0, 0, 0, 1, 24))
        put(24, fat)
        assert len(fat) <= 9 * SECTOR
    put(18 if boot else 17, b"\xffCD001\1")
    return out


def seeds() -> list[bytes]:
    return [bytes(image()), bytes(image(rocky=False, boot=False))]


def listing(data: bytes | bytearray, offset: int = 0) -> tuple[Container, dict[str, Entry]]:
    container = ISO.open(Memory(data), offset)
    entries = list(container.entries)
    assert len({entry.path for entry in entries}) == len(entries)
    return container, {entry.path: entry for entry in entries}


def content(entry: Entry) -> bytes:
    assert entry.open is not None
    source = entry.open()
    assert source.size == entry.size
    return source.read(0, source.size)


def test_rock_ridge_reads_back_as_written() -> None:
    data = image()
    container, entries = listing(b"front" + data + b"tail", 5)
    assert (container.size, container.problems, container.detail["volume"]) == (len(data), [], "VOLUME")
    assert set(entries) == {"/a long name that goes on elsewhere.txt", "/sub", "/sub/link", "/sub/tty", "/sub/z", "boot-1"}
    one = entries["/a long name that goes on elsewhere.txt"]
    assert (one.mode, one.uid, one.gid, one.mtime) == (0o640, 7, 8, 1577836800)
    assert content(one) == PLAIN
    assert one.offset == 5 + 33 * SECTOR
    assert (entries["/sub/link"].kind, entries["/sub/link"].target) == (NodeKind.SYMLINK, "/etc/../passwd")
    assert entries["/sub/tty"].device == "c 5:1"
    assert content(entries["/sub/z"]) == PACKED


def test_a_boot_image_is_a_part_whose_volume_is_found() -> None:
    found = Explorer(Limits()).explore(Memory(bytes(image())), ("disc",), 0)
    (node,) = [item.node for item in found.items if item.node.path == "/grub.cfg"]
    assert node.chain == ("disc", "iso9660@0x0", "boot-1", "fat@0x0")


def test_plain_names_and_files_of_several_extents() -> None:
    _, entries = listing(image(rocky=False))
    assert set(entries) == {"/FILE", "/SUB", "/SUB/BIG.BIN", "boot-1"}
    assert content(entries["/SUB/BIG.BIN"]) == PLAIN
    assert entries["/SUB/BIG.BIN"].offset == 33 * SECTOR
    assert entries["/FILE"].mtime == 1709180055


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("disc")
    chance = random.Random(4)
    (root / "a/b/c/d/e/f/g/h/i/j").mkdir(parents=True)
    (root / "a/b/c/d/e/f/g/h/i/j/deep file").write_bytes(b"deep")
    (root / "a file with a long name and \u00e4\u65e5.conf").write_bytes(chance.randbytes(5000))
    (root / "empty").write_bytes(b"")
    (root / "script").write_bytes(b"#!/bin/sh\n")
    (root / "script").chmod(0o755)
    (root / "link").symlink_to("a/../script")
    (root / ("n" * 200)).symlink_to("/" + "target/" * 25 + "end")
    for n in range(120):
        (root / f"file number {n}.txt").write_bytes(b"%d" % n)
    os.utime(root / "script", (1_500_000_000, 1_500_000_000))
    (root / "boot").mkdir()
    (root / "boot/efi.img").write_bytes(bytes(fat_volume({"BOOTX64.EFI": b"MZ"}, clusters=70)))
    return root


@pytest.mark.parametrize("tool", ["xorriso", "genisoimage"])
@pytest.mark.parametrize("names", ["-R", "-J", "-RJ"])
def test_a_volume_of_a_real_tool_reads_back(tool: str, names: str, tree: Path, tmp_path: Path) -> None:
    program = shutil.which(tool)
    if program is None:
        pytest.skip(f"{tool} is not installed")
    target = tmp_path / "disc.iso"
    command = [
        program,
        *(["-as", "mkisofs"] if tool == "xorriso" else []),
        "-quiet",
        names.replace("RJ", "R"),
        "-V",
        "TEST",
        "-o",
        str(target),
    ]
    command += ["-J", "-joliet-long"] if "J" in names else []
    command += ["-input-charset", "utf-8"] if tool == "genisoimage" else []
    command += ["-e" if tool == "xorriso" else "-b", "boot/efi.img", "-no-emul-boot"]
    subprocess.run([*command, str(tree)], check=True, capture_output=True)
    container, entries = listing(target.read_bytes())
    assert container.problems == []
    assert container.size <= target.stat().st_size
    boot = entries.pop("boot-1")
    assert content(boot) == (tree / "boot/efi.img").read_bytes()
    expected = {"/" + path.relative_to(tree).as_posix(): path for path in tree.rglob("*")}
    for path, original in expected.items():
        info = original.lstat()
        if "R" not in names:
            if original.is_symlink() or original.is_dir() or len(path) > 60 or path.startswith("/a/b"):
                continue
            assert content(entries[path]) == original.read_bytes(), path
            continue
        entry = entries[path]
        if original.is_symlink():
            assert (entry.kind, entry.target) == (NodeKind.SYMLINK, str(original.readlink()))
        elif original.is_dir():
            assert entry.kind is NodeKind.DIRECTORY
        else:
            assert content(entry) == original.read_bytes(), path
            assert entry.mtime == int(info.st_mtime), path
            assert entry.mode & 0o555 == stat.S_IMODE(info.st_mode) & 0o555
    if "R" in names:
        assert set(entries) - set(expected) <= {"/boot.cat", "/boot/boot.cat", "/rr_moved", "/boot.catalog"}


def test_a_hybrid_disc_is_an_iso_volume(tree: Path, tmp_path: Path) -> None:
    program = shutil.which("xorriso")
    if program is None:
        pytest.skip("xorriso is not installed")
    target = tmp_path / "disc.iso"
    subprocess.run(
        [program, "-as", "mkisofs", "-quiet", "-R", "-o", str(target), "-e", "boot/efi.img", "-no-emul-boot",
         "-isohybrid-gpt-basdat", "--protective-msdos-label", str(tree)], check=True, capture_output=True,
    )  # fmt: skip
    data = target.read_bytes()
    assert data[510:512] == b"\x55\xaa"
    found = Explorer(Limits()).explore(Memory(data), ("disc",), 0)
    assert found.items[0].node.format == "iso9660"
    assert any(item.node.path == "/script" for item in found.items)


def test_a_boot_image_of_an_appended_partition_belongs_to_the_disc() -> None:
    """As memtest86+ and Debian's discs are made: the UEFI image stands behind the volume and the catalogue names it."""
    data, fat = image(), bytes(fat_volume({"grub.cfg": b"appended"}, clusters=9))
    struct.pack_into("<I", data, 23 * SECTOR + 32 + 8, len(data) // SECTOR)
    container, entries = listing(data + fat + b"tail")
    assert (container.size, container.problems) == (len(data) + len(fat), [])
    assert content(entries["boot-1"]) == fat
    assert entries["boot-1"].offset == len(data)


def test_a_boot_image_that_is_not_there_is_told() -> None:
    data = image()
    struct.pack_into("<I", data, 23 * SECTOR + 32 + 8, 0x100000)
    container, entries = listing(data)
    assert "boot-1" not in entries
    assert any("boot image 1 is not there" in problem for problem in container.problems)


def test_a_directory_that_contains_itself_ends() -> None:
    container, entries = listing(image(loop=True))
    assert "/sub" in entries
    assert any("shares" in problem for problem in container.problems)


def test_damage_is_told() -> None:
    data = image()
    container, _ = listing(data[:-SECTOR])
    assert any("are there" in problem for problem in container.problems)
    data = image()
    data[23 * SECTOR + 1] ^= 1
    assert any("checksum" in problem for problem in listing(data)[0].problems)
    for at, value in ((16 * SECTOR + 128, b"\0\0"), (16 * SECTOR + 80, b"\1\0\0\0"), (16 * SECTOR + 1, b"X")):
        data = image()
        data[at : at + len(value)] = value
        with pytest.raises(FormatError):
            ISO.open(Memory(data), 0)


def test_names_that_lead_out_are_told_and_left_out() -> None:
    data = image()
    at = data.index(field(b"NM", b"\0sub"))
    data[at : at + 8] = field(b"NM", b"\0../")
    container, entries = listing(data)
    assert not any("sub" in path for path in entries)
    assert any("impossible name" in problem for problem in container.problems)
