"""coreboot's CBFS and the flash map FMAP (coreboot util/cbfstool/cbfs.h, fmap.h; Documentation/lib/flashmap.md).

CBFS, big-endian: files one behind the other, aligned to 64 bytes: ``LARCHIVE``, length, type, offset of the attributes,
offset of the data, name. Attributes: tag, length, data; ``BCZL`` compression (1 LZMA, 2 LZ4) and unpacked size,
``haSH`` kind and digest. A stage of before 2021 has a header of 28 bytes (little-endian), a payload a table of segments
of 28 bytes: type, compression, offset, load address, length, memory.

FMAP, little-endian: ``__FMAP__``, version 1.x, base address (64 bit), size, name (32 bytes), number of areas; an area:
offset, size, name, flags (1 static, 2 compressed, 4 read-only, 8 preserve).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from functools import partial

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats import lz4, lzma_alone
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import member_path, note
from fwcheck.extraction.source import ByteSource

_FILE = struct.Struct(">8sIIII")
_SEGMENT = struct.Struct(">4sIIQII")
_STAGE = struct.Struct("<IQQII")
_ALIGN = 64
_COMPRESSION, _HASH = 0x42435A4C, 0x68736148
_METHODS = {0: "none", 1: "LZMA", 2: "LZ4"}
_HASHES = {1: "sha1", 2: "sha256", 3: "sha512"}  # enum vb2_hash_algorithm
_EMPTY = {0, 0xFFFFFFFF}
_LEGACY_STAGE, _PAYLOAD = 0x10, 0x20
_TYPES = {
    0x01: "bootblock", 0x02: "cbfs header", _LEGACY_STAGE: "legacy stage", 0x11: "stage", _PAYLOAD: "payload",
    0x21: "fit payload",
    0x30: "option rom", 0x40: "boot splash", 0x50: "raw", 0x51: "vsa", 0x52: "mbi", 0x53: "microcode", 0x54: "intel fit",
    0x60: "fsp", 0x61: "mrc", 0x62: "mma", 0x63: "efi", 0x70: "struct", 0x80: "amdfw", 0xAA: "cmos default", 0xAB: "spd",
    0xAC: "mrc cache", 0x01AA: "cmos layout",
}  # fmt: skip
_IMAGES = {"legacy stage", "stage", "payload", "fit payload", "fsp", "efi", "amdfw"}
_NAME_LIMIT = 1024
_SEGMENTS_LIMIT = 64
_ATTRIBUTES_LIMIT = 32


class _File(msgspec.Struct, frozen=True):
    begin: int
    length: int
    type: int
    name: str
    attributes: dict[int, bytes]
    end: int


class Cbfs(Format):
    """CBFS from its first file to the last one that follows it; packed files are unpacked."""

    name = "cbfs"
    title = "coreboot file system (CBFS)"
    specification = "coreboot util/cbfstool/cbfs.h"
    category = "file system"
    reads = (
        "all file types, LZMA and LZ4 by attribute, stages and segments of payloads, hash attributes recomputed (SHA-1, SHA-2)"
    )
    not_read = "relocation of stages; what stands behind a gap without files"
    signatures = (Signature(pattern=rb"LARCHIVE[\x00-\x07]", width=9),)
    priority = 15

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        problems: list[str] = []
        files: list[_File] = []
        at = offset
        while len(files) < limits.nodes and (file := _file(source, at)) is not None:
            files.append(file)
            at = offset + -(-(file.end - offset) // _ALIGN) * _ALIGN
        if not files:
            raise FormatError("not a file of CBFS")
        size = min(at, source.size) - offset
        right: list[str] = []
        entries = [entry for file in files for entry in _entries(source, file, right, problems)]
        return Container(
            format=self.name,
            size=size,
            entries=entries,
            detail={
                "files": sum(file.type not in _EMPTY for file in files),
                "integrity": "hash" if right else "none",
                "integrity_detail": f"{', '.join(sorted(set(right)))} of {len(right)} files" if right else "no hashes",
            },
            problems=problems,
        )


def _file(source: ByteSource, at: int) -> _File | None:
    raw = source.peek(at, _FILE.size)
    if len(raw) < _FILE.size or raw[:8] != b"LARCHIVE":
        return None
    _, length, kind, attributes, data = _FILE.unpack(raw)
    header = source.peek(at, data)
    if not _FILE.size < data <= 1 << 16 or len(header) < data or at + data + length > source.size:
        return None
    end = attributes if _FILE.size <= attributes < data else data
    name = header[_FILE.size : end].split(b"\0", 1)[0][:_NAME_LIMIT].decode("utf-8", "surrogateescape")
    found = _attributes(header, attributes) if end == attributes else {}
    return _File(at + data, length, kind, name, found, at + data + length)


def _attributes(header: bytes, at: int) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while at + 8 <= len(header) and len(found) < _ATTRIBUTES_LIMIT:
        tag, length = struct.unpack_from(">II", header, at)
        if not 8 <= length <= len(header) - at or tag in _EMPTY:
            break
        found[tag] = header[at + 8 : at + length]
        at += length
    return found


def _entries(source: ByteSource, file: _File, right: list[str], problems: list[str]) -> Iterator[Entry]:
    if file.type in _EMPTY or not file.length:
        return
    path = member_path(file.name)[0] if file.name else f"/0x{file.begin:x}"
    detail: dict[str, str | int] = {"type": _TYPES.get(file.type, f"0x{file.type:x}")}
    attribute = file.attributes.get(_COMPRESSION, b"")
    method, unpacked = struct.unpack(">II", attribute[:8]) if len(attribute) >= 8 else (0, 0)
    if method:
        detail["compression"] = _METHODS.get(method, str(method))
    if digest := file.attributes.get(_HASH):
        detail["hash"] = word = _check(source, file, digest)
        if word.endswith("right"):
            right.append(word)
        elif word.endswith("wrong"):
            note(problems, f"{path}: {word}")
    if file.type == _PAYLOAD and (segments := list(_segments(source, file, path, detail))):
        yield from segments
    elif file.type == _LEGACY_STAGE and file.length > _STAGE.size:
        method, _, _, length, memory = _STAGE.unpack(source.read(file.begin, _STAGE.size))
        yield _piece(source, path, file.begin + _STAGE.size, min(length, file.length - _STAGE.size), method, memory, detail)
    else:
        yield _piece(source, path, file.begin, file.length, method, unpacked, detail)


def _piece(
    source: ByteSource, path: str, at: int, length: int, method: int, unpacked: int, detail: dict[str, str | int]
) -> Entry:
    """A file or segment: a window when stored as it is, else unpacked on demand. What may be an image is searched like one."""
    whole = part(source, path, at, length)
    plain = msgspec.structs.replace(whole, detail=detail, role="part" if detail["type"] in _IMAGES else "file")
    if method not in {1, 2}:
        return plain
    detail = {**detail, "compression": _METHODS[method]}
    return msgspec.structs.replace(
        plain, size=unpacked, offset=None, detail=detail, open=partial(_unpacked, source, at, length, method)
    )


def _unpacked(source: ByteSource, at: int, length: int, method: int) -> ByteSource:
    format: Format = lzma_alone.FORMATS[0] if method == 1 else lz4.FORMATS[0]
    (entry,) = format.open(source.window(at, length), 0).entries
    assert entry.open is not None
    return entry.open()


def _segments(source: ByteSource, file: _File, path: str, detail: dict[str, str | int]) -> Iterator[Entry]:
    for number in range(_SEGMENTS_LIMIT):
        raw = source.peek(file.begin + number * _SEGMENT.size, _SEGMENT.size)
        if len(raw) < _SEGMENT.size or (number + 1) * _SEGMENT.size > file.length:
            return
        kind, method, offset, load, length, memory = _SEGMENT.unpack(raw)
        if kind in {b"CODE", b"DATA"} and length and offset + length <= file.length:
            told = {**detail, "load_address": f"0x{load:x}"}
            name = f"{path}/{kind.decode().lower()}-{number}"
            yield _piece(source, name, file.begin + offset, length, method, memory, told)
        elif kind == b"ENTR":
            return


def _check(source: ByteSource, file: _File, raw: bytes) -> str:
    algorithm = _HASHES.get(int.from_bytes(raw[:4], "big"))
    if algorithm is None:
        return "hash of an unknown kind"
    digest = hashlib.new(algorithm, source.view(file.begin, file.length)).digest()
    return f"{algorithm} {'right' if raw[4 : 4 + len(digest)] == digest else 'wrong'}"


class FlashMap(Format):
    """FMAP: areas behind the map are parts, those in front of it or around it are listed: they were met before it."""

    name = "fmap"
    title = "Flash map (FMAP)"
    specification = "coreboot util/cbfstool/fmap.h; flashmap lib/fmap.h"
    category = "partition table"
    reads = "version 1, nested areas, flags of areas"
    not_read = "areas in front of the map as parts: what they hold is found where it lies"
    signatures = (Signature(pattern=rb"__FMAP__\x01[\x00-\x0f]", width=10),)
    priority = 15

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, 56)
        base, total, name, count = struct.unpack_from("<QI32sH", raw, 10)
        if raw[:9] != b"__FMAP__\x01" or not 0 < count <= 1024 or not total:
            raise FormatError("not a flash map")
        table = source.read(offset + 56, 42 * count)
        areas = [(at, size, words(label) or "unnamed", flags) for at, size, label, flags in struct.iter_unpack("<II32sH", table)]
        own = next((area for area in areas if area[2] == "FMAP"), None)
        begin = offset - own[0] if own else 0
        end = 56 + len(table)
        entries = list(_areas(source, begin, offset + end, areas))
        size = max([end, *((entry.offset or 0) + entry.size - offset for entry in entries if entry.role == "part")])
        return Container(
            format=self.name,
            size=min(size, source.size - offset),
            entries=entries,
            detail={
                "name": words(name),
                "base_address": f"0x{base:x}",
                "flash_size": total,
                "areas": ", ".join(area[2] for area in areas),
                "read_only": ", ".join(area[2] for area in areas if area[3] & 4) or "none",
                "integrity": "none",
                "integrity_detail": "no check",
            },
        )


def _areas(source: ByteSource, begin: int, behind: int, areas: list[tuple[int, int, str, int]]) -> Iterator[Entry]:
    """Innermost areas behind the map as parts, in order and without overlap; the others as rows."""
    end = behind
    for at, size, name, flags in sorted(areas, key=lambda area: (area[0], -area[1])):
        inner = any(at <= other[0] and other[0] + other[1] <= at + size and other[1] < size for other in areas if other[1])
        place = begin + at
        detail: dict[str, str | int] = {"flash_offset": f"0x{at:x}", "flags": flags}
        if inner or place < end or not size or place >= source.size or begin < 0:
            yield Entry(path=name, size=size, role="meta", detail=detail)
            continue
        if place > end:
            yield part(source, f"between-0x{end:x}", end, place - end)
        length = min(size, source.size - place)
        yield part(source, name, place, length, detail)
        end = place + length


FORMATS = (Cbfs(), FlashMap())
