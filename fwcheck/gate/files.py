"""How the files of a team are read: strictly, so that a misspelt demand is an error and not a gate that never closes."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TypeVar

import msgspec

from fwcheck.handwritten import Misread, decode, line_of, nearest

__all__ = ["BrokenFile", "Unfit", "load", "nearest", "parse"]

_SIZE_LIMIT = 1 << 20

Held = TypeVar("Held", bound=msgspec.Struct)


class BrokenFile(ValueError):
    """The file is not what it has to be; the message is one line and names the file."""


def load(path: Path) -> bytes:
    """The content of a file that somebody wrote; raises BrokenFile, in one line, when it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(_SIZE_LIMIT + 1)
    except OSError as error:
        raise BrokenFile(f"{path}: {error.strerror}") from error
    if len(content) > _SIZE_LIMIT:
        raise BrokenFile(f"{path}: larger than 1 MiB")
    return content


def parse(content: bytes, name: str, kind: type[Held], known: Collection[str]) -> Held:
    """These bytes of a TOML file as ``kind``. ``known`` are keys that a misspelt one is compared with, beside those of ``kind``.

    Raises BrokenFile with one line, which begins with ``name`` and the line, when they are none.
    """
    try:
        return decode(content, kind, known)
    except Misread as error:
        raise BrokenFile(error.of(name)) from error


class Unfit(ValueError):
    """A value that is well-formed and cannot be meant; ``keys`` say where it stands."""

    def __init__(self, words: str, *keys: str | int) -> None:
        super().__init__(words)
        self.keys = keys

    def of(self, name: str, content: bytes) -> BrokenFile:
        """The error of the whole file, with the line."""
        return BrokenFile(Misread(str(self), line_of(content.decode("utf-8", "replace"), list(self.keys))).of(name))
