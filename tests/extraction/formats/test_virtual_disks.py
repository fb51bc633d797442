"""Disk images of virtual machines, made by qemu-img, and small ones laid out here as their specifications say."""

from __future__ import annotations

import importlib
import random
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from support.fat_images import volume

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.format import Container, Format
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

QEMU = shutil.which("qemu-img")
CONTENT = bytes(volume({"appliance.conf": b"password=x\n"}, clusters=40))  # a disk without partitions
DISK = CONTENT.ljust(1 << 17, b"\0")


def parser(name: str) -> Format:
    (found,) = importlib.import_module(f"fwcheck.extraction.formats.{name}").FORMATS
    assert isinstance(found, Format)
    return found


def qcow2(*, packed: bool = False) -> bytes:
    """Clusters of 4 KiB: header, first table, second table, reference counts (two), data."""
    cluster, table, data = 4096, b"", b""
    for at in range(0, len(DISK), cluster):
        piece = DISK[at : at + cluster]
        if not any(piece):
            table += bytes(8)
        elif packed:
            squeezer = zlib.compressobj(9, zlib.DEFLATED, -12)
            squeezed = squeezer.compress(piece) + squeezer.flush()
            begin = 5 * cluster + len(data)
            sectors = (begin % 512 + len(squeezed) + 511) // 512 - 1
            table += struct.pack(">Q", 1 << 62 | sectors << (62 - 4) | begin)
            data += squeezed
        else:
            table += struct.pack(">Q", 1 << 63 | 5 * cluster + len(data))
            data += piece
    head = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 12, len(DISK), 0, 1, cluster, 3 * cluster, 1, 0, 0)
    first = struct.pack(">Q", 1 << 63 | 2 * cluster)
    counts = struct.pack(">Q", 4 * cluster)
    blocks = [head, first, table, counts, b"\0\1" * 16]
    return b"".join(block.ljust(cluster, b"\0") for block in blocks) + data + bytes(-len(data) % cluster)


