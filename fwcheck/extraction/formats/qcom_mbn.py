"""Qualcomm boot images (MBN) with a header of 40 or 80 bytes: code, signature, certificates. Layout: :mod:`_qcom_header`."""

from __future__ import annotations

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import code, part
from fwcheck.extraction.formats._qcom_header import LONG, MAGIC, Header, header, signed_by
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource


class QcomMbn(Format):
    """A boot loader, a trusted environment or the firmware of a coprocessor, outside an ELF file."""

    name = "qcom-mbn"
    title = "Qualcomm MBN boot image"
    specification = "miheader.h and mibib.h of Qualcomm's published boot loaders"
    category = "microcontroller"
    reads = (
        "headers of 80 bytes (SBL1) anywhere, of 40 bytes (versions 3, 5, 6) at the begin of a partition or file; signatures and"
        " certificates are told with signer and hash of the root"
    )
    not_read = "verification of signatures; version 7; hash tables inside ELF files are told by that format"
    signatures = (
        Signature(pattern=rb"\xd1\xdc\x4b\x84\x34\x10\xd7\x73[\x00-\x40]\x00\x00\x00", width=12),
        Signature(pattern=rb"[\x01-\x40]\x00{3}[\x03\x05\x06]\x00{3}.{11}[\x00-\x0f].{3}[\x00-\x0f]", width=24, anywhere=False),
    )
    priority = 60

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, LONG)
        found = header(raw)
        there = source.size - offset
        if found.begin >= there or (raw[:8] != MAGIC and found.size > there):
            raise FormatError("a Qualcomm header without its image")
        size = min(found.size, there)
        problems = [f"{found.size} bytes announced, {size} there"] if size < found.size else []
        detail: dict[str, str | int] = {"type": found.type_name, "header_version": found.version}
        if found.load:
            detail["load_address"] = f"0x{found.load:08x}"
        entries = [_entry(source, offset, *each) for each in found.places if each[1] + each[2] <= there]
        named = {each.path: each for each in entries}
        if (chain := named.get("certificates") or named.get("qualcomm-certificates")) is not None and chain.open is not None:
            detail |= signed_by(chain.open().read(0, chain.size))
        detail["integrity"] = "signature" if found.maker[0] or found.own[0] else "none"
        detail["integrity_detail"] = words(found)
        return Container(format=self.name, size=size, entries=entries, detail=detail, problems=problems)


def _entry(source: ByteSource, offset: int, name: str, at: int, size: int) -> Entry:
    if name == "code":
        return code(source, name, offset + at, size)
    entry = part(source, name, offset + at, size)
    entry.role = "meta"
    return entry


def words(found: Header) -> str:
    """The signatures of an image in words."""
    said = [
        f"{who} of {sizes[0]} bytes (not verified)"
        for who, sizes in (("signature", found.maker), ("Qualcomm's own signature", found.own))
        if sizes[0]
    ]
    return ", ".join(said) or "no signature"


FORMATS = (QcomMbn(),)
