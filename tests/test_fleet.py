"""What images share is told once, with everybody who holds it, and no secret can be read from what is kept."""

from __future__ import annotations

import csv
import io
import json

import msgspec
from support.reports import ROOT, device_of, finding_of, findings_of_router, report_of

from fwcheck.fleet import Entry, Fleet, Piece, entry, gather
from fwcheck.model import Account, CryptoAsset, Device, Evidence, Location, Report, Severity
from fwcheck.reports import fleet as pages

SALT = b"s" * 32


def fleet_of(*entries: Entry, pending: tuple[str, ...] = ()) -> Fleet:
    return gather(entries, tool="1", rules_digest="d" * 64, database_date="2026-01-01", target="STAR-1", pending=pending)


def with_key(report: Report, fingerprint: str, path: str = "/etc/key.pem") -> Report:
    asset = CryptoAsset(
        kind="private-key", algorithm="RSA", bits=1024, fingerprint=fingerprint,
        evidence=(Evidence(location=Location(chain=ROOT, path=path)),),
    )  # fmt: skip
    return msgspec.structs.replace(report, device=msgspec.structs.replace(report.device, crypto=(asset,)))


def image(report: Report, content: str) -> Report:
    return msgspec.structs.replace(report, image=msgspec.structs.replace(report.image, sha256=content * 64))


def of(label: str, content: str, key: str = "k") -> Entry:
    return entry(image(with_key(report_of(), key), content), label, SALT, {"html": f"reports/{content}.html"})


def test_a_key_in_two_images_is_shared_and_told_with_its_places() -> None:
    fleet = fleet_of(of("acme/1.bin", "a"), of("acme/2.bin", "b"), of("other/x.bin", "c"), of("lone.bin", "d", key="own"))
    (found,) = [each for each in fleet.shared if each.kind == "private key"]
    assert (found.what, found.products) == ("RSA 1024", 2)
    assert [each.label for each in found.holders] == ["acme/1.bin", "acme/2.bin", "other/x.bin"]
    assert found.holders[0].places == ("/etc/key.pem",)


def test_the_same_bytes_under_two_names_share_nothing() -> None:
    fleet = fleet_of(of("a.bin", "a"), of("copy of a.bin", "a"))
    assert fleet.shared == ()
    assert pages.twins(fleet) == {"copy of a.bin": "a.bin"}


def test_password_hashes_and_passwords_are_compared_and_not_kept() -> None:
    one, two = of("a.bin", "a", "k1"), of("b.bin", "b", "k2")
    fleet = fleet_of(one, two)
    assert {(each.kind, each.what) for each in fleet.shared} >= {("password hash", "root (md5)"), ("password", "root")}
    kept = msgspec.json.encode((one, fleet)).decode()
    for secret in ("HASHHASH", "hunter2secret", "f0und-it"):
        assert secret not in kept
        assert secret not in pages.html(fleet)
    assert '"mark"' not in pages.plain_json(fleet)


def test_marks_of_another_audit_are_different() -> None:
    report = report_of()
    ours, theirs = (entry(report, "a.bin", salt, {}).held for salt in (SALT, b"t" * 32))
    assert [each.what for each in ours] == [each.what for each in theirs]
    assert not {each.mark for each in ours} & {each.mark for each in theirs}


def test_a_password_told_by_account_and_finding_counts_once() -> None:
    account = Account(name="root", password="hash", scheme="md5", secret="$1$x", plain="admin", file="/etc/shadow")
    found = [finding_of("ACC-002", "S1.1-02", secret="admin")]
    report = report_of(found, device=msgspec.structs.replace(device_of(), accounts=(account,)))
    assert [each.kind for each in entry(report, "a.bin", SALT, {}).held] == ["password hash", "password"]


def test_outdated_components_are_told_with_every_image() -> None:
    fleet = fleet_of(of("a.bin", "a"), of("b.bin", "b"))
    first = fleet.outdated[0]
    assert (first.name, first.version, first.exploited, first.labels) == ("busybox", "1.30.1", 1, ("a.bin", "b.bin"))
    assert ("openssl", "1.0.2u", "2019-12-31") in {(each.name, each.version, each.end_of_life) for each in fleet.outdated}


