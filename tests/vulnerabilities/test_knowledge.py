import io
import json
import lzma
import tarfile
from pathlib import Path

import pytest
import zstandard

from fwcheck.device.products import by_cpe, products
from fwcheck.model import Component
from fwcheck.vulnerabilities import build as building
from fwcheck.vulnerabilities.annotate import annotate
from fwcheck.vulnerabilities.database import Knowledge
from fwcheck.vulnerabilities.sources import cve5, nvd, own, releases
from fwcheck.vulnerabilities.sources.facts import Affected, AsOf, Elsewhere, Ending, Exploited, Release, Score, is_version


@pytest.fixture(scope="module")
def shipped():
    return Knowledge.open()


def knowledge(*facts):
    return Knowledge(building.assemble(list(facts)))


def part(name, version, **changes):
    return Component(name=name, version=version, **changes)


def ids(found):
    return [each.id for each in found]


def test_a_range_holds_its_first_version_and_not_its_fix():
    base = knowledge(Affected("openssl", "CVE-2014-0160", "1.0.1", True, "1.0.1g", False, "OpenSSL"), Score("CVE-2014-0160", 7.5))
    assert ids(base.vulnerabilities(part("openssl", "1.0.1"))) == ["CVE-2014-0160"]
    (found,) = base.vulnerabilities(part("openssl", "1.0.1f"))
    assert (found.score, found.fixed_in, found.source, found.known_exploited) == (7.5, "1.0.1g", "OpenSSL", False)
    for version in ("1.0.1g", "1.0.0t", "0.9.8", "1.0.2"):
        assert base.vulnerabilities(part("openssl", version)) == ()


def test_exploited_vulnerabilities_come_first_then_the_highest_score():
    base = knowledge(
        *(Affected("samba", cve, "", True, "4.0", False, "NVD") for cve in ("CVE-2020-1", "CVE-2020-2", "CVE-2017-7494")),
        Score("CVE-2020-1", 5.0),
        Score("CVE-2020-2", 9.8),
        Exploited("CVE-2017-7494", "2023-03-30"),
    )
    assert ids(base.vulnerabilities(part("samba", "3.6.1"))) == ["CVE-2017-7494", "CVE-2020-2", "CVE-2020-1"]
    assert base.exploited_since("CVE-2017-7494") == "2023-03-30"


def test_the_portable_editions_mark_does_not_move_a_version_out_of_its_range():
    base = knowledge(Affected("openssh", "CVE-2018-15473", "", True, "7.7", True, "NVD"))
    assert ids(base.vulnerabilities(part("openssh", "7.7p1"))) == ["CVE-2018-15473"]
    assert base.vulnerabilities(part("openssh", "7.8p1")) == ()


def test_a_version_told_too_coarsely_is_not_matched():
    base = knowledge(Affected("gsoap", "CVE-2017-9765", "2.7.0", True, "2.8.48", False, "NVD"))
    assert base.vulnerabilities(part("gsoap", "2.8", confidence="tentative")) == ()


def test_a_statement_older_than_the_release_does_not_speak_about_it():
    base = knowledge(
        Affected("linux_kernel", "CVE-2024-1", "4.0", True, "6.6.33", False, "kernel.org"),
        AsOf("kernel.org", "2024-10-24"),
        Release("linux_kernel", "6.1.176", "2026-06-19"),
        Release("linux_kernel", "6.1.90", "2024-05-02"),
    )
    assert base.vulnerabilities(part("linux_kernel", "6.1.176")) == ()
    assert ids(base.vulnerabilities(part("linux_kernel", "6.1.90"))) == ["CVE-2024-1"]


def test_the_most_trusted_publisher_alone_states_a_range():
    base = knowledge(
        Affected("openssl", "CVE-2020-1", "", True, "9", False, "NVD"),
        Affected("openssl", "CVE-2020-1", "1.1.1", True, "1.1.1g", False, "OpenSSL"),
    )
    assert base.vulnerabilities(part("openssl", "3.0.1")) == ()


