"""TP-Link VxWorks images: IMG0 in IMG0, and web pages out of both variants of OWOW."""

from __future__ import annotations

import lzma
import struct
from pathlib import Path

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from support.hostile import exercise, truncations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.tplink_vxworks import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Mapped, Memory

IMG0, OWOW = FORMATS
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open" / "fmt-wr_wr.fw"
FILES = {"/index.htm": b"<html>" * 200, "/common.js": b"function()" * 90}


def packed(data: bytes) -> bytes:
    stream = lzma.compress(data, lzma.FORMAT_ALONE, filters=[{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16}])
    return stream[:5] + struct.pack("<Q", len(data)) + stream[13:]


def owow(lower: bool = True) -> bytes:
    form = struct.Struct(">40sII") if lower else struct.Struct(">64sII4x")
    head = (b"ow" * 16 + struct.pack(">III", 1, len(FILES), 0)) if lower else b"OW" * 16 + struct.pack(">II", 1, len(FILES))
    at, table, body = len(head) + form.size * len(FILES), b"", b""
    for path, data in FILES.items():
        content = packed(data) if lower else data
        table += form.pack(path.encode().lstrip(b"/"), len(content), at + len(body))
        body += content
    return head + table + body


def img0(*parts: bytes) -> bytes:
    at, table, body = 0x80, b"", b""
    for each in parts:
        table += struct.pack(">II", at + len(body), len(each))
        body += each
    head = (b"IMG0" + struct.pack(">III", 0x80 + len(body), 0x07021101, 1)).ljust(0x40, b"\0") + table
    return head.ljust(0x80, b"\0") + body


def seeds() -> list[bytes]:
    return [img0(b"\x5d" + b"os" * 300, owow(), configuration()), owow(), owow(lower=False)]


def contents(container) -> dict[str, bytes]:
    return {entry.path: (content := entry.open()).read(0, content.size) for entry in container.entries}


def test_the_parts_of_an_image_are_given():
    image = img0(b"os" * 300, owow())
    container = IMG0.open(Memory(b"?" * 4 + image + b"tail"), 4)
    assert contents(container) == {"part-0": b"os" * 300, "part-1": owow()}
    assert (container.size, container.before, container.problems) == (len(image), 0, [])


def test_the_digest_in_front_of_an_update_file_belongs_to_it():
    image = img0(b"boot" * 99 + img0(b"os"))
    container = IMG0.open(Memory(bytes(4) + b"d" * 16 + image), 20)
    assert (container.before, container.size, container.detail["form"]) == (20, len(image), "update file")


CONFIGURATION = b"d" * 16 + struct.pack(">I", 0x07021101) + bytes(12) + b"factory_default 1\r\nlan_ip 192.168.0.1\r\n\0\0\0\0"


def configuration() -> bytes:
    key = bytes.fromhex("478da50bf9e3d2cf") * 3
    return Cipher(TripleDES(key), modes.ECB()).encryptor().update(CONFIGURATION + bytes(-len(CONFIGURATION) % 8))


def test_the_default_configuration_is_told_to_be_encrypted_and_decrypted_where_asked_for():
    image = img0(b"os" * 300, configuration())
    entries = list(IMG0.open(Memory(image), 0).entries)
    assert [(entry.path, entry.role) for entry in entries] == [("part-0", "part"), ("configuration", "encrypted")]
    assert entries[1].detail["encryption"] == "DES-ECB, TP-Link configuration"
    plain = contents(IMG0.open(Memory(image), 0, Limits(published_keys=True)))["configuration"]
    assert plain[: len(CONFIGURATION)] == CONFIGURATION


@pytest.mark.parametrize("lower", [True, False])
def test_the_files_of_both_variants_are_given(lower):
    container = OWOW.open(Memory(b"?" * 4 + owow(lower) + b"tail"), 4)
    assert contents(container) == FILES
    assert {entry.size for entry in container.entries} <= {len(data) for data in FILES.values()}
    assert (container.size, container.problems) == (len(owow(lower)), [])


def test_nonsense_is_refused():
    image = bytearray(img0(b"os"))
    image[0x40:0x48] = struct.pack(">II", 0x80, 0x1000)
    with pytest.raises(FormatError):
        IMG0.open(Memory(image), 0)
    image = bytearray(owow())
    image[36:40] = b"\xff\xff\xff\xff"
    with pytest.raises(FormatError):
        OWOW.open(Memory(image), 0)


@pytest.mark.corpus
def test_a_real_image_is_read_to_its_last_byte():
    if not CORPUS.exists():
        pytest.skip("the shared corpus is not here")
    source = Mapped.open(CORPUS)
    outer, inner = IMG0.open(source, 20), IMG0.open(source, 0x40094)
    assert 20 + outer.size == 0x40094 + inner.size == source.size
    plain = contents(IMG0.open(source, 0x40094, Limits(published_keys=True)))["configuration"]
    assert b"lan_ip 192.168.0.254" in plain
    web = OWOW.open(source, 0x12DC74)
    files = contents(web)
    assert (len(files), web.problems) == (185, [])
    assert b"JavaScript" in files["/WzdWlanTypeRpm.htm"]


def test_truncation_anywhere_raises_nothing_else():
    for format, image in ((IMG0, img0(b"os" * 300)), (OWOW, owow())):
        for data in truncations(image, 60):
            exercise(format, data)
