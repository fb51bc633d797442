"""zImage: the packed kernel lies exactly where the image says, whatever it is packed with."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
from pathlib import Path

import pytest
from support.kernel_images import zimage

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.zimage import FORMATS
from fwcheck.extraction.source import Mapped, Memory

ZIMAGE = FORMATS[0]
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "open"
KERNEL = b"".join(b"symbol_%d\0" % (i * i) for i in range(3000))


def packed(method: str) -> bytes:
    """The kernel as scripts/Makefile.lib packs it: everything but gzip has the unpacked size behind it."""
    size = struct.pack("<I", len(KERNEL))
    return {
        "gzip": lambda: gzip.compress(KERNEL, 9, mtime=0),
        "xz": lambda: lzma.compress(KERNEL, check=lzma.CHECK_CRC32) + size,
        "lzma": lambda: lzma.compress(KERNEL, lzma.FORMAT_ALONE) + size,
        "bzip2": lambda: bz2.compress(KERNEL) + size,
    }[method]()


def seeds() -> list[bytes]:
    return [zimage(packed("gzip")), zimage(packed("xz"), ">"), zimage(packed("lzma"), table=False)]


def pieces(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("method", ["gzip", "xz", "lzma", "bzip2"])
def test_the_packed_kernel_is_cut_out_exactly(method, order):
    image = zimage(packed(method), order)
    container = ZIMAGE.open(Memory(b"\x55" * 64 + image + b"after"), 64)
    assert container.size == len(image)
    found = pieces(container)
    assert found["kernel"] == packed(method)
    assert b"".join(found.values()) == image
    assert (container.detail["compression"], container.detail["byte_order"]) == (method, "little" if order == "<" else "big")
    assert not container.problems


def test_without_a_table_the_kernel_reaches_to_the_end():
    image = zimage(packed("gzip"), table=False)
    found = pieces(ZIMAGE.open(Memory(image), 0))
    assert found["kernel"].startswith(packed("gzip"))
    assert b"".join(found.values()) == image


def test_an_appended_device_tree_is_told_and_not_claimed():
    image = zimage(packed("xz"))
    container = ZIMAGE.open(Memory(image + b"\xd0\x0d\xfe\xed" + bytes(60)), 0)
    assert container.size == len(image)
    assert container.detail["appended_device_tree"] == "yes"


def test_a_cut_image_is_told():
    image = zimage(packed("gzip"))[:-100]
    container = ZIMAGE.open(Memory(image), 0)
    assert container.size == len(image)
    assert container.problems


def test_a_chance_magic_is_refused():
    image = bytearray(zimage(bytes(4000)))
    image[0x30:0x34] = bytes(4)
    with pytest.raises(FormatError):
        ZIMAGE.open(Memory(image), 0)


def test_the_table_may_lie():
    image = bytearray(zimage(packed("gzip")))
    struct.pack_into("<I", image, 0x38, 0x50)
    struct.pack_into("<I", image, 0x50, 0xFFFFFFF0)
    assert b"".join(pieces(ZIMAGE.open(Memory(image), 0)).values()) == bytes(image)


@pytest.mark.corpus
def test_a_real_kernel_is_found_to_the_byte():
    path = CORPUS / "deb-kernel-armmp_vmlinuz-6.1.0-50-armmp"
    if not path.exists():
        pytest.skip("the shared corpus is not here")
    container = ZIMAGE.open(Mapped.open(path), 0)
    assert container.size == path.stat().st_size
    assert [(each.path, each.offset, each.size) for each in container.entries] == [
        ("stub", 0, 59045),
        ("kernel", 59045, 5386704),
        ("stub-data", 5445749, 2443),
    ]
    assert (container.detail["compression"], container.detail["efi_stub"]) == ("xz", "yes")
