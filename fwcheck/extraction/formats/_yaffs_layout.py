"""How YAFFS lies on flash: chunks of one page each, and the tags in their spare areas that say what they are.

Layouts: Aleph One, ``yaffs_guts.h``, ``yaffs_packedtags1.h`` and ``yaffs_packedtags2.h`` of yaffs2. An image is pages with their
spare areas between them, in one of many geometries; nothing but the tags tells which.

YAFFS2 tags, 16 bytes somewhere in the spare area (or, "in band", at the end of the page), in the byte order of the machine:
    0 sequence number of the block, 4 object, 8 chunk (0: object header), 12 bytes used
    and often 12 bytes of error correction over them: 0 column parity, 4 line parity, 8 its complement.
    A header may say more: bit 31 of the chunk set, then bits 28 to 31 of the object are its type, the chunk is the parent with
    bit 30 for a shrink header and bit 29 for one that shadows another object, and the bytes are a file's size.
YAFFS1 tags, 64 bits in bytes 0-3, 6, 7, 11 and 12 of a spare area of 16 (4: 0 when the chunk is deleted):
    20 bits of chunk, 2 of serial number, 10 of bytes used, 18 of object, 12 of error correction, 2 unused.
"""

from __future__ import annotations

import re
from itertools import islice
from struct import Struct

import msgspec

from fwcheck.extraction.source import ByteSource

HEADER = 512
FILE, SYMLINK, DIRECTORY, HARD_LINK, SPECIAL = range(1, 6)
CHECKPOINT, BAD_BLOCK = 0x21, 0xFFFF0000  # sequence numbers of blocks that hold no objects
SUMMARY = 0x10  # the object of block summaries
LOWEST, HIGHEST = 0x1000, 0xEFFFFF00
MOST_OBJECTS, MOST_CHUNKS = 0x3FFFF, 0xFFFFF
EXTRA, SHRINK = 0x80000000, 0x40000000
SAMPLES = 64  # chunks that tell the geometry
_TAGS = 16
_GEOMETRIES = (
    (2048, 64), (512, 16), (4096, 128), (4096, 224), (4096, 256), (4096, 218), (8192, 256), (8192, 448), (8192, 512), (8192, 640),
    (8192, 744), (2048, 128), (2048, 112), (1024, 32), (16384, 512), (16384, 1024), (16384, 1280),
    (2032, 16), (1008, 16), (4080, 16), (8176, 16),
)  # fmt: skip
_KINDS = {
    FILE: (0o100000,), SYMLINK: (0o120000,), DIRECTORY: (0o040000,), SPECIAL: (0o020000, 0o060000, 0o010000, 0o140000),
}  # fmt: skip
_BASIS = (0x55, 0x59, 0x65, 0x69, 0x95, 0x99, 0xA5, 0xA9)  # column parity of each bit of a byte


class Tags(msgspec.Struct, frozen=True):
    """What a chunk is. ``chunk`` 0 is an object header; ``order`` tells old ones from new ones."""

    sequence: int
    object: int
    chunk: int
    used: int
    shrink: bool = False


class Geometry(msgspec.Struct, frozen=True, kw_only=True):
    """Where pages, spare areas and tags lie."""

    page: int
    spare: int
    tags: int  # offset in the spare area; -1 for the scattered tags of YAFFS1
    order: str

    @property
    def stride(self) -> int:
        """From one page to the next."""
        return self.page + self.spare

    @property
    def version(self) -> int:
        """1 or 2."""
        return 1 if self.tags < 0 else 2

    @property
    def inband(self) -> bool:
        """Whether the tags take the last bytes of the page itself."""
        return self.page % 512 != 0

    def read(self, raw: memoryview, at: int) -> Tags | None:
        """The tags of the chunk at ``at``; None when they are none."""
        if self.tags < 0:
            return tags1(bytes(raw[at + self.page : at + self.stride]), self.order)
        return tags2(_WORDS[self.order].unpack_from(raw, at + self.page + self.tags), self.page)

    def erased(self, raw: memoryview, at: int) -> bool:
        """Whether nothing was written to the chunk at ``at``."""
        spare = raw[at + self.page : at + self.stride]
        return raw[at] == 0xFF and spare == b"\xff" * len(spare)


# A sequence number that is not tiny, an object, and chunk 0 or a parent: overlapping matches, so that no place is missed.
_LIKELY = {
    "<": re.compile(
        rb"(?=(?!.[\x00-\x0F]\x00\x00)....(?:..[\x00-\x03][\x00-\x5F])(?:\x00{4}|..[\x00-\x03][\x80-\xFF]))", re.DOTALL
    ),
    ">": re.compile(
        rb"(?=(?!\x00\x00[\x00-\x0F].)....(?:[\x00-\x5F][\x00-\x03]..)(?:\x00{4}|[\x80-\xFF][\x00-\x03]..))", re.DOTALL
    ),
}
_CANDIDATES = 8
_WORDS = {"<": Struct("<4I"), ">": Struct(">4I")}
_MODE = {"<": Struct("<I24xI"), ">": Struct(">I24xI")}  # from 268
_PAIR = {"<": Struct("<II"), ">": Struct(">II")}


