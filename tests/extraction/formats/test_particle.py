"""Particle modules: extent, platform and function by the header, SHA-256 and CRC32 recomputed."""

from __future__ import annotations

import hashlib
import random
import struct
import zlib

import pytest

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.formats.particle import FORMATS
from fwcheck.extraction.source import Memory

PARTICLE = FORMATS[0]
CODE = random.Random(2).randbytes(3000)


def module(code: bytes = CODE, platform: int = 12, function: int = 5, suffix: int = 40, flaw: int = 0) -> bytes:
    start = 0xD4000
    end = start + 24 + len(code) + 34
    body = struct.pack("<IIBBHHBBBBHBBH", start, end, 0, 0, 5, platform, function, 1, 4, 1, 326, 0, 0, 0) + code
    body += hashlib.sha256(body).digest() + struct.pack("<H", suffix)
    return body + struct.pack(">I", zlib.crc32(body) ^ flaw)


def seeds() -> list[bytes]:
    return [module(), module(CODE[:100], platform=32, function=4)]


def test_a_module_is_read_to_its_end() -> None:
    container = PARTICLE.open(Memory(module() + b"\xff" * 99), 0)
    assert (container.size, container.problems) == (len(module()), [])
    told = {key: container.detail[key] for key in ("chip", "module", "version", "needs", "integrity_detail")}
    assert told == {
        "chip": "Particle Argon", "module": "application 1", "version": 5, "needs": "system part 1 version 326",
        "integrity_detail": "SHA-256 right, CRC32 right",
    }  # fmt: skip
    (entry,) = container.entries
    assert entry.open is not None
    assert entry.open().read(0, entry.size) == CODE


def test_a_wrong_hash_under_a_right_crc_is_told() -> None:
    body = bytearray(module()[:-4])
    body[40] ^= 1
    assert PARTICLE.open(Memory(bytes(body) + struct.pack(">I", zlib.crc32(bytes(body)))), 0).problems == ["wrong SHA-256"]


@pytest.mark.parametrize("data", [module(flaw=1), module()[:-1], module(function=9), module(suffix=10), bytes(4096)])
def test_others_are_refused(data: bytes) -> None:
    with pytest.raises((FormatError, ExtractionError)):
        PARTICLE.open(Memory(data), 0)


def test_mutations_raise_nothing_else() -> None:
    rng = random.Random(3)
    for _ in range(300):
        changed = bytearray(module(CODE[:200]))
        changed[rng.randrange(len(changed))] = rng.randrange(256)
        try:
            PARTICLE.open(Memory(bytes(changed)), 0)
        except ExtractionError:
            continue
