"""The gates on the command line: exit statuses of the contract, one line for broken files, the same answer from scan and gate."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parents[2] / "samples" / "router-insecure.bin"


def fwcheck(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fwcheck", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("gate") / "old.json"
    done = fwcheck("scan", SAMPLE, "--no-cache", "--format", "json", "--quiet")
    path.write_text(done.stdout)
    return path


def waiver(rule: str, day: str) -> str:
    return f'[[waiver]]\nrule = "{rule}"\nreason = "jig"\nowner = "kim"\nexpires = {day}\n'


def test_scan_and_gate_give_the_same_result(report, tmp_path):
    files = {"policy": '[all]\nmin_tier = "STAR-1"\nforbidden_rules = ["DBG-*"]\n', "waivers": waiver("NET-001", "2099-01-01")}
    arguments: list[object] = ["--baseline", report]
    for name, text in files.items():
        (tmp_path / f"{name}.toml").write_text(text)
        arguments += [f"--{name}", tmp_path / f"{name}.toml"]
    for each in (arguments[2:], arguments):
        scanned = fwcheck("scan", SAMPLE, "--no-cache", "--format", "json", "--quiet", *each)
        gated = fwcheck("gate", report, *each, "--format", "json")
        first, second = (json.loads(done.stdout) for done in (scanned, gated))
        first.pop("timing"), second.pop("timing")
        assert first == second
        assert scanned.returncode == gated.returncode == (0 if "--baseline" in each else 1)
    assert {each["rule"] for each in first["findings"] if each["waived"]} == {"NET-001"}
    assert {each["baseline"] for each in first["findings"]} == {"known", ""}


def test_an_expired_waiver_fails_and_an_unused_one_is_told(report, tmp_path):
    path = tmp_path / "waivers.toml"
    path.write_text(waiver("NET-001", "2020-01-01"))
    done = fwcheck("gate", report, "--waivers", path)
    assert done.returncode == 1
    assert "expired on 2020-01-01" in done.stderr
    path.write_text(waiver("ACC-013", "2099-01-01"))
    done = fwcheck("gate", report, "--waivers", path)
    assert done.returncode == 0
    assert "fwcheck: note: waivers.toml: waiver 1 (ACC-013, owner kim) matches no finding" in done.stderr


@pytest.mark.parametrize("option", ["--policy", "--waivers", "--baseline"])
@pytest.mark.parametrize("text", [None, "nonsense = 1\n", "{}", "\udcff"])
def test_a_broken_file_is_status_2_and_one_line(report, tmp_path, option, text):
    path = tmp_path / "file"
    if text is not None:
        path.write_text(text, errors="surrogateescape")
    for command in (["gate", report], ["scan", SAMPLE, "--no-cache"]):
        done = fwcheck(*command, option, path)
        assert done.returncode == 2, done.stderr
        assert done.stdout == ""
        assert re.match(rf"fwcheck: {re.escape(str(path))}(:\d+)?: ", done.stderr)
        assert done.stderr.count("\n") == 1


def test_gate_writes_the_formats_that_are_asked_for(report, tmp_path):
    done = fwcheck("gate", report, "--min-tier", "STAR-1", "--format", "sarif,junit,json", "--output", tmp_path)
    assert done.returncode == 1
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {f"{SAMPLE.name}.{suffix}" for suffix in ("sarif", "junit.xml", "json")}
    assert json.loads((tmp_path / f"{SAMPLE.name}.json").read_text())["gate"]["asked"] == ["min-tier STAR-1"]


def test_a_report_may_come_from_standard_input(report) -> None:
    command = [sys.executable, "-m", "fwcheck", "gate", "-", "--fail-on", "critical"]
    done = subprocess.run(command, input=Path(report).read_bytes(), capture_output=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"critical" in done.stderr
