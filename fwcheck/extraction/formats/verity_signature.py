"""The signature of a dm-verity root hash in a partition of its own, as systemd-repart writes it.

A JSON object, filled up with zeros: ``rootHash`` in hexadecimal, ``signature``, a detached PKCS #7 message over that text in
base64, and ``certificateFingerprint``, the SHA-256 of the signer's certificate. Source: UAPI Group, Discoverable Partitions
Specification; the kernel verifies the message over the hash in hexadecimal (admin-guide/device-mapper/verity).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from typing import Any, Final

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Container, Format, Signature
from fwcheck.extraction.formats import _cms as cms
from fwcheck.extraction.formats._checksums import DIGESTS
from fwcheck.extraction.limits import DEFAULT, Limits
from fwcheck.extraction.source import ByteSource
from fwcheck.model import SignedBlock

_LIMIT: Final = 64 << 10
_ROOT = re.compile(r"(?:[0-9a-f]{2}){20,64}")
_FINGERPRINT = re.compile(r"[0-9a-fA-F]{64}")


class VeritySignature(Format):
    """JSON with root hash and signature; the hash tree stands in another partition."""

    name = "verity-signature"
    title = "dm-verity signature partition"
    specification = "UAPI Group, Discoverable Partitions Specification"
    category = "flash"
    reads = "root hash, fingerprint of the certificate; the signature is verified where a key is at hand"
    not_read = "whether the root hash is that of a tree in the same image"
    signatures = (
        Signature(pattern=rb'\{"(?:rootHash"|signature|certifica)', width=11, anywhere=False),
        Signature(pattern=rb'\{\n\t"(?:rootHash"|signature|certifica)', width=13, anywhere=False),
    )
    priority = 20

    def open(self, source: ByteSource, offset: int, limits: Limits = DEFAULT) -> Container:
        raw = source.peek(offset, _LIMIT)
        text = raw.split(b"\0", 1)[0].rstrip()
        found = _object(text)
        root, signature = found.get("rootHash"), found.get("signature")
        if not isinstance(root, str) or not _ROOT.fullmatch(root) or not isinstance(signature, str):
            raise FormatError("no signature of a root hash")
        try:
            message = cms.message(base64.b64decode(signature, validate=True))
        except (binascii.Error, ValueError) as error:
            raise FormatError("the signature of a root hash is no base64") from error
        named = found.get("certificateFingerprint")
        named = named.lower() if isinstance(named, str) and _FINGERPRINT.fullmatch(named) else ""
        size = len(raw) if not raw[len(text) :].strip(b"\0\n ") else len(text)
        detail: dict[str, str | int] = {"root_hash": root, "integrity": "signature"}
        detail["integrity_detail"] = "CMS signature over the root hash (not verified)"
        if named:
            detail["certificate_fingerprint"] = named
        return Container(format=self.name, size=size, detail=detail, signatures=_blocks(message, root, named))


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text) if len(text) < _LIMIT else None
    except (ValueError, RecursionError) as error:
        raise FormatError("no JSON") from error
    if not isinstance(found, dict):
        raise FormatError("no JSON object")
    return found


def _blocks(message: cms.Message, root: str, named: str) -> tuple[SignedBlock, ...]:
    kinds = {one.digest for one in message.signers} & DIGESTS
    digests = {kind: hashlib.new(kind, root.encode(), usedforsecurity=False).digest() for kind in kinds}
    out = []
    for block in cms.blocks(message, digests, "dm-verity root hash", "the root hash of a partition"):
        hint = f"certificate {named}" if named else block.key_hint
        out.append(msgspec.structs.replace(block, role="content", key_hint=hint))
    return tuple(out)


FORMATS = (VeritySignature(),)
