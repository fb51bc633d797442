"""Raw Cortex-M images: a sound vector table makes one, its load address is estimated, and a dump is cut where flash is erased."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.cortex_m import FORMATS
from fwcheck.extraction.limits import DEFAULT
from fwcheck.extraction.source import Mapped, Memory

CORTEX = FORMATS[0]
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"


def image(base: int = 0x08000000, size: int = 6000, stack: int = 0x20004000, lpc: bool = False) -> bytes:
    """Code with functions at 0x200, 0x280, ...; the default handler loops at 0x300."""
    out = bytearray(random.Random(base).randbytes(size).replace(b"\xfe\xe7", b"\0\0").replace(b"\xff", b"\0"))
    reset, default = base + 0x201, base + 0x301
    words = [
        stack,
        reset,
        base + 0x281,
        default,
        default,
        default,
        default,
        0,
        0,
        0,
        0,
        default,
        default,
        0,
        default,
        base + 0x381,
    ]
    if lpc:
        words[7] = -sum(words[:7]) & 0xFFFFFFFF
    out[:64] = struct.pack("<16I", *words)
    out[0x200:0x202], out[0x280:0x282], out[0x300:0x302], out[0x380:0x382] = b"\x01\x48", b"\x10\xb5", b"\xfe\xe7", b"\x70\xb5"
    return bytes(out)


def seeds() -> list[bytes]:
    return [image(), image(0x0, lpc=True), image().ljust(0x4000, b"\xff") + image(0x08004000) + b"\xff" * 5000]


def entries(container) -> dict[str, tuple[str, bytes]]:
    return {entry.path: (entry.role, entry.open().read(0, entry.size)) for entry in container.entries}


@pytest.mark.parametrize("base", [0x08000000, 0x08002800, 0, 0x00400000, 0x10010000])
def test_the_load_address_is_estimated(base):
    data = image(base)
    container = CORTEX.open(Memory(data), 0)
    assert (container.size, entries(container)) == (len(data), {"code@0x0": ("file", data)})
    assert container.detail["load_address"] == f"0x{base:08x} (estimated)"
    assert (container.detail["reset_handler"], container.detail["stack_pointer"]) == (f"0x{base + 0x200:08x}", "0x20004000")


def test_the_checksum_of_lpc_is_recognised():
    assert CORTEX.open(Memory(image(0, lpc=True)), 0).detail["vector_checksum"] == "right (NXP LPC)"


@pytest.mark.parametrize(
    ("items", "protection"),
    [(b"", None), (b"\x4b\x09\0\0" + bytes(32), "SHA-256"), (b"\x09\x21\0\1" + bytes(128), "secp256k1 signature")],
)
def test_the_metadata_of_rp2350_is_read(items, protection):
    data = bytearray(image(0x10000000, stack=0x20082000))
    block = b"\x42\x01" + struct.pack("<H", 0x1021) + b"\x48\x02\0\0" + struct.pack("<HH", 7, 2) + items
    block = b"\xd3\xde\xff\xff" + block + struct.pack("<BHBi", 0xFF, len(block) // 4, 0, 0) + b"\x79\x35\x12\xab"
    data[0x500 : 0x500 + len(block)] = block
    detail = CORTEX.open(Memory(data), 0).detail
    assert (detail["rp2350_image"], detail["version"]) == ("executable, Arm, secure", "2.7")
    expected = None if protection is None else f"{protection} in the metadata block (not verified)"
    assert detail.get("rp2350_protection") == expected
    data[0x500 + len(block) - 1] ^= 1
    assert "rp2350_image" not in CORTEX.open(Memory(data), 0).detail


def test_a_dump_is_cut_at_erased_flash():
    boot, application, settings = image(), image(0x08004000), b"settings=1;" * 30
    data = boot.ljust(0x4000, b"\xff") + application.ljust(0x6000, b"\xff") + settings
    container = CORTEX.open(Memory(data + b"\xff" * 9000), 0)
    assert container.size == len(data) + -len(data) % 4
    found = entries(container)
    assert [*found] == ["code@0x0", "code@0x4000", "0xa000"]
    assert [role for role, _ in found.values()] == ["file", "file", "part"]
    assert found["code@0x4000"][1].rstrip(b"\xff") == application
    assert found["0xa000"][1].startswith(settings)


def test_an_mcuboot_image_behind_the_boot_loader_is_found():
    payload = image(0x0000C200)
    header = struct.pack("<IIHHIIBBHI", 0x96F3B83D, 0, 0x200, 0, len(payload), 0, 1, 0, 0, 0).ljust(0x200, b"\0")
    data = image(0, 0x1800).ljust(0x1800, b"\0") + header + payload + struct.pack("<HH", 0x6907, 4)
    findings = Explorer(DEFAULT).explore(Memory(data), ("dump",), 0)
    assert {item.node.format for item in findings.items} >= {"cortex-m", "mcuboot"}


def test_a_dfu_suffix_is_left_to_its_format():
    out = image() + struct.pack("<4H3sB", 1, 2, 3, 0x0100, b"UFD", 16)
    data = out + struct.pack("<I", zlib.crc32(out) ^ 0xFFFFFFFF)
    findings = Explorer(DEFAULT).explore(Memory(data), ("file",), 0)
    sizes = {item.node.format: item.node.size for item in findings.items if item.node.format in {"cortex-m", "dfu"}}
    assert sizes == {"cortex-m": len(data) - 16, "dfu": 16}


@pytest.mark.parametrize(
    ("at", "word"),
    [(0, 0x20004001), (0, 0x08004000), (4, 0x08000200), (8, 0), (12, 0x18000301), (32, 1), (52, 4), (44, 0x08000300)],
)
def test_a_table_that_does_not_hang_together_is_none(at, word):
    data = bytearray(image())
    data[at : at + 4] = struct.pack("<I", word)
    with pytest.raises(FormatError):
        CORTEX.open(Memory(data), 0)


@pytest.mark.parametrize("data", [b"", b"\xff" * 4096, image()[:200], bytes(4096), random.Random(1).randbytes(4096)])
def test_other_bytes_are_refused(data):
    with pytest.raises(FormatError):
        CORTEX.open(Memory(data), 0)


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "base"), [("greatfet-usb_greatfet_usb.bin", 0), ("marstek-hmg50-156_HMG-50_156.bin", 0x08002800)]
)
def test_real_images_are_code_from_end_to_end(name, base):
    path = CORPUS / name
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    source = Mapped.open(path)
    container = CORTEX.open(source, 0)
    assert container.detail["load_address"] == f"0x{base:08x} (estimated)"
    assert container.size >= source.size - 1024
