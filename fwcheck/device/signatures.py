"""Signatures of the image, verified: with keys the user gave, with public keys the image holds, with keys carried beside them.

Extraction has hashed what is signed (:class:`fwcheck.model.SignedBlock`); here keys are tried. A key that came with its signature
shows only that the content is as its signer made it: whoever changes the image can sign it anew with a key of their own.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from fwcheck.device.detached import detached
from fwcheck.device.firmware import Firmware
from fwcheck.model import Evidence, ImageSignature, Location, Node, SignedBlock, Value

_MOST = 200  # signatures that are told
_CANDIDATES = 400  # keys of the image that are tried
_KEY_PLACES = 8  # of one key that are told
_MISSES = 3  # signatures of one signer that no key of the image fits, after which these keys are not tried any more
_PLACES = 5  # of signatures that are told as one
_SPAN_LIMIT = 512 << 20  # bytes of a message that must be read as a whole


class PublicKey(Value, frozen=True, kw_only=True):
    """A public key that signatures are tried with: DER SubjectPublicKeyInfo, and where it is from in words."""

    der: bytes
    origin: str

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the DER SubjectPublicKeyInfo, hexadecimal."""
        return hashlib.sha256(self.der).hexdigest()


class _Loaded(NamedTuple):
    public: PublicKey
    key: Any
    algorithm: str
    given: bool
    places: tuple[Node, ...] = ()  # of a key of the image


def image_signatures(firmware: Firmware, given: Sequence[PublicKey] = ()) -> tuple[ImageSignature, ...]:
    """Every signature of the image's containers, verified as far as keys go.

    ``given``: the keys the user vouches for; where there are some, a signature that none of them fits stays unverified even when
    a key of the image fits.
    """
    signed = [(node, block) for node in firmware.nodes for block in node.signatures if block.role != "detached"]
    signed += detached(firmware)
    if not signed:
        return ()
    keys = list(_load(given, given=True)) + list(_of_image(firmware))
    updates = [(node, block) for node, block in signed if block.role == "update"][:_MOST]
    told = [_judged(firmware, node, block, keys) for node, block in updates]
    told += _contents(firmware, [(node, block) for node, block in signed if block.role == "content"], keys)
    return tuple(msgspec.structs.replace(each, keys_given=bool(given)) for each in told)


def _contents(firmware: Firmware, signed: Sequence[tuple[Node, SignedBlock]], keys: Sequence[_Loaded]) -> list[ImageSignature]:
    """Programs and packages inside, those alike as one row: a system has thousands of modules that one key has signed.

    The key that fitted last is tried first; where none fitted a few times, those that name the same key are not tried any more.
    """
    rows: dict[tuple[str, ...], ImageSignature] = {}
    counts: Counter[tuple[str, ...]] = Counter()
    groups: dict[tuple[str, ...], _Group] = {}
    for node, block in signed:
        group = groups.setdefault((block.scheme, block.algorithm, block.key_hint), _Group())
        told = _judged(firmware, node, block, group.order(keys))
        group.learn(told)
        key = (told.scheme, told.state, told.reason, told.key, node.chain[0] if node.chain else "", block.covers)
        counts[key] += 1
        if key not in rows and len(rows) < _MOST:
            rows[key] = told
        elif key in rows and len(rows[key].evidence) < _PLACES:
            rows[key] = msgspec.structs.replace(rows[key], evidence=(*rows[key].evidence, *told.evidence))
    return [
        msgspec.structs.replace(row, covers=f"{row.covers} ({counts[key]} of them)" if counts[key] > 1 else row.covers)
        for key, row in rows.items()
    ]


class _Group:
    """Signatures that name the same key: which key fitted, and how often none did."""

    def __init__(self) -> None:
        self._fitting = ""
        self._missed = 0

    def order(self, keys: Sequence[_Loaded]) -> Sequence[_Loaded]:
        if not self._fitting:
            return keys if self._missed < _MISSES else [each for each in keys if each.given]
        return sorted(keys, key=lambda each: each.public.fingerprint != self._fitting)

    def learn(self, told: ImageSignature) -> None:
        self._fitting = told.key if told.state == "valid" else self._fitting
        self._missed += told.state == "unverified"


