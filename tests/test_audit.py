"""An audit loses no result and repeats none, whatever ends it, and no image stops it."""

from __future__ import annotations

import datetime as dt
import faulthandler
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from fwcheck import audit
from fwcheck.audit import Job, Store, Target, targets
from fwcheck.fleet import Entry
from fwcheck.judging import Gates
from fwcheck.pipeline import InputError, Options

SAMPLES = Path(__file__).parents[1] / "samples"
IMAGES = ("account-default-password", "network-telnet", "update-unchecked", "component-ended", "debug-console")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five small images, one that is empty, one link, and what lies beside images."""
    place = tmp_path / "images"
    (place / "acme").mkdir(parents=True)
    for name in IMAGES:
        shutil.copy(SAMPLES / "planted" / f"{name}.bin", place / "acme" / f"{name}.bin")
    (place / "empty.bin").touch()
    (place / "notes.txt").write_text("hello")
    (place / ".hidden").write_text("hello")
    (place / "link.bin").symlink_to("acme/network-telnet.bin")
    return place


def command(folder: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "fwcheck", "audit", str(folder), "--output", str(out), "--format", "json", "--no-cache", *more]


def run(folder: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(folder, out, *more), capture_output=True, text=True, timeout=300, check=False)


def results(out: Path) -> dict[str, float]:
    """The results on disk with the time of each: one that is read again gets another."""
    return {path.name: path.stat().st_mtime_ns for path in (out / ".audit" / "entries").glob("*.json")}


def until(out: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 240
    while len(results(out)) < count:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_audit_that_was_ended_goes_on_without_losing_or_repeating_a_result(folder: Path, tmp_path: Path, how) -> None:
    out = tmp_path / "out"
    with subprocess.Popen(command(folder, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        until(out, 2, process)
        process.send_signal(how)
        _, told = process.communicate(timeout=60)
    assert process.returncode == (-9 if how == signal.SIGKILL else 130)
    before = results(out)
    assert 2 <= len(before) <= len(IMAGES)
    if how == signal.SIGINT:
        assert b"the same command goes on from here" in told
        assert len(json.loads((out / "fleet.json").read_text())["pending"]) == 6 - len(before)
    done = run(folder, out)
    assert done.returncode == 2  # one is empty
    after = results(out)
    assert {name: after[name] for name in before} == before
    fleet = json.loads((out / "fleet.json").read_text())
    labels = sorted(each["label"] for each in fleet["entries"])
    assert labels == sorted([*(f"acme/{name}.bin" for name in IMAGES), "empty.bin"])
    assert fleet["pending"] == []
    assert len(list((out / "reports").glob("*.json"))) == len(IMAGES)
    assert not [path for path in out.rglob(".*.json.*") if how == signal.SIGINT]
    again = run(folder, out)
    assert results(out) == after
    assert again.stdout == done.stdout
    assert "changed since" not in again.stderr


def test_the_table_the_page_and_the_reports_are_there(folder: Path, tmp_path: Path) -> None:
    done = run(folder, tmp_path / "out", "--min-tier", "STAR-1")
    assert done.returncode == 2
    assert "fwcheck: empty.bin: is empty" in done.stderr
    assert "STAR-1 refuted" in done.stdout
    assert "acme/network-telnet.bin" in done.stdout
    fleet = json.loads((tmp_path / "out" / "fleet.json").read_text())
    assert fleet["left_out"] == ["notes.txt"]
    for each in fleet["entries"]:
        assert all((tmp_path / "out" / name).is_file() for name in each["reports"].values())
    assert (tmp_path / "out" / "fleet.html").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "out" / "fleet.csv").read_text().count("\n") == len(fleet["entries"]) + 1


def job(**options) -> Job:
    return Job(options=Options(jobs=1, **options), formats=())


def entries(folder: Path, out: Path, wanted: Job, *, retry: bool = False) -> Iterator[tuple[str, str, bool]]:
    found, _ = targets([folder], out)
    store = Store(out)
    try:
        for step in audit.run(found, wanted, store, lambda _target, _done: lambda *_: None, retry=retry):
            yield step.entry.label, step.entry.reason, step.known
    finally:
        store.close()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda: (faulthandler.disable(), os.kill(os.getpid(), signal.SIGSEGV)), "its scan ended with signal 11"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "its scan ended with signal 9 (out of memory?)"),
        (lambda: os._exit(7), "its scan ended with status 7"),
        (lambda: {}[1], "KeyError: 1"),
        (lambda: time.sleep(60), "took longer than 0.5 s"),
    ],
    ids=["crash", "killed", "exit", "defect", "hang"],
)
def test_whatever_an_image_does_the_others_are_read(folder: Path, tmp_path: Path, monkeypatch, fault, reason: str) -> None:
    def scan(path: Path, *_: object) -> None:
        if path.name == "network-telnet.bin":
            fault()
        raise InputError(f"{path}: looked at")

    monkeypatch.setattr(audit, "scan", scan)
    monkeypatch.setattr(audit, "_EXTRA", 0.5 if reason.startswith("took") else 60)
    wanted = msgspec.structs.replace(job(), options=Options(limits=msgspec.structs.replace(Options().limits, seconds_image=0)))
    found = {label: told for label, told, _ in entries(folder, tmp_path / "out", wanted)}
    assert found.pop("acme/network-telnet.bin") == reason
    assert set(found.values()) == {"looked at"}
    assert len(found) == len(IMAGES)


def test_only_what_changed_is_read_again(folder: Path, tmp_path: Path, monkeypatch) -> None:
    def scan(path: Path, *_: object) -> None:
        raise InputError(f"{path}: looked at")

    monkeypatch.setattr(audit, "scan", scan)
    out = tmp_path / "out"
    assert not any(known for *_, known in entries(folder, out, job()))
    assert all(known for *_, known in entries(folder, out, job()))
    (folder / "acme" / "debug-console.bin").write_bytes(b"another")
    (folder / "new.bin").write_bytes(b"new")
    fresh = sorted(label for label, _, known in entries(folder, out, job()) if not known)
    assert fresh == ["acme/debug-console.bin", "new.bin"]
    assert not any(known for *_, known in entries(folder, out, job(target="STAR-2")))
    assert not any(known for *_, known in entries(folder, out, job(), retry=True))


WAIVER = '[[waiver]]\nrule = "NET-001"\nreason = "jig"\nowner = "kim"\nexpires = {}\n'


@pytest.mark.parametrize(
    ("option", "before", "after", "named"),
    [
        ("waivers", WAIVER.format("2099-01-01"), WAIVER.format("2099-01-02"), "the waivers"),
        ("policy", "[all]\nmin_score = 10\n", "[all]\nmin_score = 11\n", "the policy"),
        ("product", '[product]\nmodel = "a"\n', '[product]\nmodel = "b"\n', "the product file"),
        ("vex", '{"@context": "https://openvex.dev/ns/v0.2.0", "statements": []}', None, "the VEX files"),
        ("update_keys", "", None, "the update keys"),
    ],
)
def test_a_change_of_what_is_given_is_noticed_and_named(
    folder: Path, tmp_path: Path, monkeypatch, option: str, before: str, after: str | None, named: str
) -> None:
    def scan(path: Path, *_: object) -> None:
        raise InputError(f"{path}: looked at")

    def once(place: Path) -> tuple[list[tuple[list[str], int]], bool]:
        told: list[tuple[list[str], int]] = []
        given = (place,) if option in ("vex", "update_keys") else place
        steps = audit.run(
            found, job(**{option: given}), store, lambda *_: lambda *_: None, changes=lambda *each: told.append(each)
        )
        known = [step.known for step in steps]
        return told, all(known)

    monkeypatch.setattr(audit, "scan", scan)
    if option == "update_keys":  # what a key file holds is looked at elsewhere
        monkeypatch.setattr(audit, "check", lambda _options: None)
    (tmp_path / "elsewhere").mkdir()
    first, moved = tmp_path / "given.json", tmp_path / "elsewhere" / "given.json"
    first.write_text(before)
    found, _ = targets([folder], tmp_path / "out")
    store = Store(tmp_path / "out")
    assert once(first) == ([], False)
    shutil.copy(first, moved)
    assert once(moved) == ([], True)  # wherever it lies
    moved.write_text(before + "\n" if after is None else after)
    assert once(moved) == ([([named], len(found))], False)
    assert once(moved) == ([], True)
    store.close()


@pytest.mark.parametrize(
    ("waivers", "policy", "dated"),
    [
        (WAIVER.format("2026-05-01"), "[all]\nmin_score = 1\n", False),
        (WAIVER.format("2026-05-01"), "[type.router]\nmax_component_age_days = 90\n", True),
    ],
)
def test_the_date_counts_where_it_decides(tmp_path: Path, waivers: str, policy: str, dated: bool) -> None:
    (tmp_path / "waivers.toml").write_text(waivers)
    (tmp_path / "policy.toml").write_text(policy)
    options = Options(waivers=tmp_path / "waivers.toml", policy=tmp_path / "policy.toml")
    days = [Gates.read(options, dt.date(2026, month, 1)).dated() for month in (3, 4, 6)]
    assert (days[0] != days[1]) == dated
    assert days[1] != days[2]  # the waiver has expired


def test_programs_get_english_in_every_language(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    shutil.copy(SAMPLES / "planted" / "network-telnet.bin", tmp_path / "images" / "a.bin")
    held = []
    for lang in ("en", "ja"):
        out = tmp_path / lang
        run(tmp_path / "images", out, "--lang", lang)
        held.append([msgspec.json.decode((out / "fleet.json").read_bytes()), (out / "fleet.csv").read_text()])
        assert ("telnetd が" in (out / "fleet.html").read_text()) == (lang == "ja")
    assert held[0] == held[1]


def test_a_broken_policy_stops_the_audit_before_it_begins(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("[all]\nmin_scor = 1\n")
    done = run(folder, tmp_path / "out", "--policy", str(tmp_path / "policy.toml"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "did you mean min_score" in done.stderr
    assert results(tmp_path / "out") == {}


def test_a_result_whose_reports_were_deleted_is_no_result(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "reports" / "a.html").write_text("x")
    store.keep("k", Entry(label="a", state="read", reports={"html": "reports/a.html"}), {})
    assert store.find("k") is not None
    (tmp_path / "reports" / "a.html").unlink()
    assert store.find("k") is None
    (tmp_path / ".audit" / "entries" / "k.json").write_text('{"label": ')
    assert store.find("k") is None
    store.close()


def test_two_audits_do_not_share_a_directory(tmp_path: Path) -> None:
    held = Store(tmp_path)
    with pytest.raises(InputError, match="another audit is at work"):
        Store(tmp_path)
    held.close()
    Store(tmp_path).close()


def test_names_from_several_folders_stay_apart(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "fw.bin").write_bytes(name.encode())
        (tmp_path / name / "SHA256SUMS").write_text("")
    found, left_out = targets([tmp_path / "one", tmp_path / "two"], tmp_path / "out")
    assert [each.label for each in found] == ["one/fw.bin", "two/fw.bin"]
    assert len(left_out) == 2
    files = [tmp_path / "one" / "fw.bin", tmp_path / "two" / "fw.bin", tmp_path / "one" / "SHA256SUMS"]
    assert [each.label for each in targets([*files, files[0]], tmp_path / "out")[0]] == ["fw.bin", "two/fw.bin", "SHA256SUMS"]


def test_the_results_of_an_audit_are_no_images(folder: Path) -> None:
    out = folder / "results"
    Store(out).close()
    (out / "reports" / "x.bin").write_text("x")
    assert not [each.label for each in targets([folder], out)[0] if each.label.startswith("results")]
    assert "account-default-password.bin" not in str(targets([folder], out, ["account-*"])[0])


def test_a_path_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        targets([tmp_path / "nowhere"], tmp_path)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("a/b/fw 1.0.bin", "fw_1.0.bin"),
        ("../..", "image"),
        ("x/日本語.bin", "bin"),
        (".hidden", "hidden"),
        ("a" * 300, "a" * 100),
    ],
)
def test_report_files_have_harmless_names(label: str, expected: str) -> None:
    assert audit.file_name(label) == expected


def test_progress_is_passed_on(tmp_path: Path) -> None:
    seen: list[str] = []
    store = Store(tmp_path / "out")
    image = Target(path=SAMPLES / "router-repaired.bin", label="router-repaired.bin")
    found = audit.read(image, job(), store, lambda stage, _done, _total: seen.append(stage))
    store.close()
    assert found.state == "read"
    assert {"reading the structure", "reading contents"} <= set(seen)
