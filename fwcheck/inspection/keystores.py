"""Java key stores: JKS and JCEKS of the JDK, BKS of Bouncy Castle. Their structure is open, their keys are under a password.

A key's public half is known from its certificate without the password. A few passwords that tools and tutorials use are tried on
the check value of the store; where one fits, the key is opened with it.

Sources: OpenJDK ``sun.security.provider.JavaKeyStore`` and ``KeyProtector`` (a stream of SHA-1 digests), OpenJDK
``com.sun.crypto.provider.JceKeyStore`` (MD5 and triple DES), Bouncy Castle ``BcKeyStoreSpi`` (HMAC-SHA-1 and triple DES), and
RFC 7292 appendix B (keys from passwords).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from fwcheck.inspection import key_material
from fwcheck.inspection.patterns import Pattern, Scan
from fwcheck.model import KeyFact

SHAPES: tuple[Pattern, ...] = (
    Pattern("key:jks", rb"(?s)(?:\xfe\xed\xfe\xed|\xce\xce\xce\xce)\x00\x00\x00[\x01\x02]\x00\x00..\x00\x00\x00[\x01-\x03]\x00"),
    # Version, 20 bytes of salt, 1,024 to 2,047 rounds, the first entry.
    Pattern("key:bks", rb"(?s)\x00\x00\x00[\x01\x02]\x00\x00\x00\x14.{20}\x00\x00[\x04-\x07].[\x01-\x04]\x00"),
)
_PASSWORDS = (
    *("changeit", "changeme", "android", "password", "123456", "12345678", "secret", "admin", "keystore", "storepass"),
    *("keypass", "test", "default", "root", "1234", "passw0rd", "tomcat", "server", "mypassword", "qwerty", ""),
)
_WHITENER = b"Mighty Aphrodite"
_JKS, _JCEKS = b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce"
_SUN_STREAM = bytes.fromhex("2b060104012a02110101")  # 1.3.6.1.4.1.42.2.17.1.1
_SUN_TRIPLE_DES = bytes.fromhex("2b060104012a021301")  # 1.3.6.1.4.1.42.2.19.1
_KEY, _CERTIFICATE, _SECRET = 1, 2, 3
_MOST_ENTRIES = 1024
_MOST_STORES = 8  # of a content that passwords are tried on
_MOST_OPENED = 4  # keys of a store that are opened where its password is known
_MOST_ROUNDS = 30_000  # where each password costs them
_MOST_ROUNDS_ONCE = 250_000  # where the password is known: keytool's 200,000 take a fifth of a second
_LONGEST = 1 << 20  # bytes of one field
_BLOCK, _DIGEST = 64, 20  # bytes of SHA-1


class _Short(Exception):
    """A field reaches beyond the bytes at hand, or is longer than any that a store holds."""


class _Reader:
    """Big-endian fields of ``java.io.DataInputStream``, one after the other. Raises _Short."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at

    def take(self, size: int) -> bytes:
        if not 0 <= size <= _LONGEST or self.at + size > len(self._data):
            raise _Short
        self.at += size
        return self._data[self.at - size : self.at]

    def integer(self, size: int = 4) -> int:
        return int.from_bytes(self.take(size), "big")

    def block(self) -> bytes:
        return self.take(self.integer())

    def name(self) -> str:
        return self.take(self.integer(2)).decode("utf-8", "replace")


class _Entry(NamedTuple):
    """A key of a store: where it stands, its name, what hides it, and the certificate that goes with it."""

    offset: int
    alias: str
    sealed: bytes
    certificate: bytes = b""
    bare: bool = False  # stands in the clear


def read(content: bytes, scan: Scan) -> Iterator[KeyFact]:
    """The private and secret keys of the stores at the places that ``scan`` found."""
    places = [
        (match.start(), reader) for id, reader in (("key:jks", _jks), ("key:bks", _bks)) for match in scan.matches.get(id, ())
    ]
    for number, (at, reader) in enumerate(sorted(places, key=lambda place: place[0])):
        try:
            yield from reader(content, at, guess=number < _MOST_STORES)
        except _Short:
            continue


def _facts(entries: list[_Entry], container: str, opened: Callable[[_Entry], bytes | None] | None) -> list[KeyFact]:
    """The keys of a store; the first ones are opened where ``opened`` is given."""
    return [_fact(each, container, opened if number < _MOST_OPENED else None) for number, each in enumerate(entries)]


# --------------------------------------------------------------------------- JKS and JCEKS


