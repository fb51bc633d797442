"""At a terminal: colour where one is, progress that fits, Ctrl-C with what was read, help and completion that hold."""

from __future__ import annotations

import io
import json
import os
import pty
import random
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from fwcheck.cli.completion import SHELLS
from fwcheck.cli.examples import EXAMPLES
from fwcheck.cli.main import COMMANDS, parser
from fwcheck.cli.progress import Progress

SAMPLES = Path(__file__).parents[2] / "samples"
INSECURE = SAMPLES / "router-insecure.bin"


class Terminal:
    """A command at a pseudo-terminal of its own."""

    def __init__(self, *arguments: object, columns: int = 100, **environment: str) -> None:
        inside = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), **environment}
        if "NO_COLOR" not in environment:
            inside.pop("NO_COLOR", None)
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fwcheck", *map(str, arguments)],
            stdin=slave, stdout=slave, stderr=slave, env=inside, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.text = ""

    def until(self, words: str, seconds: float = 120) -> None:
        """Reads until some words were shown, or the command ended."""
        end = time.monotonic() + seconds
        while words not in self.text and time.monotonic() < end:
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.master, 65536).decode(errors="replace")
                except OSError:  # the other end is closed
                    break

    def end(self, seconds: float = 120) -> int:
        self.until("\0no such words", seconds)
        os.close(self.master)
        return self.process.wait(timeout=seconds)


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """An archive of many texts: reading it takes some seconds."""
    path = tmp_path_factory.mktemp("large") / "large.tar"
    chance = random.Random(5)
    with tarfile.open(path, "w") as tar:
        for number in range(1500):
            content = bytes(chance.choices(b"abcdefgh =\n", k=3000)) * 8
            member = tarfile.TarInfo(f"etc/file-{number}.conf")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_a_terminal_gets_colour_and_progress_and_a_pipe_gets_neither() -> None:
    seen = Terminal("scan", INSECURE, "--no-cache")
    assert seen.end() == 0
    assert "\x1b[1;31m" in seen.text  # bold red
    assert "reading the structure" in seen.text
    piped = subprocess.run([sys.executable, "-m", "fwcheck", "scan", str(INSECURE)], capture_output=True, timeout=120, check=True)
    assert b"\x1b" not in piped.stdout
    assert piped.stderr == b""


def test_no_color_and_quiet_are_heeded() -> None:
    seen = Terminal("scan", INSECURE, "--quiet", NO_COLOR="1")
    assert seen.end() == 0
    assert not any(f"\x1b[{code}m" in seen.text for code in ("31", "1;31", "32", "33"))
    assert "reading the structure" not in seen.text
    assert "STAR-1 is refuted" in seen.text


def test_a_dumb_terminal_gets_no_line_that_is_redrawn() -> None:
    seen = Terminal("scan", INSECURE, TERM="dumb")
    assert seen.end() == 0
    assert "\x1b" not in seen.text


def test_ctrl_c_ends_with_a_report_of_what_was_read(large: Path, tmp_path: Path) -> None:
    seen = Terminal("scan", large, "--no-cache", "--format", "json,html", "--output", tmp_path / "out", "--jobs", "1")
    seen.until("reading contents")
    begun = time.monotonic()
    os.kill(seen.process.pid, signal.SIGINT)
    assert seen.end() == 130
    assert time.monotonic() - begun < 30  # a second on a machine that is not busy
    assert "interrupted: reporting what was read so far" in seen.text
    assert "Traceback" not in seen.text
    report = json.loads((tmp_path / "out" / "large.tar.json").read_text())
    assert any("interrupted by the user" in gap["reason"] for gap in report["coverage"]["gaps"])
    assert (tmp_path / "out" / "large.tar.html").read_text().rstrip().endswith("</html>")


@pytest.mark.parametrize(
    ("command", "holds"),
    [("tree", "interrupted by the user"), ("sbom", '"bomFormat"'), ("extract", "")],
)
def test_ctrl_c_ends_other_commands_with_what_was_read(large: Path, tmp_path: Path, command: str, holds: str) -> None:
    more = ["-o", tmp_path / "out"] if command == "extract" else ["--no-cache"]
    seen = Terminal(command, large, "--jobs", "1", *more)
    seen.until("reading contents")
    os.kill(seen.process.pid, signal.SIGINT)
    assert seen.end() == 130
    assert "interrupted: reporting what was read so far" in seen.text
    assert "Traceback" not in seen.text
    assert holds in seen.text
    if command == "extract":
        gaps = json.loads((tmp_path / "out" / "manifest.json").read_text())["coverage"]["gaps"]
        assert any("interrupted by the user" in gap["reason"] for gap in gaps)


