"""Zigbee OTA upgrade files: a header and tagged sub-elements (Zigbee Cluster Library, chapter 11; document 095264)."""

from __future__ import annotations

import struct
from typing import Final

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import part, words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

MAGIC: Final = 0x0BEEF11E
# file identifier, header version, header length, field control, manufacturer, image type, file version, stack, string, size
_HEADER = struct.Struct("<IHHHHHIH32sI")
_TAGS = {
    0: "upgrade-image", 1: "ecdsa-signature", 2: "ecdsa-certificate", 3: "image-integrity-code", 4: "picture-data",
    5: "ecdsa-signature-suite-2", 6: "ecdsa-certificate-suite-2",
}  # fmt: skip
_SIGNATURES = {1, 5}
_ELEMENT_LIMIT = 64


class ZigbeeOta(Format):
    """Zigbee OTA file; every sub-element is a part."""

    name = "zigbee-ota"
    title = "Zigbee OTA upgrade file"
    specification = "Zigbee Cluster Library 11.4 (OTA file format), document 095264"
    category = "microcontroller"
    reads = "header with optional fields, all sub-elements of the standard, those of manufacturers by number; images inside them"
    not_read = "verification of signatures and integrity codes (told): their keys and certificates are in the devices"
    signatures = (Signature(pattern=rb"\x1e\xf1\xee\x0b\x00\x01[\x38-\x45]\x00[\x00-\x07]\x00", width=10),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        fields = _HEADER.unpack(source.read(offset, _HEADER.size))
        magic, _, header, control, manufacturer, kind, version, stack, text, total = fields
        if magic != MAGIC or header < _HEADER.size + _optional(control) or total <= header:
            raise FormatError("not a Zigbee OTA header")
        size = min(total, source.size - offset)
        problems = [f"{total} bytes announced, {size} there"] if size < total else []
        entries, tags = _elements(source, offset + header, offset + size, problems)
        if not entries:
            raise FormatError("a Zigbee OTA header without sub-elements")
        signed = sorted(tags & _SIGNATURES)
        detail: dict[str, str | int] = {
            "manufacturer": f"0x{manufacturer:04x}",
            "image_type": f"0x{kind:04x}",
            "file_version": f"0x{version:08x}",
            "stack_version": stack,
            "header_string": words(text),
            **_optional_fields(source, offset + _HEADER.size, control),
            "elements": ", ".join(entry.path for entry in entries),
            "integrity": "signature" if signed else "hash" if 3 in tags else "none",
            "integrity_detail": "ECDSA signature sub-element (not verified)"
            if signed
            else "image integrity code (not verified)"
            if 3 in tags
            else "no signature sub-element",
        }
        return Container(format=self.name, size=size, entries=entries, detail=detail, problems=problems)


def _optional(control: int) -> int:
    """Length of the optional header fields: credential version, destination, hardware versions."""
    return (control & 1) + (8 if control & 2 else 0) + (4 if control & 4 else 0)


def _optional_fields(source: ByteSource, at: int, control: int) -> dict[str, str | int]:
    out: dict[str, str | int] = {}
    raw = source.read(at, _optional(control))
    if control & 1:
        out["security_credential_version"] = raw[0]
        raw = raw[1:]
    if control & 2:
        out["destination"] = raw[:8][::-1].hex()
        raw = raw[8:]
    if control & 4:
        lowest, highest = struct.unpack("<HH", raw)
        out["hardware_versions"] = f"{lowest}-{highest}"
    return out


def _elements(source: ByteSource, at: int, end: int, problems: list[str]) -> tuple[list[Entry], set[int]]:
    entries: list[Entry] = []
    tags: set[int] = set()
    while at + 6 <= end and len(entries) < _ELEMENT_LIMIT:
        tag, length = struct.unpack("<HI", source.view(at, 6))
        name = _TAGS.get(tag, f"tag-{tag:04x}")
        size = min(length, end - at - 6)
        if size < length:
            problems.append(f"sub-element {name}: {length} bytes announced, {size} there")
        entries.append(part(source, name, at + 6, size, {"tag": f"0x{tag:04x}"}))
        tags.add(tag)
        at += 6 + size
    if at < end:
        problems.append(f"{end - at} bytes behind the last sub-element")
        entries.append(part(source, "rest", at, end - at))
    return entries, tags


FORMATS = (ZigbeeOta(),)
