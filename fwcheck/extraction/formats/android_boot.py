"""Android boot images, header versions 0 to 4: kernel, ramdisk and what came to them, each from a page of its own on.

Little-endian, magic ``ANDROID!``. Versions 0 to 2: sizes and load addresses of kernel, ramdisk and second stage (6 x 4), address
of the tags, page size, version (in some images before version 1 the size of a device tree), version word, name (16), command
line (512), id (32), more of the command line (1024); from 1 on: size and offset of the recovery's DTBO (4 + 8), size of the
header (4); from 2 on: size and address of the DTB (4 + 8). Versions 3 and 4, with pages of 4,096 bytes: sizes of kernel and
ramdisk, version word, size of the header, unused (16), version, command line (1536); 4: size of the signature (4).

The id is SHA-1 over each section followed by its size. Source: ``include/bootimg/bootimg.h`` and ``mkbootimg.py`` of Android.
"""

from __future__ import annotations

import hashlib
from struct import Struct, pack, unpack_from

from fwcheck.extraction.errors import FormatError, Truncated
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._android_boot_parts import PAGES, Sections, version
from fwcheck.extraction.formats._android_signature_1 import signature_1, signer, verified
from fwcheck.extraction.formats._parts import words
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource

MAGIC = b"ANDROID!"
_HEADER = Struct("<8s10I16s512s32s1024s")
_HEADERS = {0: 1632, 1: 1648, 2: 1660, 3: 1580, 4: 1584}
_PAGE_3 = 4096


class AndroidBoot(Format):
    """A boot or recovery image."""

    name = "android-boot"
    title = "Android boot image"
    specification = "bootimg.h and mkbootimg.py of Android; Verified Boot 1.0 signature format"
    category = "firmware"
    reads = (
        "versions 0 to 4, with the device tree some vendors append before version 1; the id (SHA-1 or SHA-256 over the sections)"
        " is recomputed, an RSA signature of verified boot 1.0 is verified with the certificate inside"
    )
    not_read = "ECDSA signatures of verified boot 1.0 (told); page sizes above 128 KiB"
    signatures = (Signature(pattern=MAGIC, width=8),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, _HEADERS[2])
        if len(raw) < _HEADERS[3] or raw[:8] != MAGIC:
            raise FormatError("no header of a boot image")
        number = unpack_from("<I", raw, 40)[0]
        # Writers disagree on the size of the header they wrote: 1,580 or 1,596 bytes.
        if number in (3, 4) and unpack_from("<I", raw, 20)[0] in range(_HEADERS[3], _PAGE_3):
            return _new(source, offset, raw, number)
        return _old(source, offset, raw)


def _new(source: ByteSource, offset: int, raw: bytes, number: int) -> Container:
    """Versions 3 and 4."""
    kernel, ramdisk, word = unpack_from("<3I", raw, 8)
    sections = Sections(source, offset, _PAGE_3, _HEADERS[number])
    sections.add("kernel", kernel)
    sections.add("ramdisk", ramdisk)
    if number == 4:
        sections.add("boot_signature", unpack_from("<I", raw, 1580)[0])
    _check(sections)
    detail: dict[str, str | int] = {"header_version": number, **version(word), "cmdline": words(raw[44:1580])}
    signed = any(each.name == "boot_signature" for each in sections.every)
    return _container(source, offset, sections, detail, None, "boot signature (a vbmeta image of its own)" if signed else "")


