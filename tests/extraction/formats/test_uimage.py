"""uImage: what mkimage writes is read field by field, damage is told, and lies about sizes stay inside the source."""

from __future__ import annotations

import gzip
import random
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.formats.uimage import FORMATS
from fwcheck.extraction.source import Mapped, Memory

UIMAGE = FORMATS[0]
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"
KERNEL = gzip.compress(b"Linux version 5.4.0 " * 5000, mtime=0)


def mkimage(folder: Path, *arguments: str) -> bytes:
    if shutil.which("mkimage") is None:
        pytest.skip("mkimage (u-boot-tools) is not installed")
    out = folder / "out.img"
    subprocess.run(["mkimage", *arguments, str(out)], check=True, capture_output=True, cwd=folder)
    return out.read_bytes()


@pytest.fixture(scope="module")
def kernel_image(tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("uimage")
    (folder / "kernel.gz").write_bytes(KERNEL)
    arguments = ["-A", "mips", "-O", "linux", "-T", "kernel", "-C", "gzip", "-a", "80001000", "-e", "80300000"]
    return mkimage(folder, *arguments, "-n", "MIPS Linux-5.4", "-d", "kernel.gz")


def uimage(
    data: bytes, kind: int = 2, magic: bytes = b"\x27\x05\x19\x56", name: bytes = b"MIPS Linux-5.4", packed: int = 1
) -> bytes:
    """An image as include/image.h of U-Boot describes it."""
    rest = struct.pack(">5I4B32s", 1, len(data), 0x80001000, 0x80300000, zlib.crc32(data), 5, 5, kind, packed, name)
    return magic + struct.pack(">I", zlib.crc32(magic + bytes(4) + rest)) + rest + data


def seeds() -> list[bytes]:
    parts = [b"kernel" * 50, b"ramdisk!" * 30, b"fdt" * 20]
    table = b"".join(struct.pack(">I", len(each)) for each in parts) + bytes(4)
    multi = table + b"".join(each + bytes(-len(each) % 4) for each in parts)
    script = struct.pack(">II", 11, 0) + b"echo hello\n"
    return [uimage(KERNEL), uimage(multi, 4), uimage(script, 6), uimage(KERNEL, magic=b"3700")]


@pytest.mark.parametrize("image", seeds())
def test_images_of_an_independent_writer_are_read(image):
    container = UIMAGE.open(Memory(b"?" + image + b"?"), 1)
    assert (container.size, container.problems) == (len(image), [])


def contents(container) -> dict[str, bytes]:
    found = {}
    for entry in container.entries:
        source = entry.open()
        found[entry.path] = source.read(0, source.size)
    return found


def test_fields_and_payload_of_a_kernel_image_are_read(kernel_image):
    container = UIMAGE.open(Memory(b"boot" * 16 + kernel_image + b"\xff" * 99), 64)
    detail = container.detail
    assert container.size == len(kernel_image)
    assert contents(container) == {"kernel": KERNEL}
    assert (detail["name"], detail["os"], detail["architecture"], detail["type"]) == ("MIPS Linux-5.4", "Linux", "MIPS", "kernel")
    assert (detail["compression"], detail["load_address"], detail["entry_point"]) == ("gzip", "0x80001000", "0x80300000")
    assert (detail["integrity"], container.problems) == ("checksum", [])


def test_offset_of_the_payload_is_that_of_its_bytes(kernel_image):
    image = b"\0" * 128 + kernel_image
    (entry,) = UIMAGE.open(Memory(image), 128).entries
    assert image[entry.offset : entry.offset + entry.size] == KERNEL


def test_every_part_of_a_multi_file_image_is_given(tmp_path):
    for name, content in (("a", KERNEL), ("b", b"ramdisk" * 33), ("c", b"\xd0\x0d\xfe\xed" + bytes(37))):
        (tmp_path / name).write_bytes(content)
    image = mkimage(tmp_path, "-A", "arm", "-O", "linux", "-T", "multi", "-C", "none", "-n", "all", "-d", "a:b:c")
    container = UIMAGE.open(Memory(image), 0)
    parts = contents(container)
    assert parts == {"image-0": KERNEL, "image-1": b"ramdisk" * 33, "image-2": b"\xd0\x0d\xfe\xed" + bytes(37)}
    assert not container.problems


def test_the_text_of_a_script_is_given_without_its_table(tmp_path):
    (tmp_path / "boot.cmd").write_text("setenv bootargs console=ttyS0\nbootm 80000000\n")
    image = mkimage(tmp_path, "-A", "arm", "-T", "script", "-C", "none", "-n", "boot", "-d", "boot.cmd")
    assert contents(UIMAGE.open(Memory(image), 0)) == {"script": b"setenv bootargs console=ttyS0\nbootm 80000000\n"}


def test_a_wrong_data_crc_is_a_problem(kernel_image):
    hurt = bytearray(kernel_image)
    hurt[200] ^= 1
    container = UIMAGE.open(Memory(hurt), 0)
    assert any("data CRC32" in problem for problem in container.problems)
    assert "wrong" in container.detail["integrity_detail"]


def test_a_wrong_header_crc_is_no_uimage(kernel_image):
    for at in (4, 9, 12, 30, 63):
        hurt = bytearray(kernel_image)
        hurt[at] ^= 1
        with pytest.raises(FormatError):
            UIMAGE.open(Memory(hurt), 0)


def with_header_crc(image: bytearray) -> bytearray:
    image[4:8] = bytes(4)
    image[4:8] = struct.pack(">I", zlib.crc32(image[:64]))
    return image


@pytest.mark.parametrize("size", [1 << 20, 0xFFFFFFFF])
def test_a_size_beyond_the_source_is_cut_and_told(kernel_image, size):
    image = bytearray(kernel_image)
    image[12:16] = struct.pack(">I", size)
    container = UIMAGE.open(Memory(with_header_crc(image)), 0)
    assert container.size == len(image)
    assert container.problems
    assert contents(container) == {"kernel": KERNEL}


def test_a_vendor_magic_is_read_when_the_header_crc_fits(kernel_image):
    image = bytearray(kernel_image)
    image[:4] = b"3700"
    assert contents(UIMAGE.open(Memory(with_header_crc(image)), 0)) == {"kernel": KERNEL}


@pytest.mark.parametrize("table", [[0xFFFFFFFF, 5, 0], [10, 20, 30, 40], list(range(1, 200)), [0]])
def test_a_lying_length_table_stays_inside_the_image(kernel_image, table):
    body = b"".join(struct.pack(">I", each) for each in table)
    image = bytearray(kernel_image[:64] + body)
    image[12:16] = struct.pack(">I", len(body))
    image[30] = 4
    container = UIMAGE.open(Memory(with_header_crc(image)), 0)
    assert sum(map(len, contents(container).values())) <= len(body)


def test_truncation_anywhere_raises_nothing_else(kernel_image):
    for length in [*range(70), len(kernel_image) - 1]:
        try:
            UIMAGE.open(Memory(kernel_image[:length]), 0)
        except FormatError:
            assert length <= 64


@pytest.mark.fuzz
def test_mutations_with_a_right_header_crc_raise_nothing_else(kernel_image):
    randomness = random.Random(11)
    for _ in range(2000):
        image = bytearray(kernel_image)
        for _ in range(randomness.randint(1, 6)):
            image[randomness.randrange(90)] = randomness.randrange(256)
        image[:4] = b"\x27\x05\x19\x56"
        try:
            container = UIMAGE.open(Memory(with_header_crc(image)), 0)
            assert sum(map(len, contents(container).values())) <= container.size <= len(image)
        except ExtractionError:
            continue


@pytest.mark.corpus
def test_the_kernel_of_a_real_camera_is_found():
    path = CORPUS / "cam-sannce_sannce-flash8m.bin"
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    container = UIMAGE.open(Mapped.open(path), 0x40000)
    assert (container.detail["name"], container.problems) == ("Linux-3.10.14", [])


def test_a_script_is_a_file_and_no_unknown_region():
    script = struct.pack(">II", 11, 0) + b"echo hello\n"
    [entry] = UIMAGE.open(Memory(uimage(script, 6, packed=0)), 0).entries
    assert (entry.path, entry.role) == ("script", "file")
