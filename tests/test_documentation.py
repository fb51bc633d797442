"""The documentation holds: the site builds without a warning, and the tutorial does what it says."""

from __future__ import annotations

import importlib.util
import os
import re
import runpy
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from fwcheck.analysers.registry import rules
from fwcheck.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("material") is None:
        pytest.skip("mkdocs-material is not installed")
    out = tmp_path_factory.mktemp("site")
    inside = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    done = subprocess.run(command, cwd=ROOT, env=inside, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_the_site_builds_and_holds_its_pages(site: Path) -> None:
    for page in ("index.html", "tutorial/index.html", "reference/cli/index.html", "how-to/audit/index.html", "404.html"):
        assert (site / page).is_file()
    assert not list(site.rglob("*.py"))
    assert not list(site.rglob("*.toml"))


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in ("index.html", "tutorial/index.html"):
        text = (site / page).read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)="https?:', text)


def test_the_reference_names_every_command_rule_and_key() -> None:
    pages = runpy.run_path(str(ROOT / "docs" / "reference.py"))["PAGES"]
    cli, report, told = pages["cli"](), pages["report"](), pages["rules"]()
    assert [command for command in COMMANDS if f"## fwcheck {command}\n" not in cli] == []
    assert str(Path.home()) not in cli
    assert "| `fingerprint` |" in report
    assert "| `highest_not_refuted` |" in report
    assert [rule for rule in rules() if f"### {rule}: " not in told] == []


def _blocks() -> list[tuple[str, list[str]]]:
    """Each command of the README and the tutorial, and what it says that is shown."""
    out: list[tuple[str, list[str]]] = []
    pages = (ROOT / name for name in ("README.md", "docs/tutorial.md"))
    for block in (block for page in pages for block in BLOCK.findall(page.read_text(encoding="utf-8"))):
        for line in block.splitlines():
            if line.startswith("$ "):
                out.append((line[2:], []))
            else:
                out[-1][1].append(line)
    return out


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_the_readme_and_the_tutorial_do_what_they_say(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "samples", tmp_path / "samples", ignore=shutil.ignore_patterns("planted", "*.py", "__pycache__"))
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "fwcheck"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m fwcheck "$@"\n')
    program.chmod(0o755)
    inside = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "COLUMNS": "110",
    }
    assert len(_blocks()) > 8
    for command, shown in _blocks():
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=inside, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=300, check=False,
        )  # fmt: skip
        _follows(command, done.stdout.splitlines(), shown)


def _follows(command: str, lines: list[str], shown: list[str]) -> None:
    """The lines shown come in this order; ``...`` stands for any lines, or for the rest of one."""
    at, free = 0, False
    for line in shown:
        if line == "...":
            free = True
            continue
        pattern = re.sub(r"([\[\]*?])", r"[\1]", line).replace("...", "*")
        hits = [number for number, each in enumerate(lines[at:], at) if fnmatchcase(each.rstrip(), pattern)]
        assert hits, (command, line, lines)
        assert free or hits[0] == at, (command, line, lines)
        at, free = hits[0] + 1, False
    assert free or at == len(lines), (command, lines[at:])
