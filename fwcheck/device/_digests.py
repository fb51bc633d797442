"""Password fields that crypt(3) does not know: their shapes, what one guess costs, and how a guess is checked.

Sources: RFC 2307, password schemes of OpenLDAP and Dovecot, Apache htpasswd and htdigest, the PHC string format, the hashers of
Django and Werkzeug, mosquitto_passwd(1), GRUB 2's pbkdf2, MySQL's mysql_native_password, PostgreSQL's md5, Samba's NT
hash, Cisco types 8 and 9, and the eight-character hash of recorders and cameras built on the Sofia and Dahua programs.
Fields that need more than themselves are kept with a prefix of our own: ``{nt}``, ``{sofia}``, ``{digest}name:realm:``,
``{salted}salt:``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

Check = Callable[[str], bool]

_DIGEST = 4  # nominal microseconds of a single digest
_NT = 10
_PBKDF2 = {"sha1": 0.30, "sha256": 0.42, "sha512": 0.55}  # nominal microseconds of one round
_SCRYPT_MIB = 3_000
_MOST_MEMORY = 64 << 20
_CISCO = bytes.maketrans(
    b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
)


class Form(NamedTuple):
    """One kind of field."""

    shape: re.Pattern[str]
    outdated: bool
    work: Callable[[re.Match[str]], float | None]
    checker: Callable[[re.Match[str], Sequence[str]], Check | None]  # match, account names

    def cost(self, field: str) -> int | None:
        """Nominal microseconds of one guess; None when it asks for too much."""
        match = self.shape.fullmatch(field)
        work = self.work(match) if match else None
        return max(1, int(work)) if work is not None else None


def shape_of(field: str) -> Form | None:
    """The kind of a field, None when crypt(3) or nobody knows it."""
    if len(field) > 512:
        return None
    return next((form for form in _forms() if form.shape.fullmatch(field)), None)


def checker(field: str, names: Sequence[str] = ()) -> Check | None:
    """How a guess at the field is checked; None when it cannot be. ``names``: the accounts it belongs to."""
    form = shape_of(field)
    match = form.shape.fullmatch(field) if form else None
    if form is None or match is None:
        return None
    try:
        return form.checker(match, names)
    except (ValueError, binascii.Error):
        return None


# --------------------------------------------------------------------------- single digests


def _hash(name: str, data: bytes) -> bytes:
    return hashlib.new(name, data, usedforsecurity=False).digest()


def _once(match: re.Match[str]) -> float:
    return _NT if match[0].lower().startswith(("{n", "{salted}")) else _DIGEST


def _hexadecimal(match: re.Match[str], names: Sequence[str]) -> Check:
    """MD5, SHA-1, SHA-224, SHA-256 or SHA-512 of the word, alone or joined with the account's name as web programs do it."""
    want = bytes.fromhex(match[match.lastindex or 0])
    name = {16: "md5", 20: "sha1", 28: "sha224", 32: "sha256", 64: "sha512"}[len(want)]
    joined = [(f"{each}:", "") for each in names[:2]] + [(each, "") for each in names[:2]] + [("", each) for each in names[:2]]

    def check(word: str) -> bool:
        if _hash(name, word.encode()) == want:
            return True
        return bool(word) and any(_hash(name, f"{before}{word}{after}".encode()) == want for before, after in joined)

    return check


def _salted(match: re.Match[str], _: Sequence[str]) -> Check:
    """A digest of the word and a salt, in either order, the word as it is or digested before; the salt as text or as bytes."""
    want = bytes.fromhex(match[2])
    name = {16: "md5", 20: "sha1", 28: "sha224", 32: "sha256", 48: "sha384", 64: "sha512"}.get(len(want))
    if name is None:
        return lambda _: False
    salts = [match[1].encode()]
    if re.fullmatch(r"(?:[0-9a-fA-F]{2}){4,64}", match[1]):
        salts.append(bytes.fromhex(match[1]))

    def check(word: str) -> bool:
        forms = (word.encode(), _hash(name, word.encode()).hex().encode())
        return any(_hash(name, form + salt) == want or _hash(name, salt + form) == want for form in forms for salt in salts)

    return check


