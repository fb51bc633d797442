"""The packages of an RPM database in each of its three forms: SQLite, ndb, and the hash file of Berkeley DB.

Every form holds the packages' headers as they are in packages, without the lead: number of index entries and size of the data
(big-endian), the index (tag, type, offset, count), the data. Sources: rpm ``lib/backend/ndb/rpmpkg.c``, ``lib/header.c``,
``rpmtag.h``; Berkeley DB ``dbinc/db_page.h`` (P_OVERFLOW, type 7, header of 26 bytes).
"""

from __future__ import annotations

import contextlib
import sqlite3
import struct
from collections.abc import Iterator

from fwcheck.inspection import databases
from fwcheck.model import PackageFact

_PACKAGES = 4000
_HEADER = 4 << 20  # bytes of one header
_NAME, _VERSION, _RELEASE, _EPOCH, _LICENSE, _ARCH, _SOURCE = 1000, 1001, 1002, 1003, 1014, 1022, 1044
_TEXTS = {_NAME, _VERSION, _RELEASE, _LICENSE, _ARCH, _SOURCE}
_NDB, _SLOT_BLOB = b"RpmP", b"BlbS"
_HASH_MAGIC = 0x061561
_PAGE_HEADER = 26


def read(raw: bytes) -> Iterator[PackageFact]:
    """The installed packages when this is an RPM database, else nothing."""
    for offset, header in _headers(raw):
        tags = _tags(header)
        name, version = tags.get(_NAME), tags.get(_VERSION)
        if not name or not version or name == "gpg-pubkey":
            continue
        release, epoch = tags.get(_RELEASE, ""), tags.get(_EPOCH, "")
        yield PackageFact(
            ecosystem="rpm",
            name=name,
            version=(f"{epoch}:" if epoch not in ("", "0") else "") + version + (f"-{release}" if release else ""),
            offset=offset,
            arch=tags.get(_ARCH, ""),
            source=tags.get(_SOURCE, "").rsplit("-", 2)[0],
            license=tags.get(_LICENSE, "")[:200],
        )


def _headers(raw: bytes) -> Iterator[tuple[int, bytes]]:
    if raw.startswith(b"SQLite format 3\0"):
        yield from _from_sqlite(raw)
    elif raw.startswith(_NDB):
        yield from _from_ndb(raw)
    elif len(raw) >= 512:
        for order in ("little", "big"):
            if int.from_bytes(raw[12:16], "little" if order == "little" else "big") == _HASH_MAGIC:
                yield from _from_hash(raw, "<" if order == "little" else ">")


def _from_sqlite(raw: bytes) -> Iterator[tuple[int, bytes]]:
    if b"Packages" not in raw[: 64 << 10] or len(raw) > databases.LIMIT:
        return
    try:
        with contextlib.closing(databases.opened(raw)) as connection:
            for (blob,) in connection.execute("SELECT blob FROM Packages LIMIT 4000"):
                if isinstance(blob, bytes):
                    yield 0, blob
    except (sqlite3.Error, ValueError, MemoryError, OverflowError):
        return


def _from_ndb(raw: bytes) -> Iterator[tuple[int, bytes]]:
    at = raw.find(_SLOT_BLOB)
    for _ in range(_PACKAGES):
        if at < 0 or at + 16 > len(raw):
            return
        length = int.from_bytes(raw[at + 12 : at + 16], "little")
        if 16 <= length <= _HEADER and at + 16 + length <= len(raw):
            yield at + 16, raw[at + 16 : at + 16 + length]
            at = raw.find(_SLOT_BLOB, at + 16 + length)
        else:
            at = raw.find(_SLOT_BLOB, at + 4)


def _from_hash(raw: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Values lie on chains of overflow pages; a chain begins on a page without one before it."""
    page = struct.unpack_from(order + "I", raw, 20)[0]
    if page & (page - 1) or not 512 <= page <= 65536:
        return
    layout = struct.Struct(order + "8x3I2HBB")
    pages = len(raw) // page
    budget = 2 * pages  # pages that chains may visit together
    for number in range(1, pages):
        _, before, _, _, _, _, kind = layout.unpack_from(raw, number * page)
        if kind != 7 or before:
            continue
        parts, current = bytearray(), number
        while current and current < pages and budget > 0 and len(parts) <= _HEADER:
            budget -= 1
            _, _, after, _, used, _, kind = layout.unpack_from(raw, current * page)
            if kind != 7:
                break
            begin = current * page + _PAGE_HEADER
            parts += raw[begin : begin + min(used, page - _PAGE_HEADER)]
            current = after
        yield number * page + _PAGE_HEADER, bytes(parts)


def _tags(header: bytes) -> dict[int, str]:
    """The first value of the texts and numbers that are asked for; empty when this is no header."""
    if len(header) < 8:
        return {}
    entries, size = struct.unpack_from(">2I", header)
    data = 8 + 16 * entries
    if not 0 < entries <= 4096 or data + size > len(header) or size > _HEADER:
        return {}
    found: dict[int, str] = {}
    for index in range(entries):
        tag, kind, offset, count = struct.unpack_from(">4I", header, 8 + 16 * index)
        at = data + offset
        if tag in _TEXTS and kind in (6, 9) and count and at < data + size:
            end = header.find(b"\0", at, min(at + 512, data + size))
            if end > at:
                found[tag] = header[at:end].decode("utf-8", "replace")
        elif tag == _EPOCH and kind == 4 and at + 4 <= data + size:
            found[tag] = str(struct.unpack_from(">I", header, at)[0])
    return found