def _jks(content: bytes, at: int, *, guess: bool) -> list[KeyFact]:
    container = "JKS" if content.startswith(_JKS, at) else "JCEKS"
    fields = _Reader(content, at + 4)
    version, count = fields.integer(), fields.integer()
    entries, secrets = [], []
    for _ in range(min(count, _MOST_ENTRIES)):
        where, tag, alias = fields.at, fields.integer(), fields.name()
        fields.take(8)  # when it was put in
        if tag == _KEY:
            sealed = fields.block()
            chain = [_certificate(fields, version) for _ in range(min(fields.integer(), 16))]
            entries.append(_Entry(where, alias, sealed, chain[0] if chain else b""))
        elif tag == _CERTIFICATE:
            _certificate(fields, version)
        else:  # a sealed Java object: it ends where its own grammar says, so what follows is not read
            secrets += [_Entry(where, alias, b"")] if tag == _SECRET and container == "JCEKS" else []
            break
    whole = guess and not secrets and count <= _MOST_ENTRIES
    covered = content[at : fields.at]
    word = _of_jks(covered, content[fields.at : fields.at + _DIGEST]) if entries and whole else None
    found = _facts(entries, container, (lambda each: _jks_key(each.sealed, word)) if word is not None else None)
    return found + _facts(secrets, container, None)


def _certificate(fields: _Reader, version: int) -> bytes:
    if version == 2:
        fields.name()  # "X.509"
    return fields.block()


def _of_jks(covered: bytes, digest: bytes) -> str | None:
    """The password that the check value at the end fits; None for one of its owner's own."""
    for word in _PASSWORDS:
        if hashlib.sha1(word.encode("utf-16-be") + _WHITENER + covered).digest() == digest:  # noqa: S324  # their format
            return word
    return None


def _jks_key(sealed: bytes, password: str) -> bytes | None:
    """The PKCS #8 key inside an EncryptedPrivateKeyInfo of Sun's own algorithms; None when the password is another."""
    if _SUN_STREAM in sealed[:40]:
        return _stream(_last_octets(sealed), password.encode("utf-16-be"))
    if _SUN_TRIPLE_DES in sealed[:40]:
        return _jceks_triple_des(sealed, password)
    return None


def _last_octets(sealed: bytes) -> bytes:
    """The encrypted bytes: the octet string behind the AlgorithmIdentifier."""
    inner = 4 if sealed[1:2] == b"\x82" else 3 if sealed[1:2] == b"\x81" else 2
    at = key_material.der_end(sealed, inner)
    end = key_material.der_end(sealed, at) if at is not None else None
    if at is None or end is None or sealed[at] != 0x04:
        return b""
    return sealed[at + 2 + (sealed[at + 1] & 0x7F if sealed[at + 1] & 0x80 else 0) : end]


def _stream(hidden: bytes, word: bytes) -> bytes | None:
    """Salt, the key under a stream of SHA-1 digests, and a digest of password and key."""
    if len(hidden) <= 2 * _DIGEST:
        return None
    salt, body, check = hidden[:_DIGEST], hidden[_DIGEST:-_DIGEST], hidden[-_DIGEST:]
    stream, last = b"", salt
    while len(stream) < len(body):
        last = hashlib.sha1(word + last).digest()  # noqa: S324
        stream += last
    plain = bytes(one ^ other for one, other in zip(body, stream, strict=False))
    return plain if hashlib.sha1(word + plain).digest() == check else None  # noqa: S324


def _jceks_triple_des(sealed: bytes, password: str) -> bytes | None:
    """PBEWithMD5AndTripleDES: each half of the salt is hashed with the password for the number of rounds."""
    at = sealed.index(_SUN_TRIPLE_DES) + len(_SUN_TRIPLE_DES)
    # SEQUENCE { OCTET STRING salt (8 bytes), INTEGER rounds }
    if sealed[at : at + 1] != b"\x30" or sealed[at + 2 : at + 4] != b"\x04\x08" or sealed[at + 12 : at + 13] != b"\x02":
        return None
    salt = sealed[at + 4 : at + 12]
    size = sealed[at + 13]
    rounds = int.from_bytes(sealed[at + 14 : at + 14 + size], "big")
    if not 1 <= rounds <= _MOST_ROUNDS_ONCE:
        return None
    if salt[:4] == salt[4:]:
        salt = salt[3::-1] + salt[4:]
    word, derived = password.encode("ascii", "replace"), b""
    for half in (salt[:4], salt[4:]):
        for _ in range(rounds):
            half = hashlib.md5(half + word).digest()  # noqa: S324, PLW2901
        derived += half
    return _triple_des(derived[:24], derived[24:], _last_octets(sealed))


def _triple_des(key: bytes, vector: bytes, hidden: bytes) -> bytes | None:
    """What CBC gives, without its padding; None when the padding is none, so the key was another."""
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES  # noqa: PLC0415  # few images hold such stores
    from cryptography.hazmat.primitives.ciphers import Cipher, modes  # noqa: PLC0415

    if not hidden or len(hidden) % 8:
        return None
    opened = Cipher(TripleDES(key), modes.CBC(vector)).decryptor()
    plain = opened.update(hidden) + opened.finalize()
    padding = plain[-1]
    return plain[:-padding] if 1 <= padding <= 8 and plain.endswith(bytes((padding,)) * padding) else None


