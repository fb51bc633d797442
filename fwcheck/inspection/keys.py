"""Keys and certificates in any content: PEM blocks, DER structures, SSH and signing keys, also inside programs and raw flash.

A key is reported where a whole key can be read. The bare words of a PEM header, which every TLS library holds as constants, are
none. Sources: RFC 7468 (PEM), RFC 8017 (PKCS #1), RFC 5958 (PKCS #8), RFC 5915 (SEC 1), RFC 5280 (X.509), RFC 7292 (PKCS #12).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from fwcheck.inspection import key_material, keystores, pgp_keys, putty_keys, ssh_keys, text_keys
from fwcheck.inspection.patterns import Pattern, Scan
from fwcheck.model import CertificateFact, KeyFact

CERTIFICATE_LIMIT = 512
KEY_LIMIT = 256
_GUESSED = 8  # keys of a content that trivial passphrases are tried on
_BLOCK_LIMIT = 2048
_BODY_LIMIT = 64 << 10  # bytes of base64 in one block
_DER_LIMIT = 32 << 10  # bytes of one DER structure

_ROOMS = (ssh_keys, putty_keys, keystores, pgp_keys, text_keys)  # each with SHAPES and read(content, scan)
SHAPES: tuple[Pattern, ...] = (
    Pattern("key:pem", rb"-----BEGIN [A-Za-z0-9 ]{1,40}-----"),
    # RSAPrivateKey and DSAPrivateKey: version 0, then a number of at least 512 bits.
    Pattern("key:pkcs1", rb"(?s)\x30\x82..\x02\x01\x00\x02(?:\x82..|\x81.|[\x40\x41])"),
    # PrivateKeyInfo: version, AlgorithmIdentifier.
    Pattern("key:pkcs8", rb"(?s)\x30(?:\x82..|\x81.|[\x20-\x7f])\x02\x01[\x00\x01]\x30[\x05-\x30]\x06[\x03-\x09][\x2a\x2b]"),
    # EncryptedPrivateKeyInfo: an algorithm of PKCS #5 or PKCS #12.
    Pattern(
        "key:pkcs8-encrypted",
        rb"(?s)\x30(?:\x82..|\x81.)\x30[\x1a-\x7f]\x06[\x09\x0a]\x2a\x86\x48\x86\xf7\x0d\x01(?:\x05|\x0c\x01)",
    ),
    # ECPrivateKey: version 1, the private number as octets.
    Pattern("key:sec1", rb"(?s)\x30(?:\x81.|[\x20-\x7f])\x02\x01\x01\x04[\x14\x1c\x20\x30\x42]"),
    Pattern("key:certificate", rb"(?s)\x30(?:\x82..|\x81.)\x30(?:\x82..|\x81.)\xa0\x03\x02\x01[\x00-\x02]\x02"),
    Pattern("key:public-rsa", rb"(?s)\x30(?:\x82..|\x81.)\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03"),
    Pattern("key:public-ec", rb"(?s)\x30(?:\x81.|[\x30-\x7f])\x30[\x10-\x16]\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06"),
    Pattern(
        "key:pkcs12", rb"(?s)\x30(?:\x82..|\x80)\x02\x01\x03\x30(?:\x82..|\x81.|\x80)\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"
    ),
    *(shape for room in _ROOMS for shape in room.SHAPES),
)
_PEM = re.compile(rb"-----BEGIN ([A-Za-z0-9 ]{1,40})-----")
_ESCAPES = re.compile(rb"(?:\\[nrt]|[\s\x00\"\\])+")  # line ends of files, of C and JSON strings, of string tables
_HEADERS = re.compile(rb"\A(?:\s|\\[nr])*((?:[A-Za-z-]{2,30}: [^\r\n\\]{1,200}(?:\r?\n|\\n|\\r)+)+)")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}\Z")
_KEY_BAG = bytes.fromhex("2a864886f70d010c0a0101")  # pkcs-12-keyBag
_SHROUDED_BAG = bytes.fromhex("2a864886f70d010c0a0102")  # pkcs-12-pkcs8ShroudedKeyBag


der_end = key_material.der_end


class Found(NamedTuple):
    """Keys and certificates of one content, by offset, and what was left out."""

    keys: tuple[KeyFact, ...]
    certificates: tuple[CertificateFact, ...]
    problems: tuple[str, ...]


class _Block(NamedTuple):
    label: str
    offset: int
    end: int
    headers: bytes
    body: bytes  # base64 without line ends, or hexadecimal


def read_keys(content: bytes, scan: Scan) -> Found:
    """All key material of a content, led by the shapes that ``scan`` found in it. Never raises for any bytes."""
    if not any(id.startswith("key:") for id in scan.matches):
        return Found((), (), ())
    keys: list[KeyFact] = []
    certificates: list[CertificateFact] = []
    problems: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cryptography warns of odd serial numbers and old curves: they are facts here
        taken = _read_pem(content, scan, keys, certificates, problems)
        _read_der(content, scan, taken, keys, certificates)
        for room in _ROOMS:
            keys += room.read(content, scan)
    if len(keys) > KEY_LIMIT:
        problems.append(f"keys: {len(keys)} found, the first {KEY_LIMIT} kept")
    by_offset = sorted(keys, key=lambda key: (not key.private, key.offset))[:KEY_LIMIT]
    return Found(
        tuple(sorted(by_offset, key=lambda key: key.offset)),
        tuple(sorted(certificates, key=lambda certificate: certificate.offset)),
        tuple(problems),
    )


# --------------------------------------------------------------------------- PEM


def _read_pem(
    content: bytes, scan: Scan, keys: list[KeyFact], certificates: list[CertificateFact], problems: list[str]
) -> list[tuple[int, int]]:
    """Reads every PEM block; gives the ranges they cover."""
    taken: list[tuple[int, int]] = []
    if "key:pem" not in scan.matches:
        return taken
    skipped = 0
    for block in _blocks(content):
        if block.label in {"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"}:
            if len(certificates) >= CERTIFICATE_LIMIT:
                skipped += 1
                continue
            der = _decoded(block.body)
            certificate = key_material.certificate_of(der[: der_end(der, 0) or 0], block.offset) if der is not None else None
            if certificate is not None:
                certificates.append(certificate)
                taken.append((block.offset, block.end))
        elif (key := _pem_key(block, guess=len(keys) < _GUESSED)) is not None:
            keys.append(key)
            taken.append((block.offset, block.end))
            if block.label == "PGP PUBLIC KEY BLOCK":
                keys += islice(pgp_keys.armoured_ring(block.body, block.offset), KEY_LIMIT)
    if skipped:
        problems.append(f"certificates: the first {CERTIFICATE_LIMIT} read, {skipped} left")
    return taken


def _blocks(content: bytes) -> Iterator[_Block]:
    """PEM blocks with an END line of the same label and base64 (or hexadecimal) between."""
    for count, begin in enumerate(_PEM.finditer(content)):
        if count >= _BLOCK_LIMIT:
            return
        label = begin[1]
        end = content.find(b"-----END " + label + b"-----", begin.end(), begin.end() + _BODY_LIMIT)
        if end < 0 or content.find(b"-----BEGIN ", begin.end(), end) >= 0:
            continue
        inside = content[begin.end() : end]
        opening = _HEADERS.match(inside)
        headers = opening[1] if opening is not None else b""
        body = _ESCAPES.sub(b"", inside[opening.end() if opening is not None else 0 :])
        if body:
            yield _Block(label.decode("ascii"), begin.start(), end + len(label) + 14, headers, body)


def _decoded(body: bytes) -> bytes | None:
    if _BASE64.match(body) is None:
        return None
    try:
        return base64.b64decode(body + b"=" * (-len(body) % 4), validate=True)
    except binascii.Error:
        return None


def _pem_key(block: _Block, *, guess: bool) -> KeyFact | None:
    label = block.label
    if label == "OpenVPN Static key V1":
        return _static_key(block)
    if label.startswith("PGP ") and label.endswith("KEY BLOCK"):
        return pgp_keys.armoured_key(block.body, block.offset)
    private = label.endswith("PRIVATE KEY")
    if not private and not label.endswith(("PUBLIC KEY", "CERTIFICATE REQUEST")):
        return None
    der = _decoded(block.body)
    if der is None or len(der) < 32:
        return None
    if label == "OPENSSH PRIVATE KEY":
        return ssh_keys.openssh_key(der, block.offset)
    algorithm = label.split(" ")[0] if label.split(" ")[0] in {"RSA", "EC", "DSA"} else "unknown"
    if b"ENCRYPTED" in block.headers:
        known = key_material.published(hashlib.sha256(der).hexdigest())
        fact = KeyFact(offset=block.offset, container="PEM", algorithm=algorithm, private=True, encrypted=True, published=known)
        if len(der) % 8:  # no block cipher left this
            return None
        return _legacy_opened(block, fact) if guess else fact
    if label.endswith("CERTIFICATE REQUEST"):
        return key_material.request_key(der, block.offset)
    if private:
        found = key_material.private_key(der, block.offset, "PEM", guess=guess)
    else:
        found = key_material.public_key(der, block.offset, "PEM")
    if found is not None:
        return found
    # Key-shaped, but of an algorithm or a form that the library does not know.
    shaped = der[0] == 0x30 and der_end(der, 0) == len(der)
    return KeyFact(offset=block.offset, container="PEM", algorithm=algorithm, private=private) if shaped else None


def _legacy_opened(block: _Block, shut: KeyFact) -> KeyFact:
    """A PEM key encrypted as RFC 1421 says (one round of MD5), tried with trivial passphrases."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    label = block.label.encode()
    headers = re.sub(rb"(?:\\[nr]|[\r\n])+", b"\n", block.headers).strip()
    lines = b"\n".join(block.body[at : at + 64] for at in range(0, len(block.body), 64))
    pem = b"-----BEGIN %s-----\n%s\n\n%s\n-----END %s-----\n" % (label, headers, lines, label)
    return key_material.opened(b"", shut, lambda word: load_pem_private_key(pem, word, unsafe_skip_rsa_key_validation=True))


