"""MikroTik NPK: RouterOS packages, little-endian. ``1E F1 D0 BA``, length of what follows, then parts: type, length, content.

Types: 1 name and version, 2 description, 3 dependencies, 4 files (zlib), 7 and 8 scripts, 9 signature, 16 architecture, 21
SquashFS, 22 padding, 23 git commit, 24 release channel. Files, once inflated: 30 bytes (mode, 6 bytes zero, three times, zero,
length, length of the name), the name, the content (mikrotik-npk; npkpy; OpenWrt firmware-utils, npk_pack_kernel).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import partial

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits, bounded
from fwcheck.extraction.members import decoded, member_path, note
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind

_MAGIC = b"\x1e\xf1\xd0\xba"
_PART = struct.Struct("<HI")
_FILE = struct.Struct("<H6x5IH")
_NAME, _DESCRIPTION, _FILES, _SIGNATURE, _ARCHITECTURE, _SQUASHFS, _CHANNEL = 1, 2, 4, 9, 16, 21, 24
_TYPES = {
    1: "name", 2: "description", 3: "dependencies", 4: "files", 5: "install-script", 6: "uninstall-script", 7: "on-install",
    8: "on-uninstall", 9: "signature", 16: "architecture", 17: "conflicts", 18: "package-info", 19: "features", 20: "digest",
    21: "squashfs", 22: "padding", 23: "git-commit", 24: "channel", 25: "header",
}  # fmt: skip
_PARTS = 4096
_STEP = 1 << 16


class Npk(Format):
    """RouterOS package: SquashFS as a part, zlib-packed files as members."""

    name = "npk"
    title = "MikroTik RouterOS package (NPK)"
    specification = "mikrotik-npk; npkpy; OpenWrt firmware-utils, npk_pack_kernel"
    category = "update bundle"
    reads = (
        "all parts; files out of the zlib part with mode and time; name, version, architecture and channel; signatures are told"
    )
    not_read = "signatures are not verified; packages of several packages are read as their parts"
    signatures = (Signature(pattern=rb"\x1e\xf1\xd0\xba.{4}[\x00-\x20]\x00.{2}[\x00-\xff]\x00", width=14),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, 8)
        length = int.from_bytes(raw[4:], "little")
        if raw[:4] != _MAGIC or length < _PART.size:
            raise FormatError("not an NPK header")
        problems: list[str] = []
        size = min(length + 8, source.size - offset)
        if size < length + 8:
            note(problems, f"{length + 8} bytes announced, {size} there")
        parts = list(_parts(source, offset, offset + size, problems))
        if not parts:
            raise FormatError("an NPK header without parts")
        signed = any(kind == _SIGNATURE for kind, _, _ in parts)
        return Container(
            format=self.name,
            size=size,
            entries=_entries(source, parts, limits, problems),
            detail={
                **_described(source, parts),
                "parts": len(parts),
                "integrity": "signature" if signed else "none",
                "integrity_detail": "signature (not verified)" if signed else "no signature",
            },
            problems=problems,
        )


def _parts(source: ByteSource, offset: int, end: int, problems: list[str]) -> Iterator[tuple[int, int, int]]:
    """Type, offset and size of each part."""
    at = offset + 8
    for _ in range(_PARTS):
        if at + _PART.size > end:
            return
        kind, size = _PART.unpack(source.read(at, _PART.size))
        at += _PART.size
        if kind > 64:
            note(problems, f"a part of the unknown type {kind}: the listing ends")
            return
        if at + size > end:
            note(problems, f"part {_TYPES.get(kind, kind)}: {size} bytes announced, {end - at} there")
        yield kind, at, min(size, end - at)
        at += size


def _described(source: ByteSource, parts: list[tuple[int, int, int]]) -> dict[str, str | int]:
    detail: dict[str, str | int] = {}
    for kind, at, size in parts:
        raw = source.read(at, min(size, 4096))
        if kind == _NAME and size >= 24 and "package" not in detail:
            revision, channel, minor, major = raw[16:20]
            detail |= {
                "package": words(raw[:16]),
                "version": f"{major}.{minor}.{revision}",
                "kind": chr(channel) if channel else "",
            }
        elif kind in {_DESCRIPTION, _ARCHITECTURE, _CHANNEL}:
            detail.setdefault(_TYPES[kind], words(raw).strip())
    return detail


def _entries(source: ByteSource, parts: list[tuple[int, int, int]], limits: Limits, problems: list[str]) -> Iterator[Entry]:
    for number, (kind, at, size) in enumerate(parts):
        name = f"{number}-{_TYPES.get(kind, f'type-{kind}')}"
        if kind == _FILES and size:
            yield from _files(source.window(at, size), at, limits, problems)
        elif size:
            entry = part(source, name, at, size)
            yield entry if kind == _SQUASHFS else msgspec.structs.replace(entry, role="meta" if kind == 22 else "file")


def _inflated(source: ByteSource) -> Iterator[bytes]:
    inflater = zlib.decompressobj()
    try:
        for chunk in source.chunks(_STEP):
            data = bytes(chunk)
            while data and not inflater.eof:
                yield inflater.decompress(data, 1 << 20)
                data = inflater.unconsumed_tail
    except zlib.error as error:
        raise FormatError(f"broken zlib stream: {error}") from error


def _files(packed: ByteSource, at: int, limits: Limits, problems: list[str]) -> Iterator[Entry]:
    content = spool(bounded(_inflated(packed), packed.size, limits))
    place = 0
    for _ in range(limits.nodes):
        if place + _FILE.size > content.size:
            break
        mode, time, _, _, _, size, length = _FILE.unpack(content.read(place, _FILE.size))
        place += _FILE.size
        if place + length + size > content.size:
            note(problems, "a file that lies beyond the end of its part: the listing ends")
            break
        path, escapes = member_path(decoded(content.read(place, length)))
        if escapes:
            note(problems, f"{path}: a name that leaves the root")
        place += length
        entry = Entry(path=path, size=size, mode=mode & 0o7777, mtime=time, locality=at)
        if mode & 0o170000 == 0o040000:
            yield msgspec.structs.replace(entry, kind=NodeKind.DIRECTORY, size=0)
        elif mode & 0o170000 == 0o120000:
            target = decoded(content.read(place, min(size, 4096)))
            yield msgspec.structs.replace(entry, kind=NodeKind.SYMLINK, size=0, target=target)
        else:
            yield msgspec.structs.replace(entry, open=partial(content.window, place, size))
        place += size


FORMATS = (Npk(),)
