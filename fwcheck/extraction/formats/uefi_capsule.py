"""UEFI capsules: updates handed to the firmware (UEFI Specification 2.10, 8.5.3 and 23.3).

Capsule: GUID, header size, flags, image size (32 bits each, little-endian). Firmware-management capsules hold, behind
the header: version 1, numbers of drivers and payloads (16 bits each), 64-bit offsets of both; a payload has a version
(1 to 3), the GUID of the device, index, sizes of image and vendor code, hardware instance (2 on) and capabilities (3
on: bit 0 authenticated, bit 1 depends on others). An authenticated image begins with a 64-bit count and a
WIN_CERTIFICATE (length, revision 0x200, type 0xef1, GUID of PKCS #7, data); EDK II puts ``MSS1`` in front of the
content: header size, version, lowest version that may replace it. What is signed is all behind the certificate (``MSS1``
included), and the 64-bit count behind that (UEFI 2.10, 23.1.5; FmpAuthenticationLibPkcs7 of EDK II, mkeficapsule of U-Boot).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from uuid import UUID

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats import _cms as cms
from fwcheck.extraction.formats._checksums import DIGESTS
from fwcheck.extraction.formats._parts import code, part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.members import note
from fwcheck.extraction.source import ByteSource
from fwcheck.model import SignedBlock

_HEADER = struct.Struct("<16sIII")
_FMP = UUID("6dcbd5ed-e82d-4c44-bda1-7194199ad92a")
_UX = UUID("3b8c8162-188c-46a4-aec9-be43f1d65697")
_AMI_SIGNED = UUID("4a3ca68b-7723-48fb-803d-578cc1fec44d")
_KINDS = {
    _FMP: "firmware management",
    _UX: "boot graphics (Windows UX)",
    _AMI_SIGNED: "AMI Aptio, signed",
    UUID("3b6686bd-0d76-4030-b70e-b5519e2fc5a0"): "EFI",
    UUID("539182b9-abb5-4391-b69a-e3a943f72fcc"): "Intel",
    UUID("14eebb90-890a-43db-aed1-5d3c4588a418"): "AMI Aptio",
    UUID("3be07062-1d51-45d2-832b-f093257ed461"): "Toshiba",
    UUID("e20bafd3-9914-4f4f-9537-3129e090eb3c"): "Lenovo",
}
_PKCS7 = UUID("4aafd29d-68df-49ee-8aa9-347d375665a7")
_FLAGS = ((0x10000, "persist across reset"), (0x20000, "populate system table"), (0x40000, "initiate reset"))
_ITEMS_LIMIT = 64
_PAYLOAD = {1: 32, 2: 40, 3: 48}  # header length per version
_MSS1 = b"MSS1"
_AUTHENTICATION = 8 + 24  # count, WIN_CERTIFICATE_UEFI_GUID


class UefiCapsule(Format):
    """Capsule of a known GUID. Payloads are parts; the certificate in front of an authenticated one is told."""

    name = "uefi-capsule"
    title = "UEFI capsule"
    specification = "UEFI Specification 2.10, 8.5.3 and 23.3"
    category = "update bundle"
    reads = (
        "capsules of EFI, Intel, AMI, Toshiba and Lenovo, boot graphics, firmware-management capsules with drivers and payloads "
        "of version 1 to 3, PKCS #7 certificates, EDK II payload headers with the lowest version"
    )
    not_read = "capsules of other GUIDs; signatures of AMI are told, not verified"
    signatures = (
        Signature(
            pattern=b"(?:"
            + b"|".join(b"".join(b"\\x%02x" % byte for byte in guid.bytes_le) for guid in _KINDS)
            + rb")[\x00-\xff]{2}\x00\x00",
            width=20,
        ),
    )
    priority = 15

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw, header, flags, announced = _HEADER.unpack(source.read(offset, _HEADER.size))
        guid = UUID(bytes_le=raw)
        if guid not in _KINDS or not _HEADER.size <= header < announced or header > 0x10000:
            raise FormatError("not a capsule header")
        size = min(announced, source.size - offset)
        if size <= header:
            raise FormatError("a capsule that is cut off in its header")
        problems = [f"{announced} bytes announced, {size} there"] if size < announced else []
        detail: dict[str, str | int] = {
            "kind": _KINDS[guid],
            "flags": ", ".join(word for bit, word in _FLAGS if flags & bit) or "none",
            "image_size": announced,
            "integrity": "none",
            "integrity_detail": "no check in the capsule",
        }
        blocks: list[SignedBlock] = []
        if guid == _FMP:
            entries = list(_managed(source, offset + header, offset + size, detail, problems, blocks))
        else:
            if guid == _AMI_SIGNED:
                detail |= {"integrity": "signature", "integrity_detail": "AMI signature in the capsule header (not verified)"}
            entries = [part(source, "image", offset + header, size - header)]
        return Container(format=self.name, size=size, entries=entries, detail=detail, problems=problems, signatures=tuple(blocks))


def _managed(
    source: ByteSource, begin: int, end: int, detail: dict[str, str | int], problems: list[str], blocks: list[SignedBlock]
) -> Iterator[Entry]:
    """Drivers and payloads of a firmware-management capsule."""
    raw = source.peek(begin, min(8, end - begin))
    version, drivers, payloads = struct.unpack("<IHH", raw) if len(raw) == 8 else (0, 0, 0)
    count = drivers + payloads
    table = source.peek(begin + 8, min(8 * count, end - begin - 8))
    if version != 1 or not 0 < count <= _ITEMS_LIMIT or len(table) < 8 * count:
        note(problems, "the table of the firmware-management capsule is not plausible: its content is searched as a whole")
        yield part(source, "image", begin, end - begin)
        return
    offsets = [each[0] for each in struct.iter_unpack("<Q", table)]
    if offsets != sorted(set(offsets)) or offsets[0] < 8 + 8 * count or offsets[-1] >= end - begin:
        note(problems, "the offsets of the firmware-management capsule are not plausible: its content is searched as a whole")
        yield part(source, "image", begin, end - begin)
        return
    detail |= {"drivers": drivers, "payloads": payloads}
    for number, at in enumerate(offsets):
        until = begin + (offsets[number + 1] if number + 1 < count else end - begin)
        if number < drivers:
            yield code(source, f"driver-{number}", begin + at, until - begin - at)
        else:
            yield from _payload(source, begin + at, until, number - drivers, detail, problems, blocks)


def _payload(
    source: ByteSource, at: int, end: int, number: int, detail: dict[str, str | int], problems: list[str],
    blocks: list[SignedBlock],
) -> Iterator[Entry]:  # fmt: skip
    raw = source.peek(at, min(48, end - at)).ljust(48, b"\0")
    version, device, index, _, size, vendor, instance, support = struct.unpack("<I16sB3sIIQQ", raw)
    name = f"payload-{number}"
    begin = at + _PAYLOAD.get(version, 0)
    if version not in _PAYLOAD or begin + size + vendor > end:
        note(problems, f"{name}: its header is not plausible")
        yield part(source, name, at, end - at)
        return
    told: dict[str, str | int] = {"device": str(UUID(bytes_le=device)), "index": index}
    if version >= 2 and instance:
        told["hardware_instance"] = f"0x{instance:x}"
    certificate = _certificate(source, begin, begin + size)
    if certificate:
        told["signature"] = certificate[1]
        detail |= {"integrity": "signature", "integrity_detail": f"{certificate[1]} (not verified)"}
        blob = code(source, f"{name}-signature", begin, certificate[0])
        yield msgspec.structs.replace(blob, role="meta")
        blocks += _blocks(source, begin, certificate[0], begin + size, name)
    elif version == 3 and support & 1:
        note(problems, f"{name}: said to be authenticated, but no certificate is there")
    content = begin + (certificate[0] if certificate else 0)
    content += _versions(source, content, begin + size, told)
    if content < begin + size:
        yield part(source, name, content, begin + size - content, told)
    if vendor:
        yield part(source, f"{name}-vendor-code", begin + size, vendor)


def _certificate(source: ByteSource, at: int, end: int) -> tuple[int, str] | None:
    """Length and kind of the authentication in front of an image; None when there is none."""
    raw = source.peek(at, min(32, end - at))
    if len(raw) < 32:
        return None
    length, revision, kind = struct.unpack_from("<IHH", raw, 8)
    if revision != 0x200 or kind != 0x0EF1 or not 24 < length <= end - at - 8:
        return None
    guid = UUID(bytes_le=raw[16:32])
    return 8 + length, "PKCS #7 signature" if guid == _PKCS7 else f"signature of type {guid}"


def _blocks(source: ByteSource, at: int, length: int, end: int, name: str) -> tuple[SignedBlock, ...]:
    """The signatures in the certificate of ``length`` bytes at ``at``, over what lies behind it until ``end`` and the count."""
    if at + length >= end or length > cms.LIMIT:
        return ()
    try:
        message = cms.message(_wrapped(source.read(at + _AUTHENTICATION, length - _AUTHENTICATION)))
    except FormatError:
        return ()
    digests = {}
    for kind in {one.digest for one in message.signers} & DIGESTS:
        state = hashlib.new(kind, usedforsecurity=False)
        for chunk in source.window(at + length, end - at - length).chunks():
            state.update(chunk)
        state.update(source.read(at, 8))
        digests[kind] = state.digest()
    return cms.blocks(message, digests, "UEFI capsule", name)


def _wrapped(raw: bytes) -> bytes:
    """A message as CMS has it: UEFI allows the SignedData alone, without the ContentInfo around it."""
    if len(raw) < 8 or raw[0] != 0x30 or raw[1] != 0x82 or raw[4] != 0x02:
        return raw
    body = raw[: 4 + int.from_bytes(raw[2:4], "big")]
    inner = bytes.fromhex("06092a864886f70d010702") + b"\xa0\x82" + len(body).to_bytes(2, "big") + body
    return b"\x30\x82" + len(inner).to_bytes(2, "big") + inner


def _versions(source: ByteSource, at: int, end: int, told: dict[str, str | int]) -> int:
    """Length of EDK II's payload header, whose versions go into ``told``; 0 when there is none."""
    raw = source.peek(at, min(16, end - at))
    if len(raw) < 16 or raw[:4] != _MSS1:
        return 0
    length, version, lowest = (int(each) for each in struct.unpack_from("<III", raw, 4))
    if not 16 <= length <= end - at:
        return 0
    told |= {"firmware_version": version, "lowest_supported_version": lowest}
    return length


FORMATS = (UefiCapsule(),)
