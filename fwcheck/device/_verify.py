"""Public keys and what fits them: one signature, one certificate, one key at a time, under a budget for all of them.

A hostile image may hold hundreds of keys and thousands of signatures, keys of 16,384 bits and messages of half a gigabyte. What a
try costs is estimated in units (one verification of RSA-2048, some 25 microseconds); when all are spent, nothing more is tried.
The estimate does not depend on the machine, so neither does the report.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from fwcheck.model import Node, SignedBlock, Value

_UNITS = 60_000
_UNIT_BYTES = 32 << 10  # of a message that is read as a whole
_BESIDE = "carried with the signature"
_CHAIN = 16  # certificates of one signature


class PublicKey(Value, frozen=True, kw_only=True):
    """A public key that signatures are tried with: DER SubjectPublicKeyInfo, and where it is from in words."""

    der: bytes
    origin: str

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the DER SubjectPublicKeyInfo, hexadecimal."""
        return hashlib.sha256(self.der).hexdigest()


class Loaded(NamedTuple):
    """A public key that the library takes."""

    public: PublicKey
    key: Any
    algorithm: str
    given: bool
    places: tuple[Node, ...] = ()  # of a key of the image


class Budget:
    """What may still be tried."""

    def __init__(self, units: float = _UNITS) -> None:
        self._left = units

    @property
    def spent(self) -> bool:
        return self._left <= 0

    def take(self, key: Any, message: int = 0) -> bool:
        """Takes one try of this key, over a message of so many bytes; False when nothing is left."""
        if self.spent:
            return False
        self._left -= _cost(key) + message / _UNIT_BYTES
        return True


def _cost(key: Any) -> float:
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    if not isinstance(key, rsa.RSAPublicKey):
        return 4.0
    return max(1.0, (key.key_size / 2048) ** 2) * max(1.0, key.public_numbers().e.bit_length() / 17)


def faults() -> tuple[type[Exception], ...]:
    """What the library raises for keys, certificates and signatures that are none, or that it does not know."""
    from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415  # heavy

    return ValueError, TypeError, AttributeError, OverflowError, UnsupportedAlgorithm, InvalidSignature, InternalError


def load(keys: Iterable[PublicKey], *, given: bool) -> Iterator[Loaded]:
    """Those of the keys that the library takes."""
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    for each in keys:
        try:
            key = load_der_public_key(each.der)
        except faults():
            continue
        yield Loaded(each, key, name(key), given)


def name(key: Any) -> str:
    """``RSA-2048``, ``ECDSA P-256``, ``Ed25519``."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415

    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA-{key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {key.curve.name.replace('secp', 'P-').removesuffix('r1')}"
    return "Ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else "unknown"


def carried(block: SignedBlock) -> Loaded | None:
    """The key or the certificate's key that came with a signature."""
    if not block.carried:
        return None
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    direct = next(load([PublicKey(der=block.carried, origin=_BESIDE)], given=False), None)
    if direct is not None:
        return direct
    try:
        key = _certificate(block.carried).public_key()
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except faults():
        return None
    return Loaded(PublicKey(der=der, origin=_BESIDE), key, name(key), False)


def _certificate(raw: bytes) -> Any:
    from cryptography import x509  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library, about certificates that are not as they should be
        return x509.load_der_x509_certificate(raw)


# --------------------------------------------------------------------------- one signature, one key


def fits(block: SignedBlock, key: Any, message: bytes, budget: Budget) -> bool | None:
    """Whether the signature fits; None when the key is of another kind, the scheme cannot be computed, or nothing may be tried.

    ``message``: what is signed as a whole, for schemes that take no digest.
    """
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415

    try:
        if isinstance(key, rsa.RSAPublicKey) and block.algorithm in ("RSA", "unknown"):
            return _rsa(block, key, budget)
        if isinstance(key, ec.EllipticCurvePublicKey) and block.algorithm in ("ECDSA", "unknown"):
            return _ecdsa(block, key, budget)
        if isinstance(key, ed25519.Ed25519PublicKey) and block.algorithm in ("Ed25519", "unknown"):
            if not message or not budget.take(key, len(message)):
                return None
            key.verify(block.signature, message)
            return True
    except InvalidSignature:
        return False
    except faults():
        return None
    return None


