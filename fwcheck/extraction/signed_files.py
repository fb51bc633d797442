"""Files that carry their own signature behind their content: kernel modules, and what the kernel signs in the same way.

Behind the content: signer's name and key identifier (both empty since Linux 4.3), the signature, a block of 12 bytes (algorithm,
hash, kind of identifier, lengths of name and identifier, three unused, length of the signature as a big-endian word) and the text
``~Module signature appended~`` with a line feed. Kind 2 is a detached CMS message over the content, without certificates as a
rule. Kind 1, of Linux 3.7 to 4.2, is an RSA signature with its length in two bytes in front. Kernels for kexec end the
same way on some machines. Sources: ``include/uapi/linux/module_signature.h``, ``scripts/sign-file.c`` and, for the older kind,
``kernel/module_signing.c`` of Linux.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats import _cms as cms
from fwcheck.model import SignedBlock

_MARK: Final = b"~Module signature appended~\n"
_BLOCK = struct.Struct(">5B3xI")
_X509, _PKCS7 = 1, 2
_RSA: Final = 1
_HASHES: Final = {1: "md5", 2: "sha1", 4: "sha256", 5: "sha384", 6: "sha512", 7: "sha224"}
_LIMIT: Final = 64 << 10  # bytes of name, identifier and signature
_SCHEME, _COVERS = "Linux module signature", "kernel module"


def signatures(content: memoryview) -> tuple[SignedBlock, ...]:
    """The signatures at the end of a file; none for what does not end with one, or whose lengths do not fit. Never raises."""
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
