"""The envelope: Dead Simple Signing Envelope (DSSE 1.0), JSON, with one signature over the pre-authentication encoding.

Verification takes nothing for granted that is not signed: the key is the one that is given, base64 has one spelling, and of
several signatures the key's own must fit. The envelope is written without white space, so that no byte of it is without meaning.
"""

from __future__ import annotations

import base64
import binascii
import hmac

import msgspec

from fwcheck.attestation.keys import Private, Public, fits, key_id, signature
from fwcheck.attestation.statement import PREDICATE, STATEMENT, Statement

TYPE = "application/vnd.in-toto+json"
LARGEST = 16 << 20
_SIGNATURES = 64


class NotVerified(Exception):
    """The attestation does not hold; the message is one line."""


class _Signature(msgspec.Struct, frozen=True, kw_only=True):
    sig: str
    keyid: str


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    payload: str
    payload_type: str = msgspec.field(name="payloadType")
    signatures: tuple[_Signature, ...]


def sign(statement: Statement, key: Private) -> bytes:
    """The signed statement."""
    payload = statement.encoded()
    raw = signature(key, encoding(TYPE, payload))
    made = _Signature(sig=base64.b64encode(raw).decode(), keyid=key_id(key.public_key()))
    whole = _Envelope(payload=base64.b64encode(payload).decode(), payload_type=TYPE, signatures=(made,))
    return msgspec.json.encode(whole)


def verify(content: bytes, key: Public) -> Statement:
    """The statement of an envelope that this key has signed. Raises NotVerified."""
    if len(content) > LARGEST:
        raise NotVerified(f"is larger than {LARGEST >> 20} MiB")
    try:
        envelope = msgspec.json.decode(content, type=_Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotVerified(f"is no DSSE envelope: {' '.join(str(error).split())}") from error
    if envelope.payload_type != TYPE:
        raise NotVerified(f"its payload is no in-toto statement but {envelope.payload_type[:80]!r}")
    payload = _decoded(envelope.payload, "payload")
    own = key_id(key)
    mine = [each for each in envelope.signatures[:_SIGNATURES] if hmac.compare_digest(each.keyid.encode(), own.encode())]
    if not mine:
        raise NotVerified(f"it was signed by another key: this one is {own[:16]}…")
    message = encoding(TYPE, payload)
    if not all(fits(key, _decoded(each.sig, "signature"), message) for each in mine):
        raise NotVerified("the signature does not fit: the statement was changed, or the key is another one")
    try:
        statement = msgspec.json.decode(payload, type=Statement)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotVerified(f"is signed, but no statement of fwcheck: {' '.join(str(error).split())}") from error
    if statement.type != STATEMENT or statement.predicate_type != PREDICATE:
        raise NotVerified("is signed, but no statement of this version of fwcheck")
    return statement


def encoding(kind: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: what is signed, with the lengths of its parts."""
    name = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def _decoded(text: str, what: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotVerified(f"its {what} is no base64") from error
    if base64.b64encode(raw).decode() != text:
        raise NotVerified(f"its {what} is base64 in an unusual spelling")
    return raw
