"""The summary for people at a terminal: where the level stands, what was read, what speaks against the image, what is next.

Colours appear only on a terminal; piped, the same text comes plain. Everything that the image chose is shown as text, never
interpreted.
"""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING

from fwcheck.jcstar.extent import size
from fwcheck.language.told import said, told
from fwcheck.model import BootStep, Component, Device, Finding, Report, TierVerdict, Trait, UpdatePath, Verdict
from fwcheck.reports import view
from fwcheck.reports.labels import label
from fwcheck.reports.printable import plain
from fwcheck.reports.registry import Lang

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_FIRST = 5  # things to mend first
_TALL = 1000
WIDTH = 110  # columns when there is no terminal to ask
_NARROW = 72
_PER_RULE = 4
_FINDINGS = 120  # of all rules: who has more reads them in a file
_COMPONENTS = 14
_LISTED = 12
_GAPS = 5
_EVIDENCE = 160
_STEPS = 12  # of an update path
_PER_SUBJECT = 4  # facts of one subject on a line

_STYLES = {
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "cyan",
    "violation": "bold red",
    "concern": "yellow",
    "support": "green",
    "not-decidable": "dim",
    "not-applicable": "dim",
    "declared": "dim",
    "gate_failed": "bold red",
    "gate_undecided": "bold yellow",
}
_BAR = {
    "explained": ("█", "#", "green"),
    "padding": ("░", ".", "dim"),
    "unknown": ("▒", "?", "yellow"),
    "encrypted": ("▓", "X", "red"),
}


def render(report: Report, *, lang: Lang = "en", show_secrets: bool = False, width: int = WIDTH) -> str:
    """The summary as plain text of at most ``width`` columns."""
    out = io.StringIO()
    show(report, out, lang=lang, show_secrets=show_secrets, width=width)
    return out.getvalue()


def show(report: Report, out: IO[str], *, lang: Lang = "en", show_secrets: bool = False, width: int | None = None) -> None:
    """Writes the summary to a stream, coloured and as wide as the terminal when it is one."""
    from rich.console import Console  # noqa: PLC0415  # only a shown summary pays for rich

    terminal = out.isatty()
    held = out if terminal else io.StringIO()  # plain text loses the spaces that fill its lines
    wide = width or (None if terminal else WIDTH)
    tall = None if terminal else _TALL  # one that is known is not asked for at each line
    console = Console(file=held, width=wide, height=tall, highlight=False, markup=False, emoji=False)
    blocks = (getattr(out, "encoding", None) or "utf-8").lower().startswith("utf")
    _Printer(console, lang, show_secrets=show_secrets, blocks=blocks).report(told(report, lang))
    if isinstance(held, io.StringIO) and held is not out:
        out.write("".join(line.rstrip() + "\n" for line in held.getvalue().splitlines()))


