import csv
import gzip
import io
import json
import lzma
import sqlite3
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from fwcheck.model import Component
from fwcheck.vulnerabilities.annotate import annotate
from fwcheck.vulnerabilities.cvss import base_score
from fwcheck.vulnerabilities.database import Knowledge
from fwcheck.vulnerabilities.imports.documents import BadDocument
from fwcheck.vulnerabilities.imports.elements import elements
from fwcheck.vulnerabilities.imports.run import run


@pytest.fixture
def target(tmp_path):
    return tmp_path / "own" / "knowledge.sqlite"


def ids(base, name, version):
    return {each.id for each in base.vulnerabilities(Component(name=name, version=version))}


def cpe(pair, version="*", part="a"):
    return f"cpe:2.3:{part}:{pair}:{version}:*:*:*:*:*:*:*"


def nvd_record(cve, *matches, score=9.8, status="Analyzed", beside=()):
    nodes = [{"operator": "OR", "negate": False, "cpeMatch": [{"vulnerable": True, **each} for each in matches]}]
    configuration = {"nodes": nodes}
    if beside:
        nodes.append({"operator": "OR", "negate": False, "cpeMatch": [{"vulnerable": False, **each} for each in beside]})
        configuration["operator"] = "AND"
    metrics = {"cvssMetricV31": [{"source": "nvd@nist.gov", "type": "Primary", "cvssData": {"baseScore": score}}]}
    texts = [{"lang": "es", "value": "ñ"}, {"lang": "en", "value": 'all versions before, "quoted\\" {[ and \u20ac'}]
    held = {"id": cve, "vulnStatus": status, "descriptions": texts, "metrics": metrics, "configurations": [configuration]}
    return {"cve": held}


def feed(*records, **more):
    head = {"resultsPerPage": len(records), "startIndex": 0, "totalResults": len(records), "format": "NVD_CVE", "version": "2.0"}
    return {**head, "timestamp": "2026-10-01T03:00:02.410", "vulnerabilities": list(records), **more}


DNSMASQ = nvd_record("CVE-2026-0001", {"criteria": cpe("thekelleys:dnsmasq"), "versionEndExcluding": "2.99"})
CURL = nvd_record(
    "CVE-2026-0002", {"criteria": cpe("haxx:curl"), "versionStartIncluding": "8.0.0", "versionEndIncluding": "8.20.1"}
)


def put(folder, name, value):
    path = folder / name
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    if name.endswith(".gz"):
        raw = gzip.compress(raw)
    elif name.endswith(".xz"):
        raw = lzma.compress(raw)
    elif name.endswith(".zst"):
        raw = zstandard.compress(raw)
    path.write_bytes(raw)
    return path


def zipped(members):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in members.items():
            archive.writestr(name, value if isinstance(value, bytes) else json.dumps(value))
    return held.getvalue()


def tarred(members):
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for name, value in members.items():
            raw = json.dumps(value).encode()
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return held.getvalue()


