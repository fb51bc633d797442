"""U-Boot binaries: told by vectors and banner, with the extent their words give or up to what follows."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path

import pytest

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.uboot import FORMATS
from fwcheck.extraction.source import Mapped, Memory

UBOOT = FORMATS[0]
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"
BANNER = b"U-Boot 2013.07 (Mar 01 2018 - 10:00:00)\0"
DEFAULTS = b"bootargs=console=ttyS1 mem=39M\0bootcmd=sf probe; bootm 0x80600000\0bootdelay=3\0\0"
LDR = struct.pack("<I", 0xE59FF014)


def code(size: int, seed: int = 1) -> bytes:
    chance = random.Random(seed)
    return (b"".join(bytes([chance.randrange(1, 255), 0x00, 0xA0, 0xE1]) for _ in range(size // 4))).ljust(size, b"\1")


def arm(offsets: tuple[int, int, int, int] | None = None, size: int = 20_000) -> bytes:
    words = struct.pack("<4I", *offsets) if offsets else b"\x01\xf0\x20\xe3" * 4
    head = struct.pack("<I", 0xEA0000B8) + LDR * 7 + struct.pack("<8I", *range(0x4A000060, 0x4A000068)) + words
    return (head + code(8000) + BANNER + DEFAULTS).ljust(size - 4, b"\7") + b"tail"


def arm64(size: int = 20_000) -> bytes:
    head = struct.pack("<IIQQQQ", 0x1400000A, 0xD503201F, 0x4A000000, size, size, size + 0x3000)
    return (head + code(8000) + BANNER).ljust(size, b"\7")


def mips(big: bool, size: int = 20_000) -> bytes:
    head = struct.pack(f"{'>' if big else '<'}24I", *(word for n in range(12) for word in (0x100000FF - n, 0)))
    return (head + code(8000) + BANNER).ljust(size, b"\7")


def ingenic() -> bytes:
    return (struct.pack("<4I", 0x04110002, 0, 0x801398D0, 0x8FFC0000) + code(8000) + BANNER + DEFAULTS).ljust(20_000, b"\7")


def powerpc() -> bytes:
    return (b"\x27\x05\x19\x56" + BANNER + code(8000)).ljust(20_000, b"\7")


def begun(start: str) -> bytes:
    return (bytes.fromhex(start) + code(8000) + BANNER + DEFAULTS).ljust(20_000, b"\7")


def words_64(end: int, bss: int) -> bytes:
    return struct.pack("<4Q", 0x4A000000, end, bss, bss + 0x3000)


def first_stage(tag: bytes) -> bytes:
    """Rockchip's: a branch over a tag, or the tag; its BSS is elsewhere in memory."""
    return (tag + b"\x09\0\0\x14" + words_64(20_000, 0x400000) + code(8000) + BANNER).ljust(20_000, b"\7")


def switching() -> bytes:
    """Allwinner's for 64 bits: entered by a 32-bit processor, which switches."""
    head = bytes.fromhex("1f0000ea 41000014").ljust(0x84, b"\0") + code(0x64) + words_64(20_000, 20_000)
    return (head + code(8000) + BANNER).ljust(20_000, b"\7")


def headed() -> bytes:
    """With the header of a Linux image in front."""
    head = bytes.fromhex("18000014 00000000") + struct.pack("<3Q", 0x80000, 0x11F488, 10)
    return ((head.ljust(56, b"\0") + b"ARM\x64\0\0\0\0" + words_64(20_000, 20_000)) + code(8000) + BANNER).ljust(20_000, b"\7")


def relocated(tree: bytes) -> bytes:
    """An ARM binary with a device tree inside: code and its relocations go on behind it."""
    return arm(size=12_000) + tree + code(3000, 2) + struct.pack("<II", 0x4A000100, 0x17) * 200 + b"end"


RISCV = begun("732540f1 2a82ae84 93010000 97520800")
X86 = begun("fafc0f20 c00d0000 00600f22 c00f09bd 00000000")
NEW_MIPS = begun("3f010010 00000000 20040000 00000000")


def seeds() -> list[bytes]:
    return [
        arm(),
        arm((0x87800000, 19_000, 30_000, 20_000)),
        arm64(),
        mips(True),
        ingenic(),
        powerpc(),
        RISCV,
        X86,
        NEW_MIPS,
        switching(),
        headed(),
    ]


@pytest.mark.parametrize(
    ("data", "architecture"),
    [
        (arm(), "ARM"),
        (arm64(), "ARM64"),
        (mips(True), "MIPS, big-endian"),
        (mips(False), "MIPS, little-endian"),
        (ingenic(), "MIPS, little-endian"),
        (powerpc(), "PowerPC"),
        (RISCV, "RISC-V"),
        (RISCV[4:] + b"\7" * 4, "RISC-V"),
        (X86, "x86"),
        (first_stage(b"\x01\0\0\x14"), "ARM64"),
        (first_stage(b"RK33"), "ARM64"),
        (switching(), "ARM64"),
        (headed(), "ARM64"),
    ],
)
def test_it_reaches_to_the_filling_behind_it(data, architecture):
    image = b"\xff" * 4096 + data + b"\xff" * 20_000
    container = UBOOT.open(Memory(image), 4096)
    entry, *environment = container.entries
    assert (container.size, container.detail["architecture"]) == (len(data), architecture)
    assert container.detail["version"] == "U-Boot 2013.07 (Mar 01 2018 - 10:00:00)"
    assert entry.open().read(0, entry.size) == data
    texts = [each.open().read(0, each.size) for each in environment]
    assert texts == ([DEFAULTS.rstrip(b"\0").replace(b"\0", b"\n") + b"\n"] if DEFAULTS in data else [])


