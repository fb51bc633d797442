"""What a stored password field means, how good its scheme is, and what one guess at it costs.

Shapes of crypt(3) are those of crypt(5) of libxcrypt; ``x``, ``*`` and ``!`` are described in passwd(5) and shadow(5). Formats
that crypt(3) does not know (LDAP, PBKDF2, web frameworks, digests) stand in ``_digests.py``.
"""

from __future__ import annotations

import re
from typing import Literal

from fwcheck.device import _digests

Password = Literal["empty", "locked", "hash", "none"]
Scheme = Literal["des", "md5", "sha256", "sha512", "bcrypt", "yescrypt", "other"]

_B64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # value order of crypt's own base 64
_LOCKS = re.compile(
    r"[!*].*|x|\*?(?:LK|NP|LOCKED?|NOLOGIN|NO-?LOGIN)\*?|!?NO ?PASSWORD.*|disabled?|locked|nologin|-+|X+", re.IGNORECASE
)
# 64 bits are 10 characters and 4 bits: the last character of a DES hash has its two lowest bits clear; bigcrypt adds 11 and 11.
_DES = r"[./0-9A-Za-z]{2}(?:[./0-9A-Za-z]{10}[.26AEIMQUYcgkosw]){1,12}"
_SHAPES: tuple[tuple[Scheme, re.Pattern[str]], ...] = (
    ("md5", re.compile(r"\$(?:1|apr1)\$|\$md5[,$]")),
    ("sha256", re.compile(r"\$5\$")),
    ("sha512", re.compile(r"\$6\$")),
    ("bcrypt", re.compile(r"\$2[abxy]?\$\d\d\$|\$bcrypt-sha256\$")),
    ("yescrypt", re.compile(r"\$(?:y|gy|7)\$")),
    ("des", re.compile(rf"{_DES}$|_[./0-9A-Za-z]{{19}}$")),
)
# Dovecot's and OpenLDAP's names for fields of crypt(3): "{CRYPT}$6$...".
_WRAPPED = re.compile(r"\{(?:[A-Z0-9]+-)?CRYPT\}", re.IGNORECASE)
# Nominal microseconds per guess on one core: fixed figures, so that the number of words tried never depends on the machine.
_DES_COST, _BSDI, _MD5, _SHA_5000, _BCRYPT_10, _YESCRYPT_J9T, _SCRYPT_MIB = 4, 4, 92, 940, 43_000, 14_500, 1_500
_APACHE = 600  # crypt(3) does not know it, so it is computed in Python
_SUN_MD5, _SHA1_ROUND = 0.85, 0.5  # per round
_MOST_COST = 400_000
_MOST_MEMORY = 64 << 20
_NOLOGIN = frozenset(
    ("nologin", "false", "true", "sync", "halt", "shutdown", "poweroff", "reboot", "null", "noshell", "no-login")
)


def classify(field: str) -> tuple[Password, Scheme | None]:
    """State and scheme of a stored password field."""
    if not field:
        return "empty", None
    if _LOCKS.fullmatch(field):
        return "locked", None
    inner = unwrapped(field)
    for scheme, shape in _SHAPES:
        if shape.match(inner) and not _digests.shape_of(field):
            return "hash", scheme
    return "hash", "other"


def unwrapped(field: str) -> str:
    """A field of crypt(3) without the name that a directory or mail server puts before it."""
    wrapped = _WRAPPED.match(field)
    return field[wrapped.end() :] if wrapped else field


def is_hash(field: str) -> bool:
    """Whether a stored value has the exact shape of a password hash, so that it is not the password itself."""
    inner = unwrapped(field)
    return bool(_EXACT.fullmatch(inner)) or _digests.shape_of(field) is not None


_EXACT = re.compile(
    rf"{_DES}|_[./0-9A-Za-z]{{19}}|\$(?:1|apr1)\$[^$:\s]{{0,8}}\$[./0-9A-Za-z]{{22}}|\$md5[,$]\S{{20,64}}"
    r"|\$5\$(?:rounds=\d+\$)?[^$:\s]{0,16}\$[./0-9A-Za-z]{43}|\$6\$(?:rounds=\d+\$)?[^$:\s]{0,16}\$[./0-9A-Za-z]{86}"
    r"|\$2[abxy]?\$\d\d\$[./0-9A-Za-z]{53}|\$(?:y|gy|7)\$\S{20,200}|\$sha1\$\d+\$[./0-9A-Za-z]{1,64}\$[./0-9A-Za-z]{28}"
    r"|\$3\$\$[0-9a-fA-F]{32}"
)