# --------------------------------------------------------------------------- BKS


def _bks(content: bytes, at: int, *, guess: bool) -> list[KeyFact]:
    fields = _Reader(content, at)
    version, salt, rounds = fields.integer(), fields.block(), fields.integer()
    begin, entries = fields.at, []
    for _ in range(_MOST_ENTRIES):
        where, tag = fields.at, fields.integer(1)
        if tag == 0:
            break
        alias = fields.name()
        fields.take(8)
        chain = []
        for _ in range(min(fields.integer(), 16)):
            fields.name()
            chain.append(fields.block())
        if tag == 1:
            fields.name()
            fields.block()
        elif tag == 2:  # a key in the clear: its kind, format and algorithm before it
            private = fields.integer(1) != 1
            fields.name()
            fields.name()
            key = fields.block()
            entries += [_Entry(where, alias, key, chain[0] if chain else b"", bare=True)] if private else []
        elif tag in {3, 4}:
            entries.append(_Entry(where, alias, fields.block(), chain[0] if chain else b""))
        else:
            raise _Short
    else:
        raise _Short
    covered, digest = content[begin : fields.at], content[fields.at : fields.at + _DIGEST]
    word = _of_bks(covered, digest, salt, rounds, version) if guess and entries else None
    bare = [each for each in entries if each.bare]
    sealed = [each for each in entries if not each.bare]
    found = _facts(sealed, "BKS", (lambda each: _bks_key(each.sealed, word)) if word is not None else None)
    return found + _facts(bare, "BKS", lambda each: each.sealed)


def _of_bks(covered: bytes, digest: bytes, salt: bytes, rounds: int, version: int) -> str | None:
    if not 1 <= rounds <= _MOST_ROUNDS:
        return None
    # The first version took the number of bytes for one of bits.
    size = _DIGEST if version == 2 else _DIGEST // 8
    for word in _PASSWORDS:
        if hmac.digest(derived_key(3, word, salt, rounds, size), covered, "sha1") == digest:
            return word
    return None


def _bks_key(sealed: bytes, password: str) -> bytes | None:
    """The encoded key of a sealed entry; None when the password is another."""
    fields = _Reader(sealed, 0)
    try:
        salt, rounds = fields.block(), fields.integer()
    except _Short:
        return None
    if not 1 <= rounds <= _MOST_ROUNDS:
        return None
    key, vector = derived_key(1, password, salt, rounds, 24), derived_key(2, password, salt, rounds, 8)
    plain = _triple_des(key, vector, sealed[fields.at :])
    if plain is None:
        return None
    fields = _Reader(plain, 0)
    try:
        fields.take(1)
        fields.name()  # "PKCS#8"
        fields.name()  # "RSA"
        return fields.block()
    except _Short:
        return None


def derived_key(purpose: int, password: str, salt: bytes, rounds: int, size: int) -> bytes:
    """RFC 7292, appendix B.2, with SHA-1: ``size`` bytes for a key (1), a starting vector (2) or a check value (3)."""
    word = password.encode("utf-16-be") + b"\0\0"
    held = b"".join((each * (_BLOCK // len(each) + 1))[: -(-len(each) // _BLOCK) * _BLOCK] for each in (salt, word) if each)
    result = b""
    while True:
        digest = bytes((purpose,)) * _BLOCK + held
        for _ in range(rounds):
            digest = hashlib.sha1(digest).digest()  # noqa: S324
        result += digest
        if len(result) >= size:
            return result[:size]
        step = int.from_bytes((digest * 4)[:_BLOCK], "big") + 1
        held = b"".join(
            ((int.from_bytes(held[at : at + _BLOCK], "big") + step) % (1 << 8 * _BLOCK)).to_bytes(_BLOCK, "big")
            for at in range(0, len(held), _BLOCK)
        )


# --------------------------------------------------------------------------- facts


def _fact(entry: _Entry, container: str, opened: Callable[[_Entry], bytes | None] | None) -> KeyFact:
    """A key of a store; ``valid`` where it could be opened."""
    shut = KeyFact(
        offset=entry.offset,
        container=container,
        algorithm="unknown",
        private=True,
        encrypted=not entry.bare,
        comment=entry.alias[:120],
    )
    certificate = key_material.certificate_of(entry.certificate, entry.offset) if entry.certificate else None
    if certificate is not None:
        shut = msgspec.structs.replace(
            shut,
            algorithm=certificate.key_algorithm,
            bits=certificate.key_bits,
            fingerprint=certificate.key_fingerprint or None,
            public=certificate.public,
            published=key_material.published(certificate.key_fingerprint),
        )
    der = opened(entry) if opened is not None else None
    found = key_material.private_key(der, entry.offset, container, guess=False) if der is not None else None
    if found is None:
        return shut
    return msgspec.structs.replace(found, encrypted=shut.encrypted, comment=shut.comment)