def _of_image(firmware: Firmware) -> Iterator[_Loaded]:
    """Public keys and certificates in the image, each key once: those a boot loader's tree holds first."""
    found: dict[bytes, list[Node]] = {der: [node] for node in firmware.nodes for der in node.keys}
    for node, facts in firmware.contents():
        for each in (*(key.public for key in facts.keys if not key.private), *(one.public for one in facts.certificates)):
            if each:
                places = found.setdefault(each, [])
                if len(places) < _KEY_PLACES:
                    places.append(node)
        if len(found) >= _CANDIDATES:
            break
    for der, places in found.items():
        for loaded in _load([PublicKey(der=der, origin=places[0].label)], given=False):
            yield loaded._replace(places=tuple(places))


def _trusted(node: Node, key: _Loaded) -> _Loaded | None:
    """A key of the image where it stands elsewhere than in what it is to verify: what came with a signature proves nothing."""
    for place in key.places:
        beside = place.chain == node.chain and not place.path.startswith("/")
        wrapping = (*place.chain, place.path) == node.chain[:-1]
        if not beside and not wrapping:
            return key._replace(public=PublicKey(der=key.public.der, origin=place.label))
    return None


def _load(keys: Iterable[PublicKey], *, given: bool) -> Iterator[_Loaded]:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  # heavy, and few images are signed
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    for each in keys:
        try:
            key = load_der_public_key(each.der)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
        yield _Loaded(each, key, _name(key), given)


def _name(key: Any) -> str:
    """``RSA-2048``, ``ECDSA P-256``, ``Ed25519``."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415

    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA-{key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {key.curve.name.replace('secp', 'P-').removesuffix('r1')}"
    return "Ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else "unknown"


# --------------------------------------------------------------------------- one signature


_CHANGED = "the content is not the one that was signed: a hash in the signed part is wrong"


def _judged(firmware: Firmware, node: Node, block: SignedBlock, keys: Sequence[_Loaded]) -> ImageSignature:
    carried = _carried(block)
    if block.intact is False:
        return _told(node, block, "invalid", _CHANGED, carried)
    if not (block.digest or block.message or block.span):
        return _told(node, block, "unverified", "what is signed, or how, cannot be read here", carried)
    # Programs and packages have other keys than the update around them: those of the image count for them in any case.
    asked = block.role == "update" and any(each.given for each in keys)
    beside = carried.public.der if carried is not None else b""
    # What came with the signature stands in the image, too: it is no key that the image trusts.
    tried = [each for each in keys if each.given]
    if not asked:
        own = (_trusted(node, each) for each in keys if not each.given and each.public.der != beside)
        tried += [each for each in own if each is not None]
    for each in tried:
        if _fits(firmware, block, each.key):
            return _told(node, block, "valid", _trust(each), each)
    fits = _fits(firmware, block, carried.key) if carried is not None else None
    if fits is False:
        return _told(node, block, "invalid", "it does not fit the key that came with it", carried)
    if fits:
        issuer = next((each for each in tried if _certified(block, each.key)), None)
        if issuer is not None:
            return _told(node, block, "valid", f"its signer's certificate is certified by {issuer.public.origin}", carried)
        if not asked:
            return _told(node, block, "valid", "it fits the key that came with it, which anybody can replace", carried)
        return _told(node, block, "unverified", "none of the keys given fits; the key that came with it does", carried)
    if asked:
        return _told(node, block, "unverified", "none of the keys given fits", carried)
    reason = "no public key of the image fits" if keys else "the image holds no public key to verify it with"
    return _told(node, block, "unverified", reason, carried)


def _trust(key: _Loaded) -> str:
    return "it fits the key given" if key.given else f"it fits the public key in {key.public.origin}"


def _certified(block: SignedBlock, key: Any) -> bool:
    """Whether a key certified the signer: its certificate, or one above it among those that came with the signature."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    faults = (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature)
    if block.vouched:
        message, signature = block.vouched
        return isinstance(key, Ed25519PublicKey) and _verified(key, signature, message)
    try:
        at = x509.load_der_x509_certificate(block.carried)
    except faults:
        return False
    others = list(block.chain)
    for _ in range(len(others) + 1):
        if _issued(at, key):
            return True
        above = next((raw for raw in others if _above(at, raw)), None)
        if above is None:
            return False
        others.remove(above)
        at = x509.load_der_x509_certificate(above)
    return False


