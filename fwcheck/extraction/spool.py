"""Streams that cannot be sought, kept for random access: in memory while they are small and few, else in one temporary file.

All streams of a process share one file, so that an image of ten thousand streams costs one file descriptor. The file has no
name: it is unlinked when it is made, and gone with its process.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import IO, ClassVar
from weakref import finalize

from fwcheck.extraction.errors import QuotaExceeded
from fwcheck.extraction.limits import even
from fwcheck.extraction.source import CHUNK, ByteSource, Memory

ONE = 8 << 20  # bytes of one stream that may stay in memory
ALL = 48 << 20  # bytes of all streams of a process that may
_SEGMENT = 16 << 20  # bytes mapped at once
_MAPS = 16  # segments whose mapping is kept; Python's mmap costs a file descriptor each
_ALIGN = mmap.ALLOCATIONGRANULARITY


def spool(pieces: Iterable[bytes | memoryview], memory_limit: int = ONE) -> ByteSource:
    """Keeps a stream that cannot be sought.

    The caller bounds the stream (see :mod:`fwcheck.extraction.limits`). Raises whatever the stream raises, and QuotaExceeded
    when there is no room for a temporary file; what was written until then is given back.
    """
    held = bytearray()
    stream = iter(pieces)
    for piece in stream:
        held += piece  # small streams stay here, their zeros too
        if len(held) > memory_limit or _Held.total + len(held) > ALL:
            break
    else:
        return _Held(bytes(held))
    return _File.current().keep(held, stream)


class _Held(Memory):
    """A small stream; counted, so that many small ones do not add up to a large one."""

    total: ClassVar[int] = 0

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        _Held.total += self.size
        finalize(self, _Held._gone, self.size)

    @staticmethod
    def _gone(size: int) -> None:
        _Held.total -= size


class _File:
    """The temporary file of one process. Its space is given back when no stream in it is left."""

    _open: ClassVar[_File | None] = None
    maps: ClassVar[OrderedDict[tuple[int, int, int], memoryview]] = OrderedDict()  # file, stream, segment

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._process = os.getpid()
        self._end = 0
        self._live = 0
        self._busy = False

    @classmethod
    def current(cls) -> _File:
        """The file of this process: a forked worker reads its parent's streams, but must not write between them.

        A stream that is made out of another one while that is being written gets a file of its own.
        """
        if cls._open is None or cls._open._process != os.getpid() or cls._open._busy:
            try:
                cls._open = cls(tempfile.TemporaryFile(prefix="fwcheck-", buffering=0))  # noqa: SIM115  # lives with the process
            except OSError as error:
                raise QuotaExceeded(f"no temporary file for unpacked bytes: {error.strerror or error}") from error
        return cls._open

    def keep(self, held: bytearray, stream: Iterator[bytes | memoryview]) -> ByteSource:
        begin = at = self._end
        self._live += 1
        self._busy = True
        holes: list[tuple[int, int]] = []
        try:
            at = self._write(held, at)
            held.clear()
            for piece in stream:
                if len(piece) >= _ALIGN and not piece[0] and even(piece):
                    # Zeros are left out: a hole of the file reads as zeros and takes no room.
                    holes.append((at - begin, at - begin + len(piece)))
                    at += len(piece)
                else:
                    at = self._write(piece, at)
            os.ftruncate(self._file.fileno(), at)
        except BaseException as error:
            # What was written must not shine through the holes of the next stream.
            os.ftruncate(self._file.fileno(), begin)
            self.gone()
            if isinstance(error, OSError):
                raise QuotaExceeded(f"no room for unpacked bytes: {error.strerror or error}") from error
            raise
        finally:
            self._busy = False
        self._end = at + -at % _ALIGN
        return _Spooled(self, begin, at - begin, joined_ranges(holes))

    def _write(self, data: bytes | bytearray | memoryview, at: int) -> int:
        rest = memoryview(data)
        while rest:
            done = os.pwrite(self._file.fileno(), rest, at)
            rest, at = rest[done:], at + done
        return at

    def map(self, begin: int, size: int) -> memoryview:
        if size == 0:
            return memoryview(b"")
        return memoryview(mmap.mmap(self._file.fileno(), size, prot=mmap.PROT_READ, offset=begin))

    @classmethod
    def forget(cls, file: _File, begin: int) -> None:
        """Drops the mappings of one stream."""
        for key in [key for key in cls.maps if key[:2] == (id(file), begin)]:
            del cls.maps[key]

    def gone(self) -> None:
        """One stream less."""
        self._live -= 1
        if self._live == 0 and self._process == os.getpid() and not self._file.closed:
            self._end = 0
            self._file.truncate(0)


def joined_ranges(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges (begin, end) in order, with those that touch made one."""
    out: list[tuple[int, int]] = []
    for begin, end in ranges:
        if out and out[-1][1] == begin:
            out[-1] = (out[-1][0], end)
        else:
            out.append((begin, end))
    return out


class _Spooled(ByteSource):
    """A stream in the temporary file. Mapped while in use; a view keeps its mapping alive by itself."""

    def __init__(self, file: _File, begin: int, size: int, holes: list[tuple[int, int]]) -> None:
        self.size = size
        self._file = file
        self._holes = holes
        self._begin = begin
        finalize(self, _Spooled._gone, file, begin)

    @staticmethod
    def _gone(file: _File, begin: int) -> None:
        _File.forget(file, begin)
        file.gone()

    def view(self, offset: int, length: int) -> memoryview:
        self.check(offset, length)
        segment = offset // _SEGMENT
        begin = segment * _SEGMENT
        if offset + length > begin + _SEGMENT:  # rare: across two segments
            start = offset - offset % _ALIGN
            return self._file.map(self._begin + start, offset + length - start)[offset - start :]
        key = (id(self._file), self._begin, segment)
        known = _File.maps.get(key)
        if known is None:
            known = _File.maps[key] = self._file.map(self._begin + begin, min(_SEGMENT, self.size - begin))
            if len(_File.maps) > _MAPS:
                _File.maps.popitem(last=False)
        return known[offset - begin : offset - begin + length]

    def hole(self, offset: int, length: int) -> bool:
        index = bisect_right(self._holes, (offset, self.size)) - 1
        return index >= 0 and self._holes[index][1] >= offset + length

    def release(self, offset: int, length: int) -> None:
        _File.forget(self._file, self._begin)

    def chunks(self, size: int = CHUNK) -> Iterator[memoryview]:
        # Mapped piece by piece: a stream read once from end to end never stays in memory as a whole.
        step = max(_ALIGN, size - size % _ALIGN)
        zeros = memoryview(bytes(min(step, self.size) if self._holes else 0))
        for offset in range(0, self.size, step):
            if self._holes and self.hole(offset, min(step, self.size - offset)):
                yield zeros[: min(step, self.size - offset)]
                continue
            yield self._file.map(self._begin + offset, min(step, self.size - offset))


def release_all() -> None:
    """Gives back the mappings of this process's streams, and of those it inherited."""
    _File.maps.clear()
