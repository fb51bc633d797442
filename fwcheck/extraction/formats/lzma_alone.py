"""LZMA-alone (.lzma): properties, dictionary size, unpacked size, one LZMA1 stream (lzma-file-format.txt of XZ Utils).

The header has no magic and the data no checksum. What can be demanded is: a properties byte below 225, a dictionary size of
the form 2^n or 2^n + 2^(n-1) or one seen in vendors' tools, a plausible size or none, the zero byte every range coder
begins with, and a decoder that gets through.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._stream import Progress, feed, keep, stream_container
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

_UNKNOWN = (1 << 64) - 1
_SIZE_LIMIT = 1 << 30  # unpacked
_DICTIONARY_LIMIT = 128 << 20  # what the decoder is allowed to hold
_MEMORY = 256 << 20

# lc=3 lp=0 pb=2 is every encoder's default, 0x6d (lc=1 lp=2 pb=2) OpenWrt's for MIPS, 0x6e (lc=2 lp=2 pb=2) TP-Link's for
# VxWorks; the others are seen in vendors' images.
_PROPERTIES = rb"[\x5d\x6d\x6e\x5a\x51\x5e\x66\x6c\x2c\x2d]"
_SIZE = rb"(?:\xff{8}|[\x00-\xff]{3}[\x00-\x3f]\x00{4})\x00"
_LARGE = rb"\x00\x00(?:[\x01-\x04\x06\x08\x0c\x10\x18\x20\x30\x40\x60\x80\xc0]\x00|\x00[\x01-\x04\x06\x08])"
_ANY = rb"[\x00-\xe0]\x00[\x00-\xff]{2}[\x00-\x40]"


class LzmaAlone(Format):
    """LZMA1 stream with the 13-byte header; the usual properties are found anywhere, the others where a part begins."""

    name = "lzma"
    title = "LZMA-alone stream (.lzma)"
    specification = "lzma-file-format.txt of XZ Utils; LZMA specification of the LZMA SDK"
    category = "stream"
    reads = (
        "all properties with lc + lp up to 4, declared and unknown sizes, end markers; usual properties anywhere, "
        "others where a part begins"
    )
    not_read = "lc + lp above 4, unpacked sizes above 1 GiB; there is no checksum to be checked"
    signatures = (
        Signature(pattern=_PROPERTIES + _LARGE + _SIZE, width=14),
        Signature(pattern=_ANY + _SIZE, width=14, anywhere=False),
    )
    priority = 70  # whatever has a magic is asked first

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        head = source.read(offset, 18)
        properties, dictionary, size = head[0], int.from_bytes(head[1:5], "little"), int.from_bytes(head[5:13], "little")
        if properties >= 225 or head[13] or not any(head[14:18]):
            raise FormatError("not an LZMA header")
        if not _plausible_dictionary(dictionary) or (size != _UNKNOWN and not 0 < size <= _SIZE_LIMIT):
            raise FormatError("implausible LZMA dictionary or unpacked size")
        if properties % 9 + properties // 9 % 5 > 4:
            raise FormatError("lc + lp above 4: no LZMA decoder reads it")
        progress = Progress(at=offset + 13)
        _trial(source, offset, head)
        content = keep(_stream(source, progress, head), progress, offset, limits)
        _demand_substance(content, progress, offset)
        detail: dict[str, str | int] = {
            "lc": properties % 9,
            "lp": properties // 9 % 5,
            "pb": properties // 45,
            "dictionary_size": dictionary,
            "declared_size": "unknown" if size == _UNKNOWN else size,
            "integrity": "none",
            "integrity_detail": "LZMA-alone has no check",
        }
        return stream_container(self.name, offset, progress, content, detail)


def _plausible_dictionary(size: int) -> bool:
    """2^n or 2^n + 2^(n-1) from 4 KiB on, as encoders write it; any multiple of 4 KiB up to 8 MiB, as some vendors do."""
    if not 4096 <= size <= 1 << 30:
        return False
    return (size & (size - 1)) == 0 or size == 3 << (size.bit_length() - 2) or (size % 4096 == 0 and size <= 8 << 20)


def _decoder(head: bytes) -> lzma.LZMADecompressor:
    """A decoder that was given the header, with a dictionary size that liblzma takes and memory allows."""
    dictionary = 1 << max(12, (int.from_bytes(head[1:5], "little") - 1).bit_length())
    size = int.from_bytes(head[5:13], "little")
    needed = 1 << max(12, (size - 1).bit_length())  # no distance reaches back further than the beginning
    dictionary = min(dictionary, needed, _DICTIONARY_LIMIT)
    decoder = lzma.LZMADecompressor(lzma.FORMAT_ALONE, _MEMORY)
    decoder.decompress(head[:1] + dictionary.to_bytes(4, "little") + head[5:13], 0)
    return decoder


def _trial(source: ByteSource, offset: int, head: bytes) -> None:
    """Decodes the first KiB: chance hits die here, before anything is kept."""
    try:
        out = _decoder(head).decompress(source.peek(offset + 13, 4096), 1024)
    except (lzma.LZMAError, MemoryError) as error:
        raise FormatError(f"no LZMA data: {error}") from error
    if len(out) == 1024 and out.count(out[:1]) == 1024 and len(set(source.peek(offset + 13, 64))) < 8:
        raise FormatError("a constant out of almost constant bytes: no LZMA data")


def _stream(source: ByteSource, progress: Progress, head: bytes) -> Iterator[bytes]:
    yield from feed(_decoder(head), source, progress, (lzma.LZMAError, MemoryError))
    progress.units = 1


def _demand_substance(content: ByteSource, progress: Progress, offset: int) -> None:
    """Without magic and checksum a short or broken decode proves little: zeros decode to zeros for ever."""
    packed = progress.at - offset - 13
    if progress.broken and (packed < 1024 or content.size > packed * 200):
        raise FormatError("no LZMA data: the decoder broke down and gave nothing of substance")
    if not progress.broken and content.size < 64:
        raise FormatError("no LZMA data: too little came out to be told from chance")


FORMATS = (LzmaAlone(),)
