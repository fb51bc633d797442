"""Signatures of JAR archives, as Android packages of version 1 have them: CMS over a list of sums.

``META-INF/X.SF`` holds the digest of ``META-INF/MANIFEST.MF``, that one the digests of the members; ``META-INF/X.RSA`` (``.EC``,
``.DSA``) is a detached CMS message over X.SF. Lines are folded at 72 bytes: a blank begins their continuation. Source: Java SE,
JAR File Specification, "Signed JAR File".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from fwcheck.extraction.errors import ExtractionError, FormatError
from fwcheck.extraction.format import Entry
from fwcheck.extraction.formats import _cms as cms
from fwcheck.model import SignedBlock

_BLOCK = re.compile(r"/META-INF/([^/]{1,64})\.(?:RSA|EC|DSA)")
_MANIFEST: Final = "/META-INF/MANIFEST.MF"
_TEXT_LIMIT: Final = 8 << 20
_CONTENT_LIMIT: Final = 32 << 20  # bytes of members that are compared with their digests
_HASHES: Final = {"SHA-256": "sha256", "SHA-512": "sha512", "SHA-384": "sha384", "SHA1": "sha1", "SHA": "sha1", "SHA-1": "sha1"}
_SIGNERS: Final = 4
_SECTIONS: Final = 20_000


def jar_signatures(entries: Iterable[Entry]) -> tuple[SignedBlock, ...]:
    """The signatures of an archive whose members are these; ``intact`` is whether every digest that was compared fits."""
    members = {entry.path: entry for entry in entries}
    names = sorted(path for path in members if _BLOCK.fullmatch(path))[:_SIGNERS]
    manifest = _bytes(members.get(_MANIFEST)) if names else b""
    return tuple(block for name in names for block in _signed(members, name, manifest))


def _signed(members: dict[str, Entry], name: str, manifest: bytes) -> Iterable[SignedBlock]:
    listed = _bytes(members.get(f"{name.rpartition('.')[0]}.SF"))
    raw = _bytes(members.get(name))
    if not listed or not raw or not manifest:
        return
    try:
        message = cms.message(raw)
    except FormatError:
        yield SignedBlock(scheme="JAR", covers="archive, a signature that cannot be read", role="content")
        return
    digests = {kind: hashlib.new(kind, listed, usedforsecurity=False).digest() for kind in ("sha1", "sha256", "sha384", "sha512")}
    main = _sections(listed)[:1]
    bound = _fits(main[0], "-Digest-Manifest", manifest) if main else None
    right, compared, total = _compared(members, manifest) if bound else (bound, 0, 0)
    for block in cms.blocks(message, digests, "JAR", f"archive ({compared} of {total} members compared)"):
        intact = block.intact is not False and right is not False
        yield msgspec.structs.replace(block, role="content", intact=intact)


def _sections(raw: bytes) -> list[dict[str, str]]:
    text = raw.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").replace("\n ", "")
    return [
        dict(line.split(": ", 1) for line in part.split("\n") if ": " in line)
        for part in text.split("\n\n")[:_SECTIONS]
        if part.strip()
    ]


def _fits(section: dict[str, str], suffix: str, content: bytes) -> bool | None:
    """Whether the strongest digest of a section is that of the content; None where it has none that is known."""
    for name in sorted(section, reverse=True):
        kind = _HASHES.get(name.removesuffix(suffix))
        if name.endswith(suffix) and kind is not None:
            try:
                value = base64.b64decode(section[name], validate=True)
            except binascii.Error:
                return False
            return hashlib.new(kind, content, usedforsecurity=False).digest() == value
    return None


def _compared(members: dict[str, Entry], manifest: bytes) -> tuple[bool, int, int]:
    """Whether members fit their digests, how many were compared, and of how many."""
    compared, left = 0, _CONTENT_LIMIT
    sections = [each for each in _sections(manifest)[1:] if "Name" in each]
    named = {f"/{each['Name'].lstrip('/')}" for each in sections}
    inside = [path for path, entry in members.items() if entry.open is not None and not path.startswith("/META-INF/")]
    # What was added is signed by nobody; Java takes it, Android does not.
    right = "/AndroidManifest.xml" not in members or all(path in named for path in inside)
    for section in sections:
        entry = members.get(f"/{section['Name'].lstrip('/')}")
        if entry is None or entry.size > left:
            continue
        left -= entry.size
        fits = _fits(section, "-Digest", _bytes(entry, _CONTENT_LIMIT))
        compared += fits is not None
        right &= fits is not False
    return right, compared, len(sections)


def _bytes(entry: Entry | None, limit: int = _TEXT_LIMIT) -> bytes:
    if entry is None or entry.open is None or entry.size > limit:
        return b""
    try:
        source = entry.open()
        return source.read(0, min(source.size, limit))
    except ExtractionError:
        return b""