def _ldap(match: re.Match[str], _: Sequence[str]) -> Check:
    """``{SSHA}``: base 64 of the digest and the salt behind it; the unsalted forms have no salt."""
    kind = match[1].upper()
    name = {"SHA": "sha1", "SSHA": "sha1", "MD5": "md5", "SMD5": "md5"}.get(kind) or kind.lstrip("S").lower()
    if kind.startswith(("SHA", "SSHA")) and kind not in ("SHA", "SSHA"):
        name = "sha" + kind.lstrip("SHA")
    raw = base64.b64decode(match[2], validate=True)
    size = hashlib.new(name, usedforsecurity=False).digest_size
    want, salt = raw[:size], raw[size:]
    return lambda word: _hash(name, word.encode() + salt) == want


def _salted_base64(match: re.Match[str], _: Sequence[str]) -> Check:
    """``$6$salt$hash`` of mosquitto: SHA-512 of the word and the salt."""
    salt, want = base64.b64decode(match[1]), base64.b64decode(match[2])
    return lambda word: _hash("sha512", word.encode() + salt) == want


def _htdigest(match: re.Match[str], _: Sequence[str]) -> Check:
    return lambda word: _hash("md5", f"{match[1]}:{word}".encode()).hex() == match[2].lower()


def _mysql(match: re.Match[str], _: Sequence[str]) -> Check:
    return lambda word: _hash("sha1", _hash("sha1", word.encode())).hex() == match[1].lower()


def _postgres(match: re.Match[str], names: Sequence[str]) -> Check:
    return lambda word: any(_hash("md5", (word + name).encode()).hex() == match[1] for name in names[:4])


