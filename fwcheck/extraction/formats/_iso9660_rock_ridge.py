"""The system use area of ISO 9660 directory records: SUSP (IEEE P1281), Rock Ridge (IEEE P1282) and zisofs.

A field is a signature of two letters, its length, a version and its data; numbers are stored in both byte orders, of which the
little-endian one is read. ``CE`` continues the area elsewhere; the record ``.`` of the root begins with ``SP``, which says how
many bytes of each area belong to somebody else.
"""

from __future__ import annotations

import calendar
import zlib
from collections.abc import Iterator
from struct import unpack_from

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.limits import Limits, bounded
from fwcheck.extraction.members import decoded
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool

CONTINUATIONS = 8  # areas of one record; each lies inside one sector
AREA = 2048
NAME_LIMIT = 4096
ZISOFS = b"\x37\xe4\x53\x96\xc9\xdb\xd6\x07"


class Attributes(msgspec.Struct, kw_only=True):
    """What Rock Ridge says of one record; ``posix`` False: it says nothing."""

    posix: bool = False
    mode: int = 0
    links: int = 1
    uid: int = 0
    gid: int = 0
    name: bytes = b""
    target: bytes = b""
    mtime: int | None = None
    device: tuple[int, int] | None = None
    child: int | None = None  # where a directory that was moved up really is
    moved: bool = False  # a directory that belongs elsewhere
    unpacked: int | None = None  # size behind zisofs


def skip_of(area: bytes) -> int | None:
    """How many bytes to leave out of each area, from the first field of the root; None where there is no SUSP."""
    for begin in (0, 14):  # CD-ROM XA puts fourteen bytes of its own in front
        if area[begin : begin + 2] == b"SP" and area[begin + 2 : begin + 6] == b"\7\1\xbe\xef":
            return area[begin + 6] if len(area) > begin + 6 else 0
    return None


def _fields(area: bytes, source: ByteSource, block: int) -> Iterator[tuple[bytes, bytes]]:
    """Signature and data of each field, continuations followed."""
    for _ in range(CONTINUATIONS):
        at, more = 0, b""
        while at + 4 <= len(area):
            signature, length = area[at : at + 2], area[at + 2]
            if length < 4 or at + length > len(area) or signature == b"ST":
                break
            data = area[at + 4 : at + length]
            if signature == b"CE" and len(data) >= 24:
                where, offset, size = unpack_from("<I4xI4xI", data)
                more = source.peek(where * block + offset, min(size, AREA))
            else:
                yield signature, data
            at += length
        if not more:
            return
        area = more


def attributes(area: bytes, source: ByteSource, block: int) -> Attributes:
    """Everything Rock Ridge says in the system use area of a record."""
    out = Attributes()
    pieces = b""
    for signature, data in _fields(area, source, block):
        if signature == b"PX" and len(data) >= 32:
            out.posix = True
            out.mode, out.links, out.uid, out.gid = unpack_from("<I4xI4xI4xI", data)
        elif signature == b"NM" and data and not data[0] & 0x06 and len(out.name) < NAME_LIMIT:
            out.name += data[1:]
        elif signature == b"SL" and data and len(pieces) < NAME_LIMIT:
            pieces += data[1:]
        elif signature == b"TF" and data:
            out.mtime = _modified(data)
        elif signature == b"PN" and len(data) >= 16:
            out.device = _device(*unpack_from("<I4xI", data))
        elif signature == b"CL" and len(data) >= 8:
            out.child = unpack_from("<I", data)[0]
        elif signature == b"RE":
            out.moved = True
        elif signature == b"ZF" and len(data) >= 12 and data[:2] == b"pz":
            out.unpacked = unpack_from("<I", data, 4)[0]
    out.target = _target(pieces)
    return out


def _device(high: int, low: int) -> tuple[int, int]:
    """Major and minor; some writers put the whole number of 16 bits into the lower half."""
    return (high, low) if high else (low >> 8, low & 0xFF)


def _target(pieces: bytes) -> bytes:
    """The components of a symbolic link: flags 1 continued, 2 this directory, 4 its parent, 8 the root."""
    out, at, joined = b"", 0, True
    while at + 2 <= len(pieces):
        flags, length = pieces[at], pieces[at + 1]
        text = {2: b".", 4: b"..", 8: b"/"}.get(flags & 0x0E, pieces[at + 2 : at + 2 + length])
        out += (b"" if joined or out.endswith(b"/") else b"/") + text
        joined = bool(flags & 1)
        at += 2 + length
    return out


def _modified(data: bytes) -> int | None:
    """The time of last modification among those that TF holds: creation comes before it."""
    if not data[0] & 2:
        return None
    long = data[0] & 0x80
    at = 1 + (17 if long else 7) * (data[0] & 1)
    return long_time(data[at : at + 17]) if long else short_time(data[at : at + 7])


def short_time(raw: bytes) -> int:
    """Seven bytes: years since 1900, month, day, hour, minute, second, quarters of an hour from UTC. 0 for none."""
    if len(raw) < 7 or not (1 <= raw[1] <= 12 and 1 <= raw[2] <= 31):
        return 0
    return calendar.timegm((1900 + raw[0], *raw[1:6])) - _zone(raw[6])


def long_time(raw: bytes) -> int:
    """Sixteen digits and the zone. 0 for none."""
    if len(raw) < 17 or not raw[:16].isdigit():
        return 0
    year, month, day = int(raw[:4]), int(raw[4:6]), int(raw[6:8])
    if not (year and 1 <= month <= 12 and 1 <= day <= 31):
        return 0
    return calendar.timegm((year, month, day, int(raw[8:10]), int(raw[10:12]), int(raw[12:14]))) - _zone(raw[16])


def _zone(value: int) -> int:
    return (value - 256 if value > 127 else value) * 900


def link(value: bytes) -> str:
    """A target as text."""
    return decoded(value[:NAME_LIMIT])


def unpacked(packed: ByteSource, size: int, limits: Limits) -> ByteSource:
    """A file under zisofs: magic, size, header size and block size as exponents, pointers to zlib blocks."""
    return spool(bounded(_blocks(packed, size), packed.size, limits))


def _blocks(packed: ByteSource, size: int) -> Iterator[bytes]:
    head = packed.peek(0, 16)
    if head[:8] != ZISOFS or len(head) < 16 or not 15 <= head[13] <= 17:
        raise FormatError("a zisofs file without its header")
    step, at = 1 << head[13], head[12] * 4
    count = -(-size // step)
    if 4 * (count + 1) > packed.size:
        raise FormatError("more zisofs blocks than there is room for")
    pointers = unpack_from(f"<{count + 1}I", packed.read(at, 4 * (count + 1)))
    for index in range(count):
        length = min(step, size - index * step)
        begin, end = pointers[index], pointers[index + 1]
        if begin == end:
            yield bytes(length)
            continue
        try:
            piece = zlib.decompressobj().decompress(packed.read(begin, end - begin), length)
        except zlib.error as error:
            raise FormatError(f"broken zisofs block: {error}") from None
        if len(piece) != length:
            raise FormatError(f"a zisofs block of {length} bytes unpacks to {len(piece)}")
        yield piece
