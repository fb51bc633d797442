"""Cryptographic Message Syntax (RFC 5652) in DER: what is signed, by whom, and whether the signature fits.

Only what update bundles use is read: SignedData with or without the content inside, EnvelopedData by its name. Whether a
certificate is to be trusted is the device's business: a signature that fits the certificate that came with it proves nothing.
"""

from __future__ import annotations

import hashlib
import warnings

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.model import SignedBlock

LIMIT = 1 << 20  # bytes of one signature with its certificates and the manifest inside
_SEQUENCE, _SET, _OCTETS, _OID, _INTEGER = 0x30, 0x31, 0x04, 0x06, 0x02
_NODES = 256  # children of one value
_SIGNED, _ENVELOPED, _AUTHENTICATED = (bytes.fromhex(each) for each in (
    "2a864886f70d010702", "2a864886f70d010703", "2a864886f70d0109100117"))  # fmt: skip
_MESSAGE_DIGEST = bytes.fromhex("2a864886f70d010904")
_PSS = bytes.fromhex("2a864886f70d01010a")
_DIGESTS = {
    bytes.fromhex("2b0e03021a"): "sha1", bytes.fromhex("608648016503040201"): "sha256",
    bytes.fromhex("608648016503040202"): "sha384", bytes.fromhex("608648016503040203"): "sha512",
}  # fmt: skip
_CERTIFICATES = 16
_SIGNERS = 8
_ATTRIBUTES = 16 << 10  # bytes of signed attributes that are kept


class Value(msgspec.Struct, frozen=True):
    """One DER value: its tag, where its content begins in the whole, its content, and itself with its header."""

    tag: int
    at: int
    content: bytes
    whole: bytes


class Signer(msgspec.Struct, kw_only=True):
    """One SignerInfo, as far as it is told: ``signed`` are the bytes that the signature covers, None for the content itself."""

    digest: str
    message_digest: bytes | None
    signed: bytes | None
    signature: bytes
    pss: bool
    serial: bytes
    issuer: bytes = b""  # DER Name; empty when the signer is named otherwise
    key_id: bytes = b""  # subject key identifier, where that names the signer


class Message(msgspec.Struct, kw_only=True):
    """One CMS message of ``size`` bytes; ``content`` is inside it at ``content_at``, or None when it stands elsewhere."""

    size: int
    encrypted: bool = False
    content: bytes | None = None
    content_at: int = 0
    inner: bytes = b""  # what is signed of a content inside that is no octet string (PKCS #7 v1.5: its value without the header)
    inner_type: bytes = b""  # object identifier of the content
    certificates: list[bytes] = []
    signers: list[Signer] = []


def length(head: bytes) -> int:
    """Bytes of the DER sequence that begins with these bytes; raises FormatError."""
    if len(head) < 2 or head[0] != _SEQUENCE:
        raise FormatError("no DER sequence")
    return _length(head, 1)[0] + _length(head, 1)[1]


def _length(data: bytes, at: int) -> tuple[int, int]:
    """The length that stands at ``at``, and where the content begins."""
    first = data[at] if at < len(data) else 0x80
    if first < 0x80:
        return first, at + 1
    width = first & 0x7F
    if not 1 <= width <= 4 or at + 1 + width > len(data):
        raise FormatError("a DER length that is indefinite or too long")
    return int.from_bytes(data[at + 1 : at + 1 + width], "big"), at + 1 + width


def values(data: bytes, base: int = 0, most: int = 0) -> list[Value]:
    """The values that lie in ``data``, which begins at ``base`` of the whole; raises FormatError. ``most``: the first so many."""
    found: list[Value] = []
    at = 0
    while at < len(data) and not 0 < most <= len(found):
        size, begin = _length(data, at + 1)
        if begin + size > len(data) or len(found) >= _NODES:
            raise FormatError("a DER value that does not fit")
        found.append(Value(data[at], base + begin, data[begin : begin + size], data[at : begin + size]))
        at = begin + size
    return found


