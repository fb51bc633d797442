"""BL31 of Trusted Firmware-A: entry, version and extent."""

from __future__ import annotations

import random

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.tfa_bl31 import FORMATS
from fwcheck.extraction.source import Memory

BL31 = FORMATS[0]
START = bytes.fromhex("f40300aaf50301aaf60302aaf70303aa")
VERSION, BUILT = b"v2.8(release):2.8.0+dfsg-1\0", b"Built : 12:01:02, Jan  9 2023\0"


def image(version: bytes = VERSION, built: bytes = BUILT) -> bytes:
    code = random.Random(3).randbytes(4000)
    return START + code + b"INFO: BL31: Platform setup start\0" + version + built + code + b"\x01\x04\x01\0"


def seeds() -> list[bytes]:
    return [image(), image().ljust(20000, b"\0")]


@pytest.mark.parametrize("filling", [b"", bytes(9000), b"\xff" * 9000])
def test_version_and_extent_are_read(filling):
    data = image()
    container = BL31.open(Memory(data + filling), 0)
    assert len(data) - 1 <= container.size <= len(data) + 15
    assert (container.detail["version"], container.detail["build"]) == ("v2.8(release)", "2.8.0+dfsg-1")
    assert container.detail["built"] == "12:01:02, Jan  9 2023"


@pytest.mark.parametrize(
    "data", [image(version=b""), b"\0" + image(), START, image().replace(b"BL31: ", b"BL32: ").replace(BUILT, b"")]
)
def test_other_code_is_refused(data):
    with pytest.raises(FormatError):
        BL31.open(Memory(data), 0)


def test_text_that_nearly_is_a_version_is_passed_over():
    """In linear time: repeated beginnings of a version do not multiply."""
    container = BL31.open(Memory(START + b"v1.1(release):" * 70_000 + image()[16:]), 0)
    assert container.detail["built"] == "12:01:02, Jan  9 2023"
    with pytest.raises(FormatError):
        BL31.open(Memory(START + b"v1.1(release):" * 100_000), 0)
