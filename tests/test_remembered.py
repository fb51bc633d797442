"""An unchanged image is not read again: the kept report says what a scan would, and whatever decides it makes another one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from support.reports import coverage_of, report_of

from fwcheck import pipeline
from fwcheck.model import Gap
from fwcheck.pipeline import Options, scan
from fwcheck.remembered import Remembered, key
from fwcheck.reports import json as json_report

SAMPLES = Path(__file__).parents[1] / "samples"
SAMPLE = SAMPLES / "planted" / "account-empty-password.bin"


def told(report):
    return json_report.render(msgspec.structs.replace(report, timing={}))


@pytest.fixture
def reads(monkeypatch):
    """The names of the images that were really read."""
    seen: list[str] = []
    real = pipeline.extract

    def extract(path, *arguments):
        seen.append(path.name)
        return real(path, *arguments)

    monkeypatch.setattr(pipeline, "extract", extract)
    return seen


def test_the_second_scan_reads_nothing_and_says_the_same(tmp_path, reads) -> None:
    options = Options(jobs=1, cache=tmp_path / "cache", recall=True)
    first = scan(SAMPLE, options)
    again = scan(SAMPLE, options)
    assert told(again) == told(first)
    assert len(reads) == 1
    scan(SAMPLE, Options(jobs=1, cache=tmp_path / "cache"))
    assert len(reads) == 2


def test_gates_and_waivers_are_held_anew(tmp_path, reads) -> None:
    waivers = tmp_path / "waivers.toml"
    waivers.write_text('[[waiver]]\nrule = "ACC-001"\nreason = "jig"\nowner = "kim"\nexpires = 2099-01-01\n')
    cache = tmp_path / "cache"
    waived = scan(SAMPLE, Options(jobs=1, cache=cache, recall=True, min_tier="STAR-1", waivers=waivers))
    plain = scan(SAMPLE, Options(jobs=1, cache=cache, recall=True, min_tier="STAR-1"))
    again = scan(SAMPLE, Options(jobs=1, cache=cache, recall=True, min_tier="STAR-1", waivers=waivers))
    assert len(reads) == 1
    assert waived.gate.passed
    assert not plain.gate.passed
    assert plain.tiers[0].refuted
    assert not any(each.waived for each in plain.findings)
    assert told(again) == told(waived)


def test_other_bytes_another_name_target_or_product_file_is_another_report(tmp_path, reads) -> None:
    cache, image, product = tmp_path / "cache", tmp_path / "image.bin", tmp_path / "product.toml"
    shutil.copy(SAMPLE, image)
    shutil.copy(SAMPLES / "product.toml", product)

    def go(**more) -> int:
        before = len(reads)
        scan(image, Options(jobs=1, cache=cache, recall=True, **more))
        return len(reads) - before

    assert [go(), go(), go(target="STAR-2"), go(name="other"), go(product=product), go(product=product), go()] == [
        1,
        0,
        1,
        1,
        1,
        0,
        0,
    ]
    product.write_text(product.read_text() + "\n")
    assert go(product=product) == 1
    image.write_bytes(image.read_bytes() + b"\0")
    assert go() == 1


def test_the_command_finds_its_own_report_again(tmp_path) -> None:
    command = [sys.executable, "-m", "fwcheck", "scan", str(SAMPLE), "--cache", str(tmp_path), "--quiet", "--format", "json"]
    first, again = (subprocess.run(command, capture_output=True, check=True, timeout=300, cwd=SAMPLES.parent) for _ in "ab")
    assert b'"recalled"' in again.stdout
    assert b'"recalled"' not in first.stdout
    shown = subprocess.run([*command, "--show-secrets"], capture_output=True, check=True, timeout=300, cwd=SAMPLES.parent)
    assert b'"recalled"' not in shown.stdout


def test_no_secret_lies_in_the_cache(tmp_path) -> None:
    remembered = Remembered(tmp_path, "k")
    remembered.put(report_of())
    (path,) = (tmp_path / "reports").glob("*.msgpack")
    content = path.read_bytes()
    assert b"f0und-it" not in content
    assert b"hunter2secret" not in content
    assert b"HASHHASH" not in content
    assert path.stat().st_mode & 0o077 == 0
    held = remembered.get()
    assert held is not None
    assert json_report.render(held) == json_report.render(report_of())


@pytest.mark.parametrize(
    "reason",
    ["not read: a worker died", "limit of the whole image: interrupted by the user", "needs more memory than a worker may have"],
)
def test_what_another_run_might_read_is_not_kept(tmp_path, reason) -> None:
    remembered = Remembered(tmp_path, "k")
    remembered.put(report_of(coverage=coverage_of(gaps=[Gap(node="x", reason=reason)])))
    assert remembered.get() is None


@pytest.mark.parametrize("content", [b"", b"\xc1", b"\x80", b"x" * 1000])
def test_a_broken_cache_is_no_cache(tmp_path, content) -> None:
    remembered = Remembered(tmp_path, "k")
    remembered.put(report_of())
    next((tmp_path / "reports").glob("*.msgpack")).write_bytes(content)
    assert remembered.get() is None
    Remembered(Path("/proc/none"), "k").put(report_of())


def test_old_reports_make_room(tmp_path) -> None:
    for number in range(70):
        Remembered(tmp_path, key(str(number), "x", (), (), "")).put(report_of([]))
    assert len(list((tmp_path / "reports").iterdir())) == 64