def _old(source: ByteSource, offset: int, raw: bytes) -> Container:
    """Versions 0 to 2, and images whose version is the size of a device tree."""
    if len(raw) < _HEADERS[0]:
        raise FormatError("no header of a boot image")
    (
        _, kernel, kernel_at, ramdisk, ramdisk_at, second, second_at, tags_at, page, number, word, name, line, id, more,
    ) = _HEADER.unpack_from(raw)  # fmt: skip
    if page not in PAGES or not (kernel or ramdisk):
        raise FormatError("implausible page size or no section in the header of a boot image")
    tree = number if number > 4 else 0
    number = 0 if tree else number
    if number > 2 or len(raw) < _HEADERS[number]:
        raise FormatError(f"a boot image of version {number}")
    sections = Sections(source, offset, page, _HEADERS[number])
    for section, size in (("kernel", kernel), ("ramdisk", ramdisk), ("second", second), ("dt", tree)):
        sections.add(section, size)
    if number >= 1:
        sections.add("recovery_dtbo", unpack_from("<I", raw, 1632)[0])
    if number >= 2:
        sections.add("dtb", unpack_from("<I", raw, 1648)[0])
    _check(sections)
    detail: dict[str, str | int] = {
        "header_version": number, "name": words(name), **version(word), "cmdline": words(line.rstrip(b"\0") + more),
        "page_size": page, "kernel_address": f"0x{kernel_at:08x}", "ramdisk_address": f"0x{ramdisk_at:08x}",
        "tags_address": f"0x{tags_at:08x}",
    }  # fmt: skip
    if second:
        detail["second_address"] = f"0x{second_at:08x}"
    return _container(source, offset, sections, detail, _id(source, sections, number, id), "")


def _check(sections: Sections) -> None:
    """Sizes that reach far beyond the source belong to no image; one that is cut off begins with a kernel that is there."""
    if not sections.every or not sections.every[0].there:
        raise FormatError("a boot image without its first section")
    if sections.every[0].there < sections.every[0].size:
        raise Truncated(sections.problems[0])


def _container(
    source: ByteSource, offset: int, sections: Sections, detail: dict[str, str | int], id: str | None, signed: str
) -> Container:
    size, problems = sections.size, sections.problems
    said = [id] if id else []
    if found := signature_1(source, offset + sections.next):
        size = sections.next + found.size
        detail |= signer(found)
        right = verified(source, offset, sections.next, found)
        verdict = {True: "right by the certificate inside", False: "wrong", None: "not verified"}[right]
        said.append(f"verified boot 1.0 signature for {found.target or 'an unnamed partition'}: {verdict}")
        if right is False:
            note(problems, "the image is not what its verified boot 1.0 signature was made for")
    if signed:
        said.append(f"{signed} (told by itself)")
    if id is not None and id.endswith("wrong"):
        note(problems, "the id in the header is not the hash of the sections")
    detail["integrity"] = "signature" if found or signed else "hash" if id and "SHA" in id else "none"
    detail["integrity_detail"] = ", ".join(said) or "no hash, no signature"
    detail = {key: value for key, value in detail.items() if value != ""}
    return Container(format=AndroidBoot.name, size=size, entries=sections.entries(), detail=detail, problems=problems)


def _id(source: ByteSource, sections: Sections, number: int, stored: bytes) -> str:
    """Compares the id; sections that a version has, but an image has not, count with their size of zero."""
    if not stored.strip(b"\0"):
        return "no id"
    if not sections.complete:
        return "SHA id cannot be checked"
    kind = "sha256" if stored[20:].strip(b"\0") else "sha1"
    named = {each.name: each for each in sections.every}
    every = ["kernel", "ramdisk", "second", *(["dt"] if "dt" in named else [])]
    every += ["recovery_dtbo"] if number >= 1 else []
    every += ["dtb"] if number >= 2 else []
    digest = hashlib.new(kind, usedforsecurity=False)
    for name in every:
        section = named.get(name)
        if section is not None:
            for chunk in source.window(section.at, section.size).chunks():
                digest.update(chunk)
        digest.update(pack("<I", section.size if section else 0))
    right = digest.digest() == stored[: digest.digest_size]
    return f"{'SHA-256' if kind == 'sha256' else 'SHA-1'} id {'right' if right else 'wrong'}"


FORMATS = (AndroidBoot(),)
