"""Signing in with a token in a browser: a cookie that scripts cannot read, a mark in every form that other sites cannot know."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta

from sqlalchemy import delete

from fwcheck.service.context import Context
from fwcheck.service.tables import Visit, now
from fwcheck.service.tokens import Principal

COOKIE = "fwcheck_visit"
HOURS = 12


def begin(context: Context, principal: Principal) -> str:
    """The value of the cookie for somebody whose token was good."""
    value = secrets.token_urlsafe(32)
    with context.database.write() as session:
        session.add(Visit(digest=_digest(value), token_id=principal.token, expires=now() + timedelta(hours=HOURS)))
    return value


def whose(context: Context, value: str) -> Principal | None:
    """Who holds this cookie; None when it is none, it is too old, or its token no longer counts."""
    if not value or len(value) > 100:
        return None
    with context.database.read() as session:
        visit = session.get(Visit, _digest(value))
    if visit is None or visit.expires <= now():
        return None
    return context.tokens.holder(visit.token_id)


def end(context: Context, value: str) -> None:
    """The cookie counts no longer."""
    with context.database.write() as session:
        session.execute(delete(Visit).where(Visit.digest == _digest(value)))


def mark(context: Context, value: str) -> str:
    """What forms and scripts of this visit have to send along."""
    return context.key.derived("form", _digest(value))


def marked(context: Context, value: str, sent: str) -> bool:
    """Whether it was sent along."""
    return hmac.compare_digest(mark(context, value).encode(), sent.encode())


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