def _rsa(block: SignedBlock, key: Any, budget: Budget) -> bool | None:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding, utils  # noqa: PLC0415

    chosen, digest = _hash(block)
    if chosen is None or len(block.signature) != (key.key_size + 7) // 8:
        return None
    pss = padding.PSS(padding.MGF1(chosen), padding.PSS.AUTO)
    plain = padding.PKCS1v15()
    schemes: list[Any] = [plain, pss]
    if block.padding:
        schemes = [pss if block.padding == "pss" else plain]
    for scheme in schemes:
        if not budget.take(key):
            return None
        try:
            key.verify(block.signature, digest, scheme, utils.Prehashed(chosen))
        except InvalidSignature:
            continue
        return True
    return False


def _ecdsa(block: SignedBlock, key: Any, budget: Budget) -> bool | None:
    from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: PLC0415

    chosen, digest = _hash(block)
    if chosen is None or not budget.take(key):
        return None
    key.verify(block.signature, digest, ec.ECDSA(utils.Prehashed(chosen)))
    return True


def _hash(block: SignedBlock) -> tuple[Any, bytes]:
    """The hash object of the library and the digest; None for a hash it does not know or a block without either."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415

    known: dict[str, Callable[[], Any]] = {
        "sha1": hashes.SHA1, "sha224": hashes.SHA224, "sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512,
        "blake2b": lambda: hashes.BLAKE2b(64), "md5": hashes.MD5,
    }  # fmt: skip
    chosen = known.get(block.hash)
    digest = block.digest
    if not digest and block.message and chosen is not None:
        digest = hashlib.new(block.hash, block.message, usedforsecurity=False).digest()
    if chosen is None or not digest:
        return None, b""
    return chosen(), digest


# --------------------------------------------------------------------------- certificates above the signer


class Ladder:
    """The signer's certificate and those above it that came along: whether a key certified any of them."""

    def __init__(self, block: SignedBlock, budget: Budget) -> None:
        self._vouched = block.vouched
        self._budget = budget
        self._rungs = [] if block.vouched or not block.carried else _rungs(block, budget)

    def certified(self, key: Any) -> bool:
        """Whether this key signed one of the certificates (or the message that vouches for the key carried)."""
        if self._vouched:
            return self._budget.take(key, len(self._vouched[0])) and _verified(key, self._vouched[1], self._vouched[0])
        return any(_issued(each, key, self._budget) for each in self._rungs)


def _rungs(block: SignedBlock, budget: Budget) -> list[Any]:
    """The signer's certificate, then one after the other those whose key signed the one before."""
    held: list[Any] = []
    for raw in (block.carried, *block.chain[:_CHAIN]):
        try:
            held.append(_certificate(raw))
        except faults():
            if not held:
                return []
    found, others = held[:1], held[1:]
    while others:
        above = next((each for each in others if _above(found[-1], each, budget)), None)
        if above is None:
            break
        others.remove(above)
        found.append(above)
    return found


def _above(certificate: Any, issuer: Any, budget: Budget) -> bool:
    try:
        return bool(issuer.subject == certificate.issuer and _issued(certificate, issuer.public_key(), budget))
    except faults():
        return False


def _issued(certificate: Any, key: Any, budget: Budget) -> bool:
    """Whether the certificate's own signature fits this key."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415

    try:
        signature, signed = certificate.signature, certificate.tbs_certificate_bytes
        if isinstance(key, rsa.RSAPublicKey):
            if len(signature) != (key.key_size + 7) // 8 or not budget.take(key):
                return False
            key.verify(signature, signed, certificate.signature_algorithm_parameters, certificate.signature_hash_algorithm)
            return True
        if not budget.take(key):
            return False
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, signed, certificate.signature_algorithm_parameters)
            return True
    except faults():
        return False
    return _verified(key, signature, signed)


def _verified(key: Any, signature: bytes, message: bytes) -> bool:
    """Whether a signature over a whole message fits: Ed25519, or RSA with SHA-256."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa  # noqa: PLC0415

    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        else:
            return False
    except faults():
        return False
    return True
