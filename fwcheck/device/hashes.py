"""What the password field of a passwd, shadow or htpasswd entry means, and what one guess at it costs.

Shapes are those of crypt(5) of libxcrypt; ``x``, ``*`` and ``!`` are described in passwd(5) and shadow(5).
"""

from __future__ import annotations

import re
from typing import Literal

Password = Literal["empty", "locked", "hash", "none"]
Scheme = Literal["des", "md5", "sha256", "sha512", "bcrypt", "yescrypt", "other"]

_B64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # value order of crypt's own base 64
_LOCKS = re.compile(r"[!*].*|x|\*?(?:LK|NP|LOCKED?)\*?|!?NO ?PASSWORD.*|disabled?|-+|X+", re.IGNORECASE)
_SHAPES: tuple[tuple[Scheme, re.Pattern[str]], ...] = (
    ("md5", re.compile(r"\$(?:1|apr1)\$")),
    ("sha256", re.compile(r"\$5\$")),
    ("sha512", re.compile(r"\$6\$")),
    ("bcrypt", re.compile(r"\$2[abxy]?\$\d\d\$")),
    ("yescrypt", re.compile(r"\$(?:y|gy|7)\$")),
    ("des", re.compile(r"[./0-9A-Za-z]{13}$|_[./0-9A-Za-z]{19}$")),
)
# Nominal microseconds per guess on one core: fixed figures, so that the number of words tried never depends on the machine.
_DES, _BSDI, _MD5, _SHA_5000, _BCRYPT_10, _YESCRYPT_J9T = 4, 4, 92, 940, 43_000, 14_500
UNSALTED = re.compile(
    r"\{SHA\}[A-Za-z0-9+/]{27}=|[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64}"
)  # SHA-1 or MD5, SHA-1, SHA-256
_NOLOGIN = ("nologin", "false", "true", "sync", "halt", "shutdown", "null", "noshell")


def classify(field: str) -> tuple[Password, Scheme | None]:
    """State and scheme of a stored password field."""
    if not field:
        return "empty", None
    if _LOCKS.fullmatch(field):
        return "locked", None
    for scheme, shape in _SHAPES:
        if shape.match(field):
            return "hash", scheme
    return "hash", "other"


def guess_cost(field: str) -> int | None:
    """Nominal microseconds of one guess; None when the hash is not of a kind that is tried or asks for too much work."""
    if field.startswith(("$1$", "$apr1$")):
        return _MD5
    if field.startswith(("$5$", "$6$")):
        asked = re.match(r"\$[56]\$rounds=(\d{1,9})\$", field)
        return _bounded(_SHA_5000 * max(1000, int(asked[1])) // 5000 if asked else _SHA_5000)
    if bcrypt := re.match(r"\$2[abxy]?\$(\d\d)\$", field):
        log = int(bcrypt[1])
        return _bounded(_BCRYPT_10 * 2 ** (log - 10) if log >= 10 else _BCRYPT_10 // 2 ** (10 - log)) if 4 <= log <= 31 else None
    if yescrypt := re.match(r"\$g?y\$j([./0-9A-Za-z])([./0-9A-Za-z])\$", field):
        power, blocks = _B64.index(yescrypt[1]) + 1, _B64.index(yescrypt[2]) + 1  # N = 2^power, r
        return _bounded((_YESCRYPT_J9T * blocks << power) // (32 << 12)) if 2 <= power <= 13 and blocks <= 32 else None
    if re.fullmatch(r"_[./0-9A-Za-z]{19}", field):
        rounds = sum(_B64.index(digit) << 6 * place for place, digit in enumerate(field[1:5]))
        return _bounded(_BSDI * max(1, rounds) // 25)
    if re.fullmatch(r"[./0-9A-Za-z]{13}", field):
        return _DES
    if re.fullmatch(r"\{nt\}[0-9A-Fa-f]{32}", field):
        return _MD5
    return _DES if UNSALTED.fullmatch(field) else None


def _bounded(cost: int) -> int | None:
    return max(1, cost) if cost <= 400_000 else None


def allows_login(shell: str) -> bool:
    """Whether a passwd shell lets its account in; an empty shell means ``/bin/sh`` (passwd(5))."""
    return shell.rstrip("/").rsplit("/", 1)[-1] not in _NOLOGIN


def masked(field: str) -> str:
    """A password field fit to be shown: scheme and length, no digits of the secret."""
    password, _ = classify(field)
    if password != "hash":
        return field
    head = re.match(r"\$[^$]{1,8}\$|", field)
    return f"{head[0] if head else ''}{'*' * 6}({len(field)} characters)"
