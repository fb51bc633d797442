"""The checklist as a workbook (Office Open XML, ECMA-376): one row for each criterion of the target level, in two languages.

The tool fills in what the image says, in careful words; the columns of the assessor stay empty, with lists to choose from. Titles
and questions are this tool's own; the layout is no copy of an official form. Nowhere does a cell say that a product complies.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator
from typing import Any

import xlsxwriter

from fwcheck.jcstar.catalogue import STANDARDS, Criterion, criteria
from fwcheck.language.told import told
from fwcheck.model import CriterionVerdict, Finding, Report, TierVerdict, Verdict
from fwcheck.reports import ics, ixit, sheets, view
from fwcheck.reports._long_sheet import LongSheet
from fwcheck.reports.labels import label, labels
from fwcheck.reports.printable import plain
from fwcheck.reports.registry import Lang
from fwcheck.reports.table import Column, Table

_LONGEST = 4000  # characters of a cell; the format allows 32,767
_EVIDENCE_ROWS = 2000  # findings on the sheet of evidence, worst first; the CSV report holds all
_QUOTED = 200  # characters of evidence in a row: a sheet's rows end at 409 points
_SHOWN = 6  # findings named in a row; all of them stand on the sheet of evidence
_EPOCH = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)  # the file does not depend on when it was made
_HEAD_ROWS = 7  # rows above the table


COLUMNS = (
    Column("criterion", "Criterion", "適合要件番号", 11),
    Column("title", "What is asked (own summary)", "適合要件（本ツールによる要約）", 30),
    Column("method", "Evaluation", "評価手法", 12),
    Column("result", "Suggested result", "評価結果の候補", 20),
    Column("reason", "Reason", "理由", 44),
    Column("not_applicable", "Reason when not applicable", "対象外の場合の理由", 24),
    Column("evidence", "Evidence in the image", "イメージ内の証拠", 50),
    Column("documents", "Documents still needed", "必要な資料", 34),
    Column("tests", "Device tests still needed", "必要な実機試験", 30),
    Column("references", "Other standards", "関連規格", 22),
    Column("assessed", "Assessor's result", "評価結果（評価者）", 12),
    Column("assessor", "Assessor", "評価者", 12),
    Column("date", "Date", "評価日", 11),
    Column("remark", "Remark", "備考", 20),
)
_CHOICES = {"en": ("Y", "N", "N/A"), "ja": ("適合", "不適合", "対象外")}
_METHODS = {"document": ("document", "ドキュメント評価"), "device": ("device test", "実機評価")}
_RESULTS: dict[Verdict, tuple[str, str]] = {
    Verdict.VIOLATION: ("Contradicted by the image", "不適合"),
    Verdict.SUPPORT: ("Candidate, to be confirmed", "適合候補（要確認）"),
    Verdict.NOT_APPLICABLE: ("Perhaps not applicable, to be confirmed", "対象外候補"),
}
_OPEN = {
    "document": ("Not decidable: document needed", "判定不能（要資料）"),
    "device": ("Not decidable: device test needed", "判定不能（要実機試験）"),
}
_WORDS = {
    "title": ("Checklist {level}", "チェックリスト {level}"),
    "product": ("Product", "製品名・型番"),
    "image": ("Firmware image", "ファームウェア"),
    "digest": ("SHA-256", "SHA-256"),
    "tool": ("Pre-filled by", "事前記入"),
    "note": (
        "A firmware image can contradict a criterion; it never proves one. Every suggestion has to be confirmed by a person.",
        "ファームウェアは要件との矛盾を示せても、充足の証明にはならない。すべての候補は人による確認を要する。",
    ),
}
_EVIDENCE = (
    *("fingerprint", "rule", "criteria", "verdict", "confidence", "container", "path", "offset_or_line", "evidence"),
    "refuted_by",
)


def render(report: Report, *, lang: Lang = "en", show_secrets: bool = False) -> bytes:
    """The workbook; the sheet in ``lang`` comes first. Nothing from the image becomes a formula or a link."""
    out = io.BytesIO()
    settings = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = xlsxwriter.Workbook(out, settings)
    book.set_properties({"title": "fwcheck checklist", "created": _EPOCH})
    order: tuple[Lang, ...] = ("ja", "en") if lang == "ja" else ("en", "ja")
    for each in order:
        shown = told(report, each)
        _sheet(book, shown, view.target(shown), each, show_secrets=show_secrets)
    sheets.add(book, ics.table(report, lang, show_secrets=show_secrets), "ICS", lang, {"support": ("Y", "N", "N/A")})
    for made in ixit.tables(report, lang):
        sheets.add(book, made, made.title.split(":")[0].split(" (")[0], lang)
    _evidence(book, told(report, lang), lang, show_secrets=show_secrets)
    book.close()
    return out.getvalue()


def table(report: Report, lang: Lang = "en", *, show_secrets: bool = False) -> Table:
    """The checklist of the target level as a plain table."""
    spoken = told(report, lang)
    tier = view.target(spoken)
    note = _word("note", lang) + ("" if tier.official else f" {tier.note}")
    made = tuple(rows(spoken, tier, lang, show_secrets=show_secrets))
    return Table(f"{_word('title', lang).format(level=tier.id)}: {report.image.name}", COLUMNS, made, note)


def _word(name: str, lang: Lang) -> str:
    return _WORDS[name][lang == "ja"]


def rows(report: Report, tier: TierVerdict, lang: Lang, *, show_secrets: bool = False) -> Iterator[dict[str, str]]:
    """One row for each criterion of a level and of those below it, by the keys of :data:`COLUMNS`; the assessor's are empty."""
    known = criteria()
    by_fingerprint = {each.fingerprint: each for each in report.findings}
    for row in tier.criteria:
        criterion = known.get(row.id)
        if criterion is None:
            continue
        held = [by_fingerprint[each] for each in row.findings if each in by_fingerprint]
        yield {
            "criterion": row.id,
            "title": criterion.title(lang),
            "method": " / ".join(_METHODS[each][lang == "ja"] for each in criterion.evaluation),
            "result": _result(row, criterion, lang),
            "reason": row.reason,
            "not_applicable": row.reason if row.verdict is Verdict.NOT_APPLICABLE else "",
            "evidence": "\n".join(_quoted(each, lang, show_secrets=show_secrets) for each in held[:_SHOWN]),
            "documents": "\n".join(need.text(lang) for need in criterion.needs if need.kind == "document"),
            "tests": "\n".join(need.text(lang) for need in criterion.needs if need.kind == "device-test"),
            "references": "\n".join(f"{STANDARDS.get(name, name)}: {', '.join(ids)}" for name, ids in criterion.anchors.items()),
        }