def test_support_ends_by_branch_and_only_when_the_date_has_come():
    base = knowledge(
        AsOf("endoflife.date", "2026-08-19"),
        Ending("openssl", "1.0.2", "2019-12-31", "OpenSSL"),
        Ending("openssl", "3.5", "2030-04-08", "OpenSSL"),
    )
    assert base.end_of_life(part("openssl", "1.0.2k")) == "2019-12-31"
    assert base.end_of_life(part("openssl", "3.5.1")) is None
    assert base.end_of_life(part("openssl", "0.9.7")) == "2019-12-31"  # older than all that are listed
    assert base.end_of_life(part("openssl", "1.1.1")) is None  # nothing is known of it here
    assert base.end_of_life(part("openssl", None)) is None


def test_annotated_components_keep_what_they_had():
    base = knowledge(Release("zlib", "1.2.8", "2013-04-28"), Affected("zlib", "CVE-2018-25032", "", True, "1.2.12", False, "NVD"))
    (found,) = annotate([part("zlib", "1.2.8", purl="pkg:generic/zlib@1.2.8")], base)
    assert (found.released, ids(found.vulnerabilities), found.purl) == (
        "2013-04-28",
        ["CVE-2018-25032"],
        "pkg:generic/zlib@1.2.8",
    )


@pytest.mark.parametrize("raw", [b"", b"not a database", b"\xfd7zXZ\0broken", lzma.compress(b"x" * 100)])
def test_a_file_that_is_no_knowledge_file_is_refused(tmp_path, raw):
    path = tmp_path / "knowledge.sqlite"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match="not a knowledge file"):
        Knowledge.open(path)


# --------------------------------------------------------------------------- the file that is shipped


@pytest.mark.parametrize(
    ("name", "version", "cve"),
    [
        ("openssl", "1.0.1f", "CVE-2014-0160"),
        ("dnsmasq", "2.71", "CVE-2017-14491"),
        ("busybox", "1.22.1", "CVE-2016-2148"),
        ("dropbear", "2012.55", "CVE-2016-7406"),
        ("linux_kernel", "2.6.31", "CVE-2016-5195"),
        ("ppp", "2.4.5", "CVE-2020-8597"),
        ("samba", "4.5.9", "CVE-2017-7494"),
        ("git", "2.30.0", "CVE-2024-32002"),
        ("php", "8.1.10", "CVE-2023-0567"),
        ("linux_kernel", "3.4.112", "CVE-2016-5195"),
        ("zlib", "1.2.11", "CVE-2018-25032"),
        ("curl", "7.38.0", "CVE-2016-9952"),
    ],
)
def test_well_known_vulnerabilities_are_known(shipped, name, version, cve):
    assert cve in ids(shipped.vulnerabilities(part(name, version)))


@pytest.mark.parametrize(
    ("name", "version", "cve"),
    [
        ("openssl", "1.0.1g", "CVE-2014-0160"),
        ("openssl", "0.9.8zh", "CVE-2014-0160"),
        ("vsftpd", "2.3.4", "CVE-2011-2523"),  # true of some copies of this release only
        ("php", "5.4.37", "CVE-2024-1874"),  # branches the record does not name
        ("php", "8.1.10", "CVE-2024-1874"),  # Windows alone
        ("php", "8.1.10", "CVE-2024-4577"),
        ("http_server", "2.4.6", "CVE-2024-40898"),
        ("lighttpd", "1.4.35", "CVE-2019-11072"),  # the weak feature came with 1.4.50
        ("zlib", "1.1.4", "CVE-2022-37434"),
        ("zlib", "1.1.4", "CVE-2016-9841"),
        ("musl", "1.1.23", "CVE-2019-14697"),  # x86 alone
        ("goahead", "2.1.8", "CVE-2017-17562"),
        ("mbed_tls", "1.4.0", "CVE-2018-0487"),
        ("debian_linux", "11", "CVE-2023-4762"),  # a package's, not the system's
        ("linux_kernel", "3.4.113", "CVE-2016-5195"),
        ("dnsmasq", "2.78", "CVE-2017-14491"),
        ("linux_kernel", "4.4.92", "CVE-2016-5195"),
        ("linux_kernel", "6.1.176", "CVE-2024-1086"),
        ("openssh", "7.7p1", "CVE-2024-6387"),
        ("dropbear", "2017.75", "CVE-2016-7406"),
    ],
)
def test_versions_outside_a_range_are_not_accused(shipped, name, version, cve):
    assert cve not in ids(shipped.vulnerabilities(part(name, version)))


