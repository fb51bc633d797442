"""A Linux kernel as an ELF file: the initramfs and the configuration built into it are parts, other programs have none."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import struct

import pytest

from fwcheck.extraction.formats.elf import FORMATS
from fwcheck.extraction.source import Memory

ELF = FORMATS[0]
CODE = random.Random(5).randbytes(35_000)
CONFIG = b"IKCFG_ST" + gzip.compress(b"# Linux/mips 4.4.92 Kernel Configuration\nCONFIG_A=y\nCONFIG_B=m\n", mtime=0) + b"IKCFG_ED"
PACKERS = {"gzip": gzip.compress, "xz": lzma.compress, "bzip2": bz2.compress, "plain": lambda data: data}


def newc(names: tuple[str, ...] = ("init", "etc"), content: bytes = b"#!/bin/sh\n" * 30) -> bytes:
    out = b""
    for number, name in enumerate((*names, "TRAILER!!!")):
        data = b"" if name.startswith("TRAILER") else content
        fields = (number + 1, 0o100755, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return out


def kernel(initramfs: bytes, bits: int = 64, banner: bytes = b"Linux version 4.4.92 (me@host)\0") -> bytes:
    """A file with ``.rodata`` and ``.init.data``, and section headers at the end."""
    start = 64 if bits == 64 else 52
    rodata = banner + CONFIG + bytes(-len(banner + CONFIG) % 16)
    init = CODE[:404] + initramfs + bytes(200)
    strings = b"\0.text\0.rodata\0.init.data\0.shstrtab\0"
    places, body = [], b""
    for data in (CODE, rodata, init, strings):
        places.append((start + len(body), len(data)))
        body += data + bytes(-len(data) % 16)
    at = start + len(body)
    layout = "<IIQQQQIIQQ" if bits == 64 else "<10I"
    sections = struct.pack(layout, *[0] * 10)
    for name, kind, (where, size) in zip((b".text", b".rodata", b".init.data", b".shstrtab"), (1, 1, 1, 3), places, strict=True):
        sections += struct.pack(layout, strings.index(name + b"\0"), kind, 0, 0, where, size, 0, 0, 1, 0)
    ident = b"\x7fELF" + bytes([2 if bits == 64 else 1, 1, 1]) + bytes(9)
    header = struct.pack(
        "<HHIQQQIHHHHHH" if bits == 64 else "<HHIIIIIHHHHHH", 2, 62, 1, 0, 0, at, 0, start, 0, 0, len(sections) // 5, 5, 4
    )
    return ident + header + body + sections


def seeds() -> list[bytes]:
    return [kernel(gzip.compress(newc(), mtime=0)), kernel(newc(), 32)]


def contents(container) -> dict[str, bytes]:
    return {entry.path: entry.open().read(0, entry.size) for entry in container.entries}


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("method", PACKERS)
def test_what_is_built_in_comes_out(method, bits):
    packed = PACKERS[method](newc())
    image = kernel(packed, bits)
    container = ELF.open(Memory(b"\1" * 100 + image + b"after"), 100)
    found = contents(container)
    assert container.size == len(image)
    assert found["configuration"] == CONFIG
    assert found["initramfs"].startswith(packed)


def test_several_archives_are_told_apart():
    found = contents(ELF.open(Memory(kernel(newc() + bytes(8192) + newc(("other",)))), 0))
    assert (found["initramfs"][:6], found["initramfs-1"].count(b"other")) == (b"070701", 1)


@pytest.mark.parametrize("method", ["gzip", "xz"])
def test_a_loader_gives_the_kernel_it_carries(method):
    packed = PACKERS[method](b"".join(b"symbol_%d " % (i * i) for i in range(60_000)))
    image = kernel(packed, 32, banner=b"lzma-loader\0")
    found = contents(ELF.open(Memory(image), 0))
    assert found["kernel"].startswith(packed)


def test_other_programs_are_not_searched():
    image = kernel(newc(), banner=b"no kernel at all\0")
    assert contents(ELF.open(Memory(image), 0)) == {}
