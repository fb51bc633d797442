"""``fwcheck level`` on the command line: by product.toml, in both languages, and by questions on a terminal."""

import json
import os
import pty
import subprocess
import sys

from rich.cells import cell_len


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
    with subprocess.Popen(command, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        os.close(terminal)
        os.write(main, b"toaster\nrou\n\n\npublic\n\n4\n\n")
        out, asked = child.communicate(timeout=60)
    os.close(main)
    assert child.returncode == 0
    assert asked.count("number or a word of the list") == 1
    assert out.startswith("Apply for: STAR-1\nAim at: STAR-4\n")


def test_a_product_out_of_scope_is_not_asked_further():
    main, terminal = pty.openpty()
    command = [sys.executable, "-m", "fwcheck", "level", "--lang", "ja"]
    with subprocess.Popen(command, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        os.close(terminal)
        os.write(main, b"\nno\n")
        out, asked = child.communicate(timeout=60)
    os.close(main)
    assert child.returncode == 0
    assert out.startswith("申請するレベル: なし")
    assert "主な調達者は" not in asked


def test_lines_fit_the_terminal(tmp_path):
    path = tmp_path / "product.toml"
    path.write_text('[use]\nbuyer = "public"\ndata = "personal"\n')
    for lang in ("en", "ja"):
        out = run("--product", str(path), "--lang", lang, env={**os.environ, "COLUMNS": "60"}).stdout
        assert max(cell_len(line) for line in out.splitlines()) <= 62
        assert "fwcheck scan" in " ".join(out.split())
