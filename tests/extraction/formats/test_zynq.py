"""Zynq boot images: first stage alone, partition tables of both families, encryption and authentication as they are told."""

from __future__ import annotations

import shutil
import struct
import subprocess

import pytest
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.zynq import FORMATS
from fwcheck.extraction.source import Memory

ZYNQ = FORMATS[0]
FSBL, UBOOT = b"\x1f\x20\x03\xd5" * 200, b"U-Boot 2023.01".ljust(640, b"\0")


def zynq(multi: bool = False, partitions: bool = True, secret: bool = False, signed: bool = False) -> bytes:
    vectors = (b"\x00\x00\x00\x14" if multi else b"\xfe\xff\xff\xea") * 8
    middle = (0, 0, len(FSBL), len(FSBL)) if multi else (len(FSBL), 0, 0, len(FSBL))
    words = (0xAA995566, 0x584C4E58, 0xA5C3C5A3 if secret else 0, 0, 0x400, *middle, 1)
    head = vectors + struct.pack("<11I", *words, ~sum(words) & 0xFFFFFFFF)
    head = head.ljust(0x98, b"\0") + struct.pack("<II", 0, 0x100 if partitions else 0)
    table = b""
    for number, data in enumerate((FSBL, UBOOT) if partitions else ()):
        size, place = len(data) // 4, (0x400 + number * len(FSBL)) // 4
        plain, attributes = size - 4 if secret else size, 1 << 15 if signed else 0
        if multi:
            fields = (size, plain, size, 0, 0, 0, 0x100000, 0, place, attributes, 1, 0, 0, 0, 0)
        else:
            fields = (size, plain, size, 0x100000, 0x100000, place, attributes, 1, 0, 0, 0, 0, 0, 0, 0)
        table += struct.pack("<16I", *fields, ~sum(fields) & 0xFFFFFFFF)
    return (head.ljust(0x100, b"\0") + table).ljust(0x400, b"\0") + FSBL + (UBOOT if partitions else b"")


def seeds() -> list[bytes]:
    return [zynq(), zynq(multi=True), zynq(partitions=False), zynq(secret=True, signed=True)]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


@pytest.mark.parametrize(("multi", "family"), [(False, "Zynq-7000"), (True, "Zynq UltraScale+")])
def test_partitions_are_given(multi, family):
    image = zynq(multi)
    container = ZYNQ.open(Memory(b"?" * 4 + image + b"tail"), 4)
    assert contents(container) == {"partition-0": FSBL, "partition-1": UBOOT}
    assert (container.size, container.problems, container.detail["family"]) == (len(image), [], family)


def test_without_a_table_the_first_stage_is_given():
    container = ZYNQ.open(Memory(zynq(partitions=False) + b"tail"), 0)
    assert contents(container) == {"partition-0": FSBL}
    assert container.detail["integrity"] == "checksum"


def test_encryption_and_authentication_are_told():
    container = ZYNQ.open(Memory(zynq(secret=True, signed=True)), 0)
    assert {entry.role for entry in container.entries} == {"encrypted"}
    assert (container.detail["integrity"], container.detail["key_source"]) == ("signature", "eFUSE")


def test_a_wrong_header_is_refused_and_a_wrong_partition_header_told():
    image = bytearray(zynq())
    image[0x140 + 0x0C] ^= 1
    container = ZYNQ.open(Memory(image), 0)
    assert (container.problems, list(contents(container))) == (["partition-1: wrong checksum of its header"], ["partition-0"])
    image[0x30] ^= 1
    with pytest.raises(FormatError):
        ZYNQ.open(Memory(image), 0)


def test_a_cut_image_is_told():
    container = ZYNQ.open(Memory(zynq()[:-100]), 0)
    assert (container.size, len(container.problems)) == (len(zynq()) - 100, 1)


@pytest.mark.skipif(shutil.which("mkimage") is None, reason="mkimage is not installed")
def test_an_image_of_the_real_tool_is_read(tmp_path):
    (tmp_path / "code").write_bytes(FSBL)
    subprocess.run(["mkimage", "-T", "zynqimage", "-d", "code", "out"], cwd=tmp_path, check=True, capture_output=True)
    image = (tmp_path / "out").read_bytes()
    container = ZYNQ.open(Memory(image), 0)
    assert contents(container) == {"partition-0": FSBL}
    assert (container.size, container.problems) == (len(image), [])


def test_truncation_anywhere_raises_nothing_else():
    for data in truncations(zynq(), 60):
        exercise(ZYNQ, data)
