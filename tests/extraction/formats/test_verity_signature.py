"""Signature partitions of dm-verity: JSON, root hash, message."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from support.hostile import exercise, truncations
from support.signed import EC, STRANGER, Private, certificate, cms, flipped, only, pem, report
from support.signing import key as rsa_key

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats.verity_signature import FORMATS
from fwcheck.extraction.source import Memory

(SIGNATURE,) = FORMATS
RSA = rsa_key()
ROOT = hashlib.sha256(b"a tree").hexdigest()


def partition(key: Private = RSA, *, size: int = 16384, indent: str | None = None, root: str = ROOT) -> bytes:
    named = hashlib.sha256(certificate(key).public_bytes(Encoding.DER)).hexdigest()
    message = cms(key, ROOT.encode(), attributes=False, certificates=())
    held = {"rootHash": root, "certificateFingerprint": named, "signature": base64.b64encode(message).decode()}
    separators = (",", ":") if indent is None else None
    return json.dumps(held, indent=indent, separators=separators).encode().ljust(size, b"\0")


def seeds() -> list[bytes]:
    return [partition(), partition(indent="\t")]


@pytest.mark.parametrize("indent", [None, "\t"])
def test_root_hash_and_certificate_are_told(indent: str | None) -> None:
    container = SIGNATURE.open(Memory(partition(indent=indent)), 0)
    assert (container.size, container.detail["root_hash"], container.detail["integrity"]) == (16384, ROOT, "signature")
    assert len(str(container.detail["certificate_fingerprint"])) == 64


@pytest.mark.parametrize("key", [RSA, EC])
def test_it_is_verified(key: Private, tmp_path: Path) -> None:
    image = partition(key)
    signature = only(report(image, tmp_path, pem(key)))
    assert (signature.scheme, signature.state, signature.role) == ("dm-verity root hash", "valid", "content")
    assert only(report(image, tmp_path, pem(STRANGER))).state == "unverified"
    other = partition(key, root=hashlib.sha256(b"another tree").hexdigest())
    assert only(report(other, tmp_path, pem(key))).state == "unverified"


@pytest.mark.parametrize(
    "text",
    [
        b'{"rootHash":"zz","signature":"AAAA"}', b'{"rootHash":1,"signature":2}', b'{"rootHash":[' + b"[" * 20_000,
        b'{"signature":"!!!!","rootHash":"' + ROOT.encode() + b'"}', b'{"rootHash":"' + ROOT.encode() + b'"}',
        b'{"certificates":[]}', b'{"signature":"MAA=","rootHash":"' + ROOT.encode() + b'"}',
    ],
)  # fmt: skip
def test_other_json_is_refused(text: bytes) -> None:
    with pytest.raises(FormatError):
        SIGNATURE.open(Memory(text.ljust(4096, b"\0")), 0)


def test_truncations_raise_nothing_else() -> None:
    for data in (*truncations(partition(), 40), *(flipped(partition(), at) for at in range(0, 900, 7))):
        exercise(SIGNATURE, data)
