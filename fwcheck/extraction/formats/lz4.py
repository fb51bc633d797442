"""LZ4: the frame format and the legacy frame of the Linux kernel (lz4_Frame_format.md, version 1.6.x)."""

from __future__ import annotations

from collections.abc import Iterator

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._stream import Broken, Progress, feed, keep, stream_container
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

FRAME = b"\x04\x22\x4d\x18"
LEGACY = b"\x02\x21\x4c\x18"
MOZILLA = b"mozLz40\0"
_BLOCK_UNPACKED = 256 << 20
_LEGACY_BLOCK = 8 << 20  # unpacked size of every block but the last
_LEGACY_PACKED = _LEGACY_BLOCK + _LEGACY_BLOCK // 255 + 16


class Lz4(Format):
    """LZ4 frames; bytes behind the last one are not claimed."""

    name = "lz4"
    title = "LZ4 frames"
    specification = "LZ4 Frame Format Description 1.6"
    category = "stream"
    reads = "several frames, block and content XXH32 verified"
    not_read = "dictionaries, skippable frames before the first frame"
    # FLG: version 01, reserved bit clear; BD: a block maximum of 64 KiB to 4 MiB, the other bits clear
    signatures = (Signature(pattern=rb"\x04\x22\x4d\x18[\x40\x41\x44\x45\x48-\x7d][\x40\x50\x60\x70]", width=6),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        head = source.peek(offset, 7)
        if head[:4] != FRAME or len(head) < 7 or head[4] >> 6 != 1 or head[4] & 2 or head[5] & 0x8F:
            raise FormatError("not an LZ4 frame header")
        progress = Progress(at=offset)
        content = keep(_frames(source, progress), progress, offset, limits)
        checks = [words for bit, words in ((0x10, "XXH32 per block"), (0x04, "XXH32 of the content")) if head[4] & bit]
        detail: dict[str, str | int] = {
            "frames": progress.units,
            "integrity": "checksum" if checks else "none",
            "integrity_detail": " and ".join(checks) or "XXH32 of the header only",
        }
        return stream_container(self.name, offset, progress, content, detail)


class Lz4Legacy(Format):
    """LZ4 legacy frame, the one Linux kernels are packed with: blocks of 8 MiB behind a magic, without end mark or checksum."""

    name = "lz4-legacy"
    title = "LZ4 legacy frame"
    specification = "LZ4 Frame Format Description 1.6, Legacy frame; linux/lib/decompress_unlz4.c"
    category = "stream"
    reads = "blocks of 8 MiB, several frames in a row"
    not_read = "an end that follows a whole block of exactly 8 MiB cannot be told; there is no checksum"
    signatures = (Signature(pattern=rb"\x02\x21\x4c\x18[\x00-\xff]{3}\x00", width=8),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        if source.peek(offset, 4) != LEGACY:
            raise FormatError("not an LZ4 legacy frame")
        progress = Progress(at=offset + 4)
        content = keep(_blocks(source, progress), progress, offset, limits)
        if content.size < 64:
            raise FormatError("no LZ4 data: too little came out to be told from chance")
        detail: dict[str, str | int] = {"blocks": progress.units, "integrity": "none", "integrity_detail": "no checksum"}
        return stream_container(self.name, offset, progress, content, detail)


class Lz4Block(Format):
    """mozLz4 file: a magic, the unpacked size in four bytes, and one LZ4 block up to the end of the source."""

    name = "lz4-block"
    title = "LZ4 block with its size (mozLz4)"
    specification = "Mozilla toolkit/components/lz4; LZ4 Block Format Description"
    category = "stream"
    reads = "one block of up to 256 MiB that fills its file or part"
    not_read = "blocks in the midst of other bytes: nothing says where they end"
    signatures = (Signature(pattern=rb"mozLz40\x00[\x00-\xff]{3}[\x00-\x10]", width=12),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        size = int.from_bytes(source.read(offset + 8, 4), "little")
        if source.peek(offset, 8) != MOZILLA or not 0 < size <= _BLOCK_UNPACKED:
            raise FormatError("not a mozLz4 header")
        progress = Progress(at=offset + 12)
        content = keep(_one_block(source, progress, size), progress, offset, limits)
        detail: dict[str, str | int] = {"integrity": "none", "integrity_detail": "no checksum"}
        return stream_container(self.name, offset, progress, content, detail)


def _one_block(source: ByteSource, progress: Progress, size: int) -> Iterator[bytes]:
    from lz4 import block  # noqa: PLC0415

    packed = source.size - progress.at
    if size > packed * 255 + 64:
        raise Broken(f"no block of {packed} bytes unpacks to {size}")
    try:
        piece = block.decompress(source.view(progress.at, packed), uncompressed_size=size)
    except (block.LZ4BlockError, ValueError, MemoryError) as error:
        raise Broken(str(error)) from error
    if len(piece) != size:
        raise Broken(f"{size} bytes announced, {len(piece)} came out")
    progress.at = source.size
    progress.units = 1
    yield piece


def _frames(source: ByteSource, progress: Progress) -> Iterator[bytes]:
    from lz4.frame import LZ4FrameDecompressor  # noqa: PLC0415  # heavy, and most images have no LZ4

    while source.peek(progress.at, 4) == FRAME:
        yield from feed(LZ4FrameDecompressor(), source, progress, (RuntimeError, ValueError, MemoryError))
        progress.units += 1


def _blocks(source: ByteSource, progress: Progress) -> Iterator[bytes]:
    """Blocks up to the first short one. A legacy frame has no end mark: what no block can be ends it."""
    from lz4 import block  # noqa: PLC0415

    while True:
        size = int.from_bytes(source.peek(progress.at, 4), "little")
        if progress.units and source.peek(progress.at, 4) == LEGACY:
            progress.at += 4
            continue
        if not 0 < size <= _LEGACY_PACKED or progress.at + 4 + size > source.size:
            if progress.units:
                return
            raise Broken("the first block is cut off")
        try:
            piece = block.decompress(source.view(progress.at + 4, size), uncompressed_size=_LEGACY_BLOCK)
        except (block.LZ4BlockError, ValueError, MemoryError) as error:
            if progress.units:
                return
            raise Broken(str(error)) from error
        progress.at += 4 + size
        progress.units += 1
        yield piece
        if len(piece) < _LEGACY_BLOCK and source.peek(progress.at, 4) != LEGACY:
            return


FORMATS = (Lz4(), Lz4Legacy(), Lz4Block())