WRAPPED = {
    "feed.json": feed(DNSMASQ, CURL),
    "feed.json.gz": feed(DNSMASQ, CURL),
    "feed.json.zip": zipped({"nvdcve-2.0-2026.json": feed(DNSMASQ, CURL)}),
    "feed.zip.zip": zipped({"inner.zip": zipped({"a/feed.json": feed(DNSMASQ, CURL), "README.md": b"x"})}),
    "pages.tar.xz": tarred({"1.json": feed(DNSMASQ), "2.json": feed(CURL), "other.json": {"hello": 1}}),
    "pages.tar.zst": tarred({"1.json": feed(DNSMASQ), "2.json": feed(CURL)}),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_nvd_is_read_in_every_wrapping(tmp_path, target, name):
    imported = run([put(tmp_path, name, WRAPPED[name])], target)
    assert (imported.records, imported.unlike) == ({"NVD records": 2}, 0)
    base = Knowledge.open(target)
    assert "CVE-2026-0001" in ids(base, "dnsmasq", "2.98")
    assert "CVE-2026-0001" not in ids(base, "dnsmasq", "2.99")
    assert [("CVE-2026-0002" in ids(base, "curl", version)) for version in ("7.88.1", "8.0.0", "8.20.1", "8.20.2")] == [
        False,
        True,
        True,
        False,
    ]
    assert base.date == "2026-10-01"


def test_a_directory_of_pages_is_read(tmp_path, target):
    folder = tmp_path / "pages" / "2026"
    folder.mkdir(parents=True)
    put(folder, "1.json", feed(DNSMASQ))
    put(folder, "2.json.gz", feed(CURL))
    assert run([tmp_path / "pages"], target).records == {"NVD records": 2}


def test_a_second_import_of_the_same_data_changes_nothing(tmp_path, target):
    path = put(tmp_path, "feed.json", feed(DNSMASQ, CURL))
    assert run([path], target).changed
    before, stamp = target.read_bytes(), target.stat()
    assert not run([path], target).changed
    assert target.read_bytes() == before
    assert (target.stat().st_ino, target.stat().st_mtime_ns) == (stamp.st_ino, stamp.st_mtime_ns)


def test_a_corrected_record_replaces_the_old_one_and_a_rejected_one_takes_it_away(tmp_path, target):
    run([put(tmp_path, "a.json", feed(DNSMASQ))], target)
    narrower = nvd_record("CVE-2026-0001", {"criteria": cpe("thekelleys:dnsmasq"), "versionEndExcluding": "2.95"}, score=5.0)
    run([put(tmp_path, "b.json", feed(narrower))], target)
    base = Knowledge.open(target)
    assert "CVE-2026-0001" not in ids(base, "dnsmasq", "2.96")
    (found,) = [each for each in base.vulnerabilities(Component(name="dnsmasq", version="2.94")) if each.id == "CVE-2026-0001"]
    assert (found.score, found.fixed_in, found.source) == (5.0, "2.95", "NVD")
    run([put(tmp_path, "c.json", feed(nvd_record("CVE-2026-0001", status="Rejected")))], target)
    assert "CVE-2026-0001" not in ids(Knowledge.open(target), "dnsmasq", "2.94")


@pytest.mark.parametrize("cut", [0.02, 0.3, 0.7, 0.97, 0.9999])
@pytest.mark.parametrize("name", ["feed.json", "feed.json.gz", "feed.json.zip", "pages.tar.xz", "pages.tar.zst"])
def test_a_file_cut_off_leaves_the_old_knowledge_whole(tmp_path, target, name, cut):
    run([put(tmp_path, "first.json", feed(DNSMASQ))], target)
    before = target.read_bytes()
    path = put(tmp_path, name, WRAPPED[name])
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * cut)])
    with pytest.raises(BadDocument):
        run([put(tmp_path, "good.json", feed(CURL)), path], target)
    assert target.read_bytes() == before
    assert sorted(each.name for each in target.parent.iterdir()) == ["knowledge.sqlite", "knowledge.sqlite.lock"]


def table(*rows):
    held = io.StringIO()
    csv.writer(held).writerows(rows)
    return held.getvalue().encode()


def test_known_exploitation_is_taken_from_both_forms_and_follows_the_catalogue(tmp_path, target):
    run([put(tmp_path, "feed.json", feed(DNSMASQ, CURL))], target)
    listed = [{"cveID": "CVE-2026-0001", "dateAdded": "2026-10-02", "product": "x"}]
    run(
        [put(tmp_path, "kev.json", {"catalogVersion": "2026.10.02", "dateReleased": "2026-10-02", "vulnerabilities": listed})],
        target,
    )
    assert Knowledge.open(target).exploited_since("CVE-2026-0001") == "2026-10-02"
    rows = ["cveID", "vendorProject", "dateAdded"], ["CVE-2026-0002", "haxx, inc", "2026-10-03"]
    run([put(tmp_path, "kev.csv", table(*rows))], target)
    base = Knowledge.open(target)
    assert (base.exploited_since("CVE-2026-0001"), base.exploited_since("CVE-2026-0002")) == (None, "2026-10-03")


def test_probabilities_are_read_from_the_table(tmp_path, target):
    rows = table(["CVE-2026-0001", "0.97", "0.99"], ["CVE-2026-0002", "0.0004", "0.1"], ["CVE-2026-0003", "eleven", "0"])
    path = put(tmp_path, "epss.csv.gz", b"#model_version:v2025,score_date:2026-10-04T00:00:00+0000\ncve,epss,percentile\n" + rows)
    imported = run([put(tmp_path, "feed.json", feed(DNSMASQ)), path], target)
    assert (imported.records["EPSS records"], imported.unlike) == (2, 1)
    found = {each.id: each for each in Knowledge.open(target).vulnerabilities(Component(name="dnsmasq", version="2.98"))}
    assert found["CVE-2026-0001"].epss == 0.97


