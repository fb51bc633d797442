"""OSTree static deltas in one file: a superblock in GVariant form with the parts inside it.

Layout (ostree, src/libostree/ostree-repo-static-delta-private.h): a tuple that begins with a dictionary of metadata, whose first
key is ``ostree.endianness``; parts made with ``--inline`` are values of keys ``deltas/FROM-TO/NUMBER``, each one byte of its
compression (0 or ``x`` for xz) and the part. GVariant keeps its framing at the end: a delta reaches to the end of its file.
"""

from __future__ import annotations

import re

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_KEY = b"ostree.endianness\0"
_PART = re.compile(rb"deltas/[\w+./-]{1,200}/\d{1,6}\x00")
_LOOK = 1 << 20


class OstreeDelta(Format):
    """A static delta; what lies in its parts is searched for."""

    name = "ostree-delta"
    title = "OSTree static delta"
    specification = "ostree, ostree-repo-static-delta-private.h"
    category = "update bundle"
    reads = "deltas that carry their endianness; inline parts are searched for streams"
    not_read = "the objects that a part makes up, checksums and signatures; summaries and commits of a repository"
    signatures = (Signature(pattern=rb"ostree\.endianness\x00", width=18, anywhere=False),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        if source.peek(offset, len(_KEY)) != _KEY:
            raise FormatError("no OSTree static delta")
        parts = len(_PART.findall(source.peek(offset, _LOOK)))
        begin = offset + len(_KEY)
        detail: dict[str, str | int] = {"inline_parts": parts}
        entries = [part(source, "superblock", begin, source.size - begin)] if source.size > begin else []
        return Container(format=self.name, size=source.size - offset, entries=entries, detail=detail)


FORMATS = (OstreeDelta(),)
