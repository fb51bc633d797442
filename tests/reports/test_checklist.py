"""The checklist workbook: rows of the target level in both languages, careful words, empty columns for the assessor."""

import io

import msgspec
import openpyxl
import pytest
from support.reports import finding_of
from support.reports import report_of as report

from fwcheck.declaration import Declaration, Product
from fwcheck.model import Verdict
from fwcheck.reports import view
from fwcheck.reports.checklist import COLUMNS, render, rows

HEAD = 8  # the row of the headings, counted from one


def opened(content):
    return openpyxl.load_workbook(io.BytesIO(content))


def table(sheet):
    names = [sheet.cell(HEAD, at + 1).value for at in range(len(COLUMNS))]
    return [dict(zip(names, row, strict=True)) for row in sheet.iter_rows(min_row=HEAD + 1, values_only=True)]


def test_there_is_one_row_for_each_criterion_of_the_target_in_both_languages():
    made = report()
    book = opened(render(made))
    assert (book.sheetnames[:2], book.sheetnames[-1]) == (["Checklist", "チェックリスト"], "Evidence")
    expected = [row.id for row in view.target(made).criteria]
    for name, key in (("Checklist", "Criterion"), ("チェックリスト", "適合要件番号")):
        assert [row[key] for row in table(book[name])] == expected


def test_the_language_of_the_report_comes_first():
    assert opened(render(report(), lang="ja")).sheetnames[0] == "チェックリスト"


def test_the_assessor_finds_empty_cells_with_a_list_to_choose_from():
    for sheet, choices in zip(opened(render(report())).worksheets[:2], ("Y,N,N/A", "適合,不適合,対象外"), strict=True):
        (rule,) = sheet.data_validations.dataValidation
        assert rule.formula1 == f'"{choices}"'
        last = [column.key for column in COLUMNS].index("assessed")
        assert all(row[last:] == (None,) * (len(COLUMNS) - last) for row in sheet.iter_rows(min_row=HEAD + 1, values_only=True))
        assert sheet.page_setup.orientation == "landscape"


@pytest.mark.parametrize(
    ("lang", "forbidden"),
    [("en", ("comply", "complies", "compliant", "conforms")), ("ja", ("適合している", "適合します", "適合済"))],
)
def test_no_cell_says_that_a_product_complies(lang, forbidden):
    for sheet in opened(render(report(), lang=lang)).worksheets:
        for row in sheet.iter_rows(values_only=True):
            for value in row:
                assert not any(word in str(value).lower() for word in forbidden)
    assert all(row["result"] not in ("適合", "Y") for row in rows(report(), view.target(report()), lang))


def test_every_row_that_may_not_apply_has_its_reason():
    made = report()
    tier = view.target(made)
    changed = msgspec.structs.replace(
        tier,
        criteria=tuple(
            msgspec.structs.replace(row, verdict=Verdict.NOT_APPLICABLE, reason="no network") for row in tier.criteria
        ),
    )
    for row in rows(made, changed, "en"):
        assert (row["result"], row["not_applicable"]) == ("Perhaps not applicable, to be confirmed", "no network")


def test_text_of_an_image_stays_text():
    made = report()
    hostile = '=HYPERLINK("http://x.example","y")'
    findings = tuple(msgspec.structs.replace(each, title=hostile, evidence="@SUM(1)\x07") for each in made.findings)
    named = msgspec.structs.replace(
        made,
        findings=findings,
        device=msgspec.structs.replace(made.device, declared=Declaration(product=Product(maker="+cmd", model="=1+1"))),
    )
    for sheet in opened(render(named)).worksheets:
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type in ("s", "n"), cell.value
                assert cell.hyperlink is None
                assert cell.data_type == "s" or cell.value is None


def test_the_same_report_gives_the_same_bytes():
    assert render(report()) == render(report())


def test_secrets_are_shown_on_request_only():
    made = report()
    findings = tuple(msgspec.structs.replace(each, secret="hunter2") for each in made.findings)
    named = msgspec.structs.replace(made, findings=findings)

    def cells(content):
        return " ".join(
            str(value) for sheet in opened(content).worksheets for row in sheet.iter_rows(values_only=True) for value in row
        )

    assert "hunter2" not in cells(render(named))
    assert "hunter2" in cells(render(named, show_secrets=True))


def test_the_sheet_of_evidence_holds_texts_as_they_are() -> None:
    hostile = '=1+1 & <b>"x"</b> \x00\ud800 ]]>'
    found = [finding_of("NET-001", "S1.1-13", path=f"/{number}", evidence=hostile, cause=str(number)) for number in range(2100)]
    book = opened(render(report(found)))
    held = list(book["Evidence"].iter_rows())
    assert len(held) == 2002
    assert [cell.value for cell in held[0]][:3] == ["Fingerprint", "Rule", "Criteria"]
    assert held[7][6].value == "/6"
    assert held[7][8].value == hostile.replace("\x00", "\\x00").replace("\ud800", "\\ud800")
    assert held[7][8].data_type == "s"
    assert {cell.alignment.wrap_text for cell in held[9]} == {True}
    assert held[2001][0].value == "and 100 more (--format csv)"
