"""STM32MP boot image: a header with checksum and ECDSA signature in front of one binary, little-endian.

    0   magic ``STM2``          80  entry point         104 v1: ECDSA algorithm; v2: length of the extension headers
    4   ECDSA signature (64)    88  load address        108 v1: public key (64); v2: binary type
    68  sum of payload bytes    96  version (rollback)  255 v1: binary type
    72  header version          100 option flags        256 v1: payload; v2: at 128 + extension headers
    76  payload length

The signature of version 1 (two numbers, big-endian) is over the SHA-256 of all from offset 72 to the end of the payload, the
public key with it (a point of P-256 for algorithm 1, of brainpoolP256t1 for 2). Whether the key is the device's own is decided by
its hash in the fuses. (U-Boot tools/stm32image.c; STM32MPU wiki, header versions 1.0 and 2.x; stm32mp-keygen, stm32mp1sign.)
"""

from __future__ import annotations

import hashlib
import struct

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats._checksums import digest, sum8, verdict
from fwcheck.extraction.formats._decrypt import encrypted
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.formats._signed import BAD, UNCHECKED, ec_key, ecdsa, two_numbers
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource
from fwcheck.model import SignedBlock

_FIXED = 128
_WORDS = struct.Struct("<10I")  # from offset 68
_TYPES = {0x00: "U-Boot", 0x10: "TF-A BL2", 0x20: "OP-TEE header", 0x21: "OP-TEE pager", 0x22: "OP-TEE pageable", 0x30: "copro"}
_NO_SIGNATURE, _ENCRYPTED = 0x1, 0x2
_COVERED, _CURVE, _KEY_END = 72, 104, 172  # of version 1: where the signed bytes begin, the algorithm, and the end of the key
_P256 = 1


class Stm32Image(Format):
    """STM32MP image; its payload is one part."""

    name = "stm32-image"
    title = "STM32MP boot image (STM2 header)"
    specification = "U-Boot tools/stm32image.c; STM32MPU wiki, STM32 header"
    category = "firmware"
    reads = "header versions 1 and 2; payload checksum recomputed; ECDSA signatures of version 1 are verified; encryption is told"
    not_read = (
        "signatures of version 2 and of brainpoolP256t1 are not verified; encrypted payloads (version 2 with the encryption "
        "extension) stay encrypted"
    )
    signatures = (Signature(pattern=rb"STM2.{64}.{4}\x00.[\x01\x02]\x00.{2}[\x00-\x0f]\x00", width=80),)
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.read(offset, _FIXED)
        checksum, version, length, entry, _, load, _, rollback, flags, extension = _WORDS.unpack_from(raw, 68)
        major = version >> 16 & 0xFF
        header = 256 if major == 1 else _FIXED + extension
        if raw[:4] != b"STM2" or major not in {1, 2} or not 0 < length <= 64 << 20 or header > 0x1000:
            raise FormatError("not an STM32 header")
        kind = source.read(offset, header)[255] if major == 1 else raw[108]
        start = offset + header
        size = min(length, source.size - start)
        if size <= 0:
            raise FormatError("nothing behind an STM32 header")
        problems: list[str] = []
        if size < length:
            problems.append(f"{length} bytes announced, {size} there")
        right = sum8(source, start, length) & 0xFFFFFFFF == checksum if size == length else None
        if right is False and sum(raw[4:68]) == 0:
            raise FormatError("wrong checksum of an STM32 image")
        # Version 1 says in a flag that it is not signed; version 2 says in flags which extension headers hold.
        signed = any(raw[4:68]) and (major == 2 or not flags & _NO_SIGNATURE)
        secret = major == 2 and bool(flags & _ENCRYPTED)
        told = verdict(problems, "payload checksum", right)
        signature, blocks = f"ECDSA signature ({UNCHECKED})", tuple[SignedBlock, ...]()
        if signed and major == 1 and size == length:
            signature, blocks = _signed(source, offset, header + length)
            if signature.rpartition(" (")[2].removesuffix(")") in BAD:
                problems.append(signature)
        payload = encrypted(source, start, size, "AES-128, STM32MP boot") if secret else part(source, "payload", start, size)
        return Container(
            format=self.name,
            size=header + size,
            entries=[payload],
            detail={
                "header_version": f"{major}.{version >> 8 & 0xFF}",
                "binary_type": _TYPES.get(kind, f"0x{kind:02x}"),
                "entry_point": f"0x{entry:08x}",
                "load_address": f"0x{load:08x}",
                "version": rollback,
                "flags": f"0x{flags:08x}",
                "integrity": "signature" if signed else "checksum",
                "integrity_detail": f"{signature}, {told}" if signed else told,
            },
            problems=problems,
            signatures=blocks,
        )


def _signed(source: ByteSource, offset: int, size: int) -> tuple[str, tuple[SignedBlock, ...]]:
    """The signature of a version 1 header in words, and ready to be verified."""
    raw = source.read(offset, _KEY_END)
    (curve,) = struct.unpack_from("<I", raw, _CURVE)
    made = digest("sha256", source, (offset + _COVERED, size - _COVERED))
    x, y, r, s = (int.from_bytes(raw[at : at + 32], "big") for at in (_CURVE + 4, _CURVE + 36, 4, 36))
    state = ecdsa(256, (x, y), (r, s), made) if curve == _P256 else UNCHECKED
    block = SignedBlock(
        scheme="STM32 image", algorithm="ECDSA", signature=two_numbers(r, s), digest=made if curve == _P256 else b"",
        carried=ec_key(256, x, y) if curve == _P256 else b"", covers="header and payload",
        key_hint=hashlib.sha256(raw[_CURVE + 4 : _KEY_END]).hexdigest(),
    )  # fmt: skip
    return f"ECDSA signature ({state})", (block,)


FORMATS = (Stm32Image(),)
