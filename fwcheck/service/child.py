"""What the process that reads one image does. It knows its job, and neither settings nor secrets nor the database.

Progress goes to standard output as lines of JSON; the report becomes the file ``report`` of the job's folder, or the
reason why there is none stands in the last line. The process is forked by :mod:`fwcheck.service.preloaded`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from fwcheck import sandbox
from fwcheck.model import Image
from fwcheck.pipeline import InputError, Options, scan, unread
from fwcheck.reports.json import render
from fwcheck.service.jobs import Job, Said
from fwcheck.vulnerabilities.database import user_file

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_EVERY = 0.2  # seconds between two lines of progress


def work(job: Job, parent: int) -> int:
    """Does the job, in a process that was forked for it; gives its exit status."""
    confine(job, parent)
    options = Options(
        name=job.name,
        target=job.target,
        jobs=job.jobs,
        cache=Path(job.cache) if job.cache else None,
        database=Path(job.knowledge) if job.knowledge else None,
        product=Path(job.declaration) if job.declaration else None,
        vex=tuple(map(Path, job.vex)),
        update_keys=tuple(map(Path, job.update_keys)),
    )
    try:
        if job.unread:
            report = unread(Image(name=job.name, size=job.size, sha256=job.sha256, format="unread"), job.unread, options)
        else:
            report = scan(Path(job.image), options, _Teller())
    except InputError as error:
        _say(Said(end="refused", reason=str(error).replace(job.image, job.name)))
        return 0
    Path(job.folder, "report").write_text(render(report), encoding="utf-8")
    _say(Said(end="report"))
    return 0


class _Teller:
    """Passes progress on, not too often."""

    def __init__(self) -> None:
        self._stage = ""
        self._last = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage != self._stage or now - self._last > _EVERY:
            self._stage, self._last = stage, now
            _say(Said(stage=stage, done=done, total=total))


def _say(said: Said) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


def confine(job: Job, parent: int) -> None:
    """It ends with the process that forked it, leaves no core, writes to no more memory than it may, and enters the sandbox."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it ended before we could ask to be told
    os.chdir(job.folder)
    tempfile.tempdir = os.environ["TMPDIR"] = job.folder  # what is unpacked lies in the folder and goes with it
    for limit, value in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_DATA, job.memory)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value))
    if job.sandbox == "off":
        return
    entered = sandbox.enter(permissions(job))
    if job.sandbox == "required" and not entered.whole:
        os._exit(1)


def permissions(job: Job) -> sandbox.Permissions:
    """The image and the knowledge may be read; the folder and the cache may be written."""
    knowledge = Path(job.knowledge) if job.knowledge else user_file()
    writing = (Path(job.folder), *([Path(job.cache)] if job.cache else ()))
    return sandbox.Permissions(read=(Path(job.image), knowledge), write=writing)
