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
from fwcheck.extraction.formats.uboot_env import FORMATS
from fwcheck.extraction.source import Memory

ENV = FORMATS[0]
TEXT = b"bootargs=console=ttyS0,115200 root=/dev/mtdblock2\0bootcmd=bootm 0x9f020000\0bootdelay=1\0ipaddr=192.168.1.1\0\0"


def environment(size: int = 0x10000, redundant: bool = False, pad: bytes = b"\0") -> bytes:
    header = 5 if redundant else 4
    body = TEXT.ljust(size - header, pad)
    return struct.pack("<I", zlib.crc32(body)) + (b"\1" if redundant else b"") + body


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
