"""Linux Image: ARM64 and RISC-V headers, and the extent that the PE header of the EFI stub gives."""

from __future__ import annotations

import gzip
import lzma
import random
import struct

import pytest
from support.kernel_images import pe

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.formats.linux_image import FORMATS
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import Memory

IMAGE = FORMATS[0]
CODE = random.Random(1).randbytes(5000)


def header(size: int, arm: bool = True, pe_at: int = 0, first: bytes = b"\x4d\x5a\0\x91", flags: int = 0xA) -> bytes:
    if arm:
        return first + struct.pack("<IQQQQQQ4sI", 0x14000010, 0, size, flags, 0, 0, 0, b"ARM\x64", pe_at)
    return first + struct.pack("<IQQQIIQQ4sI", 0x100006F, 0x200000, size, 0, 2, 0, 0, 0x5643534952, b"RSC\x05", pe_at)


def plain(arm: bool = True) -> bytes:
    return header(64 + len(CODE), arm) + CODE


def with_stub() -> bytes:
    return pe([(b".text", CODE), (b".data", b"data" * 50)], 0xAA64, dos=header(1 << 20))


def seeds() -> list[bytes]:
    return [plain(), plain(arm=False), with_stub()]


@pytest.mark.parametrize("arm", [True, False])
def test_header_and_kernel_are_told_apart(arm):
    image = plain(arm)
    container = IMAGE.open(Memory(b"\1" * 128 + image + b"after"), 128)
    (kernel,) = container.entries
    assert container.size == len(image)
    assert kernel.open().read(0, kernel.size) == CODE
    assert container.detail["architecture"] == ("ARM64" if arm else "RISC-V")
    if arm:
        assert container.detail["page_size"] == "4 KiB"
    else:
        assert container.detail["header_version"] == "0.2"


def test_with_an_efi_stub_the_bss_is_not_claimed():
    image = with_stub()
    container = IMAGE.open(Memory(image + b"after" * 100_000), 0)
    assert container.size == len(image)
    assert container.detail["image_size"] == 1 << 20
    assert not container.problems


def test_a_size_beyond_the_source_is_clamped():
    image = header(1 << 24) + CODE
    assert IMAGE.open(Memory(image), 0).size == len(image)


@pytest.mark.parametrize("image", [header(1 << 40) + CODE, header(0)[:60], bytes(0x38) + b"ARM\x64" + bytes(900)])
def test_implausible_headers_are_refused(image):
    with pytest.raises(FormatError):
        IMAGE.open(Memory(image), 0)


@pytest.mark.parametrize("pack", [lzma.compress, gzip.compress, lambda data: lzma.compress(data, lzma.FORMAT_ALONE)])
def test_what_is_built_into_a_flat_kernel_is_found(pack):
    archive = b""
    for name, data in (("etc/passwd", b"root::0:0::/:/bin/sh\n" * 200), ("TRAILER!!!", b"")):
        fields = (1, 0o100644, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        archive += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        archive += bytes(-len(archive) % 4) + data
        archive += bytes(-len(archive) % 4)
    config = b"IKCFG_ST" + gzip.compress(b"# Linux/arm64 6.1.0 Kernel Configuration\nCONFIG_A=y\n", mtime=0) + b"IKCFG_ED"
    body = CODE + config + CODE[:999] + pack(archive) + CODE[:2000]
    found = Explorer(Limits()).explore(Memory(header(64 + len(body)) + body), ("image",), 0)
    paths = {item.node.path for item in found.items}
    assert {"config", "/etc/passwd"} <= paths
