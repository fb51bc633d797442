"""Components whose banner was stripped: a range that is shown as a range, and matched as one."""

from __future__ import annotations

import json

import pytest
from support.trees import firmware_of

from fwcheck.analysers.components import analyse
from fwcheck.device.components import components
from fwcheck.model import Component, Device
from fwcheck.vulnerabilities import build as building
from fwcheck.vulnerabilities.annotate import annotate
from fwcheck.vulnerabilities.database import Knowledge, bounds
from fwcheck.vulnerabilities.sources.facts import Affected, Score

EXPAT = b"\0".join([b"\x7fELF", b"unclosed token", b"junk after document element", b"XML declaration not well-formed", b""])
RANGE = b"invalid argument\0"  # 2.2.1 or newer, older than 2.3.0


def held(files):
    return {(each.name, each.version, each.version_range) for each in components(firmware_of(files))}


def test_a_stripped_program_gives_a_range_and_no_version():
    (found,) = components(firmware_of({"/usr/sbin/app": EXPAT + RANGE}))
    assert (found.name, found.version, found.version_range) == ("libexpat", None, ">=2.2.1 <2.3.0")
    assert found.confidence == "tentative"
    assert found.purl == "pkg:generic/libexpat"
    assert found.cpe == "cpe:2.3:a:libexpat_project:libexpat:*:*:*:*:*:*:*:*"
    assert found.evidence[0].location.path == "/usr/sbin/app"
    assert "is not" in found.evidence[0].text
    assert [each.path for each in found.files] == ["/usr/sbin/app"]
    assert found.release == ">=2.2.1 <2.3.0"


def test_the_same_range_in_two_files_is_one_component():
    (found,) = components(firmware_of({"/bin/a": EXPAT + RANGE, "/bin/b": EXPAT + RANGE + b"other"}))
    assert [each.location.path for each in found.evidence] == ["/bin/a", "/bin/b"]


def test_a_version_of_its_own_word_goes_before_the_range():
    assert held({"/usr/lib/libexpat.so.1": EXPAT + RANGE + b"expat_2.2.6\0"}) == {("libexpat", "2.2.6", None)}


def test_a_version_known_from_another_file_takes_the_range_that_it_lies_in():
    files = {"/usr/lib/libexpat.so.1": b"\x7fELF\0expat_2.2.6\0", "/usr/sbin/app": EXPAT + RANGE}
    (found,) = components(firmware_of(files))
    assert (found.version, len(found.evidence)) == ("2.2.6", 2)


def test_a_range_beside_another_version_stays():
    files = {"/usr/lib/libexpat.so.1": b"\x7fELF\0expat_2.5.0\0", "/usr/sbin/app": EXPAT + RANGE}
    assert held(files) == {("libexpat", "2.5.0", None), ("libexpat", None, ">=2.2.1 <2.3.0")}


# --------------------------------------------------------------------------- matching


@pytest.fixture(scope="module")
def base():
    facts = [
        Affected("libexpat", "CVE-2022-25235", "", True, "2.4.5", False, "NVD"),  # all of them
        Affected("libexpat", "CVE-2019-15903", "", True, "2.2.8", False, "NVD"),  # some of them
        Affected("libexpat", "CVE-2016-0718", "", True, "2.2.0", False, "NVD"),  # older ones
        Affected("libexpat", "CVE-2024-50602", "2.3.0", True, "2.6.4", False, "NVD"),  # newer ones
        Affected("libexpat", "CVE-2030-0001", "2.2.1", True, "2.3.0", False, "NVD"),  # just these
        Affected("libexpat", "CVE-2030-0002", "", True, "2.2.1", True, "NVD"),  # the first of them alone
        Affected("libexpat", "CVE-2030-0003", "2.2.1", False, "", True, "NVD"),  # all but the first of them
        *(Score(cve, 9.8, "NVD") for cve in ("CVE-2022-25235", "CVE-2019-15903")),
    ]
    return Knowledge(building.assemble(facts))


def judged(told: str, base: Knowledge) -> dict[str, str]:
    (found,) = annotate([Component(name="libexpat", version_range=told)], base)
    assert all(told in each.reason for each in found.vulnerabilities)
    return {each.id: each.status for each in found.vulnerabilities}


def test_what_affects_a_part_of_the_range_is_open(base):
    assert judged(">=2.2.1 <2.3.0", base) == {
        "CVE-2022-25235": "affected",
        "CVE-2030-0001": "affected",
        "CVE-2019-15903": "under_investigation",
        "CVE-2030-0002": "under_investigation",
        "CVE-2030-0003": "under_investigation",
    }


def test_an_open_range_is_affected_by_what_is_open_there_too(base):
    assert judged(">=2.7.0", base) == {"CVE-2030-0003": "affected"}
    assert judged("<2.2.0", base) == {
        "CVE-2016-0718": "affected",
        "CVE-2019-15903": "affected",
        "CVE-2022-25235": "affected",
        "CVE-2030-0002": "affected",
    }


def test_bounds_are_read_as_they_are_written():
    assert bounds(">=1.0 <1.2") == ("1.0", "1.2")
    assert bounds(">=1.0") == ("1.0", "")
    assert bounds("<1.2") == ("", "1.2")


def test_the_finding_is_tentative_and_names_the_range_and_what_is_sure(base):
    firmware = firmware_of({"/usr/sbin/app": EXPAT + RANGE})
    parts = annotate(components(firmware), base)
    (finding,) = analyse(firmware, Device(components=parts))
    assert (finding.rule, finding.confidence) == ("CVE-001", "tentative")
    assert ">=2.2.1 <2.3.0" in finding.title
    assert "CVE-2022-25235" in finding.evidence
    assert "CVE-2019-15903" not in finding.evidence


def test_nothing_is_found_against_a_range_that_is_only_partly_affected():
    facts = [Affected("libexpat", "CVE-2019-15903", "", True, "2.2.8", False, "NVD"), Score("CVE-2019-15903", 9.8, "NVD")]
    firmware = firmware_of({"/usr/sbin/app": EXPAT + RANGE})
    parts = annotate(components(firmware), Knowledge(building.assemble(facts)))
    assert json.dumps([each.status for each in parts[0].vulnerabilities]) == '["under_investigation"]'
    assert list(analyse(firmware, Device(components=parts))) == []
