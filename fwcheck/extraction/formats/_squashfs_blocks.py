"""Blocks of a SquashFS image: metadata blocks, data blocks and fragments, unpacked by whatever codec turns out to be right."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from itertools import chain
from weakref import WeakKeyDictionary

from fwcheck.extraction.errors import FormatError, QuotaExceeded
from fwcheck.extraction.formats._squashfs_codecs import DECLARED, Codec, announced, bare
from fwcheck.extraction.formats._squashfs_layout import METADATA_SIZE, Layout
from fwcheck.extraction.formats._squashfs_super import CHECK_DATA, Superblock
from fwcheck.extraction.source import ByteSource

METADATA_LIMIT = 96 << 20  # unpacked bytes of all tables: some two million inodes
CACHE_LIMIT = 4 << 20  # unpacked fragments kept
REMEMBERED = 4096  # damaged blocks, so that each is tried once
TRIALS = 256 << 20  # bytes that may be unpacked per image in search of a stream without header
HASHED = 4  # times the size of an image that its packed bytes may be hashed: files may claim the same blocks over and over
REFUSALS = 16  # superblocks per source whose metadata may be searched for such a stream in vain

_STORED = 1 << 15  # in a metadata block's length: not compressed
_STORED_DATA = 1 << 24  # in a data block's stored size: not compressed


_refused: WeakKeyDictionary[ByteSource, int] = WeakKeyDictionary()


class Blocks:
    """Reads the blocks of one image. Not meant to be shared between threads; copies of it after a fork are independent."""

    def __init__(self, source: ByteSource, base: int, head: Superblock, layout: Layout) -> None:
        self.head = head
        self.layout = layout
        self._source = source
        self._base = base
        self._declared = DECLARED.get(head.compression) if head.compression is not None else None
        self._metadata_codec: Codec | None = None
        self._data_codec: Codec | None = None
        self._data_settled = False
        self._trials = TRIALS
        self._mixed = False  # whether a block was unpacked by another codec than the usual one
        self._hashable = HASHED * head.size
        self._digests: dict[int, bytes] = {}  # of fragments, as they are stored
        self._used: dict[str, None] = {}
        self._metadata: dict[int, tuple[bytes, int]] = {}
        self._metadata_bytes = 0
        self._broken_metadata: dict[int, str] = {}
        self._marker = 1 if head.version < 4 and head.flags & CHECK_DATA else 0
        self._length = struct.Struct("<H" if layout.order == "little" else ">H").unpack
        self._fragments: dict[int, bytes] = {}
        self._fragments_bytes = 0
        self._broken_fragments: dict[int, str] = {}
        self.fragment_ends: dict[int, int] = {}  # fragment to the last byte any file uses of it, once all are listed

    @property
    def compression(self) -> str:
        """Names of the codecs that were used so far; else of the one that is declared."""
        return " and ".join(self._used) or (self._declared.name if self._declared is not None else "not known")

    def view(self, offset: int, length: int) -> memoryview:
        """Bytes of the image as they are stored; raises FormatError beyond its end."""
        return self._source.view(self._base + offset, length)

    def settle(self, probes: list[int], works: Callable[[], bool]) -> None:
        """Finds the codec of the metadata: the first with which ``works`` does, judged on the blocks at ``probes``.

        Raises FormatError when there is none.
        """
        packed = next((data for at in probes if (data := self._packed(at)) is not None), None)
        if packed is None:
            if works():
                return
            raise FormatError("squashfs root directory is not readable")
        declared = [self._declared] if self._declared is not None else []
        refused = _refused.get(self._source, 0)
        for codec in chain(declared, announced(packed), bare(packed) if refused < REFUSALS else ()):
            self._metadata_codec = codec
            self._metadata.clear()
            self._broken_metadata.clear()
            self._used.clear()
            self._metadata_bytes = 0
            try:
                if works():
                    self._data_codec = codec
                    return
            except FormatError:
                continue
        _refused[self._source] = refused + 1
        raise FormatError("squashfs metadata cannot be unpacked by any known compression")

    def _packed(self, at: int) -> bytes | None:
        """The metadata block at ``at`` when it is a compressed one."""
        (word,) = self._length(self.view(at, 2))
        return bytes(self.view(at + 2 + self._marker, word)) if word and not word & _STORED else None

    def metadata(self, at: int) -> tuple[bytes, int]:
        """The unpacked metadata block at ``at``, and where the next one begins. Raises FormatError or QuotaExceeded."""
        known = self._metadata.get(at)
        if known is not None:
            return known
        if (reason := self._broken_metadata.get(at)) is not None:
            raise FormatError(reason)
        try:
            self._metadata[at] = found = self._read_metadata(at)
        except FormatError as error:
            if len(self._broken_metadata) < REMEMBERED:
                self._broken_metadata[at] = str(error)
            raise
        self._metadata_bytes += len(found[0]) + 64
        if self._metadata_bytes > METADATA_LIMIT:
            raise QuotaExceeded(f"squashfs metadata unpacks to more than {METADATA_LIMIT} bytes")
        return found

    def _read_metadata(self, at: int) -> tuple[bytes, int]:
        (word,) = self._length(self.view(at, 2))
        begin = at + 2 + self._marker
        # A length of zero cannot be: versions before 4 mean 32 KiB by it, more than any metadata block has.
        size = word & ~_STORED
        if not 0 < size <= METADATA_SIZE:
            raise FormatError(f"metadata block at 0x{at:x} claims {size} bytes")
        raw = bytes(self.view(begin, size))
        return raw if word & _STORED else self._unpack_metadata(raw), begin + size

    def _unpack_metadata(self, raw: bytes) -> bytes:
        codec, data = _unpack(self._metadata_codec or self._declared, raw, METADATA_SIZE, None)
        self._used[codec.name] = None
        return data

    def span(self, at: int, offset: int, length: int) -> bytes:
        """``length`` bytes at ``offset`` of the metadata block at ``at``, reading on into the blocks behind it."""
        data, following = self.metadata(at)
        if offset + length <= len(data):
            return data[offset : offset + length]
        if length > METADATA_LIMIT:
            raise FormatError(f"metadata at 0x{at:x}: {length} bytes wanted")
        while offset >= len(data):
            offset -= len(data)
            data, following = self.metadata(following)
        pieces = [data[offset : offset + length]]
        missing = length - len(pieces[0])
        while missing > 0:
            data, following = self.metadata(following)
            pieces.append(data[:missing])
            missing -= len(pieces[-1])
        return b"".join(pieces)

    def indexed(self, table: int, index: int, width: int) -> bytes:
        """Item ``index``, ``width`` bytes, of a table of metadata blocks whose pointers lie at ``table``."""
        block, offset = divmod(index * width, METADATA_SIZE)
        pointer = self.layout.pointer
        at = int.from_bytes(self.view(table + block * pointer, pointer), self.layout.order)
        data, _ = self.metadata(at)
        if offset + width > len(data):
            raise FormatError(f"table at 0x{table:x} ends before item {index}")
        return data[offset : offset + width]

    def data(self, at: int, word: int, expected: int) -> bytes | memoryview:
        """At least the ``expected`` bytes of the data block stored at ``at`` with size word ``word``. Raises FormatError."""
        limit = self.head.block_size
        stored = self._as_stored(at, word, limit)
        data = self._unpack_data(at, word, limit, expected) if stored is None else stored
        if len(data) < expected:
            raise FormatError(f"block at 0x{at:x} has {len(data)} of {expected} bytes")
        return data

    def _as_stored(self, at: int, word: int, limit: int) -> memoryview | None:
        return self.view(at, min(word & ~_STORED_DATA, limit)) if word & _STORED_DATA else None

    def _unpack_data(self, at: int, size: int, limit: int, exact: int | None) -> bytes:
        if size > limit + METADATA_SIZE:
            raise FormatError(f"block at 0x{at:x} claims {size} packed bytes for at most {limit}")
        raw = bytes(self.view(at, size))
        usual = self._data_codec or self._declared
        try:
            codec, data = _unpack(usual, raw, limit, exact)
        except FormatError as error:
            found = self._bare(raw, limit, exact, usual)
            if found is None:
                raise FormatError(f"block at 0x{at:x}: {error}") from None
            codec, data = found
        self._mixed = self._mixed or codec is not usual
        if not self._data_settled:
            self._data_codec, self._data_settled = codec, True
        self._used[codec.name] = None
        return data

    def _bare(self, raw: bytes, limit: int, exact: int | None, failed: Codec | None) -> tuple[Codec, bytes] | None:
        """A stream without header, by trial. Once a codec that knows its own streams has worked, none is expected."""
        if exact is None or (self._data_settled and failed is not None and failed.certain):
            return None
        for codec in bare(raw):
            self._trials -= limit
            if self._trials < 0:
                break
            try:
                return codec, codec.decode(raw, limit, exact)
            except FormatError:
                continue
        return None

    def stored(self, at: int, word: int) -> memoryview:
        """The bytes of a data block as they are stored, to be hashed.

        Raises FormatError where they lie outside the image, are more than a block can be packed to, or too much was hashed.
        """
        size, limit = word & ~_STORED_DATA, self.head.block_size
        self._hashable -= size
        if size > limit or self._hashable < 0:
            raise FormatError(f"block at 0x{at:x} claims {size} packed bytes")
        return self.view(at, size)

    def digest_of_codec(self) -> bytes | None:
        """What every data block is unpacked with, by name; None where that is not known, or differs from block to block."""
        usual = self._data_codec or self._declared
        return None if usual is None or self._mixed else b"%s\0" % usual.name.encode()

    def digest_of_fragment(self, index: int) -> bytes:
        """A digest of what decides the content of a fragment. Raises FormatError."""
        known = self._digests.get(index)
        if known is None:
            start, word = self.fragment_entry(index)
            digest = hashlib.sha256(b"%d %d\0" % (word, self._end_of_fragment(index) or 0))
            digest.update(self.stored(start, word))
            known = digest.digest()
            self._digests[index] = known
        return known

    def fragment_entry(self, index: int) -> tuple[int, int]:
        """Where a fragment block lies, and its stored-size word. Raises FormatError."""
        if index >= self.head.fragments:
            raise FormatError(f"fragment {index} of {self.head.fragments}")
        record = self.layout.fragment
        start, word = record.unpack(self.indexed(self.head.fragments_start, index, record.size), 0)
        return start, word

    def fragment(self, index: int) -> bytes:
        """An unpacked fragment block; the last few are kept, for files side by side share them. Raises FormatError."""
        known = self._fragments.pop(index, None)
        if known is not None:
            self._fragments[index] = known
            return known
        if (reason := self._broken_fragments.get(index)) is not None:
            raise FormatError(reason)
        try:
            data = self._read_fragment(index)
        except FormatError as error:
            if len(self._broken_fragments) < REMEMBERED:
                self._broken_fragments[index] = str(error)
            raise
        self._fragments[index] = data
        self._fragments_bytes += len(data)
        while self._fragments_bytes > CACHE_LIMIT and len(self._fragments) > 1:
            self._fragments_bytes -= len(self._fragments.pop(next(iter(self._fragments))))
        return data

    def _read_fragment(self, index: int) -> bytes:
        start, word = self.fragment_entry(index)
        limit = self.head.block_size
        data = self._as_stored(start, word, limit)
        if data is not None:
            return bytes(data)
        return self._unpack_data(start, word, limit, self._end_of_fragment(index))

    def _end_of_fragment(self, index: int) -> int | None:
        """Only a codec that cannot find the end by itself is told where the files say it is: files may lie."""
        codec = self._data_codec or self._declared
        return None if codec is not None and codec.certain else self.fragment_ends.get(index)

    def identities(self) -> tuple[list[int], list[int]]:
        """User ids and group ids by index (version 4 has one table for both). Raises FormatError."""
        head, order = self.head, self.layout.order
        if head.version == 4:
            both = [int.from_bytes(self.indexed(head.users_start, each, 4), order) for each in range(head.users)]
            return both, both

        def plain(start: int, count: int) -> list[int]:
            raw = self.view(start, count * 4) if count else memoryview(b"")
            return [int.from_bytes(raw[each : each + 4], order) for each in range(0, len(raw), 4)]

        return plain(head.users_start, head.users), plain(head.groups_start, head.groups)


def _unpack(usual: Codec | None, raw: bytes, limit: int, exact: int | None) -> tuple[Codec, bytes]:
    """Unpacks with the usual codec, else with one the block itself announces: some makers chose the better of two per block.

    Only a codec that proves itself right is taken in place of the usual one. Raises FormatError.
    """
    refused = "compression is not known"
    if usual is not None:
        try:
            return usual, usual.decode(raw, limit, exact)
        except FormatError as error:
            refused = str(error)
    for codec in announced(raw):
        if codec is not usual and (codec.certain or exact is not None):
            try:
                return codec, codec.decode(raw, limit, exact)
            except FormatError:
                continue
    raise FormatError(refused)
