"""Products, versions and their reports, as far as somebody may see them."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec
import zstandard
from sqlalchemy import Select, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from fwcheck.analysers.registry import rules
from fwcheck.difference import Difference, compare
from fwcheck.judging import Gates
from fwcheck.language.told import told
from fwcheck.model import Report
from fwcheck.pipeline import ran
from fwcheck.reports.json import read
from fwcheck.reports.registry import Lang
from fwcheck.service import attachments, hooks, nouns, uploads, waivers
from fwcheck.service.context import Context
from fwcheck.service.problems import Problem, unknown
from fwcheck.service.receiving import Received
from fwcheck.service.storage import image_key
from fwcheck.service.tables import Answered, Image, Product, Scan, new_id, now
from fwcheck.service.tokens import Principal, Role

TARGETS = ("STAR-1", "STAR-2", "STAR-3", "STAR-4")
_PRIORITIES = {"gate": 3, "audit": 7}  # smaller is sooner
_NAME = 100  # characters of a product's name or a version


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What an upload asks for."""

    product: str
    version: str
    target: str | None = None
    priority: int = 3  # gates wait less than audits
    upload: str = ""  # an image that has come in several requests
    fresh: bool = False  # scanned also when the same image was scanned before with the same rules


def order(fields: dict[str, str], *, whole: bool = True) -> Order:
    """The fields of an upload; raises Problem that names all that is wrong. Not ``whole``: more may come."""
    wrong: list[str] = []
    for name in ("product", "version"):
        text = fields.get(name, "" if whole else "-")
        if not _named(text):
            wrong.append(f"{name}: 1 to {_NAME} printable characters without / and \\")
    target = fields.get("target") or None
    if target is not None and target not in TARGETS:
        wrong.append(f"target: one of {', '.join(TARGETS)}")
    fresh = fields.get("fresh", "false")
    if fresh not in {"true", "false"}:
        wrong.append("fresh: true or false")
    if fields.get("urgency", "gate") not in _PRIORITIES:
        wrong.append(f"urgency: {' or '.join(_PRIORITIES)}")
    if not re.fullmatch("|[0-9a-f]{32}", fields.get("upload", "")):
        wrong.append("upload: the id of an upload")
    if unknown_fields := sorted(fields.keys() - {"product", "version", "target", "fresh", "upload", "urgency"}):
        wrong.append(f"unknown fields: {', '.join(name[:40] for name in unknown_fields[:5])}")
    if wrong:
        raise Problem(400, "Bad Request", "; ".join(wrong))
    return Order(
        product=fields.get("product", ""), version=fields.get("version", ""), target=target,
        upload=fields.get("upload", ""), priority=_PRIORITIES[fields.get("urgency", "gate")],
        fresh=fresh == "true",
    )  # fmt: skip


def _named(text: str) -> bool:
    fits = 0 < len(text) <= _NAME and text.isprintable() and text.strip() == text
    return fits and not set(text) & {"/", "\\"} and text not in {".", ".."}


def submit(context: Context, principal: Principal, wanted: Order, received: Received, key: str = "") -> nouns.Scan:
    """Keeps the image and queues its scan, or answers from history when that would say the same.

    ``key``: what the client calls this request; sent again with the same content, it is the same scan.
    """
    if not principal.sees(wanted.product):
        raise Problem(403, "Forbidden", "the token has no grant for this product")
    least = Role[context.settings.attach_role.upper()]
    if received.files and principal.role < least:
        raise Problem(403, "Forbidden", f"files beside the image need the role {least.word} here")
    staged = received.staged
    sha256 = staged.sha256
    context.store.keep(staged, image_key(sha256))
    scan = _entry(context, principal, wanted, received, key)
    if not context.store.holds(image_key(sha256)):
        context.store.keep(staged, image_key(sha256))  # retention took it in this moment
    return scan


def noted(scan: nouns.Scan, received: Received) -> str:
    """An upload, for the audit log."""
    files = "".join(f"; {each.kind} {each.name} {each.sha256[:16]}" for each in received.files)
    return f"{scan.product} {scan.version}: scan {scan.id}{files}"


def _entry(context: Context, principal: Principal, wanted: Order, received: Received, key: str) -> nouns.Scan:
    name, sha256 = received.name, received.staged.sha256
    files = [f"{each.kind}\0{each.name}\0{each.sha256}" for each in received.files]
    for _ in range(3):
        try:
            with context.database.write() as session:
                said = "\0".join((wanted.product, wanted.version, wanted.target or "", str(wanted.fresh), name, sha256, *files))
                digest = hashlib.sha256(said.encode()).hexdigest()
                if key and (before := _answered(session, principal, key, digest)) is not None:
                    return before
                scan = _entered(context, session, principal, wanted, received)
                if key:
                    session.add(Answered(token_id=principal.token, key=key, digest=digest, scan_id=scan.id))
                    session.flush()
                uploads.forget(session, received.staged.path.name)
                return scan
        except IntegrityError:
            continue  # somebody made the same product or stored the same image in this moment
    raise Problem(503, "Service Unavailable", "the database is busy", headers={"Retry-After": "1"})


