"""Where bytes are kept: images by their digest, reports by their scan. Names from outside never become paths."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PIECE = 1 << 20
_ID = re.compile(r"[0-9a-f]{32}")
_KEY = re.compile(r"(images/[0-9a-f]{64}|reports/[0-9a-f]{32}\.json\.zst)")


def image_key(sha256: str) -> str:
    """The key of an image."""
    return f"images/{sha256}"


def report_key(scan: str) -> str:
    """The key of a report."""
    return f"reports/{scan}.json.zst"


class Incomplete(Exception):
    """An upload is not what it was a moment ago: somebody else writes to it."""


class Staged:
    """Bytes that are arriving: a file outside the store, hashed while it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._known = ""
        self._digest = hashlib.sha256()
        self._file = path.open("xb")

    @property
    def sha256(self) -> str:
        """The digest of what has arrived."""
        return self._known or self._digest.hexdigest()

    def write(self, piece: bytes) -> None:
        """Appends."""
        self._file.write(piece)
        self._digest.update(piece)
        self.size += len(piece)

    @classmethod
    def whole(cls, path: Path, size: int, sha256: str) -> Staged:
        """A file that has arrived already."""
        self = cls.__new__(cls)
        self.path, self.size, self._known, self._file = path, size, sha256, path.open("ab")
        self.finish()
        return self

    def finish(self) -> None:
        """Everything has arrived: on the disk, not only in its cache."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def abandon(self) -> None:
        """Nothing of it is wanted."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self.path.unlink()


class Folder:
    """The store in a local folder."""

    piece = _PIECE  # bytes of an upload in several requests that are kept at once

    def __init__(self, root: Path) -> None:
        self._root = root
        for name in ("images", "reports", "incoming"):
            (root / name).mkdir(parents=True, exist_ok=True, mode=0o700)

    def free(self) -> int:
        """Bytes that fit."""
        return shutil.disk_usage(self._root).free

    def stage(self) -> Staged:
        """A place for bytes that are arriving."""
        return Staged(self._root / "incoming" / secrets.token_hex(16))

    def alive(self) -> bool:
        """Whether it answers."""
        return True

    def begin(self, id: str) -> None:
        """A place for an upload that comes in several requests."""
        self._unfinished(id).touch(mode=0o600)

    def arrived(self, id: str) -> int | None:
        """How many bytes of it are here; None when it is no longer kept."""
        path = self._unfinished(id)
        return path.stat().st_size if path.exists() else None

    def add(self, id: str, offset: int, piece: bytes) -> None:
        """Adds bytes at its end, which is at this offset."""
        with self._unfinished(id).open("ab") as file:
            file.write(piece)

    def gathered(self, id: str, size: int) -> Staged:
        """The whole of it as a file; it stays until it is dropped. Raises Incomplete."""
        path = self._unfinished(id)
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
        return Staged.whole(path, size, digest.hexdigest())

    def drop(self, id: str) -> None:
        """Nothing of it is wanted any more."""
        self._unfinished(id).unlink(missing_ok=True)

    def _unfinished(self, id: str) -> Path:
        if not _ID.fullmatch(id):
            raise ValueError(f"no id of an upload: {id!r}")
        return self._root / "incoming" / id

    def keep(self, staged: Staged, key: str) -> None:
        """Takes finished bytes into the store; what is there already stays. The staged file remains until it is abandoned."""
        target = self._path(key)
        with contextlib.suppress(FileExistsError):
            target.hardlink_to(staged.path)
            _settle(target.parent)

    def put(self, key: str, content: bytes) -> None:
        """Stores a small thing, whole or not at all."""
        target = self._path(key)
        partial = self._root / "incoming" / secrets.token_hex(16)
        try:
            with partial.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        _settle(target.parent)

    def get(self, key: str) -> bytes:
        """A small thing; raises FileNotFoundError."""
        return self._path(key).read_bytes()

    def holds(self, key: str) -> bool:
        """Whether it is there."""
        return self._path(key).is_file()

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        """A file with these bytes, for as long as the block lasts."""
        yield self._path(key)

    def remove(self, key: str) -> None:
        """Forgets it."""
        self._path(key).unlink(missing_ok=True)

    def images(self, older: float) -> Iterator[str]:
        """The digests of the images that are here since before the given time (seconds of the epoch)."""
        for path in (self._root / "images").iterdir():
            with contextlib.suppress(OSError):
                if path.stat().st_ctime < older:
                    yield path.name

    def sweep(self, older: float) -> int:
        """Removes uploads that nobody has written to since the given time (seconds of the epoch)."""
        count = 0
        for path in (self._root / "incoming").iterdir():
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < older:
                    path.unlink()
                    count += 1
        return count

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"no key of the store: {key!r}")
        return self._root / key


def _settle(folder: Path) -> None:
    """Renames are on the disk when their folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
