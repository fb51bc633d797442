"""MCUboot images: a header, the payload, and type-length-value areas with hash, signature and key (MCUboot design.md)."""

from __future__ import annotations

import hashlib
import struct
from typing import Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._parts import code, part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource

MAGIC: Final = 0x96F3B83D
# ih_magic ih_load_addr ih_hdr_size ih_protect_tlv_size ih_img_size ih_flags, version: major minor revision build
_HEADER = struct.Struct("<IIHHIIBBHI")
_UNPROTECTED, _PROTECTED = 0x6907, 0x6908
_HASHES = {0x10: "sha256", 0x11: "sha384", 0x12: "sha512"}
_SIGNATURES = {
    0x20: "RSA-2048 PSS", 0x21: "ECDSA P-224", 0x22: "ECDSA P-256", 0x23: "RSA-3072 PSS", 0x24: "Ed25519", 0x25: "pure signature",
}  # fmt: skip
_ENCRYPTION = {0x30: "RSA-2048", 0x31: "AES-KW", 0x32: "ECIES P-256", 0x33: "ECIES X25519"}
_OTHERS = {
    0x01: "key hash", 0x02: "public key", 0x40: "dependency", 0x50: "security counter", 0x60: "boot record",
    0x70: "decompressed size", 0x71: "decompressed hash", 0x72: "decompressed signature",
}  # fmt: skip
_FLAGS = {
    0x1: "position independent", 0x4: "encrypted (AES-128)", 0x8: "encrypted (AES-256)", 0x10: "not bootable", 0x20: "RAM load",
    0x100: "fixed ROM address", 0x200: "LZMA1", 0x400: "LZMA2", 0x800: "ARM Thumb filter",
}  # fmt: skip
_ENCRYPTED = 0x0C
_TLV_LIMIT = 256
# SHA-256 of the public halves of keys whose private halves are published with MCUboot and Trusted Firmware-M
_DEVELOPMENT_KEYS = {
    "fc5701dc6135e1323847bdc40f04d2e5bee5833b23c29f93593d00018cfa9994": "root-rsa-2048.pem",
    "e18015993d6d2760b499274baef264b83af229e9a785f3d5bf00b9d32c1f0396": "root-rsa-2048_1.pem",
    "bfe6d86f8826f4ff97fb96c4e6fbc4993e4619fc565da26adf34c329489adc38": "root-rsa-3072.pem",
    "e30466f6b8470c1f29070b17f1e2d3e94d445e3f608087fdc711e4382bb538b6": "root-ec-p256.pem",
}


class _Tlv(msgspec.Struct, frozen=True):
    kind: int
    protected: bool
    value: bytes


class McuBoot(Format):
    """MCUboot image; the hash is recomputed, signatures are told."""

    name = "mcuboot"
    title = "MCUboot image"
    specification = "MCUboot docs/design.md, boot/bootutil/include/bootutil/image.h"
    category = "firmware"
    signatures = (Signature(pattern=rb"\x3d\xb8\xf3\x96[\x00-\xff]{4}[\x00-\xff]{8}[\x00-\xff]{2}\x00\x00", width=20),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, 32)
        magic, load, header, protected_size, size, flags, major, minor, revision, build = _HEADER.unpack_from(raw)
        if magic != MAGIC or header < 32 or not size or raw[28:32] != bytes(4):
            raise FormatError("not an MCUboot header")
        payload = offset + header
        if payload >= source.size:
            raise FormatError("an MCUboot header without its payload")
        there = min(size, source.size - payload)
        problems = [f"payload of {size} bytes announced, {there} there"] if there < size else []
        end, tlvs = payload + there, list[_Tlv]()
        if there == size:
            end, tlvs = _areas(source, payload + size, protected_size, problems)
        integrity, words = _integrity(source, offset, header + size + protected_size, flags, tlvs, problems)
        detail: dict[str, str | int] = {
            "version": f"{major}.{minor}.{revision}+{build}",
            "load_address": f"0x{load:08x}",
            "flags": ", ".join(word for bit, word in _FLAGS.items() if flags & bit),
            "tlvs": ", ".join(_word(each) for each in tlvs),
            **_keys(tlvs),
            "integrity": integrity,
            "integrity_detail": words,
        }
        encrypted = flags & _ENCRYPTED
        entries = [part(source, "encrypted payload", payload, there) if encrypted else code(source, "payload", payload, there)]
        return Container(
            format=self.name,
            size=end - offset,
            entries=entries,
            detail={key: value for key, value in detail.items() if value != ""},
            problems=problems,
        )


