"""DFU suffixes: ids and CRC are read, and the file in front is the payload unless it is found as something of its own."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.dfu import FORMATS
from fwcheck.extraction.limits import DEFAULT
from fwcheck.extraction.source import Memory

DFU = FORMATS[0]
PAYLOAD = b"not a known format " * 300


def suffixed(payload: bytes, version: int = 0x0100) -> bytes:
    out = payload + struct.pack("<4H3sB", 0x0200, 0xDF11, 0x0483, version, b"UFD", 16)
    return out + struct.pack("<I", zlib.crc32(out) ^ 0xFFFFFFFF)


def seeds() -> list[bytes]:
    return [suffixed(PAYLOAD), suffixed(b"x", 0x011A)]


def test_ids_and_crc_are_read():
    data = suffixed(PAYLOAD)
    container = DFU.open(Memory(data), len(PAYLOAD))
    [entry] = container.entries
    assert (container.size, container.before, container.problems) == (16, len(PAYLOAD), [])
    assert entry.open().read(0, entry.size) == PAYLOAD
    detail = container.detail
    assert (detail["vendor"], detail["product"], detail["dfu_version"]) == ("0x0483", "0xdf11", "1.00")
    assert detail["integrity_detail"] == "CRC32 right"


def test_a_changed_byte_is_told():
    data = bytearray(suffixed(PAYLOAD))
    data[5] ^= 1
    assert DFU.open(Memory(data), len(PAYLOAD)).problems == ["wrong CRC32"]


def test_a_prefix_for_lpc_put_in_front_later_is_left_out_of_the_crc():
    prefix = b"\xda\xff" + struct.pack("<H", 12) + b"\xff" * 12
    data = prefix + suffixed(PAYLOAD)
    container = DFU.open(Memory(data), len(data) - 16)
    assert container.problems == []
    assert container.detail["integrity_detail"] == "CRC32 of what follows the LPC prefix right"
    hurt = prefix + suffixed(PAYLOAD).replace(b"known", b"knowN", 1)
    assert DFU.open(Memory(hurt), len(hurt) - 16).problems == ["wrong CRC32"]
    assert DFU.open(Memory(suffixed(data[:-16])), len(data) - 16).detail["integrity_detail"] == "CRC32 right"


def test_a_payload_with_a_signature_of_its_own_is_left_to_it():
    data = suffixed(b"PK\x03\x04" + bytes(40) + PAYLOAD)
    container = DFU.open(Memory(data), len(data) - 16)
    assert (list(container.entries), container.before) == ([], 0)


def test_the_whole_file_is_accounted_for():
    findings = Explorer(DEFAULT).explore(Memory(suffixed(PAYLOAD)), ("file",), 0)
    [node] = [item.node for item in findings.items if item.node.format == "dfu"]
    assert (node.offset, node.size) == (0, len(PAYLOAD) + 16)


def test_only_the_end_of_a_source_is_a_suffix():
    with pytest.raises(FormatError):
        DFU.open(Memory(suffixed(PAYLOAD) + b"\0"), len(PAYLOAD))


def test_a_file_of_dfu_suffix_is_read(tmp_path):
    if shutil.which("dfu-suffix") is None:
        pytest.skip("dfu-suffix is not installed")
    path = tmp_path / "file.dfu"
    path.write_bytes(PAYLOAD)
    subprocess.run(["dfu-suffix", "-v", "1209", "-p", "0001", "-d", "0300", "-a", str(path)], check=True, capture_output=True)
    container = DFU.open(Memory(path.read_bytes()), len(PAYLOAD))
    assert (container.problems, container.detail["vendor"], container.detail["release"]) == ([], "0x1209", "0x0300")
