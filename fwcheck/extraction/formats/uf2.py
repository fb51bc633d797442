"""UF2: blocks of 512 bytes that a boot loader takes as a file on a USB disk (Microsoft, github.com/microsoft/uf2).

A block, little-endian: u32 magic 0x0A324655, u32 magic 0x9E5D5157, u32 flags, u32 address, u32 payload size (up to 476), u32
number, u32 blocks of the file, u32 family (or size of the file), 476 bytes data, u32 magic 0x0AB16F30. Flags: 0x1 not for the
main flash, 0x1000 file container (the address is an offset in a file whose name follows the payload), 0x2000 the family is
given, 0x4000 the last 24 bytes of the data are address, length and MD5 of a range of flash, 0x8000 tags follow the payload (u8
size of the whole tag, u24 type, value, filled to four bytes). Blocks may come in any order, and of several families one behind
the other.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._memory_image import ranges
from fwcheck.extraction.formats._parts import words
from fwcheck.extraction.formats._uf2_families import FAMILIES
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import decoded, member_path, note
from fwcheck.extraction.source import ByteSource, Joined

_BLOCK: Final = 512
_HEADER = struct.Struct("<8I")
_MAGICS = (0x0A324655, 0x9E5D5157)
_END: Final = b"\x30\x6f\xb1\x0a"
_DATA_LIMIT: Final = 476
_NOT_FLASH, _FILES, _FAMILY, _MD5, _TAGS = 0x1, 0x1000, 0x2000, 0x4000, 0x8000
_TAG_NAMES = {0x9FC7BC: "version", 0x650D9D: "device"}
_PAGE_SIZE, _HASH, _DEVICE = 0x0BE9F7, 0xB46DB0, 0xC8A729


class _Block(msgspec.Struct, frozen=True):
    flags: int
    address: int
    number: int
    count: int
    family: int
    at: int  # of the payload, in the source
    size: int


class Uf2(Format):
    """UF2 file; each contiguous range of memory of each family is a part, files of a file container are members."""

    name = "uf2"
    title = "UF2 (USB flashing format)"
    specification = "github.com/microsoft/uf2: README.md, utils/uf2families.json"
    category = "microcontroller"
    reads = "blocks in any order, several families, file containers, MD5 of ranges recomputed, extension tags"
    not_read = ""
    signatures = (Signature(pattern=rb"UF2\n\x57\x51\x5d\x9e", width=8),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        blocks: list[_Block] = []
        detail: dict[str, str | int] = {}
        problems: list[str] = []
        sums: dict[tuple[int, int, int], bytes] = {}
        at = offset
        while len(blocks) < limits.nodes and (block := _block(source, at)) is not None:
            if block.flags & _MD5:
                address, length, md5 = struct.unpack("<II16s", source.view(at + 484, 24))
                sums[block.family, address, length] = md5
            if block.flags & _TAGS:
                _tags(source.read(block.at + block.size, _DATA_LIMIT - block.size), detail)
            blocks.append(block)
            at += _BLOCK
        if not blocks:
            raise FormatError("not a UF2 block")
        entries: list[Entry] = []
        families = dict.fromkeys(each.family for each in blocks)
        for family in families:
            mine = [each for each in blocks if each.family == family and not each.flags & _FILES]
            absent = mine[0].count - len({each.number for each in mine}) if mine else 0
            if absent > 0:
                note(problems, f"{absent} blocks of family {_name(family)} are missing")
            prefix = f"{_name(family)}-" if len(families) > 1 else ""
            pieces = [(each.address, source.window(each.at, each.size)) for each in mine if not each.flags & _NOT_FLASH]
            entries += ranges(pieces, problems, prefix)
        entries += _files(source, [each for each in blocks if each.flags & _FILES])
        checked = [_sum(entries, address, md5, length, problems) for (_, address, length), md5 in sums.items()]
        detail |= {
            "families": ", ".join(_name(family) for family in families),
            "blocks": len(blocks),
            "integrity": "hash" if checked else "none",
            "integrity_detail": f"{checked.count(True)} of {len(checked)} MD5 right" if checked else "no checksum",
        }
        return Container(format=self.name, size=at - offset, entries=entries, detail=detail, problems=problems)


def _name(family: int) -> str:
    return FAMILIES.get(family, f"0x{family:08x}") if family else "unspecified"


def _block(source: ByteSource, at: int) -> _Block | None:
    raw = source.peek(at, _BLOCK)
    if len(raw) < _BLOCK or raw[508:] != _END:
        return None
    first, second, flags, address, size, number, count, family = _HEADER.unpack_from(raw)
    if (first, second) != _MAGICS or size > _DATA_LIMIT or number >= max(count, 1):
        return None
    return _Block(flags, address, number, count, family if flags & _FAMILY else 0, at + 32, size)


def _tags(raw: bytes, detail: dict[str, str | int]) -> None:
    at = 0
    while at + 4 <= len(raw) and raw[at] >= 4:
        kind, value = int.from_bytes(raw[at + 1 : at + 4], "little"), raw[at + 4 : at + raw[at]]
        if kind in _TAG_NAMES:
            detail[_TAG_NAMES[kind]] = words(value)
        elif kind == _PAGE_SIZE:
            detail["page_size"] = int.from_bytes(value[:4], "little")
        elif kind == _HASH:
            detail["sha256"] = value.hex()
        elif kind == _DEVICE:
            detail["device_id"] = value[:8][::-1].hex()
        at += raw[at] + -raw[at] % 4


def _files(source: ByteSource, blocks: list[_Block]) -> list[Entry]:
    """The members of a file container: pieces by file, in the order of their offsets."""
    held: dict[bytes, list[_Block]] = {}
    for each in blocks:
        name = source.read(each.at + each.size, _DATA_LIMIT - each.size).split(b"\0", 1)[0]
        held.setdefault(name, []).append(each)
    out: list[Entry] = []
    for name, pieces in held.items():
        ordered = sorted(pieces, key=lambda each: each.address)
        content = Joined([source.window(each.at, each.size) for each in ordered])
        path, _ = member_path(decoded(name))
        out.append(Entry(path=path, size=content.size, locality=ordered[0].at, open=lambda content=content: content))  # type: ignore[misc]
    return out


def _sum(entries: list[Entry], address: int, md5: bytes, length: int, problems: list[str]) -> bool:
    for entry in entries:
        begin = address - int(str(entry.detail.get("address", "0x0")), 16)
        if "address" in entry.detail and entry.open is not None and begin >= 0 and begin + length <= entry.size:
            state = hashlib.md5(usedforsecurity=False)
            for chunk in entry.open().window(begin, length).chunks():
                state.update(chunk)
            if state.digest() == md5:
                return True
    note(problems, f"wrong MD5 of 0x{address:x}+0x{length:x}")
    return False


FORMATS = (Uf2(),)
