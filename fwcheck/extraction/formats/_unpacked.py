"""What a packed member of a package unpacks to, for formats whose description lies inside one of their compressed members."""

from __future__ import annotations

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Format
from fwcheck.extraction.formats import bzip2, gzip, lzma_alone, xz, zstd
from fwcheck.extraction.formats import tar as _tar
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.members import decoded
from fwcheck.extraction.source import ByteSource

DESCRIPTION = 8 << 20  # unpacked bytes of a member that only describes the others
_FIELDS = 200  # lines read of a description
_MAGICS: tuple[tuple[bytes, str, Format], ...] = (
    (b"\x1f\x8b\x08", "gzip", gzip.FORMATS[0]),
    (b"\xfd7zXZ\x00", "xz", xz.FORMATS[0]),
    (b"BZh", "bzip2", bzip2.FORMATS[0]),
    (b"\x28\xb5\x2f\xfd", "zstd", zstd.FORMATS[0]),
    (b"\x5d\x00\x00", "lzma", lzma_alone.FORMATS[0]),
)


def compression(source: ByteSource) -> str:
    """The name of the stream format that ``source`` begins with; ``none`` when it is none of those read here."""
    head = source.peek(0, 6)
    return next((name for magic, name, _ in _MAGICS if head.startswith(magic)), "none")


def unpacked(source: ByteSource, limits: Limits, most: int = DESCRIPTION) -> ByteSource:
    """What ``source`` unpacks to, at most ``most`` bytes of it; itself when it is not packed. Raises FormatError."""
    head = source.peek(0, 6)
    for magic, name, each in _MAGICS:
        if head.startswith(magic):
            small = msgspec.structs.replace(limits, bytes_stream=min(most, limits.bytes_stream))
            entry = next(iter(each.open(source, 0, small).entries), None)
            if entry is None or entry.open is None:
                raise FormatError(f"an empty {name} stream")
            return entry.open()
    return source


def tar_files(source: ByteSource, limits: Limits) -> dict[str, ByteSource]:
    """The regular files of a tar archive, packed or not, by their path; raises FormatError."""
    archive = _tar.Archive(unpacked(source, limits), 0, msgspec.structs.replace(limits, nodes=min(2000, limits.nodes)))
    return {entry.path: entry.open() for entry in archive.entries if entry.open is not None and "link" not in entry.detail}


def fields(raw: bytes | memoryview, separator: str = ":") -> dict[str, str]:
    """``Name: value`` lines, by their name in lower case; continued lines and comments are left out, the first value stands."""
    found: dict[str, str] = {}
    for line in decoded(raw).splitlines()[:_FIELDS]:
        name, mark, value = line.partition(separator)
        if mark and name and not name[0].isspace() and name[0] != "#":
            found.setdefault(name.strip().lower(), "".join(c if c.isprintable() else "?" for c in value.strip())[:200])
    return found