def nested(levels):
    return zipped({f"{levels}.zip": nested(levels - 1)}) if levels else b"{}"


BOMB = zipped({"feed.json": b'{"vulnerabilities": [' + b" " * (270 << 20) + b"]}"})
HOSTILE = {
    "empty": b"",
    "text": b"hello",
    "binary": bytes(range(256)),
    "open.json": b"{",
    "deep.json": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep-feed.json": b'{"format":"NVD_CVE","vulnerabilities":[' + b'{"cve":' * 100_000,
    "deep-record.json": b'{"format":"NVD_CVE","vulnerabilities":[{"cve":' + b"[" * 60 + b"]" * 60 + b"}]}",
    "wrong.json": b'{"format":"NVD_CVE","vulnerabilities":[{"cve":{"id":7}},{"cve":[]},'
    b'{"cve":{"id":"CVE-2026-1234","configurations":7}}]}',
    "behind.json": b'{"format":"NVD_CVE","vulnerabilities":[]}' + b" " * (2 << 20) + b"{}",
    "string.json": b'{"format":"NVD_CVE","vulnerabilities":[{"cve":"' + b"a" * (40 << 20),
    "osv.json": b'{"id":"GHSA-1","modified":"2020","affected":[7]}',
    "cve5.json": b'{"dataType":"CVE_RECORD","cveMetadata":{"cveId":"CVE-2026-1234","state":"PUBLISHED"},"containers":[]}',
    "vex.json": b'{"@context":"https://openvex.dev/ns","statements":{"a":1}}',
    "csaf.json": b'{"document":{},"vulnerabilities":[{"cve":"CVE-2026-1234","product_status":[1]}]}',
    "eol.json": b'[{"cycle":1},7]',
    "kev.csv": b"cveID,dateAdded\nx,y\n",
    "bomb.zip": BOMB,
    "truncated.zip": BOMB[:100],
    "nested.zip": nested(6),
    "feed.gz": b"\x1f\x8b\x08garbage",
    "feed.xz": b"\xfd7zXZ\0garbage",
    "feed.zst": b"\x28\xb5\x2f\xfdgarbage",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_one_sentence(tmp_path, target, name):
    path = tmp_path / name
    path.write_bytes(HOSTILE[name])
    with pytest.raises(BadDocument) as refused:
        run([path], target)
    assert "\n" not in str(refused.value)
    assert name in str(refused.value)
    assert not target.exists()


def test_a_missing_file_is_named(tmp_path, target):
    with pytest.raises(BadDocument, match=r"absent\.json: No such file"):
        run([tmp_path / "absent.json"], target)


# --------------------------------------------------------------------------- the other formats


def only(imported):
    ((kind, count),) = imported.records.items()
    return kind, count


def test_records_of_the_cve_list_are_read_from_a_zip_in_a_zip(tmp_path, target):
    version = {"version": "0", "lessThan": "2.99", "status": "affected", "versionType": "semver"}
    record = {
        "dataType": "CVE_RECORD",
        "cveMetadata": {"cveId": "CVE-2026-0001", "state": "PUBLISHED", "dateUpdated": "2026-10-05T00:00:00Z"},
        "containers": {
            "cna": {
                "affected": [{"vendor": "thekelleys", "product": "dnsmasq", "versions": [version]}],
                "metrics": [{"cvssV3_1": {"baseScore": 8.1}}],
            }
        },
    }
    members = {"cves/2026/0xxx/CVE-2026-0001.json": record, "cves/delta.json": {"fetchTime": "x"}, "README.md": b"x"}
    path = put(tmp_path, "all.zip", zipped({"cves.zip": zipped(members)}))
    assert only(run([path], target)) == ("CVE List records", 1)
    assert "CVE-2026-0001" in ids(Knowledge.open(target), "dnsmasq", "2.98")
    assert not run([path], target).changed
    rejected = {**record, "cveMetadata": {**record["cveMetadata"], "state": "REJECTED"}}
    run([put(tmp_path, "one.json", rejected)], target)
    assert "CVE-2026-0001" not in ids(Knowledge.open(target), "dnsmasq", "2.98")


def osv_record(name, ecosystem, package, *events, **more):
    entry = {"package": {"ecosystem": ecosystem, "name": package}, "ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}
    return {"id": name, "modified": "2026-10-06T00:00:00Z", "affected": [entry], **more}


def test_packages_of_distributions_are_kept_by_release(tmp_path, target):
    debian = osv_record(
        "DEBIAN-CVE-2026-0001",
        "Debian:11",
        "openssl",
        {"introduced": "0"},
        {"fixed": "1.1.1n-0+deb11u9"},
        severity=[{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
    )
    web = osv_record("GHSA-1", "npm", "jquery", {"introduced": "1.2.0"}, {"fixed": "3.9.0"}, aliases=["CVE-2026-0002"])
    harmful = osv_record("MAL-2026-1", "npm", "evil", {"introduced": "0"})
    members = {"a.json": debian, "b.json": web, "c.json": harmful}
    path = put(tmp_path, "all.zip", zipped(members))
    assert only(run([path], target)) == ("OSV records", 3)
    assert not run([path], target).changed
    base = Knowledge.open(target)
    assert "CVE-2026-0002" in ids(base, "jquery", "3.7.1")
    assert "CVE-2026-0002" not in ids(base, "jquery", "3.9.0")
    assert set(base.components()) >= {"deb:debian:11/openssl"}
    purl = "pkg:deb/debian/openssl@1.1.1n-0%2Bdeb11u8?distro=debian-11"
    installed = Component(name="openssl", version="1.1.1n", package="1.1.1n-0+deb11u8", purl=purl)
    found = {each.id: each for each in base.distribution(installed, ())}
    assert (found["CVE-2026-0001"].score, found["CVE-2026-0001"].fixed_in) == (9.8, "1.1.1n-0+deb11u9")
    run([put(tmp_path, "a.json", {**debian, "withdrawn": "2026-10-07T00:00:00Z"})], target)
    assert list(Knowledge.open(target).distribution(installed, ())) == []


CYCLES = [
    {"cycle": "9.9", "eol": "2026-01-02", "latest": "9.9.1", "latestReleaseDate": "2025-12-01"},
    {"cycle": "9.8", "eol": False},
]
PRODUCT = {
    "name": "php",
    "releases": [{"name": "9.9", "eolFrom": "2026-01-02", "latest": {"name": "9.9.1", "date": "2025-12-01"}}],
}
CALENDARS = {
    "php.json": CYCLES,
    "release/php.json": {
        "releases": {"9.9": {"name": "9.9", "eol": "2026-01-02"}},
        "versions": {"9.9.1": {"name": "9.9.1", "date": "2025-12-01"}},
    },
    "full": {"schema_version": "1.2.0", "result": [PRODUCT]},
    "one": {"schema_version": "1.2.0", "result": PRODUCT},
}


@pytest.mark.parametrize("name", CALENDARS)
def test_calendars_are_read_in_all_their_forms(tmp_path, target, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    path = put(tmp_path, name, CALENDARS[name])
    assert only(run([path], target)) == ("endoflife.date records", 1)
    assert not run([path], target).changed
    base = Knowledge.open(target)
    assert base.end_of_life(Component(name="php", version="9.9.0")) == "2026-01-02"
    assert base.released(Component(name="php", version="9.9.1")) == "2025-12-01"
    assert base.end_of_life(Component(name="openssl", version="1.0.2k")) == "2019-12-31"


def test_statements_that_were_imported_count_in_every_scan(tmp_path, target):
    statement = {
        "vulnerability": {"name": "CVE-2026-0001"},
        "products": [{"@id": "pkg:generic/dnsmasq"}],
        "status": "not_affected",
        "justification": "vulnerable_code_not_present",
    }
    document = {"@context": "https://openvex.dev/ns/v0.2.0", "statements": [statement]}
    files = [put(tmp_path, "feed.json", feed(DNSMASQ)), put(tmp_path, "own.vex.json", document)]
    run(files, target)
    assert not run(files, target).changed
    (found,) = annotate([Component(name="dnsmasq", version="2.98")], Knowledge.open(target))
    aside = {each.id: each.reason for each in found.set_aside}
    assert aside["CVE-2026-0001"] == "own.vex.json: vulnerable_code_not_present"


def test_two_imports_at_once_wait_for_each_other(tmp_path, target):
    curl = {"criteria": cpe("haxx:curl"), "versionEndExcluding": "99"}
    files = [put(tmp_path, f"{number}.json", feed(nvd_record(f"CVE-2026-1{number:03}", curl))) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda path: run([path], target), files))
    assert ids(Knowledge.open(target), "curl", "98.0") >= {f"CVE-2026-1{number:03}" for number in range(4)}


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match=r"file"):
        run([put(tmp_path, "feed.json", feed(DNSMASQ))], tmp_path / "file" / "knowledge.sqlite")


@pytest.mark.parametrize(
    ("vector", "score"),
    [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0),
        ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 7.8),
        ("CVSS:3.0/AV:N/AC:H/PR:N/UI:N/S:U/C:N/I:N/A:H", 5.9),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0),
        ("AV:N/AC:L/Au:N/C:P/I:P/A:P", 7.5),
        ("AV:N/AC:L/Au:N/C:C/I:C/A:C", 10.0),
        # Examples of the CVSS 4.0 specification's user guide and calculator.
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 9.3),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", 10.0),
        ("CVSS:4.0/AV:L/AC:L/AT:N/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 8.5),
        ("CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:P/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 7.7),
        ("CVSS:4.0/AV:N/AC:H/AT:N/PR:N/UI:N/VC:N/VI:N/VA:L/SC:N/SI:N/SA:N/E:U/CR:L", 6.3),
        ("CVSS:4.0/AV:P/AC:H/AT:P/PR:H/UI:A/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N", 1.0),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N", 0.0),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:S/SA:N", None),
        ("CVSS:4.0/AV:N/AC:L", None),
        ("CVSS:3.1/AV:N", None),
        ("nonsense", None),
    ],
)
def test_base_scores_follow_from_their_vectors(vector, score):
    assert base_score(vector) == score


