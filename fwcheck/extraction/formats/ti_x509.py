"""TI boot images behind an X.509 certificate: K3 (AM6x, J7), Sitara microcontrollers (AM2x), radar.

A certificate in DER whose extensions below 1.3.6.1.4.1.294.1 say what stands behind it: 1 boot sequence (type, core, options,
load address, size of the image), 2 image integrity (object identifier of the hash, its value), 3 software revision, 4 encryption,
8 debug, 9 several components (size of all, number, then for each: type, core, options, load address, size, hash and its value),
34 image integrity as the system firmware wants it (hash, value, size), 35 load address. The certificate is signed by the key
inside it, whose hash is in the fuses. Devices without security take a "degenerate" RSA key with exponent 1: no signature at all.
Sources: ``tools/binman/btool/openssl.py`` and ``tools/k3_gen_x509_cert.sh`` of U-Boot; mcupsdk ``secure_boot``.
"""

from __future__ import annotations

import hashlib
import warnings
from typing import Any, Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Entry, Format, Signature
from fwcheck.extraction.formats._checksums import digest
from fwcheck.extraction.formats._cms import Value, length, values
from fwcheck.extraction.formats._parts import part
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource
from fwcheck.model import SignedBlock

_TI: Final = bytes.fromhex("2b06010401822601")  # 1.3.6.1.4.1.294.1
_BOOT, _INTEGRITY, _REVISION, _ENCRYPTION, _DEBUG, _COMPONENTS, _SYSTEM, _LOAD = 1, 2, 3, 4, 8, 9, 34, 35
_HASHES: Final = {
    bytes.fromhex("608648016503040201"): "sha256", bytes.fromhex("608648016503040202"): "sha384",
    bytes.fromhex("608648016503040203"): "sha512", bytes.fromhex("608648016503040204"): "sha224",
}  # fmt: skip
_CERTIFICATE: Final = 16 << 10
_LARGEST: Final = 1 << 30
_PIECES: Final = 16
_OCTETS, _INTEGER = 0x04, 0x02


class _Piece(msgspec.Struct, frozen=True):
    """What one hash is of: ``size`` bytes behind the piece before."""

    size: int
    hash: str
    value: bytes
    load: str = ""


class TiX509(Format):
    """Certificate and image."""

    name = "ti-x509"
    title = "TI boot image behind an X.509 certificate (K3, Sitara)"
    specification = "U-Boot tools/binman/btool/openssl.py and tools/k3_gen_x509_cert.sh"
    category = "firmware"
    reads = "certificate with its extensions, image or its components; their hashes recomputed, the signature verified"
    not_read = "encrypted images stay encrypted; trust in the key, whose hash is in fuses"
    signatures = (
        Signature(pattern=rb"\x30\x82..\x30\x82..\xa0\x03\x02\x01\x02\x02", width=14, anywhere=False),
    )  # fmt: skip
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        size = length(source.peek(offset, 6))
        if not 64 < size <= _CERTIFICATE or offset + size >= source.size:
            raise FormatError("no certificate with an image behind it")
        raw = source.read(offset, size)
        found = _extensions(raw) if _TI in raw else {}
        pieces = _pieces(found)
        total = sum(each.size for each in pieces)
        if not pieces or not 0 < total <= _LARGEST:
            raise FormatError("a certificate that speaks of no image")
        there = min(total, source.size - offset - size)
        problems = [f"{total} bytes announced, {there} there"] if there < total else []
        right = _right(source, offset + size, pieces) if there == total else None
        if right is False:
            problems.append("the image is not the one whose hash stands in the certificate")
        words, blocks = _signed(raw, intact=right)
        told = {True: "right", False: "wrong", None: "not checked"}[right]
        detail: dict[str, str | int] = {"components": len(pieces)} if len(pieces) > 1 else {}
        detail |= _told(found, pieces)
        detail["integrity"] = "signature" if blocks else "hash"
        detail["integrity_detail"] = f"{words}; hash of the image {told}"
        return Container(
            format=self.name, size=size + there, entries=_entries(source, offset, size, there, secret=_ENCRYPTION in found),
            detail=detail, problems=problems, signatures=blocks,
        )  # fmt: skip


def _extensions(raw: bytes) -> dict[int, list[Value]]:
    """TI's extensions by their last number, each as the members of its sequence; raises FormatError for a broken certificate."""
    body = values(values(raw, most=1)[0].content)
    fields = values(body[0].content) if body else []
    holder = next((each for each in fields if each.tag == 0xA3), None)
    found: dict[int, list[Value]] = {}
    for outer in values(holder.content) if holder is not None else []:
        for each in values(outer.content):
            inside = values(each.content)
            if len(inside) > 1 and inside[0].content[:-1] == _TI and inside[-1].tag == _OCTETS:
                inner = values(inside[-1].content, most=1)
                found[inside[0].content[-1]] = values(inner[0].content) if inner else []
    return found