def test_a_second_ctrl_c_ends_at_once(large: Path, tmp_path: Path) -> None:
    seen = Terminal("scan", large, "--no-cache", "--format", "json", "--output", tmp_path / "out")
    seen.until("reading contents")
    os.kill(seen.process.pid, signal.SIGINT)
    seen.until("reporting what was read so far")
    os.kill(seen.process.pid, signal.SIGINT)
    assert seen.end() == 130


@pytest.mark.parametrize("command", ["tree", "sbom"])
def test_ctrl_c_ends_other_commands_at_once(large: Path, command: str) -> None:
    seen = Terminal(command, large, "--no-cache")
    seen.until("reading contents")
    os.kill(seen.process.pid, signal.SIGINT)
    assert seen.end() == 130
    assert "fwcheck: interrupted" in seen.text


class Shown(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [12, 30, 50, 80, 200])
def test_progress_fits_the_width(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    out = Shown()
    monkeypatch.setattr(sys, "stderr", out)
    with Progress("a-rather-long-name-of-an-image-\x1b[2J.bin", quiet=False) as progress:
        progress("reading the structure", 0, 1)
        progress("reading contents", 1234, 56789)
    lines = [line.replace("\x1b[?25l", "").replace("\x1b[?25h", "") for line in out.getvalue().split("\r\x1b[2K")]
    assert all(len(line) < columns for line in lines)
    assert any("reading" in line for line in lines)
    assert "\x1b" not in "".join(lines)
    if columns >= 50:
        assert "1,234/56,789" in lines[2]


def test_every_command_has_examples_that_hold() -> None:
    assert {"scan", "gate", "tree", "cat", "extract", "sbom", "diff", "audit", "explain", "level", "db"} <= set(EXAMPLES)
    top = parser()
    for command, shown in EXAMPLES.items():
        for line, _ in shown:
            program, *arguments = shlex.split(line.partition(" > ")[0])
            assert program == "fwcheck"
            assert not command or arguments[0] == command
            top.parse_args(arguments)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_fits_and_ends_with_examples(command: str, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        parser().parse_args([command, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: fwcheck {command}")
    if command in EXAMPLES:
        assert "\nexamples:\n" in text


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["sacn", "x"], "did you mean scan?"),
        (["scan", "x", "--min-tire", "STAR-1"], "did you mean --min-tier?"),
        (["scan", "x", "--fail-on", "hgih"], "did you mean high?"),
        (["audit", "x", "--outptu=y"], "did you mean --output?"),
        (["completion", "bsh"], "did you mean bash?"),
    ],
)
def test_a_slip_is_told_with_what_was_meant(arguments: list[str], meant: str, capsys) -> None:
    with pytest.raises(SystemExit) as end:
        parser().parse_args(arguments)
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert meant in told
    assert len(told.splitlines()) == 1


def test_other_slips_name_what_is_near() -> None:
    for arguments, meant in ((["scan", INSECURE, "--format", "htlm"], "did you mean html?"), (["explain", "UPD-03"], "UPD-003")):
        done = subprocess.run(
            [sys.executable, "-m", "fwcheck", *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert meant in done.stderr


def script(shell: str) -> str:
    done = subprocess.run([sys.executable, "-m", "fwcheck", "completion", shell], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_is_a_script_its_shell_takes(shell: str, tmp_path: Path) -> None:
    text = script(shell)
    for word in ("scan", "audit", "--min-tier" if shell != "fish" else "-l min-tier", "STAR-1"):
        assert word in text
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    (tmp_path / "script").write_text(text)
    subprocess.run([shell, "-n", str(tmp_path / "script")], check=True, capture_output=True, timeout=30)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["sc"], {"scan"}),
        (["scan", "--min-t"], {"--min-tier"}),
        (["scan", "--min-tier", ""], {"STAR-1", "STAR-2", "STAR-3", "STAR-4"}),
        (["completion", ""], {"bash", "zsh", "fish"}),
        (["scan", "--output", "sam"], {"samples"}),
    ],
)
def test_bash_completes(typed: list[str], offered: set[str]) -> None:
    words = " ".join(shlex.quote(each) for each in ["fwcheck", *typed])
    lines = f"{script('bash')}\nCOMP_WORDS=({words}); COMP_CWORD={len(typed)}; _fwcheck; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, cwd=SAMPLES.parent, check=True, timeout=30)
    assert set(done.stdout.split()) == offered
