"""Secure Boot signatures behind an Espressif image (ESP-IDF, "Secure Boot V1" and "Secure Boot V2").

Version 2: behind the image, padded to 4 KiB with 0xFF, stands a sector with up to three blocks of 1,216 bytes: magic 0xE7,
version (2: RSA-3072 PSS, 3: ECDSA), SHA-256 of the padded image, public key, signature, CRC32. Numbers are little-endian.
"""

from __future__ import annotations

import hashlib
import zlib

import msgspec

from fwcheck.extraction.source import ByteSource

_SECTOR = 4096
_BLOCK = 1216
_RSA, _ECDSA = 2, 3
_V1_SIZE = 68


class EspSignature(msgspec.Struct, kw_only=True):
    """What stands behind an image: ``end`` is the offset in the source behind it."""

    end: int
    words: str
    detail: dict[str, str | int] = {}
    problems: list[str] = []


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
        return EspSignature(end=end + _V1_SIZE, words="ECDSA P-256 signature of Secure Boot V1 (68 bytes, not verified)")
    return None


def _version_2(source: ByteSource, offset: int, padded: int, blocks: list[bytes], length: int) -> EspSignature:
    digest = hashlib.sha256()
    for chunk in source.window(offset, padded - offset).chunks():
        digest.update(chunk)
    found, problems, keys = [], [], []
    for block in blocks:
        kind = "RSA-3072 PSS" if block[1] == _RSA else f"ECDSA P-{_curve(block)}"
        crc_right = zlib.crc32(block[:1196]) == int.from_bytes(block[1196:1200], "little")
        hash_right = block[4:36] == digest.digest()
        state = _verified(block) if crc_right and hash_right else "wrong CRC32" if not crc_right else "wrong image hash"
        found.append(f"{kind} signature of Secure Boot V2 ({state})")
        keys.append(hashlib.sha256(block[36:812] if block[1] == _RSA else block[36:101]).hexdigest())
        if state not in {"valid for the key beside it", "not verified"}:
            problems.append(f"signature block: {state}")
    return EspSignature(
        end=padded + length,
        words=", ".join(found),
        detail={"signature_blocks": len(blocks), "key_digests": " ".join(keys)},
        problems=problems,
    )


def _curve(block: bytes) -> int:
    return {1: 192, 2: 256, 3: 384}.get(block[36], 0)


def _verified(block: bytes) -> str:
    """Verifies an RSA block with the public key beside it: whether the chip trusts that key, its eFuses know."""
    if block[1] != _RSA:
        return "not verified"
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # heavy, and few images are signed
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils  # noqa: PLC0415

    modulus, exponent = int.from_bytes(block[36:420], "little"), int.from_bytes(block[420:424], "little")
    try:
        key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        key.verify(
            block[812:1196][::-1],
            block[4:36],
            padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32),
            utils.Prehashed(hashes.SHA256()),
        )
    except InvalidSignature:
        return "invalid for the key beside it"
    except ValueError:
        return "impossible key"
    return "valid for the key beside it"
