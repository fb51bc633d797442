"""The type-length-value areas behind an MCUboot image: their words, and what can be checked of them (MCUboot, image.h)."""

from __future__ import annotations

import hashlib
import struct
from typing import Final, Literal

import msgspec

from fwcheck.extraction.formats._checksums import digest
from fwcheck.extraction.formats._signed import BAD, UNCHECKED, encoded_key
from fwcheck.extraction.source import ByteSource
from fwcheck.model import SignedBlock

KEY_HASH, PUBLIC_KEY, PURE, DEPENDENCY, COUNTER, BOOT_RECORD = 0x01, 0x02, 0x25, 0x40, 0x50, 0x60
UNPACKED_SIZE, UNPACKED_HASH = 0x70, 0x71
_UNPROTECTED, _PROTECTED = 0x6907, 0x6908
_HASHES = {0x10: "sha256", 0x11: "sha384", 0x12: "sha512"}
_SIGNATURES = {0x20: "RSA-2048 PSS", 0x21: "ECDSA P-224", 0x22: "ECDSA P-256", 0x23: "RSA-3072 PSS", 0x24: "Ed25519"}
KEY_SCHEMES = {
    0x30: "RSA-2048 OAEP", 0x31: "AES key wrap", 0x32: "ECIES P-256", 0x33: "ECIES X25519", 0x34: "ECIES X25519 with SHA-512",
}  # fmt: skip
_OTHERS = {
    KEY_HASH: "key hash", PUBLIC_KEY: "public key", PURE: "signature over the image itself", DEPENDENCY: "dependency",
    COUNTER: "security counter", BOOT_RECORD: "boot record", UNPACKED_SIZE: "decompressed size",
    UNPACKED_HASH: "decompressed hash", 0x72: "decompressed signature", 0x73: "compressed size", 0x74: "vendor id",
    0x75: "class id", 0x80: "vendor id", 0x81: "class id",
}  # fmt: skip
_ALGORITHMS: dict[str, Literal["RSA", "ECDSA", "Ed25519"]] = {"RSA": "RSA", "ECDSA": "ECDSA", "Ed25519": "Ed25519"}
_TLV_LIMIT: Final = 256
# SHA-256 of the public halves of keys whose private halves are published with MCUboot and Trusted Firmware-M
_DEVELOPMENT_KEYS = {
    "fc5701dc6135e1323847bdc40f04d2e5bee5833b23c29f93593d00018cfa9994": "root-rsa-2048.pem",
    "e18015993d6d2760b499274baef264b83af229e9a785f3d5bf00b9d32c1f0396": "root-rsa-2048_1.pem",
    "bfe6d86f8826f4ff97fb96c4e6fbc4993e4619fc565da26adf34c329489adc38": "root-rsa-3072.pem",
    "e30466f6b8470c1f29070b17f1e2d3e94d445e3f608087fdc711e4382bb538b6": "root-ec-p256.pem",
}


class Tlv(msgspec.Struct, frozen=True):
    """One entry of a TLV area."""

    kind: int
    protected: bool
    value: bytes

    @property
    def words(self) -> str:
        """The name of its type."""
        for table, after in ((_HASHES, ""), (_SIGNATURES, " signature"), (KEY_SCHEMES, " encrypted key"), (_OTHERS, "")):
            if self.kind in table:
                return table[self.kind] + after
        return f"0x{self.kind:04x}"


def areas(source: ByteSource, at: int, protected_size: int, problems: list[str]) -> tuple[int, list[Tlv]]:
    """Reads the protected and the unprotected area; gives the offset behind them and their entries."""
    tlvs: list[Tlv] = []
    for magic in (_PROTECTED, _UNPROTECTED):
        info = source.peek(at, 4)
        if len(info) < 4 or int.from_bytes(info[:2], "little") != magic:
            if magic == _UNPROTECTED or protected_size:
                problems.append(f"no {'protected ' if magic == _PROTECTED else ''}TLV area at 0x{at:x}")
            continue
        end = at + int.from_bytes(info[2:], "little")
        if end > source.size:
            problems.append("the TLV area is cut off")
        end = max(min(end, source.size), at + 4)
        at += 4
        while at + 4 <= end and len(tlvs) < _TLV_LIMIT:
            kind, length = struct.unpack("<HH", source.view(at, 4))
            if at + 4 + length > end:
                problems.append(f"TLV 0x{kind:x} reaches beyond its area")
                break
            tlvs.append(Tlv(kind, magic == _PROTECTED, source.read(at + 4, length)))
            at += 4 + length
        at = end
    return at, tlvs


