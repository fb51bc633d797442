"""Bad input gives the exit status of the contract and one line, or a report with recorded gaps: never a traceback or a hang."""

from __future__ import annotations

import io
import json
import os
import random
import resource
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parents[2] / "samples" / "router-insecure.bin"


def fwcheck(*arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fwcheck", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def report_of(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert "Traceback" not in done.stderr, done.stderr
    report: dict[str, object] = json.loads(done.stdout)
    cover = report["coverage"]
    assert isinstance(cover, dict)
    parts = ("bytes_explained", "bytes_padding", "bytes_unknown", "bytes_encrypted")
    assert sum(cover[part] for part in parts) == cover["bytes_total"]
    assert all(gap["reason"] for gap in cover["gaps"])
    return report


@pytest.mark.parametrize("make", ["missing", "empty", "directory", "fifo"])
def test_what_is_no_image_is_one_line_and_status_2(tmp_path: Path, make: str) -> None:
    path = tmp_path / make
    if make == "empty":
        path.touch()
    elif make == "directory":
        path.mkdir()
    elif make == "fifo":
        os.mkfifo(path)
    done = fwcheck("scan", path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith(f"fwcheck: {path}: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_is_one_line_and_status_2(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"x")
    path.chmod(0)
    done = fwcheck("scan", path)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", [["scan"], ["scan", "x", "--min-tier", "STAR-9"], ["scan", "x", "--min-score", "101"], ["fly"], []]
)
def test_bad_usage_is_status_2(arguments: list[str]) -> None:
    done = fwcheck(*arguments)
    assert done.returncode == 2
    assert "usage:" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("content", [b"x", b"just a text\n" * 500, random.Random(3).randbytes(200_000), b"\xff" * 70_000])
def test_contents_without_a_container_give_a_report(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image.bin"
    path.write_bytes(content)
    done = fwcheck("scan", path, "--format", "json", "--no-cache")
    assert done.returncode == 0
    report_of(done)


def test_random_bytes_cannot_be_judged_by_a_gate(tmp_path: Path) -> None:
    path = tmp_path / "image.bin"
    path.write_bytes(random.Random(4).randbytes(300_000))
    done = fwcheck("scan", path, "--format", "json", "--no-cache", "--min-tier", "STAR-1")
    assert done.returncode == 3
    report = report_of(done)
    assert report["coverage"]["bytes_encrypted"] > 200_000  # type: ignore[index]


def test_a_truncated_image_still_reports_what_can_be_read(tmp_path: Path) -> None:
    whole = SAMPLE.read_bytes()
    end = whole.rindex(b"hsqs") + 2000
    path = tmp_path / "cut.bin"
    path.write_bytes(whole[:end])
    done = fwcheck("scan", path, "--format", "json", "--no-cache")
    assert done.returncode == 0
    report = report_of(done)
    assert report["coverage"]["gaps"]  # type: ignore[index]


def test_a_sparse_file_of_ten_gigabytes_ends_in_time(tmp_path: Path) -> None:
    path = tmp_path / "sparse.bin"
    with path.open("wb") as stream:
        stream.write(SAMPLE.read_bytes())
        stream.truncate(10 << 30)
    done = fwcheck("scan", path, "--format", "json", "--no-cache", timeout=240)
    assert done.returncode == 0
    report = report_of(done)
    cover = report["coverage"]
    assert cover["bytes_padding"] > 9 << 30  # type: ignore[index]
    assert cover["files"] > 10  # type: ignore[index]


@pytest.mark.parametrize("when", ["Explorer.explore", "_read_all"])
def test_an_image_that_becomes_shorter_while_it_is_read_is_one_line_and_status_2(tmp_path: Path, when: str) -> None:
    """Cut when the structure is read, and when the workers begin: the pages are gone and the kernel sends SIGBUS."""
    path = tmp_path / "image"
    path.write_bytes(random.Random(1).randbytes(1 << 20))
    program = f"""
import os, sys
from fwcheck import unpacking
owner, _, name = {f"unpacking.{when}"!r}.rpartition(".")
owner = eval(owner)
real = getattr(owner, name)
def cut(*given, **named):
    os.truncate({str(path)!r}, 5000)
    return real(*given, **named)
setattr(owner, name, cut)
from fwcheck.cli.main import main
sys.exit(main(["scan", {str(path)!r}]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"fwcheck: {path}: became shorter, or could not be read any more, while it was read\n"


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit of a file's size here")
def test_extracting_where_there_is_no_room_leaves_no_half_files(tmp_path: Path) -> None:
    image, out = tmp_path / "image", tmp_path / "out"
    with tarfile.open(image, "w") as tar:
        for number in range(400):
            member = tarfile.TarInfo(f"etc/{number}")
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
        large = tarfile.TarInfo("large")
        large.size = 100_000
        tar.addfile(large, io.BytesIO(random.Random(1).randbytes(large.size)))
    command = [sys.executable, "-m", "fwcheck", "extract", str(image), "-o", str(out)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == "fwcheck: manifest.json: File too large"
    assert not list(out.rglob("large"))
    assert not list(out.rglob("manifest.json"))
    assert len(list(out.rglob("etc/*"))) == 400
