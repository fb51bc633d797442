"""Linux programs packed with UPX (UPX sources, linux.hh and p_lx_elf: the layout, not the code).

Behind the program headers of the ELF file: checksum, ``UPX!``, size of the loader (16 bits), version, format; program
id, size of the original file, block size; then blocks: unpacked size, packed size (32 bits in the byte order of the
CPU), method, filter, parameter, a zero, the data. A block that is stored has two equal sizes; an unpacked size of 0
ends. LZMA data begin with two bytes: lc + lp and pb, lp and lc.
"""

from __future__ import annotations

import contextlib
import lzma
import struct
import zlib
from collections.abc import Iterator
from functools import partial

import msgspec

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats import _nrv, elf
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool

_PLACES = (88, 120, 124, 152, 180, 184, 216, 236, 292)  # of "UPX!" behind one to five program headers of either class
_METHODS = {
    2: ("NRV2B", "b", 4), 3: ("NRV2B", "b", 1), 4: ("NRV2B", "b", 2),
    5: ("NRV2D", "d", 4), 6: ("NRV2D", "d", 1), 7: ("NRV2D", "d", 2),
    8: ("NRV2E", "e", 4), 9: ("NRV2E", "e", 1), 10: ("NRV2E", "e", 2),
    14: ("LZMA", "", 0), 15: ("deflate", "", 0),
}  # fmt: skip
_BLOCK = struct.Struct("IIBBBB")
_BLOCKS_LIMIT = 4096
_SIZE_LIMIT = 256 << 20
_SLOW_LIMIT = 8 << 20  # unpacked bytes of NRV, which is decoded in Python
_TRAILER = 36  # header at the end and the offset behind it
_NEAR = 128 << 10


class _Block(msgspec.Struct, frozen=True):
    at: int
    unpacked: int
    packed: int
    method: int
    filter: int


class Upx(Format):
    """UPX-packed Linux program; its blocks, unpacked one behind the other, are one piece of code."""

    name = "upx"
    title = "UPX-packed Linux program (ELF)"
    specification = "UPX 3 and 4, linux.hh, p_lx_elf"
    category = "stream"
    reads = "ELF files of both classes and byte orders, LZMA, NRV2B, NRV2D, NRV2E, deflate and stored blocks"
    not_read = (
        "the original file to the byte: call filters are not undone and gaps between segments not refilled; Zstandard; "
        "kernels and Windows programs; more than 8 MiB of NRV; changed marks"
    )
    signatures = tuple(Signature(pattern=rb"UPX![\x00-\xff]{2}[\x09-\x0f]", width=7, offset=place) for place in _PLACES)
    priority = 25

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        head = source.peek(offset, 512)
        place = next((at for at in _PLACES if head[at : at + 4] == b"UPX!"), None)
        if head[:4] != b"\x7fELF" or place is None or head[5] not in {1, 2} or len(head) < place + 20:
            raise FormatError("not a UPX-packed ELF file")
        order = "<" if head[5] == 1 else ">"
        loader, version, form = struct.unpack_from(order + "HBB", head, place + 4)
        _, original, block = struct.unpack_from(order + "III", head, place + 8)
        blocks = list(_blocks(source, offset + place + 20, order, block))
        if not blocks or not 0 < original <= _SIZE_LIMIT:
            raise FormatError("no blocks behind the mark of UPX")
        size = _extent(source, offset, blocks)
        total = sum(each.unpacked for each in blocks)
        methods = sorted({_METHODS[each.method][0] for each in blocks if each.packed < each.unpacked})
        entry = Entry(
            path="unpacked",
            size=total,
            locality=offset,
            detail={"note": "blocks one behind the other, call filters not undone"},
            open=partial(_unpacked, source, blocks, limits),
        )
        return Container(
            format=self.name,
            size=size,
            entries=[entry],
            detail={
                "method": ", ".join(methods) or "stored",
                "filter": f"0x{max(each.filter for each in blocks):02x}",
                "original_size": original,
                "packer_version": version,
                "format": form,
                "loader_size": loader,
                "byte_order": "little" if order == "<" else "big",
                "integrity": "checksum",
                "integrity_detail": "Adler-32 of the packer (not checked)",
            },
        )


def _blocks(source: ByteSource, at: int, order: str, most: int) -> Iterator[_Block]:
    layout = struct.Struct(order + _BLOCK.format)
    for _ in range(_BLOCKS_LIMIT):
        raw = source.peek(at, layout.size)
        if len(raw) < layout.size:
            return
        unpacked, packed, method, kind, _, _ = layout.unpack(raw)
        at += layout.size
        if not unpacked or not 0 < packed <= unpacked <= min(most, _SIZE_LIMIT) or at + packed > source.size:
            return
        if method not in _METHODS and packed < unpacked:
            return
        yield _Block(at, unpacked, packed, method, kind)
        at += packed


def _extent(source: ByteSource, offset: int, blocks: list[_Block]) -> int:
    """Behind the segments of the packed file, or behind the header that UPX leaves at the end."""
    last = blocks[-1]
    end = last.at + last.packed
    with contextlib.suppress(FormatError):
        end = max(end, offset + elf.FORMATS[0].open(source, offset).size)
    near = source.peek(last.at + last.packed, _NEAR)
    trailer = near.rfind(b"UPX!")
    if trailer >= 0:
        end = max(end, min(last.at + last.packed + trailer + _TRAILER, source.size))
    return end - offset


def _unpacked(source: ByteSource, blocks: list[_Block], limits: Limits) -> ByteSource:
    packed = sum(block.packed for block in blocks)
    slow = sum(block.unpacked for block in blocks if block.packed < block.unpacked and _METHODS[block.method][1])
    if slow > _SLOW_LIMIT:
        raise QuotaExceeded(f"{slow} bytes packed with NRV: more than {_SLOW_LIMIT} are not unpacked")
    return spool(bounded((_content(source, block) for block in blocks), packed, limits))


def _content(source: ByteSource, block: _Block) -> bytes:
    data = source.read(block.at, block.packed)
    if block.packed == block.unpacked:
        return data
    name, variant, width = _METHODS[block.method]
    if variant:
        return _nrv.unpack(data, block.unpacked, variant, width)
    try:
        out = _lzma(data, block.unpacked) if name == "LZMA" else zlib.decompressobj(-15).decompress(data, block.unpacked)
    except (lzma.LZMAError, zlib.error, MemoryError) as error:
        raise FormatError(f"a block of UPX: {error}") from error
    if len(out) != block.unpacked:
        raise FormatError(f"a block of UPX: {block.unpacked} bytes announced, {len(out)} came out")
    return out


def _lzma(data: bytes, size: int) -> bytes:
    if len(data) < 3:
        raise FormatError("an LZMA block of UPX without its properties")
    position, literal = data[0] & 7, data[1]
    context, places = literal & 15, literal >> 4
    if position > 4 or context > 8 or places > 4:
        raise FormatError("a block of UPX with impossible LZMA properties")
    properties = (position * 5 + places) * 9 + context
    dictionary = 1 << max(12, (size - 1).bit_length())
    header = struct.pack("<BIQ", properties, dictionary, size)
    return lzma.LZMADecompressor(lzma.FORMAT_ALONE, 2 * _SIZE_LIMIT).decompress(header + data[2:], size)


FORMATS = (Upx(),)
