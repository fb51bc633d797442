"""zlib: a stream counts only with its Adler-32, and only where a source begins."""

from __future__ import annotations

import random
import re
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.zlib import FORMATS
from fwcheck.extraction.source import Memory

ZLIB = FORMATS[0]
TEXT = b"".join(b"line %d of a file\n" % (i * i % 7919) for i in range(4000))


def seeds() -> list[bytes]:
    return [zlib.compress(TEXT[:5000], level) for level in (1, 6, 9)]


@pytest.mark.parametrize("level", [0, 1, 3, 6, 9])
def test_every_level_is_read_to_its_end(level):
    stream = zlib.compress(TEXT, level)
    (sign,) = ZLIB.signatures
    assert re.match(sign.pattern, stream, re.DOTALL)
    assert not sign.anywhere
    container = ZLIB.open(Memory(stream + b"\xff" * 99), 0)
    (entry,) = container.entries
    content = entry.open()
    assert (content.read(0, content.size), container.size) == (TEXT, len(stream))
    assert not container.problems


def test_broken_wrong_or_tiny_streams_are_refused():
    stream = zlib.compress(TEXT)
    hurt = stream[:-1] + bytes([stream[-1] ^ 1])
    for data in (hurt, stream[:-3], stream[:50], zlib.compress(b"tiny"), b"\x78\x9c" + random.Random(1).randbytes(900)):
        with pytest.raises(FormatError):
            ZLIB.open(Memory(data), 0)