def _verified(key: Any, signature: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415

    try:
        key.verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _above(certificate: Any, raw: bytes) -> bool:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415

    try:
        issuer = x509.load_der_x509_certificate(raw)
        return bool(issuer.subject == certificate.issuer and _issued(certificate, issuer.public_key()))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False


def _issued(certificate: Any, key: Any) -> bool:
    """Whether the certificate's own signature fits this key."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415

    signature, signed = certificate.signature, certificate.tbs_certificate_bytes
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, certificate.signature_algorithm_parameters, certificate.signature_hash_algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, signed, certificate.signature_algorithm_parameters)
        else:
            key.verify(signature, signed)
    except (ValueError, TypeError, AttributeError, UnsupportedAlgorithm, InvalidSignature):
        return False
    return True


def _told(
    node: Node, block: SignedBlock, state: Literal["valid", "invalid", "unverified"], reason: str, key: _Loaded | None
) -> ImageSignature:
    where = Evidence(
        location=Location(chain=node.chain, path=node.path, offset=node.offset),
        text=f"{block.scheme}: {block.signature[:16].hex()}… ({len(block.signature)} bytes)",
    )
    named = key.public.fingerprint if key is not None else block.key_hint
    return ImageSignature(
        scheme=block.scheme,
        algorithm=key.algorithm if key is not None else block.algorithm,
        covers=block.covers,
        state=state,
        reason=reason,
        key=named,
        key_from=key.public.origin if key is not None else "",
        evidence=(where,),
        role="update" if block.role == "update" else "content",
    )


def _carried(block: SignedBlock) -> _Loaded | None:
    """The key or the certificate's key that came with a signature."""
    if not block.carried:
        return None
    from cryptography import x509  # noqa: PLC0415
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    direct = next(_load([PublicKey(der=block.carried, origin="carried with the signature")], given=False), None)
    if direct is not None:
        return direct
    try:
        key = x509.load_der_x509_certificate(block.carried).public_key()
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return _Loaded(PublicKey(der=der, origin="carried with the signature"), key, _name(key), False)


def _fits(firmware: Firmware, block: SignedBlock, key: Any) -> bool | None:
    """Whether the signature fits; None when the key is of another kind or the scheme cannot be computed."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415

    try:
        if isinstance(key, rsa.RSAPublicKey) and block.algorithm in ("RSA", "unknown"):
            return _rsa(block, key)
        if isinstance(key, ec.EllipticCurvePublicKey) and block.algorithm in ("ECDSA", "unknown"):
            return _ecdsa(block, key)
        if isinstance(key, ed25519.Ed25519PublicKey) and block.algorithm in ("Ed25519", "unknown"):
            message = block.message or (block.digest if block.span is None else firmware.read(*block.span, _SPAN_LIMIT))
            if message:
                key.verify(block.signature, message)
                return True
    except InvalidSignature:
        return False
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return None


def _rsa(block: SignedBlock, key: Any) -> bool | None:
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
        try:
            key.verify(block.signature, digest, scheme, utils.Prehashed(chosen))
        except InvalidSignature:
            continue
        return True
    return False


def _ecdsa(block: SignedBlock, key: Any) -> bool | None:
    from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: PLC0415

    chosen, digest = _hash(block)
    if chosen is None:
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
