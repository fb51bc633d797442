"""Writing a tree out: what stands on disk is what the image holds, under harmless names."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwcheck.cli.main import main
from fwcheck.extraction.source import Memory
from fwcheck.model import Node, NodeKind
from fwcheck.writing import NAME, CannotWrite, Writer, confined, place, safe

SAMPLE = Path(__file__).parents[1] / "samples" / "router-insecure.bin"


def node(path: str, kind: NodeKind = NodeKind.FILE, chain: tuple[str, ...] = ("image", "tar@0x0"), **more: object) -> Node:
    return Node(chain=chain, path=path, kind=kind, **more)  # type: ignore[arg-type]


def test_a_sample_is_written_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["extract", str(SAMPLE), "-o", str(out), "--quiet"]) == 0
    tree = json.loads((out / "manifest.json").read_text())
    nodes = {entry["address"].split(" › ", 1)[1]: entry for entry in tree["nodes"]}
    passwd = nodes["squashfs@0x9000 › /etc/passwd"]
    text = (out / passwd["written"]).read_bytes()
    assert text.startswith(b"root:")
    shown = subprocess.run(
        [os.sys.executable, "-m", "fwcheck", "cat", str(SAMPLE), "/etc/passwd"], capture_output=True, check=True
    ).stdout
    assert shown == text
    links = [entry for entry in tree["nodes"] if entry["kind"] == "symlink"]
    assert links
    assert all((out / entry["written"]).is_symlink() for entry in links)
    assert all("special files" in entry["reason"] for entry in tree["nodes"] if entry["kind"] == "device")


def test_a_directory_that_is_in_use_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").write_text("keep")
    assert main(["extract", str(SAMPLE), "-o", str(tmp_path)]) == 2
    assert capsys.readouterr().err.strip() == f"fwcheck: {tmp_path}: is not empty"
    with pytest.raises(CannotWrite):
        Writer(tmp_path / "mine")


def test_modes_lose_what_is_dangerous_and_the_manifest_keeps_it(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "out")
    one = node("/bin/su", mode=0o6777, uid=12, mtime=1_000_000)
    detail = writer.content(one, Memory(b"x"))
    assert detail == {"written": "tar@0x0/bin/su"}
    at = (tmp_path / "out" / "tar@0x0/bin/su").stat()
    assert (stat.S_IMODE(at.st_mode), at.st_mtime) == (0o755, 1_000_000)


def test_a_sparse_file_stays_sparse(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "out")
    content = Memory(b"begin" + bytes(16 << 20) + b"end")
    writer.content(node("/big"), content)
    path = tmp_path / "out/tar@0x0/big"
    assert path.read_bytes() == content.read(0, content.size)
    assert path.stat().st_blocks * 512 < 4 << 20


def test_namesakes_are_all_kept(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "out")
    written = [writer.content(node("/a"), Memory(data))["written"] for data in (b"1", b"2")]
    written.append(writer.content(node("/a/b"), Memory(b"3"))["written"])
    assert written == ["tar@0x0/a", "tar@0x0/a~2", "tar@0x0/a~dir2/b"]
    assert [(tmp_path / "out" / str(each)).read_bytes() for each in written] == [b"1", b"2", b"3"]


def test_what_lies_inside_a_file_stands_beside_it() -> None:
    inner = node("/etc/x", chain=("image", "squashfs@0x10", "/lib/a.tar.gz", "gzip@0x0", "payload", "tar@0x0"))
    assert place(inner) == (["squashfs@0x10", "lib", "a.tar.gz.extracted", "gzip@0x0", "payload", "tar@0x0", "etc"], "x")
    assert place(node("/", NodeKind.DIRECTORY)) == ([], "tar@0x0")


@given(st.text(max_size=400))
def test_a_written_name_is_one_harmless_component(name: str) -> None:
    out = safe(name)
    assert 0 < len(out.encode()) <= NAME
    assert out not in {".", ".."}
    assert "/" not in out
    assert out.isprintable()


@given(st.text(max_size=12), st.text(max_size=12))
def test_different_names_stay_different(one: str, other: str) -> None:
    assert (safe(one) == safe(other)) == (one == other)


@given(st.lists(st.sampled_from(["a", "b", "..", ".", "", "c"]), max_size=12), st.booleans(), st.integers(0, 4))
def test_a_link_target_climbs_first_and_never_above_its_root(parts: list[str], absolute: bool, depth: int) -> None:
    directory = [f"d{number}" for number in range(depth)]
    target = confined(("/" if absolute else "") + "/".join(parts), directory)
    steps = target.split("/")
    climbs = sum(step == ".." for step in steps)
    assert not target.startswith("/")
    assert climbs <= depth
    assert all(step == ".." for step in steps[:climbs])


@pytest.mark.parametrize(
    ("target", "directory", "wanted"),
    [
        ("busybox", ["bin"], "busybox"),
        ("/bin/busybox", ["sbin"], "../bin/busybox"),
        ("../../../etc/passwd", ["a"], "../etc/passwd"),
        ("/", ["a", "b"], "../.."),
        ("", [], "."),
        ("s/s/../../../x", ["a"], "../x"),
    ],
)
def test_link_targets(target: str, directory: list[str], wanted: str) -> None:
    assert confined(target, directory) == wanted