@pytest.mark.parametrize(
    ("name", "version", "ended"),
    [
        ("openssl", "1.0.2d", "2019-12-31"),
        ("linux_kernel", "4.4.92", "2022-02-03"),
        ("linux_kernel", "2.4.20", "2016-03-12"),
        ("linux_kernel", "2.6.31", "2010-07-05"),
        ("openssl", "0.9.8b", "2016-12-31"),
        ("lede", "17.01.4", "2019-06-21"),
        ("node.js", "4.9.1", "2018-04-30"),
        ("php", "5.4.37", "2015-09-03"),
        ("openwrt", "19.07.8", "2022-04-17"),
        ("esp-idf", "4.1", "2023-02-28"),
        ("esp-idf", "3.0", "2020-10-31"),  # older than all that are listed
        ("esp-idf", "5.3", None),
        ("samba", "3.0.26", "2015-03-04"),
        ("samba", "4.9.5", "2020-03-31"),
        ("bootstrap", "3.3.7", "2019-07-24"),
        ("mbed_tls", "2.16.1", "2021-12-31"),
        ("mbed_tls", "2.18.0", None),
        ("ubuntu_linux", "18.04", "2023-05-31"),
        ("linux_kernel", "6.6.100", None),
        ("busybox", "1.22.1", None),
    ],
)
def test_ends_of_support_are_known(shipped, name, version, ended):
    found = shipped.end_of_life(part(name, version))
    assert found == ended


def test_the_shipped_file_is_small_and_about_the_catalogue_alone(shipped):
    packed = Path(building.__file__).with_name("knowledge.sqlite.xz").read_bytes()
    assert len(packed) < 3 << 20
    assert set(shipped.components()) <= set(products())
    counts = building.count(lzma.decompress(packed))
    assert counts.vulnerabilities > 5000
    assert counts.exploited >= 30
    longest = max(
        len(str(cell))
        for table in ("cve", "affected", "release", "ending", "source")
        for row in _rows(packed, table)
        for cell in row
    )
    assert longest < 80  # facts, no sentences


def _rows(packed, table):
    import sqlite3

    base = sqlite3.connect(":memory:")
    base.deserialize(lzma.decompress(packed))
    yield from base.execute(f"SELECT * FROM {table}")
    base.close()


def test_own_facts_are_about_components_of_the_catalogue():
    for fact in [*own.vulnerabilities(), *own.endings()]:
        assert isinstance(fact, Score) or fact.component in products()


def test_own_facts_name_the_document_that_confirms_them():
    stated = [fact for fact in [*own.vulnerabilities(), *own.endings()] if not isinstance(fact, Score)]
    assert stated
    assert all(fact.source.startswith("https://") for fact in stated)


def test_own_ranges_fill_holes_only(shipped):
    for fact in own.vulnerabilities():
        if isinstance(fact, Affected) and fact.component != "linux_kernel":
            said = [each for each in shipped._of(fact.component) if each.cve == fact.cve]
            found = [one.source for each in said for one in each.ranges]
            assert set(found) == {fact.source}, f"{fact.component} {fact.cve} stands in the sources already"


# --------------------------------------------------------------------------- building it


def archive(path, members):
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        for name, content in members.items():
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
    raw = held.getvalue()
    path.write_bytes(zstandard.compress(raw) if path.suffix == ".zst" else lzma.compress(raw))


def nvd_record(text, *matches, condition=None):
    nodes = [{"cpeMatch": list(matches), "negate": False, "operator": "OR"}]
    if condition:
        nodes.append({"cpeMatch": [{"criteria": condition, "vulnerable": False}], "negate": False, "operator": "OR"})
    configuration = {"nodes": nodes, **({"operator": "AND"} if condition else {})}
    return {"_annotation": {"description": text}, "cve": {"configurations": [configuration]}}


