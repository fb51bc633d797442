"""Signatures of PE files: their digest is recomputed, the PKCS #7 messages over it are made ready to be verified.

The certificate table is a row of: length, revision, type (2: PKCS #7), data, padded to 8 bytes. A message signs an
SpcIndirectDataContent (1.3.6.1.4.1.311.2.1.4), which holds the digest of the file without its checksum field, the directory entry
of the certificates and the table itself. As PKCS #7 of version 1.5 has it, what is signed are the bytes of that content without
tag and length. Source: Windows Authenticode Portable Executable Signature Format.
"""

from __future__ import annotations

import hashlib
import struct

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats import _cms as cms
from fwcheck.extraction.formats._pe import Pe
from fwcheck.extraction.source import ByteSource
from fwcheck.model import SignedBlock

_PKCS7 = 2  # WIN_CERT_TYPE_PKCS_SIGNED_DATA
_CERTIFICATES_LIMIT = 16
_TABLE_LIMIT = 1 << 20
_SPC_SHA = {  # DER of the algorithm identifier in front of the digest of SpcIndirectDataContent
    "sha256": bytes.fromhex("300d06096086480165030402010500 0420".replace(" ", "")),
    "sha384": bytes.fromhex("300d06096086480165030402020500 0430".replace(" ", "")),
    "sha512": bytes.fromhex("300d06096086480165030402030500 0440".replace(" ", "")),
    "sha1": bytes.fromhex("300906052b0e03021a0500 0414".replace(" ", "")),
}
_SPC_INDIRECT = bytes.fromhex("060a2b060104018237020104")  # 1.3.6.1.4.1.311.2.1.4


class Protection(msgspec.Struct, frozen=True):
    """What protects a PE file: for the detail of its container, and its signatures."""

    detail: dict[str, str | int]
    blocks: tuple[SignedBlock, ...] = ()


def protection(source: ByteSource, offset: int, pe: Pe, problems: list[str]) -> Protection:
    """What protects the PE file at ``offset``; wrong digests go into ``problems``."""
    at, size = pe.certificates
    if not size:
        return Protection({"integrity": "none", "integrity_detail": "no Authenticode signature"})
    if offset + at + size > source.size:
        problems.append(f"certificate table of {size} bytes announced, {max(source.size - offset - at, 0)} there")
        return Protection({"integrity": "signature", "integrity_detail": "Authenticode signature cut off"})
    words: list[str] = []
    blocks: list[SignedBlock] = []
    known: dict[str, bytes] = {}
    for number, blob in enumerate(_certificates(source.read(offset + at, min(size, _TABLE_LIMIT)))):
        algorithm, digest = _spc_digest(blob)
        if not algorithm:
            words.append("a certificate without a digest that is known")
            continue
        if algorithm not in known:
            known[algorithm] = _authenticode(source, offset, pe, algorithm)
        right = digest == known[algorithm]
        if not right:
            problems.append(f"Authenticode signature {number + 1}: wrong {algorithm}")
        words.append(f"{algorithm} {'right' if right else 'wrong'}")
        blocks += _blocks(blob, right=right)
    if not words:
        return Protection({"integrity": "none", "integrity_detail": "certificate table without a PKCS #7 signature"})
    said = f"Authenticode (PKCS #7, signature not verified): {', '.join(words)}"
    return Protection({"integrity": "signature", "integrity_detail": said}, tuple(blocks))


def _blocks(blob: bytes, *, right: bool) -> list[SignedBlock]:
    """The signers of one message; ``right``: whether the digest it signs is that of the file."""
    try:
        message = cms.message(blob)
    except FormatError:
        return []
    digests = {one.digest: hashlib.new(one.digest, message.inner).digest() for one in message.signers if one.digest in _SPC_SHA}
    every = cms.blocks(message, digests, "Authenticode", "the program")
    if not right:
        every = tuple(msgspec.structs.replace(each, intact=False) for each in every)
    return [msgspec.structs.replace(each, role="content") for each in every]


def _certificates(table: bytes) -> list[bytes]:
    """The PKCS #7 blobs of a certificate table: length, revision, type, data, padded to 8 bytes."""
    out: list[bytes] = []
    at = 0
    while at + 8 <= len(table) and len(out) < _CERTIFICATES_LIMIT:
        length, _, kind = struct.unpack_from("<IHH", table, at)
        if not 8 < length <= len(table) - at:
            break
        if kind == _PKCS7:
            out.append(table[at + 8 : at + length])
        at += length + -length % 8
    return out


def _spc_digest(blob: bytes) -> tuple[str, bytes]:
    """Algorithm and value of the file's digest in a PKCS #7 blob; empty when none is found."""
    begin = blob.find(_SPC_INDIRECT)
    if begin < 0:
        return "", b""
    found = [(at, name, prefix) for name, prefix in _SPC_SHA.items() if (at := blob.find(prefix, begin, begin + 512)) >= 0]
    if not found:
        return "", b""
    at, name, prefix = min(found)
    at += len(prefix)
    return name, blob[at : at + hashlib.new(name).digest_size]


def _authenticode(source: ByteSource, offset: int, pe: Pe, algorithm: str) -> bytes:
    """The digest of everything but the checksum field, the directory entry of the certificates, and the certificates."""
    digest = hashlib.new(algorithm)
    at = pe.certificates[0]
    for begin, end in ((0, pe.checksum_at), (pe.checksum_at + 4, pe.directory_at), (pe.directory_at + 8, at)):
        if begin < end:
            for chunk in source.window(offset + begin, end - begin).chunks():
                digest.update(chunk)
    digest.update(bytes(-at % 8))
    return digest.digest()