def test_a_file_of_an_older_release_is_brought_up_to_the_shipped_one(tmp_path, target):
    older = nvd_record("CVE-2026-0001", {"criteria": cpe("thekelleys:dnsmasq"), "versionEndExcluding": "2.99"})
    path = put(tmp_path, "feed.json", feed(older))
    run([path], target)
    with closing(sqlite3.connect(target)) as base, base:
        base.execute("UPDATE meta SET value = 'older' WHERE key = 'base'")
        base.execute("DELETE FROM affected WHERE component IN ('openssl', 'busybox')")
        base.execute("DELETE FROM ending WHERE component = 'openssl'")
    imported = run([path], target)
    assert imported.rebased
    base = Knowledge.open(target)
    assert "CVE-2014-0160" in ids(base, "openssl", "1.0.1f")
    assert "CVE-2021-42386" in ids(base, "busybox", "1.33.1")
    assert "CVE-2026-0001" in ids(base, "dnsmasq", "2.98")
    assert base.end_of_life(Component(name="openssl", version="1.0.2k")) == "2019-12-31"
    before = target.read_bytes()
    again = run([path], target)
    assert (again.rebased, again.changed, target.read_bytes()) == (False, {}, before)


leaves = st.none() | st.integers() | st.text()


@given(st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))
def test_elements_are_found_whatever_they_hold(value):
    records = [{"cve": value}, {"cve": {"{": '}]"\\'}}]
    raw = json.dumps({"format": "NVD_CVE", "vulnerabilities": records, "end": 1}, ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )
    for size in (1, 7, 1 << 20):
        found = [json.loads(each.decode("utf-8", "surrogatepass")) for each in elements(Slow(raw, size), "x")]
        assert found == records
    if len(raw) > 40:
        with pytest.raises(BadDocument, match="ends in the middle"):
            list(elements(io.BytesIO(raw[:-12]), "x"))


