"""Hikvision updates: the header is read through its published key, sums are recomputed, the newer body is told as encrypted."""

from __future__ import annotations

import random
import struct

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.hikvision import FORMATS
from fwcheck.extraction.source import Memory

HIK = FORMATS[0]
KEY = b"\xba\xcd\xbc\xfe\xd6\xca\xdd\xd3\xba\xb9\xa3\xab\xbf\xcb\xb5\xbe"
FILES = [(b"uImage", b"kernel" * 200), (b"initrun.sh", b"#!/bin/sh\n"), (b"_cfgUpgSecPls", b"\x91" * 500)]


def under_key(plain: bytes) -> bytes:
    out = bytearray()
    for row in range(0, len(plain), 16):  # each row of 16 bytes uses the key turned by one more place
        turn = row // 16 % 16
        out += bytes(a ^ b for a, b in zip(plain[row : row + 16], (KEY[turn:] + KEY[:turn]), strict=False))
    return bytes(out)


def update(files=FILES) -> bytes:
    header = 64 + 44 * len(files) + 20
    table, contents = b"", b""
    for name, content in files:
        table += struct.pack("<32sIII", name, header + len(contents), len(content), sum(content))
        contents += content
    rest = (
        struct.pack("<II6I", header, len(files), 1, 5, 1, 0x5040003, header + len(contents), 20240101)[4:]
        + bytes(24)
        + table
        + bytes(20)
    )
    rest = rest.ljust(header - 12, b"\0")
    return under_key(b"SWKH" + struct.pack("<II", sum(rest), header) + rest) + contents


def newer() -> bytes:
    plain = b"02KH" + struct.pack("<8I", 108, 108, 0, 108 + 20_000, 1, 7, 0, 0)
    return under_key(plain.ljust(108, b"\0")) + random.Random(4).randbytes(20_000)


def seeds() -> list[bytes]:
    return [update(), update(FILES[:1]), newer()]


def test_files_come_out_and_all_sums_are_right():
    data = update()
    container = HIK.open(Memory(b"\0" * 32 + data + b"\xff" * 32), 32)
    entries = list(container.entries)
    assert [entry.open().read(0, entry.size) for entry in entries] == [content for _, content in FILES]
    assert [entry.role for entry in entries] == ["part", "part", "encrypted"]
    assert (container.size, container.problems) == (len(data), [])
    assert container.detail["integrity_detail"] == "header sum right, sums of 3 of 3 files right"
    assert container.detail["device_class"] == 5


def test_a_changed_byte_is_told():
    data = bytearray(update())
    data[-600] ^= 1
    assert HIK.open(Memory(data), 0).detail["integrity_detail"] == "header sum right, sums of 2 of 3 files right"


def test_a_cut_update_is_told():
    container = HIK.open(Memory(update()[:-100]), 0)
    assert container.size == len(update()) - 100
    assert any("cut off" in line for line in container.problems)


def test_the_body_of_a_newer_one_is_encrypted():
    data = newer()
    container = HIK.open(Memory(data), 0)
    (entry,) = container.entries
    assert (entry.role, entry.size, container.size) == ("encrypted", 20_000, len(data))
    assert "AES-256" in entry.detail["encryption"]


def test_other_headers_are_refused():
    for data in (
        under_key(b"SWKH" + struct.pack("<II", 0, 90_000) + bytes(200)),
        under_key(b"HKWS" + bytes(200)),
        update()[:100],
    ):
        with pytest.raises(FormatError):
            HIK.open(Memory(data), 0)
