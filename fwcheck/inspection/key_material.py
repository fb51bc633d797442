"""DER structures to facts, through the cryptography library (imported when the first candidate is met)."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from fwcheck.model import CertificateFact, KeyFact

_TRIVIAL = (b"", b"password", b"123456", b"12345678", b"1234", b"changeit", b"admin", b"test", b"secret", b"root", b"default")
_MOST_ROUNDS = 30_000
_SCRYPT = bytes.fromhex("2b06010401da47040b")
_INTEGER, _OCTETS, _CONSTRUCTED, _PIECES = 0x02, 0x04, 0x20, 0x24
_WORD = 9  # bytes of the longest number of rounds that a library takes
_MOST_ELEMENTS = 2000
_MOST_PURPOSES = 16
_USAGES = (  # as RFC 5280 names them, section 4.2.1.3, and as the library does
    ("digitalSignature", "digital_signature"),
    ("nonRepudiation", "content_commitment"),
    ("keyEncipherment", "key_encipherment"),
    ("dataEncipherment", "data_encipherment"),
    ("keyAgreement", "key_agreement"),
    ("keyCertSign", "key_cert_sign"),
    ("cRLSign", "crl_sign"),
)
_NAME_LIMIT = 300
_PUBLIC_LIMIT = 2048  # bytes of a public key that is kept
_PRODUCT_LIMIT = 16384  # bits of an RSA modulus whose factors are multiplied to see that they fit


def der_end(data: bytes, at: int) -> int | None:
    """The offset behind the DER element at ``at``, None when its length is indefinite, wrong, or not inside ``data``."""
    if at + 2 > len(data):
        return None
    first = data[at + 1]
    if first < 0x80:
        end = at + 2 + first
    else:
        count = first & 0x7F
        if not 1 <= count <= 4 or at + 2 + count > len(data):
            return None
        end = at + 2 + count + int.from_bytes(data[at + 2 : at + 2 + count], "big")
    return end if end <= len(data) else None


def describe(key: Any) -> tuple[str, int | None]:
    """Algorithm and size in bits of a public or private key object."""
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519  # noqa: PLC0415

    if isinstance(key, (rsa.RSAPublicKey, rsa.RSAPrivateKey)):
        return "RSA", key.key_size
    if isinstance(key, (ec.EllipticCurvePublicKey, ec.EllipticCurvePrivateKey)):
        return "EC", key.curve.key_size
    if isinstance(key, (dsa.DSAPublicKey, dsa.DSAPrivateKey)):
        return "DSA", key.key_size
    for name, bits, classes in (
        ("Ed25519", 256, (ed25519.Ed25519PublicKey, ed25519.Ed25519PrivateKey)),
        ("X25519", 256, (x25519.X25519PublicKey, x25519.X25519PrivateKey)),
        ("Ed448", 448, (ed448.Ed448PublicKey, ed448.Ed448PrivateKey)),
        ("X448", 448, (x448.X448PublicKey, x448.X448PrivateKey)),
    ):
        if isinstance(key, classes):
            return name, bits
    size = getattr(key, "key_size", None)
    return "DH" if type(key).__name__.startswith("DH") else "unknown", size if isinstance(size, int) else None


def half(public: Any, algorithm: str = "unknown") -> dict[str, Any]:
    """What the public half of a key tells of it, as fields of :class:`KeyFact`; of none (None) the ``algorithm`` alone."""
    if public is None:
        return {"algorithm": algorithm}
    name, bits = describe(public)
    encoded = encoded_key(public)
    fingerprint = hashlib.sha256(encoded).hexdigest() if encoded else None
    return {
        "algorithm": name,
        "bits": bits,
        "fingerprint": fingerprint,
        "published": published(fingerprint),
        "public": encoded if len(encoded) <= _PUBLIC_LIMIT else b"",
    }


def encoded_key(public: Any) -> bytes:
    """The DER SubjectPublicKeyInfo of a public key object; empty when the library cannot write it."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    try:
        der: bytes = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return b""
    return der


