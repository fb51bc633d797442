"""The Markdown report: a page for a merge request or a wiki, with the level, what refutes it, and what is needed next."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fwcheck.jcstar.extent import size
from fwcheck.language.told import told
from fwcheck.model import Finding, Report, Waiver
from fwcheck.reports import view
from fwcheck.reports.labels import label
from fwcheck.reports.printable import plain
from fwcheck.reports.registry import Lang

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~@&$:])")
_GAPS = 20
_PER_RULE = 20


def render(report: Report, *, lang: Lang = "en", show_secrets: bool = False) -> str:
    """The report as GitHub-flavoured Markdown; text from the image is escaped and forms no markup, link or mention."""
    shown = told(report, lang)
    lines = [*_head_of(shown, lang)]
    for section, most in (
        (_gate(shown, lang), 64 << 10),
        (_criteria(shown, lang), 192 << 10),
        (_findings(shown, lang, show_secrets=show_secrets), 448 << 10),
        (_waived(shown, lang), 64 << 10),
        (_needs(shown, lang), 64 << 10),
        (_components(shown, lang), 64 << 10),
        (_accounts(shown, lang, show_secrets=show_secrets), 32 << 10),
        (_gaps(shown, lang), 32 << 10),
    ):
        lines += _within(section, most, lang)
    lines += ["", f"{label('score_note', lang)} {escape(view.target(shown).formula)}"]
    return "\n".join(lines) + "\n"


def _within(section: Iterable[str], most: int, lang: Lang) -> Iterator[str]:
    """A section's lines up to so many bytes; together they stay below what a step summary of GitHub Actions takes (1 MiB)."""
    left = most
    for line in section:
        left -= len(line.encode(errors="replace")) + 1
        if left < 0:
            yield ""
            yield f"*{label('cut_here', lang)}*"
            return
        yield line


def escape(text: str) -> str:
    """Text that no Markdown reader takes for markup or HTML."""
    return _SPECIAL.sub(lambda hit: "&lt;" if hit[1] == "<" else "&amp;" if hit[1] == "&" else f"\\{hit[1]}", plain(text))


