"""Contents that are known by their packed bytes: what was decoded once need not be decoded again to be told.

A reader of a file system may tell what a content is packed from (:meth:`ByteSource.packed_digest`). When a content was read to
its end without an error, and nothing but its facts is asked of its bytes, its digest is kept under that of its packed bytes, in
the cache in which its facts lie. In another build of the same product the packed bytes alone then lead to the facts. Whoever
wants the bytes after all (a finding that quotes them) unpacks them as ever.

Not kept is what later stages read themselves: texts, databases, contents with secrets, and whatever has containers in it.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from fwcheck.extraction.source import ByteSource
from fwcheck.inspection.cache import WORTHWHILE, FactsCache
from fwcheck.inspection.inspect import INSPECTOR_VERSION
from fwcheck.model import Facts, SignedBlock

_KEY = "packed "


class _Trace(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a content beside its facts."""

    sha256: str
    size: int
    signatures: tuple[SignedBlock, ...] = ()  # that it carries, whatever its name is
    searched: bool = False  # whether containers were looked for in it; there were none
    opaque: bool = False  # and it looks encrypted


class Recalled(NamedTuple):
    """A content that need not be decoded."""

    facts: Facts
    signatures: tuple[SignedBlock, ...]
    searched: bool
    opaque: bool


class Known:
    """The traces in one cache. ``version``: of everything that decides them beside the inspector."""

    def __init__(self, cache: FactsCache, version: str) -> None:
        self._cache = cache
        self._version = f"{INSPECTOR_VERSION}-{version}"
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(_Trace)

    def digest(self, content: ByteSource) -> str | None:
        """The digest of the packed bytes, where it is worth to know it."""
        return content.packed_digest() if content.size >= WORTHWHILE and self._cache.usable else None

    def find(self, digest: str, size: int) -> Recalled | None:
        """What is known of a content of ``size`` bytes that is packed so."""
        data = self._cache.note(_KEY + digest, self._version)
        if data is None:
            return None
        try:
            trace = self._decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        facts = self._cache.get(trace.sha256) if trace.size == size else None
        if facts is None or facts.size != size:
            return None
        return Recalled(facts, trace.signatures, trace.searched, trace.opaque)

    def keep(self, digest: str, content: Recalled) -> None:
        """Keeps the trace of a content, where its facts are all that is asked of it."""
        facts, signatures, searched, opaque = content
        if facts.text is None and not (facts.tables or facts.patterns or facts.problems or facts.kind == "sqlite"):
            trace = _Trace(sha256=facts.sha256, size=facts.size, signatures=signatures, searched=searched, opaque=opaque)
            self._cache.put_note(_KEY + digest, self._version, self._encoder.encode(trace))
