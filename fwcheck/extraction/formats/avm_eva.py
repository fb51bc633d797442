"""AVM EVA kernel image (FRITZ!Box), little-endian: a record with an LZMA stream, then a record with the entry address.

    0  0xFEED1281             16 length packed             32 first of four bytes: dictionary size, after one of properties (28)
    4  length from 12 on      20 length unpacked           36 LZMA data
    8  load address           24 CRC-32 of the packed data

Behind it a number that makes the sum of length, load address and all bytes from 12 on zero, a zero and the entry address (OpenWrt
firmware-utils, lzma2eva; linux mtdsplit_eva).
"""

from __future__ import annotations

import lzma
import struct
from collections.abc import Iterator
from functools import partial

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import sum8, verdict
from fwcheck.extraction.formats._parts import crc32
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind

_HEADER = struct.Struct("<7I")
_MAGIC, _LZMA = 0xFEED1281, 0x075A0201
_DATA, _RECORD, _ENTRY = 36, 12, 8
_DICTIONARY = 64 << 20
_STEP = 1 << 16


class AvmEva(Format):
    """EVA kernel; unpacked it is a part."""

    name = "avm-eva"
    title = "AVM EVA kernel image (FRITZ!Box)"
    specification = "OpenWrt firmware-utils, lzma2eva; linux mtdsplit_eva"
    category = "firmware"
    reads = "LZMA kernel, load and entry address; CRC32 and record checksum recomputed"
    not_read = "records of other types"
    signatures = (Signature(pattern=rb"\x81\x12\xed\xfe.{8}\x01\x02\x5a\x07", width=16),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, record, load, kind, packed, plain, crc = _HEADER.unpack(source.read(offset, _HEADER.size))
        coder = source.read(offset + _HEADER.size, 8)
        dictionary = int.from_bytes(coder[1:5], "little")
        if magic != _MAGIC or kind != _LZMA or record != packed + _DATA - _RECORD or coder[0] >= 225 or dictionary > _DICTIONARY:
            raise FormatError("not an EVA record")
        start = offset + _DATA
        size = min(packed, source.size - start)
        if size <= 0:
            raise FormatError("nothing behind an EVA header")
        problems: list[str] = []
        end = start + size
        crc_right = sum_right = None
        entry_address = 0
        if size < packed:
            problems.append(f"{packed} bytes announced, {size} there")
        else:
            crc_right = crc32(source, start, packed) == crc
            tail = source.peek(end, 4 + _ENTRY)
            if len(tail) >= 4:
                total = record + load + sum8(source, offset + _RECORD, record) + int.from_bytes(tail[:4], "little")
                sum_right = total & 0xFFFFFFFF == 0
            entry_address = int.from_bytes(tail[8:12], "little")
            end += len(tail)
        told = [verdict(problems, "CRC32", crc_right), verdict(problems, "record checksum", sum_right)]
        head = coder[:5] + struct.pack("<Q", plain)
        entry = Entry(
            path="kernel",
            kind=NodeKind.REGION,
            size=plain,
            role="part",
            locality=start,
            open=partial(_kernel, source.window(start, size), head, limits),
        )
        return Container(
            format=self.name,
            size=end - offset,
            entries=[entry],
            detail={
                "load_address": f"0x{load:08x}",
                "entry_point": f"0x{entry_address:08x}",
                "unpacked_size": plain,
                "compression": "lzma",
                "integrity": "checksum",
                "integrity_detail": ", ".join(told),
            },
            problems=problems,
        )


def _kernel(packed: ByteSource, head: bytes, limits: Limits) -> ByteSource:
    return spool(bounded(_decoded(packed, head), packed.size, limits))


def _decoded(packed: ByteSource, head: bytes) -> Iterator[bytes]:
    decoder = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=2 * _DICTIONARY)
    data = head
    try:
        for chunk in packed.chunks(_STEP):
            data += bytes(chunk)
            while not decoder.eof:
                yield decoder.decompress(data, 1 << 20)
                data = b""
                if decoder.needs_input:
                    break
    except (lzma.LZMAError, EOFError) as error:
        raise FormatError(f"broken LZMA stream: {error}") from error


FORMATS = (AvmEva(),)
