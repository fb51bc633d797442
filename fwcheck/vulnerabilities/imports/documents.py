"""Files as documents: plain, compressed, in archives and archives of archives, or a directory of them.

Nothing is believed about sizes: what is unpacked is counted against the size of the file it came from, and nesting is bounded.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, cast

import zstandard

_NESTED = 4  # archives in archives: a release of the CVE List is a zip in a zip
_FREE = 256 << 20  # bytes that may come out of any file
_RATIO = 100  # beyond that, this many times its size; JSON shrinks to a tenth, a bomb to a thousandth
_MEMBERS = 2_000_000
_MEMORY = 16 << 20  # a nested archive larger than this waits in a temporary file
_KEPT = (".json", ".csv", ".zip", ".gz", ".xz", ".zst", ".bz2", ".tar", ".tgz")
_BROKEN = (
    OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, zstandard.ZstdError, NotImplementedError,
    RuntimeError, ValueError, OverflowError,
)  # fmt: skip


class BadDocument(ValueError):
    """A file that cannot be read, in one sentence."""


class UnknownDocument(BadDocument):
    """A file that is whole but of no kind that is read here."""


class Document(NamedTuple):
    """One file to be read: its name (with the archives around it) and its bytes, from the beginning."""

    name: str
    stream: IO[bytes]


class _Budget:
    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.left = max(_FREE, size * _RATIO)
        self.members = _MEMBERS

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise BadDocument(f"{self.name}: unpacks to more than {_RATIO} times its size; refused as a bomb")

    def member(self) -> None:
        self.members -= 1
        if self.members < 0:
            raise BadDocument(f"{self.name}: more than {_MEMBERS} members; refused")


class _Metered(io.RawIOBase):
    """A stream whose bytes are counted; every way in which it can break is one error."""

    def __init__(self, inner: IO[bytes], name: str, budget: _Budget | None) -> None:
        self._inner = inner
        self._name = name
        self._budget = budget

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self._inner.read(len(buffer))
        except BadDocument:
            raise
        except _BROKEN as error:
            raise BadDocument(f"{self._name}: broken: {_reason(error)}") from error
        if self._budget is not None:
            self._budget.spend(len(data))
        buffer[: len(data)] = data
        return len(data)


def documents(path: Path) -> Iterator[Document]:
    """Every document of a file or directory, each to be read before the next is asked for.

    Raises BadDocument for a file that is missing, broken, cut off or a bomb.
    """
    if path.is_dir():
        for each in sorted(path.rglob("*")):
            if each.suffix in _KEPT and each.is_file() and not each.is_symlink():
                yield from documents(each)
        return
    try:
        with path.open("rb") as stream:
            yield from _read(str(path), stream, _Budget(str(path), path.stat().st_size), 0, plain=True)
    except OSError as error:
        raise BadDocument(f"{path}: {_reason(error)}") from error


def _read(name: str, stream: IO[bytes], budget: _Budget, depth: int, *, plain: bool = False) -> Iterator[Document]:
    buffered = io.BufferedReader(_Metered(stream, name, None if plain else budget), 1 << 16)
    head = buffered.peek(512)[:512]
    unpack = next((opened for magic, opened in _PACKED.items() if head.startswith(magic)), None)
    if depth > _NESTED and (unpack or head.startswith(b"PK") or head[257:262] == b"ustar"):
        raise BadDocument(f"{name}: archives are nested more than {_NESTED} deep")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        yield from _zip(name, stream if plain else buffered, budget, depth, seekable=plain)
    elif unpack is not None:
        yield from _read(name, unpack(cast("IO[bytes]", buffered)), budget, depth + 1)
    elif head[257:262] == b"ustar":
        yield from _tar(name, buffered, budget, depth)
    else:
        yield Document(name, cast("IO[bytes]", buffered))


def _zip(name: str, stream: IO[bytes], budget: _Budget, depth: int, *, seekable: bool) -> Iterator[Document]:
    with tempfile.SpooledTemporaryFile(_MEMORY) as held:
        if seekable:
            stream.seek(0)
        else:
            shutil.copyfileobj(stream, held, 1 << 20)
            held.seek(0)
        try:
            archive = zipfile.ZipFile(stream if seekable else held)
            members = archive.infolist()
        except _BROKEN as error:
            raise BadDocument(f"{name}: broken: {_reason(error)}") from error
        for member in members:
            budget.member()
            if member.is_dir() or not member.filename.endswith(_KEPT):
                continue
            try:
                opened = archive.open(member)
            except _BROKEN as error:
                raise BadDocument(f"{name}: {member.filename}: {_reason(error)}") from error
            with opened:
                yield from _read(f"{name}: {member.filename}", opened, budget, depth + 1)


def _tar(name: str, stream: IO[bytes], budget: _Budget, depth: int) -> Iterator[Document]:
    try:
        archive = tarfile.open(fileobj=stream, mode="r|")  # noqa: SIM115  # a view of a stream that its owner closes
    except _BROKEN as error:
        raise BadDocument(f"{name}: broken: {_reason(error)}") from error
    while True:
        try:
            member = archive.next()
            held = archive.extractfile(member) if member is not None and member.isreg() else None
        except BadDocument:
            raise
        except _BROKEN as error:
            raise BadDocument(f"{name}: broken: {_reason(error)}") from error
        if member is None:
            return
        budget.member()
        archive.members = []  # type: ignore[attr-defined]  # or a million of them stay in memory
        if held is not None and member.name.endswith(_KEPT):
            yield from _read(f"{name}: {member.name}", held, budget, depth + 1, plain=False)


def _reason(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]


_PACKED: dict[bytes, Callable[[IO[bytes]], IO[bytes]]] = {
    b"\x1f\x8b": lambda stream: cast("IO[bytes]", gzip.GzipFile(fileobj=stream)),
    b"\xfd7zXZ": lambda stream: cast("IO[bytes]", lzma.LZMAFile(stream)),  # noqa: SIM115  # the caller reads it
    b"BZh": lambda stream: cast("IO[bytes]", bz2.BZ2File(stream)),
    b"\x28\xb5\x2f\xfd": lambda stream: cast(
        "IO[bytes]", zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(stream, read_across_frames=True)
    ),
}