def _result(row: CriterionVerdict, criterion: Criterion, lang: Lang) -> str:
    if row.verdict in _RESULTS:
        return _RESULTS[row.verdict][lang == "ja"]
    return _OPEN["device" if criterion.evaluation == ("device",) else "document"][lang == "ja"]


def _quoted(finding: Finding, lang: Lang, *, show_secrets: bool) -> str:
    shown = _shown(finding, show_secrets=show_secrets)
    lines = (
        f"{finding.rule} ({label(finding.confidence, lang)}) {finding.title}",
        f"  {view.place(finding.location)}",
        f"  {shown[:_QUOTED]}{'…' if len(shown) > _QUOTED else ''}" if shown else "",
    )
    return "\n".join(line for line in lines if line)


def _shown(finding: Finding, *, show_secrets: bool) -> str:
    return f"{finding.evidence} [{finding.secret}]" if show_secrets and finding.secret else finding.evidence


def _text(value: str) -> str:
    return (value if value.isprintable() else "\n".join(plain(line) for line in value.split("\n")))[:_LONGEST]


# --------------------------------------------------------------------------- sheets


def _sheet(book: Any, report: Report, tier: TierVerdict, lang: Lang, *, show_secrets: bool) -> None:
    sheet = book.add_worksheet("チェックリスト" if lang == "ja" else "Checklist")
    font = {"font_name": "Noto Sans CJK JP" if lang == "ja" else "Calibri", "font_size": 10}
    cell = book.add_format({**font, "text_wrap": True, "valign": "top", "border": 1, "border_color": "#BFC5CB"})
    head = book.add_format({**font, "bold": True, "text_wrap": True, "valign": "vcenter", "border": 1, "bg_color": "#E8EBEE"})
    given = book.add_format({**font, "text_wrap": True, "valign": "top", "border": 1, "bg_color": "#FFFBE6"})
    plain_font, bold = book.add_format(font), book.add_format({**font, "bold": True, "font_size": 14})
    _header(sheet, report, tier, lang, bold, plain_font)
    for at, column in enumerate(COLUMNS):
        sheet.set_column(at, at, column.width)
        sheet.set_row(_HEAD_ROWS, 2 * sheets.LINE + 4)
        sheet.write_string(_HEAD_ROWS, at, column.ja if lang == "ja" else column.en, head)
    last = _HEAD_ROWS
    for row in rows(report, tier, lang, show_secrets=show_secrets):
        last += 1
        sheet.set_row(last, sheets.height(row, COLUMNS))
        for at, column in enumerate(COLUMNS):
            if column.key in row:
                sheet.write_string(last, at, _text(row[column.key]), cell)
            else:
                sheet.write_blank(last, at, None, given)
    if last > _HEAD_ROWS:
        at = [column.key for column in COLUMNS].index("assessed")
        sheet.data_validation(_HEAD_ROWS + 1, at, last, at, {"validate": "list", "source": list(_CHOICES[lang])})
        sheet.autofilter(_HEAD_ROWS, 0, last, len(COLUMNS) - 1)
    sheet.freeze_panes(_HEAD_ROWS + 1, 2)
    sheets.across(sheet, _HEAD_ROWS, last, len(COLUMNS))