def test_the_worst_image_stands_first_and_the_worst_finding_of_it() -> None:
    good = entry(image(report_of([]), "g"), "good.bin", SALT, {})
    bad = entry(image(report_of(findings_of_router()), "b"), "bad.bin", SALT, {})
    broken = Entry(label="broken.bin", state="failed", reason="is empty")
    fleet = fleet_of(broken, good, bad)
    assert [each.label for each in fleet.entries] == ["bad.bin", "good.bin", "broken.bin"]
    assert fleet.entries[0].worst[0].severity is Severity.CRITICAL
    assert len({each.rule for each in fleet.entries[0].worst}) == len(fleet.entries[0].worst)
    assert fleet == fleet_of(bad, good, broken)


def test_waived_findings_do_not_count() -> None:
    found = [finding_of("NET-001", "S1.1-13", severity=Severity.CRITICAL, waived=True, secret="x")]
    kept = entry(report_of(found, device=Device()), "a.bin", SALT, {})
    assert (kept.counts, kept.worst, kept.held) == ({}, (), ())


def test_the_table_has_a_row_for_every_image_whatever_became_of_it() -> None:
    fleet = fleet_of(of("=cmd()", "a"), Entry(label="broken.bin", state="failed", reason="is empty"), pending=("later.bin",))
    rows = list(csv.reader(io.StringIO(pages.table(fleet))))
    assert {len(row) for row in rows} == {len(pages.COLUMNS)}
    assert [row[0] for row in rows[1:]] == ["'=cmd()", "broken.bin", "later.bin"]
    assert [row[2] for row in rows[1:]] == ["read", "failed", "pending"]


def test_the_page_escapes_what_images_chose() -> None:
    hostile = "<script>alert(1)</script>\x1b[2J\u202e\udce9"
    one, two = (
        msgspec.structs.replace(
            of(f"{hostile}/{name}", name),
            platform=hostile,
            outdated=(Piece(name=hostile, version=hostile, vulnerabilities=1),),
        )
        for name in "ab"
    )
    source = pages.html(fleet_of(one, two, Entry(label=hostile, state="failed", reason=hostile), pending=(hostile,)))
    assert source.count("<script>") == 1
    assert "\x1b" not in source
    source.encode()
    json.loads(pages.plain_json(fleet_of(one, two)))


def test_the_page_links_to_the_reports_and_tells_what_is_left() -> None:
    source = pages.html(fleet_of(of("a.bin", "a"), pending=("later.bin",)))
    assert '<a href="reports/a.html">a.bin</a>' in source
    assert "Images not looked at yet: 1." in source
    assert "%s" not in pages.html(fleet_of(of("a.bin", "a")), lang="ja")


def test_a_file_that_is_no_firmware_is_told_apart_from_one_that_is_not_refuted() -> None:
    blank = msgspec.structs.replace(of("notes", "b"), files=0, components=0, counts={}, held=(), outdated=(), worst=())
    level = msgspec.structs.replace(blank.levels[0], refuted=False, decidable=0)
    blank = msgspec.structs.replace(blank, levels=(level,))
    assert (blank.nothing, of("a.bin", "a").nothing) == (True, False)
    shown = pages.html(fleet_of(blank))
    assert "nothing could be analysed" in shown
    assert "STAR-1 not refuted" not in shown


def test_the_lines_for_a_terminal_stand_under_each_other_in_both_languages() -> None:
    failed = Entry(label="x\x1b[2J.bin", state="failed", reason="is empty")
    fleet = fleet_of(of("acme/1.bin", "a"), of("other/2.bin", "b"), failed, pending=("later.bin",))
    for lang, words in (("en", ("STAR-1 refuted", "not read", "not looked at yet", "private key RSA 1024")),
                        ("ja", ("STAR-1 と矛盾", "読み取り不可", "未処理", "秘密鍵 RSA 1024", "空のファイル"))):  # fmt: skip
        shown = pages.text(fleet, lang=lang)
        assert [word for word in words if word not in shown] == []
        assert "\x1b" not in shown
        lines = [line for line in shown.splitlines() if line.endswith((".bin", "イメージ", "Image")) and not line.startswith(" ")]
        places = [len(line.encode("euc_jp")) - len(line.rpartition("  ")[2].encode("euc_jp")) for line in lines]
        assert len(set(places)) == 1  # a wide character has two bytes there
        assert len(places) >= 4
