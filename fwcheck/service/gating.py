"""Gates of scans: what the server asks of a product, and what a client asks besides. Both have to hold, each by itself.

The server asks by a policy (the product's, else the one for all) and a baseline (a version, or the newest that went out). A
client's demands are judged beside the server's, never in their place: nothing that a client sends loosens what the server asks.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from fwcheck.analysers.registry import rules
from fwcheck.gate import Baseline, BrokenFile, Demands, Policy, Waivers, exit_status
from fwcheck.judging import Gates
from fwcheck.language.told import told
from fwcheck.model import GateResult, Report
from fwcheck.pipeline import ran
from fwcheck.reports.json import read
from fwcheck.reports.registry import Lang
from fwcheck.service import attachments, nouns, scans, waivers
from fwcheck.service.context import Context
from fwcheck.service.problems import Problem
from fwcheck.service.tables import Product, Scan, now
from fwcheck.service.tokens import Principal

RELEASED = "released"  # the baseline that follows what went out
NONE = "none"  # a client's demands against everything, whatever the product's baseline is


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the server asks of the scans of a product. ``lost``: the baseline that was chosen and has no report any more."""

    policy: nouns.Policy | None = None
    baseline: Scan | None = None
    lost: str = ""

    @property
    def nothing(self) -> bool:
        """Whether it asks nothing."""
        return self.policy is None and self.baseline is None and not self.lost


def policy(session: Session, product: Product | None) -> nouns.Policy | None:
    """The policy that holds for a product: its own, else the one for all. None for the product: the one for all."""
    holders: tuple[tuple[Product | None, Literal["product", "server"]], ...] = ((product, "product"), (None, "server"))
    for holder, of in holders[0 if product is not None else 1 :]:
        for each in attachments.kept(session, holder):
            if each.kind == "policy":
                text = attachments.content(session, each.sha256).decode()
                return nouns.Policy(of=of, name=_called(text, each.name), file=each, text=text)
    return None


def _called(text: str, file: str) -> str:
    """What a policy calls itself, else its file."""
    try:
        return Policy.parse(text.encode(), file).name
    except BrokenFile:  # told where it is used
        return file


def asked(session: Session, product: Product, scan: Scan | None = None) -> Asked:
    """What the server asks of a scan of this product. No scan is its own baseline, nor one that went out after it."""
    chosen, found = product.baseline, None
    if chosen == RELEASED:
        went = select(Scan).where(Scan.product_id == product.id, Scan.released.is_not(None), Scan.state == "done")
        went = went.where(Scan.id < scan.id) if scan is not None else went
        found = session.scalar(went.order_by(Scan.id.desc()).limit(1))
    elif chosen is not None and (scan is None or scan.id != chosen):
        found = session.get(Scan, chosen)
    lost = found.version if found is not None and found.report is None else ""
    return Asked(policy=policy(session, product), baseline=None if lost else found, lost=lost)


def judged(
    context: Context,
    scan: Scan,
    demands: Demands | None = None,
    baseline: Scan | str | None = None,
    server: Asked | None = None,
) -> Report:
    """The report of a scan with the waivers of its product, and its gate: what the server asks and what the client asks.

    ``baseline``: of the client's demands; None: the server's. ``server``: what it asks, where that is known already.
    Raises Problem when there is no report, or it judges no such level.
    """
    report = read(scans.report_bytes(context, scan))
    with context.database.read() as session:
        server = server or asked(session, session.get_one(Product, scan.product_id), scan)
        waived = waivers.as_gate(waivers.of(session, scan.product_id))
    results = []
    if not server.nothing:
        results.append(held := _held(context, report, waived, Demands(), _policy(server), server.baseline))
        if server.lost:
            note = f"the report of the baseline {server.lost} is no longer kept: everything counts"
            results[0] = msgspec.structs.replace(held, gate=msgspec.structs.replace(held.gate, notes=(*held.gate.notes, note)))
    if (demands is not None and not demands.nothing) or isinstance(baseline, Scan) or not results:
        before = server.baseline if baseline is None else baseline
        since = before if isinstance(before, Scan) else None
        results.append(_held(context, report, waived, demands or Demands(), None, since))
    return msgspec.structs.replace(results[0], gate=both([each.gate for each in results]))