def integrity(
    source: ByteSource, offset: int, hashed: int, encrypted: bool, tlvs: list[Tlv], problems: list[str]
) -> tuple[str, str]:
    """What protects the image, as a word and in words; ``hashed`` bytes are what hash and signature are of."""
    words: list[str] = []
    computed: bytes | None = None
    for each in tlvs:
        if each.kind not in _HASHES:
            continue
        name = _HASHES[each.kind]
        if encrypted or offset + hashed > source.size:
            words.append(f"{name} cannot be checked")  # that of an encrypted image is of the plain text
            continue
        computed = digest(name, source, (offset, hashed))
        words.append(f"{name} {'right' if computed == each.value else 'wrong'}")
        if computed != each.value:
            problems.append(f"the {name} in the TLV area does not match the image")
    key = next((each.value for each in tlvs if each.kind == PUBLIC_KEY), None)
    pure = any(each.kind == PURE and each.value[:1] == b"\1" for each in tlvs)
    signed = [each for each in tlvs if each.kind in _SIGNATURES and each.value]
    if not signed:
        return ("hash", ", ".join(words) + ", no signature") if words else ("none", "no hash, no signature")
    for each in reversed(signed):
        state = UNCHECKED if key is None or computed is None or pure else encoded_key(key, each.value, computed)
        name = "ECDSA P-384" if each.kind == 0x22 and any(tlv.kind == 0x11 for tlv in tlvs) else _SIGNATURES[each.kind]
        words.insert(0, f"{name} signature ({state})")
        if state in BAD:
            problems.append(f"signature: {state}")
    return "signature", ", ".join(words)


def blocks(source: ByteSource, offset: int, hashed: int, encrypted: bool, tlvs: list[Tlv]) -> tuple[SignedBlock, ...]:
    """What is to be verified: signatures over the hash in the TLV area, or over the image itself (pure Ed25519)."""
    signed = [each for each in tlvs if each.kind in _SIGNATURES and each.value]
    stored = next((each for each in tlvs if each.kind in _HASHES), None)
    if not signed or offset + hashed > source.size:
        return ()
    name = _HASHES[stored.kind] if stored is not None else "sha256"
    computed = digest(name, source, (offset, hashed))
    pure = any(each.kind == PURE and each.value[:1] == b"\1" for each in tlvs)
    place = list(source.extents(offset, hashed)) if pure else []
    carried = next((each.value for each in tlvs if each.kind == PUBLIC_KEY), b"")
    hint = next(
        (each.value.hex() for each in tlvs if each.kind == KEY_HASH), hashlib.sha256(carried).hexdigest() if carried else ""
    )
    return tuple(
        SignedBlock(
            scheme="MCUboot",
            algorithm=_ALGORITHMS[_SIGNATURES[each.kind].split(" ")[0].split("-")[0]],
            hash=name,
            padding="pss" if "PSS" in _SIGNATURES[each.kind] else "",
            signature=_trimmed(each),
            digest=computed if not encrypted else (stored.value if stored is not None else b""),
            span=place[0] if len(place) == 1 else None,
            carried=carried,
            key_hint=hint,
            covers="header, image and protected TLVs",
            intact=None if encrypted or stored is None else computed == stored.value,
        )
        for each in signed
    )


def _trimmed(each: Tlv) -> bytes:
    """A signature without the zeros that fill an ECDSA pair up to one length."""
    if not _SIGNATURES[each.kind].startswith("ECDSA") or len(each.value) < 2:
        return each.value
    return each.value[: 2 + each.value[1]]


def described(tlvs: list[Tlv]) -> dict[str, str | int]:
    """Fields of the areas that are worth showing."""
    out: dict[str, str | int] = {"tlvs": ", ".join(each.words for each in tlvs)}
    dependencies: list[str] = []
    for each in tlvs:
        value = each.value
        if each.kind in {KEY_HASH, PUBLIC_KEY}:
            hashed = value if each.kind == KEY_HASH else hashlib.sha256(value).digest()
            out["key_hash"] = hashed.hex()
            if hashed.hex() in _DEVELOPMENT_KEYS:
                out["development_key"] = f"published development key {_DEVELOPMENT_KEYS[hashed.hex()]}"
        elif each.kind == COUNTER and each.protected:
            out["security_counter"] = int.from_bytes(value[:8], "little")
        elif each.kind in KEY_SCHEMES:
            out["encryption"] = KEY_SCHEMES[each.kind]
        elif each.kind == DEPENDENCY and len(value) == 12:
            number, _, major, minor, revision, build = struct.unpack("<B3sBBHI", value)
            dependencies.append(f"image {number} from {major}.{minor}.{revision}+{build}")
        elif each.kind == BOOT_RECORD:
            out["boot_record"] = value.hex()[:400]
        elif each.words in {"vendor id", "class id"} and len(value) == 16:
            out[each.words.replace(" ", "_")] = value.hex()
    if dependencies:
        out["dependencies"] = ", ".join(dependencies)
    return out
