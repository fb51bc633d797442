"""GBL, the Gecko Boot Loader's upgrade image of Silicon Labs: tags with a length each, closed by a CRC32 (UG266, UG489)."""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import digest
from fwcheck.extraction.formats._parts import crc32, part
from fwcheck.extraction.formats._signed import BAD, UNCHECKED, ec_key, ecdsa, two_numbers
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource
from fwcheck.model import SignedBlock

_HEADER, _END = 0x03A617EB, 0xFC0404FC
_SIGNATURE, _CERTIFICATE, _ENCRYPTED = 0xF70A0AF7, 0xF30B0BF3, 0xF90707F9
_TAGS = {
    _HEADER: "header", 0xF40A0AF4: "application-info", 0xF50909F5: "boot-loader", 0xF60808F6: "metadata",
    0xFE0101FE: "program", 0xFD0303FD: "erase-and-program", 0xFD0505FD: "program-lz4", 0xFD0707FD: "program-lzma",
    0xF80A0AF8: "delta", 0xF80B0BF8: "delta-lz4", 0xF80C0CF8: "delta-lzma", 0x76A617EB: "version-dependency",
    0x5EA617EB: "secure-element-upgrade", 0xFB0505FB: "encryption-header", 0xFA0606FA: "encryption-init",
    _ENCRYPTED: "encrypted", _CERTIFICATE: "certificate", _SIGNATURE: "signature", _END: "end",
}  # fmt: skip
_ADDRESSED = {"program": 0, "erase-and-program": 0, "program-lz4": 0, "program-lzma": 0, "boot-loader": 4}
_PARTS = {*_ADDRESSED, "metadata", "secure-element-upgrade", "delta", "delta-lz4", "delta-lzma"}
_SCHEME: Final = "AES-128-CTR, GBL"
_RESIDUE: Final = 0x2144DF1C  # CRC32 of anything followed by its own CRC32, little-endian
_TAG_LIMIT: Final = 4096


class Gbl(Format):
    """GBL file; its data tags are parts, the closing CRC32 is recomputed, a signature is told but not verified."""

    name = "gbl"
    title = "Gecko Boot Loader image (GBL)"
    specification = "Silicon Labs UG266 and UG489"
    category = "microcontroller"
    reads = (
        "all tags; program data with its address, LZ4 and LZMA streams inside; CRC32; signature by the certificate in the file"
    )
    not_read = "encrypted tags (told), delta patches, signatures whose key is only in the device"
    signatures = (Signature(pattern=rb"\xeb\x17\xa6\x03\x08\x00\x00\x00\x00\x00\x00\x03", width=12),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        tag, length, version, flags = struct.unpack("<4I", source.view(offset, 16))
        if tag != _HEADER or length != 8 or version != 0x03000000:
            raise FormatError("not a GBL header")
        end, tags, entries, detail = _walk(source, offset)
        problems: list[str] = []
        if tags[-1] != "end":
            checked = "CRC32 cannot be checked"
            problems.append("the file is cut off or a tag is not known")
        elif crc32(source, offset, end - offset) == _RESIDUE:
            checked = "CRC32 right"
        else:
            checked = "CRC32 wrong"
            problems.append("wrong CRC32 in the end tag")
        if len(tags) < 3 and problems:
            raise FormatError("a GBL header without tags")
        signed = "signature" in tags
        words, block = _signed(source, offset, problems) if signed else ("no signature", None)
        detail |= {
            "type_flags": f"0x{flags:08x}",
            "encrypted": "yes" if "encrypted" in tags else "no",
            "integrity": "signature" if signed else "checksum",
            "integrity_detail": f"{words}, {checked}",
        }
        return Container(
            format=self.name, size=end - offset, entries=entries, detail=detail, problems=problems,
            signatures=(block,) if block is not None else (),
        )  # fmt: skip


def _walk(source: ByteSource, offset: int) -> tuple[int, list[str], list[Entry], dict[str, str | int]]:
    """Offset behind the last whole tag, names of the tags, their parts, and fields of the application tag."""
    at, tags, entries = offset, list[str](), list[Entry]()
    detail: dict[str, str | int] = {}
    while at + 8 <= source.size and len(tags) < _TAG_LIMIT and (not tags or tags[-1] != "end"):
        tag, length = struct.unpack("<II", source.view(at, 8))
        if tag not in _TAGS or at + 8 + length > source.size:
            break
        name = _TAGS[tag]
        if name == "application-info" and length >= 12:
            kind, version, capabilities = struct.unpack("<III", source.view(at + 8, 12))
            detail |= {"application_type": f"0x{kind:x}", "application_version": version, "capabilities": f"0x{capabilities:x}"}
        if name in _PARTS or name == "encrypted":
            entries.append(_entry(source, name, len(entries), at + 8, length))
        tags.append(name)
        at += 8 + length
    return at, tags, entries, detail


def _entry(source: ByteSource, name: str, number: int, at: int, length: int) -> Entry:
    """A data tag without its address (and version) fields."""
    label = f"{name}-{number}"
    if name == "encrypted":
        return msgspec.structs.replace(part(source, label, at, length, {"encryption": _SCHEME}), role="encrypted")
    skip = _ADDRESSED[name] + 4 if name in _ADDRESSED else 0
    if length < skip:
        return part(source, label, at, length)
    if skip:
        label += f"@0x{int.from_bytes(source.view(at + skip - 4, 4), 'little'):08x}"
    return part(source, label, at + skip, length - skip)


def _signed(source: ByteSource, offset: int, problems: list[str]) -> tuple[str, SignedBlock | None]:
    """The signature is of all tags before its own; a certificate (u32, the point, u32, signature) holds the key."""
    at, point = offset, b""
    tag, length = struct.unpack("<II", source.view(at, 8))
    while tag != _SIGNATURE:
        if tag == _CERTIFICATE and length >= 68:
            point = source.read(at + 12, 64)
        at += 8 + length
        tag, length = struct.unpack("<II", source.view(at, 8))
    if length != 64:
        return f"signature of {length} bytes", None
    raw = source.read(at + 8, 64)
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    hashed = digest("sha256", source, (offset, at - offset))
    block = SignedBlock(
        scheme="GBL", algorithm="ECDSA", signature=two_numbers(r, s), digest=hashed, covers="all tags before the signature"
    )
    state = UNCHECKED
    if point:
        x, y = int.from_bytes(point[:32]), int.from_bytes(point[32:])
        block = msgspec.structs.replace(block, carried=ec_key(256, x, y))
        state = ecdsa(256, (x, y), (r, s), hashed)
        if state in BAD:
            problems.append(f"signature: {state}")
    return f"ECDSA P-256 signature ({state})", block


FORMATS = (Gbl(),)