class Slow(io.BytesIO):
    def __init__(self, raw, size):
        super().__init__(raw)
        self.size = size

    def read(self, _=-1):
        return super().read(self.size)


def test_a_damaged_file_is_told_and_not_made_worse(tmp_path, target):
    path = put(tmp_path, "feed.json", feed(DNSMASQ))
    run([path], target)
    raw = target.read_bytes()
    target.write_bytes(raw[:4096] + bytes(len(raw) - 4096))
    damaged = target.read_bytes()
    with pytest.raises(BadDocument, match=r"knowledge\.sqlite: is no knowledge file, or is damaged"):
        run([path], target)
    assert target.read_bytes() == damaged
    with pytest.raises(ValueError, match=r"damaged|not a knowledge file"):
        annotate([Component(name="dnsmasq", version="2.98")], Knowledge.open(target))


# --------------------------------------------------------------------------- scores and words

V4 = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
V3 = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"


@pytest.mark.parametrize(
    ("more", "score", "word"),
    [
        ({"severity": [{"type": "CVSS_V4", "score": V4}]}, 9.3, ""),
        ({"severity": [{"type": "CVSS_V4", "score": V4}, {"type": "CVSS_V3", "score": V3}]}, 9.8, ""),
        ({"severity": [{"type": "Ubuntu", "score": "medium"}]}, None, "medium"),
        ({"database_specific": {"severity": "MODERATE"}}, None, "medium"),
        ({"database_specific": {"severity": "HIGH"}, "severity": [{"type": "CVSS_V3", "score": V3}]}, 9.8, ""),
        ({"database_specific": {"severity": ["HIGH"]}}, None, ""),
        ({}, None, ""),
    ],
)
def test_osv_gives_a_score_or_a_word(tmp_path, target, more, score, word):
    record = osv_record("GHSA-2", "npm", "jquery", {"introduced": "1.2.0"}, {"fixed": "3.9.0"}, aliases=["CVE-2026-0007"], **more)
    run([put(tmp_path, "a.json", record)], target)
    found = {each.id: each for each in Knowledge.open(target).vulnerabilities(Component(name="jquery", version="3.7.1"))}
    assert (found["CVE-2026-0007"].score, found["CVE-2026-0007"].severity) == (score, word)


