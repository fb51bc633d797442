"""``fwcheck diff`` on the command line: images and reports, and one line for what is neither."""

import json
import subprocess
import sys
from pathlib import Path

SAMPLES = Path(__file__).parents[2] / "samples"


def run(*arguments):
    command = [sys.executable, "-m", "fwcheck", "diff", "--no-cache", "--quiet", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_an_image_against_the_report_of_another(tmp_path):
    report = tmp_path / "old.json"
    command = [
        sys.executable,
        "-m",
        "fwcheck",
        "scan",
        "--no-cache",
        "--quiet",
        "--format",
        "json",
        SAMPLES / "router-insecure.bin",
    ]
    report.write_bytes(subprocess.run(command, capture_output=True, check=True, timeout=300).stdout)
    done = run(report, SAMPLES / "router-repaired.bin")
    assert done.returncode == 0
    assert "telnetd" in done.stdout
    assert "- NET-001" in done.stdout
    told = json.loads(run("--format", "json", report, report).stdout)
    assert told["findings"] == []


def test_what_is_no_image_and_no_report_is_one_line(tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text('{"schema_version": 1}')
    for arguments in ((broken, broken), (tmp_path / "none", broken)):
        done = run(*arguments)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
