"""Bearer tokens: ``fwc_<id>_<secret>``. The secret is kept as scrypt (RFC 7914), never as itself."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from datetime import datetime
from enum import IntEnum
from threading import Lock

import msgspec
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fwcheck.service.database import Database
from fwcheck.service.tables import Grant, Token, now

_SCRYPT = {"n": 1 << 14, "r": 8, "p": 1, "dklen": 32}  # 16 MiB and some 40 ms for each guess
_REMEMBER = 300.0  # seconds that a token once checked need not be hashed again
_REMEMBERED = 1024


class Role(IntEnum):
    """What somebody may do; who may do more may do all of the less."""

    UPLOADER = 1
    AUDITOR = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """As the API says it."""
        return self.name.lower()


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking. ``products``: the names it is limited to; None: all."""

    token: str
    name: str
    role: Role
    products: frozenset[str] | None = None

    def sees(self, product: str) -> bool:
        """Whether the product exists for this one."""
        return self.products is None or product in self.products


def issue(
    session: Session, name: str, role: Role, products: tuple[str, ...] = (), expires: datetime | None = None
) -> tuple[Token, str]:
    """A new token and what its holder has to send: said once."""
    id, secret, salt = secrets.token_hex(6), secrets.token_urlsafe(32), secrets.token_bytes(16)
    token = Token(id=id, name=name, role=role.word, salt=salt.hex(), digest=_hash(secret, salt), expires=expires)
    session.add(token)
    session.flush()
    session.add_all(Grant(token_id=id, product=product) for product in dict.fromkeys(products))
    return token, f"fwc_{id}_{secret}"


def first(session: Session) -> str | None:
    """The token of the first administrator, when there is no token yet."""
    if session.scalar(select(func.count()).select_from(Token)):
        return None
    return issue(session, "first administrator", Role.ADMIN)[1]


class Tokens:
    """Checks tokens. What was checked is remembered by its SHA-256 for a while; revocation and expiry are looked up each time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[bytes, tuple[str, float]] = OrderedDict()  # SHA-256 of the whole token: salt and digest, until
        self._lock = Lock()

    def check(self, presented: str) -> Principal | None:
        """Who holds this token, None when it is none, or no longer."""
        prefix, _, rest = presented.partition("_")
        id, _, secret = rest.partition("_")
        if prefix != "fwc" or not id or not secret or len(presented) > 200 or not presented.isascii():
            return None
        with self._database.read() as session:
            token = session.get(Token, id)
            grants = frozenset(session.scalars(select(Grant.product).where(Grant.token_id == id))) if token else frozenset()
        if not self._fits(presented, secret, token) or token is None:
            return None
        return _standing(token, grants)

    def holder(self, id: str) -> Principal | None:
        """Who holds the token of this id, as long as it counts."""
        with self._database.read() as session:
            token = session.get(Token, id)
            grants = frozenset(session.scalars(select(Grant.product).where(Grant.token_id == id)))
        return _standing(token, grants) if token is not None else None

    def signed_on(self, id: str) -> bool:
        """Whether it stands for somebody who signed in by the identity provider."""
        with self._database.read() as session:
            token = session.get(Token, id)
        return token is not None and token.subject is not None

    def _fits(self, presented: str, secret: str, token: Token | None) -> bool:
        if token is None or not token.digest:
            _hash(secret, b"0123456789abcdef")  # the time taken does not tell which ids there are
            return False
        seal = hashlib.sha256(presented.encode()).digest()
        stored = token.salt + token.digest
        with self._lock:
            held, until = self._known.get(seal, ("", 0.0))
        if held == stored and until > time.monotonic():
            return True
        if not hmac.compare_digest(_hash(secret, bytes.fromhex(token.salt)), token.digest):
            return False
        with self._lock:
            self._known[seal] = (stored, time.monotonic() + _REMEMBER)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return True


def _standing(token: Token, grants: frozenset[str]) -> Principal | None:
    if token.revoked is not None or (token.expires is not None and token.expires <= now()):
        return None
    return Principal(token=token.id, name=token.name, role=Role[token.role.upper()], products=grants or None)


def _hash(secret: str, salt: bytes) -> str:
    return hashlib.scrypt(secret.encode(), salt=salt, **_SCRYPT).hex()
