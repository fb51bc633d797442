"""The checklist as CSV and Markdown, the statement by EN 303 645 and the tables for testing: what they hold and never say."""

from __future__ import annotations

import csv
import io
import re

import msgspec
import openpyxl
import pytest
from support.reports import finding_of, report_of
from support.wording import claims

from fwcheck.analysers.registry import rules
from fwcheck.declaration import Credentials, Declaration, DeclaredService
from fwcheck.jcstar.catalogue import criteria
from fwcheck.jcstar.provisions import features, named, provisions
from fwcheck.model import Account, CryptoAsset, Device, Evidence, Listener, Location, Service, UpdatePath, UpdateStep
from fwcheck.reports import checklist, ics, ixit, view
from fwcheck.reports.registry import FORMATS
from fwcheck.reports.table import Column, Table, as_csv, as_markdown

WHERE = (Evidence(location=Location(chain=("a.bin",), path="/etc/init.d/rcS", line=7), text="httpd &"),)
IDS = [each.id for each in provisions()]


def rows_of(name, report, lang="en"):
    return list(csv.DictReader(io.StringIO(FORMATS[name].render(report, lang=lang))))


# --------------------------------------------------------------------------- checklist


def test_the_checklist_as_csv_has_the_rows_and_columns_of_the_workbook():
    report = report_of()
    got = rows_of("checklist-csv", report)
    assert [each["Criterion"] for each in got] == [row.id for row in view.target(report).criteria]
    assert list(got[0]) == [column.en for column in checklist.COLUMNS]
    assert all(each[heading] == "" for each in got for heading in ("Assessor's result", "Assessor", "Date", "Remark"))
    assert list(rows_of("checklist-csv", report, "ja")[0]) == [column.ja for column in checklist.COLUMNS]


def test_the_checklist_as_markdown_has_one_line_for_each_criterion():
    text = FORMATS["checklist-markdown"].render(report_of())
    lines = [line for line in text.splitlines() if line.startswith("| S1.1-")]
    assert len(lines) == 16
    assert all(len(re.findall(r"(?<!\\)\|", line)) == len(checklist.COLUMNS) + 1 for line in lines)


def test_a_proxy_says_so_before_its_rows():
    assert "roxy" in FORMATS["checklist-markdown"].render(report_of(target="STAR-2")).split("| Criterion")[0]


# --------------------------------------------------------------------------- tables in general

HOSTILE = "=cmd|' /C calc'!A0 <script>alert(1)</script> | [x](http://a.example) \x1b[31m\u202e @everyone"


def test_cells_of_an_image_stay_text():
    table = Table("t", (Column("a", "A", "A"),), ({"a": HOSTILE},))
    ((cell,),) = list(csv.reader(io.StringIO(as_csv(table))))[1:]
    assert cell.startswith("'=")
    assert not re.search("[\x1b\u202e]", cell)
    text = as_markdown([table])
    assert "<script>" not in text
    assert "\\[x\\]" in text
    assert "\\|" in text
    assert "\\@everyone" in text


def test_a_long_cell_is_cut():
    assert len(as_csv(Table("t", (Column("a", "A", "A"),), ({"a": "x" * 100_000},)))) < 5000


# --------------------------------------------------------------------------- provisions


def test_provisions_are_named_once_with_both_languages_and_known_conditions():
    assert len(IDS) == len(set(IDS)) == 78
    for each in provisions():
        assert re.fullmatch(r"[MR]( C \(\d+\))?( F \(\w+\))?", each.status), each.id
        assert set(each.conditions) <= set(features()), each.id
        assert any(ord(char) > 0x3000 for char in each.ja), each.id
        assert all(re.fullmatch(r"\d+-\w+", name) for name in each.ixit)


def test_every_provision_that_a_rule_or_criterion_names_exists():
    lost = {
        f"{rule.id}: {each}" for rule in rules().values() for each in rule.references if (one := named(each)) and one not in IDS
    }
    lost |= {f"{each.id}: {one}" for each in criteria().values() for one in each.anchors.get("en303645", ()) if one not in IDS}
    assert not lost


