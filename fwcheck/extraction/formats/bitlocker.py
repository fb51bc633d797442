"""BitLocker volumes: what the metadata of full volume encryption says.

Boot sector: ``-FVE-FS-`` at byte 3, and at byte 160 the GUID 4967D63B-2E29-4AD8-8399-F6A339E3D001 with the offsets of three
copies of the metadata (3 x 8); removable volumes have ``MSWIN4.1`` and the GUID at byte 424. Metadata: ``-FVE-FS-``,
size (2), version (2), unused (4), bytes of the volume (8), unused (8), the three offsets; at byte 64: size of what follows (4),
version (4), size of this header (4), unused (4), GUID of the volume (16), nonce (4), encryption method (4), time of creation (8);
then entries: size, type, type of the value, version (4 x 2), value. Type 2, value type 8: the volume's key, protected as bytes
26 and 27 of the value say. All little-endian. Source: "BitLocker Drive Encryption (BDE) format specification" of libbde.
"""

from __future__ import annotations

from struct import unpack_from
from uuid import UUID

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import NodeKind

_GUID = bytes.fromhex("3bd66749292ed84a8399f6a339e3d001")
_PATTERN = b"".join(b"\\x%02x" % byte for byte in _GUID)
_MAGIC = b"-FVE-FS-"
_METHODS = {
    0x8000: "AES-128-CBC with diffuser", 0x8001: "AES-256-CBC with diffuser", 0x8002: "AES-128-CBC", 0x8003: "AES-256-CBC",
    0x8004: "AES-128-XTS", 0x8005: "AES-256-XTS",
}  # fmt: skip
_PROTECTIONS = {
    0x0000: "clear key", 0x0100: "TPM", 0x0200: "startup key", 0x0500: "TPM and PIN", 0x0800: "recovery password",
    0x2000: "password",
}  # fmt: skip
_EPOCH = 11_644_473_600  # seconds from 1601 to 1970
_ENTRIES = 64
_METADATA_LIMIT = 1 << 16


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What one copy of the metadata says."""

    size: int  # of the volume
    method: int
    volume: str
    created: int
    protections: tuple[str, ...]


class BitLocker(Format):
    """A volume; all of it behind the boot sector counts as encrypted."""

    name = "bitlocker"
    title = "BitLocker volume"
    specification = "BitLocker Drive Encryption (BDE) format specification (libbde)"
    category = "encryption"
    reads = "Windows 7 and later, and removable volumes: method, volume, protectors of the key (a clear key is told)"
    not_read = "what is encrypted; Windows Vista; the metadata's own encrypted checksum"
    signatures = (
        Signature(pattern=_PATTERN, width=16, offset=160),
        Signature(pattern=_PATTERN, width=16, offset=424),
    )
    priority = 10

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, 512)
        if len(raw) < 512 or raw[510:] != b"\x55\xaa":
            raise FormatError("no boot sector")
        removable = raw[424:440] == _GUID and raw[3:11] == b"MSWIN4.1"
        if not removable and (raw[160:176] != _GUID or raw[3:11] != _MAGIC):
            raise FormatError("no boot sector of a BitLocker volume")
        problems: list[str] = []
        every: list[Metadata] = []
        for at in unpack_from("<3Q", raw, 440 if removable else 176):
            try:
                every.append(metadata(source, offset + at))
            except FormatError as error:
                note(problems, f"metadata at 0x{at:x}: {error}")
        there = source.size - offset
        claimed = every[0].size if every and every[0].size >= 512 else there
        if claimed > there:
            note(problems, f"the volume has {claimed} bytes, {there} are there")
        size = min(claimed, there)
        method = _METHODS.get(every[0].method, f"method 0x{every[0].method:x}") if every else "unknown method"
        entry = Entry(
            path="payload", kind=NodeKind.REGION, size=size - 512, offset=offset + 512, role="encrypted",
            detail={"encryption": f"BitLocker, {method}"}, locality=offset,
            open=lambda: source.window(offset + 512, size - 512),
        )  # fmt: skip
        entries = [entry] if size > 512 else []
        detail = _detail(every, method, removable=removable)
        return Container(format=self.name, size=size, entries=entries, detail=detail, problems=problems)


def _detail(every: list[Metadata], method: str, *, removable: bool) -> dict[str, str | int]:
    detail: dict[str, str | int] = {"method": method, "kind": "removable" if removable else "fixed"}
    if every:
        detail |= {"volume": every[0].volume, "created": every[0].created}
        detail["protectors"] = ", ".join(every[0].protections) or "none"
    return {**detail, "integrity": "none", "integrity_detail": f"{len(every)} of 3 copies of the metadata there"}


def metadata(source: ByteSource, at: int) -> Metadata:
    """The copy at ``at``; raises FormatError."""
    raw = source.peek(at, 112)
    if len(raw) < 112 or raw[:8] != _MAGIC:
        raise FormatError("no metadata")
    size, (length, version, header) = unpack_from("<Q", raw, 16)[0], unpack_from("<3I", raw, 64)
    if version != 1 or header != 48 or not header <= length <= _METADATA_LIMIT:
        raise FormatError("implausible metadata")
    method, created = unpack_from("<IQ", raw, 100)
    body = source.peek(at + 64 + header, length - header)
    return Metadata(
        size=size, method=method & 0xFFFF, volume=str(UUID(bytes_le=raw[80:96])), created=max(created // 10_000_000 - _EPOCH, 0),
        protections=tuple(_protections(body)),
    )  # fmt: skip


def _protections(body: bytes) -> list[str]:
    out: list[str] = []
    at = 0
    while at + 8 <= len(body) and len(out) < _ENTRIES:
        size, kind, value = unpack_from("<3H", body, at)
        if size < 8:
            break
        if kind == 2 and value == 8 and at + 36 <= len(body) and size >= 36:
            protection = unpack_from("<H", body, at + 8 + 26)[0]
            out.append(_PROTECTIONS.get(protection, f"0x{protection:04x}"))
        at += size
    return out


FORMATS = (BitLocker(),)
