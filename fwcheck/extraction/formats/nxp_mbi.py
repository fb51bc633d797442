"""NXP Master Boot Image: what the ROM of LPC55xx, i.MX RT500 to RT700, MCX, RW61x and K32W1 boots (reference manuals, SPSDK).

A raw Cortex-M image whose vector table says more, little-endian: u32 length of all at 0x20, u32 flags at 0x24 (bits 0 to 5 the
kind, 6 and 7 the sub-type, 10 version present, 13 and 14 TrustZone, 15 key store, 16 and up the version), at 0x28 the CRC-32
(MPEG-2, without that field) of a CRC image or the offset of the certificates of a signed one, u32 load address at 0x34.

Images that are loaded into RAM hold an HMAC of 32 bytes at 0x40, and a key store of 1,424 bytes behind it, which offset and
signature leave out. Certificates of version 1: ``cert``, u16 major, u16 minor, u32 32, u32 flags, u32 build, u32 length of
the image, u32 number and u32 length of the certificates, each with its u32 length; four SHA-256 of root keys; an RSA signature
over all before it ends the image. Version 2.1: ``chdr``, u16 minor, u16 major, u32 length; u32 flags (bits 0 to 3 the curve, 4 to
7 number of root keys, 31 the root key signs), the hashes of root keys when there are several, the root key, a further key;
then ``imgm``, u32 format, u32 version of the firmware, u32 length, u32 flags, and the ECDSA signature.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import crc32_msb_first, digest
from fwcheck.extraction.formats._parts import code, part
from fwcheck.extraction.formats._signed import BAD, UNCHECKED, ec_key, ecdsa, two_numbers
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource, Memory
from fwcheck.model import SignedBlock

_HEADER = struct.Struct("<32s3I8sI8s")
_KINDS: Final = {
    1: "signed, loaded into RAM", 2: "CRC, loaded into RAM", 3: "encrypted and signed, loaded into RAM",
    4: "signed, run in place", 5: "CRC, run in place", 8: "signed by NXP, run in place",
}  # fmt: skip
_CRC: Final = frozenset({2, 5})
_ENCRYPTED: Final = 3
_TRUSTZONE = {0: "enabled, preset of the chip", 1: "enabled, preset of the image", 2: "disabled", 3: "disabled"}
_HMAC, _HMAC_SIZE, _STORE_SIZE, _STORE_FLAG, _VERSION_FLAG = 0x40, 32, 1424, 0x8000, 0x400
_NO_OFFSET: Final = b"\x43\x4d"
_LARGEST: Final = 16 << 20
_CERTIFICATES: Final = 16
_CURVES: Final = {1: (256, 32, "sha256"), 2: (384, 48, "sha384")}
_ODD: Final = b"[" + b"".join(b"\\x%02x" % value for value in range(1, 0x100, 2)) + b"]"


class _Signed(msgspec.Struct):
    """The certificates of an image and what stands behind them, as far as they are there."""

    at: int  # of the certificates
    end: int  # of what the signature is of
    size: int  # of the signature
    words: str
    detail: dict[str, str | int] = {}
    blocks: tuple[SignedBlock, ...] = ()
    problems: list[str] = []


class NxpMbi(Format):
    """Master Boot Image with a CRC or a signature; a plain one says nothing that a vector table does not."""

    name = "nxp-mbi"
    title = "NXP Master Boot Image (LPC55, i.MX RT, MCX, RW61x)"
    specification = "NXP SPSDK spsdk/image/mbi, spsdk/image/cert_block; UM11126 chapter 7"
    category = "microcontroller"
    reads = (
        "CRC, signed and encrypted images at the beginning of a source: extent, CRC32, certificates of version 1 and 2.1, "
        "firmware version; ECDSA signatures are verified with the key in the image"
    )
    not_read = (
        "plain images (read as Cortex-M); HMAC and keys of encrypted images; trust in the root keys, whose hash is in fuses"
    )
    signatures = (
        Signature(pattern=rb".{3}[\x00-\x3f]" + _ODD + rb".{3}.{24}.{3}\x00[\x02\x05].{3}.{8}", width=48, anywhere=False),
        Signature(pattern=rb".{32}.{3}\x00[\x01\x03\x04\x08\x41\x43\x44\x48\x84\xc4].{3}.{3}\x00.{4}", width=48, anywhere=False),
    )
    priority = 25

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        _, length, flags, value, _, load, _ = _HEADER.unpack(source.read(offset, _HEADER.size))
        kind = flags & 0x3F
        size = min(length, source.size - offset)
        if kind not in _KINDS or not _HEADER.size < length <= _LARGEST:
            raise FormatError("not a Master Boot Image")
        problems = [f"{length} bytes announced, {size} there"] if size < length else []
        detail: dict[str, str | int] = {
            "kind": _KINDS[kind],
            "load_address": f"0x{load:08x}",
            "trustzone": _TRUSTZONE[flags >> 13 & 3],
        }
        if flags & _VERSION_FLAG:
            detail["image_version"] = flags >> 16
        if kind in _CRC:
            if size < length or not _crc_right(source, offset, length, value):
                raise FormatError("no Master Boot Image: its CRC is wrong")
            detail |= {"integrity": "checksum", "integrity_detail": "CRC32 right"}
            entries = [code(source, "application", offset, size)]
            return Container(format=self.name, size=size, entries=entries, detail=detail)
        signed = _signed(source, offset, size, value, bool(flags & _STORE_FLAG))
        problems += signed.problems
        detail |= signed.detail | {"integrity": "signature", "integrity_detail": signed.words}
        return Container(
            format=self.name,
            size=size,
            entries=_entries(source, offset, size, signed, encrypted=kind == _ENCRYPTED),
            detail=detail,
            problems=problems,
            signatures=signed.blocks,
        )


def _crc_right(source: ByteSource, offset: int, length: int, stored: int) -> bool:
    """The CRC is of everything but its own four bytes, which are passed over."""
    whole = source.read(offset, 0x28) + source.read(offset + 0x2C, length - 0x2C)
    return crc32_msb_first(Memory(whole), 0, len(whole)) == stored


def _entries(source: ByteSource, offset: int, size: int, signed: _Signed, *, encrypted: bool) -> list[Entry]:
    entry = code(source, "application", offset, signed.at)
    if encrypted:
        scheme = {"encryption": "AES-CTR, NXP Master Boot Image"}
        entry = msgspec.structs.replace(part(source, "application", offset, signed.at, dict(scheme)), role="encrypted")
    behind = [("certificates", signed.at, min(signed.end, size)), ("signature", signed.end, min(signed.end + signed.size, size))]
    found = [part(source, name, offset + begin, end - begin) for name, begin, end in behind if begin < end]
    return [entry, *(msgspec.structs.replace(each, role="meta") for each in found)]


def _signed(source: ByteSource, offset: int, size: int, place: int, store: bool) -> _Signed:
    """The certificates: behind HMAC and key store, which their offset leaves out, when the image has them."""
    for more in (0, _HMAC_SIZE, _HMAC_SIZE + _STORE_SIZE if store else 0):
        at = place + more
        if not _HEADER.size <= at < size - 16:
            continue
        magic = source.read(offset + at, 4)
        if magic == b"cert":
            return _version_1(source, offset, size, at, more)
        if magic == b"chdr":
            return _version_2(source, offset, size, at)
    raise FormatError("a Master Boot Image without its certificates")


def _version_1(source: ByteSource, offset: int, size: int, at: int, hole: int) -> _Signed:
    major, minor, header, _, build, _, number, table = struct.unpack("<HH6I", source.read(offset + at + 4, 28))
    if major != 1 or header != 32 or not 1 <= number <= _CERTIFICATES or table > size:
        raise FormatError("impossible certificates in a Master Boot Image")
    chain: list[bytes] = []
    begin = offset + at + header
    for _ in range(number):
        length = int.from_bytes(source.read(begin, 4), "little")
        if not 16 <= length <= table:
            raise FormatError("impossible certificates in a Master Boot Image")
        raw = source.read(begin + 4, length)
        chain.append(raw[: 4 + int.from_bytes(raw[2:4], "big")] if raw[:2] == b"\x30\x82" else raw)
        begin += 4 + length
    keys = begin - offset + 4 * 32
    bits = _rsa_bits(chain[-1])
    end = size - bits // 8
    signed = _Signed(
        at=at, end=max(end, at), size=bits // 8, words=f"RSA-{bits} signature ({UNCHECKED})" if bits else "signature"
    )
    signed.detail = {"certificates": number, "build": build, "certificate_block": f"{major}.{minor}"}
    if not bits or end < keys:
        signed.problems = ["the signature is cut off"] if bits else ["the certificate holds no RSA key"]
        return signed
    pieces = ((offset, _HMAC), (offset + _HMAC + hole, end - _HMAC - hole)) if hole else ((offset, end),)
    signed.blocks = (
        SignedBlock(
            scheme="NXP Master Boot Image", algorithm="RSA", padding="pkcs1v15", signature=source.read(offset + end, bits // 8),
            digest=digest("sha256", source, *pieces), carried=chain[-1], chain=tuple(chain[:-1]),
            covers="the image and its certificates",
        ),
    )  # fmt: skip
    return signed


def _rsa_bits(certificate: bytes) -> int:
    """The size of the key in an X.509 certificate; 0 when it cannot be read or is none of RSA."""
    from cryptography import x509  # noqa: PLC0415  # heavy, and few images are signed
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415

    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
    except Exception:  # noqa: BLE001  # the library has several of its own for bytes that are no certificate
        return 0
    return key.key_size if isinstance(key, RSAPublicKey) and key.key_size % 8 == 0 else 0


def _version_2(source: ByteSource, offset: int, size: int, at: int) -> _Signed:
    minor, major, length, flags = struct.unpack("<HHII", source.read(offset + at + 4, 12))
    curve, number, own = _CURVES.get(flags & 0xF), flags >> 4 & 0xF, flags >> 31
    if major != 2 or curve is None or not 1 <= number <= 4 or not 16 < length <= size - at:
        raise FormatError("impossible certificates in a Master Boot Image")
    key_at = offset + at + 16 + (number * curve[1] if number > 1 else 0)
    if not own:  # offset of its signature (missing where the constraints say so), constraints and flags, then the key
        key_at += 2 * curve[1]
        words = source.read(key_at, 12)
        words = words[:8] if words[:2] == _NO_OFFSET else words
        curve = _CURVES.get(words[-4] & 0xF, curve)
        key_at += len(words)
    bits, width, name = curve
    signed = _Signed(at=at, end=size - 2 * width, size=2 * width, words=f"ECDSA P-{bits} signature ({UNCHECKED})")
    signed.detail = {
        "root_keys": number,
        "signing_key": "root key" if own else "further key",
        "certificate_block": f"{major}.{minor}",
    }
    manifest = source.peek(offset + at + length, 20)
    behind = at + length
    if manifest[:4] == b"imgm" and len(manifest) == 20:
        signed.detail["firmware_version"], more = struct.unpack_from("<II", manifest, 8)
        behind += more
    if signed.end < behind:
        signed.end = min(behind, size)
        signed.problems = ["the signature is cut off"]
        return signed
    x, y, r, s = (
        int.from_bytes(source.read(begin + half, width), "big") for begin in (key_at, offset + signed.end) for half in (0, width)
    )
    made = digest(name, source, (offset, signed.end))
    state = ecdsa(bits, (x, y), (r, s), made)
    signed.words = f"ECDSA P-{bits} signature ({state})"
    signed.problems = [f"signature: {state}"] if state in BAD else []
    signed.blocks = (
        SignedBlock(
            scheme="NXP Master Boot Image", algorithm="ECDSA", hash=name, signature=two_numbers(r, s), digest=made,
            carried=ec_key(bits, x, y), covers="the image and its certificates",
        ),
    )  # fmt: skip
    return signed


FORMATS = (NxpMbi(),)