def test_a_single_branch_counts_at_the_beginning_of_a_source_alone():
    assert UBOOT.open(Memory(NEW_MIPS), 0).detail["architecture"] == "MIPS, little-endian"
    with pytest.raises(FormatError):
        UBOOT.open(Memory(bytes(64) + NEW_MIPS), 64)


@pytest.mark.parametrize(
    "words",
    [
        (0x87800000, 19_000, 30_000, 20_000),  # offsets of BSS, its end, the end
        (0x80800000, 0x80800000, 0x80800000 + 20_000, 0x80900000),  # addresses: link, begin, BSS
    ],
)
def test_the_size_in_an_arm_binary_is_taken(words):
    container = UBOOT.open(Memory(arm(words) + code(9000)), 0)
    assert (container.size, container.detail["extent"]) == (20_000, "announced by the code")


def test_the_size_in_an_arm64_binary_is_taken():
    assert UBOOT.open(Memory(arm64() + code(9000)), 0).size == 20_000


def fdt() -> bytes:
    return struct.pack(">10I", 0xD00DFEED, 500, 56, 400, 40, 17, 16, 0, 20, 300).ljust(500, b"\0")


@pytest.mark.parametrize("data", [first_stage(b"\x01\0\0\x14"), first_stage(b"RK33"), switching(), headed()])
def test_the_words_stand_before_the_label_that_the_first_branch_leads_to(data):
    container = UBOOT.open(Memory(data + fdt() + code(9000)), 0)
    assert (container.size, container.detail["extent"]) == (20_000, "announced by the code")
    assert container.detail["device_tree_appended"] == "yes"


def test_a_device_tree_inside_the_code_does_not_end_it():
    data = relocated(fdt())
    assert UBOOT.open(Memory(data + bytes(30_000)), 0).size == len(data)
    appended = UBOOT.open(Memory(data + fdt() + code(9000)), 0)
    assert (appended.size, appended.detail["device_tree_appended"]) == (len(data), "yes")
    inside = arm64()[:12_000] + fdt()
    assert UBOOT.open(Memory(inside.ljust(20_000, b"\7") + code(9000)), 0).size == 20_000


def test_a_tree_that_libfdt_wrote_ends_it_too():
    written = fdt()[:24] + struct.pack(">I", 2) + fdt()[28:]  # the oldest version that can read it
    assert UBOOT.open(Memory(arm(size=20_480) + written + code(9000)), 0).size == 20_480


def uimage() -> bytes:
    head = struct.pack(">7I4B32s", 0x27051956, 0, 0, 1000, 0, 0, 0, 5, 2, 2, 1, b"kernel")
    return head[:4] + struct.pack(">I", zlib.crc32(head)) + head[8:] + b"k" * 1000


def environment() -> bytes:
    body = DEFAULTS.ljust(4092, b"\0")
    return struct.pack("<I", zlib.crc32(body)) + body


@pytest.mark.parametrize("behind", [fdt(), uimage()])
def test_it_ends_where_a_device_tree_or_an_image_begins(behind):
    container = UBOOT.open(Memory(arm(size=20_480) + behind + code(9000)), 0)
    assert container.size == 20_480
    assert container.detail["device_tree_appended"] == ("yes" if behind == fdt() else "no")


def test_it_ends_where_an_environment_begins():
    assert UBOOT.open(Memory(ingenic().ljust(20_480, b"\7") + environment() + code(9000)), 0).size == 20_480


def test_default_environment_is_told():
    detail = UBOOT.open(Memory(ingenic()), 0).detail
    assert (detail["default_bootdelay"], detail["default_bootargs"]) == ("3", "console=ttyS1 mem=39M")


def test_defaults_without_a_command_and_joined_to_another_text_are_found():
    text = b"SunMonSatbootdelay=4\0baudrate=9600\0stdin=serial\0\0"
    container = UBOOT.open(Memory((arm()[:8000] + BANNER + text).ljust(20_000, b"\7")), 0)
    assert container.detail["default_bootdelay"] == "4"


def test_a_first_stage_has_no_command_line():
    data = arm().replace(b"U-Boot 2013.07", b"U-Boot SPL 2013.07")
    assert not [key for key in UBOOT.open(Memory(data), 0).detail if key.startswith("default_")]


def test_vectors_without_a_banner_and_a_banner_without_vectors_are_refused():
    for data in (arm().replace(b"U-Boot", b"u-boot"), code(9000) + BANNER, mips(True)[8:].replace(b"U-Boot", b"Redboo")):
        with pytest.raises(FormatError):
            UBOOT.open(Memory(data), 0)


def test_the_middle_of_a_table_of_branches_is_no_beginning():
    for big in (True, False):
        with pytest.raises(FormatError, match="inside a table"):
            UBOOT.open(Memory(mips(big)), 16)


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "offset", "size", "version"),
    [
        ("cam-sannce_sannce-flash8m.bin", 0x6800, 0x35800, "U-Boot 2013.07"),
        ("deb-uboot-nanopi-neo_u-boot-sunxi-with-spl.bin", 0x8040, 0x69204 - 0, "U-Boot 2023.01+dfsg-2+deb12u3"),
        ("tplink-wr841nv11-160325_wr841n_v11_160325.bin", 0x200, 0x37C0, "U-Boot 1.1.4"),
    ],
)
def test_real_ones_end_exactly_where_the_next_thing_begins(name, offset, size, version):
    if not (CORPUS / name).exists():
        pytest.skip("the shared corpus is not here")
    container = UBOOT.open(Mapped.open(CORPUS / name), offset)
    assert container.size == size
    assert container.detail["version"].startswith(version)