def _held(
    context: Context, report: Report, waived: Waivers | None, demands: Demands, policy: Policy | None, since: Scan | None
) -> Report:
    earlier = Baseline(scans.report_of(context, since), since.version) if since is not None else None
    gates = Gates(demands=demands, policy=policy, baseline=earlier, waivers=waived, today=now().date())
    try:
        return gates.again(report, ran(rules(), report.device.declared))
    except ValueError as error:
        raise Problem(400, "Bad Request", str(error)) from error


def _policy(server: Asked) -> Policy | None:
    if server.policy is None:
        return None
    try:
        return Policy.parse(server.policy.text.encode(), server.policy.file.name)
    except BrokenFile as error:  # it was good when it came: rules or criteria have changed since
        raise Problem(409, "Conflict", f"the policy cannot be used by this version any more: {error}") from error


def both(gates: list[GateResult]) -> GateResult:
    """All of them at once: one that fails fails them all."""
    if len(gates) == 1:
        return gates[0]
    failed = [each for each in gates if not each.passed and not each.undecided]
    short = failed or [each for each in gates if not each.passed]
    return GateResult(
        asked=tuple(dict.fromkeys(one for each in gates for one in each.asked)),
        passed=not short,
        undecided=bool(short) and not failed,
        reasons=tuple(dict.fromkeys(one for each in short for one in each.reasons)),
        notes=tuple(dict.fromkeys(one for each in gates for one in each.notes)),
    )


def gate(
    context: Context, principal: Principal, id: str, demands: Demands, baseline: str | None, lang: Lang = "en"
) -> nouns.Gate:
    """Whether a scan may pass. ``baseline``: of the client's own demands, a scan or :data:`NONE`."""
    with context.database.read() as session:
        row, product, _ = scans.find(session, principal, id)
        before = scans.find(session, principal, baseline)[0] if baseline not in (None, NONE) else baseline
        server = asked(session, product, row)
    result = told(judged(context, row, demands, before, server), lang).gate
    return nouns.Gate(
        passed=result.passed,
        undecided=result.undecided,
        asked=result.asked,
        reasons=result.reasons,
        notes=result.notes,
        exit_status=exit_status(result),
        policy=nouns.GatePolicy(of=server.policy.of, name=server.policy.name, sha256=server.policy.file.sha256)
        if server.policy is not None
        else None,
        baseline=server.baseline.id if server.baseline is not None else None,
    )


def baseline(session: Session, product: Product) -> nouns.Baseline:
    """The baseline that was chosen for a product, and the scan that it is now."""
    now_it_is = asked(session, product).baseline
    kind: Literal["none", "scan", "released"] = "none"
    if product.baseline is not None:
        kind = "released" if product.baseline == RELEASED else "scan"
    return nouns.Baseline(
        kind=kind,
        scan=now_it_is.id if now_it_is is not None else None,
        version=now_it_is.version if now_it_is is not None else None,
    )


def choose(session: Session, product: Product, wanted: nouns.NewBaseline) -> nouns.Baseline:
    """Only what is new since that version counts from now on; raises Problem when it is none with a report."""
    if (wanted.scan is not None) + (wanted.version is not None) + wanted.released != 1:
        raise Problem(400, "Bad Request", "name one of scan, version and released")
    if wanted.released:
        product.baseline = RELEASED
        return baseline(session, product)
    held = select(Scan.id).where(Scan.product_id == product.id, Scan.report.is_not(None))
    held = held.where(Scan.id == wanted.scan) if wanted.scan is not None else held.where(Scan.version == wanted.version)
    found = session.scalar(held.order_by(Scan.id.desc()).limit(1))
    if found is None:
        raise Problem(404, "Not Found", "the product has no such version with a report")
    product.baseline = found
    return baseline(session, product)


def release(session: Session, principal: Principal, id: str, *, out: bool) -> nouns.Scan:
    """Marks a version as one that went out, or as one that did not."""
    row, product, image = scans.find(session, principal, id)
    if out and (row.state != "done" or row.report is None):
        raise Problem(409, "Conflict", "a version without a report cannot be a baseline", status_of_scan=row.state)
    row.released = (row.released or now()) if out else None
    session.flush()
    return scans.shown(row, product, image)