def sofia_hash(word: str) -> str:
    """The hash of Sofia and of Dahua's first generation: pairs of MD5's bytes, added, modulo 62, as digits and letters."""
    digest = _hash("md5", word.encode())
    values = ((digest[index] + digest[index + 1]) % 62 for index in range(0, 16, 2))
    return "".join("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[value] for value in values)


def _sofia(match: re.Match[str], _: Sequence[str]) -> Check:
    return lambda word: sofia_hash(word) == match[1]


def _plain(match: re.Match[str], _: Sequence[str]) -> Check:
    return lambda word: word == match[1]


def _nt(match: re.Match[str], _: Sequence[str]) -> Check:
    """MD4 of the word in UTF-16; OpenSSL 3 has no MD4, so this is the pure-Python one."""
    from passlib.hash import nthash  # noqa: PLC0415  # slow to import and seldom needed

    return lambda word: bool(nthash.verify(word, match[1]))


# --------------------------------------------------------------------------- key derivation


def _rounds(match: re.Match[str]) -> float | None:
    rounds = int(match["rounds"])
    return _PBKDF2[_name(match)] * rounds if rounds <= 1_000_000 else None


def _name(match: re.Match[str]) -> str:
    named = match.groupdict().get("name") or "sha1"
    return named.lower().replace("-", "")


def _derived(match: re.Match[str], salt: bytes, want: bytes) -> Check:
    name, rounds = _name(match), int(match["rounds"])
    return lambda word: hashlib.pbkdf2_hmac(name, word.encode(), salt, rounds, len(want)) == want


def _adapted(text: str) -> bytes:
    """Base 64 with ``.`` for ``+`` and without padding, as passlib writes it; ordinary base 64 passes too."""
    text = text.replace(".", "+").rstrip("=")
    return base64.b64decode(text + "=" * (-len(text) % 4))


def _pbkdf2_texts(match: re.Match[str], _: Sequence[str]) -> Check:
    return _derived(match, match["salt"].encode(), base64.b64decode(match["sum"]))


def _pbkdf2_bytes(match: re.Match[str], _: Sequence[str]) -> Check:
    return _derived(match, _adapted(match["salt"]), _adapted(match["sum"]))


def _pbkdf2_hexadecimal(match: re.Match[str], _: Sequence[str]) -> Check:
    return _derived(match, bytes.fromhex(match["salt"]), bytes.fromhex(match["sum"]))


def _werkzeug(match: re.Match[str], _: Sequence[str]) -> Check:
    return _derived(match, match["salt"].encode(), bytes.fromhex(match["sum"]))


def _mosquitto(match: re.Match[str], _: Sequence[str]) -> Check:
    salt, want, rounds = base64.b64decode(match["salt"]), base64.b64decode(match["sum"]), int(match["rounds"])
    return lambda word: hashlib.pbkdf2_hmac("sha512", word.encode(), salt, rounds, len(want)) == want


def _mosquitto_work(match: re.Match[str]) -> float | None:
    return _PBKDF2["sha512"] * int(match["rounds"]) if int(match["rounds"]) <= 1_000_000 else None


def _dovecot(match: re.Match[str], _: Sequence[str]) -> Check:
    salt, want, rounds = match["salt"].encode(), bytes.fromhex(match["sum"]), int(match["rounds"])
    return lambda word: hashlib.pbkdf2_hmac("sha1", word.encode(), salt, rounds, len(want)) == want


def _cisco_digits(text: str) -> bytes:
    return base64.b64decode(text.encode().translate(_CISCO) + b"=")


def _cisco_8(match: re.Match[str], _: Sequence[str]) -> Check:
    want = _cisco_digits(match[2])
    return lambda word: hashlib.pbkdf2_hmac("sha256", word.encode(), match[1].encode(), 20_000, 32) == want


def _cisco_9(match: re.Match[str], _: Sequence[str]) -> Check:
    want = _cisco_digits(match[2])
    return lambda word: hashlib.scrypt(word.encode(), salt=match[1].encode(), n=16384, r=1, p=1, dklen=32) == want


def _scrypt_settings(match: re.Match[str]) -> tuple[int, int, int] | None:
    held = match.groupdict()
    power = int(held["ln"]) if held.get("ln") else int(held["n"]).bit_length() - 1
    blocks, lanes = int(match["r"]), int(match["p"])
    if not (1 <= power <= 20 and 1 <= blocks <= 32 and 1 <= lanes <= 4 and (128 * blocks << power) <= _MOST_MEMORY):
        return None
    return 1 << power, blocks, lanes


def _scrypt_work(match: re.Match[str]) -> float | None:
    held = _scrypt_settings(match)
    return None if held is None else _SCRYPT_MIB * held[2] * (128 * held[0] * held[1]) / (1 << 20)


def _scrypt(match: re.Match[str], _: Sequence[str]) -> Check | None:
    held = _scrypt_settings(match)
    if held is None:
        return None
    if match.groupdict().get("ln"):
        salt, want = _adapted(match["salt"]), _adapted(match["sum"])
    else:
        salt, want = match["salt"].encode(), bytes.fromhex(match["sum"])
    n, r, p = held
    return lambda word: hashlib.scrypt(word.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MOST_MEMORY * 2, dklen=len(want)) == want


def _argon2_work(match: re.Match[str]) -> float | None:
    memory, passes = int(match["m"]), int(match["t"])
    if not (8 <= memory <= _MOST_MEMORY >> 10 and 1 <= passes <= 16 and 1 <= int(match["p"]) <= 8):
        return None
    return 900 * memory / 1024 * passes


def _argon2(match: re.Match[str], _: Sequence[str]) -> Check | None:
    """Argon2id alone: the library knows no other variant."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  # seldom needed
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id  # noqa: PLC0415

    salt, want = _adapted(match["salt"]), _adapted(match["sum"])
    memory, passes, lanes = int(match["m"]), int(match["t"]), int(match["p"])

    def check(word: str) -> bool:
        try:
            return (
                Argon2id(salt=salt, length=len(want), iterations=passes, lanes=lanes, memory_cost=memory).derive(word.encode())
                == want
            )
        except (UnsupportedAlgorithm, ValueError):
            return False

    return check


_NAME = "(?P<name>(?i:sha-?1|sha-?256|sha-?512))"
_PARTS = {
    **{name: rf"(?P<{name}>\d{{1,8}})" for name in ("rounds", "ln", "n", "r", "p", "m", "t")},
    "name": _NAME,
    "-name": f"(?:-{_NAME})?",
    "salt": r"(?P<salt>[^$]{1,64})",
    "salt64": r"(?P<salt>[A-Za-z0-9./+]{4,172}={0,2})",
    "saltx": r"(?P<salt>(?:[0-9A-Fa-f]{2}){4,128})",
    "sum64": r"(?P<sum>[A-Za-z0-9./+]{20,172}={0,2})",
    "sumx": r"(?P<sum>(?:[0-9A-Fa-f]{2}){16,64})",
    "cisco": r"([./0-9A-Za-z]{14})\$([./0-9A-Za-z]{43})",
}


def _written(template: str) -> str:
    """A regular expression from a field as manuals write it: ``<part>`` stands for one of the parts above."""
    pieces = re.split(r"<([^>]+)>", template)
    return "".join(_PARTS[piece] if index % 2 else re.escape(piece) for index, piece in enumerate(pieces))


@cache
def _forms() -> tuple[Form, ...]:
    hexadecimal = "[0-9a-fA-F]"
    single = (
        ("|".join(rf"{hexadecimal}{{{size}}}" for size in (32, 40, 56, 64, 128)), _hexadecimal),
        (
            r"\{(?:PLAIN-MD5|(?:MD5|SHA|SHA256)\.HEX)\}" + f"({hexadecimal}{{32}}|{hexadecimal}{{40}}|{hexadecimal}{{64}})",
            _hexadecimal,
        ),
        (r"\{((?i:S?SHA(?:256|384|512)?|S?MD5))\}([A-Za-z0-9+/]{20,160}={0,2})", _ldap),
        (rf"\{{digest\}}([^:]{{1,64}}:[^:]{{0,128}}):({hexadecimal}{{32}})", _htdigest),
        (rf"\{{salted\}}(.{{1,128}}):((?:{hexadecimal}{{2}}){{16,64}})", _salted),
        (r"\{sofia\}([0-9A-Za-z]{8})", _sofia),
        (rf"\{{(?i:nt|ntlm)\}}({hexadecimal}{{32}})", _nt),
        (r"\{(?i:PLAIN|CLEARTEXT|CLEAR)\}(.{0,128})", _plain),
        (rf"\*({hexadecimal}{{40}})", _mysql),
        (r"md5([0-9a-f]{32})", _postgres),
        (r"\$6\$([A-Za-z0-9+/]{12,32}={0,2})\$([A-Za-z0-9+/]{86}==)", _salted_base64),
    )
    derived = (
        ("$7$<rounds>$<salt64>$<sum64>", _mosquitto_work, _mosquitto),
        ("pbkdf2_<name>$<rounds>$<salt>$<sum64>", _rounds, _pbkdf2_texts),
        ("pbkdf2:<name>:<rounds>$<salt>$<sumx>", _rounds, _werkzeug),
        ("scrypt:<n>:<r>:<p>$<salt>$<sumx>", _scrypt_work, _scrypt),
        ("$pbkdf2<-name>$<rounds>$<salt64>$<sum64>", _rounds, _pbkdf2_bytes),
        ("$scrypt$ln=<ln>,r=<r>,p=<p>$<salt64>$<sum64>", _scrypt_work, _scrypt),
        ("$argon2id$v=19$m=<m>,t=<t>,p=<p>$<salt64>$<sum64>", _argon2_work, _argon2),
        ("grub.pbkdf2.<name>.<rounds>.<saltx>.<sumx>", _rounds, _pbkdf2_hexadecimal),
        ("{PBKDF2}$1$<salt>$<rounds>$<sumx>", _rounds, _dovecot),
        ("$8$<cisco>", lambda _: _PBKDF2["sha256"] * 20_000, _cisco_8),
        ("$9$<cisco>", lambda _: _SCRYPT_MIB * 2, _cisco_9),
    )
    untried = Form(re.compile(r"\$argon2[id]{1,2}\$.{8,400}"), False, lambda _: None, lambda *_: None)
    return (
        *(Form(re.compile(shape), True, _once, check) for shape, check in single),
        *(Form(re.compile(_written(template)), False, work, check) for template, work, check in derived),
        untried,
    )