def answered(context: Context, principal: Principal, key: str, wanted: Order) -> nouns.Scan | None:
    """The scan that a request of this key became before, when it was for this version."""
    with context.database.read() as session:
        held = session.scalar(select(Answered).where(Answered.token_id == principal.token, Answered.key == key))
        before = shown(*find(session, principal, held.scan_id)) if held is not None else None
    return before if before is not None and (before.product, before.version) == (wanted.product, wanted.version) else None


def _answered(session: Session, principal: Principal, key: str, digest: str) -> nouns.Scan | None:
    held = session.scalar(select(Answered).where(Answered.token_id == principal.token, Answered.key == key))
    if held is None:
        return None
    if held.digest != digest:
        raise Problem(422, "Unprocessable Content", "this idempotency key was used for another upload")
    return shown(*find(session, principal, held.scan_id))


def _entered(context: Context, session: Session, principal: Principal, wanted: Order, received: Received) -> nouns.Scan:
    sha256 = received.staged.sha256
    image = session.get(Image, sha256)
    if image is None:
        image = Image(sha256=sha256, size=received.staged.size)
        session.add(image)
    image.removed = None
    product = made(session, wanted.product)
    session.flush()
    given = attachments.gathered(session, product, received.files)
    scan = Scan(
        id=new_id(), product_id=product.id, image_sha256=sha256, image_name=received.name, version=wanted.version,
        target=wanted.target, token_id=principal.token, priority=wanted.priority, given=attachments.digest(given),
    )  # fmt: skip
    earlier = None if wanted.fresh else _same(context, session, scan)
    if earlier is not None:
        scan.state, scan.finished, scan.stage = "done", now(), "answered from history"
        for copied in ("report", "highest", "score", "judged", "rules", "knowledge", "findings", "components", "indexed"):
            setattr(scan, copied, getattr(earlier, copied))
    session.add(scan)
    session.flush()
    attachments.note(session, scan.id, given)
    if earlier is not None:
        hooks.enter(session, scan, product.name)
    return shown(scan, product, image)


def made(session: Session, name: str) -> Product:
    """The product of a name, new when there is none."""
    found = session.scalar(select(Product).where(Product.name == name))
    if found is None:
        found = Product(id=new_id(), name=name)
        session.add(found)
        session.flush()
    return found


def made_for(session: Session, principal: Principal, name: str) -> Product:
    """The product of a name, new when there is none; raises Problem when it is not for this one."""
    if not principal.sees(name):
        raise unknown("product")
    return made(session, name)


def check_name(name: str) -> None:
    """Raises Problem for what cannot be the name of a product."""
    if not _named(name):
        raise Problem(400, "Bad Request", f"product: 1 to {_NAME} printable characters without / and \\")


def _same(context: Context, session: Session, scan: Scan) -> Scan | None:
    """An earlier scan whose report would not differ: same image, name, level and files, by the rules and knowledge of today."""
    rules, knowledge = context.standing
    alike = select(Scan).where(
        Scan.image_sha256 == scan.image_sha256,
        Scan.image_name == scan.image_name,
        Scan.given == scan.given,
        Scan.state == "done",
        Scan.rules == rules,
        Scan.knowledge == knowledge,
        Scan.target == scan.target if scan.target is not None else Scan.target.is_(None),
        Scan.tries <= 1,  # a report that tells of lost workers is worth another try
    )
    return session.scalar(alike.order_by(Scan.id.desc()).limit(1))


def shown(scan: Scan, product: Product, image: Image) -> nouns.Scan:
    """A scan as the API tells it."""
    tier = nouns.Tier(target=scan.judged, highest_not_refuted=scan.highest) if scan.judged is not None else None
    return nouns.Scan(
        id=scan.id,
        product=product.name,
        version=scan.version,
        target=scan.target,
        image=nouns.ImageInfo(name=scan.image_name, size=image.size, sha256=image.sha256),
        status=scan.state,
        progress=nouns.Progress(stage=scan.stage, done=scan.done, total=scan.total),
        tries=scan.tries,
        problem=scan.problem,
        tier=tier,
        score=scan.score,
        findings=scan.findings,
        components=scan.components,
        created=scan.created,
        started=scan.started,
        finished=scan.finished,
        status_url=f"/api/v1/scans/{scan.id}",
        report_url=f"/api/v1/scans/{scan.id}/report" if scan.state == "done" else None,
        reused=scan.report is not None and scan.id not in scan.report,
        released=scan.released,
    )


