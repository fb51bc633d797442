"""xar archives: a header, a table of contents in XML packed with zlib, and a heap.

Layout (xar source, include/xar.h.in; xar wiki, "xarformat"), big-endian: ``xar!``, size of the header, version 1, packed and
unpacked size of the table (64 bits each), checksum of the table (0 none, 1 SHA-1, 2 MD5, 3 named behind it). The checksum of the
packed table lies in the heap where the table says. A file's data have offset and length in the heap, size, encoding, and
checksums of what is packed and of what comes out.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from xml.etree import ElementTree as ET

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import DIGESTS, digest_of, right_or_wrong
from fwcheck.extraction.formats._listed import named, refused
from fwcheck.extraction.formats._unpacked import unpacked
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource, Memory
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind

_HEADER = struct.Struct(">4sHHQQI")
_TABLE_LIMIT = 4 << 20  # unpacked bytes: the tree of an XML text takes a multiple
_TABLE_RATIO = 64
_ALGORITHMS = {1: "sha1", 2: "md5"}
_KINDS = {"file": NodeKind.FILE, "directory": NodeKind.DIRECTORY, "symlink": NodeKind.SYMLINK, "hardlink": NodeKind.FILE}
_DEPTH = 64
_OVERLAP = 2  # times the source that all members together may take


class Xar(Format):
    """xar archives, as macOS packages use them."""

    name = "xar"
    title = "xar archive"
    specification = "xar source, include/xar.h.in"
    category = "archive"
    reads = "files, directories and links; stored, zlib, bzip2, xz and lzma data with their checksums; checksum of the table"
    not_read = "signatures are told, not verified; extended attributes"
    signatures = (Signature(pattern=rb"xar!\x00[\x1c-\x80]\x00\x01\x00{4}", width=12),)

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, header, version, packed, size, algorithm = _HEADER.unpack(source.read(offset, _HEADER.size))
        if (
            magic != b"xar!"
            or version != 1
            or header < _HEADER.size
            or not packed <= size <= min(_TABLE_LIMIT, packed * _TABLE_RATIO)
        ):
            raise FormatError("no xar header")
        table = source.read(offset + header, packed)
        toc = _parsed(table, size)
        heap = offset + header + packed
        problems: list[str] = []
        end = min(heap + max((sum(_span(each)) for each in toc.iter() if _is_span(each)), default=0), source.size)
        detail = _integrity(source, toc, (heap, algorithm, table), limits, problems)
        entries = list(_entries(source, toc, heap, limits, problems))
        detail["members"] = len(entries)
        return Container(format=self.name, size=end - offset, entries=entries, detail=detail, problems=problems)


def _parsed(table: bytes, size: int) -> ET.Element:
    """The ``toc`` element; raises FormatError. Entities are refused before the parser sees them."""
    decoder = zlib.decompressobj()
    try:
        text = decoder.decompress(table, size + 1)
    except zlib.error as error:
        raise FormatError(f"a broken xar table: {error}") from None
    if len(text) != size or b"<!DOCTYPE" in text or b"<!ENTITY" in text or b"\0" in text:
        raise FormatError("a xar table of another size, or with definitions of its own")
    try:
        toc = ET.fromstring(text).find("toc")  # noqa: S314  # no document type, so no entities
    except (ET.ParseError, ValueError, RecursionError) as error:
        raise FormatError(f"a xar table that is no XML: {error}") from None
    if toc is None:
        raise FormatError("a xar table without contents")
    return toc


def _number(element: ET.Element, name: str, base: int = 10) -> int:
    text = (element.findtext(name) or "").strip()
    return (
        int(text, base)
        if text.isascii() and text.isdigit() and len(text) < 19 and (base > 8 or not set(text) & {"8", "9"})
        else 0
    )


def _time(text: str) -> int:
    """``2024-03-07T12:30:10Z`` in seconds since the epoch; 0 for what is no time."""
    try:
        return int(datetime.fromisoformat(text.strip()[:19]).replace(tzinfo=UTC).timestamp())
    except (ValueError, OverflowError):
        return 0


def _is_span(element: ET.Element) -> bool:
    return element.find("offset") is not None


def _span(element: ET.Element) -> tuple[int, int]:
    """Offset in the heap and length of what an element describes; checksums give their length as size."""
    length = _number(element, "length")
    return _number(element, "offset"), length or _number(element, "size")


def _integrity(
    source: ByteSource, toc: ET.Element, place: tuple[int, int, bytes], limits: Limits, problems: list[str]
) -> dict[str, str | int]:
    heap, algorithm, table = place
    words = []
    signatures = [each.get("style", "unknown") for name in ("signature", "x-signature") for each in toc.findall(name)]
    words += [f"{''.join(c if c.isprintable() else '?' for c in style)[:20]} signature (not verified)" for style in signatures]
    stored = toc.find("checksum")
    name = _ALGORITHMS.get(algorithm) or (stored.get("style", "").lower().replace("-", "") if stored is not None else "")
    if stored is not None and algorithm and name in DIGESTS:
        at, length = _span(stored)
        right = source.peek(heap + at, min(length, 64)) == digest_of(name, Memory(table), limits)
        words.append(f"{name} of the table {right_or_wrong(right)}")
        if not right:
            note(problems, f"the {name} of the table is wrong")
    kind = "signature" if signatures else "hash" if words else "none"
    return {"integrity": kind, "integrity_detail": "; ".join(words) or "no checksum of the table"}


def _entries(source: ByteSource, toc: ET.Element, heap: int, limits: Limits, problems: list[str]) -> Iterator[Entry]:
    """Every file, directories before what is in them."""
    todo: list[tuple[ET.Element, str, int]] = [(each, "", 0) for each in reversed(toc.findall("file"))]
    packed = 0
    while todo:
        element, parent, depth = todo.pop()
        name = f"{parent}/{(element.findtext('name') or '').replace('/', '?')}"
        kind = _KINDS.get((element.findtext("type") or "file").strip(), NodeKind.DEVICE)
        entry = named(
            name.lstrip("/"), problems, kind=kind, mode=_number(element, "mode", 8) & 0o7777, uid=_number(element, "uid"),
            gid=_number(element, "gid"), mtime=_time(element.findtext("mtime") or ""),
        )  # fmt: skip
        if entry is not None:
            if kind is NodeKind.SYMLINK:
                entry.target = (element.findtext("link") or "")[:4096]
            elif kind is NodeKind.FILE and (data := element.find("data")) is not None:
                _content(source, entry, data, heap, limits)
                packed += _span(data)[1]
                if packed > _OVERLAP * source.size:
                    entry.open = refused("it shares its bytes with other members")
            elif kind is NodeKind.FILE:
                entry.open = partial(Memory, b"")
            yield entry
        if depth < _DEPTH:
            todo += [(each, name, depth + 1) for each in reversed(element.findall("file"))]


def _content(source: ByteSource, entry: Entry, data: ET.Element, heap: int, limits: Limits) -> None:
    at, length = _number(data, "offset"), _number(data, "length")
    encoding = data.find("encoding")
    style = (encoding.get("style", "") if encoding is not None else "").removeprefix("application/") or "octet-stream"
    checksum = data.find("extracted-checksum")
    algorithm = checksum.get("style", "").lower().replace("-", "") if checksum is not None else ""
    expected = (algorithm, (checksum.text or "").strip().lower()) if checksum is not None and algorithm in DIGESTS else None
    entry.size, entry.locality = _number(data, "size"), heap + at
    entry.detail = {**entry.detail, "encoding": "".join(c if c.isprintable() else "?" for c in style)[:40]}
    entry.offset = heap + at if style == "octet-stream" and length else None
    entry.open = partial(_read, source, (heap + at, length, entry.size), style, expected, limits)


def _read(
    source: ByteSource, place: tuple[int, int, int], style: str, expected: tuple[str, str] | None, limits: Limits
) -> ByteSource:
    """A content; raises FormatError when it cannot be unpacked, or is another than its size and checksum say."""
    at, length, size = place
    packed = source.window(at, length)
    if style == "octet-stream":
        content = packed
    elif style == "x-gzip":  # zlib, whatever it is called
        content = spool(bounded(_inflated(packed), length, limits))
    elif style in ("x-bzip2", "x-lzma", "x-xz"):
        content = unpacked(packed, limits, limits.bytes_stream)
    else:
        raise FormatError(f"{style[:40]!r} cannot be unpacked")
    if content.size != size:
        raise FormatError(f"unpacks to {content.size} bytes and declares {size}")
    if expected is not None and digest_of(expected[0], content, limits).hex() != expected[1]:
        raise FormatError(f"the {expected[0]} of the content is wrong")
    return content


def _inflated(source: ByteSource) -> Iterator[bytes]:
    decoder = zlib.decompressobj()
    try:
        for chunk in source.chunks():
            data = bytes(chunk)
            while data and not decoder.eof:
                yield decoder.decompress(data, 1 << 20)
                data = decoder.unconsumed_tail
        yield decoder.flush()
    except zlib.error as error:
        raise FormatError(f"broken zlib stream: {error}") from None


FORMATS = (Xar(),)