def is_outdated(field: str) -> bool:
    """Whether the scheme lets guesses run at a million or more a second: DES, MD5, single digests, and no digest at all."""
    form = _digests.shape_of(field)
    if form is not None:
        return form.outdated
    scheme = classify(field)[1]
    return scheme in ("des", "md5") or (scheme == "other" and not field.startswith(("$sha1$", "$argon2", "$scrypt$", "$pbkdf2")))


def guess_cost(field: str) -> int | None:
    """Nominal microseconds of one guess; None when the hash is not of a kind that is tried or asks for too much work."""
    form = _digests.shape_of(field)
    if form is not None:
        cost = form.cost(field)
        return _bounded(cost) if cost is not None else None
    field = unwrapped(field)
    if not _EXACT.fullmatch(field):
        return None  # cut off or mangled: no word can fit
    if field.startswith(("$1$", "$apr1$")):
        return _MD5 if field[1] == "1" else _APACHE
    if field.startswith(("$5$", "$6$")):
        asked = re.match(r"\$[56]\$rounds=(\d{1,9})\$", field)
        return _bounded(_SHA_5000 * max(1000, int(asked[1])) // 5000 if asked else _SHA_5000)
    if bcrypt := re.match(r"\$2[abxy]?\$(\d\d)\$", field):
        log = int(bcrypt[1])
        return _bounded(_BCRYPT_10 * 2 ** (log - 10) if log >= 10 else _BCRYPT_10 // 2 ** (10 - log)) if 4 <= log <= 31 else None
    if yescrypt := re.match(r"\$g?y\$j([./0-9A-Za-z])([./0-9A-Za-z])\$", field):
        power, blocks = _B64.index(yescrypt[1]) + 1, _B64.index(yescrypt[2]) + 1  # N = 2^power, r
        return _bounded((_YESCRYPT_J9T * blocks << power) // (32 << 12)) if 2 <= power <= 13 and blocks <= 32 else None
    if scrypt := re.match(r"\$7\$([./0-9A-Za-z])([./0-9A-Za-z]{5})([./0-9A-Za-z]{5})", field):
        return _scrypt_cost(_B64.index(scrypt[1]), _number(scrypt[2]), _number(scrypt[3]))
    if sun := re.match(r"\$md5(?:,rounds=(\d{1,10}))?\$", field):
        return _bounded(int(_SUN_MD5 * (4096 + int(sun[1] or 0))))
    if sha1 := re.match(r"\$sha1\$(\d{1,10})\$[./0-9A-Za-z]{1,64}\$", field):
        return _bounded(int(_SHA1_ROUND * int(sha1[1])))
    if re.fullmatch(r"_[./0-9A-Za-z]{19}", field):
        return _bounded(_BSDI * max(1, _number(field[1:5])) // 25)
    if re.fullmatch(_DES, field):
        return _DES_COST
    return _DES_COST if re.fullmatch(r"\$3\$\$[0-9a-fA-F]{32}", field) else None


def _number(digits: str) -> int:
    """A number in crypt's base 64, lowest digit first."""
    return sum(_B64.index(digit) << 6 * place for place, digit in enumerate(digits))


def _scrypt_cost(power: int, blocks: int, lanes: int) -> int | None:
    if not (1 <= power <= 20 and 1 <= blocks <= 32 and 1 <= lanes <= 4) or (128 * blocks << power) > _MOST_MEMORY:
        return None
    return _bounded(_SCRYPT_MIB * lanes * (128 * blocks << power) >> 20)


def _bounded(cost: int) -> int | None:
    return max(1, cost) if cost <= _MOST_COST else None


def allows_login(shell: str) -> bool:
    """Whether a passwd shell lets its account in; an empty shell means ``/bin/sh`` (passwd(5))."""
    return shell.rstrip("/").rsplit("/", 1)[-1].removesuffix(".sh") not in _NOLOGIN


def masked(field: str) -> str:
    """A password field fit to be shown: scheme and length, no digits of the secret."""
    password, _ = classify(field)
    if password != "hash":
        return field if len(field) <= 16 else f"{field[:1]}{'*' * 6}"
    head = re.match(r"\$[^$]{1,16}\$|\{[\w.-]{1,16}\}|", field)
    return f"{head[0] if head else ''}{'*' * 6}({len(field)} characters)"