@pytest.mark.parametrize(
    ("reference", "provision"),
    [
        ("ETSI EN 303 645 5.1-1", "5.1-1"),
        ("ETSI EN 303 645 5.6-4", "5.6-4A"),
        ("ETSI EN 303 645 5.13-1", "5.13-1B"),
        ("CWE-798", None),
        ("ETSI TS 103 701 IXIT 7-UpdMech", None),
    ],
)
def test_references_name_provisions(reference, provision):
    assert named(reference) == provision


def stated(*findings, device=None):
    report = report_of(list(findings), device=device) if device is not None else report_of(list(findings))
    return {row["reference"]: row for row in ics.table(report).rows}


def of_rule(rule, criterion, *references, **how):
    return msgspec.structs.replace(finding_of(rule, criterion, **how), references=references)


def test_each_provision_has_its_row_and_support_is_left_to_the_maker():
    got = stated()
    assert list(got) == IDS
    assert all("support" not in row for row in got.values())
    assert all(row["todo"] for row in got.values())


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({}, "contradicted by the image"),
        ({"confidence": "tentative"}, "evidence against it"),
        ({"verdict": "concern"}, "evidence against it"),
        ({"verdict": "support"}, "evidence for it, no proof"),
        ({"verdict": "info"}, "the image does not decide"),
        ({"waived": True}, "the image does not decide"),
    ],
)
def test_what_a_finding_says_of_the_provision_that_its_rule_names(how, says):
    row = stated(of_rule("ACC-001", "S1.1-02", "ETSI EN 303 645 5.1-1", **how))["5.1-1"]
    assert row["suggested"] == says
    assert ("ACC-001" in row["detail"]) == (says != "the image does not decide")
    assert (row["from"] != "–") == bool(row["detail"])


def test_support_goes_no_further_than_its_criterion():
    got = stated(of_rule("INF-001", "S1.1-10", "ETSI EN 303 645 5.2-1", verdict="support"))
    assert got["5.2-1"]["suggested"] == "the image does not decide"
    assert got["5.3-16"]["suggested"] == "evidence for it, no proof"


def test_features_are_told_as_far_as_the_image_shows_them():
    path = UpdatePath(source="http download", sink="mtd write", automatic="yes")
    got = stated(device=Device(accounts=(Account(name="root", password="hash"),), update_paths=(path,)))
    assert got["5.1-1"]["condition"].endswith("seen in the image")
    assert "seen in the image" in got["5.3-10"]["condition"]
    assert "which proves nothing" in stated(device=Device(platform="x"))["5.3-10"]["condition"]
    assert got["5.8-3"]["condition"].endswith("surroundings")


# --------------------------------------------------------------------------- information for testing

WHOLE = Device(
    accounts=(Account(name="admin", password="hash", scheme="md5", evidence=WHERE),),
    services=(
        Service(
            name="httpd", program="/usr/sbin/httpd", enabled="yes", protocol="http", authentication="password", user="root",
            evidence=WHERE,
        ),
    ),
    listeners=(Listener(port=80, protocol="tcp", address="0.0.0.0", service="httpd", reachable_from="lan", evidence=WHERE),),
    update_paths=(
        UpdatePath(
            source="web upload", sink="mtd write", verified="checksum", mechanism="/sbin/up", transport="plain", evidence=WHERE,
            steps=(UpdateStep(action="compare", what="CRC32 of /tmp/fw"),),
        ),
    ),
    crypto=(CryptoAsset(kind="private-key", algorithm="RSA", bits=2048, fingerprint="ab" * 32, evidence=WHERE),),
    declared=Declaration(
        services=(DeclaredService(name="http", reason="set-up page"),), credentials=Credentials(first_password="common")
    ),
)  # fmt: skip


