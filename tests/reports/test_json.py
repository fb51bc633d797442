"""The JSON report is the published contract: its keys, its schema, its secrets, its determinism."""

from __future__ import annotations

import json

import jsonschema
import msgspec
import pytest
from support.reports import MIB, coverage_of, findings_of_router, report_of

from fwcheck.model import Device, Gap, Report
from fwcheck.reports import json as json_report
from fwcheck.reports import schema

CONTRACT = {
    "": "schema_version tool image coverage device components findings tiers tier gate timing",
    "tool": "name version rules_digest database_date",
    "image": "name size sha256 format",
    "coverage": "bytes_total bytes_explained bytes_padding bytes_unknown bytes_encrypted files gaps",
    "coverage.gaps.0": "node reason bytes",
    "device": "platform accounts services listeners update_paths boot_chain",
    "device.accounts.0": "name uid shell password scheme cracked file",
    "device.services.0": "name program arguments enabled user started_by",
    "device.listeners.0": "port protocol address service",
    "device.update_paths.0": "source sink verified",
    "components.0": "name version purl cpe evidence confidence end_of_life vulnerabilities",
    "components.0.vulnerabilities.0": "id score known_exploited fixed_in source",
    "findings.0": "fingerprint rule title severity confidence verdict criteria location evidence remediation waived",
    "findings.0.location": "chain path offset line",
    "tiers.0": "official refuted score decidable total criteria",
    "tiers.0.criteria.0": "id title verdict reason findings needs",
    "tier": "target highest_not_refuted score",
    "gate": "asked passed reasons",
}


def whole() -> Report:
    return report_of(coverage=coverage_of(unknown=MIB, gaps=[Gap(node="router.bin › /x", reason="broken", bytes=12)]))


def at(value, address: str):
    for step in filter(None, address.split(".")):
        value = value[int(step)] if step.isdigit() else value[step]
    return value


@pytest.mark.parametrize("address", CONTRACT)
def test_every_key_of_the_contract_is_there(address: str) -> None:
    assert set(at(json.loads(json_report.render(whole())), address)) >= set(CONTRACT[address].split())


@pytest.mark.parametrize(
    "report",
    [whole(), report_of([], coverage_of(files=0), Device()), report_of(target="STAR-4")],
    ids=["whole", "nothing read", "STAR-4"],
)
def test_a_report_is_valid_by_the_shipped_schema(report: Report) -> None:
    jsonschema.Draft202012Validator.check_schema(json_report.schema())
    jsonschema.Draft202012Validator(json_report.schema()).validate(json.loads(json_report.render(report)))


def test_the_shipped_schema_is_not_stale() -> None:
    assert msgspec.json.decode(schema.text()) == json_report.schema()


@pytest.mark.parametrize(
    ("address", "key", "value"),
    [
        ("image", "sha256", "xyz"),
        ("findings.0", "severity", "terrible"),
        ("findings.0", "confidence", 3),
        ("tiers.0", "score", 101),
        ("tiers.0.criteria.0", "verdict", "passed"),
        ("device.accounts.0", "password", "weak"),
        ("", "schema_version", "2.0"),
        ("coverage", "bytes_total", -1),
    ],
)
def test_the_schema_refuses_a_wrong_value(address: str, key: str, value) -> None:
    report = json.loads(json_report.render(whole()))
    at(report, address)[key] = value
    assert list(jsonschema.Draft202012Validator(json_report.schema()).iter_errors(report))


@pytest.mark.parametrize("address", CONTRACT)
def test_the_schema_asks_for_every_key(address: str) -> None:
    report = json.loads(json_report.render(whole()))
    place = at(report, address)
    del place[min(CONTRACT[address].split())]
    assert list(jsonschema.Draft202012Validator(json_report.schema()).iter_errors(report))


def test_password_fields_stay_out() -> None:
    text = json_report.render(whole())
    assert "hunter2secret" not in text
    assert "HASHHASH" not in text
    assert "f0und-it" not in text
    assert '"secret"' not in text
    assert '"plain"' not in text


def test_password_fields_are_shown_on_demand() -> None:
    shown = json_report.render(whole(), show_secrets=True)
    assert "hunter2secret" in shown
    assert json.loads(shown)["findings"][0]["secret"] == "f0und-it"
    jsonschema.Draft202012Validator(json_report.schema()).validate(json.loads(shown))


def test_the_same_report_gives_the_same_bytes_in_every_language() -> None:
    assert json_report.render(whole()) == json_report.render(whole(), lang="ja")


def test_only_timing_differs_from_run_to_run() -> None:
    one, two = (msgspec.structs.replace(whole(), timing={"total": seconds}) for seconds in (1.0, 2.0))
    first, second = (json.loads(json_report.render(each)) for each in (one, two))
    assert {key for key in first if first[key] != second[key]} == {"timing"}


def test_components_stand_once() -> None:
    report = json.loads(json_report.render(whole()))
    assert "components" not in report["device"]
    assert len(report["components"]) == 3


def test_a_report_survives_its_json_form_but_for_its_secrets() -> None:
    report = whole()
    again = json_report.read(json_report.render(report))
    assert again.findings == tuple(msgspec.structs.replace(each, secret="") for each in report.findings)
    assert again.tiers == report.tiers
    assert again.device.components == report.components
    assert not again.device.accounts[0].plain
    assert json_report.render(again) == json_report.render(report)


def test_something_else_is_no_report() -> None:
    with pytest.raises(msgspec.DecodeError):
        json_report.read(b'{"schema_version": "1.0"}')


def test_names_that_are_no_unicode_do_not_break_the_report() -> None:
    broken = [msgspec.structs.replace(findings_of_router()[0], evidence="caf\udce9")]
    assert "caf" in json_report.render(report_of(broken))
