"""ESP32 NVS: every stored value comes out under its namespace and key, erased ones too, with all checksums looked at."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.esp_nvs import FORMATS
from fwcheck.extraction.source import Memory

NVS = FORMATS[0]
BLOB = bytes(range(256)) * 20


def crc(data: bytes) -> int:
    return zlib.crc32(data, 0xFFFFFFFF)


def item(space: int, kind: int, key: str, value: bytes = b"", data: bytes = b"", chunk: int = 0xFF) -> list[bytes]:
    """One item as a list of entries of 32 bytes."""
    pieces = [data[at : at + 32].ljust(32, b"\xff") for at in range(0, len(data), 32)]
    if data:
        value = struct.pack("<HHI", len(data), 0xFFFF, crc(data))
    front, back = bytes([space, kind, 1 + len(pieces), chunk]), key.encode().ljust(16, b"\0") + value.ljust(8, b"\xff")
    return [front + struct.pack("<I", crc(front + back)) + back, *pieces]


def page(
    number: int, items: list[list[bytes]], erased: tuple[int, ...] = (), state: int = 0xFFFFFFFE, version: int = 0xFE
) -> bytes:
    """A page; ``erased`` are the numbers of the items that were deleted."""
    tail = struct.pack("<IB", number, version) + b"\xff" * 19
    bits, entries = (1 << 256) - 1, list[bytes]()
    for index, each in enumerate(items):
        for entry in each:
            position = 2 * len(entries)
            bits = bits & ~(3 << position) | (0 if index in erased else 2) << position
            entries.append(entry)
    head = struct.pack("<I", state) + tail + struct.pack("<I", crc(tail))
    return (head + bits.to_bytes(32, "little") + b"".join(entries)).ljust(4096, b"\xff")


def partition() -> bytes:
    first = [
        item(0, 0x01, "wifi", b"\1"),
        item(1, 0x21, "ssid", data=b"home\0"),
        item(1, 0x21, "psk", data=b"old-secret\0"),
        item(1, 0x21, "psk", data=b"hunter22\0"),
        item(1, 0x14, "offset", struct.pack("<i", -70000)),
        item(1, 0x08, "serial", struct.pack("<Q", 1 << 60)),
        item(1, 0x42, "cert", data=BLOB[:3000], chunk=0),
    ]
    second = [
        item(1, 0x42, "cert", data=BLOB[3000:4000], chunk=1),
        item(1, 0x48, "cert", struct.pack("<IBBH", 4000, 2, 0, 0xFFFF)),
        item(0, 0x01, "cal", b"\2"),
        item(2, 0x41, "old", data=b"\1\2\3"),
        item(2, 0x02, "port", struct.pack("<H", 8883)),
    ]
    return page(0, first, erased=(2,), state=0xFFFFFFFC) + page(1, second)


def seeds() -> list[bytes]:
    return [partition(), partition()[4096:] + b"\xff" * 4096, page(0, [item(0, 1, "a", b"\1"), item(1, 0x11, "b", b"\xfe")])]


def files(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


def test_every_value_is_a_member():
    data = partition()
    container = NVS.open(Memory(b"\0" * 32 + data + b"\xff" * 8192), 32)
    assert files(container) == {
        "/wifi/ssid": b"home",
        "/wifi/psk": b"hunter22",
        "/wifi/offset": b"-70000",
        "/wifi/serial": b"1152921504606846976",
        "/wifi/cert": BLOB[:4000],
        "/cal/old": b"\1\2\3",
        "/cal/port": b"8883",
        "/.erased/wifi/psk@0": b"old-secret",
    }
    assert (container.size, container.problems) == (len(data), [])
    assert (container.detail["states"], container.detail["namespaces"]) == ("full, active", 2)
    assert container.detail["checks"] == "CRC32 per page and entry right"


def test_pages_are_taken_in_the_order_of_their_numbers():
    data = page(5, [item(1, 0x01, "n", b"\x09")]) + page(2, [item(0, 1, "s", b"\1"), item(1, 0x01, "n", b"\x03")])
    assert files(NVS.open(Memory(data), 0)) == {"/s/n": b"9"}


def test_wrong_checksums_are_told():
    data = bytearray(partition())
    data[data.index(b"hunter22")] ^= 1
    assert NVS.open(Memory(data), 0).problems == ["wrong CRC32 of the value of psk"]
    data = bytearray(partition())
    data[data.index(b"offset")] ^= 1
    assert NVS.open(Memory(data), 0).problems == ["1 NVS entries with a wrong CRC32"]


def test_a_blob_with_a_missing_chunk_is_told():
    data = partition()[4096:]
    container = NVS.open(Memory(data), 0)
    assert files(container)["/namespace-1/cert"] == BLOB[3000:4000]
    assert container.problems == ["blob cert: 4000 bytes announced, 1000 there"]


def test_encrypted_entries_are_told():
    data = bytearray(page(0, [item(0, 0x01, "wifi", b"\1"), item(1, 0x21, "ssid", data=b"home\0")]))
    data[64:160] = bytes(byte ^ 0x5A for byte in data[64:160])
    container = NVS.open(Memory(data), 0)
    [entry] = container.entries
    assert (entry.role, container.detail["encrypted"]) == ("encrypted", "yes")


def test_names_stay_inside_the_store():
    data = page(0, [item(0, 0x01, "../..", b"\1"), item(1, 0x21, "../x/y", data=b"v\0")])
    [path] = files(NVS.open(Memory(data), 0))
    assert ".." not in path.split("/")


@pytest.mark.parametrize("data", [b"\xff" * 4096, partition()[:4095], b"\xfe" + b"\xff" * 4095])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        NVS.open(Memory(data), 0)


def test_a_partition_of_the_vendors_generator_is_read(tmp_path):
    pytest.importorskip("esp_idf_nvs_partition_gen", reason="esp-idf-nvs-partition-gen is not installed")
    (tmp_path / "blob.bin").write_bytes(BLOB)
    rows = [
        *("key,type,encoding,value", "net,namespace,,", "ssid,data,string,attic", "retries,data,i16,-3", "level,data,u8,200"),
        *("big,data,u64,18446744073709551615", f"cert,file,binary,{tmp_path / 'blob.bin'}", "raw,data,hex2bin,00ff7f"),
    ]
    (tmp_path / "in.csv").write_text("\n".join(rows) + "\n")
    for version in ("1", "2"):
        blob = BLOB if version == "2" else BLOB[:1900]
        (tmp_path / "blob.bin").write_bytes(blob)
        command = [sys.executable, "-m", "esp_idf_nvs_partition_gen", "generate", "--version", version]
        subprocess.run([*command, str(tmp_path / "in.csv"), str(tmp_path / "out.bin"), "0x6000"], check=True, capture_output=True)
        container = NVS.open(Memory((tmp_path / "out.bin").read_bytes()), 0)
        assert container.problems == []
        assert files(container) == {
            "/net/ssid": b"attic",
            "/net/retries": b"-3",
            "/net/level": b"200",
            "/net/big": b"18446744073709551615",
            "/net/cert": blob,
            "/net/raw": b"\x00\xff\x7f",
        }
