"""SARIF, CycloneDX, JUnit and CSV: read back by a reader of the format, they say what the report says."""

from __future__ import annotations

import csv as csv_reader
import io
import json
import xml.etree.ElementTree as ET
from urllib.parse import unquote

import msgspec
import pytest
from support.reports import coverage_of, device_of, finding_of, report_of

from fwcheck.model import Component, Device, Severity, Verdict, Vulnerability
from fwcheck.reports import csv, cyclonedx, junit, sarif

HOSTILE = "=cmd|' /C calc'!A0\"<x>&\x1b[2J\udce9\n, a:b"


def hostile():
    found = [finding_of("NET-001", "S1.1-13", title=HOSTILE, path=f"/etc/{HOSTILE[:20]}", evidence=HOSTILE)]
    device = msgspec.structs.replace(device_of(), components=(Component(name=HOSTILE, version=HOSTILE),) * 2)
    return report_of(found, coverage_of(), device, name=HOSTILE)


class TestSarif:
    @staticmethod
    def run(report):
        log = json.loads(sarif.render(report))
        assert log["version"] == "2.1.0"
        (run,) = log["runs"]
        return run

    def test_every_finding_is_a_result_that_points_at_its_rule(self) -> None:
        report = report_of()
        run = self.run(report)
        rules = run["tool"]["driver"]["rules"]
        assert [each["ruleId"] for each in run["results"]] == [each.rule for each in report.findings]
        assert all(rules[each["ruleIndex"]]["id"] == each["ruleId"] for each in run["results"])
        assert [each["id"] for each in rules] == sorted({each.rule for each in report.findings})

    def test_level_kind_and_suppression_follow_the_standard(self) -> None:
        for result, finding in zip(self.run(report_of())["results"], report_of().findings, strict=True):
            assert (result["kind"] == "fail") == (finding.verdict in {"violation", "concern"})
            assert (result["level"] == "none") == (result["kind"] != "fail")
            assert ("suppressions" in result) == finding.waived
            assert result["partialFingerprints"]["fwcheck/v1"] == finding.fingerprint

    def test_locations_are_relative_and_carry_line_or_offset(self) -> None:
        found = [
            finding_of("A-1", path="/etc/shadow", line=3),
            finding_of("B-1", path="/bin/busybox", offset=0x40),
            finding_of("C-1", path="0x40", offset=0x40),
        ]
        places = [each["locations"][0]["physicalLocation"] for each in self.run(report_of(found))["results"]]
        assert places == [
            {"artifactLocation": {"uri": "etc/shadow"}, "region": {"startLine": 3}},
            {"artifactLocation": {"uri": "bin/busybox"}, "region": {"byteOffset": 64}},
            {"artifactLocation": {"uri": "router.bin"}},
        ]

    def test_hostile_paths_are_quoted(self) -> None:
        (result,) = self.run(hostile())["results"]
        uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert ":" not in uri
        assert unquote(uri) == f"etc/{HOSTILE[:20]}"


class TestCycloneDx:
    def test_every_component_and_vulnerability_is_there(self) -> None:
        bom = json.loads(cyclonedx.render(report_of()))
        assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
        assert [each["name"] for each in bom["components"]] == ["busybox", "openssl", "zlib"]
        assert [each["id"] for each in bom["vulnerabilities"]] == ["CVE-2018-1000517", "CVE-2021-42386"]
        assert bom["vulnerabilities"][0]["ratings"] == [{"score": 9.8, "severity": "critical"}]
        assert bom["vulnerabilities"][0]["affects"] == [{"ref": "pkg:generic/busybox@1.30.1"}]
        assert "version" not in bom["components"][2]

    def test_references_are_unlike_and_resolve(self) -> None:
        bom = json.loads(cyclonedx.render(hostile()))
        references = [each["bom-ref"] for each in bom["components"]]
        assert len(set(references)) == 2
        assert sorted(bom["dependencies"][0]["dependsOn"]) == sorted(references)

    def test_a_vulnerability_of_two_components_comes_once(self) -> None:
        both = tuple(Component(name=name, version="1", vulnerabilities=(Vulnerability(id="CVE-1"),)) for name in "ab")
        bom = json.loads(cyclonedx.render(report_of([], coverage_of(), Device(components=both))))
        assert bom["vulnerabilities"] == [
            {"bom-ref": "vulnerability:CVE-1", "id": "CVE-1", "affects": [{"ref": "a@1"}, {"ref": "b@1"}]}
        ]

    def test_the_same_image_gives_the_same_serial_number(self) -> None:
        assert cyclonedx.render(report_of()) == cyclonedx.render(report_of())

    @pytest.mark.parametrize(
        ("score", "severity"), [(0.0, "none"), (0.1, "low"), (4.0, "medium"), (6.9, "medium"), (7.0, "high"), (9.0, "critical")]
    )
    def test_severity_follows_the_cvss_bounds(self, score: float, severity: str) -> None:
        held = (Component(name="a", vulnerabilities=(Vulnerability(id="CVE-1", score=score),)),)
        (one,) = cyclonedx.as_dict(report_of([], coverage_of(), Device(components=held)))["vulnerabilities"]
        assert one["ratings"][0]["severity"] == severity


class TestJUnit:
    def test_a_case_per_criterion_with_failures_for_violations_alone(self) -> None:
        report = report_of()
        suite = ET.fromstring(junit.render(report)).find("testsuite")
        assert suite is not None
        cases = suite.findall("testcase")
        rows = report.tiers[0].criteria
        assert len(cases) == 16
        for case, row in zip(cases, rows, strict=True):
            assert case.attrib["name"].startswith(row.id)
            assert (case.find("failure") is not None) == (row.verdict is Verdict.VIOLATION)
        assert int(suite.attrib["failures"]) == 3
        assert int(suite.attrib["skipped"]) == len(suite.findall("testcase/skipped"))

    def test_what_was_not_read_is_never_a_success(self) -> None:
        suite = ET.fromstring(junit.render(report_of([], coverage_of(files=0), Device()))).find("testsuite")
        assert suite is not None
        assert suite.attrib["skipped"] == "16"

    def test_hostile_text_stays_well_formed(self) -> None:
        suite = ET.fromstring(junit.render(hostile()).encode()).find("testsuite")
        assert suite is not None
        assert "<x>&\\x1b[2J\\xe9" in suite.attrib["name"]


class TestCsv:
    def test_a_row_per_finding(self) -> None:
        rows = list(csv_reader.DictReader(io.StringIO(csv.render(report_of()))))
        assert [row["rule"] for row in rows] == [each.rule for each in report_of().findings]
        assert rows[0]["line"] == "1"
        assert rows[2]["offset"] == "0x0"
        assert rows[4]["waived"] == "yes"

    def test_no_cell_starts_a_formula_or_breaks_its_row(self) -> None:
        found = [
            finding_of("A-1", title=start + "1+1", evidence=HOSTILE, path=start, severity=Severity.LOW) for start in "=+-@\t\r"
        ]
        text = csv.render(report_of(found))
        rows = list(csv_reader.reader(io.StringIO(text)))
        assert {len(row) for row in rows} == {len(csv.COLUMNS)}
        assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
        text.encode()
