"""compress (.Z): LZW with codes of 9 to 16 bits (compress(1); ncompress 4.2, compress.c).

Layout: 0x1f 0x9d, a byte with the largest code width in bits 0-4 and the block mode (code 256 clears the table) in bit
7, then codes, lowest bit first. Codes come in groups of eight: a group is as many bytes as a code has bits, and where
the width changes, or the table is cleared, the rest of a group is filler. There is no end mark and no checksum.
"""

from __future__ import annotations

from collections.abc import Iterator

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._stream import Broken, Progress, keep, stream_container
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_CLEAR = 256
_PIECE = 64 << 10  # unpacked bytes handed on at once
_OUTPUT_LIMIT = 32 << 20  # decoded in Python: more would take too long
_SUBSTANCE = 64


class Compress(Format):
    """compress stream. Without an end mark it reaches to the end of the source, or to the first code that cannot be."""

    name = "compress"
    title = "compress stream (.Z)"
    specification = "ncompress 4.2.4, compress.c"
    category = "stream"
    reads = "widths of 10 to 16 bits with and without block mode, at the beginning of a file or part"
    not_read = (
        "the width of 9 bits (compress -b 9); streams in the midst of other bytes; what lies beyond 32 MiB unpacked; it "
        "has no checksum"
    )
    signatures = (Signature(pattern=rb"\x1f\x9d[\x8a-\x90\x0a-\x10]", width=3, anywhere=False),)
    priority = 75

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        head = source.peek(offset, 3)
        if len(head) < 3 or head[:2] != b"\x1f\x9d" or head[2] & 0x60 or not 10 <= head[2] & 31 <= 16:
            raise FormatError("not a compress header")
        progress = Progress(at=offset + 3)
        content = keep(_decoded(source, progress, head[2] & 31, bool(head[2] & 0x80)), progress, offset, limits)
        if content.size < _SUBSTANCE:
            raise FormatError("no LZW data: too little came out to be told from chance")
        detail: dict[str, str | int] = {
            "bits": head[2] & 31,
            "block_mode": "yes" if head[2] & 0x80 else "no",
            "integrity": "none",
            "integrity_detail": "no check",
        }
        return stream_container(self.name, offset, progress, content, detail)


def _groups(source: ByteSource, progress: Progress, width: int) -> list[int]:
    """The codes of the next group and the place behind it; the last one of a stream may be short."""
    raw = source.peek(progress.at, width)
    progress.at += len(raw)
    bits, mask = int.from_bytes(raw, "little"), (1 << width) - 1
    return [bits >> shift & mask for shift in range(0, 8 * len(raw) - width + 1, width)]


def _decoded(source: ByteSource, progress: Progress, most: int, block: bool) -> Iterator[bytes]:
    fresh = [bytes([byte]) for byte in range(256)] + ([b""] if block else [])
    table, width, previous, out, total = list(fresh), 9, b"", bytearray(), 0
    while codes := _groups(source, progress, width):
        for code in codes:
            if block and code == _CLEAR:
                table, width, previous = list(fresh), 9, b""
                break
            if code < len(table):
                entry = table[code]
            elif code == len(table) and previous:
                entry = previous + previous[:1]
            else:
                yield bytes(out)
                raise Broken(f"code {code} in a table of {len(table)}")
            out += entry
            if previous and len(table) < 1 << most:
                table.append(previous + entry[:1])
            previous = entry
            if len(table) >= 1 << width and width < most:
                # The encoder is one entry ahead of the decoder: it widens its codes when the table is full.
                width += 1
                break
        if len(out) >= _PIECE:
            total += len(out)
            yield bytes(out)
            out.clear()
            if total > _OUTPUT_LIMIT:
                raise Broken(f"more than {_OUTPUT_LIMIT} unpacked bytes: the rest is not decoded")
    progress.units = 1
    yield bytes(out)


FORMATS = (Compress(),)
