"""The header of LUKS 2: a binary block of 4,096 bytes and JSON behind it, in two copies.

Big-endian: magic ``LUKS`` 0xBA 0xBE (the second copy: ``SKUL``), version (2), bytes of the whole header (8), sequence number (8),
label (48), name of the checksum (32), salt (64), UUID (40), subsystem (48), offset of this copy (8), unused (184), checksum (64)
over the whole header with this field zero. Source: LUKS2 On-Disk Format Specification, version 1.1.1.
"""

from __future__ import annotations

import hashlib
from struct import Struct
from typing import Any

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats._parts import words
from fwcheck.extraction.source import ByteSource

_HEADER = Struct(">6sHQQ48s32s64s40s48sQ184x64s")
_SIZES = frozenset(1 << n for n in range(14, 23))  # 16 KiB to 4 MiB
_SUMS = frozenset({"sha1", "sha224", "sha256", "sha384", "sha512"})


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A range of the device; ``size`` None: to its end."""

    kind: str
    begin: int
    size: int | None
    cipher: str


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """One copy of the header."""

    size: int
    sequence: int
    label: str
    uuid: str
    checksum: str
    right: bool | None  # None: an unknown kind of checksum
    body: dict[str, Any]

    def rows(self, name: str) -> list[tuple[str, dict[str, Any]]]:
        """The objects of one section of the JSON, by their number."""
        section = self.body.get(name)
        return [(key, row) for key, row in section.items() if isinstance(row, dict)][:64] if isinstance(section, dict) else []

    def tokens(self) -> list[str]:
        return [_word(row.get("type")) for _, row in self.rows("tokens")]

    def segments(self) -> list[Segment]:
        out = []
        for _, row in self.rows("segments"):
            size = row.get("size")
            out.append(Segment(
                kind=_word(row.get("type")), begin=_number(row.get("offset")), cipher=_word(row.get("encryption")),
                size=None if size == "dynamic" else _number(size),
            ))  # fmt: skip
        return out

    def keyslots(self) -> list[str]:
        """Each keyslot in words: what derives its key, and what that costs."""
        out = []
        for number, row in self.rows("keyslots"):
            kdf, area = (row[name] if isinstance(row.get(name), dict) else {} for name in ("kdf", "area"))
            costs = [f"{name} {kdf[name]}" for name in ("hash", "iterations", "time", "memory", "cpus") if name in kdf]
            cipher = f", {_word(area.get('encryption'))}" if area.get("encryption") else ""
            out.append(
                f"{words(number.encode())}: {_word(kdf.get('type')) or _word(row.get('type'))} ({', '.join(costs)}){cipher}"
            )
        return [words(each.encode("utf-8", "replace"))[:200] for each in out]


def copy(source: ByteSource, at: int) -> Copy:
    """The copy at ``at``; raises FormatError when there is none."""
    raw = source.peek(at, 512)
    if len(raw) < _HEADER.size:
        raise FormatError("no LUKS 2 header")
    magic, version, size, sequence, label, kind, _, uuid, _, _, checksum = _HEADER.unpack_from(raw)
    if magic not in (b"LUKS\xba\xbe", b"SKUL\xba\xbe") or version != 2 or size not in _SIZES:
        raise FormatError("implausible LUKS 2 header")
    whole = source.peek(at, size)
    if len(whole) < size:
        raise FormatError("a LUKS 2 header that is cut off")
    name, right = words(kind), None
    if name in _SUMS:
        digest = hashlib.new(name, whole[:448] + bytes(64) + whole[512:], usedforsecurity=False).digest()
        right = digest == checksum[: len(digest)]
    return Copy(
        size=size, sequence=sequence, label=words(label), uuid=words(uuid), checksum=name, right=right, body=_json(whole[4096:])
    )


def _json(raw: bytes) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(raw.split(b"\0", 1)[0])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return body if isinstance(body, dict) else {}


def _number(value: object) -> int:
    """Numbers of 64 bits are strings in this JSON."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19:
        return int(value)
    return -1


def _word(value: object) -> str:
    return words(value.encode("utf-8", "replace"))[:64] if isinstance(value, str) else ""