def _number(value: Value) -> int:
    return int.from_bytes(value.content[:9], "big") if value.tag == _INTEGER else 0


def _pieces(found: dict[int, list[Value]]) -> list[_Piece]:
    """What stands behind the certificate; empty when it does not tell."""
    if _COMPONENTS in found:
        every = [values(each.content) for each in found[_COMPONENTS][2 : 2 + _PIECES] if each.tag == 0x30]
        return [
            _Piece(_number(each[4]), _name(each[5]), each[6].content, each[3].content.hex()) for each in every if len(each) > 6
        ]
    if len(system := found.get(_SYSTEM, [])) >= 3:
        load = found.get(_LOAD, [])
        return [_Piece(_number(system[2]), _name(system[0]), system[1].content, load[0].content.hex() if load else "")]
    boot, hashed = found.get(_BOOT, []), found.get(_INTEGRITY, [])
    if len(boot) >= 5 and len(hashed) >= 2:
        return [_Piece(_number(boot[4]), _name(hashed[0]), hashed[1].content, boot[3].content.hex())]
    return []


def _name(value: Value) -> str:
    return _HASHES.get(value.content, "")


def _right(source: ByteSource, at: int, pieces: list[_Piece]) -> bool | None:
    """Whether every piece has its hash. None: a hash that is not known, or pieces that lie in another order than told."""
    every = []
    for each in pieces:
        if not each.hash:
            return None
        every.append(digest(each.hash, source, (at, each.size)) == each.value)
        at += each.size
    return all(every) if len(every) == 1 or any(every) else None


def _told(found: dict[int, list[Value]], pieces: list[_Piece]) -> dict[str, str | int]:
    detail: dict[str, str | int] = {}
    if loads := [f"0x{each.load}" for each in pieces if each.load]:
        detail["load_address"] = ", ".join(loads)
    if revision := found.get(_REVISION):
        detail["software_revision"] = _number(revision[0])
    if _DEBUG in found:
        detail["debug"] = "the certificate speaks of debug access"
    return detail


def _signed(raw: bytes, *, intact: bool | None) -> tuple[str, tuple[SignedBlock, ...]]:
    """The certificate's own signature in words, and ready to be verified; no block for a degenerate key."""
    from cryptography import x509  # noqa: PLC0415  # heavy, and few images are signed
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415

    key: Any = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the library, about certificates that are not as they should be
            loaded = x509.load_der_x509_certificate(raw)
            hashed = loaded.signature_hash_algorithm
            signature, covered = loaded.signature, loaded.tbs_certificate_bytes
            key = loaded.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if key is None and _degenerate(raw):
            return "a degenerate key with exponent 1: no signature", ()
        return "a certificate whose key or signature cannot be read", ()
    if _degenerate(raw):
        return "a degenerate key with exponent 1: no signature", ()
    name = hashed.name if hashed is not None else ""
    if name not in _HASHES.values():
        return "a certificate signed with an unknown algorithm", ()
    block = SignedBlock(
        scheme="TI X.509", hash=name, signature=signature, digest=hashlib.new(name, covered).digest(), carried=raw, intact=intact,
        covers="the certificate with the hash of the image",
    )  # fmt: skip
    return "X.509 certificate with its own key (not verified)", (block,)


def _degenerate(raw: bytes) -> bool:
    """Whether the key is one of RSA with exponent 1: ``INTEGER modulus, INTEGER 1`` at the end of a bit string."""
    fields = values(values(values(raw, most=1)[0].content, most=1)[0].content)
    sequences = [each for each in fields if each.tag == 0x30]
    info = values(sequences[4].content) if len(sequences) > 4 else []
    return bool(info) and info[-1].tag == 0x03 and info[-1].content.endswith(b"\x02\x01\x01")


def _entries(source: ByteSource, offset: int, size: int, there: int, *, secret: bool) -> list[Entry]:
    certificate = msgspec.structs.replace(part(source, "certificate", offset, size), role="meta")
    image = part(source, "image", offset + size, there)
    if secret:
        image = msgspec.structs.replace(image, role="encrypted", detail={"encryption": "AES-256-CBC, TI X.509"})
    return [certificate, image]


FORMATS = (TiX509(),)
