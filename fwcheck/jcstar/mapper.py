"""The judge: findings and coverage against the profiles, criterion by criterion, level by level.

An image can contradict a criterion; it cannot prove one. So a level is refuted, or not refuted with the number of criteria on
which the image had something to say. Levels are cumulative: STAR-n holds the criteria of every level below it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TypedDict

import msgspec

from fwcheck.jcstar import preconditions, score
from fwcheck.jcstar.catalogue import Criterion, Profile, in_order, shipped
from fwcheck.jcstar.extent import Extent, measure
from fwcheck.model import Coverage, CriterionVerdict, Device, Finding, Severity, TierVerdict, Value, Verdict

_SEVERITIES = tuple(Severity)
_OPEN = frozenset({Verdict.NOT_DECIDABLE, Verdict.NOT_APPLICABLE, Verdict.DECLARED})
_NAMED = 3  # findings quoted in a reason
_ROOTLESS = "no root file system whose accounts and start-up could be followed"


class Summary(TypedDict):
    """Where the image stands: the values of ``TierSummary`` beside the target."""

    highest_not_refuted: str | None
    score: int


class _Ruling(Value, frozen=True, kw_only=True):
    """A verdict before its points are counted."""

    verdict: Verdict
    reason: str
    adverse: tuple[Finding, ...] = ()
    findings: tuple[Finding, ...] = ()
    limited_by: tuple[str, ...] = ()
    counted: Verdict | None = None  # what the points are counted by, where it is not the verdict


def judge(
    findings: Sequence[Finding],
    coverage: Coverage,
    device: Device,
    profiles: Sequence[Profile] | None = None,
    target: str = "STAR-1",
    ran: Collection[str] | None = None,
) -> tuple[TierVerdict, ...]:
    """The verdict on every level, lowest first; each level lists the criteria of the levels below it too.

    What is asked above STAR-1 depends on the declared type of the product.

    ``ran``: ids of the rules that were looked for; None when all were. Raises ValueError for a target without a profile.
    """
    ordered = shipped() if profiles is None else in_order(profiles)
    if target not in {profile.id for profile in ordered}:
        raise ValueError(f"no profile for {target}; there are {', '.join(profile.id for profile in ordered)}")
    kind = device.declared.product.type if device.declared is not None else "generic"
    ordered = tuple(profile.of_type(kind) for profile in ordered)
    extent = measure(coverage, device)
    sorted_findings = sorted(findings, key=_order)
    tiers: list[TierVerdict] = []
    rows: list[CriterionVerdict] = []
    left = 100.0
    for profile in ordered:
        weights = sum(criterion.weight for criterion in profile.criterion)
        exact = left
        for criterion in profile.criterion:
            ruling = _declared(criterion, _rule(criterion, profile, sorted_findings, extent, device, ran), device)
            kept = score.share(ruling.counted or ruling.verdict, ruling.adverse)
            lost = score.lost(left, criterion.weight, weights, kept, extent.read)
            exact -= lost
            rows.append(_row(criterion, ruling, lost))
        left = max(0.0, exact)
        tiers.append(_tier(profile, tuple(rows), left, extent))
    return tuple(tiers)


def summary(tiers: Sequence[TierVerdict], target: str) -> Summary:
    """The highest level that stands unrefuted on something that was read, and the score at the target.

    A level whose own profile cannot be decided from an image (STAR-4) is never named, nor is any level of an unread image.
    """
    highest, below = None, 0
    for tier in tiers:
        own = tier.criteria[below:]
        below = len(tier.criteria)
        if tier.refuted or not any(row.verdict in {Verdict.SUPPORT, Verdict.NOT_OBSERVED} for row in own):
            break
        highest = tier.id
    return Summary(highest_not_refuted=highest, score=next(tier.score for tier in tiers if tier.id == target))


def _tier(profile: Profile, rows: tuple[CriterionVerdict, ...], left: float, extent: Extent) -> TierVerdict:
    return TierVerdict(
        id=profile.id,
        official=profile.official,
        refuted=any(row.verdict is Verdict.VIOLATION for row in rows),
        score=score.total(left),
        decidable=sum(row.verdict not in _OPEN for row in rows),
        total=len(rows),
        formula=score.formula(extent.read),
        note=profile.banner(),
        criteria=rows,
    )


def _row(criterion: Criterion, ruling: _Ruling, lost: float) -> CriterionVerdict:
    return CriterionVerdict(
        id=criterion.id,
        title=criterion.title_en,
        title_ja=criterion.title_ja,
        verdict=ruling.verdict,
        reason=ruling.reason,
        findings=tuple(dict.fromkeys(finding.fingerprint for finding in ruling.findings)),
        needs=tuple(f"{need.kind}: {need.en}" for need in criterion.needs),
        limited_by=ruling.limited_by,
        lost=round(lost, 2),
    )


def _rule(
    criterion: Criterion,
    profile: Profile,
    findings: Iterable[Finding],
    extent: Extent,
    device: Device,
    ran: Collection[str] | None,
) -> _Ruling:
    bearing = tuple(finding for finding in findings if _bears(finding, criterion, profile))
    standing = [finding for finding in bearing if not finding.waived]
    violations = tuple(finding for finding in standing if _effect(finding, criterion) is Verdict.VIOLATION)
    concerns = tuple(finding for finding in standing if _effect(finding, criterion) is Verdict.CONCERN)
    support = tuple(finding for finding in standing if finding.verdict == "support")
    waived = sum(finding.waived and finding.verdict in {"violation", "concern"} for finding in bearing)
    also = f" {waived} waived." if waived else ""
    if violations:
        reason = f"The image contradicts this: {_quote(violations)}.{also}"
        return _Ruling(verdict=Verdict.VIOLATION, reason=reason, adverse=violations + concerns, findings=bearing)
    if concerns:
        reason = f"Evidence against this, unless the vendor can explain it: {_quote(concerns)}.{also}"
        return _Ruling(verdict=Verdict.CONCERN, reason=reason, adverse=concerns, findings=bearing)
    quiet = _quiet(criterion, support, extent, device, ran)
    if profile.ceiling == "not-decidable" and quiet.verdict is not Verdict.NOT_DECIDABLE:
        reason = "Nothing in the image speaks against this, and no image can decide it at this level."
        quiet = _Ruling(verdict=Verdict.NOT_DECIDABLE, reason=reason, limited_by=quiet.limited_by)
    return _Ruling(verdict=quiet.verdict, reason=quiet.reason + also, findings=bearing, limited_by=quiet.limited_by)


def _declared(criterion: Criterion, ruling: _Ruling, device: Device) -> _Ruling:
    """What the maker states, where nothing speaks against it: it changes the words of a verdict, never its points."""
    stated = device.declared
    if stated is None or ruling.verdict in {Verdict.VIOLATION, Verdict.CONCERN}:
        return ruling
    base = ruling.counted or ruling.verdict
    if reason := stated.not_applicable.get(criterion.id, "").strip():
        text = f"Declared not to apply: {reason}. Nothing in the image speaks against that. {ruling.reason}"
        return msgspec.structs.replace(ruling, verdict=Verdict.NOT_APPLICABLE, reason=text, counted=base)
    document = stated.documents.get(criterion.id, "").strip()
    if document and ruling.verdict is Verdict.NOT_DECIDABLE:
        text = f"Declared, not proven: {document}. {ruling.reason}"
        return msgspec.structs.replace(ruling, verdict=Verdict.DECLARED, reason=text, counted=base)
    return ruling


def _quiet(
    criterion: Criterion, support: tuple[Finding, ...], extent: Extent, device: Device, ran: Collection[str] | None
) -> _Ruling:
    """The verdict when nothing speaks against the criterion: only what was read may count."""
    limits = extent.limits
    if support:
        if extent.support_counts:
            reason = f"Evidence for this, no proof: {_quote(support)}."
            return _Ruling(verdict=Verdict.SUPPORT, reason=reason, limited_by=limits)
        reason = f"Too little of the image could be read for this to count: {_quote(support)}."
        return _Ruling(verdict=Verdict.NOT_DECIDABLE, reason=reason, limited_by=limits)
    if criterion.decidable_by_image in {"support", "none"}:
        return _Ruling(verdict=Verdict.NOT_DECIDABLE, reason="No image can decide this: it takes what is listed as needed.")
    if not extent.silence_counts:
        reason = "Nothing was found against this, but too little of the image could be read for that to mean anything."
        return _Ruling(verdict=Verdict.NOT_DECIDABLE, reason=reason, limited_by=limits)
    if criterion.needs_root and not extent.root:
        reason = "Nothing was found against this, but there was no root file system to look in."
        return _Ruling(verdict=Verdict.NOT_DECIDABLE, reason=reason, limited_by=(*limits, _ROOTLESS))
    listed = criterion.rules.against
    adverse_rules = [rule for rule in listed if ran is None or rule in ran]
    if listed and not adverse_rules:
        reason = "None of the rules that could speak against this was run."
        return _Ruling(verdict=Verdict.NOT_DECIDABLE, reason=reason)
    if criterion.precondition and not limits:
        absent = preconditions.absent(criterion.precondition, device)
        if absent:
            return _Ruling(verdict=Verdict.NOT_APPLICABLE, reason=f"Seems not to apply: {absent}. The vendor has to confirm it.")
    if criterion.subject and (unseen := preconditions.unseen(criterion.subject, device)):
        reason = f"Nothing was found against this, but {unseen}."
        return _Ruling(verdict=Verdict.NOT_DECIDABLE, reason=reason, limited_by=limits)
    reason = f"Looked for and not found: {', '.join(adverse_rules)}. Silence is no proof."
    return _Ruling(verdict=Verdict.NOT_OBSERVED, reason=reason, limited_by=limits)


def _bears(finding: Finding, criterion: Criterion, profile: Profile) -> bool:
    if criterion.id in finding.criteria:
        return True
    return profile.mapping == "rule" and criterion.rules.role(finding.rule) is not None


def _effect(finding: Finding, criterion: Criterion) -> Verdict | None:
    """What a finding does to a criterion; only a firm violation of a rule that may refute becomes a violation."""
    if finding.verdict == "violation":
        may_refute = criterion.rules.role(finding.rule) == "refutes" and finding.confidence != "tentative"
        return Verdict.VIOLATION if may_refute else Verdict.CONCERN
    return Verdict.CONCERN if finding.verdict == "concern" else None


def _quote(findings: Sequence[Finding]) -> str:
    unlike = list(dict.fromkeys(f"{finding.rule} {finding.title}{_where(finding)}" for finding in findings))
    rest = len(unlike) - _NAMED
    return "; ".join(unlike[:_NAMED]) + (f"; and {rest} more" if rest > 0 else "")


def _where(finding: Finding) -> str:
    return f" ({finding.location.path})" if finding.location.path else ""


def _order(finding: Finding) -> tuple[int, str, str, tuple[str, ...], str]:
    where = finding.location
    return _SEVERITIES.index(finding.severity), finding.rule, where.path, where.chain, finding.fingerprint
