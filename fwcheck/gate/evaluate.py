"""The judgement of the gate, and the exit status that says it.

A gate fails on what is in the image. Where nothing fails but too little was read, it is undecided (exit status 3): an image
that hides its content must not get through. Too little means: nothing could be analysed, more than half of the content (bytes
that are not padding) is unknown, suspected encrypted or unread, less was read than the policy asks for, or an image-wide quota
ended the reading. With half of the content unseen, the root file system or a second one may be the unseen half; below that, the
gaps are listed in the report and the score carries them.

With a baseline only what is new fails: findings that it does not know, and demands that it met or that it missed by less.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from fwcheck.gate.baseline import Baseline
from fwcheck.gate.demands import Demands, accepted, together
from fwcheck.gate.policy import Policy
from fwcheck.gate.waivers import Settled
from fwcheck.jcstar.extent import Extent, measure
from fwcheck.model import Component, CriterionVerdict, Finding, GateResult, Report, Severity, Verdict

_SEVERITIES = tuple(Severity)
_NAMED = 5
_LISTED = 20  # components named one by one
_UPDATE = "fwcheck db update, then scan again"


def evaluate(
    report: Report,
    demands: Demands | None = None,
    *,
    policy: Policy | None = None,
    baseline: Baseline | None = None,
    settled: Settled | None = None,
    today: dt.date | None = None,
) -> GateResult:
    """The result of the gates asked for; without any, it holds.

    A baseline without any demand asks that there be no new finding against the image. ``settled``: what came of a waiver file.
    Raises ValueError for a level that the report does not judge.
    """
    asked = demands or Demands()
    if baseline is not None and policy is None and asked.nothing:
        asked = Demands(fail_on="low")
    names = [*(demands or Demands()).asked()]
    if policy is not None:
        wanted = policy.demands(report)
        names += [f"policy {policy.name}: {each}" for each in wanted.asked()] or [f"policy {policy.name}: nothing for this image"]
        asked = together((asked, wanted))
    names += [f"baseline {baseline.name}"] if baseline is not None else []
    names += ["waivers"] if settled is not None else []
    if not names:
        return GateResult()
    judge = _Judge(report, baseline, today or dt.datetime.now(tz=dt.UTC).date())
    reasons = [*(settled.expired if settled is not None else ()), *judge.reasons(asked)]
    notes = [*(policy.notes(report) if policy is not None else ()), *judge.notes, *(settled.notes if settled is not None else ())]
    if reasons:
        return GateResult(asked=tuple(names), passed=False, reasons=tuple(reasons), notes=tuple(notes))
    extent = measure(report.coverage, report.device)
    enough = asked.min_coverage is None or 100 * extent.read >= asked.min_coverage
    if (extent.judgeable and enough) or asked.nothing:
        return GateResult(asked=tuple(names), notes=tuple(notes))
    unread = tuple(_unread(extent, asked.min_coverage))
    return GateResult(asked=tuple(names), passed=False, undecided=True, reasons=unread, notes=tuple(notes))


def exit_status(gate: GateResult) -> int:
    """0: every gate held, or none was asked for. 1: a gate failed. 3: too little was read to judge."""
    if gate.undecided:
        return 3
    return 0 if gate.passed else 1


class _Judge:
    """One report against demands. What cannot be held against it is told in ``notes``."""

    def __init__(self, report: Report, baseline: Baseline | None, today: dt.date) -> None:
        self.report = report
        self.baseline = baseline
        self.today = today
        self.notes: list[str] = []
        self.adverse = [each for each in report.findings if not each.waived and each.verdict in {"violation", "concern"}]
        self.named = {each.fingerprint: each for each in self.adverse}
        self.waived = {(each.rule, each.cause) for each in report.findings if each.waived}

    def reasons(self, asked: Demands) -> list[str]:
        """Why the gate fails, each with what to do next."""
        found: list[str] = []
        found += self._tier(asked.min_tier) if asked.min_tier is not None else ()
        found += self._score(asked.min_score) if asked.min_score is not None else ()
        found += self._severity(Severity(asked.fail_on)) if asked.fail_on is not None else ()
        found += self._forbidden(asked.forbidden_rules)
        for pattern, verdicts in asked.verdicts.items():
            found += self._verdicts(pattern, accepted(verdicts))
        found += _short(self._exploited()) if asked.no_known_exploited else ()
        found += _short(self._ended()) if asked.no_end_of_life else ()
        found += _short(self._aged(asked.max_component_age_days)) if asked.max_component_age_days is not None else ()
        found += self._database(asked.max_database_age_days) if asked.max_database_age_days is not None else ()
        if found and self.baseline is not None and self.baseline.rules_digest != self.report.tool.rules_digest:
            self.notes.append(
                f"the baseline was made by other rules (version {self.baseline.version}), so what they find for the first time "
                "counts as new: scan the old image again with this version for a baseline without that"
            )
        return found

    def fresh(self, finding: Finding) -> bool:
        """Whether no baseline knows it."""
        return self.baseline is None or not self.baseline.knows(finding)

    def _word(self) -> str:
        return "new " if self.baseline is not None else ""

    def _tier(self, wanted: str) -> Iterator[str]:
        tier = next((each for each in self.report.tiers if each.id == wanted), None)
        if tier is None:
            raise ValueError(f"the report does not judge {wanted}; it judges {', '.join(each.id for each in self.report.tiers)}")
        for row in tier.criteria:
            if row.verdict is Verdict.VIOLATION and self._newly(row):
                yield f"{wanted} is refuted by {row.id} ({row.title}): {row.reason}{self._advice(row)}"

    def _newly(self, row: CriterionVerdict) -> bool:
        """Whether a verdict is not that of the baseline, or rests on something new."""
        if self.baseline is None or self.baseline.verdict(row.id) is not row.verdict:
            return True
        return any(self.fresh(self.named[each]) for each in row.findings if each in self.named)

    def _advice(self, row: CriterionVerdict) -> str:
        fixes = [self.named[each] for each in row.findings if each in self.named]
        fixes = [each for each in fixes if self.fresh(each)] or fixes
        fixes.sort(key=lambda each: each.verdict != "violation")
        if fixes and fixes[0].remediation:
            return f" To do: {fixes[0].remediation}"
        return "" if fixes or not row.needs else f" To do: give the {row.needs[0]}"

    def _score(self, least: int) -> Iterator[str]:
        score, target = self.report.tier.score, self.report.tier.target
        before = self.baseline.score(target) if self.baseline is not None else None
        if score < least and (before is None or score < before):
            fell = f" and below the baseline's {before}" if before is not None else ""
            yield f"score {score} at {target} is below {least}{fell}: {self._costliest()}; mend these first"

    def _costliest(self) -> str:
        rows = next((tier.criteria for tier in self.report.tiers if tier.id == self.report.tier.target), ())
        worst = sorted((row for row in rows if row.lost > 0), key=lambda row: (-row.lost, row.id))[:_NAMED]
        return "most points are lost at " + ", ".join(f"{row.id} ({row.lost:.1f}, {row.verdict.value})" for row in worst)

    def _severity(self, least: Severity) -> list[str]:
        hits = [each for each in self.adverse if _rank(each.severity) <= _rank(least) and self.fresh(each)]
        if not hits:
            return []
        counts = Counter(finding.severity.value for finding in hits)
        tally = ", ".join(f"{counts[each.value]} {each.value}" for each in _SEVERITIES if counts[each.value])
        noun = "finding" if len(hits) == 1 else "findings"
        return [f"{len(hits)} {self._word()}{noun} at {least.value} or worse ({tally})", *_named(hits)]

    def _forbidden(self, patterns: Iterable[str]) -> Iterator[str]:
        for pattern in patterns:
            hits = [each for each in self.adverse if fnmatchcase(each.rule, pattern) and self.fresh(each)]
            if hits:
                noun = "finding" if len(hits) == 1 else "findings"
                yield f"{len(hits)} {self._word()}{noun} of {pattern}, which the policy forbids"
                yield from _named(hits)

    def _verdicts(self, pattern: str, allowed: Iterable[str]) -> Iterator[str]:
        rows = {row.id: row for tier in self.report.tiers for row in tier.criteria if fnmatchcase(row.id, pattern)}
        if not rows:
            self.notes.append(f"the policy asks for {pattern}, which the report does not judge: scan again with this version")
        for row in rows.values():
            if row.verdict not in allowed and self._newly(row):
                wanted = " or ".join(allowed)
                yield f"{row.id} ({row.title}) is {row.verdict.value}, not {wanted}: {row.reason}{self._advice(row)}"

    def _exploited(self) -> Iterator[str]:
        for each in self._standing("CVE-001"):
            known = [one for one in each.vulnerabilities if one.known_exploited]
            known = [one for one in known if self.baseline is None or not self.baseline.exploited(each.name, one.id)]
            if known:
                fixed = {one.fixed_in for one in known if one.fixed_in}
                ids = ", ".join(one.id for one in known[:_NAMED]) + (f" and {len(known) - _NAMED} more" * (len(known) > _NAMED))
                cure = f"update it ({', '.join(sorted(fixed))} or later)" if fixed else "update or remove it"
                yield f"{_version(each)} is known to be exploited ({ids}): {cure}, or state why it is not affected (--vex)"

    def _ended(self) -> Iterator[str]:
        for each in self._standing("CVE-002"):
            if each.end_of_life and not (self.baseline is not None and self.baseline.ended(each.name, each.version)):
                yield f"{_version(each)} is out of support since {each.end_of_life}: update it to a supported version"

    def _aged(self, most: int) -> Iterator[str]:
        unknown = 0
        for each in self.report.components:
            age = _age(each.released, self.today)
            unknown += age is None
            if age is not None and age > most and not (self.baseline is not None and self.baseline.held(each.name, each.version)):
                yield f"{_version(each)} was released {age} days ago ({each.released}), more than {most}: update it"
        if unknown:
            noun = "component" if unknown == 1 else "components"
            self.notes.append(f"the release date of {unknown} {noun} is not known: their age could not be judged")

    def _standing(self, rule: str) -> Iterator[Component]:
        """Components whose finding of this rule nobody answers for."""
        for each in self.report.components:
            if (rule, f"{each.name} {each.version}") not in self.waived:
                yield each

    def _database(self, most: int) -> Iterator[str]:
        date = self.report.tool.database_date
        age = _age(date, self.today)
        if age is None:
            yield f"the vulnerability database has no date, but may be {most} days old at most: {_UPDATE}"
        elif age > most:
            yield f"the vulnerability database is of {date}, {age} days old, more than {most}: {_UPDATE}"


def _named(hits: list[Finding]) -> Iterator[str]:
    ordered = sorted(hits, key=lambda each: (_rank(each.severity), each.rule, each.location.path, each.fingerprint))
    for finding in ordered[:_NAMED]:
        where = f" in {finding.location.path}" if finding.location.path else ""
        advice = f": {finding.remediation}" if finding.remediation else ""
        yield f"{finding.severity.value} {finding.rule} {finding.title}{where}{advice}"
    if len(hits) > _NAMED:
        yield f"and {len(hits) - _NAMED} more: see the report"


def _short(reasons: Iterable[str]) -> list[str]:
    every = list(reasons)
    return every if len(every) <= _LISTED else [*every[:_LISTED], f"and {len(every) - _LISTED} components more: see the report"]


def _rank(severity: Severity) -> int:
    return _SEVERITIES.index(severity)


def _version(component: Component) -> str:
    return f"{component.name} {component.version}" if component.version else component.name


def _age(date: str | None, today: dt.date) -> int | None:
    try:
        return (today - dt.date.fromisoformat(date or "")).days
    except ValueError:
        return None


def _unread(extent: Extent, wanted: int | None) -> Iterator[str]:
    if extent.nothing:
        yield "nothing in the image could be analysed: give the plain image of the build, before encryption or vendor packing"
        return
    if extent.quota:
        yield f"a limit ended the reading early ({extent.quota[0]}): raise the limit and scan again"
    if not extent.support_counts:
        yield (
            f"{100 * extent.unread:.0f} % of the content could not be read: give the decrypted image or the parts it was built "
            "from"
        )
    elif wanted is not None and 100 * extent.read < wanted:
        read = min(int(100 * extent.read), wanted - 1)
        yield f"{read} % of the content could be read, and the policy asks for {wanted} %: give the parts that are missing"
    yield from extent.limits