def tables(device=WHOLE, lang="en", findings=()):
    return {each.title.split()[1].rstrip(":"): each for each in ixit.tables(report_of(list(findings), device=device), lang)}


def test_the_seven_tables_that_an_image_can_help_with():
    names = ["1-AuthMech", "6-SoftComp", "7-UpdMech", "10-SecParam", "11-ComMech", "13-SoftServ", "15-Intf"]
    assert list(tables()) == names
    for table in tables().values():
        assert [column.key for column in table.columns][-2:] == ["from", "todo"]
        for row in table.rows:
            assert row["id"]
            missing = {column.en for column in table.columns[:-2] if not row.get(column.key)}
            assert set(filter(None, row["todo"].split(", "))) == missing


def test_rows_are_filled_from_the_device_model_with_their_place():
    made = tables(findings=[finding_of("ACC-009", "S1.1-04", verdict="concern")])
    (login,) = [row for row in made["1-AuthMech"].rows if row["id"] == "AuthMech-httpd"]
    assert "tcp/80" in login["description"]
    assert login["factor"] == "password"
    assert "common" in login["generation"]
    assert "md5" in login["cryptography"]
    assert "ACC-009" in login["brute_force"]
    assert login["from"] == "a.bin › /etc/init.d/rcS:7"
    (update,) = made["7-UpdMech"].rows
    assert "CRC32 of /tmp/fw" in update["description"]
    assert "checksum" in update["guarantees"]
    (service,) = made["13-SoftServ"].rows
    assert service["justification"] == "stated: set-up page"
    assert service["authentication"] == "AuthMech-httpd"
    assert {row["id"] for row in made["10-SecParam"].rows} == {"SecParam-password-admin", "SecParam-private-key-abababab"}
    assert {row["id"] for row in made["11-ComMech"].rows} == {"ComMech-httpd-tcp80", "ComMech-UpdMech-up"}
    (port,) = made["15-Intf"].rows
    assert port["type"] == "network"
    assert "reach" in port["status"]


def test_nothing_is_made_up_for_an_image_that_tells_nothing():
    for table in tables(Device()).values():
        assert table.rows == () or table.title.startswith("IXIT 6-")


def test_the_tables_are_told_in_japanese():
    for table in tables(lang="ja").values():
        assert any(ord(char) > 0x3000 for char in table.title)
        assert table.columns[-1].heading("ja") == "製造者が記入すること"


def test_long_tables_end_and_say_so():
    many = tuple(Account(name=f"u{number}", password="hash") for number in range(900))
    table = tables(Device(accounts=many))["10-SecParam"]
    assert len(table.rows) == 400
    assert "500 more" in table.note


# --------------------------------------------------------------------------- all of them


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("name", ["checklist-csv", "checklist-markdown", "ics", "ics-csv", "ixit"])
def test_none_claims_anything_and_none_shows_a_secret(name, lang):
    text = FORMATS[name].render(report_of(), lang=lang)
    own = text.replace("適合要件", "").replace("適合候補（要確認）", "").replace("不適合", "")
    assert claims(own) == []
    assert "hunter2secret" not in text
    assert "HASHHASH" not in text


def test_the_workbook_holds_the_statement_and_the_tables():
    book = openpyxl.load_workbook(io.BytesIO(FORMATS["checklist"].render(report_of())))
    assert book.sheetnames[:3] == ["Checklist", "チェックリスト", "ICS"]
    assert [name for name in book.sheetnames if name.startswith("IXIT ")] == [
        "IXIT 1-AuthMech", "IXIT 6-SoftComp", "IXIT 7-UpdMech", "IXIT 10-SecParam", "IXIT 11-ComMech", "IXIT 13-SoftServ",
        "IXIT 15-Intf",
    ]  # fmt: skip
    sheet = book["ICS"]
    assert sheet.max_row == 4 + len(IDS)
    (rule,) = sheet.data_validations.dataValidation
    assert rule.formula1 == '"Y,N,N/A"'
