"""A statement of implementation by EN 303 645, Table B.1 (an ICS as TS 103 701 calls it): what the image says of each provision.

Reference, status, support and detail as that table has them, with two more columns: where the detail comes from, and what the
maker has to fill in. Support is the maker's to state: the tool only says where the image contradicts it, and never fills in Y.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fwcheck.jcstar.catalogue import criteria
from fwcheck.jcstar.provisions import Provision, features, named, provisions
from fwcheck.language.told import told
from fwcheck.model import Device, Finding, Report
from fwcheck.reports import view
from fwcheck.reports.labels import label
from fwcheck.reports.registry import Lang
from fwcheck.reports.table import Column, Table, as_markdown

COLUMNS = (
    Column("reference", "Reference", "規定番号", 11),
    Column("asked", "What is asked (own summary)", "求められること（本ツールによる要約）", 36),
    Column("status", "Status", "区分", 13),
    Column("condition", "Condition or feature", "条件・機能", 34),
    Column("suggested", "What the image says", "イメージから言えること", 22),
    Column("detail", "Detail", "詳細", 60),
    Column("from", "From", "証拠の場所", 44),
    Column("todo", "Still to fill in by the maker", "製造者が記入すること", 40),
    Column("support", "Support (Y, N, N/A)", "対応（Y・N・N/A）", 12),
)
_SHOWN = 4


def render(report: Report, *, lang: Lang = "en", show_secrets: bool = False) -> str:
    """The statement as Markdown."""
    return as_markdown([table(report, lang, show_secrets=show_secrets)], lang, level=1)


def table(report: Report, lang: Lang = "en", *, show_secrets: bool = False) -> Table:
    """One row for each provision."""
    spoken = told(report, lang)
    by_provision: dict[str, list[Finding]] = {}
    for finding in spoken.findings:
        for name in _of(finding):
            by_provision.setdefault(name, []).append(finding)
    rows = tuple(_row(each, by_provision.get(each.id, []), report, lang, show_secrets=show_secrets) for each in provisions())
    return Table(label("ics_title", lang, name=report.image.name), COLUMNS, rows, label("ics_note", lang))


def _of(finding: Finding) -> list[str]:
    """The provisions that a finding speaks to: those that its rule names. What it supports is no wider than its criteria."""
    own = list(dict.fromkeys(name for each in finding.references if (name := named(each)) is not None))
    if finding.verdict != "support":
        return own
    known = criteria()
    anchored = [name for each in finding.criteria if each in known for name in known[each].anchors.get("en303645", ())]
    return [name for name in own if name in anchored] or anchored


def _row(each: Provision, findings: list[Finding], report: Report, lang: Lang, *, show_secrets: bool) -> dict[str, str]:
    adverse = [one for one in findings if one.verdict in {"violation", "concern"} and not one.waived]
    speaking = adverse or [one for one in findings if one.verdict == "support"]
    firm = any(one.verdict == "violation" and one.confidence != "tentative" for one in adverse)
    state = "ics_contradicted" if firm else "ics_against" if adverse else "ics_for" if speaking else "ics_silent"
    return {
        "reference": each.id,
        "asked": each.text(lang),
        "status": each.status,
        "condition": "\n".join(_condition(key, report.device, lang) for key in each.conditions) or "–",
        "suggested": label(state, lang),
        "detail": "\n".join(_lines(speaking, lang, show_secrets=show_secrets)),
        "from": "\n".join(dict.fromkeys(view.place(one.location) for one in speaking[:_SHOWN])) or "–",
        "todo": _todo(each, bool(adverse), lang),
    }


def _lines(findings: list[Finding], lang: Lang, *, show_secrets: bool) -> Iterator[str]:
    for one in findings[:_SHOWN]:
        secret = f" [{one.secret}]" if show_secrets and one.secret else ""
        yield f"{one.rule} ({label(one.confidence, lang)}) {one.title}{secret}"
    if len(findings) > _SHOWN:
        yield label("more", lang, count=len(findings) - _SHOWN)


def _todo(each: Provision, adverse: bool, lang: Lang) -> str:  # one of two sentences
    words = [label("ics_todo_against" if adverse else "ics_todo", lang)]
    if each.ixit:
        words.append("IXIT " + ", ".join(each.ixit))
    return "\n".join(words)


# --------------------------------------------------------------------------- features

_NETWORK = frozenset({"web upload", "http download", "tftp or ftp", "TR-069", "local file or web upload"})


def _passwords(device: Device) -> bool:
    return any(each.password in {"hash", "empty"} for each in device.accounts) or _asked(device, "password")


def _asked(device: Device, *ways: str) -> bool:
    return any(each.enabled == "yes" and each.authentication in ways for each in device.services)


_SEEN: dict[str, Callable[[Device], bool]] = {
    "a": _passwords,
    "c": lambda device: _passwords(device) or _asked(device, "key", "certificate"),
    "d": lambda device: _passwords(device) or _asked(device, "key", "certificate"),
    "e": lambda device: _asked(device, "password", "key", "certificate"),
    "g": lambda device: any(each.source != "container" for each in device.update_paths),
    "12": lambda device: any(each.source != "container" for each in device.update_paths),
    "h": lambda device: any(each.automatic == "yes" for each in device.update_paths),
    "j": lambda device: any(each.source in _NETWORK for each in device.update_paths),
    "k": lambda device: any(each.kind == "private-key" for each in device.crypto) or _passwords(device),
    "16": lambda device: any(each.kind == "private-key" for each in device.crypto) or _passwords(device),
    "q": lambda device: bool(device.consoles),
    "s": lambda device: any(each.verified == "signature" for each in device.boot_chain),
}


def _condition(key: str, device: Device, lang: Lang) -> str:
    """The condition, and whether the image shows it; that it does not is no proof that it does not hold."""
    seen = _SEEN.get(key)
    state = "" if seen is None else label("ics_seen" if seen(device) else "ics_not_seen", lang)
    return f"({key}) {features()[key].text(lang)}" + (f": {state}" if state else "")