@pytest.mark.parametrize(
    ("metrics", "score", "word"),
    [
        (
            {"cvssMetricV40": [{"type": "Secondary", "cvssData": {"version": "4.0", "vectorString": V4, "baseScore": 9.3}}]},
            9.3,
            "",
        ),
        ({"cvssMetricV40": [{"type": "Secondary", "cvssData": {"version": "4.0", "vectorString": V4}}]}, 9.3, ""),
        ({"cvssMetricV31": [{"type": "Primary", "cvssData": {"baseSeverity": "HIGH"}}]}, None, "high"),
        ({"cvssMetricV2": [{"type": "Primary", "baseSeverity": "LOW", "cvssData": {}}]}, None, "low"),
        ({}, None, ""),
    ],
)
def test_nvd_gives_a_score_or_a_word(tmp_path, target, metrics, score, word):
    record = nvd_record("CVE-2026-0008", {"criteria": cpe("thekelleys:dnsmasq"), "versionEndExcluding": "2.99"})
    record["cve"]["metrics"] = metrics
    run([put(tmp_path, "feed.json", feed(record))], target)
    found = {each.id: each for each in Knowledge.open(target).vulnerabilities(Component(name="dnsmasq", version="2.98"))}
    assert (found["CVE-2026-0008"].score, found["CVE-2026-0008"].severity) == (score, word)
    assert not run([put(tmp_path, "feed.json", feed(record))], target).changed


@pytest.mark.parametrize(
    ("metric", "score", "word"),
    [
        ({"cvssV4_0": {"vectorString": V4}}, 9.3, ""),
        ({"other": {"type": "policy", "content": {"text": "Moderate"}}}, None, "medium"),
        ({"other": {"type": "Textual description of severity", "content": {"text": "important"}}}, None, "high"),
        ({"other": {"type": "x", "content": "see the advisory"}}, None, ""),
    ],
)
def test_the_cve_list_gives_a_score_or_a_word(tmp_path, target, metric, score, word):
    version = {"version": "0", "lessThan": "2.99", "status": "affected", "versionType": "custom"}
    record = {
        "dataType": "CVE_RECORD",
        "cveMetadata": {"cveId": "CVE-2026-0009", "state": "PUBLISHED", "dateUpdated": "2026-10-05T00:00:00Z"},
        "containers": {
            "cna": {"affected": [{"vendor": "thekelleys", "product": "dnsmasq", "versions": [version]}], "metrics": [metric]}
        },
    }
    run([put(tmp_path, "one.json", record)], target)
    found = {each.id: each for each in Knowledge.open(target).vulnerabilities(Component(name="dnsmasq", version="2.98"))}
    assert (found["CVE-2026-0009"].score, found["CVE-2026-0009"].severity) == (score, word)


def test_what_a_killed_import_left_behind_is_no_hindrance(tmp_path, target):
    run([put(tmp_path, "first.json", feed(DNSMASQ))], target)
    left = target.with_name(target.name + ".part")
    left.write_bytes(target.read_bytes()[:5000] + b"\xff" * 3000)  # the process ended while it wrote
    run([put(tmp_path, "second.json", feed(CURL))], target)
    base = Knowledge.open(target)
    assert "CVE-2026-0001" in ids(base, "dnsmasq", "2.98")
    assert "CVE-2026-0002" in ids(base, "curl", "8.10.0")
    assert not left.exists()
