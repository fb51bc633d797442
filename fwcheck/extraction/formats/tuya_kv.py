"""Tuya's storage of settings (KV storage) on Beken, Realtek and other chips: Wi-Fi passphrase, keys of the cloud, by name.

Blocks of 4,096 bytes under AES-128-ECB. The first one is under a key that all devices share: u32 0x13579753, u32 sum of the
bytes of the device's own key, that key (16), 0xFF. The others are under a key made of the device's and a constant: u32
0x98761234 or 0x135726AB, u32 sum of all bytes that follow, u16 number of the block, u32, u8 length of a bitmap and the bitmap,
which says which of the 31 pages of 128 bytes behind are index pages. An index page: u32 CRC, u32 length of the value, u16 number
of its block, u8 of its page, u16 pieces, u32 element, u8 length of the name, name with NUL, pieces of u16 block, u8 first and u8
last page. All numbers are little-endian. Source: bk7231tools (kvstorage).

The shared key is in every device and in public tools; values are read where published keys are asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from typing import Final

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._decrypt import encrypted
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import member_path, note
from fwcheck.extraction.source import ByteSource, Memory
from fwcheck.model import NodeKind

_BLOCK: Final = 4096
_PAGE: Final = 128
_PAGES: Final = 31
_MOST_BLOCKS: Final = 64
_MOST_PARTS: Final = 32
_VALUE_LIMIT: Final = 64 << 10
_SHARED, _MIXED, _ADDED = b"qwertyuiopasdfgh", b"8710", b"HHRRQbyemofrtytf"
_FIRST, _NEXT = 0x13579753, (0x98761234, 0x135726AB)
_SCHEME = "AES-128-ECB, Tuya KV storage"
_BLANK = b"\x46\xdc\xed\x0e\x67\x2f\x3b\x70\xae\x12\x76\xa3\xf8\x71\x2e\x03"  # 0xFF under the shared key
_INDEX = struct.Struct("<IIHBHIB")


class _Index(msgspec.Struct, frozen=True):
    name: str
    length: int
    parts: tuple[tuple[int, int, int], ...]  # block, first page, last page
    offset: int


class TuyaKv(Format):
    """Tuya KV storage; every stored value is a member."""

    name = "tuya-kv"
    title = "Tuya storage of settings (KV storage)"
    specification = "bk7231tools: kvstorage"
    category = "microcontroller"
    reads = "blocks by their marks and sums; where published keys are asked for, all values by their names"
    not_read = "the older form of one protected block; swap blocks; values without --published-keys (told)"
    signatures = (Signature(pattern=b"".join(b"\\x%02x" % byte for byte in _BLANK * 2), width=32, offset=32),)
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        first = _plain(source.read(offset, _BLOCK), _SHARED)
        magic, total = struct.unpack_from("<II", first)
        if magic != _FIRST or total != sum(first[8:24]) or first[24:] != b"\xff" * (_BLOCK - 24):
            raise FormatError("not the first block of a Tuya storage")
        key = bytes((_MIXED[i & 3] + _ADDED[i] + first[8 + i]) & 0xFF for i in range(16))
        blocks: dict[int, tuple[int, bytes]] = {}
        problems: list[str] = []
        at = offset + _BLOCK
        while at + _BLOCK <= source.size and (at - offset) // _BLOCK <= _MOST_BLOCKS:
            raw = source.read(at, _BLOCK)
            if struct.unpack_from("<I", _plain(raw[:16], key))[0] not in _NEXT:
                break
            plain = _plain(raw, key)
            if struct.unpack_from("<I", plain, 4)[0] != sum(plain[8:]) & 0xFFFFFFFF:
                note(problems, "wrong sum of a block of the Tuya storage")
            blocks.setdefault(struct.unpack_from("<H", plain, 8)[0], (at, plain))
            at += _BLOCK
        detail: dict[str, str | int] = {"blocks": (at - offset) // _BLOCK, "encryption": _SCHEME}
        if not limits.published_keys:
            entries = [encrypted(source, offset, at - offset, _SCHEME)]
            return Container(format=self.name, size=at - offset, entries=entries, detail=detail, problems=problems)
        members = list(_members(blocks, limits, problems))
        detail["values"] = len(members)
        return Container(format=self.name, size=at - offset, entries=members, detail=detail, problems=problems)


def _plain(raw: bytes, key: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.ECB()).decryptor().update(raw)  # noqa: S305  # what the devices use


def _members(blocks: dict[int, tuple[int, bytes]], limits: Limits, problems: list[str]) -> Iterator[Entry]:
    seen: set[str] = set()
    for number, (at, plain) in blocks.items():
        for index in _indices(number, at, plain):
            if index.name in seen or len(seen) >= limits.nodes:
                continue
            seen.add(index.name)
            value = _value(index, blocks)
            if len(value) < index.length:
                note(problems, "a value of the Tuya storage is not all there")
            path, _ = member_path(index.name.replace("/", "_"))
            data = value.rstrip(b"\0")
            yield Entry(path=path, kind=NodeKind.FILE, size=len(data), locality=index.offset, open=partial(Memory, data))


def _indices(number: int, at: int, plain: bytes) -> Iterator[_Index]:
    """The index pages of a block that name its own number and their place in it."""
    width = min(plain[14], 16)
    marks = plain[15 : 15 + width]
    for page in range(1, _PAGES + 1):
        if page // 8 >= width or not marks[page // 8] >> page % 8 & 1:
            continue
        raw = plain[page * _PAGE : (page + 1) * _PAGE]
        _, length, block, own, count, _, name_length = _INDEX.unpack_from(raw)
        parts_at = _INDEX.size + name_length
        name = raw[_INDEX.size : parts_at].split(b"\0", 1)[0]
        if block != number or own != page or not name.isascii() or not name or not 1 <= count <= _MOST_PARTS:
            continue
        if length > _VALUE_LIMIT or parts_at + 4 * count > _PAGE:
            continue
        parts = tuple(struct.unpack_from("<HBB", raw, parts_at + 4 * each) for each in range(count))
        yield _Index(name.decode(), length, parts, at + page * _PAGE)


def _value(index: _Index, blocks: dict[int, tuple[int, bytes]]) -> bytes:
    value = bytearray()
    for block, first, last in index.parts:
        if block in blocks and 1 <= first <= last <= _PAGES and len(value) < index.length:
            value += blocks[block][1][first * _PAGE : (last + 1) * _PAGE]
    return bytes(value[: index.length])


FORMATS = (TuyaKv(),)
