"""Files that carry a signature: kernel modules behind their content, and signatures that stand in a file of their own.

Behind the content: signer's name and key identifier (both empty since Linux 4.3), the signature, a block of 12 bytes (algorithm,
hash, kind of identifier, lengths of name and identifier, three unused, length of the signature as a big-endian word) and the text
``~Module signature appended~`` with a line feed. Kind 2 is a detached CMS message over the content, without certificates as a
rule. Kind 1, of Linux 3.7 to 4.2, is an RSA signature with its length in two bytes in front. Kernels for kexec end the
same way on some machines. Sources: ``include/uapi/linux/module_signature.h``, ``scripts/sign-file.c`` and, for the older kind,
``kernel/module_signing.c`` of Linux.

A file of its own is a CMS message without content in DER, or the bare number of RSA (``openssl dgst -sign``) or numbers of ECDSA
in a file whose name says that it is a signature, or OpenPGP
signatures in binary. What they are over is known where the other file is: beside them.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats import _cms as cms
from fwcheck.extraction.formats import _openpgp_packets as pgp
from fwcheck.model import SignedBlock

_MARK: Final = b"~Module signature appended~\n"
_BLOCK = struct.Struct(">5B3xI")
_X509, _PKCS7 = 1, 2
_RSA: Final = 1
_HASHES: Final = {1: "md5", 2: "sha1", 4: "sha256", 5: "sha384", 6: "sha512", 7: "sha224"}
_LIMIT: Final = 64 << 10  # bytes of name, identifier and signature
_SMALLEST: Final = 64
_SUFFIXES: Final = (".sig", ".sign", ".signature", ".sgn", ".p7s", ".p1", ".sha256.rsa")
_PGP: Final = "OpenPGP"
_TEXT_LIMIT: Final = 4 << 20  # bytes of a clear-signed text
_PGP_SUFFIXES: Final = (".sig", ".gpg", ".pgp", ".sign", ".asc", ".signature")
_PGP_SIGNATURES: Final = (0x88, 0x89, 0x8A, 0xC2)  # how a packet of a signature begins
_RSA_SIZES: Final = (256, 384, 512)
_SEQUENCE, _NUMBER = 0x30, 0x02
_SCHEME, _COVERS = "Linux module signature", "kernel module"


def signatures(content: memoryview, path: str) -> tuple[SignedBlock, ...]:
    """The signatures of a file: those at its end, or it is one itself (role ``detached``). Never raises."""
    if bytes(content[:10]) == b"-----BEGIN" and len(content) <= _TEXT_LIMIT:
        return _armoured(bytes(content), path)
    return _appended(content) or (_detached(bytes(content), path) if _SMALLEST <= len(content) <= _LIMIT else ())


def named(path: str) -> bool:
    """Whether a file's name is one by which :func:`signatures` takes it for a signature."""
    return path.lower().endswith((*_SUFFIXES, *_PGP_SUFFIXES))


def _armoured(content: bytes, path: str) -> tuple[SignedBlock, ...]:
    """A clear-signed text with its signatures, or signatures in armour, over the file that they are named after."""
    text = content.decode("latin-1")  # one character for each byte
    name = path.rpartition("/")[2]
    if (clear := pgp.clear_text(text)) is not None:
        message = clear[0].encode("latin-1")

        def hashed(hash: str, trailer: bytes) -> bytes:
            return hashlib.new(hash, message + trailer, usedforsecurity=False).digest()

        told = pgp.blocks(pgp.signatures(clear[1]), hashed, _PGP, f"the text of {name}")
        return told or (SignedBlock(scheme=_PGP, covers=name, role="content"),)
    if not text.startswith("-----BEGIN PGP SIGNATURE-----"):
        return ()
    return pgp.beside(pgp.signatures(pgp.dearmoured(text))) or (SignedBlock(scheme=_PGP, covers=name, role="content"),)


def _detached(content: bytes, path: str) -> tuple[SignedBlock, ...]:
    if content[0] == _SEQUENCE and content[1] in (0x82, 0x83):
        try:
            message = cms.message(content) if cms.length(content[:6]) == len(content) else None
        except FormatError:
            message = None
        if message is not None and message.content is None and not message.inner:
            blocks = cms.blocks(message, {}, "CMS signature file", "")
            bound = [one.message_digest or b"" for one in message.signers]
            return tuple(
                msgspec.structs.replace(block, bound=held, role="detached") for block, held in zip(blocks, bound, strict=False)
            )
    if content[0] in _PGP_SIGNATURES and path.lower().endswith(_PGP_SUFFIXES) and (found := pgp.signatures(content)):
        return pgp.beside(found)
    if not path.lower().endswith(_SUFFIXES):
        return ()
    if len(content) in _RSA_SIZES:
        return (SignedBlock(scheme="signature file", algorithm="RSA", signature=content, role="detached"),)
    if content[0] == _SEQUENCE and content[1] + 2 == len(content) and content[2] == _NUMBER:
        return (SignedBlock(scheme="signature file", algorithm="ECDSA", signature=content, role="detached"),)
    return ()


def _appended(content: memoryview) -> tuple[SignedBlock, ...]:
    """Behind the content; none for what does not end with the mark, one that is told where the lengths do not fit."""
    end = len(content) - len(_MARK) - _BLOCK.size
    if end <= 0 or bytes(content[-len(_MARK) :]) != _MARK:
        return ()
    algorithm, hashed, kind, name, identifier, size = _BLOCK.unpack_from(content, end)
    begin = end - size - identifier - name
    if begin <= 0 or end - begin > _LIMIT:
        return (_unread("a signature that does not fit the file"),)
    signed, signature = content[:begin], bytes(content[end - size : end])
    if kind == _PKCS7:
        return _message(signed, signature)
    known = _HASHES.get(hashed)
    if kind != _X509 or algorithm != _RSA or known is None or len(signature) < 3:
        return (_unread(f"a signature of kind {kind}"),)
    key = bytes(content[end - size - identifier : end - size])
    return (
        SignedBlock(
            scheme=_SCHEME, algorithm="RSA", hash=known, padding="pkcs1v15", signature=signature[2:], role="content",
            digest=hashlib.new(known, signed, usedforsecurity=False).digest(), key_hint=f"key identifier {key.hex()}",
            covers=_COVERS,
        ),
    )  # fmt: skip


def _message(signed: memoryview, raw: bytes) -> tuple[SignedBlock, ...]:
    try:
        message = cms.message(raw)
    except FormatError as error:
        return (_unread(f"a signature that cannot be read: {error}"),)
    kinds = {one.digest for one in message.signers} & set(_HASHES.values())
    digests = {kind: hashlib.new(kind, signed, usedforsecurity=False).digest() for kind in kinds}
    blocks = cms.blocks(message, digests, _SCHEME, _COVERS)
    return tuple(msgspec.structs.replace(each, role="content") for each in blocks)


def _unread(why: str) -> SignedBlock:
    return SignedBlock(scheme=_SCHEME, covers=_COVERS, key_hint=why, role="content")