def cpe_match(product, target="*", **bounds):
    return {"criteria": f"cpe:2.3:a:{product}:*:*:*:*:*:{target}:*:*", "vulnerable": True, **bounds}


def sources(folder):
    match = {"criteria": "cpe:2.3:a:thekelleys:dnsmasq:*:*:*:*:*:*:*:*", "versionEndExcluding": "2.90", "vulnerable": True}
    record = nvd_record("dnsmasq before 2.90 uses too much CPU time", match)
    archive(folder / nvd.FILE, {"data/2023/CVE-2023-50387.json": record, "data/broken.json": b"{"})
    archive(folder / cve5.FILE, {"2024/CVE-2024-1.json": kernel_record()})
    calendar = {"3.1": {"eol": "14 Mar 2025"}, "5.0": {"eol": "Nov 2028"}}
    archive(folder / cve5.OPENSSL, {"secjson/CVE-2014-0160.json": {}, "data.json": calendar})
    (folder / "curl-vulnerabilities.pm.txt.xz").write_bytes(
        lzma.compress(b'"CVE-2016-9952.html|7.30.0|7.51.0|x|CVE-2016-9952|2016|"\n')
    )
    archive(
        folder / "linux-kernel-cves-2024-04.tar.xz",
        {"data/stream_fixes.json": {"CVE-2019-1": {"4.4": {"fixed_version": "4.4.100"}}}},
    )
    kev = {"dateReleased": "2025-08-25T17:04:19Z", "vulnerabilities": [{"cveID": "CVE-2024-1", "dateAdded": "2024-05-30"}]}
    (folder / "kev.json.xz").write_bytes(lzma.compress(json.dumps(kev).encode()))
    lua = {
        "versions": {"5.1.5": {"name": "5.1.5", "date": "2012-02-17"}},
        "releases": {"5.4": {"name": "5.4", "eol": "2030-01-01"}},
    }
    archive(folder / "endoflife-release-data.tar.xz", {"releases/lua.json": lua})


def kernel_record():
    versions = [
        {"version": "5.15", "status": "affected"},
        {"version": "0", "lessThan": "5.15", "status": "unaffected"},
        {"version": "6.1.83", "lessThanOrEqual": "6.1.*", "status": "unaffected"},
        {"version": "6.8", "lessThanOrEqual": "*", "status": "unaffected"},
    ]
    affected = [{"vendor": "Linux", "product": "Linux", "versions": versions, "defaultStatus": "affected"}]
    metrics = [{"cvssV3_1": {"baseScore": 7.8}}]
    return {
        "cveMetadata": {"state": "PUBLISHED", "cveId": "CVE-2024-1", "dateUpdated": "2024-10-24T00:00:00Z"},
        "containers": {"cna": {"affected": affected, "metrics": metrics}},
    }


def test_the_same_sources_give_the_same_bytes(tmp_path):
    sources(tmp_path)
    first, second = tmp_path / "a.sqlite.xz", tmp_path / "b.sqlite.xz"
    counts = building.build(tmp_path, first)
    assert building.build(tmp_path, second) == counts
    assert first.read_bytes() == second.read_bytes()
    base = Knowledge.open(first)
    assert ids(base.vulnerabilities(part("linux_kernel", "4.4.99"))) == ["CVE-2019-1"]
    assert ids(base.vulnerabilities(part("curl", "7.51.0"))) == ["CVE-2016-9952"]
    assert base.released(part("lua", "5.1.5")) == "2012-02-17"
    assert "CVE-2023-50387" in ids(base.vulnerabilities(part("dnsmasq", "2.89")))


def test_a_missing_archive_is_an_error_and_leaves_no_file(tmp_path):
    with pytest.raises(OSError, match=cve5.FILE):
        building.build(tmp_path, tmp_path / "out.sqlite")
    assert not (tmp_path / "out.sqlite").exists()


