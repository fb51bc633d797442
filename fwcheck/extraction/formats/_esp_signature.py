"""Secure Boot signatures behind an Espressif image (ESP-IDF, "Secure Boot V1" and "Secure Boot V2"; espsecure).

Version 2: behind the image, padded to 4 KiB with 0xFF, stands a sector with up to three blocks of 1,216 bytes: magic 0xE7,
version (2: RSA-3072 PSS, 3: ECDSA), kind of hash (1: SHA-384), 0, hash of the padded image, public key, signature, CRC32 of
1,196 bytes. An RSA key is modulus, exponent and two values derived of them (384, 4, 384 and 4 bytes); an ECDSA key is the
number of the curve (1: P-192, 2: P-256, 3: P-384) and a point in 64 bytes, 96 for P-384. Numbers are little-endian.

Version 1: 68 bytes, u32 0 and the two numbers of an ECDSA P-256 signature; the public key is in the boot loader.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Final

import msgspec

from fwcheck.extraction.formats._checksums import digest
from fwcheck.extraction.formats._signed import BAD, UNCHECKED, ec_key, ecdsa, rsa_key, rsa_pss, two_numbers
from fwcheck.extraction.source import ByteSource
from fwcheck.model import SignedBlock

_SECTOR: Final = 4096
_BLOCK: Final = 1216
_RSA, _ECDSA = 2, 3
_V1_SIZE: Final = 68
_CURVES = {1: (192, 24), 2: (256, 32), 3: (384, 48)}  # bits and bytes of a number


class EspSignature(msgspec.Struct, kw_only=True):
    """What stands behind an image: ``end`` is the offset in the source behind it."""

    end: int
    words: str
    detail: dict[str, str | int] = {}
    problems: list[str] = []
    blocks: list[SignedBlock] = []


def signature_detail(source: ByteSource, offset: int, end: int) -> EspSignature | None:
    """The signature of the image in ``[offset, end)``; None when there is none."""
    padded = offset + -(-(end - offset) // _SECTOR) * _SECTOR
    sector = source.peek(padded, _SECTOR)
    blocks = [sector[at : at + _BLOCK] for at in range(0, 3 * _BLOCK, _BLOCK)]
    blocks = [each for each in blocks if len(each) == _BLOCK and each[0] == 0xE7 and each[1] in {_RSA, _ECDSA}]
    if blocks:
        return _version_2(source, offset, padded, blocks, len(sector))
    v1 = source.peek(end, _V1_SIZE)
    if len(v1) == _V1_SIZE and v1[:4] == bytes(4) and len(set(v1[4:])) > 40:
        block = SignedBlock(
            scheme="ESP Secure Boot V1", algorithm="ECDSA", covers="the image",
            signature=two_numbers(int.from_bytes(v1[4:36], "big"), int.from_bytes(v1[36:68], "big")),
            digest=digest("sha256", source, (offset, end - offset)),
        )  # fmt: skip
        words = "ECDSA P-256 signature of Secure Boot V1 (68 bytes, not verified)"
        return EspSignature(end=end + _V1_SIZE, words=words, blocks=[block])
    return None


def _version_2(source: ByteSource, offset: int, padded: int, blocks: list[bytes], length: int) -> EspSignature:
    found, problems, keys, signed = [], [], [], []
    for block in blocks:
        wide = block[1] == _ECDSA and block[2] == 1
        hashed, key_at = (48, 52) if wide else (32, 36)
        curve, number = _CURVES.get(block[key_at], (0, 32))
        right = block[4:key_at] == digest("sha384" if wide else "sha256", source, (offset, padded - offset))
        signed.append(_block(block, key_at, curve, number, intact=right))
        if zlib.crc32(block[:1196]) != int.from_bytes(block[1196:1200], "little"):
            state = "wrong CRC32"
        elif not right:
            state = "wrong image hash"
        elif block[1] == _RSA:
            state = _rsa(block)
        else:
            state = _ecdsa(block[key_at + 1 :], curve, number, block[4 : 4 + hashed])
        kind = "RSA-3072 PSS" if block[1] == _RSA else f"ECDSA P-{curve}"
        found.append(f"{kind} signature of Secure Boot V2 ({state})")
        key_end = 812 if block[1] == _RSA else key_at + 1 + (96 if wide else 64)
        keys.append(hashlib.sha256(block[key_at:key_end]).hexdigest())
        if state in BAD or state.startswith("wrong"):
            problems.append(f"signature block: {state}")
    return EspSignature(
        end=padded + length,
        words=", ".join(found),
        detail={"signature_blocks": len(blocks), "key_digests": " ".join(keys)},
        problems=problems,
        blocks=signed,
    )


def _block(block: bytes, key_at: int, curve: int, number: int, *, intact: bool) -> SignedBlock:
    """What is to be verified; the key beside it is the device's own where its digest stands in the fuses."""
    if block[1] == _RSA:
        modulus, exponent = int.from_bytes(block[36:420], "little"), int.from_bytes(block[420:424], "little")
        return SignedBlock(
            scheme="ESP Secure Boot V2", algorithm="RSA", padding="pss", signature=block[812:1196][::-1], digest=block[4:36],
            carried=rsa_key(modulus, exponent), key_hint=hashlib.sha256(block[36:812]).hexdigest(), covers="the padded image",
            intact=intact,
        )  # fmt: skip
    field, fields = max(64, 2 * number), block[key_at + 1 :]
    x, y, r, s = (int.from_bytes(fields[at : at + number], "little") for at in (0, number, field, field + number))
    hashed = "sha384" if key_at == 52 else "sha256"
    return SignedBlock(
        scheme="ESP Secure Boot V2", algorithm="ECDSA", hash=hashed, signature=two_numbers(r, s), digest=block[4:key_at],
        carried=ec_key(curve, x, y), covers="the padded image", intact=intact,
    )  # fmt: skip


def _rsa(block: bytes) -> str:
    modulus, exponent = int.from_bytes(block[36:420], "little"), int.from_bytes(block[420:424], "little")
    return rsa_pss(modulus, exponent, block[812:1196][::-1], block[4:36])


def _ecdsa(fields: bytes, curve: int, number: int, hashed: bytes) -> str:
    """``fields`` begin with the point, behind which stands the signature, both in fields of 64 bytes or two P-384 numbers."""
    if not curve:
        return UNCHECKED
    field = max(64, 2 * number)
    x, y, r, s = (int.from_bytes(fields[at : at + number], "little") for at in (0, number, field, field + number))
    return ecdsa(curve, (x, y), (r, s), hashed)
