"""Lantiq boot streams: downloads come out whole, and the stream ends at its start command."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.lantiq_boot import FORMATS
from fwcheck.extraction.source import Mapped, Memory

BOOT = FORMATS[0]
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"


def command(tag: str, *words: int, data: bytes = b"") -> bytes:
    body = struct.pack(f"<{len(words)}I", *words) + data
    return bytes.fromhex(tag) + struct.pack("<I", len(body)) + body


def stream(code: bytes, writes: bool = True) -> bytes:
    first = command("ffdd0022", 0xB8000084, 0xFF000204) if writes else b""
    return first + command("ffaa0055", 0xBF201000, data=code) + command("ff880077", 0xBF201000)


def seeds() -> list[bytes]:
    return [stream(b"\x10\x00\x01\x23\0\0\0\0" * 40), stream(b"code" * 300, writes=False)]


@pytest.mark.parametrize("writes", [True, False])
def test_code_and_addresses_come_out(writes):
    code = random.Random(1).randbytes(3000)
    data = stream(code, writes)
    container = BOOT.open(Memory(b"\xff" * 8 + data + b"\xff" * 99), 8)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size) == code
    assert (container.size, container.detail["start_address"]) == (len(data), "0xbf201000")
    assert container.detail["register_writes"] == int(writes)


@pytest.mark.parametrize("cut", [4, 12, 30, 500, 3035])
def test_a_stream_that_does_not_end_is_refused(cut):
    with pytest.raises(FormatError):
        BOOT.open(Memory(stream(random.Random(1).randbytes(3000))[:cut]), 0)


@pytest.mark.corpus
def test_the_flash_of_a_gpon_stick_begins_with_one():
    path = CORPUS / "zyxel-pmg3000-v100_zyxel-pmg3000-v100-flash8m.bin"
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    assert BOOT.open(Mapped.open(path), 0).size == 0x374D8
