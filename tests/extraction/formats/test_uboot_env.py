"""U-Boot environment: found by its CRC alone, plain and redundant, and never in the default text of a boot loader."""

from __future__ import annotations

import random
import re
import shutil
import struct
import subprocess
import zlib

import pytest

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.uboot_env import FORMATS, defaults
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

ENV = FORMATS[0]
TEXT = b"bootargs=console=ttyS0,115200 root=/dev/mtdblock2\0bootcmd=bootm 0x9f020000\0bootdelay=1\0ipaddr=192.168.1.1\0\0"


def environment(
    size: int = 0x10000, redundant: bool = False, pad: bytes = b"\0", text: bytes = TEXT, order: str = "<", rest: bytes = b""
) -> bytes:
    header = 5 if redundant else 4
    body = (text + rest).ljust(size - header, pad)
    return struct.pack(order + "I", zlib.crc32(body)) + (b"\1" if redundant else b"") + body


def seeds() -> list[bytes]:
    unusual = b"zzz=1\0" + TEXT
    return [
        environment(0x1000),
        environment(0x4000, True, b"\xff"),
        environment(0x1F00, order=">"),
        bytes(256) + environment(0x800, text=unusual),
        environment(0x2000, rest=b"old=strings\0" * 3),
    ]


@pytest.mark.parametrize("size", [0x1000, 0x4000, 0x10000, 0x20000])
@pytest.mark.parametrize("redundant", [False, True])
@pytest.mark.parametrize("pad", [b"\0", b"\xff"])
def test_an_environment_is_found_at_its_size(size, redundant, pad):
    data = environment(size, redundant, pad)
    container = ENV.open(Memory(b"\xff" * 64 + data + b"\xff" * 300_000), 64)
    assert (container.size, container.detail["redundant"]) == (size, "yes" if redundant else "no")
    assert (container.detail["bootcmd"], container.detail["bootdelay"]) == ("bootm 0x9f020000", "1")
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == TEXT.rstrip(b"\0").replace(b"\0", b"\n") + b"\n"
    assert any(re.compile(sign.pattern).match(data, sign.offset) for sign in ENV.signatures)


def test_an_environment_of_mkenvimage_is_read(tmp_path):
    if shutil.which("mkenvimage") is None:
        pytest.skip("mkenvimage (u-boot-tools) is not installed")
    (tmp_path / "env.txt").write_text("bootcmd=run boot\nbootdelay=0\nserverip=10.0.0.1\n")
    subprocess.run(["mkenvimage", "-s", "0x8000", "-o", "env.bin", "env.txt"], cwd=tmp_path, check=True)
    container = ENV.open(Memory((tmp_path / "env.bin").read_bytes()), 0)
    assert (container.size, container.detail["bootdelay"], container.detail["variables"]) == (0x8000, "0", 3)


def test_default_text_without_crc_is_refused():
    for follower in (b"\0" * 70_000, b"code" * 20_000):
        with pytest.raises(FormatError):
            ENV.open(Memory(b"U-Bo" + TEXT + follower), 0)


def test_a_changed_byte_is_no_environment():
    data = bytearray(environment())
    data[40] ^= 1
    with pytest.raises(FormatError):
        ENV.open(Memory(data), 0)


def test_truncation_and_mutations_raise_nothing_else():
    randomness = random.Random(3)
    whole = environment(0x1000)
    for _ in range(500):
        data = bytearray(whole)
        for _ in range(randomness.randint(0, 3)):
            data[randomness.randrange(200)] = randomness.randrange(256)
        try:
            container = ENV.open(Memory(data[: randomness.randrange(len(data) + 1)]), 0)
            assert container.size == 0x1000
        except ExtractionError:
            continue


@pytest.mark.parametrize("size", [0x1F00, 0x3300, 0x13000, 0x700])
def test_sizes_that_are_no_powers_of_two_come_out(size):
    assert ENV.open(Memory(environment(size) + b"\xff" * 5000), 0).size == size


def test_the_crc_may_be_big_endian_and_says_so():
    container = ENV.open(Memory(environment(order=">")), 0)
    assert (container.size, container.detail["byte_order"]) == (0x10000, "big")


def test_what_an_older_u_boot_left_behind_the_text_belongs_to_it():
    data = environment(0x2000, rest=b"stale=value\0other=1\0\0")
    container = ENV.open(Memory(data), 0)
    assert (container.size, container.detail["variables"]) == (0x2000, 4)


def test_the_flag_of_a_redundant_environment_is_told():
    assert ENV.open(Memory(environment(redundant=True)), 0).detail["flag"] == 1


@pytest.mark.parametrize("redundant", [False, True])
def test_an_environment_of_unusual_variables_is_met_at_its_bootcmd(redundant):
    data = environment(0x1000, redundant, text=b"zzz=1\0" + TEXT)
    image = b"\xff" * 512 + data + b"\xff" * 700
    found = Explorer(Limits()).explore(anchored(image), ("image",), 0)
    (item,) = [item for item in found.items if item.node.format == "uboot-env"]
    assert (item.node.offset, item.node.size, item.node.detail["variables"]) == (512, 0x1000, 5)


def test_default_variables_of_a_boot_loader_are_read_without_a_crc():
    code = b"\x27\xbd\xff\xe0" * 500 + b"%s: error\0" + TEXT + b"\x01\x02" * 900
    said, text = defaults(memoryview(code))
    assert said == {
        "default_bootcmd": "bootm 0x9f020000",
        "default_bootargs": "console=ttyS0,115200 root=/dev/mtdblock2",
        "default_bootdelay": "1",
        "default_ipaddr": "192.168.1.1",
    }
    assert text.splitlines() == TEXT.rstrip(b"\0").split(b"\0")
    assert defaults(memoryview(b"\0bootcmd=\1\2\3" * 20)) == ({}, b"")


def anchored(data: bytes) -> Memory:
    source = Memory(data)
    source.origin = 0
    return source
