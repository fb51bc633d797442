"""Qualcomm's image header: what is signed, by whom, and where the signature lies.

40 bytes, little-endian words: image type, version, then in version 3 place in flash and load address, in 5 and 6 the sizes of
Qualcomm's own signature and certificates; size of the image, of its code, then address and size of the signature and of the
certificates; version 6: two words more, the sizes of Qualcomm's and the maker's metadata. Behind the header: metadata (Qualcomm's
first), code, Qualcomm's signature and certificates, then the maker's. The header of the first boot loader has 80 bytes: the words
0x844BDCD1 and 0x73D71034, type, two unused, place in flash, load address, and from the size of the image on the same.
Certificates are X.509 in DER, leaf first, filled up with 0xFF.

Sources: ``boot_images/core/boot/secboot3/src/miheader.h`` and ``mibib.h`` of Qualcomm's published boot loaders.
"""

from __future__ import annotations

import hashlib
import warnings
from struct import unpack_from

import msgspec

from fwcheck.extraction.errors import FormatError

SHORT, LONG = 40, 80
MAGIC = b"\xd1\xdc\x4b\x84\x34\x10\xd7\x73"
_TYPES = (
    "none", "OEM SBL", "AMSS", "QCSBL", "hash table", "APPSBL", "APPS", "HOSTDL", "DSP1", "FSBL", "DBL", "OSBL", "DSP2",
    "EHOSTDL", "NANDPRG", "NORPRG", "RAMFS1", "RAMFS2", "ADSP Q5", "APPS kernel", "backup RAMFS", "SBL1", "SBL2", "RPM", "SBL3",
    "TZ",
)  # fmt: skip
_SIZE_LIMIT = 1 << 28
_SIGNATURE_LIMIT = 1 << 14
_CHAIN_LIMIT = 1 << 16
_CERTIFICATES = 10
_LOAD, _CODE = 0x1000, 1024  # of an image without a signature, at least


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """One header. ``begin`` is where the code begins, from the header on; sizes are in the order in which they lie."""

    type: int
    version: int
    begin: int
    load: int
    code: int
    own: tuple[int, int]  # Qualcomm's signature and certificates
    maker: tuple[int, int]
    image: int

    @property
    def type_name(self) -> str:
        return _TYPES[self.type] if self.type < len(_TYPES) else str(self.type)

    @property
    def places(self) -> list[tuple[str, int, int]]:
        """Name, offset from the header and size of each piece that is not empty."""
        at, out = self.begin, []
        names = ("code", "qualcomm-signature", "qualcomm-certificates", "signature", "certificates")
        for name, size in zip(names, (self.code, *self.own, *self.maker), strict=True):
            if size:
                out.append((name, at, size))
            at += size
        return out

    @property
    def size(self) -> int:
        return self.begin + self.code + sum(self.own) + sum(self.maker)


def header(raw: bytes, *, table: bool = False) -> Header:
    """The header at the begin of ``raw``; raises FormatError when its fields contradict each other. ``table``: of hashes."""
    if raw[:8] == MAGIC:
        if len(raw) < LONG:
            raise FormatError("no Qualcomm header")
        kind, load, image, code, sign_at, sign, chain_at, chain = unpack_from("<I12x7I", raw, 8)
        version, own, begin = 0, (0, 0), LONG
    else:
        if len(raw) < 48:
            raise FormatError("no Qualcomm header")
        kind, version, first, load, image, code, sign_at, sign, chain_at, chain, *metadata = unpack_from("<12I", raw)
        begin = SHORT if version < 6 else 48 + sum(metadata)
        own = (0, 0)
        if version in (5, 6):
            own, load = (first, load), 0
    if kind > 64 or version not in (0, 3, 5, 6) or not 0 < code <= _SIZE_LIMIT or begin > _SIGNATURE_LIMIT:
        raise FormatError("implausible Qualcomm header")
    if max(own[0], sign) > _SIGNATURE_LIMIT or max(own[1], chain) > _CHAIN_LIMIT:
        raise FormatError("implausible sizes in a Qualcomm header")
    # What is stored as the size of the image covers code, signatures and certificates, or was padded to a few bytes more.
    if not 0 <= image - code - sum(own) - sign - chain <= 64:
        raise FormatError("the sizes in a Qualcomm header contradict each other")
    if version in (0, 3) and (sign or chain) and (sign_at != (load + code) & 0xFFFFFFFF or chain_at < sign_at):
        raise FormatError("the addresses in a Qualcomm header contradict each other")
    unsigned = not table and not any((*own, sign, chain))
    # Small numbers are common: without a signature there have to be code and a place for it.
    if (
        unsigned
        and version != 0
        and (version != 3 or load < _LOAD or code < _CODE or sign_at not in (0, (load + code) & 0xFFFFFFFF))
    ):
        raise FormatError("implausible Qualcomm header without a signature")
    return Header(type=kind, version=version, begin=begin, load=load, code=code, own=own, maker=(sign, chain), image=image)


def certificates(raw: bytes) -> list[bytes]:
    """The certificates of a chain, leaf first; those behind a broken one are left out."""
    out: list[bytes] = []
    at = 0
    while at + 4 <= len(raw) and raw[at : at + 2] == b"\x30\x82" and len(out) < _CERTIFICATES:
        end = at + 4 + int.from_bytes(raw[at + 2 : at + 4], "big")
        if end > len(raw):
            break
        out.append(raw[at:end])
        at = end
    return out


def signed_by(chain: bytes) -> dict[str, str | int]:
    """Leaf and root of a chain: the root's hash is what the fuses of a device are compared with."""
    every = certificates(chain)
    if not every:
        return {}
    detail: dict[str, str | int] = {"certificates": len(every), "root_certificate": hashlib.sha256(every[-1]).hexdigest()}
    if subject := _subject(every[0]):
        detail["signer"] = subject
    return detail


def _subject(certificate: bytes) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  few images need it
    from cryptography.x509 import InvalidVersion, load_der_x509_certificate  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the library, about certificates that are not as they should be
            text = load_der_x509_certificate(certificate).subject.rfc4514_string()
    except (ValueError, TypeError, InvalidVersion, UnsupportedAlgorithm):
        return ""
    return "".join(char if char.isprintable() else "?" for char in text)[:400]