def private_key(der: bytes, offset: int, container: str, *, guess: bool = True) -> KeyFact | None:
    """A private key in PKCS #1, PKCS #8, SEC 1 or DSA form; None when it does not parse."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_private_key  # noqa: PLC0415

    try:
        # Without the library's own checks: testing the primes of an oversized key would take minutes.
        key = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    except TypeError:  # a password is asked for
        shut = KeyFact(offset=offset, container=container, algorithm="unknown", private=True, encrypted=True)
        if not guess:
            return shut
        return opened(der, shut, lambda word: load_der_private_key(der, word, unsafe_skip_rsa_key_validation=True))
    except (ValueError, UnsupportedAlgorithm):
        return None
    return KeyFact(offset=offset, container=container, private=True, valid=_factors_fit(key), **half(key.public_key()))


def opened(der: bytes, shut: KeyFact, load: Callable[[bytes], Any]) -> KeyFact:
    """An encrypted key after the passphrases that everybody tries first; ``shut`` where none of them opens it.

    Their number of rounds stands in the key and is the attacker's to choose: dear keys are left shut.
    """
    if not _cheap(der):
        return shut
    for word in _TRIVIAL:
        try:
            key = load(word)
        except Exception:  # noqa: BLE001, S112  # wrong padding that parses by chance may end anywhere in the library
            continue
        if key is None:
            continue
        told = half(key.public_key())
        return msgspec.structs.replace(
            shut, valid=_factors_fit(key), **{**told, "published": shut.published or told["published"]}
        )
    return shut


def _cheap(der: bytes) -> bool:
    """Whether deriving a key from a passphrase takes few rounds: the sum of all numbers of the structure is the bound.

    What the walk does not understand (BER, scrypt) is dear.
    """
    if _SCRYPT in der:
        return False
    total = walked = 0
    todo = [(0, len(der))]
    while todo:
        at, stop = todo.pop()
        while at < stop:
            walked += 1
            end = der_end(der, at)
            if end is None or end > stop or der[at] == _PIECES or walked > _MOST_ELEMENTS:
                return False
            inside = at + 2 + (der[at + 1] & 0x7F if der[at + 1] & 0x80 else 0)
            if der[at] == _INTEGER and end - inside <= _WORD:
                total += int.from_bytes(der[inside:end], "big")
            elif der[at] & _CONSTRUCTED or (
                der[at] == _OCTETS and der[inside : inside + 1] == b"\x30" and der_end(der, inside) == end
            ):
                todo.append((inside, end))
            at = end
    return total <= _MOST_ROUNDS


def published(digest: str | None) -> str:
    """Whose test key it is, by fingerprint (of an encrypted PEM key: the SHA-256 of its body); "" for all others."""
    return _published_keys().get(digest, "") if digest is not None else ""


@cache
def _published_keys() -> dict[str, str]:
    data = tomllib.loads(resources.files("fwcheck.inspection").joinpath("published_keys.toml").read_text("utf-8"))
    return {digest: entry["owner"] for entry in data["key"] if entry["use"] == "library-test" for digest in entry["sha256"]}


def _factors_fit(key: Any) -> bool:
    algorithm, bits = describe(key)
    if algorithm != "RSA":
        return True
    if (bits or 0) > _PRODUCT_LIMIT:
        return False
    numbers = key.private_numbers()
    return bool(numbers.p * numbers.q == numbers.public_numbers.n)


def public_key(der: bytes, offset: int, container: str) -> KeyFact | None:
    """A public key as SubjectPublicKeyInfo or PKCS #1; None when it does not parse."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    try:
        key = load_der_public_key(der)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return public_fact(key, offset, container)


def public_fact(key: Any, offset: int, container: str, comment: str = "") -> KeyFact:
    """The fact of a public key object."""
    return KeyFact(offset=offset, container=container, valid=True, comment=comment, **half(key))


def request_key(der: bytes, offset: int) -> KeyFact | None:
    """The public key of a certificate request (PKCS #10); None when it does not parse."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415

    try:
        request = x509.load_der_x509_csr(der)
        return public_fact(request.public_key(), offset, "PEM", "certificate request")
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def certificate_of(der: bytes, offset: int) -> CertificateFact | None:
    """An X.509 certificate; None when it does not parse."""
    from cryptography import x509  # noqa: PLC0415

    try:
        certificate = x509.load_der_x509_certificate(der)
        subject = certificate.subject.rfc4514_string()[:_NAME_LIMIT]
        issuer = certificate.issuer.rfc4514_string()[:_NAME_LIMIT]
        starts, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        serial = format(certificate.serial_number, "x")
    except (ValueError, TypeError, OverflowError):
        return None
    algorithm, bits, encoded = _certified_key(certificate)
    return CertificateFact(
        offset=offset,
        subject=subject,
        issuer=issuer,
        serial=serial,
        not_before=starts.isoformat(),
        not_after=ends.isoformat(),
        signature_hash=_signature_hash(certificate),
        key_algorithm=algorithm,
        key_bits=bits,
        key_fingerprint=hashlib.sha256(encoded).hexdigest() if encoded else "",
        public=encoded if len(encoded) <= _PUBLIC_LIMIT else b"",
        is_ca=_is_authority(certificate),
        usage=_usage(certificate),
        purposes=_purposes(certificate),
        self_signed=certificate.subject == certificate.issuer and _signed_by_itself(certificate),
    )


def _certified_key(certificate: Any) -> tuple[str, int | None, bytes]:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415

    try:
        key = certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "unknown", None, b""
    return *describe(key), encoded_key(key)


def _signature_hash(certificate: Any) -> str | None:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415

    try:
        algorithm = certificate.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        # The library refuses MD2 and unknown ones by name: the OIDs of PKCS #1 say which (RFC 8017, appendix C).
        return {"1.2.840.113549.1.1.2": "md2", "1.2.840.113549.1.1.3": "md4"}.get(
            certificate.signature_algorithm_oid.dotted_string
        )
    return str(algorithm.name) if algorithm is not None else None


def _is_authority(certificate: Any) -> bool:
    from cryptography import x509  # noqa: PLC0415

    value = _extension(certificate, x509.BasicConstraints)
    return value is not None and bool(value.ca)


def _extension(certificate: Any, kind: Any) -> Any:
    """The value of an extension; None where there is none that can be read."""
    from cryptography import x509  # noqa: PLC0415

    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (ValueError, TypeError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return None


def _usage(certificate: Any) -> tuple[str, ...] | None:
    from cryptography import x509  # noqa: PLC0415

    value = _extension(certificate, x509.KeyUsage)
    return tuple(name for name, field in _USAGES if getattr(value, field)) if value is not None else None


def _purposes(certificate: Any) -> tuple[str, ...] | None:
    from cryptography import x509  # noqa: PLC0415

    value = _extension(certificate, x509.ExtendedKeyUsage)
    return tuple(each.dotted_string for each in value)[:_MOST_PURPOSES] if value is not None else None


def _signed_by_itself(certificate: Any) -> bool:
    """Whether the certificate's own key verifies it. Under hashes that the library no longer checks, equal names decide."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415

    if _signature_hash(certificate) in {"md2", "md4", "md5", "sha1"}:
        return True
    try:
        certificate.verify_directly_issued_by(certificate)
    except UnsupportedAlgorithm:
        return True
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