def _children(value: Value, least: int) -> list[Value]:
    found = values(value.content, value.at)
    if len(found) < least:
        raise FormatError("a CMS structure with too few members")
    return found


def message(data: bytes) -> Message:
    """The CMS message that ``data`` begins with; raises FormatError."""
    size = length(data[:6])
    if size > len(data) or size > LIMIT:
        raise FormatError("a CMS message that does not fit")
    kind, *rest = _children(values(data[:size])[0], 1)
    if kind.tag != _OID or not rest:
        raise FormatError("no CMS message")
    if kind.content in (_ENVELOPED, _AUTHENTICATED):
        return Message(size=size, encrypted=True)
    if kind.content != _SIGNED:
        raise FormatError("a CMS message that is not signed data")
    parts = _children(_children(rest[0], 1)[0], 3)
    found = Message(size=size)
    kind, *inside = _children(parts[2], 1)
    found.inner_type = kind.content
    if inside and (octets := _children(inside[0], 1)[0]).tag == _OCTETS:
        found.content, found.content_at = octets.content, octets.at
    elif inside:
        found.inner = octets.content
    for each in parts[3:]:
        if each.tag == 0xA0:
            found.certificates = [one.whole for one in values(each.content, most=_CERTIFICATES) if one.tag == _SEQUENCE]
        elif each.tag == _SET:
            found.signers = [_signer(one) for one in values(each.content, each.at, most=_SIGNERS)]
    return found


def _signer(value: Value) -> Signer:
    parts = _children(value, 5)
    sid, digest, rest = parts[1], parts[2], parts[3:]
    attributes = rest.pop(0) if rest[0].tag == 0xA0 else None
    if len(rest) < 2:
        raise FormatError("a CMS signer without a signature")
    message_digest = None
    for each in values(attributes.content) if attributes is not None else []:
        kind, *stored = _children(each, 1)
        if kind.content == _MESSAGE_DIGEST and stored:
            message_digest = _children(stored[0], 1)[0].content
    name = _DIGESTS.get(_children(digest, 1)[0].content, "an unknown digest")
    named = values(sid.content) if sid.tag == _SEQUENCE else []
    numbers = [one.content for one in named if one.tag == _INTEGER]
    return Signer(
        digest=name, message_digest=message_digest, signed=bytes([_SET]) + attributes.whole[1:] if attributes else None,
        signature=rest[1].content, pss=_children(rest[0], 1)[0].content == _PSS, serial=numbers[-1] if numbers else b"",
        issuer=named[0].whole if named else b"", key_id=sid.content if sid.tag == 0x80 else b"",
    )  # fmt: skip


class Judged(msgspec.Struct, kw_only=True):
    """What one message says of a content: in words, and whether the digest and the signature are right (None: not to be told)."""

    words: str
    subject: str = ""
    digest: bool | None = None
    signature: bool | None = None


def judge(found: Message, digests: dict[str, bytes]) -> Judged:
    """The first signer of a message, against the digests of the content (by their algorithm, as :mod:`hashlib` names them)."""
    if not found.signers:
        return Judged(words="CMS without a signer")
    one = found.signers[0]
    computed = digests.get(one.digest)
    right = None if one.message_digest is None or computed is None else one.message_digest == computed
    certificate = _certificate(found, one)
    subject, key, fits = "", "", None
    if certificate is not None:
        subject, key, fits = _fits(certificate, one, computed)
    by, scheme = f" by {subject}" if subject else "", ", PSS" if one.pss else ""
    words = f"CMS signature{by} ({key or 'unknown key'}{scheme}, {one.digest})"
    if right is not None:
        words += f": digest of the content {'right' if right else 'wrong'}"
    if fits is not None:
        words += f"{',' if right is not None else ':'} signature {'right' if fits else 'wrong'} under the certificate beside it"
    return Judged(words=words + " (trust not judged)", subject=subject, digest=right, signature=fits)


