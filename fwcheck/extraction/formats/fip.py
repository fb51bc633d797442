"""Firmware Image Package of Trusted Firmware-A: a table of contents with UUIDs, then the images, little-endian.

Header: 0xAA640001, serial number, 64-bit flags. Entries of 40 bytes: UUID, offset from the header, size, flags. The last entry
has a zero UUID; its offset is the end of the package (TF-A include/tools_share/firmware_image_package.h; UUIDs as fiptool
writes them).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from uuid import UUID

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

_HEADER = struct.Struct("<IIQ")
_ENTRY = struct.Struct("<16sQQQ")
_MAGIC = 0xAA640001
_SIZE_LIMIT = 1 << 40
# names as fiptool's options say them, with what they are
_IMAGES = {
    "65922703-2f74-e644-8dff-579ac1ff0610": ("scp-fwu-cfg", "SCP_BL2U"),
    "60b3eb37-c1e5-ea41-9df3-19eda11f6801": ("ap-fwu-cfg", "BL2U"),
    "4f511d11-2be5-4e49-b4c5-83c2f715840a": ("fwu", "NS_BL2U"),
    "71408ab2-18d6-874c-8b2e-c6dccd50f096": ("fwu-cert", "firmware updater certificate"),
    "5ff9ec0b-4d22-3e4d-a544-c39d81c73f0a": ("tb-fw", "BL2"),
    "9766fd3d-89be-e849-ae5d-78a140608213": ("scp-fw", "SCP_BL2"),
    "47d4086d-4cfe-9846-9b95-2950cbbd5a00": ("soc-fw", "BL31"),
    "05d0e189-53dc-1347-8d2b-500a4b7a3e38": ("tos-fw", "BL32"),
    "0b70c29b-2a5a-7840-9f65-0a5682738288": ("tos-fw-extra1", "BL32 extra 1"),
    "8ea87bb1-cfa2-3f4d-85fd-e7bba50220d9": ("tos-fw-extra2", "BL32 extra 2"),
    "d6d0eea7-fcea-d54b-9782-9934f234b6e4": ("nt-fw", "BL33"),
    "6c0762a6-12f2-4b56-92cb-ba8f633606d9": ("rmm-fw", "Realm Monitor"),
    "5807e16a-8459-47be-8ed5-648e8dddab0e": ("fw-config", "FW_CONFIG"),
    "08b8f1d9-c9cf-9349-a962-6fbc6b7265cc": ("hw-config", "HW_CONFIG"),
    "6c0458ff-af6b-7d4f-82ed-aa27bc69bfd2": ("tb-fw-config", "TB_FW_CONFIG"),
    "9979814b-0376-fb46-8c8e-8d267f7859e0": ("soc-fw-config", "SOC_FW_CONFIG"),
    "26257c1a-dbc6-7f47-8d96-c4c4b0248021": ("tos-fw-config", "TOS_FW_CONFIG"),
    "28da9815-93e8-7e44-ac66-1aaf801550f9": ("nt-fw-config", "NT_FW_CONFIG"),
    "862d1d72-f860-e411-920b-8be762160f24": ("rot-cert", "root of trust key certificate"),
    "827ee890-f860-e411-a1b4-777a21b4f94c": ("trusted-key-cert", "trusted key certificate"),
    "024221a1-f860-e411-8d9b-f33c0e15a014": ("scp-fw-key-cert", "SCP firmware key certificate"),
    "8ab8becc-f960-e411-9ad0-eb4822d8dcf8": ("soc-fw-key-cert", "SoC firmware key certificate"),
    "9477d603-fb60-e411-85dd-b7105b8cee04": ("tos-fw-key-cert", "trusted OS key certificate"),
    "8ad5832a-fb60-e411-8aaf-df30bbc49859": ("nt-fw-key-cert", "non-trusted firmware key certificate"),
    "d6e269ea-5d63-e411-8d8c-9fbabe9956a5": ("tb-fw-cert", "BL2 content certificate"),
    "44be6f04-5e63-e411-b28b-73d8eaae9656": ("scp-fw-cert", "SCP firmware content certificate"),
    "e2b20c20-5e63-e411-9ce8-abccf92bb666": ("soc-fw-cert", "SoC firmware content certificate"),
    "a49f4411-5e63-e411-8728-3f05722af33d": ("tos-fw-cert", "trusted OS content certificate"),
    "8ec4c1f3-5d63-e411-a7a9-87ee40b23fa7": ("nt-fw-cert", "non-trusted firmware content certificate"),
    "776dfd44-8697-4c3b-91eb-c13e025a2a6f": ("sip-sp-cert", "SiP secure partition certificate"),
    "ddcbbf4a-cad6-11ea-87d0-0242ac130003": ("plat-sp-cert", "platform secure partition certificate"),
    "36d83d85-761d-4daf-96f1-cd99d6569b00": ("cca-cert", "CCA content certificate"),
    "52222d31-820f-494d-8bbc-ea6825d3c35a": ("core-swd-cert", "core secure world key certificate"),
    "d43cd902-5b9f-412e-8ac6-92b6d18be60d": ("plat-key-cert", "platform key certificate"),
}


class _Image(msgspec.Struct, frozen=True):
    uuid: str
    offset: int
    size: int
    flags: int


class Fip(Format):
    """Firmware Image Package; its images are parts, its certificates files."""

    name = "fip"
    title = "TF-A Firmware Image Package (FIP)"
    specification = "Trusted Firmware-A include/tools_share/firmware_image_package.h"
    category = "firmware"
    reads = "all images and certificates by UUID, platform flags; chain of trust certificates are told"
    not_read = "certificates are given, not verified"
    signatures = (Signature(pattern=rb"\x01\x00\x64\xaa.{4}.{6}\x00\x00.{16}.{3}\x00\x00\x00\x00\x00", width=40),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        magic, serial, flags = _HEADER.unpack(source.read(offset, _HEADER.size))
        if magic != _MAGIC:
            raise FormatError("not a firmware image package")
        images, end = _table(source, offset, limits)
        available = source.size - offset
        problems: list[str] = []
        if end > available:
            note(problems, f"{end} bytes announced, {available} there")
        names = [_IMAGES.get(each.uuid, (each.uuid, ""))[0] for each in images]
        certificates = sum(name.endswith("-cert") for name in names)
        told = f"{certificates} certificates of the chain of trust (not verified)" if certificates else "no certificates"
        return Container(
            format=self.name,
            size=min(end, available),
            entries=_entries(source, offset, images, problems),
            detail={
                "images": len(images),
                "serial": f"0x{serial:08x}",
                "platform_flags": f"0x{flags >> 32 & 0xFFFF:04x}",
                "integrity": "signature" if certificates else "none",
                "integrity_detail": told,
            },
            problems=problems,
        )


def _table(source: ByteSource, offset: int, limits: Limits) -> tuple[list[_Image], int]:
    """All images, and where the package ends."""
    images: list[_Image] = []
    at = offset + _HEADER.size
    while len(images) < limits.nodes:
        uuid, start, size, flags = _ENTRY.unpack(source.read(at, _ENTRY.size))
        at += _ENTRY.size
        if max(start, size) > _SIZE_LIMIT:
            break
        if not any(uuid):
            end = max([start, at - offset, *(each.offset + each.size for each in images)])
            if not images or start > _SIZE_LIMIT or any(each.offset < at - offset for each in images):
                break
            return images, end
        images.append(_Image(str(UUID(bytes=uuid)), start, size, flags))
    raise FormatError("implausible table of contents of a firmware image package")


def _entries(source: ByteSource, offset: int, images: list[_Image], problems: list[str]) -> Iterator[Entry]:
    for image in images:
        name, what = _IMAGES.get(image.uuid, (image.uuid, "unknown image"))
        size = min(image.size, source.size - offset - image.offset)
        if size < image.size:
            note(problems, f"{name}: {image.size} bytes announced, {max(size, 0)} there")
        if size <= 0:
            continue
        detail: dict[str, str | int] = {"uuid": image.uuid, "image": what}
        entry = part(source, name, offset + image.offset, size, detail)
        yield msgspec.structs.replace(entry, role="file") if name.endswith("-cert") else entry


FORMATS = (Fip(),)
