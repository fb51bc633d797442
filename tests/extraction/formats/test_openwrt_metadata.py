"""fwtool trailers: metadata and signature behind an image, with the CRC over all of it."""

from __future__ import annotations

import json
import struct
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.openwrt_metadata import FORMATS
from fwcheck.extraction.limits import DEFAULT
from fwcheck.extraction.source import Memory

(METADATA,) = FORMATS
JSON = {
    "metadata_version": "1.1", "compat_version": "1.0", "supported_devices": ["vendor,board", "board"],
    "version": {"dist": "OpenWrt", "version": "23.05.2", "revision": "r23630", "target": "ath79/generic", "board": "board"},
}  # fmt: skip
SIGNED = b"untrusted comment: signed by key\nRWQ" + b"A" * 90 + b"\n"


def trailer(image: bytes, kind: int, data: bytes) -> bytes:
    image += data
    return image + struct.pack(">4sIB3xI", b"FWx0", zlib.crc32(image) ^ 0xFFFFFFFF, kind, len(data) + 16)


def metadata(image: bytes = b"image" * 50, text: bytes | None = None) -> bytes:
    return trailer(image, 1, bytes(8) + (json.dumps(JSON).encode() if text is None else text))


def seeds() -> list[bytes]:
    return [metadata(), trailer(metadata(), 0, SIGNED)]


def test_metadata_are_told() -> None:
    data = metadata()
    container = METADATA.open(Memory(data + b"behind"), len(data) - 16)
    assert (container.size, container.before, container.problems) == (16, len(data) - 266, [])
    assert container.detail == {
        "type": "metadata", "dist": "OpenWrt", "version": "23.05.2", "revision": "r23630", "target": "ath79/generic",
        "board": "board", "supported_devices": "vendor,board, board", "compat_version": "1.0", "integrity": "checksum",
        "integrity_detail": "CRC32 of the image right",
    }  # fmt: skip
    (entry,) = container.entries
    assert json.loads(entry.open().read(0, entry.size)) == JSON


@pytest.mark.parametrize(
    ("blob", "words"),
    [
        (SIGNED, "usign (Ed25519) signature"),
        (b"\0\0\0\x10" + SIGNED + SIGNED, "ucert chain with 2 usign (Ed25519) texts"),
        (b"\x55" * 99, "signature of 99 bytes"),
    ],
)
def test_a_signature_behind_the_metadata(blob: bytes, words: str) -> None:
    data = trailer(metadata(), 0, blob)
    container = METADATA.open(Memory(data), len(data) - 16)
    assert (container.before, container.problems, container.detail["integrity"]) == (len(blob), [], "signature")
    assert container.detail["integrity_detail"] == f"{words} (not verified); CRC32 of the image right"


def test_both_trailers_are_found_behind_an_image() -> None:
    data = trailer(metadata(), 0, SIGNED)
    source = Memory(data)
    source.origin = 0
    found = Explorer(DEFAULT).explore(source, ("x",), 0)
    nodes = [item.node for item in found.items if item.node.kind == "container"]
    assert [node.detail["type"] for node in nodes] == ["metadata", "signature"]
    assert [(node.offset, node.offset + node.size) for node in nodes] == [(250, len(metadata())), (len(metadata()), len(data))]


def test_a_changed_image_is_told() -> None:
    data = bytearray(metadata())
    data[3] ^= 1
    container = METADATA.open(Memory(data), len(data) - 16)
    assert container.problems == ["the CRC32 of fwtool is not that of the image before it"]
    assert container.detail["integrity_detail"] == "CRC32 of the image wrong"


def test_metadata_that_are_no_json_are_told() -> None:
    data = metadata(text=b"{broken")
    container = METADATA.open(Memory(data), len(data) - 16)
    assert any("no JSON" in line for line in container.problems)


@pytest.mark.parametrize("length", [0, 15, 16, 23, 1 << 15, 0xFFFF])
def test_a_length_that_does_not_fit_is_refused(length: int) -> None:
    data = b"image" + struct.pack(">4sIB3xI", b"FWx0", 0, 1, length)
    with pytest.raises(FormatError):
        METADATA.open(Memory(data), 5)