def blocks(found: Message, digests: dict[str, bytes], scheme: str, covers: str) -> tuple[SignedBlock, ...]:
    """Every signer's signature, ready to be verified; ``digests``: those of the content, by algorithm."""
    return tuple(_block(found, one, digests.get(one.digest), scheme, covers) for one in found.signers)


def _block(found: Message, one: Signer, computed: bytes | None, scheme: str, covers: str) -> SignedBlock:
    # With signed attributes the signature covers these, and they hold the digest of the content.
    digest, carried = b"", _certificate(found, one) or b""
    if one.digest in _DIGESTS.values():
        digest = computed or b""
        if one.signed is not None:
            digest = hashlib.new(one.digest, one.signed, usedforsecurity=False).digest()
    return SignedBlock(
        scheme=scheme, hash=one.digest, padding="pss" if one.pss else "", signature=one.signature, digest=digest,
        message=one.signed if one.signed is not None and len(one.signed) <= _ATTRIBUTES else b"",
        carried=carried, chain=tuple(each for each in found.certificates if each != carried), covers=covers,
        key_hint=f"serial {one.serial.hex()}" if one.serial else f"key identifier {one.key_id.hex()}" if one.key_id else "",
        intact=None if one.message_digest is None or computed is None else one.message_digest == computed,
    )  # fmt: skip


def _certificate(found: Message, one: Signer) -> bytes | None:
    """The certificate that the signer names by issuer and serial number; the only one there is when it is named otherwise."""
    for each in found.certificates:
        try:
            fields = _children(_children(values(each)[0], 1)[0], 2)
        except FormatError:
            continue
        number = next((at for at, field in enumerate(fields[:2]) if field.tag == _INTEGER), None)
        if number is None or fields[number].content != one.serial:
            continue
        if not one.issuer or (len(fields) > number + 2 and fields[number + 2].whole == one.issuer):
            return each
    return found.certificates[0] if len(found.certificates) == 1 else None


def _fits(raw: bytes, one: Signer, computed: bytes | None) -> tuple[str, str, bool | None]:
    """Subject and key of a certificate, and whether the signature fits it."""
    from cryptography import x509  # noqa: PLC0415  # 60 ms that most images need not pay
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils  # noqa: PLC0415

    known: dict[str, type[hashes.HashAlgorithm]] = {
        "sha1": hashes.SHA1,
        "sha256": hashes.SHA256,
        "sha384": hashes.SHA384,
        "sha512": hashes.SHA512,
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            certificate = x509.load_der_x509_certificate(raw)
            subject = certificate.subject.rfc4514_string()[:120]
            key = certificate.public_key()
    except Exception:  # noqa: BLE001  # what is wrong with a certificate the library says in many ways
        return "", "", None
    subject = "".join(char if char.isprintable() else "?" for char in subject)
    name = type(key).__name__.strip("_").removesuffix("PublicKey").replace("EllipticCurve", "EC")
    size = getattr(key, "key_size", None)
    words = f"{name}-{size}" if size else name
    if one.digest not in known or (one.signed is None and computed is None):
        return subject, words, None
    # Without signed attributes the signature covers the content itself.
    chosen: hashes.HashAlgorithm = known[one.digest]()
    value = hashlib.new(one.digest, one.signed, usedforsecurity=False).digest() if one.signed is not None else computed or b""
    try:
        if isinstance(key, rsa.RSAPublicKey):
            scheme = padding.PSS(padding.MGF1(chosen), padding.PSS.AUTO) if one.pss else padding.PKCS1v15()
            key.verify(one.signature, value, scheme, utils.Prehashed(chosen))
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(one.signature, value, ec.ECDSA(utils.Prehashed(chosen)))
        elif isinstance(key, ed25519.Ed25519PublicKey) and one.signed is not None:
            key.verify(one.signature, one.signed)
        else:
            return subject, words, None
    except InvalidSignature:
        return subject, words, False
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return subject, words, None
    return subject, words, True
