"""Byte sources: random access to bytes that live in the image, in memory, or behind a decoder.

A source never copies more than it is asked for. ``origin`` is the offset of its first byte in the image when it is one
contiguous window of it: the coverage account paints image bytes through it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import signal
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar
from weakref import WeakSet

from fwcheck.extraction.errors import FormatError

CHUNK = 1 << 20
_MAX_HOLES = 100_000


class ByteSource(ABC):
    """``size`` bytes, readable at any offset."""

    size: int
    origin: int | None = None

    @abstractmethod
    def view(self, offset: int, length: int) -> memoryview:
        """Exactly ``length`` bytes at ``offset``.

        Raises FormatError when the range does not lie inside the source.
        """

    def read(self, offset: int, length: int) -> bytes:
        """A copy of exactly ``length`` bytes at ``offset``; raises FormatError like :meth:`view`."""
        return bytes(self.view(offset, length))

    def peek(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes at ``offset``: fewer, or none, at the end. Never raises for the range."""
        if offset < 0 or offset >= self.size:
            return b""
        return self.read(offset, min(length, self.size - offset))

    def window(self, offset: int, length: int) -> ByteSource:
        """The part of this source at ``offset``; raises FormatError when it does not lie inside."""
        self.check(offset, length)
        return Window(self, offset, length)

    def hole(self, offset: int, length: int) -> bool:
        """Whether a range is known to be zeros that take no space, so that nobody needs to read it."""
        return False

    def extents(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """Where in the image the bytes of a range lie as they are: (offset in the image, length), in order.

        What was unpacked, or filled in, lies nowhere.
        """
        if self.origin is not None and length > 0:
            yield self.origin + offset, length

    @property
    def anchored(self) -> bool:
        """Whether any of these bytes stand in the image as they are."""
        return next(self.extents(0, self.size), None) is not None

    def packed_digest(self) -> str | None:
        """A digest of the packed bytes and of everything else that decides what they unpack to, found without unpacking them.

        Sources with equal digests hold equal bytes, in this image and in any other, wherever they were read to their end without
        an error: what such a digest was met with once need not be unpacked to be known again. None where a source has no packed
        bytes, cannot read them, or may not be unpacked; never raises.
        """
        return None

    def release(self, offset: int, length: int) -> None:  # noqa: B027  # most sources mirror no file: nothing to give back
        """Tells that a range will not be needed soon: memory that mirrors a file may be given back."""

    def chunks(self, size: int = CHUNK) -> Iterator[memoryview]:
        """All bytes in order, in pieces of at most ``size`` bytes."""
        for offset in range(0, self.size, size):
            yield self.view(offset, min(size, self.size - offset))

    def check(self, offset: int, length: int) -> None:
        """Raises FormatError unless ``[offset, offset + length)`` lies inside the source."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise FormatError(f"range 0x{max(offset, 0):x}+{length} lies outside a source of {self.size} bytes")


class Memory(ByteSource):
    """Bytes already in memory."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._view = memoryview(data)
        self.size = len(self._view)

    def view(self, offset: int, length: int) -> memoryview:
        self.check(offset, length)
        return self._view[offset : offset + length]


class Mapped(ByteSource):
    """A file mapped read-only. Pages are given back after :meth:`chunks` has passed them, so memory stays bounded."""

    _all: ClassVar[WeakSet[Mapped]] = WeakSet()

    def __init__(self, fileno: int, size: int, origin: int | None = None) -> None:
        self.size = size
        self.origin = origin
        self._holes = _holes(fileno, size)
        self._map = mmap.mmap(fileno, size, prot=mmap.PROT_READ) if size else None
        self._view = memoryview(self._map) if self._map is not None else memoryview(b"")
        Mapped._all.add(self)

    @classmethod
    def open(cls, path: Path) -> Mapped:
        """Maps the image file itself (``origin`` 0); raises OSError when it cannot be opened.

        From then on a page that cannot be read any more ends the process with one line and exit status 2.
        """
        _end_tidily(path)
        with path.open("rb") as stream:
            return cls(stream.fileno(), os.fstat(stream.fileno()).st_size, origin=0)

    @classmethod
    def release_all(cls) -> None:
        """Gives back the pages of every mapped file of this process."""
        for each in cls._all:
            each.release(0, each.size)

    def view(self, offset: int, length: int) -> memoryview:
        self.check(offset, length)
        return self._view[offset : offset + length]

    def hole(self, offset: int, length: int) -> bool:
        index = bisect_right(self._holes, (offset, self.size)) - 1
        return index >= 0 and self._holes[index][1] >= offset + length

    def release(self, offset: int, length: int) -> None:
        """Gives the pages of a range back to the system; they are read again when needed."""
        if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
            start = offset - offset % mmap.PAGESIZE
            self._map.madvise(mmap.MADV_DONTNEED, start, offset + length - start)

    def chunks(self, size: int = CHUNK) -> Iterator[memoryview]:
        zeros = memoryview(bytes(min(size, self.size) if self._holes else 0))
        for offset in range(0, self.size, size):
            length = min(size, self.size - offset)
            if self._holes and self.hole(offset, length):
                yield zeros[:length]
                continue
            yield self._view[offset : offset + length]
            self.release(offset, length)


def _end_tidily(path: Path) -> None:
    """What happens when a mapped file is cut short, or its disk fails, while it is read: the kernel sends SIGBUS.

    That signal comes again and again until the page is there, so the handlers of Python, which run later, are of no use, and
    there is nothing to go on with. In a worker the handler must be taken off again: there it is one content's failure.
    """
    message = f"fwcheck: {path}: became shorter, or could not be read any more, while it was read\n".encode()

    def handler(_signal: int) -> None:
        os.write(2, message)
        os._exit(2)

    kept = ctypes.CFUNCTYPE(None, ctypes.c_int)(handler)
    _handlers[:] = [kept]
    with contextlib.suppress(AttributeError):  # an interpreter without it dies of the signal
        ctypes.pythonapi.PyOS_setsig(ctypes.c_int(signal.SIGBUS), kept)


_handlers: list[object] = []  # one: it must live as long as it may be called


def _holes(fileno: int, size: int) -> list[tuple[int, int]]:
    """The holes of a sparse file as (begin, end), in order; none where the file system cannot tell."""
    if not hasattr(os, "SEEK_DATA") or os.fstat(fileno).st_blocks * 512 >= size:
        return []
    found: list[tuple[int, int]] = []
    at = 0
    with contextlib.suppress(OSError):
        while at < size and len(found) < _MAX_HOLES:
            at = os.lseek(fileno, at, os.SEEK_HOLE)
            if at >= size:
                break
            try:
                end = os.lseek(fileno, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                end = size  # no data behind this hole
            found.append((at, end))
            at = end
    return found


class Window(ByteSource):
    """A contiguous part of another source."""

    def __init__(self, parent: ByteSource, offset: int, length: int) -> None:
        self.parent: ByteSource = parent.parent if isinstance(parent, Window) else parent
        self.offset: int = parent.offset + offset if isinstance(parent, Window) else offset
        self.size = length
        self.origin = None if self.parent.origin is None else self.parent.origin + self.offset

    def view(self, offset: int, length: int) -> memoryview:
        self.check(offset, length)
        return self.parent.view(self.offset + offset, length)

    def hole(self, offset: int, length: int) -> bool:
        return self.parent.hole(self.offset + offset, length)

    def extents(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        return self.parent.extents(self.offset + offset, length)

    def release(self, offset: int, length: int) -> None:
        self.parent.release(self.offset + offset, length)

    def chunks(self, size: int = CHUNK) -> Iterator[memoryview]:
        for offset in range(0, self.size, size):
            length = min(size, self.size - offset)
            yield self.parent.view(self.offset + offset, length)
            self.parent.release(self.offset + offset, length)


class Joined(ByteSource):
    """Pieces laid one behind the other; a piece that is an ``int`` is that many zero bytes (a hole)."""

    def __init__(self, pieces: Iterable[ByteSource | int]) -> None:
        self._pieces: list[tuple[int, ByteSource | int, int]] = []
        at = 0
        for piece in pieces:
            length = piece if isinstance(piece, int) else piece.size
            if length:
                self._pieces.append((at, piece, length))
                at += length
        self.size = at
        if len(self._pieces) == 1 and isinstance(only := self._pieces[0][1], ByteSource):
            self.origin = only.origin

    def view(self, offset: int, length: int) -> memoryview:
        self.check(offset, length)
        if len(self._pieces) == 1 and isinstance(only := self._pieces[0][1], ByteSource):
            return only.view(offset, length)
        out, done = bytearray(length), 0
        for begin, piece, size in self._inside(offset, length):
            if isinstance(piece, ByteSource):
                if size == length:
                    return piece.view(begin, size)
                out[done : done + size] = piece.view(begin, size)
            done += size
        return memoryview(out)

    def extents(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        for begin, piece, size in self._inside(offset, length):
            if isinstance(piece, ByteSource):
                yield from piece.extents(begin, size)

    def hole(self, offset: int, length: int) -> bool:
        return all(isinstance(piece, int) or piece.hole(begin, size) for begin, piece, size in self._inside(offset, length))

    def release(self, offset: int, length: int) -> None:
        for begin, piece, size in self._inside(offset, length):
            if isinstance(piece, ByteSource):
                piece.release(begin, size)

    def _inside(self, offset: int, length: int) -> Iterator[tuple[int, ByteSource | int, int]]:
        """The pieces of a range: begin and length of what is meant inside each."""
        for index in range(self._index(offset), len(self._pieces)):
            at, piece, size = self._pieces[index]
            if at >= offset + length:
                return
            begin, end = max(offset, at), min(offset + length, at + size)
            if begin < end:
                yield begin - at, piece, end - begin

    def _index(self, offset: int) -> int:
        low, high = 0, len(self._pieces)
        while low < high:
            middle = (low + high) // 2
            if self._pieces[middle][0] + self._pieces[middle][2] <= offset:
                low = middle + 1
            else:
                high = middle
        return low