def _header(sheet: Any, report: Report, tier: TierVerdict, lang: Lang, bold: Any, font: Any) -> None:
    declared = report.device.declared
    product = (
        f"{declared.product.maker} {declared.product.model} {declared.product.version}".strip() if declared is not None else ""
    )
    lines = (
        ("product", product),
        ("image", f"{report.image.name} ({report.image.size:,} B)"),
        ("digest", report.image.sha256),
        ("tool", f"{report.tool.name} {report.tool.version}"),
    )
    sheet.write_string(0, 0, _word("title", lang).format(level=tier.id), bold)
    for number, (name, value) in enumerate(lines, 1):
        sheet.write_string(number, 0, f"{_word(name, lang)}: {_text(value)}" if value else f"{_word(name, lang)}:", font)
    sheet.write_string(5, 0, _word("note", lang) + ("" if tier.official else f" {tier.note}"), font)


def _evidence(book: Any, report: Report, lang: Lang, *, show_secrets: bool) -> None:
    """Every finding with its place, for whoever follows a row up."""
    sheet = book.add_worksheet("証拠" if lang == "ja" else "Evidence", LongSheet)
    head = book.add_format({"bold": True, "bg_color": "#E8EBEE", "border": 1})
    cell = book.add_format({"text_wrap": True, "valign": "top"})
    for at, (name, width) in enumerate(zip(_EVIDENCE, (18, 10, 18, 12, 11, 34, 34, 14, 60, 50), strict=True)):
        sheet.set_column(at, at, width)
        sheet.write_string(0, at, label(name, lang), head)
    words = labels(lang)
    held: list[tuple[str, ...]] = []
    for finding in report.findings[:_EVIDENCE_ROWS]:
        where = finding.location
        place = (
            label("line", lang, number=where.line)
            if where.line is not None
            else ""
            if where.offset is None
            else f"0x{where.offset:x}"
        )
        values = (
            *(finding.fingerprint, finding.rule, " ".join(finding.criteria)),
            *(words.get(finding.verdict, finding.verdict), words.get(finding.confidence, finding.confidence)),
            *(" › ".join(where.chain), where.path, place, _shown(finding, show_secrets=show_secrets), finding.refuted_by),
        )
        held.append(tuple(map(_text, values)))
    if len(report.findings) > _EVIDENCE_ROWS:
        more = label("more", lang, count=len(report.findings) - _EVIDENCE_ROWS)
        held.append((f"{more} (--format csv)",))
    sheet.below(1, held, cell)
    sheet.freeze_panes(1, 2)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
