"""OpenSBI is told by its entry and its banner, and ends before its payload."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.opensbi import FORMATS
from fwcheck.extraction.source import Mapped, Memory

SBI = FORMATS[0]
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"


def firmware(size: int = 20_000) -> bytes:
    start = bytes.fromhex("33040500 b3840500 33090600 ef00c054")
    return (start + random.Random(8).randbytes(9000) + b"\nOpenSBI v%d.%d\n\0").ljust(size - 8, b"\1") + b"\2" * 4 + bytes(4)


def seeds() -> list[bytes]:
    return [firmware(), firmware() + bytes(30_000)]


def test_it_reaches_to_the_end_of_its_source_without_filling():
    for filling in (b"", bytes(20_000), b"\xff" * 20_000):
        container = SBI.open(Memory(b"\xff" * 64 + firmware() + filling), 64)
        (entry,) = container.entries
        assert (container.size, container.detail["payload"]) == (20_000, "none")
        assert entry.open().read(0, 20_000) == firmware()


def test_it_ends_before_its_payload():
    container = SBI.open(Memory(firmware().ljust(2 << 20, b"\0") + b"\x4d\x5a" + bytes(5000)), 0)
    assert (container.size, container.detail["payload"]) == (20_000, "at 2 MiB")


def test_an_entry_without_a_banner_is_refused():
    with pytest.raises(FormatError):
        SBI.open(Memory(firmware().replace(b"OpenSBI", b"opensbi")), 0)


@pytest.mark.corpus
def test_the_one_of_debian_is_read_to_its_end():
    path = CORPUS / "deb-opensbi_fw_jump.bin"
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    assert SBI.open(Mapped.open(path), 0).size == path.stat().st_size
