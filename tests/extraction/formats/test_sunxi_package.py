"""Allwinner boot packages: items come out with their names, the checksum is recomputed, lies stay inside."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.sunxi_package import FORMATS
from fwcheck.extraction.source import Mapped, Memory

PACKAGE, UBOOT = FORMATS
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"


def package(items: list[tuple[bytes, bytes, int]]) -> bytes:
    """Name, content and encryption mark of each item; laid out as boot0 expects it."""
    at, table, contents = 2048, b"", b""
    for number, (name, content, cipher) in enumerate(items):
        table += struct.pack("<64s6I276s4s", name, at, len(content), cipher, 3, 0x4A000000, number, b"", b"IIE;")
        contents += content.ljust(-(-len(content) // 1024) * 1024, b"\0")
        at = 2048 + len(contents)
    head = [b"sunxi-package", 0x89119800, 0x5F0A6C39, 7, 0, len(items), at, b"", b"", b"MIE;"]
    layout = "<16s6I8s12s4s"
    body = (struct.pack(layout, *head) + table).ljust(2048, b"\0") + contents
    head[2] = sum(struct.unpack(f"<{len(body) // 4}I", body)) & 0xFFFFFFFF
    return struct.pack(layout, *head) + body[64:]


ITEMS = [(b"optee", b"\1\2\3" * 333, 0), (b"u-boot", b"loader" * 100, 0), (b"secret", b"\x99" * 500, 1)]


def head(code: bytes = b"\1\2\3\4" * 300, size: int = 0x640) -> bytes:
    """U-Boot with the head that Allwinner's makefiles put in front."""
    fields = [
        0xEA000000 | size // 4 - 2,
        b"uboot",
        0x5F0A6C39,
        0x4000,
        size + len(code),
        size + len(code),
        b"4.0.0",
        b"2.0.0",
        0x4A000000,
    ]
    layout = "<I8s4I8s8sI"
    body = struct.pack(layout, *fields).ljust(size, b"\0") + code
    fields[2] = sum(struct.unpack(f"<{len(body) // 4}I", body)) & 0xFFFFFFFF
    return struct.pack(layout, *fields) + body[struct.calcsize(layout) :]


def seeds() -> list[bytes]:
    return [package(ITEMS), package(ITEMS[:1]), head()]


def test_what_the_head_of_u_boot_jumps_to_comes_out():
    data = head()
    container = UBOOT.open(Memory(b"\xff" * 4 + data + b"\xff" * 40), 4)
    (entry,) = container.entries
    assert (container.size, entry.open().read(0, entry.size)) == (len(data), b"\1\2\3\4" * 300)
    assert (container.detail["version"], container.detail["load_address"]) == ("4.0.0", "0x4a000000")
    with pytest.raises(FormatError, match="checksum"):
        UBOOT.open(Memory(data[:-4] + b"\0" * 4), 0)


def test_items_come_out():
    data = package(ITEMS)
    container = PACKAGE.open(Memory(b"\xff" * 512 + data + b"\xff" * 512), 512)
    entries = list(container.entries)
    assert [(entry.path, entry.role) for entry in entries] == [("optee", "file"), ("u-boot", "part"), ("secret", "encrypted")]
    assert [entry.open().read(0, entry.size) for entry in entries] == [content for _, content, _ in ITEMS]
    assert (container.size, container.detail["integrity_detail"]) == (len(data), "checksum right")


def test_a_changed_byte_and_an_item_outside_are_told():
    data = bytearray(package(ITEMS))
    data[-100] ^= 1
    struct.pack_into("<I", data, 64 + 64, 1 << 30)
    container = PACKAGE.open(Memory(data), 0)
    assert [entry.path for entry in container.entries] == ["u-boot", "secret"]
    assert len(container.problems) == 2


def test_a_header_without_its_end_mark_is_refused():
    with pytest.raises(FormatError):
        PACKAGE.open(Memory(package(ITEMS).replace(b"MIE;", b"MIX;")), 0)


@pytest.mark.corpus
def test_the_package_of_a_camera_is_right():
    path = CORPUS / "cam-yi-1080-bfus_yi-1080-bfus-flash8m.bin"
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    container = PACKAGE.open(Mapped.open(path), 0x10000)
    assert [entry.path for entry in container.entries] == ["optee", "u-boot", "dtb"]
    assert container.detail["integrity_detail"] == "checksum right"