def tags2(words: tuple[int, ...], page: int) -> Tags | None:
    """YAFFS2 tags; None when a field is impossible."""
    sequence, number, chunk, used = words
    if sequence in (CHECKPOINT, BAD_BLOCK):
        return Tags(sequence, number, chunk, used)
    if not LOWEST <= sequence < HIGHEST:
        return None
    if chunk & EXTRA:
        number &= 0x0FFFFFFF
        sound = 0 < number <= MOST_OBJECTS and chunk & 0x0FFFFFFF <= MOST_OBJECTS
        return Tags(sequence, number, 0, used, bool(chunk & SHRINK)) if sound else None
    sound = (
        0 < number <= MOST_OBJECTS and chunk <= MOST_CHUNKS and (used <= page or (chunk == 0 and used in (0xFFFF, 0xFFFFFFFF)))
    )
    return Tags(sequence, number, chunk, used) if sound else None


def tags1(spare: bytes, order: str) -> Tags | None:
    """YAFFS1 tags; None when their error correction does not fit or a field is impossible. Deleted chunks have object 0."""
    if len(spare) < 16:
        return None
    raw = spare[:4] + spare[6:8] + spare[11:13]
    first, second = _PAIR[order].unpack(raw)
    if order == "<":
        chunk, serial, used = first & 0xFFFFF, first >> 20 & 3, first >> 22
        number, ecc = second & 0x3FFFF, second >> 18 & 0xFFF
        bare = _PAIR[order].pack(first, second & ~(0xFFF << 18))
    else:
        chunk, serial, used = first >> 12, first >> 10 & 3, first & 0x3FF
        number, ecc = second >> 14, second >> 2 & 0xFFF
        bare = _PAIR[order].pack(first, second & ~(0xFFF << 2))
    if not number or (used > 512 and chunk) or ecc != _ecc1(bare):
        return None
    return Tags(serial, 0 if spare[4].bit_count() < 7 else number, chunk, used)


def _ecc1(raw: bytes) -> int:
    """Exclusive or of the numbers of all bits that are set, counted from 1."""
    value, bits = 0, int.from_bytes(raw, "little")
    while bits:
        low = bits & -bits
        value ^= low.bit_length()
        bits ^= low
    return value


def ecc2(raw: bytes) -> tuple[int, int, int]:
    """The error correction of YAFFS2 tags: column parity, line parity and its complement."""
    column = line = prime = 0
    for at, byte in enumerate(raw):
        parity = 0
        for bit, basis in enumerate(_BASIS):
            if byte >> bit & 1:
                parity ^= basis
        column ^= parity
        if parity & 1:
            line ^= at
            prime ^= ~at
    return column >> 2 & 0x3F, line, prime & 0xFFFFFFFF


def is_header(raw: bytes | memoryview, order: str) -> bool:
    """Whether a page begins like an object header."""
    if len(raw) < HEADER:
        return False
    kind, parent = _PAIR[order].unpack_from(raw)
    if not FILE <= kind <= SPECIAL or not 0 < parent <= MOST_OBJECTS:
        return False
    name, _, rest = bytes(raw[10:265]).partition(b"\0")
    # All writers fill the field up; what other files have in this place is no such run.
    if len(name) == 255 or b"/" in name or rest.strip(b"\0" if rest[:1] != b"\xff" else b"\xff"):
        return False
    mode, means = _MODE[order].unpack_from(raw, 268)
    if kind == HARD_LINK:
        return bool(0 < means <= MOST_OBJECTS)
    return mode & 0o170000 in _KINDS[kind] and mode < 1 << 16


def detect(source: ByteSource, offset: int, order: str) -> Geometry | None:
    """The geometry in which the header at ``offset``, and the chunks behind it, have tags that make sense."""
    raw = source.view(offset, min(SAMPLES * 18432, source.size - offset))
    best, most = None, 0
    for page, spare in _GEOMETRIES:
        if len(raw) < page + spare:
            continue
        for tags in _places(bytes(raw[page : page + spare]), order):
            one = Geometry(page=page, spare=spare, tags=tags, order=order)
            first = one.read(raw, 0)
            if first is None or first.chunk != 0 or first.sequence in (CHECKPOINT, BAD_BLOCK) or not first.object:
                continue
            count = _agreeing(raw, one)
            if count > most:
                best, most = one, count
    enough = 1 if best is not None and len(raw) < 2 * best.stride else 2
    return best if most >= enough else None


def _places(spare: bytes, order: str) -> list[int]:
    """Where the tags of an object header may stand in a spare area; -1 for those of YAFFS1."""
    found = [
        match.start() for match in islice(_LIKELY[order].finditer(spare), _CANDIDATES) if match.start() <= len(spare) - _TAGS
    ]
    return [-1, *found] if len(spare) == _TAGS else found


def _agreeing(raw: memoryview, one: Geometry) -> int:
    """How many chunks in a row have tags that fit what their pages hold."""
    count = 0
    for at in range(0, min(len(raw) - one.stride, (SAMPLES - 1) * one.stride) + 1, one.stride):
        tags = one.read(raw, at)
        if tags is None:
            break
        if tags.object and tags.sequence != CHECKPOINT and tags.chunk == 0 and not is_header(raw[at : at + HEADER], one.order):
            break
        count += 1
    return count


def corrected(raw: memoryview, one: Geometry) -> bool:
    """Whether error correction stands behind the tags of a chunk, and fits them."""
    at = one.page + one.tags
    if one.tags < 0 or at + _TAGS + 12 > one.stride:
        return False
    column, line, prime = Struct(one.order + "B3xII").unpack_from(raw, at + _TAGS)
    return (column, line, prime) == ecc2(bytes(raw[at : at + _TAGS]))
