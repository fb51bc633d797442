"""Waivers of a product: findings that somebody answers for until a date. They count in its gates and reports from then on."""

from __future__ import annotations

import datetime as dt

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from fwcheck.gate import Waivers
from fwcheck.gate.waivers import Entry
from fwcheck.service import nouns
from fwcheck.service.problems import Problem, unknown
from fwcheck.service.tables import Product, Waiver, now
from fwcheck.service.tokens import Principal

_MOST = 5000  # of one product
_YEARS = 366 * 2  # days that a waiver may last


def of(session: Session, product_id: str) -> list[Waiver]:
    """Those that stand, the oldest first."""
    return list(
        session.scalars(select(Waiver).where(Waiver.product_id == product_id, Waiver.ended.is_(None)).order_by(Waiver.id))
    )


def as_gate(rows: list[Waiver]) -> Waivers | None:
    """For the gate; None when there are none."""
    entries = tuple(
        Entry(
            reason=row.reason, owner=row.owner, expires=dt.date.fromisoformat(row.expires), rule=row.rule,
            fingerprint=row.fingerprint, path=row.path,
        )
        for row in rows
    )  # fmt: skip
    return Waivers(name="waivers of the product", entries=entries) if entries else None


def add(session: Session, principal: Principal, product: Product, wanted: nouns.NewWaiver) -> nouns.Waiver:
    """A new one; raises Problem for one that says too little."""
    today = now().date()
    try:
        entry = msgspec.convert(msgspec.to_builtins(wanted) | {"owner": wanted.owner or principal.name}, Entry)
    except msgspec.ValidationError as error:
        raise Problem(400, "Bad Request", str(error)) from error
    if not entry.rule and not entry.fingerprint:
        raise Problem(400, "Bad Request", "a waiver names a rule or a fingerprint")
    if entry.path.count("*") > 16 or (entry.path and not entry.path.startswith(("/", "**", "0x"))):
        raise Problem(400, "Bad Request", "path: begins with / or **, and has 16 stars at most")
    if not today <= entry.expires <= today + dt.timedelta(days=_YEARS):
        raise Problem(400, "Bad Request", f"expires: a day within the next {_YEARS} days")
    if any(not text.isprintable() for text in (entry.rule, entry.path, entry.owner)) or "\0" in entry.reason:
        raise Problem(400, "Bad Request", "rule, path and owner are printable text")
    if len(of(session, product.id)) >= _MOST:
        raise Problem(409, "Conflict", f"a product has at most {_MOST} waivers")
    row = Waiver(
        product_id=product.id, rule=entry.rule, fingerprint=entry.fingerprint, path=entry.path, reason=entry.reason,
        owner=entry.owner[:200], expires=entry.expires.isoformat(), token_id=principal.token,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return shown(row)


def end(session: Session, product: Product, id: str) -> None:
    """It counts no longer; the log keeps that it was."""
    row = session.get(Waiver, id)
    if row is None or row.product_id != product.id or row.ended is not None:
        raise unknown("waiver")
    row.ended = now()


def shown(row: Waiver) -> nouns.Waiver:
    """As the API tells it."""
    return nouns.Waiver(
        id=row.id, rule=row.rule, fingerprint=row.fingerprint, path=row.path, reason=row.reason, owner=row.owner,
        expires=dt.date.fromisoformat(row.expires), created=row.created, expired=row.expires < now().date().isoformat(),
    )  # fmt: skip