class _Printer:
    """Prints the sections of one report to one console."""

    def __init__(self, console: Console, lang: Lang, *, show_secrets: bool, blocks: bool) -> None:
        self.console = console
        self.lang: Lang = lang
        self.show_secrets = show_secrets
        self.narrow = console.width < _NARROW
        self.blocks = blocks
        self.comma = "、" if lang == "ja" else ", "
        self.colon = "：" if lang == "ja" else ": "

    def report(self, report: Report) -> None:
        """Everything, in the order in which a person asks."""
        self._head(report)
        self._coverage(report)
        self._device(report)
        self._components(report)
        self._findings(report)
        self._criteria(view.target(report))
        self._needs(view.target(report))
        self._first(report)
        self._verdict(report)

    def word(self, key: str, **values: str | int) -> str:
        """A label in the report's language."""
        return label(key, self.lang, **values)

    # ------------------------------------------------------------------ pieces of layout

    def _line(self, *pieces: tuple[str, str] | str, indent: int = 0) -> None:
        from rich.padding import Padding  # noqa: PLC0415

        text = self._text()
        for piece in pieces:
            text.append(*((piece,) if isinstance(piece, str) else piece))
        self.console.print(Padding(text, (0, 0, 0, indent)))

    def _text(self, words: str = "", style: str = "") -> Text:
        """Text that is wrapped as its language asks."""
        if self.lang == "ja":
            from fwcheck.reports.wide import WideText  # noqa: PLC0415

            return WideText(words, style=style)
        from rich.text import Text  # noqa: PLC0415

        return Text(words, style=style)

    def _section(self, name: str, note: str = "") -> None:
        self.console.print()
        self._line((name, "bold"), (f"  {note}" if note else "", "dim"))

    def _grid(self, *widths: int | None) -> Table:
        """A table without lines: fixed columns by width, None for a column that takes the rest."""
        from rich.table import Table  # noqa: PLC0415

        grid = Table.grid(padding=(0, 2, 0, 0), expand=False)
        for width in widths:
            if width is None:
                grid.add_column(overflow="fold", ratio=None)
            else:
                grid.add_column(width=width, overflow="fold")
        return grid

    def _rows(self, grid: Table) -> None:
        from rich.padding import Padding  # noqa: PLC0415

        if grid.row_count:
            self.console.print(Padding(grid, (0, 0, 0, 2)))

    def _add(self, grid: Table, *cells: tuple[str, str] | str) -> None:
        grid.add_row(*(self._text(*((each,) if isinstance(each, str) else each)) for each in cells))

    def _more(self, count: int, indent: int = 2) -> None:
        if count > 0:
            self._line((self.word("more", count=count), "dim"), indent=indent)

    # ------------------------------------------------------------------ sections

    def _head(self, report: Report) -> None:
        tier = view.target(report)
        self._line((plain(report.image.name), "bold"), (f"  {size(report.image.size)}  {report.image.format}", "dim"))
        self._line((f"sha256 {report.image.sha256}", "dim"))
        if report.device.platform != "unknown":
            self._line(plain(report.device.platform))
        self.console.print()
        style = "bold red" if tier.refuted else "bold"
        self._line((view.level_sentence(tier, self.lang), style))
        if view.nothing_read(report):
            self._line((self.word("nothing_read"), "bold yellow"))
        if not tier.official:
            self._line((f"{self.word('proxy')}{self.colon}{tier.note}", "dim"))

    def _coverage(self, report: Report) -> None:
        self._section(self.word("coverage"))
        held = view.parts(report.coverage)
        columns = min(self.console.width - 4, 64)
        bar = self._bar(held, columns)
        if bar:
            self._line(*bar, indent=2)
        names = [f"{self.word(part.name)} {view.percent(part.share)}" for part in held if part.bytes or part.name == "explained"]
        self._line(self.comma.join([*names, f"{report.coverage.files} {self.word('files')}"]), indent=2)
        gaps = sorted(report.coverage.gaps, key=lambda gap: (-gap.bytes, gap.node, gap.reason))
        for gap in gaps[:_GAPS]:
            amount = f" ({size(gap.bytes)})" if gap.bytes > 0 else ""
            self._line(
                (f"{self.word('gaps')}{self.colon}", "yellow"), f"{plain(gap.node)}: {plain(gap.reason)}{amount}", indent=2
            )
        self._more(len(gaps) - _GAPS)

    def _bar(self, held: list[view.Part], columns: int) -> list[tuple[str, str]]:
        """The classes of bytes side by side; what exists gets at least one column."""
        if not held:
            return []
        lengths = [max(1, round(part.share * columns)) if part.bytes else 0 for part in held]
        widest = lengths.index(max(lengths))
        lengths[widest] = max(1, lengths[widest] + columns - sum(lengths))
        marks = [_BAR[part.name] for part in held]
        return [((mark[0] if self.blocks else mark[1]) * length, mark[2]) for mark, length in zip(marks, lengths, strict=True)]

    def _device(self, report: Report) -> None:
        device = report.device
        ports: dict[str, list[str]] = {}
        for each in device.listeners:
            ports.setdefault(each.service, []).append(f"{each.protocol}/{'?' if each.port is None else each.port}")
        started = [each for each in device.services if each.enabled == "yes"]
        logins = [each for each in device.accounts if each.password in {"hash", "empty"} and each.login is not False]
        if not (started or logins or device.update_paths or device.boot_chain or device.microcontroller):
            return
        self._section(self.word("device"))
        grid = self._grid(12 if self.narrow else 18, None)
        self._microcontroller(grid, device)
        for account in logins[:_LISTED]:
            style = "red" if account.password == "empty" or account.cracked else ""
            words = f"{plain(account.name)}: {view.password(account, self.lang, show_secrets=self.show_secrets)}"
            self._add(grid, (self.word("accounts"), "dim"), (words, style))
        for service in started[:_LISTED]:
            command = " ".join(part for part in (service.program, service.arguments) if part)
            open_ports = ", ".join(dict.fromkeys(ports.get(service.name, ())))
            words = f"{plain(service.name)}  {plain(command)}" + (f"  {open_ports}" if open_ports else "")
            self._add(grid, (self.word("enabled"), "dim"), words)
        if len(started) > _LISTED:
            self._add(grid, "", (self.word("more", count=len(started) - _LISTED), "dim"))
        for path in device.update_paths[:_LISTED]:
            self._path(grid, path)
        for signature in device.signatures[:_LISTED]:
            style = {"valid": "green", "invalid": "red"}.get(signature.state, "yellow")
            state = "" if signature.state == "valid" else f"{self.word(f'signature_{signature.state}')}{self.comma}"
            words = f"{plain(signature.scheme)} ({plain(signature.algorithm)}): {state}{plain(signature.reason)}"
            self._add(grid, (self.word("signature"), "dim"), (words, style))
        for number, step in enumerate(device.boot_chain[:_LISTED]):
            self._add(grid, (self.word("boot") if not number else "", "dim"), *self._link(step, first=not number))
        if len(device.boot_chain) > _LISTED:
            self._add(grid, "", (self.word("more", count=len(device.boot_chain) - _LISTED), "dim"))
        self._rows(grid)

    def _path(self, grid: Table, path: UpdatePath) -> None:
        """An update path and, where they are known, its steps with the place of each."""
        from rich.padding import Padding  # noqa: PLC0415

        style = "" if path.verified == "signature" else "yellow"
        arrow = "→" if self.blocks else "->"
        told = [self.word(f"transport_{path.transport}")] if path.transport in {"plain", "unchecked", "authenticated"} else []
        told += [self.word("automatic_yes")] if path.automatic == "yes" else []
        words = f"{plain(path.source)} {arrow} {plain(path.sink)}: {self.word(f'check_{path.verified}')}"
        words += f" ({plain(path.mechanism)})" if path.mechanism else ""
        self._add(grid, (self.word("updates"), "dim"), ("; ".join((words, *told)), style))
        for number, step in enumerate(path.steps[:_STEPS], 1):
            judged = f"{self.comma}{self.word(f'honoured_{step.honoured}')}" if step.honoured else ""
            reason = f" ({plain(step.reason)})" if step.reason and step.reason not in step.what else ""
            where = f"  {view.spot(step.evidence.location)}" if step.evidence is not None else ""
            colour = {"yes": "green", "no": "red"}.get(step.honoured, "dim")
            text = f"{number}. {self.word(f'step_{step.action}')}: {plain(step.what)}{judged}{reason}{plain(where)}"
            grid.add_row("", Padding(self._text(text, colour), (0, 0, 0, 2)))
        if len(path.steps) > _STEPS:
            self._add(grid, "", (self.word("more", count=len(path.steps) - _STEPS), "dim"))

    def _link(self, step: BootStep, *, first: bool) -> tuple[tuple[str, str]]:
        """One link of the boot chain: an arrow from the one before it, what it is, and what verifies it."""
        arrow = "" if first else "↓ " if self.blocks else "v "
        style = {"signature": "green", "none": "red", "unknown": ""}.get(step.verified, "yellow")
        by = f" ({plain(step.checked_by)})" if step.checked_by and step.verified != "unknown" else ""
        state = "" if step.stage == "boot ROM" else f": {self.word(f'link_{step.verified}')}{by}"
        detail = f" {plain(step.detail)}" if step.detail else ""
        return ((f"{arrow}{plain(said(step.stage, self.lang))}{detail}{state}", style),)

    def _microcontroller(self, grid: Table, device: Device) -> None:
        """What the image of a microcontroller says of itself: one line for each subject."""
        told: dict[str, list[Trait]] = {}
        for trait in device.microcontroller:
            told.setdefault(trait.name, []).append(trait)
        for name, traits in told.items():
            words = "; ".join(dict.fromkeys(self._told(each) for each in traits[:_PER_SUBJECT]))
            more = len(traits) - _PER_SUBJECT
            self._add(
                grid, (plain(said(name, self.lang)), "dim"), words + (f" {self.word('more', count=more)}" if more > 0 else "")
            )

    def _told(self, trait: Trait) -> str:
        detail = plain(trait.detail)
        if trait.state == "no":
            return f"{self.word('trait_no')}: {detail}".removesuffix(": ")
        return detail or self.word(trait.state)

    def _components(self, report: Report) -> None:
        if not report.components:
            return
        self._section(self.word("components"), str(len(report.components)))
        grid = self._grid(16 if self.narrow else 22, 10 if self.narrow else 16, None)
        held = view.components(report.components)
        for each in held[:_COMPONENTS]:
            self._add(grid, plain(each.name), plain(each.release), *self._marks(each))
        self._rows(grid)
        self._more(len(held) - _COMPONENTS)

    def _marks(self, component: Component) -> tuple[tuple[str, str]]:
        exploited = sum(each.known_exploited for each in component.vulnerabilities)
        marks = []
        if exploited:
            marks.append(self.word("exploited", count=exploited))
        if component.vulnerabilities:
            marks.append(self.word("vulnerabilities", count=len(component.vulnerabilities)))
        if component.end_of_life:
            marks.append(self.word("end_of_life", date=component.end_of_life))
        return ((self.comma.join(marks), "red" if exploited else "yellow" if marks else ""),)

    def _findings(self, report: Report) -> None:
        groups = view.adverse(report.findings)
        tally = self.comma.join(f"{len(held)} {self.word(severity.value)}" for severity, held in groups) or self.word("none")
        self._section(self.word("findings"), tally)
        left, untold = _FINDINGS, 0
        for severity, held in groups:
            for rule, same in view.by_rule(held):
                if left <= 0:
                    untold += len(same)
                    continue
                left -= min(len(same), _PER_RULE)
                for finding in same[:_PER_RULE]:
                    self._finding(finding, severity.value)
                if len(same) > _PER_RULE:
                    self._line((self.word("more_of_rule", count=len(same) - _PER_RULE, rule=rule), "dim"), indent=4)
        self._more(untold)
        waived = sum(finding.waived for finding in report.findings)
        if waived:
            self._line((f"{self.word('waived')}{self.colon}{waived}", "dim"), indent=2)
        support = view.of_verdict(report.findings, "support")
        if support:
            self._section(self.word("speaks_for"), str(len(support)))
            grid = self._grid(10, None)
            for rule, same in view.by_rule(support):
                for finding in same[:_PER_RULE]:
                    self._add(grid, (rule, "green"), f"{plain(finding.title)}  {_short(finding)}".rstrip())
                if len(same) > _PER_RULE:
                    self._add(grid, "", (self.word("more", count=len(same) - _PER_RULE), "dim"))
            self._rows(grid)

    def _finding(self, finding: Finding, severity: str) -> None:
        note = f"  {self.word('concern')}" if finding.verdict == "concern" else ""
        note += f"  {self.word('new')}" if finding.baseline == "new" else ""
        self.console.print()
        self._line(
            (f"{self.word(severity)} ", _STYLES.get(severity, "")),
            (f"{finding.rule}  ", "bold"),
            plain(finding.title),
            (f"  {' '.join(finding.criteria)}{note}", "dim"),
            indent=2,
        )
        self._line((view.place(finding.location), "dim"), indent=4)
        if finding.evidence:
            shown = plain(finding.evidence)
            self._line(shown if len(shown) <= _EVIDENCE else shown[: _EVIDENCE - 1] + "…", indent=4)
        if self.show_secrets and finding.secret:
            self._line((f"{self.word('secret')}{self.colon}", "bold"), plain(finding.secret), indent=4)
        if finding.remediation:
            self._line((f"{self.word('fix')}{self.colon}", "bold"), plain(finding.remediation), indent=4)

    def _criteria(self, tier: TierVerdict) -> None:
        self._section(f"{tier.id} {self.word('criteria')}", self.word("caution"))
        verdict_width = 9 if self.narrow else 16
        grid = self._grid(8, verdict_width, None, 6)
        for row in tier.criteria:
            lost = f"-{row.lost:.1f}" if row.lost >= 0.05 else ""
            style = _STYLES.get(row.verdict.value, "")
            title = plain(view.title(row, self.lang))
            self._add(grid, row.id, (self.word(row.verdict.value), style), title, (lost, "dim"))
        self._rows(grid)

    def _needs(self, tier: TierVerdict) -> None:
        open_needs = view.needs(tier, self.lang)
        if not open_needs:
            return
        self._section(self.word("needs"))
        grid = self._grid(8, 12, None)
        for need in open_needs:
            self._add(grid, "\n".join(need.criteria), (self.word(need.kind), "dim"), need.text)
        self._rows(grid)

    def _first(self, report: Report) -> None:
        """What to mend first: the end of the output is what stays on the screen."""
        steps = view.fix_first(report, most=_FIRST)
        if not steps:
            return
        self._section(self.word("fix_first"))
        grid = self._grid(2, None)
        for number, step in enumerate(steps, 1):
            marks = [self.word(step.finding.severity.value)]
            marks += [self.word("refutes", level=report.tier.target)] if step.refutes else []
            marks += [self.word("new")] if step.fresh else []
            marks += [self.word("places", count=step.places)] if step.places > 1 else []
            words = f"{plain(step.finding.title)}  {_short(step.finding)}".rstrip() + f"  {self.comma.join(marks)}"
            self._add(grid, (f"{number}.", "bold"), (words, "red" if step.refutes else ""))
        self._rows(grid)

    def _verdict(self, report: Report) -> None:
        tier = view.target(report)
        self.console.print()
        refuting = [row.id for row in tier.criteria if row.verdict is Verdict.VIOLATION]
        style = "bold red" if tier.refuted else "bold"
        tail = f"{self.colon}{', '.join(refuting)}" if refuting else ""
        self._line((view.level_sentence(tier, self.lang) + tail, style))
        if view.nothing_read(report):
            self._line((self.word("nothing_read"), "bold yellow"))
        self._line((f"{self.word('score')} {tier.score}/100", "bold"), (f"  {self.word('score_note')}", "dim"))
        self._line((tier.formula, "dim"), indent=2)
        state = view.gate_state(report.gate)
        asked = f" ({', '.join(report.gate.asked)})" if report.gate.asked else ""
        self._line((f"{self.word('gate')}{self.colon}", "bold"), (self.word(state), _STYLES.get(state, "")), asked)
        for reason in report.gate.reasons:
            self._line(plain(reason), indent=2)
        for note in report.gate.notes:
            self._line((f"{self.word('note')}: {plain(note)}", "dim"), indent=2)


def _short(finding: Finding) -> str:
    return f"({plain(finding.location.path)})" if finding.location.path else ""
