"""What a second opinion is: a program that is given one region as a file and an empty directory, and says what it found.

The program runs in a child process that may use so much memory, time and disk and no more (:mod:`fwcheck.opinions.child`). What
it says is believed as little as an image: its files join the tree marked with its name, and are read like any other content.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import msgspec


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A container another program has found: its own name for the format, where it lies in the region, and what came out."""

    format: str
    offset: int
    size: int
    folder: Path | None = None  # with the members; None when nothing was opened


class Opinion(ABC):
    """One other extractor."""

    name: ClassVar[str]

    @abstractmethod
    def version(self) -> str | None:
        """Its version; None when it is not installed here."""

    @abstractmethod
    def arguments(self, region: Path, folder: Path) -> list[str]:
        """The command that looks at ``region`` and writes nowhere but below ``folder``, which is empty."""

    @abstractmethod
    def claims(self, folder: Path) -> list[Claim]:
        """What the command left in ``folder``. Raises ValueError when that cannot be understood."""


def below(path: str, folder: Path) -> Path | None:
    """A directory that a report names, if it is a real one below ``folder``; None otherwise."""
    found = Path(path).resolve()
    return found if found.is_dir() and found.is_relative_to(folder.resolve()) else None