def _rows() -> Select[Scan, Product, Image]:
    return (
        select(Scan, Product, Image).join(Product, Product.id == Scan.product_id).join(Image, Image.sha256 == Scan.image_sha256)
    )


def _seen(query: Any, principal: Principal) -> Any:
    return query if principal.products is None else query.where(Product.name.in_(principal.products))


def find(session: Session, principal: Principal, id: str) -> tuple[Scan, Product, Image]:
    """A scan with what belongs to it; raises Problem when there is none for this one."""
    row = session.execute(_seen(_rows().where(Scan.id == id), principal)).one_or_none()
    if row is None:
        raise unknown("scan")
    return row[0], row[1], row[2]


def product(session: Session, principal: Principal, name: str) -> Product:
    """A product; raises Problem when there is none for this one."""
    found: Product | None = session.scalar(_seen(select(Product).where(Product.name == name), principal))
    if found is None:
        raise unknown("product")
    return found


def previous(session: Session, scan: Scan) -> Scan | None:
    """The version of the same product before this one that has a report."""
    before = select(Scan).where(Scan.product_id == scan.product_id, Scan.id < scan.id, Scan.report.is_not(None))
    return session.scalar(before.order_by(Scan.id.desc()).limit(1))


def history(session: Session, principal: Principal, name: str, before: str | None, limit: int) -> nouns.History:
    """The versions of a product, the newest first."""
    query = _rows().where(Scan.product_id == product(session, principal, name).id).order_by(Scan.id.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(Scan.id < before)
    rows = [shown(scan, product, image) for scan, product, image in session.execute(query)]
    return nouns.History(product=name, items=rows[:limit], next=rows[limit - 1].id if len(rows) > limit else None)


def products(session: Session, principal: Principal, after: str | None, limit: int) -> nouns.Products:
    """The products by name, each with its newest version."""
    newest = (
        select(Scan.product_id, func.max(Scan.id).label("id"), func.count().label("count")).group_by(Scan.product_id).subquery()
    )
    query = _seen(
        select(Product, newest.c.count, Scan, Image)
        .outerjoin(newest, newest.c.product_id == Product.id)
        .outerjoin(Scan, Scan.id == newest.c.id)
        .outerjoin(Image, Image.sha256 == Scan.image_sha256)
        .order_by(Product.name)
        .limit(limit + 1),
        principal,
    )
    if after is not None:
        query = query.where(Product.name > after)
    items = [
        nouns.Product(
            name=product.name, created=product.created, versions=count or 0, latest=shown(scan, product, image) if scan else None
        )
        for product, count, scan, image in session.execute(query)
    ]
    return nouns.Products(items=items[:limit], next=items[limit - 1].name if len(items) > limit else None)


def report_of(context: Context, scan: Scan) -> Report:
    """The report of a scan with the waivers of its product; raises Problem when it is not done."""
    report = read(report_bytes(context, scan))
    with context.database.read() as session:
        waived = waivers.as_gate(waivers.of(session, scan.product_id))
    if waived is None:
        return report
    held = Gates(waivers=waived, today=now().date())
    return held.again(report, ran(rules(), report.device.declared))


def comparison(context: Context, principal: Principal, id: str, old: str | None, lang: Lang = "en") -> Difference:
    """What changed in a version since another one, or since the one before it."""
    with context.database.read() as session:
        new, _, _ = find(session, principal, id)
        before = find(session, principal, old)[0] if old is not None else previous(session, new)
    if before is None:
        raise Problem(404, "Not Found", "there is no earlier version with a report")
    return compare(told(report_of(context, before), lang), told(report_of(context, new), lang))


def report_bytes(context: Context, scan: Scan) -> bytes:
    """The report as JSON, as it is kept; raises Problem when it is not done."""
    if scan.state == "failed":
        raise Problem(422, "Unprocessable Content", f"the image could not be analysed: {scan.problem}", status_of_scan=scan.state)
    if scan.state == "done" and scan.report is None:
        raise Problem(410, "Gone", "the report is no longer kept")
    if scan.state != "done" or scan.report is None:
        raise Problem(409, "Conflict", "the scan is not done yet", headers={"Retry-After": "2"}, status_of_scan=scan.state)
    try:
        return zstandard.decompress(context.store.get(scan.report), max_output_size=1 << 30)
    except FileNotFoundError as error:
        raise Problem(410, "Gone", "the report is no longer kept") from error