def _areas(source: ByteSource, at: int, protected_size: int, problems: list[str]) -> tuple[int, list[_Tlv]]:
    """Reads the protected and the unprotected area; gives the offset behind them and their entries."""
    tlvs: list[_Tlv] = []
    for magic in (_PROTECTED, _UNPROTECTED):
        info = source.peek(at, 4)
        if len(info) < 4 or int.from_bytes(info[:2], "little") != magic:
            if magic == _UNPROTECTED or protected_size:
                problems.append(f"no {'protected ' if magic == _PROTECTED else ''}TLV area at 0x{at:x}")
            continue
        end = at + int.from_bytes(info[2:], "little")
        if end > source.size:
            problems.append("the TLV area is cut off")
        end = min(end, source.size)
        at += 4
        while at + 4 <= end and len(tlvs) < _TLV_LIMIT:
            kind, length = struct.unpack("<HH", source.view(at, 4))
            if at + 4 + length > end:
                problems.append(f"TLV 0x{kind:x} reaches beyond its area")
                break
            tlvs.append(_Tlv(kind, magic == _PROTECTED, source.read(at + 4, length)))
            at += 4 + length
        at = end
    return at, tlvs


def _integrity(
    source: ByteSource, offset: int, hashed: int, flags: int, tlvs: list[_Tlv], problems: list[str]
) -> tuple[str, str]:
    words = [_hash_words(source, offset, hashed, flags, each, problems) for each in tlvs if each.kind in _HASHES]
    signed = [_SIGNATURES[each.kind] for each in tlvs if each.kind in _SIGNATURES and each.value]
    if signed:
        return "signature", ", ".join([f"{kind} signature (not verified)" for kind in signed] + words)
    return ("hash", ", ".join(words) + ", no signature") if words else ("none", "no hash, no signature")


def _hash_words(source: ByteSource, offset: int, hashed: int, flags: int, tlv: _Tlv, problems: list[str]) -> str:
    """Compares the hash over header, payload and protected TLVs; that of an encrypted image is of the plain text."""
    name = _HASHES[tlv.kind]
    if flags & _ENCRYPTED or offset + hashed > source.size:
        return f"{name} cannot be checked"
    digest = hashlib.new(name)
    for chunk in source.window(offset, hashed).chunks():
        digest.update(chunk)
    if digest.digest() == tlv.value:
        return f"{name} right"
    problems.append(f"the {name} in the TLV area does not match the image")
    return f"{name} wrong"


def _word(tlv: _Tlv) -> str:
    for table, after in ((_HASHES, ""), (_SIGNATURES, " signature"), (_ENCRYPTION, " encrypted key"), (_OTHERS, "")):
        if tlv.kind in table:
            return table[tlv.kind] + after
    return f"0x{tlv.kind:04x}"


def _keys(tlvs: list[_Tlv]) -> dict[str, str | int]:
    out: dict[str, str | int] = {}
    for each in tlvs:
        if each.kind in {0x01, 0x02}:
            value = each.value if each.kind == 0x01 else hashlib.sha256(each.value).digest()
            out["key_hash"] = value.hex()
            if value.hex() in _DEVELOPMENT_KEYS:
                out["development_key"] = f"published development key {_DEVELOPMENT_KEYS[value.hex()]}"
        elif each.kind == 0x50 and each.protected:
            out["security_counter"] = int.from_bytes(each.value[:8], "little")
        elif each.kind in _ENCRYPTION:
            out["encryption"] = _ENCRYPTION[each.kind]
    return out


FORMATS = (McuBoot(),)
