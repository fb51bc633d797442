"""What changed between two reports: components, services, accounts, findings and verdicts that appeared, went or changed.

Findings are the same by their fingerprint, which outlives builds; components by name, where one version was replaced by another.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Literal, TypeVar

import msgspec

from fwcheck.model import Finding, Report


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that differs. ``before`` and ``after`` are empty where it was not there."""

    what: str  # "openssl", "telnetd", "root", "UPD-002 ...", "S1.1-08"
    kind: Literal["appeared", "went", "changed"]
    before: str = ""
    after: str = ""
    worse: bool | None = None  # where one can be said to be worse than the other
    place: str = ""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that differs between two reports, in groups."""

    old: str
    new: str
    verdicts: tuple[Change, ...] = ()
    findings: tuple[Change, ...] = ()
    components: tuple[Change, ...] = ()
    services: tuple[Change, ...] = ()
    accounts: tuple[Change, ...] = ()
    coverage: tuple[Change, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether nothing differs."""
        return not any((self.verdicts, self.findings, self.components, self.services, self.accounts, self.coverage))


Item = TypeVar("Item")
_VERDICTS = ("support", "not-observed", "declared", "not-applicable", "not-decidable", "concern", "violation")
_ENABLED = ("no", "unknown", "yes")
_UNREAD = 0.01  # share of the image by which what is unread has to differ to be told


def compare(old: Report, new: Report) -> Difference:
    """What is different in ``new``."""
    return Difference(
        old=f"{old.image.name} ({old.image.sha256[:12]})",
        new=f"{new.image.name} ({new.image.sha256[:12]})",
        verdicts=tuple(_verdicts(old, new)),
        findings=tuple(_findings(old, new)),
        components=tuple(_components(old, new)),
        services=tuple(_services(old, new)),
        accounts=tuple(_accounts(old, new)),
        coverage=tuple(_coverage(old, new)),
    )


def _paired(old: Iterable[Item], new: Iterable[Item], key: Callable[[Item], Hashable]) -> list[tuple[Item | None, Item | None]]:
    before: dict[Hashable, Item] = {}
    after: dict[Hashable, Item] = {}
    for held, items in ((before, old), (after, new)):
        for item in items:
            held.setdefault(key(item), item)
    return [(before.get(each), after.get(each)) for each in dict.fromkeys((*before, *after))]


def _verdicts(old: Report, new: Report) -> Iterable[Change]:
    """Criteria of the target level of the new report."""
    target = new.tier.target
    rows = [{row.id: row for tier in each.tiers if tier.id == target for row in tier.criteria} for each in (old, new)]
    for id in dict.fromkeys((*rows[0], *rows[1])):
        before, after = rows[0].get(id), rows[1].get(id)
        if before is not None and after is not None and before.verdict != after.verdict:
            worse = _VERDICTS.index(after.verdict.value) > _VERDICTS.index(before.verdict.value)
            yield Change(what=id, kind="changed", before=before.verdict.value, after=after.verdict.value, worse=worse)
    if old.tier.score != new.tier.score and old.tier.target == target:
        yield Change(
            what="score",
            kind="changed",
            before=str(old.tier.score),
            after=str(new.tier.score),
            worse=new.tier.score < old.tier.score,
        )


def _findings(old: Report, new: Report) -> Iterable[Change]:
    for before, after in _paired(old.findings, new.findings, lambda each: each.fingerprint):
        held = after or before
        if held is None or held.verdict == "info":
            continue
        what, place = f"{held.rule} {held.title}", held.location.path
        adverse = held.verdict in ("violation", "concern")
        if before is None:
            yield Change(what=what, kind="appeared", after=_weight(held), worse=adverse, place=place)
        elif after is None:
            yield Change(what=what, kind="went", before=_weight(held), worse=not adverse, place=place)
        elif _weight(before) != _weight(after):
            yield Change(what=what, kind="changed", before=_weight(before), after=_weight(after), place=place)


def _weight(finding: Finding) -> str:
    return f"{finding.severity.value} {finding.verdict}" + (" (waived)" if finding.waived else "")


def _components(old: Report, new: Report) -> Iterable[Change]:
    """By name: the versions that one image holds against those of the other."""
    versions: list[dict[str, set[str]]] = [{}, {}]
    for held, report in zip(versions, (old, new), strict=True):
        for component in report.components:
            held.setdefault(component.name, set()).add(component.release)
    for name in sorted(versions[0].keys() | versions[1].keys()):
        before, after = versions[0].get(name), versions[1].get(name)
        if before == after:
            continue
        kind: Literal["appeared", "went", "changed"] = "appeared" if before is None else "went" if after is None else "changed"
        yield Change(what=name, kind=kind, before=", ".join(sorted(before or ())), after=", ".join(sorted(after or ())))


def _services(old: Report, new: Report) -> Iterable[Change]:
    def started(enabled: str) -> str:
        return {"yes": "started by default", "no": "not started"}.get(enabled, "start not decidable")

    for before, after in _paired(old.device.services, new.device.services, lambda each: (each.name, each.program)):
        held = after or before
        if held is None:
            continue
        if before is None:
            yield Change(
                what=held.name, kind="appeared", after=started(held.enabled), worse=held.enabled == "yes", place=held.program
            )
        elif after is None:
            yield Change(what=held.name, kind="went", before=started(held.enabled), place=held.program)
        elif before.enabled != after.enabled:
            worse = _ENABLED.index(after.enabled) > _ENABLED.index(before.enabled)
            yield Change(
                what=held.name, kind="changed", before=started(before.enabled), after=started(after.enabled), worse=worse,
                place=held.program,
            )  # fmt: skip


def _accounts(old: Report, new: Report) -> Iterable[Change]:
    for before, after in _paired(old.device.accounts, new.device.accounts, lambda each: (each.name, each.file)):
        held = after or before
        if held is None:
            continue
        states = [
            f"password: {each.password}" + (", cracked" if each.cracked else "") if each else "" for each in (before, after)
        ]
        if states[0] == states[1]:
            continue
        kind: Literal["appeared", "went", "changed"] = "appeared" if before is None else "went" if after is None else "changed"
        worse = None if after is None else after.password == "empty" or after.cracked
        yield Change(what=held.name, kind=kind, before=states[0], after=states[1], worse=worse, place=held.file)


def _coverage(old: Report, new: Report) -> Iterable[Change]:
    """What could not be read, where it differs by more than one part in a hundred."""
    shares = []
    for report in (old, new):
        account = report.coverage
        shares.append((account.bytes_unknown + account.bytes_encrypted) / max(1, account.bytes_total))
    if abs(shares[0] - shares[1]) > _UNREAD:
        before, after = (f"{100 * share:.1f} % unread" for share in shares)
        yield Change(what="image", kind="changed", before=before, after=after, worse=shares[1] > shares[0])
