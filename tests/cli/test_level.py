"""``fwcheck level`` on the command line: by product.toml, in both languages, and by questions on a terminal."""

import json
import os
import pty
import subprocess
import sys


def run(*arguments, **more):
    command = [sys.executable, "-m", "fwcheck", "level", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60, **more)


def test_a_declaration_answers_the_questions(tmp_path):
    path = tmp_path / "product.toml"
    path.write_text('[product]\ntype = "router"\n[use]\nbuyer = "public"\n')
    done = run("--product", str(path))
    assert done.returncode == 0
    assert done.stdout.startswith("Apply for: STAR-1\nAim at: STAR-3\n")
    told = json.loads(run("--product", str(path), "--format", "json").stdout)
    assert (told["apply_for"], told["aim_at"]) == ("STAR-1", "STAR-3")
    assert "申請するレベル: STAR-1" in run("--product", str(path), "--lang", "ja").stdout


def test_without_a_terminal_or_with_a_broken_file_there_is_one_line(tmp_path):
    bad = tmp_path / "product.toml"
    bad.write_text("typo = 1\n")
    for done in (run(), run("--product", str(bad)), run("--product", str(tmp_path / "none.toml"))):
        assert done.returncode == 2
        assert done.stderr.startswith("fwcheck: ")
        assert done.stderr.count("\n") == 1


def test_questions_are_asked_again_until_the_answer_is_one_of_those_given():
    main, terminal = pty.openpty()
    command = [sys.executable, "-m", "fwcheck", "level"]
    with subprocess.Popen(command, stdin=terminal, stdout=subprocess.PIPE, text=True) as child:
        os.close(terminal)
        os.write(main, b"toaster\nrouter\n\n\npublic\n\n\n\n")
        out, _ = child.communicate(timeout=60)
    os.close(main)
    assert child.returncode == 0
    assert "Aim at: STAR-3" in out
