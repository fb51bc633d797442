"""What a format is: signatures, a parser that validates before it claims, and what the container yields.

A format lives in one file of ``fwcheck/extraction/formats/`` which defines exactly one module attribute ``FORMATS``: a tuple
of :class:`Format` instances. Third parties add theirs through the entry point group ``fwcheck.formats`` (an entry point that
loads to such a tuple).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import ClassVar, Literal

import msgspec

from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind, SignedBlock


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that announce a format.

    ``pattern`` is a regular expression over bytes (PCRE subset of hyperscan, DOTALL) that matches exactly ``width`` bytes;
    the container begins ``offset`` bytes before the match. ``anywhere`` False: only at the very beginning of a source.
    """

    pattern: bytes
    width: int
    offset: int = 0
    anywhere: bool = True


class Entry(msgspec.Struct, kw_only=True):
    """One member of a container.

    ``path`` is absolute (``/etc/passwd``) in a file system or archive, and a bare part name (``kernel``) in a firmware
    container. ``open`` gives the content on demand and may raise FormatError or QuotaExceeded. ``locality`` orders
    contents by where their packed bytes lie, so that neighbours are read together.
    ``role``: ``file`` for a member of a file system, or a piece of code that its container explains; ``part`` for a piece that is
    itself an image (partition, payload, unpacked stream) and is searched for containers at every offset; ``meta`` for
    bytes that the container itself explains (headers, tables), never searched; ``encrypted`` for bytes that the container says
    are encrypted: they count as such in the coverage account and become a gap whose reason is ``detail["encryption"]`` (the
    scheme in the field's words: ``AES-128-CBC, D-Link SHRS``), and are never searched for containers.
    """

    path: str
    kind: NodeKind = NodeKind.FILE
    size: int = 0
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    target: str | None = None
    device: str | None = None
    offset: int | None = None  # in the container's source, when contiguous
    role: Literal["file", "part", "meta", "encrypted"] = "file"
    detail: dict[str, str | int] = {}
    locality: int = 0
    open: Callable[[], ByteSource] | None = None


class Container(msgspec.Struct, kw_only=True):
    """A validated container: how many bytes it claims, what it says of itself, and its members.

    ``entries`` may be lazy; it may raise FormatError half-way: what it gave until then stands and the rest becomes a gap.
    ``problems`` are defects that did not stop the parser (a bad checksum, a truncated tail), in words. ``before``: bytes in
    front of the signature that belong to it too (a trailer announces itself behind what it describes); they are cut at the end of
    the container found before. ``signatures``: what is signed, ready to be verified by whoever has a key;
    ``keys``: public keys that it holds to verify others with, DER SubjectPublicKeyInfo.
    """

    format: str
    size: int  # bytes claimed from the offset it was opened at
    entries: Iterable[Entry] = ()
    detail: dict[str, str | int] = {}
    problems: list[str] = []
    before: int = 0
    signatures: tuple[SignedBlock, ...] = ()
    keys: tuple[bytes, ...] = ()


Category = Literal[
    "file system",
    "flash",
    "archive",
    "stream",
    "firmware",
    "update bundle",
    "microcontroller",
    "partition table",
    "disk image",
    "executable",
    "encryption",
]
"""What a format is for, as the table of formats groups it."""


class Format(ABC):
    """One format. ``name`` is the term used in chains and reports."""

    name: ClassVar[str]
    title: ClassVar[str]  # for the table of formats in the documentation
    specification: ClassVar[str]  # document, header or RFC the layout comes from
    category: ClassVar[Category]
    reads: ClassVar[str] = ""  # variants, compressions and checks that are read, for the documentation
    not_read: ClassVar[str] = ""  # what of the format is not read: the honest half of the row
    signatures: ClassVar[tuple[Signature, ...]]
    priority: ClassVar[int] = 50  # lower is tried first where several signatures meet at one offset

    @abstractmethod
    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        """Validates the header at ``offset`` of ``source`` and gives the container.

        Raises FormatError when the bytes are not of this format, and nothing else for bad input. The claimed ``size`` never
        reaches beyond the source.
        """
