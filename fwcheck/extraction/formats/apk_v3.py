"""Packages of apk version 3, which OpenWrt builds since it left opkg, and the indexes of their repositories.

Layout (apk-tools, doc/apk-v3.5.scd, src/adb.h, src/apk_adb.h), little-endian: ``ADBd`` and a raw deflate stream, ``ADBc`` with
algorithm and level (two bytes) and a stream, or nothing packed; then ``ADB.``, schema (``pckg``, ``indx``) and blocks. A block is
a word of type (high two bits) and size with that word, content, and padding to eight bytes; type 3 means that the type stands in
the low bits and a size of 64 bits behind a reserved word. The first block holds the values, then come signatures, then for each
file with content a block of the numbers of its directory and of itself, and the content. A signature block holds version (0),
hash (2 SHA-1, 3 SHA-256, 4 SHA-512), 16 bytes of key identifier (SHA-512 of the public key) and the signature with SHA-512 over
schema, these 18 bytes, and the hash of the values (src/adb.c).
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from functools import partial

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._adb import Block
from fwcheck.extraction.formats._checksums import digest_of
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.members import decoded, device_name, member_path, note
from fwcheck.extraction.source import ByteSource, Memory
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind, SignedBlock

_VALUES, _SIGNATURE, _CONTENT, _EXTENDED = 0, 1, 2, 3
_VALUES_LIMIT = 64 << 20
_PIECE = 1 << 16
_SCHEMAS = {b"pckg": "package", b"indx": "index"}
# Fields of a package, its directories and files (src/apk_adb.h)
_SHOWN = {"package": 1, "version": 2, "architecture": 5, "licence": 6, "source": 7, "maintainer": 8}
_SCRIPTS = {2: "pre-install", 3: "post-install", 4: "pre-deinstall", 5: "post-deinstall", 6: "pre-upgrade", 7: "post-upgrade"}
_HASHES = {2: "sha1", 3: "sha256", 4: "sha512"}  # by their numbers
_SIGNED = 18  # bytes of a signature block in front of the signature
_SIGNATURES, _SIGNATURE_LIMIT = 8, 4096
_DIGESTS = {20: "sha1", 32: "sha256", 64: "sha512"}


class Piece(msgspec.Struct, frozen=True):
    """One block: its type and where its content lies."""

    type: int
    at: int
    size: int


class ApkV3(Format):
    """Packages and indexes of apk version 3."""

    name = "apk-v3"
    title = "apk package and index (version 3, ADB)"
    specification = "apk-tools, doc/apk-v3.5.scd"
    category = "archive"
    reads = "plain, deflate and zstd; fields of the package, directories, files with their hashes, links, devices; scripts told"
    not_read = "packages of an index are counted; signatures are verified where a key is at hand"
    signatures = (
        Signature(pattern=rb"ADB\.(?:pckg|indx)", width=8),
        Signature(pattern=rb"ADB(?:d.|c[\x00-\x02])", width=5, anywhere=False),
    )

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        inner, begin, end, packing = _inner(source, offset, limits)
        schema = _SCHEMAS.get(inner.peek(begin + 4, 4), "")
        if inner.peek(begin, 4) != b"ADB." or not schema:
            raise FormatError("no apk database")
        problems: list[str] = []
        pieces, behind = _pieces(inner, begin + 8, limits.nodes, problems)
        if not pieces or pieces[0].type != _VALUES or pieces[0].size > _VALUES_LIMIT:
            raise FormatError("an apk database without values")
        values = Block(inner.read(pieces[0].at, pieces[0].size))
        signed = sum(each.type == _SIGNATURE for each in pieces)
        detail: dict[str, str | int] = {"schema": schema, "packing": packing}
        entries: list[Entry] = []
        if schema == "package":
            detail |= _description(values)
            entries = list(_files(values, inner, pieces, packing == "none", limits, problems))
        else:
            detail["packages"] = len(values.items(values.field(values.root, 2)))
        words = f"{signed} signatures (not verified); SHA-256 of each file" if signed else "SHA-256 of each file, no signature"
        detail |= {"integrity": "signature" if signed else "hash", "integrity_detail": words}
        size = (behind if end is None else end) - offset
        raw = inner.read(pieces[0].at, pieces[0].size)
        blocks = _blocks(inner, [each for each in pieces if each.type == _SIGNATURE], inner.read(begin + 4, 4), raw)
        return Container(format=self.name, size=size, entries=entries, detail=detail, problems=problems, signatures=tuple(blocks))


def _blocks(source: ByteSource, pieces: list[Piece], schema: bytes, values: bytes) -> Iterator[SignedBlock]:
    """The signatures over the values, which hold the hash of every file."""
    known: dict[str, bytes] = {}
    for each in pieces[:_SIGNATURES]:
        raw = source.read(each.at, min(each.size, _SIGNATURE_LIMIT))
        name = _HASHES.get(raw[1]) if len(raw) > _SIGNED and raw[0] == 0 else None
        if name is None:
            continue
        if name not in known:
            known[name] = hashlib.new(name, values, usedforsecurity=False).digest()
        message = schema + raw[:_SIGNED] + known[name]
        yield SignedBlock(
            scheme="Alpine package", hash="sha512", signature=raw[_SIGNED:], message=message, role="content",
            digest=hashlib.sha512(message).digest(), covers="the package" if schema == b"pckg" else "the index",
            key_hint=f"key identifier {raw[2:_SIGNED].hex()}",
        )  # fmt: skip


def _inner(source: ByteSource, offset: int, limits: Limits) -> tuple[ByteSource, int, int | None, str]:
    """The database, where it begins, where its packed stream ends (None when it is not packed), and the packing."""
    head = source.peek(offset, 6)
    if head[:4] == b"ADB.":
        return source, offset, None, "none"
    if head[:4] == b"ADBd":
        packing, at = "deflate", offset + 4
    elif head[:4] == b"ADBc" and len(head) == 6 and head[4] < 3:
        packing, at = ("none", "deflate", "zstd")[head[4]], offset + 6
        if packing == "none":
            return source, at, None, "none"
    else:
        raise FormatError("no apk database")
    place = [at]
    stream = _inflated(source, place) if packing == "deflate" else _zstd(source, place)
    content = spool(bounded(_checked(stream), source.size - at, limits))
    return content, 0, place[0], packing


def _checked(stream: Iterator[bytes]) -> Iterator[bytes]:
    """A stream that begins as a database does: chance is turned away before much is unpacked."""
    head, known = b"", False
    for piece in stream:
        if known:
            yield piece
            continue
        head += piece
        if len(head) >= 8:
            if head[:4] != b"ADB." or head[4:8] not in _SCHEMAS:
                raise FormatError("a stream that holds no apk database")
            known = True
            yield head
    if not known:
        raise FormatError("a stream that holds no apk database")


def _inflated(source: ByteSource, place: list[int]) -> Iterator[bytes]:
    decoder = zlib.decompressobj(-15)
    at = place[0]
    try:
        while not decoder.eof:
            data: bytes = decoder.unconsumed_tail
            if not data:
                data = source.peek(at, _PIECE)
                at += len(data)
                if not data:
                    raise FormatError("the package is cut off")
            yield decoder.decompress(data, 1 << 20)
    except zlib.error as error:
        raise FormatError(f"broken deflate stream: {error}") from None
    place[0] = at - len(decoder.unused_data)


def _zstd(source: ByteSource, place: list[int]) -> Iterator[bytes]:
    import zstandard  # noqa: PLC0415  # rare, and not free to load

    decoder = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
    at = place[0]
    try:
        # The output of one call is not bounded by the library: small steps of input bound it instead.
        while not decoder.eof:
            data = source.peek(at, 1024)
            at += len(data)
            if not data:
                raise FormatError("the package is cut off")
            yield decoder.decompress(data)
    except zstandard.ZstdError as error:
        raise FormatError(f"broken zstd stream: {error}") from None
    place[0] = at - len(decoder.unused_data)


def _pieces(source: ByteSource, at: int, limit: int, problems: list[str]) -> tuple[list[Piece], int]:
    """All blocks, and the offset behind the last one."""
    found: list[Piece] = []
    while len(found) <= limit and len(head := source.peek(at, 16)) >= 4:
        word = int.from_bytes(head[:4], "little")
        kind, size, width = word >> 30, word & 0x3FFFFFFF, 4
        if kind == _EXTENDED:
            if len(head) < 16:
                break
            kind, size, width = size, int.from_bytes(head[8:], "little"), 16
        if size < width or kind > _CONTENT or (kind == _VALUES) != (not found):
            break
        if at + size > source.size:
            note(problems, "the last block reaches beyond the end")
            return found, source.size
        found.append(Piece(kind, at + width, size - width))
        at = min(at + size + -size % 8, source.size)
    return found, at


def _shown(raw: bytes) -> str:
    return "".join(char if char.isprintable() else "?" for char in raw.decode("utf-8", "replace"))[:200]


def _description(values: Block) -> dict[str, str | int]:
    info = values.field(values.root, 1)
    detail: dict[str, str | int] = {
        name: _shown(raw) for name, index in _SHOWN.items() if (raw := values.blob(values.field(info, index)))
    }
    scripts = values.field(values.root, 3)
    if present := [name for index, name in _SCRIPTS.items() if values.blob(values.field(scripts, index))]:
        detail["scripts"] = ", ".join(present)
    return detail


def _files(
    values: Block, source: ByteSource, pieces: list[Piece], plain: bool, limits: Limits, problems: list[str]
) -> Iterator[Entry]:
    """Every directory and file, in the order of the database."""
    contents: dict[tuple[int, int], Piece] = {}
    for each in pieces:
        if each.type == _CONTENT and each.size >= 8:
            first, second = struct.unpack("<II", source.read(each.at, 8))
            contents[first, second] = Piece(_CONTENT, each.at + 8, each.size - 8)
    count = 0
    for number, directory in enumerate(values.items(values.field(values.root, 2)), 1):
        name = decoded(values.blob(values.field(directory, 1)))
        mode = values.number(values.field(values.field(directory, 2), 1))
        path, escapes = member_path(name)
        if escapes:
            note(problems, f"the name {name!r} leaves the package: kept as {path}")
        if path != "/":
            yield Entry(path=path, kind=NodeKind.DIRECTORY, mode=mode & 0o7777)
        for index, file in enumerate(values.items(values.field(directory, 3)), 1):
            count += 1
            if count > limits.nodes:
                note(problems, "too many members: the listing was cut short")
                return
            yield _file(values, file, path, (source, contents.get((number, index)), plain, limits), problems)


def _file(
    values: Block, file: int, directory: str, place: tuple[ByteSource, Piece | None, bool, Limits], problems: list[str]
) -> Entry:
    source, content, plain, limits = place
    name = decoded(values.blob(values.field(file, 1)))
    path, escapes = member_path(f"{directory}/{name.replace('/', '?')}")
    if escapes:
        note(problems, f"the name {name!r} leaves the package: kept as {path}")
    owner = values.field(file, 2)
    entry = Entry(
        path=path, mode=values.number(values.field(owner, 1)) & 0o7777, size=values.number(values.field(file, 3)),
        mtime=values.number(values.field(file, 4)),
    )  # fmt: skip
    if target := values.blob(values.field(file, 6)):
        _special(entry, target)
    elif content is None and entry.size:
        note(problems, f"{path} has no content in the package")
    elif content is None:
        entry.open = partial(Memory, b"")
    else:
        entry.size, entry.locality = content.size, content.at
        entry.offset = content.at if plain else None
        hashed = values.blob(values.field(file, 5))
        entry.open = partial(_verified, source, content.at, content.size, hashed, limits)
    return entry


def _special(entry: Entry, target: bytes) -> None:
    """What is no plain file has its type in front of its target: a path, or the number of a device."""
    kind = int.from_bytes(target[:2], "little")
    if kind & 0o170000 == 0o120000:
        entry.kind, entry.target = NodeKind.SYMLINK, decoded(target[2:])
    elif kind & 0o170000 == 0o100000:
        entry.detail = {"link": member_path(decoded(target[2:]))[0]}
    else:
        number = int.from_bytes(target[2:10], "little")
        major, minor = number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00
        entry.kind, entry.device = NodeKind.DEVICE, device_name(kind, major, minor)


def _verified(source: ByteSource, at: int, size: int, hashed: bytes, limits: Limits) -> ByteSource:
    found = source.window(at, size)
    algorithm = _DIGESTS.get(len(hashed))
    if algorithm is not None and digest_of(algorithm, found, limits) != hashed:
        raise FormatError(f"the {algorithm} of the content is wrong")
    return found


FORMATS = (ApkV3(),)