def _code(text: str) -> str:
    """A code span that holds the text whatever backticks are in it; pipes are escaped for tables."""
    shown = plain(text).replace("|", "\\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}" if shown else ""


def _head_of(report: Report, lang: Lang) -> Iterator[str]:
    tier = view.target(report)
    yield f"# {escape(report.image.name)}"
    yield ""
    yield f"**{view.level_sentence(tier, lang)}.** {label('score', lang)} {tier.score}/100. {label('caution', lang)}"
    if not tier.official:
        yield ""
        yield f"> {escape(tier.note)}"
    yield ""
    yield f"- {label('size', lang)}: {size(report.image.size)}, {escape(report.image.format)}"
    yield f"- SHA-256: `{report.image.sha256}`"
    yield f"- {label('platform', lang)}: {escape(report.device.platform)}"
    shares = ", ".join(f"{label(part.name, lang)} {view.percent(part.share)}" for part in view.parts(report.coverage))
    yield f"- {label('coverage', lang)}: {escape(shares)}; {report.coverage.files} {label('files', lang)}"


def _gate(report: Report, lang: Lang) -> Iterator[str]:
    gate = report.gate
    if gate.asked:
        yield f"- {label('gate', lang)}: **{label(view.gate_state(gate), lang)}** ({escape(', '.join(gate.asked))})"
        yield from (f"  - {escape(reason)}" for reason in gate.reasons)
        yield from (f"  - {label('note', lang)}: {escape(note)}" for note in gate.notes)


def _criteria(report: Report, lang: Lang) -> Iterator[str]:
    tier = view.target(report)
    yield from _head(
        f"{tier.id} {label('criteria', lang)}", *(label(key, lang) for key in ("criterion", "verdict", "reason", "lost"))
    )
    for row in tier.criteria:
        verdict = label(row.verdict.value, lang)
        shown = f"**{verdict}**" if row.verdict.value == "violation" else verdict
        yield f"| {row.id} {escape(view.title(row, lang))} | {shown} | {escape(row.reason)} | {row.lost:.1f} |"


def _findings(report: Report, lang: Lang, *, show_secrets: bool) -> Iterator[str]:
    groups = view.adverse(report.findings)
    tally = ", ".join(f"{len(held)} {label(severity.value, lang)}" for severity, held in groups)
    yield ""
    yield f"## {label('findings', lang)}: {tally or label('none', lang)}"
    for severity, held in groups:
        for rule, same in view.by_rule(held):
            for finding in same[:_PER_RULE]:
                yield from _finding(finding, severity.value, lang, show_secrets=show_secrets)
            if len(same) > _PER_RULE:
                yield ""
                yield label("more_of_rule", lang, count=len(same) - _PER_RULE, rule=rule)


def _finding(finding: Finding, severity: str, lang: Lang, *, show_secrets: bool) -> Iterator[str]:
    yield ""
    yield f"### {label(severity, lang)}: {finding.rule} {escape(finding.title)}"
    yield ""
    criteria = f" ({', '.join(finding.criteria)})" if finding.criteria else ""
    new = f"**{label('new', lang)}**, " if finding.baseline == "new" else ""
    yield f"- {new}{label(finding.verdict, lang)}, {label(finding.confidence, lang)}{criteria}"
    yield f"- {_code(view.place(finding.location))}"
    if finding.evidence:
        yield f"- {_code(finding.evidence)}"
    if show_secrets and finding.secret:
        yield f"- {label('secret', lang)}: {_code(finding.secret)}"
    if finding.remediation:
        yield f"- {label('fix', lang)}: {escape(finding.remediation)}"


def _waived(report: Report, lang: Lang) -> Iterator[str]:
    held = [finding for finding in report.findings if finding.waived]
    if held:
        columns = ("findings", "where", "reason", "owner", "until")
        yield from _head(f"{label('waived', lang)}: {len(held)}", *(label(key, lang) for key in columns))
        for finding in held:
            waiver = finding.waiver or Waiver(reason="", owner="", expires="")
            told = (f"{finding.rule} {escape(finding.title)}", _code(view.place(finding.location)), escape(waiver.reason))
            yield f"| {' | '.join((*told, escape(waiver.owner), waiver.expires))} |"


def _needs(report: Report, lang: Lang) -> Iterator[str]:
    needs = view.needs(view.target(report), lang)
    if needs:
        yield ""
        yield f"## {label('needs', lang)}"
        yield ""
        yield from (f"- {', '.join(need.criteria)} ({label(need.kind, lang)}): {escape(need.text)}" for need in needs)


def _components(report: Report, lang: Lang) -> Iterator[str]:
    if not report.components:
        return
    yield from _head(label("components", lang), *(label(key, lang) for key in ("name", "version", "known")))
    for each in view.components(report.components):
        known = [f"{one.id}{' **KEV**' if one.known_exploited else ''}" for one in each.vulnerabilities]
        if each.end_of_life:
            known.insert(0, label("end_of_life", lang, date=each.end_of_life))
        yield f"| {escape(each.name)} | {escape(each.release)} | {', '.join(known)} |"


def _accounts(report: Report, lang: Lang, *, show_secrets: bool) -> Iterator[str]:
    held = [each for each in report.device.accounts if each.password in {"hash", "empty"}]
    if held:
        yield from _head(label("accounts", lang), *(label(key, lang) for key in ("name", "password", "where")))
        for each in held:
            words = escape(view.password(each, lang, show_secrets=show_secrets))
            yield f"| {escape(each.name)} | {words} | {_code(each.file)} |"


def _gaps(report: Report, lang: Lang) -> Iterator[str]:
    gaps = sorted(report.coverage.gaps, key=lambda gap: (-gap.bytes, gap.node, gap.reason))
    if gaps:
        yield ""
        yield f"## {label('gaps', lang)}"
        yield ""
        yield from (f"- {_code(gap.node)}: {escape(gap.reason)}" for gap in gaps[:_GAPS])
        if len(gaps) > _GAPS:
            yield f"- {label('more', lang, count=len(gaps) - _GAPS)}"


def _head(title: str, *columns: str) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    yield f"| {' | '.join(columns)} |"
    yield f"|{' --- |' * len(columns)}"
