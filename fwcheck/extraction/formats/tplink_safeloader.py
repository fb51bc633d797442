"""TP-Link SafeLoader: a table of partitions in text, behind a vendor header and in front of the partitions.

    0x0000  size of the image, big-endian            0x1014  table: lines of ``fwup-ptn NAME base 0x.. size 0x..``, then zero
    0x0004  MD5 of a public salt and all that follows  0x1814  the first partition; bases count from 0x1014
    0x0014  length of the vendor text, the text; or text that begins with ``fw-type:``, then an RSA signature

A partition may be meta data: length, zero, content (soft-version, support-list). OpenWrt firmware-utils, tplink-safeloader.
"""

from __future__ import annotations

import re

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import digest, verdict
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_TABLE, _TABLE_SIZE, _HASHED = 0x1014, 0x800, 0x14
_SALT = bytes.fromhex("7a2b15ed9b98596de504ab44ac2a9f4e")
_LINE = re.compile(rb"fwup-ptn ([\x21-\x7e]{1,64}) base 0x([0-9A-Fa-f]{1,8}) size 0x([0-9A-Fa-f]{1,8})[\t\r ]*\n?")
_META = frozenset({"soft-version", "support-list", "partition-table", "extra-para", "soft-ver", "product-info"})
_EVEN = 64  # different values of 128 bytes from which they are a signature rather than text or padding


class _Partition(msgspec.Struct, frozen=True):
    name: str
    base: int  # from the table
    size: int


class SafeLoader(Format):
    """TP-Link SafeLoader image; its partitions are parts."""

    name = "tplink-safeloader"
    title = "TP-Link SafeLoader image (fwup-ptn)"
    specification = "OpenWrt firmware-utils, tplink-safeloader"
    category = "firmware"
    reads = "the partition table and all partitions, soft-version and support-list; salted MD5 recomputed; signatures told"
    not_read = "images that begin with ?NEW"
    signatures = (Signature(pattern=rb"fwup-ptn [\x21-\x7e]", width=10, offset=_TABLE),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        head = source.read(offset, _TABLE)
        announced = int.from_bytes(head[:4], "big")
        partitions = _table(bytes(source.peek(offset + _TABLE, _TABLE_SIZE)))
        available = source.size - offset
        end = _TABLE + max(each.base + each.size for each in partitions)
        if not _TABLE < announced <= 1 << 30 or end > announced + _TABLE:
            raise FormatError("implausible size in a SafeLoader header")
        size = min(announced, available)
        problems: list[str] = []
        right = None
        if size < announced:
            note(problems, f"{announced} bytes announced, {size} there")
        else:
            right = digest("md5", source, (offset + _HASHED, size - _HASHED), before=_SALT) == head[4:_HASHED]
        told = verdict(problems, "MD5 with a public salt", right)
        vendor, signed = _vendor(head)
        detail: dict[str, str | int] = {"vendor": vendor, "partitions": len(partitions)}
        detail |= _described(source, offset, partitions)
        if signed:
            told = f"RSA signature in the header (not verified), {told}"
        detail |= {"integrity": "signature" if signed else "hash", "integrity_detail": told}
        entries = _entries(source, offset, size, partitions, problems)
        return Container(format=self.name, size=size, entries=entries, detail=detail, problems=problems)


def _table(raw: bytes) -> list[_Partition]:
    found: list[_Partition] = []
    at = 0
    while match := _LINE.match(raw, at):
        found.append(_Partition(match[1].decode("ascii"), int(match[2], 16), int(match[3], 16)))
        at = match.end()
    if not found or any(each.base < _TABLE_SIZE // 2 for each in found):
        raise FormatError("not a SafeLoader partition table")
    return found


def _vendor(head: bytes) -> tuple[str, bool]:
    """The vendor text, and whether a signature stands behind it."""
    length = int.from_bytes(head[0x14:0x18], "big")
    start, end = (0x18, 0x18 + length) if length <= _TABLE - 0x18 else (0x14, _TABLE)
    text = head[start:end].split(b"\0", 1)[0].split(b"\xff", 1)[0]
    rest = head[start + len(text) :]
    signed = any(len(set(rest[at : at + 128])) > _EVEN for at in range(0, len(rest) - 127, 16))
    return words(b" ".join(text.split())), signed


def _content(source: ByteSource, offset: int, partition: _Partition) -> bytes:
    """What a meta data partition holds; nothing where it is not one."""
    raw = source.peek(offset + _TABLE + partition.base, min(partition.size, 1 << 16))
    length = int.from_bytes(raw[:4], "big")
    return raw[8 : 8 + length] if raw[4:8] == bytes(4) and 0 < length <= len(raw) - 8 else b""


def _described(source: ByteSource, offset: int, partitions: list[_Partition]) -> dict[str, str | int]:
    """Version and supported devices, as the image says them."""
    detail: dict[str, str | int] = {}
    for each in partitions:
        content = _content(source, offset, each)
        if each.name == "soft-version" and content:
            if content[0] == 0xFF and len(content) >= 12:
                revision = int.from_bytes(content[8:12], "big")
                detail["version"] = f"{content[1]}.{content[2]}.{content[3]} build {content[4:8].hex()} rel {revision}"
            else:
                detail["version"] = words(content).strip("? ")
        elif each.name == "support-list" and content:
            lines = [line.strip() for line in content.split(b"\n") if line.strip(b"\r\0\xff \t")]
            devices = [words(line) for line in lines if not line.lower().startswith(b"supportlist")]
            detail |= {"devices": len(devices), "device": devices[0] if devices else ""}
    return detail


def _entries(source: ByteSource, offset: int, size: int, partitions: list[_Partition], problems: list[str]) -> list[Entry]:
    entries = []
    for each in partitions:
        at = _TABLE + each.base
        length = min(each.size, size - at)
        if length < each.size:
            note(problems, f"{each.name}: {each.size} bytes announced, {max(length, 0)} there")
        if length > 0:
            entry = part(source, each.name, offset + at, length)
            entries.append(msgspec.structs.replace(entry, role="file") if each.name in _META else entry)
    return entries


FORMATS = (SafeLoader(),)
