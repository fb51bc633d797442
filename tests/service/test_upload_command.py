"""``fwcheck upload`` in a release job: the exit status is the gate's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.serving import INSECURE, REPAIRED, Served


@pytest.mark.usefixtures("scanned")
def test_the_exit_status_is_the_gates(served: Served, tmp_path: Path) -> None:
    write = ("--output", str(tmp_path), "--format", "json,html,junit")
    bad = served.command("upload", str(INSECURE), "--product", "gated", "--min-tier", "STAR-1", *write)
    assert bad.returncode == 1, bad.stderr
    assert "gate: STAR-1 is refuted" in bad.stderr
    assert json.loads((tmp_path / f"{INSECURE.name}.json").read_text())["image"]["name"] == INSECURE.name
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".html", ".xml"}
    known = served.command("upload", str(INSECURE), "--product", "gated", "--baseline", str(tmp_path / f"{INSECURE.name}.json"))
    assert known.returncode == 0, known.stderr
    good = served.command("upload", str(REPAIRED), "--product", "gated", "--min-tier", "STAR-1")
    assert (good.returncode, good.stdout) == (0, ""), good.stderr
    noise = tmp_path / "noise.bin"
    noise.write_bytes(bytes(i * i % 251 ^ i >> 8 & 0xFF for i in range(200_000)))
    assert served.command("upload", str(noise), "--product", "gated", "--fail-on", "high").returncode == 3


def test_what_the_user_can_mend_is_one_line_and_status_2(served: Served, tmp_path: Path) -> None:
    empty = tmp_path / "empty.bin"
    empty.write_bytes(b"")
    for done, says in (
        (served.command("upload", str(empty), "--product", "p"), "empty"),
        (served.command("upload", str(tmp_path / "none"), "--product", "p"), "no such file"),
        (served.command("upload", str(tmp_path), "--product", "p"), "directory"),
        (served.command("upload", str(INSECURE), "--product", "a/b"), "product"),
        (served.command("upload", str(INSECURE), "--product", "p", token="fwc_0_0"), "token"),
        (served.command("upload", str(INSECURE), "--product", "p", token="über"), "token"),
        (served.command("upload", str(INSECURE), "--product", "p", "--server", "ftp://x"), "address"),
        (served.command("upload", str(INSECURE), "--product", "p", "--output", str(tmp_path), "--format", "poem"), "poem"),
    ):
        assert done.returncode == 2, done.stderr
        assert says in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
