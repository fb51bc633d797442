"""NXP i.MX boot images: the Image Vector Table with its High Assurance Boot, and the containers of i.MX8 and i.MX9 (AHAB).

IVT of 32 bytes, little-endian but for the length: D1, length 0x0020, version 0x40 to 0x43; entry, reserved, DCD, boot data, self,
CSF, reserved: addresses in memory, from which offsets follow. Boot data: start and length of the image, plug-in flag. The device
configuration data begin with D2, the commands of the signature (CSF) with D4.

Container: version 0, length, 87, flags, software version, fuse version, number of images, offset of the signature block;
then 128 bytes per image: offset, size, load address, entry, flags, meta data, hash (64), IV (32). Several containers stand
0x400 bytes apart (i.MX reference manuals, System Boot; U-Boot include/imximage.h and include/imx8image.h).
"""

from __future__ import annotations

import struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._ahab_signature import container_signature
from fwcheck.extraction.formats._checksums import digest, verdict
from fwcheck.extraction.formats._decrypt import encrypted
from fwcheck.extraction.formats._hab import Hab, sequence
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import SignedBlock

_IVT = struct.Struct("<4s7I")
_LARGEST = 64 << 20
_HEADER = struct.Struct("<BHBIHBBHH")
_IMAGE = struct.Struct("<IIQQII64s32s")
_APART, _CONTAINERS = 0x400, 4
_HASHES = {0: ("sha256", 32), 1: ("sha384", 48), 2: ("sha512", 64)}
_ENCRYPTED = 1 << 11


