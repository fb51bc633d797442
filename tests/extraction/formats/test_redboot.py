"""RedBoot: images of the directory are listed, settings come out as text."""

from __future__ import annotations

import struct
import zlib

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.redboot import FORMATS
from fwcheck.extraction.source import Memory

FIS, SETTINGS = FORMATS
IMAGES = [("RedBoot", 0x30000), ("linux", 0x100000), ("FIS directory", 0xF000), ("RedBoot config", 0x1000)]


def directory(order: str = ">", images: list[tuple[str, int]] | None = None) -> bytes:
    out = b""
    for number, (name, size) in enumerate(images or IMAGES):
        head = name.encode().ljust(16, b"\0") + struct.pack(order + "5I", 0xBFC00000 + number * 65536, 0x80041000, size, 0, size)
        out += head.ljust(256, b"\xff")
    return out + b"\xff" * 512


def item(kind: int, key: str, value: bytes, enable: str = "") -> bytes:
    name, other = key.encode() + b"\0", enable.encode() + b"\0" if enable else b""
    return bytes([kind, len(name), 1, len(other)]) + name + other + value


def settings(order: str = ">", string: int = 128, script: int = 512) -> bytes:
    body = item(1, "boot_script", struct.pack(order + "I", 1))
    body += item(4, "boot_script_data", b"fis load -l linux\nexec\n".ljust(script, b"\0"), "boot_script")
    body += item(2, "boot_script_timeout", struct.pack(order + "I", 7), "boot_script")
    body += item(5, "bootp_server_ip", bytes([192, 168, 1, 2])) + item(6, "npe_eth0_esa", b"\0\1\2\3\4\5\0\0")
    body += item(3, "info_board", b"board x".ljust(string, b"\0"))
    image = struct.pack(order + "II", 4096, 0x0BADFACE) + body.ljust(4080, b"\0") + struct.pack(order + "I", 0xDEADDEAD)
    return image + struct.pack(order + "I", zlib.crc32(image, 0xFFFFFFFF) ^ 0xFFFFFFFF)


def seeds() -> list[bytes]:
    return [directory(), directory("<"), settings(), settings("<")]


@pytest.mark.parametrize("order", ["<", ">"])
def test_images_are_listed(order):
    container = FIS.open(Memory(b"\0" * 256 + directory(order)), 256)
    rows = list(container.entries)
    assert [(row.path, row.size) for row in rows] == IMAGES
    assert rows[1].detail["flash"] == "0xbfc10000"
    assert container.size == 256 * 4


def test_a_name_alone_is_no_directory():
    for image in (directory(images=[("RedBoot", 5)]), directory()[:100], b"RedBoot" + bytes(600)):
        with pytest.raises(FormatError):
            FIS.open(Memory(image), 0)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("string", "script"), [(128, 512), (64, 1024)])
def test_settings_come_out_as_text(order, string, script):
    container = SETTINGS.open(Memory(b"\xff" * 16 + settings(order, string, script) + b"after"), 16)
    (entry,) = container.entries
    assert entry.open().read(0, entry.size).decode().splitlines() == [
        "boot_script=true",
        "boot_script_data=fis load -l linux; exec",
        "boot_script_timeout=7",
        "bootp_server_ip=192.168.1.2",
        "npe_eth0_esa=00:01:02:03:04:05",
        "info_board=board x",
    ]
    assert (container.size, container.problems) == (4096, [])
    assert container.detail["boot_script_data"] == "fis load -l linux; exec"


def test_a_wrong_crc_is_told():
    image = bytearray(settings())
    image[-1] ^= 1
    assert SETTINGS.open(Memory(image), 0).problems


def test_other_bytes_are_refused():
    with pytest.raises(FormatError):
        SETTINGS.open(Memory(struct.pack(">II", 4096, 0x0BADFACE) + b"\7\7\7" * 2000), 0)
