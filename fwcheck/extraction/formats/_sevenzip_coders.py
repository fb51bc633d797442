"""The coders of 7z folders, streamed one into the other (7-Zip source, DOC/Methods.txt)."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats._sevenzip_header import Coder, Folder
from fwcheck.extraction.source import ByteSource

AES = bytes.fromhex("06f10701")
NAMES = {
    b"\x00": "Copy", bytes.fromhex("030101"): "LZMA", b"\x21": "LZMA2", bytes.fromhex("040108"): "Deflate",
    bytes.fromhex("040109"): "Deflate64", bytes.fromhex("040202"): "BZip2", bytes.fromhex("030401"): "PPMd",
    bytes.fromhex("04f71101"): "ZSTD", bytes.fromhex("04f71104"): "LZ4", AES: "AES-256-CBC, SHA-256",
    bytes.fromhex("03030103"): "BCJ x86", bytes.fromhex("0303011b"): "BCJ2", bytes.fromhex("03030205"): "BCJ PowerPC",
    bytes.fromhex("03030401"): "BCJ IA64", bytes.fromhex("03030501"): "BCJ ARM", bytes.fromhex("03030701"): "BCJ ARM Thumb",
    bytes.fromhex("03030805"): "BCJ SPARC", b"\x03": "Delta", b"\x04": "BCJ x86", b"\x05": "BCJ PowerPC", b"\x06": "BCJ IA64",
    b"\x07": "BCJ ARM", b"\x08": "BCJ ARM Thumb", b"\x09": "BCJ SPARC", b"\x0a": "BCJ ARM64", b"\x0b": "BCJ RISC-V",
}  # fmt: skip
_BRANCHES = {
    "BCJ x86": lzma.FILTER_X86, "BCJ PowerPC": lzma.FILTER_POWERPC, "BCJ IA64": lzma.FILTER_IA64, "BCJ ARM": lzma.FILTER_ARM,
    "BCJ ARM Thumb": lzma.FILTER_ARMTHUMB, "BCJ SPARC": lzma.FILTER_SPARC,
}  # fmt: skip
_STEP = 1 << 18
_MEMORY = 256 << 20
_CHUNK = 1 << 16  # of an LZMA2 chunk that is not packed


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


def encrypted(folder: Folder) -> bool:
    """Whether one of the coders is AES."""
    return any(each.method == AES for each in folder.coders)


def words(folder: Folder) -> str:
    """The coders in the order in which they unpack."""
    return " + ".join(NAMES.get(each.method, each.method.hex()) for each in reversed(folder.coders))


def unpacked(folder: Folder, packed: ByteSource) -> Iterator[bytes]:
    """The content of a folder that is fed from one pack stream; raises FormatError for what is broken or not read."""
    if any(each.inputs != 1 or each.outputs != 1 for each in folder.coders) or len(folder.packed) != 1:
        raise FormatError(f"{words(folder)} cannot be unpacked")
    outer = {output: into for into, output in folder.bonds}  # the coder that takes an output
    at, seen = folder.packed[0], set[int]()
    pieces: Iterator[bytes] = (bytes(chunk) for chunk in packed.chunks(_STEP))
    while at not in seen and at < len(folder.coders):
        seen.add(at)
        pieces = _cut(_decoded(folder.coders[at], pieces, folder.sizes[at]), folder.sizes[at])
        if at not in outer:
            break
        at = outer[at]
    if len(seen) != len(folder.coders):
        raise FormatError("7z coders that are not bound to each other")
    try:
        yield from pieces
    except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError, MemoryError) as error:
        raise FormatError(f"a broken stream of {words(folder)}: {error}") from None


def _cut(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Exactly ``size`` bytes, whatever the decoder has more of."""
    left = size
    for piece in pieces:
        if len(piece) >= left:
            yield piece[:left]
            return
        left -= len(piece)
        yield piece
    if left:
        raise FormatError(f"the stream ends {left} bytes too early")


def _decoded(coder: Coder, pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    name = NAMES.get(coder.method, "")
    if name == "Copy":
        return pieces
    if name == "ZSTD":
        return _zstd(pieces)
    if name == "Deflate":
        return _inflated(pieces)
    if name == "BZip2":
        return _members(pieces)
    if name in _BRANCHES or name == "Delta":
        return _filtered(name, coder.properties, pieces)
    if name in ("LZMA", "LZMA2"):
        return _through(lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[_lzma(name, coder.properties, size)]), pieces)
    raise FormatError(f"{name or coder.method.hex()} cannot be unpacked")


def _lzma(name: str, properties: bytes, size: int) -> dict[str, Any]:
    """The filter of liblzma. A dictionary greater than the content serves nothing, and would be allocated at once."""
    if name == "LZMA2":
        if len(properties) != 1 or properties[0] > 40:
            raise FormatError("broken LZMA2 properties")
        stored = (2 | properties[0] & 1) << (properties[0] // 2 + 11)
        return {"id": lzma.FILTER_LZMA2, "dict_size": max(4096, min(stored, size, _MEMORY))}
    if len(properties) != 5 or properties[0] >= 225:
        raise FormatError("broken LZMA properties")
    rest, lc = divmod(properties[0], 9)
    pb, lp = divmod(rest, 5)
    stored = int.from_bytes(properties[1:], "little")
    return {"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": max(4096, min(stored, size, _MEMORY))}


def _through(decoder: _Decoder, pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        data = piece
        while not decoder.eof:
            out = decoder.decompress(data, _STEP)
            data = b""
            if out:
                yield out
            elif decoder.needs_input:
                break


def _members(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """bzip2 streams one behind the other: the encoder of several threads may write them so."""
    decoder = bz2.BZ2Decompressor()
    for piece in pieces:
        data = piece
        while data or not decoder.needs_input:
            if decoder.eof:
                data = decoder.unused_data or data
                decoder = bz2.BZ2Decompressor()
            out = decoder.decompress(data, _STEP)
            data = decoder.unused_data if decoder.eof else b""
            if out:
                yield out


def _inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    decoder = zlib.decompressobj(-15)
    for piece in pieces:
        data = piece
        while data and not decoder.eof:
            yield decoder.decompress(data, _STEP)
            data = decoder.unconsumed_tail
    yield decoder.flush()


def _zstd(pieces: Iterator[bytes]) -> Iterator[bytes]:
    import zstandard  # noqa: PLC0415  # rare inside 7z, and not free to load

    decoder = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
    try:
        # The output of one call is not bounded by the library: small steps of input bound it instead.
        for piece in pieces:
            for at in range(0, len(piece), 1024):
                yield decoder.decompress(piece[at : at + 1024])
                if decoder.eof:
                    return
    except zstandard.ZstdError as error:
        raise FormatError(f"a broken stream of ZSTD: {error}") from None


def _filtered(name: str, properties: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """A branch or delta filter of liblzma, fed through LZMA2 chunks that are not packed: those tell it where the end is."""
    chosen: dict[str, Any] = {"id": _BRANCHES.get(name, lzma.FILTER_DELTA)}
    if name == "Delta":
        chosen["dist"] = properties[0] + 1 if properties else 1
    decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chosen, {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}])
    return _through(decoder, _chunked(pieces))


def _chunked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for at in range(0, len(piece), _CHUNK):
            part = piece[at : at + _CHUNK]
            yield b"\x01" + (len(part) - 1).to_bytes(2, "big") + part
    yield b"\x00"