def test_kernel_records_leave_the_fixed_part_of_each_stream_out():
    found = [fact for fact in cve5.record_facts(kernel_record(), by_cpe(), "CVE List") if isinstance(fact, Affected)]
    assert [(each.start, each.end) for each in found] == [("5.15", "6.1.83"), ("6.2", "6.8")]


@pytest.mark.parametrize(
    "record", [None, [], {}, {"cveMetadata": {"state": "REJECTED"}}, {"cveMetadata": {"state": "PUBLISHED"}}]
)
def test_records_of_another_shape_say_nothing(record):
    assert list(cve5.record_facts(record, by_cpe(), "CVE List")) == []


@pytest.mark.parametrize(
    ("text", "wanted"), [("1.0.2k", True), ("6.0-rc1", True), ("34e41a031fd7", False), ("2024-06-01", False), ("", False)]
)
def test_commits_and_dates_are_no_versions(text, wanted):
    assert is_version(text) is wanted


# --------------------------------------------------------------------------- what a record is about


def nvd_facts(record):
    return list(nvd.record_facts("CVE-2024-1", record, by_cpe(), frozenset({"jquery"})))


@pytest.mark.parametrize(
    ("text", "end", "first"),
    [
        ("In PHP versions 8.1.* before 8.1.28, 8.2.* before 8.2.18", "8.1.28", "8.1"),
        ("From 1.6.26 to 1.6.53, an integer is cut", "1.6.54", "1.6.26"),
        ("versions 2.4.0 through 2.4.58", "2.4.59", "2.4.0"),
        ("the parser through 2.6.1 allows", "2.6.2", ""),
        ("Prior to versions 2.45.1, 2.44.1, and 2.39.4, clones", "2.39.4", ""),
        ("2.4.53 and earlier", "2.4.54", ""),
        ("This is fixed in 1.24.10.", "1.24.10", ""),
        ("A reader allocates too much.", "1.25.9", "1.25"),
        ("", "2.90", "2"),
    ],
)
def test_a_range_without_lower_bound_reaches_back_only_when_the_record_says_so(text, end, first):
    (found,) = nvd_facts(nvd_record(text, cpe_match("php:php", versionEndExcluding=end)))
    assert (found.start, found.end) == (first, end)


@pytest.mark.parametrize(
    ("record", "component"),
    [
        (nvd_record("x before 9", cpe_match("openvpn:openvpn", "windows", versionEndExcluding="9.0")), "openvpn"),
        (
            nvd_record(
                "x before 9",
                cpe_match("php:php", versionEndExcluding="9.0"),
                condition="cpe:2.3:o:microsoft:windows:-:*:*:*:*:*:*:*",
            ),
            "php",
        ),
    ],
)
def test_a_record_about_another_system_says_so_for_all_sources(record, component):
    found = nvd_facts(record)
    assert found == [Elsewhere(component, "CVE-2024-1", "NVD")]
    base = knowledge(*found, Affected(component, "CVE-2024-1", "", True, "9.0", False, "CVE List"))
    assert base.vulnerabilities(part(component, "1.0")) == ()


def test_a_record_that_needs_another_product_is_not_taken():
    condition = "cpe:2.3:a:example:plugin:*:*:*:*:*:*:*:*"
    assert nvd_facts(nvd_record("before 9", cpe_match("php:php", versionEndExcluding="9.0"), condition=condition)) == []


def test_a_binding_for_another_language_is_not_the_program_but_a_web_library_is():
    binding = nvd_record("before 9", cpe_match("sqlite:sqlite", "perl", versionEndExcluding="9.0"))
    library = nvd_record("before 9", cpe_match("jquery:jquery", "node.js", versionEndExcluding="9.0"))
    assert nvd_facts(binding) == []
    assert [each.component for each in nvd_facts(library)] == ["jquery"]


def cve5_record(*entries, adp=()):
    cna = {"affected": list(entries)}
    return {
        "cveMetadata": {"state": "PUBLISHED", "cveId": "CVE-2024-1"},
        "containers": {"cna": cna, "adp": [{"affected": list(adp)}]},
    }


