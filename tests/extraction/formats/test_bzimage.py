"""bzImage: the packed kernel lies where the boot protocol says, the version is told, the CRC32 is checked."""

from __future__ import annotations

import gzip
import struct
import zlib

import pytest
from support.kernel_images import bzimage

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.bzimage import FORMATS
from fwcheck.extraction.source import Memory

BZIMAGE = FORMATS[0]
KERNEL = b"".join(b"symbol_%d\0" % (i * i) for i in range(3000))
PACKED = gzip.compress(KERNEL, 9, mtime=0)


def seeds() -> list[bytes]:
    return [bzimage(PACKED), bzimage(PACKED, protocol=0x205)]


def pieces(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


def test_the_packed_kernel_is_cut_out_exactly():
    image = bzimage(PACKED)
    container = BZIMAGE.open(Memory(b"\xaa" * 512 + image + b"after"), 512)
    found = pieces(container)
    assert container.size == len(image)
    assert found["kernel"] == PACKED
    assert b"".join(found.values()) == image
    assert not container.problems
    detail = container.detail
    assert detail["version"] == "6.1.0-test (me@host) #1 SMP"
    assert (detail["protocol"], detail["cmdline_size"], detail["compression"]) == ("2.15", 2047, "gzip")
    assert detail["integrity_detail"] == "CRC32 of the build tool right"
    assert "above 4 GiB" in detail["extended_flags"]


def test_an_old_protocol_is_searched_for_the_kernel():
    image = bzimage(PACKED, protocol=0x205)
    found = pieces(BZIMAGE.open(Memory(image), 0))
    assert found["kernel"].startswith(PACKED)
    assert b"".join(found.values()) == image


def test_a_checksum_that_is_not_there_is_not_claimed():
    container = BZIMAGE.open(Memory(bzimage(PACKED, crc=False)), 0)
    assert container.detail["integrity"] == "none"


def test_a_payload_outside_is_told_and_searched_for():
    image = bytearray(bzimage(PACKED))
    struct.pack_into("<I", image, 0x24C, 0x7FFFFFFF)
    container = BZIMAGE.open(Memory(image), 0)
    assert pieces(container)["kernel"].startswith(PACKED)
    assert container.problems


def test_the_last_unit_of_16_bytes_need_not_be_full():
    image = bzimage(PACKED, crc=False)[:-7]
    container = BZIMAGE.open(Memory(image), 0)
    assert (container.size, container.problems) == (len(image), [])
    assert BZIMAGE.open(Memory(image[:-9]), 0).problems


def test_a_cut_kernel_is_told():
    image = bzimage(PACKED)[:-2000]
    container = BZIMAGE.open(Memory(image), 0)
    assert container.size == len(image)
    assert container.problems


def test_a_boot_sector_without_kernel_is_refused():
    for image in (bzimage(PACKED)[:0x400], bytes(0x1FE) + b"\x55\xaa\xeb\x10HdrT" + bytes(4096)):
        with pytest.raises(FormatError):
            BZIMAGE.open(Memory(image), 0)


def test_checksum_is_the_one_of_the_build_tool():
    image = bzimage(PACKED)
    assert zlib.crc32(image) ^ 0xFFFFFFFF == 0  # the writer, by the rule the kernel's tool states: the whole file comes to zero
