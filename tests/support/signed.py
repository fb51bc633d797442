"""Signing as vendors do it: keys, certificates, CMS in DER by hand, and a scan that tells what became of a signature."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from fwcheck.model import ImageSignature, Report
from fwcheck.pipeline import Options, scan

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
EC = ec.derive_private_key(0x51D, ec.SECP256R1())
EC384 = ec.derive_private_key(0x384, ec.SECP384R1())
ED = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x05" * 32)
STRANGER = ec.derive_private_key(0xBAD, ec.SECP256R1())
SERIAL = 7


@cache
def rsa_of(bits: int) -> rsa.RSAPrivateKey:
    """An RSA key of so many bits, made once in a run."""
    return rsa.generate_private_key(65537, bits)


def pem(key: Private) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(key: Private) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def fingerprint(key: Private) -> str:
    """As the report names a key."""
    return hashlib.sha256(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def certificate(key: Private, name: str = "signer", issuer: tuple[Private, str] | None = None) -> x509.Certificate:
    by, issued = issuer or (key, name)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issued)]),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        key.public_key(),
        SERIAL,
        start,
        start.replace(year=2044),
    )
    return made.sign(by, None if isinstance(by, ed25519.Ed25519PrivateKey) else hashes.SHA256())


# --------------------------------------------------------------------------- CMS

_OIDS = {
    "signed-data": "2a864886f70d010702", "data": "2a864886f70d010701", "content-type": "2a864886f70d010903",
    "message-digest": "2a864886f70d010904", "rsa": "2a864886f70d010101", "pss": "2a864886f70d01010a", "ed25519": "2b6570",
    "ecdsa-sha256": "2a8648ce3d040302", "sha256": "608648016503040201", "sha384": "608648016503040202",
    "sha512": "608648016503040203", "sha1": "2b0e03021a",
}  # fmt: skip


def der(tag: int, *content: bytes) -> bytes:
    """One DER value."""
    inner = b"".join(content)
    if len(inner) < 128:
        return bytes([tag, len(inner)]) + inner
    width = (len(inner).bit_length() + 7) // 8
    return bytes([tag, 0x80 | width]) + len(inner).to_bytes(width, "big") + inner


def oid(name: str) -> bytes:
    return der(6, bytes.fromhex(_OIDS.get(name, name)))


def integer(value: int) -> bytes:
    return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def sign(key: Private, data: bytes, *, pss: bool = False, digest: str = "sha256") -> bytes:
    """A signature over ``data`` in the usual form of the key's kind."""
    chosen = {"sha1": hashes.SHA1, "sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}[digest]()
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PSS(padding.MGF1(chosen), chosen.digest_size) if pss else padding.PKCS1v15(), chosen)
    return key.sign(data) if isinstance(key, ed25519.Ed25519PrivateKey) else key.sign(data, ec.ECDSA(chosen))


def cms(
    key: Private, data: bytes, *, attributes: bool = True, attached: bool = False, certificates: tuple[bytes, ...] | None = None,
    digest: str = "sha256", pss: bool = False, content: tuple[str, bytes] | None = None,
    held: x509.Certificate | None = None,
) -> bytes:  # fmt: skip
    """SignedData of one signer (RFC 5652). ``content``: object identifier in hex and DER of another content that is inside."""
    held = held or certificate(key)
    inner = content[1] if content else b""
    signed = data
    if content:  # what is signed are the bytes inside the outermost value
        signed = inner[2 if inner[1] < 128 else 2 + (inner[1] & 127) :]
    names = der(0x30, oid(digest), der(5))
    extra = b""
    if attributes:
        kind = der(0x30, oid("content-type"), der(0x31, oid(content[0] if content else "data")))
        hashed = der(0x30, oid("message-digest"), der(0x31, der(4, hashlib.new(digest, signed).digest())))
        both = kind + hashed
        extra, signed = der(0xA0, both), der(0x31, both)
    algorithm = der(0x30, oid("pss")) if pss else der(0x30, oid("rsa"), der(5))
    if isinstance(key, ec.EllipticCurvePrivateKey):
        algorithm = der(0x30, oid("ecdsa-sha256"))
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        algorithm = der(0x30, oid("ed25519"))
    who = der(0x30, held.issuer.public_bytes(), integer(SERIAL))
    one = der(0x30, integer(1), who, names, extra, algorithm, der(4, sign(key, signed, pss=pss, digest=digest)))
    inside = der(0x30, oid(content[0] if content else "data"), *_inside(data, inner, attached=attached))
    every = (held.public_bytes(Encoding.DER),) if certificates is None else certificates
    beside = der(0xA0, *every) if every else b""
    return der(0x30, oid("signed-data"), der(0xA0, der(0x30, integer(1), der(0x31, names), inside, beside, der(0x31, one))))


def _inside(data: bytes, inner: bytes, *, attached: bool) -> tuple[bytes, ...]:
    if inner:
        return (der(0xA0, inner),)
    return (der(0xA0, der(4, data)),) if attached else ()


# --------------------------------------------------------------------------- scans


def report(image: bytes, tmp_path: Path, *keys: bytes) -> Report:
    """The report on an image, with keys given."""
    path = tmp_path / "update.bin"
    path.write_bytes(image)
    files = [tmp_path / f"key{number}" for number in range(len(keys))]
    for place, raw in zip(files, keys, strict=True):
        place.write_bytes(raw)
    return scan(path, Options(jobs=1, update_keys=tuple(files)))


def only(found: Report) -> ImageSignature:
    (signature,) = found.device.signatures
    return signature


def rules(found: Report) -> set[str]:
    return {each.rule for each in found.findings}


def flipped(image: bytes, at: int) -> bytes:
    """The image with one bit of one byte changed."""
    return image[:at] + bytes([image[at] ^ 1]) + image[at + 1 :]