def entry(product, *versions, **more):
    vendor, name = product.split(":")
    return {"vendor": vendor, "product": name, "versions": [{"status": "affected", **each} for each in versions], **more}


def ranges(record):
    found = cve5.record_facts(record, by_cpe(), "CVE List")
    return [(each.start, each.start_included, each.end, each.end_included) for each in found if isinstance(each, Affected)]


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ({"version": "8.1.*", "lessThan": "8.1.28"}, ("8.1", True, "8.1.28", False)),
        ({"version": "8.1.x"}, ("8.1", True, "8.2", False)),
        ({"version": ">= 1.0.3, < 3.5.0"}, ("1.0.3", True, "3.5.0", False)),
        ({"version": "<= 2.1"}, ("", True, "2.1", True)),
        ({"version": "= 2.45.0"}, ("2.45.0", True, "2.45.0", True)),
        ({"version": "0", "lessThanOrEqual": "4.1"}, ("", True, "4.1", True)),
        ({"version": "> 1.0, < 2.0"}, ("1.0", False, "2.0", False)),
    ],
)
def test_versions_are_read_in_the_ways_publishers_write_them(version, wanted):
    assert ranges(cve5_record(entry("php group:php", version))) == [wanted]


@pytest.mark.parametrize("version", ["all before 2.0", "< next", ">= 1.0, unknown", "", "n/a"])
def test_versions_in_free_words_are_not_guessed(version):
    assert ranges(cve5_record(entry("php group:php", {"version": version}))) == []


def test_the_publishers_own_ranges_stand_alone():
    own_range = entry("php group:php", {"version": "8.1", "lessThan": "8.1.28"})
    added = entry("php:php", {"version": "0", "lessThan": "8.1.28"})
    assert ranges(cve5_record(own_range, adp=[added])) == [("8.1", True, "8.1.28", False)]
    assert ranges(cve5_record(adp=[added])) == [("", True, "8.1.28", False)]


def test_a_system_that_another_publishers_part_runs_on_is_not_taken_for_it():
    chip = entry("mediatek:mt7915", {"version": "1.0"})
    system = entry("openwrt:openwrt", {"version": "19.07"})
    assert ranges(cve5_record(chip, adp=[system])) == []
    assert ranges(cve5_record({"vendor": "n/a", "product": "n/a", "versions": []}, adp=[system]))


def test_an_entry_for_other_platforms_alone_is_elsewhere():
    version = {"version": "8.1", "lessThan": "8.1.28"}
    windows = cve5_record(entry("php group:php", version, platforms=["Windows"]))
    assert list(cve5.record_facts(windows, by_cpe(), "CVE List")) == [Elsewhere("php", "CVE-2024-1", "CVE List")]
    assert ranges(cve5_record(entry("php group:php", version, platforms=["Windows", "Linux"])))


def test_stable_streams_speak_of_themselves_and_leave_the_others_to_the_next_source():
    base = knowledge(
        Affected("linux_kernel", "CVE-2016-1", "4.4", True, "4.4.26", False, "Linux stable"),
        Affected("linux_kernel", "CVE-2016-1", "2.6.22", True, "3.2.83", False, "https://example.org"),
        Affected("linux_kernel", "CVE-2016-1", "4.3", True, "4.8", False, "https://example.org"),
    )
    hit = {
        version
        for version in ("2.6.31", "3.2.83", "4.3.1", "4.4.25", "4.4.92")
        if base.vulnerabilities(part("linux_kernel", version))
    }
    assert hit == {"2.6.31", "4.4.25"}


def test_openssl_branches_end_on_the_day_its_calendar_gives(tmp_path):
    sources(tmp_path)
    assert list(releases.openssl(tmp_path)) == [Ending("openssl", "3.1", "2025-03-14", "OpenSSL")]


def test_a_range_that_cannot_be_read_names_its_entry():
    with pytest.raises(ValueError, match="CVE-1"):
        own.affected("x", "CVE-1", "about 2.0")
