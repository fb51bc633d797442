"""The processes that read images: forked from one that has everything loaded, in a sandbox, ended with all that they started."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.serving import INSECURE, ROOT

from fwcheck import sandbox
from fwcheck.pipeline import Options, scan
from fwcheck.reports.json import read, render
from fwcheck.service import children
from fwcheck.service.children import Child, Children
from fwcheck.service.confinement import confinement, sandboxed
from fwcheck.service.jobs import Job, Said
from fwcheck.service.settings import Settings

BACKDOOR = ROOT / "samples" / "planted" / "debug-backdoor.bin"
QUICK = """
import os, sys, time
from pathlib import Path
from fwcheck.service import child, preloaded

def work(job, parent):
    child.confine(job, parent)
    if job.name == "slow":
        if not os.fork():  # a process of its own that it leaves behind
            time.sleep(3600)
        child._say(child.Said(stage=f"{os.getpid()}"))
        time.sleep(3600)
    child._say(child.Said(end="refused", reason=f"{os.getpid()}"))
    return 7

child.work, preloaded.rehearse = work, lambda *_: None
sys.exit(preloaded.main(sys.argv[1:]))
"""


def job(image: Path, folder: Path, **more: object) -> Job:
    content = image.read_bytes()
    folder.mkdir(exist_ok=True)
    digest = hashlib.sha256(content).hexdigest()
    place = {"image": str(image), "folder": str(folder), "name": image.name}
    return Job(**place, size=len(content), sha256=digest, jobs=1, **more)  # type: ignore[arg-type]


def start(made: Children, what: Job) -> Child:
    with Path(what.folder, "errors").open("wb") as errors:
        child = made.start(what, errors.fileno())
    os.set_blocking(child.output, True)
    return child


def told(child: Child) -> Said:
    """The next line."""
    line = b""
    while not line.endswith(b"\n"):
        line += (piece := os.read(child.output, 1))
        assert piece, line
    return json.loads(line, object_hook=lambda held: Said(**held))  # type: ignore[no-any-return]


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Children]:
    """Children that read nothing, of a process that loads nothing."""
    program = tmp_path / "quick.py"
    program.write_text(QUICK)
    made = Children(None, None, ("-P", str(program)))
    yield made
    made.close()


def test_a_scan_in_the_sandbox_gives_the_same_report(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    made = Children(str(cache), None)
    found: dict[str, object] = {}
    images = (INSECURE, BACKDOOR)
    strictness = "required" if sandbox.probe().whole else "on"
    for image in images:
        stored = tmp_path / "image"  # where nothing but this file may be read
        shutil.copy(image, stored)
        what = job(stored, tmp_path / image.name, cache=made.cache, sandbox=strictness)
        child = start(made, what)
        while not (said := told(child)).end:
            assert said.stage
        assert child.end() in {0, -signal.SIGKILL}
        assert said.end == "report", (tmp_path / image.name / "errors").read_text()
        found[image.name] = plain((tmp_path / image.name / "report").read_text())
        found[f"{image.name} at home"] = plain(render(scan(stored, Options(name=stored.name, jobs=1))))
    assert len(list(Path(f"/proc/{made.pid}/task").iterdir())) == 1  # all that was loaded has started no thread
    made.close()
    for image in images:
        assert found[image.name] == found[f"{image.name} at home"]


def plain(report: str) -> object:
    read(report.encode())
    held = json.loads(report)
    del held["timing"]
    return held


def test_a_child_is_ended_with_all_that_it_started(quick: Children, tmp_path: Path) -> None:
    child = start(quick, named("slow", tmp_path / "a"))
    group = int(told(child).stage)
    members = processes_of(group)
    assert len(members) == 2
    assert child.end() == -signal.SIGKILL
    assert processes_of(group) == []
    child = start(quick, named("other", tmp_path / "b"))
    assert told(child).end == "refused"
    assert os.read(child.output, 1) == b""  # it is gone by itself
    assert child.end() == 7


def test_what_still_loads_is_not_waited_for(tmp_path: Path) -> None:
    """A worker that is told to stop has seconds, and loading may take longer on a busy machine."""
    program = tmp_path / "loads.py"
    program.write_text("import time\ntime.sleep(3600)\n")
    made = Children(None, None, ("-P", str(program)))
    child = start(made, named("a", tmp_path / "a"))
    pid = made.pid
    begun = time.monotonic()
    assert child.end() is None
    assert time.monotonic() - begun < 20
    assert not Path(f"/proc/{pid}").exists()


def named(name: str, folder: Path) -> Job:
    folder.mkdir(exist_ok=True)
    return Job(image=str(INSECURE), folder=str(folder), name=name, size=1, sha256="0" * 64)


def processes_of(group: int) -> list[int]:
    """Those of a process group that are not dead yet."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def test_what_forks_them_has_one_thread_and_nothing_of_the_service(quick: Children, tmp_path: Path) -> None:
    with (tmp_path / "database").open("wb"):
        start_environment = {**os.environ}
        os.environ["FWCHECK_SECRET"] = "a secret"
        try:
            child = start(quick, named("slow", tmp_path / "a"))
        finally:
            os.environ.clear()
            os.environ.update(start_environment)
        number = int(told(child).stage)
        for pid in (quick.pid, number):
            assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
            opened = {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}
            assert not any("database" in each for each in opened)
            assert b"a secret" not in Path(f"/proc/{pid}/environ").read_bytes()
        assert not any("socket" in str(each.readlink()) for each in Path(f"/proc/{number}/fd").iterdir())
        child.end()


def test_it_is_made_anew_when_it_dies_when_it_is_old_and_when_the_knowledge_changes(
    quick: Children, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "_RECYCLED", 3)
    knowledge = tmp_path / "knowledge"
    knowledge.write_bytes(b"1")
    quick.knowledge = str(knowledge)

    def one() -> int:
        child = start(quick, named("a", tmp_path / "a"))
        assert told(child).end
        assert child.end() is not None
        assert quick.pid is not None
        return quick.pid

    first, second = one(), one()
    assert first == second
    knowledge.write_bytes(b"22")
    third = one()
    assert third != second
    assert [one(), one()] == [third, third]
    fourth = one()
    assert fourth != third
    child = start(quick, named("slow", tmp_path / "a"))
    group = int(told(child).stage)
    os.kill(fourth, signal.SIGKILL)
    assert child.end() is None  # the child goes with it, and what that started is ended by us
    until = time.monotonic() + 60
    while processes_of(group):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert one() != fourth


def test_a_kernel_that_cannot_is_told_and_refused_where_that_was_asked(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "probe", lambda: sandbox.Sandboxed(0, False, ("files: the kernel has no Landlock",)))
    assert sandboxed(Settings())
    assert "no Landlock" in capfd.readouterr().err
    assert not sandboxed(Settings(sandbox="required"))
    assert sandboxed(Settings(sandbox="off"))
    assert [confinement(Settings(sandbox=each)) for each in ("on", "off")] == ["partial", "off"]
