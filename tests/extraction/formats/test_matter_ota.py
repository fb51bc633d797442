"""Matter OTA: the TLV header is read, and the hash of the payload recomputed."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.matter_ota import FORMATS
from fwcheck.extraction.source import Mapped, Memory

MATTER = FORMATS[0]
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"
PAYLOAD = b"firmware " * 100


def image(payload: bytes = PAYLOAD, kind: int = 1, hashed: bytes | None = None, url: bytes = b"") -> bytes:
    """As the ota_image_tool of the SDK writes it, with a two-byte length where a string is long."""
    hashed = hashlib.sha256(payload).digest() if hashed is None else hashed
    header = b"\x15\x25\x00" + struct.pack("<H", 0xFFF1) + b"\x25\x01" + struct.pack("<H", 0x8001)
    header += b"\x26\x02" + struct.pack("<I", 70000) + b"\x2c\x03\x051.2.3"
    header += b"\x27\x04" + struct.pack("<Q", len(payload)) + b"\x24\x05\x01"
    if url:
        header += b"\x2d\x07" + struct.pack("<H", len(url)) + url
    header += b"\x24\x08" + bytes([kind]) + b"\x30\x09" + bytes([len(hashed)]) + hashed + b"\x18"
    return struct.pack("<IQI", 0x1BEEF11E, 16 + len(header) + len(payload), len(header)) + header + payload


def seeds() -> list[bytes]:
    return [image(), image(url=b"https://example.com/" + b"n" * 300), image(kind=7, hashed=hashlib.sha384(PAYLOAD).digest())]


def test_header_and_payload_are_read():
    data = image(url=b"https://example.com/" + b"n" * 300)
    container = MATTER.open(Memory(b"\xff" * 20 + data + b"behind"), 20)
    [entry] = container.entries
    detail = container.detail
    assert (container.size, container.problems, entry.open().read(0, entry.size)) == (len(data), [], PAYLOAD)
    assert (detail["vendor"], detail["product"], detail["software_version"]) == ("0xfff1", "0x8001", 70000)
    assert (detail["version"], detail["lowest_applicable_version"]) == ("1.2.3", 1)
    assert detail["release_notes"] == "https://example.com/" + "n" * 300
    assert (detail["integrity"], detail["integrity_detail"]) == ("hash", "sha256 of the payload right")


@pytest.mark.parametrize(
    ("kind", "hashed", "words"),
    [
        (1, bytes(32), "sha256 of the payload wrong"),
        (6, hashlib.sha256(PAYLOAD).digest()[:4], "sha256 of the payload right"),
        (8, hashlib.sha512(PAYLOAD).digest(), "sha512 of the payload right"),
        (12, hashlib.sha3_512(PAYLOAD).digest(), "sha3_512 of the payload right"),
        (99, bytes(32), "hash of kind 99 (not verified)"),
    ],
)
def test_every_kind_of_hash_is_recomputed(kind, hashed, words):
    container = MATTER.open(Memory(image(kind=kind, hashed=hashed)), 0)
    assert container.detail["integrity_detail"] == words
    assert bool(container.problems) == words.endswith("wrong")


def test_a_cut_file_is_told():
    container = MATTER.open(Memory(image()[:-10]), 0)
    assert any("announced" in line for line in container.problems)
    assert container.detail["integrity_detail"] == "sha256 of the payload wrong"


@pytest.mark.parametrize("damage", [(16, b"\x16"), (18, b"\x3c"), (12, b"\xff\x00"), (4, b"\x10\0\0\0")])
def test_other_bytes_are_refused(damage):
    data = bytearray(image())
    data[damage[0] : damage[0] + len(damage[1])] = damage[1]
    with pytest.raises(FormatError):
        MATTER.open(Memory(data), 0)


def test_the_corpus_image_is_whole():
    path = CORPUS / "fmt-matter-ota_matter_ota.bin"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    source = Mapped.open(path)
    container = MATTER.open(source, 0)
    assert (container.size, container.detail["version"], container.problems) == (source.size, "1.2.120.0", [])
