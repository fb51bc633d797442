"""From findings to a judged report: waivers and baseline marked, levels judged, gates held.

A scan goes this way with the findings it has made, ``fwcheck gate`` with those of an earlier report.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from fwcheck.gate import Baseline, BrokenFile, Demands, Policy, Settled, Waivers, evaluate
from fwcheck.gate.demands import Level, Tier
from fwcheck.gate.waivers import resettled
from fwcheck.jcstar.mapper import judge, summary
from fwcheck.model import Finding, GateResult, Report, TierSummary
from fwcheck.reports.json import read

LARGEST_REPORT = 512 << 20


class Asked(Protocol):
    """The options that gates are asked for with."""

    @property
    def min_tier(self) -> Tier | None: ...
    @property
    def min_score(self) -> int | None: ...
    @property
    def fail_on(self) -> Level | None: ...
    @property
    def policy(self) -> Path | None: ...
    @property
    def waivers(self) -> Path | None: ...
    @property
    def baseline(self) -> Path | None: ...


class Gates(msgspec.Struct, frozen=True, kw_only=True):
    """The gates asked for, their files read."""

    demands: Demands = Demands()
    policy: Policy | None = None
    waivers: Waivers | None = None
    baseline: Baseline | None = None
    today: dt.date

    @classmethod
    def read(cls, asked: Asked, today: dt.date | None = None) -> Gates:
        """Reads the files. Raises BrokenFile, in one line, for one that is not what it has to be."""
        return cls(
            demands=Demands(min_tier=asked.min_tier, min_score=asked.min_score, fail_on=asked.fail_on),
            policy=Policy.read(asked.policy) if asked.policy is not None else None,
            waivers=Waivers.read(asked.waivers) if asked.waivers is not None else None,
            baseline=Baseline(read_report(asked.baseline), asked.baseline.name) if asked.baseline is not None else None,
            today=today or dt.datetime.now(tz=dt.UTC).date(),
        )

    def dated(self) -> str:
        """What of the date decides: the waivers that have expired, the day itself where a policy asks for ages; else nothing."""
        late = [str(at) for at, each in enumerate(self.waivers.entries, 1) if each.expires < self.today] if self.waivers else []
        day = [self.today.isoformat()] if self.policy is not None and self.policy.dated else []
        return " ".join(day + late)

    def settle(self, findings: Sequence[Finding]) -> Settled:
        """The findings with the waivers applied and the baseline marked."""
        waivers, today = self.waivers, self.today
        settled = waivers.settle(findings, today) if waivers is not None else resettled(findings, today)
        if self.baseline is None:
            return settled
        return msgspec.structs.replace(settled, findings=self.baseline.marked(settled.findings))

    def held(self, report: Report, settled: Settled) -> Report:
        """The judged report with the result of the gates."""
        told = settled if self.waivers is not None or settled.expired else None
        gate = evaluate(
            report, self.demands, policy=self.policy, baseline=self.baseline, settled=told, today=self.today
        )  # fmt: skip
        return msgspec.structs.replace(report, gate=gate)

    def again(self, report: Report, ran: Collection[str]) -> Report:
        """An earlier report with these gates: its levels are judged anew where waivers change what counts.

        ``ran``: ids of the rules that were looked for. Raises ValueError for a level that the report does not judge.
        """
        settled = self.settle(report.findings)
        changed = [each.waived for each in settled.findings] != [each.waived for each in report.findings]
        report = msgspec.structs.replace(report, findings=settled.findings)
        if changed:
            target = report.tier.target
            tiers = judge(report.findings, report.coverage, report.device, target=target, ran=ran)
            report = msgspec.structs.replace(report, tiers=tiers, tier=TierSummary(target=target, **summary(tiers, target)))
        return self.held(report, settled)


def unsettled(report: Report, ran: Collection[str]) -> Report:
    """The report as it is without waivers, baseline and gates."""
    replace = msgspec.structs.replace
    findings = tuple(
        replace(each, waived=False, waiver=None, baseline="") if each.waived or each.baseline else each
        for each in report.findings
    )
    if any(each.waived for each in report.findings):
        target = report.tier.target
        tiers = judge(findings, report.coverage, report.device, target=target, ran=ran)
        report = replace(report, tiers=tiers, tier=TierSummary(target=target, **summary(tiers, target)))
    return replace(report, findings=findings, gate=GateResult())


def read_report(path: Path) -> Report:
    """The report of a JSON file. Raises BrokenFile, in one line, when it cannot be read or is none."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_REPORT + 1)
    except OSError as error:
        raise BrokenFile(f"{path}: {error.strerror}") from error
    if len(content) > LARGEST_REPORT:
        raise BrokenFile(f"{path}: larger than {LARGEST_REPORT >> 20} MiB")
    try:
        return read(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenFile(f"{path}: is not a report of this version: {' '.join(str(error).split())}") from error
