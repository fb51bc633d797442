"""IKCONFIG: the configuration comes out as a file, between two exact marks."""

from __future__ import annotations

import gzip

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.ikconfig import FORMATS
from fwcheck.extraction.source import Memory

IKCONFIG = FORMATS[0]
TEXT = (
    b"#\n# Automatically generated file; DO NOT EDIT.\n# Linux/mips 3.10.14 Kernel Configuration\n#\nCONFIG_MIPS=y\n"
    b"# CONFIG_MODULE_SIG is not set\nCONFIG_DEVKMEM=y\n"
)


def ikconfig(text: bytes = TEXT) -> bytes:
    return b"IKCFG_ST" + gzip.compress(text, mtime=0) + b"IKCFG_ED"


def seeds() -> list[bytes]:
    return [ikconfig()]


def test_the_text_is_a_file():
    image = ikconfig()
    container = IKCONFIG.open(Memory(b"x" * 33 + image + b"after"), 33)
    (entry,) = container.entries
    assert (entry.path, entry.role, container.size) == ("config", "file", len(image))
    assert entry.open().read(0, entry.size) == TEXT
    assert container.detail["version"] == "3.10.14"
    assert (container.detail["architecture"], container.detail["options"]) == ("mips", 2)
    assert not container.problems


def test_a_wrong_crc_and_a_missing_mark_are_problems():
    image = bytearray(ikconfig())
    image[-9 - 4] ^= 1
    assert IKCONFIG.open(Memory(image), 0).detail["integrity_detail"] == "CRC32 wrong"
    container = IKCONFIG.open(Memory(ikconfig()[:-8] + b"zzzzzzzz"), 0)
    assert (container.size, len(container.problems)) == (len(ikconfig()) - 8, 1)


def test_other_text_is_refused():
    with pytest.raises(FormatError):
        IKCONFIG.open(Memory(ikconfig(b"hello " * 50)), 0)
