"""Whatever is wrong with a command line is told in one line that says what, and where it helps what was meant; exit status 2."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fwcheck.cli.main import main

SAMPLE = Path(__file__).parents[2] / "samples" / "router-repaired.bin"
WRONG = (
    ("scan", "the following arguments are required: IMAGE (usage: fwcheck scan [options] IMAGE;"),
    ("scna image", "no such command: 'scna'; did you mean scan?"),
    ("scan image --ouput x", "unrecognized arguments: --ouput x; did you mean --output?"),
    ("scan image --fail-on hgih", "did you mean high?"),
    ("scan image --target STAR-9", "'STAR-3', 'STAR-4') (usage"),  # four are as near: none is meant
    ("scan image --min-score abc", "--min-score: takes a whole number from 0 to 100, not 'abc'"),
    ("scan image --min-score 101", "--min-score: takes a whole number from 0 to 100, not '101'"),
    ("scan image --jobs 0", "--jobs: takes a whole number from 1 to 256, not '0'"),
    ("scan image --format htm", "--format: no report format htm; did you mean html?"),
    ("scan image --format ,", "--format: names no format"),
    ("scan image --format html,json", "--format: several reports at once need --output DIR"),
    ("scan image --format html --output image", "--output image: is not a directory"),
    ("scan image --format html --output image/below", "--output image/below: is not a directory"),
    ("scan image --cache image", "--cache image: is not a directory"),
    ("scan image --second-opinion binwak", "there is no second opinion 'binwak'"),
    ("scan image --policy policy.toml", "policy.toml:2: unknown key min_scor in all; did you mean min_score"),
    ("scan image --product product.toml", "product.toml:1: unknown key modle in product; did you mean model"),
    ("scan image --vex policy.toml", "--vex policy.toml:1: is no JSON"),
    ("scan image --database policy.toml", "policy.toml: not a knowledge file"),
    ("scan -", "-: an image is not read from standard input"),
    ("scan pipe", "pipe: is not a regular file"),
    ("scan folder", "folder: is a directory, not an image"),
    ("scan empty", "empty: is empty"),
    ("scan /dev/null", "/dev/null: is not a regular file"),
    ("gate image", "image: is not a report of this version"),
    ("gate none.json", "none.json: No such file or directory"),
    ("diff image", "the following arguments are required: NEW"),
    ("audit folder --output out", "folder: no image there"),
    ("audit image --output image", "image: Not a directory"),
    ("audit image --output out --format terminal", "terminal is for one image"),
    ("extract image -o image", "image: File exists"),
    ("cat image /nope", "image: holds no readable /nope"),
    ("explain ACC-99", "ACC-99: no such rule or criterion; did you mean ACC-009?"),
    ("completion fsh", "did you mean fish?"),
)  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "image").write_bytes(SAMPLE.read_bytes())
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "policy.toml").write_text("[all]\nmin_scor = 1\n")
    (tmp_path / "product.toml").write_text('product.modle = "x"\n')
    os.mkfifo(tmp_path / "pipe")
    yield tmp_path
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("line", "told"), WRONG, ids=[line for line, _ in WRONG])
@pytest.mark.usefixtures("place")
def test_it_is_one_line_and_status_2(line: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(line.split())
    except SystemExit as end:
        status = end.code
    out, error = capsys.readouterr()
    assert (status, out) == (2, "")
    assert told in error
    assert error.count("\n") == 1
    assert error.startswith("fwcheck")


@pytest.mark.usefixtures("place")
def test_levels_and_severities_may_be_written_in_any_case(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["scan", "image", "--target", "star-1", "--min-tier", "star-1", "--fail-on", "HIGH", "--quiet", "--jobs", "1"])
    assert (status, capsys.readouterr().err) == (0, "")