def vmdk() -> bytes:
    grain, tables, data = 4096, b"", b""
    for at in range(0, len(DISK), grain):
        piece = DISK[at : at + grain]
        tables += struct.pack("<I", (8 * 512 + len(data)) // 512 if any(piece) else 0)
        data += piece if any(piece) else b""
    head = struct.pack("<4sIIQQQQIQQQB4s", b"KDMV", 1, 3, len(DISK) // 512, 8, 1, 1, 512, 0, 3, 8, 0, b"\n \r\n")
    text = b'# Disk DescriptorFile\nversion=1\ncreateType="monolithicSparse"\n'
    directory = struct.pack("<I", 4)
    return (head.ljust(512, b"\0") + text.ljust(1024, b"\0") + directory.ljust(512, b"\0") + tables.ljust(2048, b"\0")) + data


def vhd() -> bytes:
    block, table, data = 16384, b"", b""
    for at in range(0, len(DISK), block):
        piece = DISK[at : at + block]
        table += struct.pack(">I", (2048 + len(data)) // 512 if any(piece) else 0xFFFFFFFF)
        data += b"\xff" * 512 + piece if any(piece) else b""
    foot = bytearray(
        struct.pack(
            ">8sIIQI4sI4sQQHBBII", b"conectix", 2, 0x10000, 512, 0, b"test", 1, b"Wi2k", len(DISK), len(DISK), 1, 1, 1, 3, 0
        )
    )
    foot = foot.ljust(512, b"\0")
    foot[64:68] = struct.pack(">I", ~sum(foot) & 0xFFFFFFFF)
    head = struct.pack(">8sQQIII", b"cxsparse", 0xFFFFFFFFFFFFFFFF, 1536, 0x10000, len(table) // 4, block)
    return bytes(foot) + head.ljust(1024, b"\0") + table.ljust(512, b"\xff") + data + bytes(foot)


def vdi() -> bytes:
    block, table, data = 4096, b"", b""
    for at in range(0, len(DISK), block):
        piece = DISK[at : at + block]
        table += struct.pack("<I", len(data) // block if any(piece) else 0xFFFFFFFF)
        data += piece if any(piece) else b""
    head = b"<<< test disk image >>>\n".ljust(64, b"\0") + struct.pack("<IIII", 0xBEDA107F, 0x10001, 400, 1)
    head = (
        head.ljust(340, b"\0")
        + struct.pack("<II", 512, 1024)
        + bytes(20)
        + struct.pack("<QIII", len(DISK), block, 0, len(DISK) // block)
    )
    return (head.ljust(512, b"\0") + table).ljust(1024, b"\0") + data


BUILT = {"qcow2": qcow2, "vmdk": vmdk, "vhd": vhd, "vdi": vdi}


def seeds() -> list[bytes]:
    return [*(build() for build in BUILT.values()), qcow2(packed=True)]


def opened(name: str, data: bytes, offset: int = 0) -> tuple[Container, bytes]:
    container = parser(name).open(Memory(data), offset)
    (disk,) = [entry for entry in container.entries if entry.path == "disk"]
    assert disk.open is not None
    source = disk.open()
    return container, source.read(0, source.size)


@pytest.mark.parametrize("name", BUILT)
def test_a_disk_reads_back_as_written(name: str) -> None:
    data = BUILT[name]()
    container, disk = opened(name, b"front" + data + b"tail" * 200, 5)
    assert disk == DISK
    assert (container.format, container.size, container.problems) == (name, len(data), [])


def test_packed_clusters_are_unpacked() -> None:
    container, disk = opened("qcow2", qcow2(packed=True))
    assert disk == DISK
    assert container.problems == []


@pytest.mark.parametrize("name", BUILT)
def test_the_volume_on_the_disk_is_found(name: str) -> None:
    found = Explorer(Limits()).explore(Memory(BUILT[name]()), ("image",), 0)
    (item,) = [item for item in found.items if item.node.path == "/appliance.conf"]
    assert item.node.chain[1:] == (f"{name}@0x0", "disk", "fat@0x0")


REAL = {
    "qcow2": ("qcow2", ()), "qcow2 old": ("qcow2", ("-o", "compat=0.10")), "qcow2 packed": ("qcow2", ("-c",)),
    "qcow2 zstd": ("qcow2", ("-c", "-o", "compression_type=zstd")), "vmdk": ("vmdk", ()),
    "vmdk stream": ("vmdk", ("-o", "subformat=streamOptimized")), "vhd": ("vpc", ("-o", "force_size=on")), "vdi": ("vdi", ()),
}  # fmt: skip


@pytest.mark.parametrize("variant", REAL)
def test_an_image_of_qemu_img_reads_back(variant: str, tmp_path: Path) -> None:
    if QEMU is None:
        pytest.skip("qemu-utils is not installed")
    kind, options = REAL[variant]
    chance = random.Random(1)
    raw = bytearray(12 << 20)
    for at in (0, 700_000, 5 << 20, (12 << 20) - 70_000):
        raw[at : at + 70_000] = chance.randbytes(35_000) + b"text" * 8750
    (tmp_path / "raw").write_bytes(raw)
    subprocess.run(
        [QEMU, "convert", "-O", kind, *options, str(tmp_path / "raw"), str(tmp_path / "image")], check=True, capture_output=True
    )
    data = (tmp_path / "image").read_bytes()
    container, disk = opened(variant.split(maxsplit=1)[0], data)
    assert disk == raw
    assert container.problems == []
    assert len(data) - container.size < 1 << 20  # space that was set aside behind the last cluster


def test_the_footer_of_a_fixed_disk_is_told(tmp_path: Path) -> None:
    if QEMU is None:
        pytest.skip("qemu-utils is not installed")
    (tmp_path / "raw").write_bytes(DISK)
    options = ("-o", "subformat=fixed,force_size=on")
    subprocess.run(
        [QEMU, "convert", "-O", "vpc", *options, str(tmp_path / "raw"), str(tmp_path / "image")], check=True, capture_output=True
    )
    found = Explorer(Limits()).explore(Memory((tmp_path / "image").read_bytes()), ("image",), 0)
    assert {"vhd", "fat12"} <= {item.node.format for item in found.items}


@pytest.mark.parametrize("name", BUILT)
def test_a_truncated_image_is_told_and_nonsense_is_none(name: str) -> None:
    data = BUILT[name]()
    container = parser(name).open(Memory(data[:-1024]), 0)
    assert any("are there" in problem for problem in container.problems)
    for broken in (b"", data[:40], data[:8].ljust(4096, b"\xff")):
        with pytest.raises(FormatError):
            parser(name).open(Memory(broken), 0)


def test_a_table_that_is_used_twice_is_not_followed() -> None:
    data = bytearray(qcow2())
    struct.pack_into(">I", data, 36, 2)
    struct.pack_into(">Q", data, 4096 + 8, 1 << 63 | 2 * 4096)
    struct.pack_into(">Q", data, 24, 1 << 21)
    with pytest.raises(FormatError):
        parser("qcow2").open(Memory(data), 0)