def _static_key(block: _Block) -> KeyFact | None:
    """An OpenVPN tls-auth or static key: 2,048 bits in hexadecimal (OpenVPN source, ``crypto.c``)."""
    if re.fullmatch(rb"[0-9a-fA-F]{512}", block.body) is None:
        return None
    return KeyFact(offset=block.offset, container="OpenVPN", algorithm="static", bits=2048, private=True)


# --------------------------------------------------------------------------- DER


def _read_der(
    content: bytes, scan: Scan, taken: list[tuple[int, int]], keys: list[KeyFact], certificates: list[CertificateFact]
) -> None:
    """Reads DER structures from the outside in: what lies inside one that was read is not read again."""
    candidates = sorted(
        {(match.start(), id) for id in _DER_SHAPES for match in scan.matches.get(id, ()) if content[match.start()] == 0x30}
    )
    covered = 0
    for at, id in candidates:
        end = der_end(content, at)
        if at < covered or end is None or end - at > _DER_LIMIT or any(begin <= at < stop for begin, stop in taken):
            continue
        der = content[at:end]
        if id == "key:certificate":
            certificate = key_material.certificate_of(der, at) if len(certificates) < CERTIFICATE_LIMIT else None
            if certificate is not None:
                certificates.append(certificate)
                covered = end
            continue
        if id == "key:pkcs12":
            found = _pkcs12(der, at, guess=len(keys) < _GUESSED)
            covered = end if found is not None and found.encrypted else covered
        elif id.startswith("key:public"):
            found = key_material.public_key(der, at, "DER")
            covered = end if found is not None else covered
        else:
            container = "PKCS#8" if id.startswith("key:pkcs8") else "DER"
            found = key_material.private_key(der, at, container, guess=len(keys) < _GUESSED)
            covered = end if found is not None else covered
        if found is not None and len(keys) <= KEY_LIMIT:
            keys.append(found)


_OTHERS = {"key:pem"} | {shape.id for room in _ROOMS for shape in room.SHAPES}
_DER_SHAPES = tuple(shape.id for shape in SHAPES if shape.id not in _OTHERS)


def _pkcs12(der: bytes, offset: int, *, guess: bool) -> KeyFact | None:
    """A PKCS #12 file. The bag types stand in the clear; it is opened with trivial passphrases alone, where that is cheap."""
    bare, shrouded = _KEY_BAG in der, _SHROUDED_BAG in der
    if not (bare or shrouded or b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x06" in der):  # encryptedData
        return None
    shut = KeyFact(offset=offset, container="PKCS#12", algorithm="unknown", private=bare or shrouded, encrypted=not bare)
    if not shrouded or not guess:
        return shut
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates  # noqa: PLC0415

    return key_material.opened(der, shut, lambda word: load_key_and_certificates(der, word)[0])