class Ivt(Format):
    """i.MX image with an Image Vector Table."""

    name = "imx-ivt"
    title = "NXP i.MX boot image (IVT, HAB)"
    specification = "i.MX reference manuals, System Boot; U-Boot include/imximage.h"
    category = "firmware"
    reads = "IVT, boot data, device configuration data, code and HAB command sequence (i.MX6, 7, 8M, RT)"
    not_read = "flash headers of i.MX25, 35 and 51; signatures of HABv4 are verified, those of older versions told"
    signatures = (Signature(pattern=rb"\xd1\x00\x20[\x40-\x43].{4}\x00\x00\x00\x00", width=12),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        _, entry, reserved, dcd, data, here, csf, _ = _IVT.unpack(source.read(offset, _IVT.size))
        if reserved or here % 4 or not 0 < data - here <= 0x1000:
            raise FormatError("implausible Image Vector Table")
        start, length, plugin = struct.unpack("<3I", source.read(offset + data - here, 12))
        announced = length - (here - start)  # what comes before the table may stand elsewhere, or in front of it
        inside = all(not each or 0 < each - here < announced for each in (dcd, csf))
        if not start <= here or not _IVT.size < announced <= _LARGEST or not inside or plugin > 3:
            raise FormatError("implausible boot data of an Image Vector Table")
        size = min(announced, source.size - offset)
        problems: list[str] = []
        csf_at = csf - here if csf else 0
        signed = bool(csf) and source.peek(offset + csf_at, 2) == b"\xd4\x00"
        if size < announced and (not csf or size < csf_at):
            problems.append(f"{announced} bytes announced, {size} there")
        hab = sequence(source, offset, here, csf_at, size) if signed else Hab()
        told = "HAB signature (not verified)" if signed else "no HAB signature"
        if csf and not signed:
            told = "room for a HAB signature, none there"
        code_at = entry - here if _IVT.size <= entry - here < size else data - here + 12
        places = [("dcd", dcd - here, "meta")] if dcd else []
        places += [("image", code_at, "part")]
        places += [("csf", csf_at, "file")] if signed else []
        return Container(
            format=self.name,
            size=size,
            entries=_pieces(source, offset, size, csf_at, places),
            detail={
                "hab_version": f"{source.view(offset + 3, 1)[0] >> 4}.{source.view(offset + 3, 1)[0] & 15}",
                "entry_point": f"0x{entry:08x}",
                "load_address": f"0x{start:08x}",
                "length": length,
                "plugin": plugin & 1,
                "integrity": "signature" if signed else "none",
                "integrity_detail": told,
                **hab.detail,
            },
            problems=problems,
            signatures=tuple(hab.blocks),
        )


def _pieces(source: ByteSource, offset: int, size: int, csf_at: int, places: list[tuple[str, int, str]]) -> list[Entry]:
    entries = []
    for name, at, role in places:
        end = csf_at if name == "image" and at < csf_at < size else size
        if name == "dcd":
            raw = source.peek(offset + at, 4)
            if raw[:1] != b"\xd2" or at >= size:
                continue
            end = min(size, at + int.from_bytes(raw[1:3], "big"))
        if at < end:
            entry = part(source, name, offset + at, end - at)
            entries.append(msgspec.structs.replace(entry, role=role) if role != "part" else entry)
    return entries


class _Read(msgspec.Struct):
    """What the containers of one image said."""

    end: int = 0
    containers: int = 0
    entries: list[Entry] = []
    right: list[bool | None] = []
    signed: bool = False
    flags: str = ""
    blocks: list[SignedBlock] = []


class Ahab(Format):
    """i.MX8 and i.MX9 containers."""

    name = "imx-ahab"
    title = "NXP i.MX8/i.MX9 boot container (AHAB)"
    specification = "U-Boot include/imx8image.h; i.MX reference manuals"
    category = "firmware"
    reads = (
        "up to four containers with their images; SHA-256, SHA-384 or SHA-512 of every image recomputed; "
        "signatures verified with the key in their table"
    )
    not_read = "signatures by the key of a certificate are told; post-quantum keys (version 1); encrypted images stay encrypted"
    signatures = (Signature(pattern=rb"\x00.[\x00-\x10]\x87.{7}[\x01-\x08].[\x00-\x10]\x00\x00", width=16),)
    priority = 30

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        read, problems = _Read(), list[str]()
        for number in range(_CONTAINERS):
            try:
                _container(source, offset, number * _APART, read)
            except FormatError:
                if not number:
                    raise
                break
        if not any(read.right):
            raise FormatError("no image of an AHAB container has the hash it is given")
        size = min(read.end, source.size - offset)
        wrong = [entry.path for entry, right in zip(read.entries, read.right, strict=True) if right is False]
        for name in wrong:
            note(problems, f"{name}: wrong hash")
        if size < read.end:
            note(problems, f"{read.end} bytes announced, {size} there")
        told = verdict([], "image hashes", None if None in read.right else not wrong)
        return Container(
            format=self.name,
            size=size,
            entries=read.entries,
            detail={
                "containers": read.containers,
                "images": len(read.entries),
                "flags": read.flags,
                "integrity": "signature" if read.signed else "hash",
                "integrity_detail": f"container signature (not verified), {told}" if read.signed else told,
            },
            problems=problems,
            signatures=tuple(read.blocks),
        )


def _container(source: ByteSource, offset: int, at: int, read: _Read) -> None:
    """One container; its images count from its own beginning."""
    base = offset + at
    version, length, tag, flags, software, fuse, count, block, reserved = _HEADER.unpack(source.read(base, _HEADER.size))
    table = _HEADER.size + count * _IMAGE.size
    if version or tag != 0x87 or reserved or not 0 < count <= 8 or not table <= block <= length <= 0x4000:
        raise FormatError("not an AHAB container")
    raw = source.peek(base + block, 16)
    signed = raw[3:4] == b"\x90" and any(raw[6:8]) and any(raw[8:10]) and bool(flags & 3)
    found, ends, right = [], [], []
    for number in range(count):
        start, size, load, entry, kind, _, stored, _ = _IMAGE.unpack(source.read(base + 16 + number * _IMAGE.size, _IMAGE.size))
        if not size:
            continue
        if start < length or start + size > _LARGEST:
            raise FormatError("an image of an AHAB container lies nowhere")
        algorithm, bytes_used = _HASHES.get(kind >> 8 & 7, ("", 0))
        there = min(size, source.size - base - start)
        right.append(
            digest(algorithm, source, (base + start, size)) == stored[:bytes_used] if algorithm and there == size else None
        )
        ends.append(at + start + size)
        if there > 0:
            name = f"container-{read.containers}-image-{number}"
            detail: dict[str, str | int] = {
                "load_address": f"0x{load:x}",
                "entry_point": f"0x{entry:x}",
                "flags": f"0x{kind:08x}",
            }
            found.append(
                encrypted(source, base + start, there, "AES, NXP AHAB", name)
                if kind & _ENCRYPTED
                else part(source, name, base + start, there, detail)
            )
        else:
            right.pop()
    fits = None if None in right else all(right)
    if signed and (block_of := container_signature(source, base, block, flags, intact=fits)) is not None:
        read.blocks = [*read.blocks, block_of]
    read.containers += 1
    read.entries = read.entries + found
    read.right = read.right + right
    read.end = max(read.end, at + length, *ends)
    read.signed = read.signed or signed
    read.flags = read.flags or f"0x{flags:08x} software {software} fuse {fuse}"


FORMATS = (Ivt(), Ahab())
