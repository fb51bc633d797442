"""Which products carry this: components, known vulnerabilities and keys across the reports that somebody may see."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Select, func, insert, literal, select
from sqlalchemy.orm import Session

from fwcheck.model import Report
from fwcheck.service import nouns
from fwcheck.service.tables import FoundComponent, FoundKey, FoundVulnerability, Product, Scan
from fwcheck.service.tokens import Principal

INDEX = 1  # what the tables hold of a report: raised when that changes, so that reports are indexed again
TABLES = (FoundComponent, FoundVulnerability, FoundKey)
_MOST = 500  # rows of one answer
_ROWS = 20_000  # that one report adds to each table


def index(session: Session, key: str, report: Report) -> None:
    """Notes what a report names."""
    components = {(each.name[:200], (each.version or each.version_range or "")[:200]) for each in report.components}
    vulnerabilities = {(one.id[:200], each.name[:200]) for each in report.components for one in each.vulnerabilities}
    keys = {
        (each.fingerprint, each.kind, each.evidence[0].location.path[:500] if each.evidence else "")
        for each in report.device.crypto
        if each.fingerprint and len(each.fingerprint) <= 64
    }
    _insert(session, FoundComponent, ({"report": key, "name": name, "version": version} for name, version in components))
    _insert(session, FoundVulnerability, ({"report": key, "name": name, "component": held} for name, held in vulnerabilities))
    _insert(session, FoundKey, ({"report": key, "fingerprint": mark, "kind": kind, "path": path} for mark, kind, path in keys))


def _insert(session: Session, table: type, rows: Iterable[dict[str, str]]) -> None:
    known = sorted(rows, key=lambda row: tuple(row.values()))[:_ROWS]
    if known:
        session.execute(insert(table), known)


def search(
    session: Session,
    principal: Principal,
    *,
    component: str | None,
    version: str | None,
    vulnerability: str | None,
    key: str | None,
) -> nouns.Hits:
    """Products and versions whose report names it, the newest version of each first."""
    query: Select[str, str, str, str, str]
    if component is not None:
        query = _hits(principal, FoundComponent, FoundComponent.version, "").where(FoundComponent.name == component.lower())
        query = query.where(FoundComponent.version == version) if version is not None else query
    elif vulnerability is not None:
        query = _hits(principal, FoundVulnerability, FoundVulnerability.component, "")
        query = query.where(FoundVulnerability.name == vulnerability.upper())
    else:
        query = _hits(principal, FoundKey, FoundKey.kind, FoundKey.path).where(FoundKey.fingerprint == (key or "").lower())
    rows = session.execute(query.order_by(Product.name, Scan.id.desc()).limit(_MOST + 1)).all()
    last = select(Product.name, func.max(Scan.id)).join(Scan, Scan.product_id == Product.id).where(Scan.state == "done")
    newest = {name: id for name, id in session.execute(last.group_by(Product.name))}  # noqa: C416  # rows, not pairs
    items = [
        nouns.Hit(product=product, version=held, scan=scan, latest=newest.get(product) == scan, what=what, where=where)
        for product, held, scan, what, where in rows[:_MOST]
    ]
    return nouns.Hits(items=items, more=len(rows) > _MOST)


def _hits(principal: Principal, table: type, what: object, where: object) -> Select[str, str, str, str, str]:
    place = literal(where) if isinstance(where, str) else where
    query = select(Product.name, Scan.version, Scan.id, what, place).select_from(table)  # type: ignore[call-overload]
    query = query.join(Scan, Scan.report == table.report).join(Product, Product.id == Scan.product_id)  # type: ignore[attr-defined]
    if principal.products is not None:
        query = query.where(Product.name.in_(principal.products))
    found: Select[str, str, str, str, str] = query
    return found
