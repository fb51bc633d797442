"""Private keys in PuTTY's files and in the format of SSH-1.

Sources: PuTTY manual, appendix C (PPK versions 2 and 3: public blob, private blob, a MAC over both); OpenSSH before 7.6,
``authfile.c`` ("SSH PRIVATE KEY FILE FORMAT 1.1": numbers with their length in bits before them).
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re

from fwcheck.inspection import key_material
from fwcheck.inspection.patterns import Pattern, Scan
from fwcheck.inspection.ssh_keys import public_of
from fwcheck.model import KeyFact

SHAPES: tuple[Pattern, ...] = (
    Pattern(
        "key:putty",
        rb"PuTTY-User-Key-File-(?P<version>[123]): (?P<type>[A-Za-z0-9@.-]{3,64})\r?\n"
        rb"Encryption: (?P<cipher>[a-z0-9-]{3,32})\r?\n",
        rb"PuTTY-User-Key-File-",
    ),
    Pattern(
        "key:ssh1",
        rb"(?s)SSH PRIVATE KEY FILE FORMAT 1\.1\n\x00(?P<cipher>.)\x00\x00\x00\x00\x00\x00..(?P<numbers>..)",
    ),
)
_ROW = rb"(?:[A-Za-z0-9+/=]{1,80}\r?\n){1,200}"
_REST = re.compile(
    rb"Comment: (?P<comment>[^\r\n]{0,200})\r?\nPublic-Lines: (?P<lines>\d{1,3})\r?\n(?P<public>" + _ROW + rb")"
    rb"(?:(?:Key-Derivation|Argon2-[A-Za-z]+): [^\r\n]{1,80}\r?\n){0,5}"
    rb"Private-Lines: \d{1,3}\r?\n(?P<private>" + _ROW + rb")Private-MAC: (?P<mac>[0-9a-fA-F]{40,64})"
)
_PHRASES = (b"", b"password", b"123456", b"12345678", b"1234", b"admin", b"test", b"secret", b"root", b"default")
_NAMES = {b"ssh-rsa": "RSA", b"ssh-dss": "DSA", b"ssh-ed25519": "Ed25519"}
_REST_LIMIT = 16 << 10


def read(content: bytes, scan: Scan) -> list[KeyFact]:
    """The keys at the places that ``scan`` found."""
    found = [_putty(content, match) for match in scan.matches.get("key:putty", ())]
    found += [_ssh1(content, match) for match in scan.matches.get("key:ssh1", ())]
    return [each for each in found if each is not None]


def _putty(content: bytes, match: re.Match[bytes]) -> KeyFact | None:
    rest = _REST.match(content[match.end() : match.end() + _REST_LIMIT])
    if rest is None:
        return None
    try:
        blob, private = (binascii.a2b_base64(rest[name], strict_mode=False) for name in ("public", "private"))
    except binascii.Error:
        return None
    public = public_of(blob)
    encrypted = match["cipher"] != b"none"
    name = _NAMES.get(match["type"], "EC" if match["type"].startswith(b"ecdsa") else "unknown")
    covered = (match["type"], match["cipher"], rest["comment"], blob)
    return KeyFact(
        offset=match.start(),
        container="PuTTY",
        private=True,
        encrypted=encrypted,
        valid=public is not None and _opens(match["version"], covered, private, rest["mac"], encrypted=encrypted),
        comment=rest["comment"].decode("utf-8", "replace")[:120],
        **key_material.half(public, name),
    )


def _opens(version: bytes, covered: tuple[bytes, ...], private: bytes, mac: bytes, *, encrypted: bool) -> bool:
    """Whether the private part is whole: in the clear, or (version 2) under a passphrase that everybody tries first."""
    if version == b"3" and not encrypted:
        return _mac(b"", covered, private, "sha256") == mac.lower()
    if version != b"2":  # Argon2, or a format that nothing wrote for long
        return False
    return any(
        _mac(hashlib.sha1(b"putty-private-key-file-mac-key" + word).digest(), covered, plain, "sha1") == mac.lower()  # noqa: S324
        for word in (_PHRASES if encrypted else (b"",))
        for plain in [_decrypted(private, word) if encrypted else private]
    )


def _mac(key: bytes, covered: tuple[bytes, ...], private: bytes, digest: str) -> bytes:
    message = b"".join(len(each).to_bytes(4, "big") + each for each in (*covered, private))
    return hmac.digest(key, message, digest).hex().encode()


def _decrypted(private: bytes, word: bytes) -> bytes:
    """Version 2: AES-256-CBC with a key of two SHA-1 digests and a vector of zeros."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415  # few images hold such files

    key = b"".join(hashlib.sha1(bytes((0, 0, 0, number)) + word).digest() for number in (0, 1))[:32]  # noqa: S324
    opened = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).decryptor()
    return opened.update(private[: len(private) // 16 * 16])


def _ssh1(content: bytes, match: re.Match[bytes]) -> KeyFact | None:
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    at = match.start("numbers")
    numbers = []
    for _ in range(2):  # modulus, exponent
        bits = int.from_bytes(content[at : at + 2], "big")
        end = at + 2 + (bits + 7) // 8
        numbers.append(int.from_bytes(content[at + 2 : end], "big"))
        if not 1 < bits <= 16384 or numbers[-1].bit_length() != bits:
            return None
        at = end
    size = int.from_bytes(content[at : at + 4], "big")
    hidden = at + 4 + size
    if size > _REST_LIMIT or hidden + 4 > len(content):
        return None
    try:
        public = rsa.RSAPublicNumbers(numbers[1], numbers[0]).public_key()
    except ValueError:
        return None
    encrypted = match["cipher"] != b"\0"
    return KeyFact(
        offset=match.start(),
        container="SSH-1",
        private=True,
        encrypted=encrypted,
        # Two check bytes, each twice, when the private part is in the clear.
        valid=not encrypted and content[hidden : hidden + 2] == content[hidden + 2 : hidden + 4],
        comment=content[at + 4 : hidden][:120].decode("utf-8", "replace"),
        **key_material.half(public),
    )
