"""Writers of executables and kernels for tests, after the specifications: PE files, zImage, bzImage."""

from __future__ import annotations

import hashlib
import struct
import zlib


def pe(
    sections: list[tuple[bytes, bytes]],
    machine: int = 0x8664,
    plus: bool = True,
    signed: str = "",
    dos: bytes = b"",
) -> bytes:
    """A PE file with these sections; ``signed`` names the digest of an Authenticode blob (without a real signature)."""
    optional_size = (112 if plus else 96) + 16 * 8
    begin = len(dos) if dos else 64
    headers = begin + 24 + optional_size + 40 * len(sections)
    headers += -headers % 512
    at, table, body = headers, b"", b""
    for name, data in sections:
        raw = data + bytes(-len(data) % 512)
        table += struct.pack("<8sIIIIIIHHI", name, len(data), at, len(raw), at, 0, 0, 0, 0, 0x60000020)
        body, at = body + raw, at + len(raw)
    optional = bytearray(optional_size)
    struct.pack_into("<H", optional, 0, 0x20B if plus else 0x10B)
    struct.pack_into("<I", optional, 16, headers)
    struct.pack_into("<II", optional, 56, at, headers)
    struct.pack_into("<H", optional, 68, 10)
    first = 112 if plus else 96
    struct.pack_into("<I", optional, first - 4, 16)
    if signed:
        struct.pack_into("<II", optional, first + 32, at, 8 + 200)
    head = bytearray((dos or b"MZ" + bytes(62)).ljust(64, b"\0"))
    struct.pack_into("<I", head, 0x3C, begin)
    coff = struct.pack("<HHIIIHH", machine, len(sections), 0, 0, 0, optional_size, 0x0206)
    image = (bytes(head) + b"PE\0\0" + coff + bytes(optional) + table).ljust(headers, b"\0") + body
    if not signed:
        return image
    skip = begin + 24 + 64, begin + 24 + first + 32
    digest = hashlib.new(signed, image[: skip[0]] + image[skip[0] + 4 : skip[1]] + image[skip[1] + 8 :]).digest()
    identifier = {"sha256": "300d06096086480165030402010500", "sha1": "300906052b0e03021a0500"}[signed]
    blob = bytes.fromhex("060a2b060104018237020104") + bytes(12) + bytes.fromhex(identifier) + bytes([4, len(digest)]) + digest
    return image + struct.pack("<IHH", 208, 0x200, 2) + blob.ljust(200, b"\0")


def te(data: bytes, machine: int = 0x8664) -> bytes:
    """A TE image with one section, whose PE headers were 0x1c0 bytes."""
    stripped, raw = 0x1C0, data + bytes(-len(data) % 32)
    at = stripped + 40  # where the section would begin in the PE file
    header = struct.pack("<2sHBBHIIQIIII", b"VZ", machine, 1, 11, stripped, 0x220, 0x220, 0xFFFC0000, 0, 0, 0, 0)
    return header + struct.pack("<8sIIIIIIHHI", b".text", len(data), 0x220, len(raw), at, 0, 0, 0, 0, 0x60000020) + raw


def zimage(packed: bytes, order: str = "<", table: bool = True, stub: int = 400, tail: bytes = b"\1\2\3\4" * 20) -> bytes:
    """An ARM zImage around a packed kernel, as the linker script of arch/arm/boot/compressed lays it out."""
    nops = struct.pack(order + "8I", *[0xE1A00000] * 8)
    table_at = 0x40 + stub
    kernel_at = table_at + 28
    end = kernel_at + len(packed) + len(tail)
    tail += bytes(-end % 4)
    end += -end % 4
    words = [0xEA000003, 0x016F2818, 0, end, 0x04030201]
    words += [0x45454545, table_at, 0] if table else [0, 0, 0]
    tags = struct.pack(order + "7I", 6, 0x5A534C4B, kernel_at + len(packed) - 4, 0x1000, 0x8000, 0x10000, 0)
    return nops + struct.pack(order + "8I", *words) + b"\x0a\x0b\x0c\x0d" * (stub // 4) + tags + packed + tail


def bzimage(packed: bytes, version: bytes = b"6.1.0-test (me@host) #1 SMP", protocol: int = 0x20F, crc: bool = True) -> bytes:
    """An x86 bzImage: setup of two sectors behind the boot sector, 700 bytes of stub, the packed kernel, 90 bytes behind it."""
    setup = bytearray(3 * 512)
    system = b"\xfc\x90" * 350 + packed + b"\x90" * 90
    system += bytes(-(len(system) + 4) % 16)
    setup[0x1F1] = 2
    struct.pack_into("<I", setup, 0x1F4, (len(system) + 4) // 16)
    setup[0x1FE:0x202] = b"\x55\xaa\xeb\x6a"
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", setup, 0x206, protocol)
    struct.pack_into("<H", setup, 0x20E, 0x100)
    setup[0x211] = 1
    struct.pack_into("<HI", setup, 0x236, 0x3F, 2047)
    if protocol >= 0x208:
        struct.pack_into("<II", setup, 0x248, 700, len(packed))
    struct.pack_into("<QI", setup, 0x258, 0x1000000, 0x2000000)
    setup[0x300 : 0x301 + len(version)] = version + b"\0"
    image = bytes(setup) + system
    return image + struct.pack("<I", zlib.crc32(image) ^ 0xFFFFFFFF if crc else 0)
