"""The process that reads one image, and dies with it. It gets a job, and neither settings nor secrets nor the database.

``python -m fwcheck.service.child``: the job as one line of JSON on standard input; progress as lines of JSON on standard output;
the report in the file ``report`` of its working directory, or the reason why there is none as the last line.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import time
from pathlib import Path

import msgspec

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38  # linux/prctl.h
_EVERY = 0.2  # seconds between two lines of progress


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to read, and how."""

    image: str
    name: str
    size: int
    sha256: str
    target: str | None = None
    jobs: int = 2
    cache: str | None = None
    knowledge: str | None = None
    memory: int = 4 << 30
    parent: int = 0
    unread: str = ""  # why the image is not to be read any more
    declaration: str | None = None  # files in the working directory
    vex: tuple[str, ...] = ()
    update_keys: tuple[str, ...] = ()


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line from the child."""

    stage: str = ""
    done: int = 0
    total: int = 0
    end: str = ""  # "report", or "refused" with a reason
    reason: str = ""


def main() -> int:
    """Does the job that comes on standard input."""
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    _confine(job)
    os.set_blocking(1, True)
    from fwcheck.pipeline import InputError, Options, scan, unread  # noqa: PLC0415  # after the limits are set
    from fwcheck.reports.json import render  # noqa: PLC0415

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
            from fwcheck.model import Image  # noqa: PLC0415

            report = unread(Image(name=job.name, size=job.size, sha256=job.sha256, format="unread"), job.unread, options)
        else:
            report = scan(Path(job.image), options, _Teller())
    except InputError as error:
        _say(Said(end="refused", reason=str(error).replace(job.image, job.name)))
        return 0
    Path("report").write_text(render(report), encoding="utf-8")
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


def _confine(job: Job) -> None:
    """It ends with the worker that started it, gains no privileges, leaves no core, and writes to no more memory than it may."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if job.parent and os.getppid() != job.parent:
        os._exit(1)  # the worker ended before we could ask to be told
    for limit, value in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_DATA, job.memory)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value))


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # native libraries need not be taken down piece by piece
