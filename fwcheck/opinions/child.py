"""A child process that may use so much time, memory and disk, and no more."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

SECONDS = 120.0  # wall time of one region
MEMORY = 2 << 30  # address space of each of its processes
DISK = 1 << 30  # bytes of everything it writes
FILES = 20_000
_POLL = 0.2
_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
_PR_SET_PDEATHSIG = 1


def run(arguments: Sequence[str], folder: Path, seconds: float = SECONDS, disk: int = DISK) -> str | None:
    """Runs a program with ``folder`` as its working directory and home; why it failed, in one line, or None.

    It gets no standard input, a bare environment, and a process group of its own, which is killed as a whole at its end.
    """
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
        "HOME": str(folder),
        "TMPDIR": str(folder),
    }
    # This file confines itself and becomes the program: a function run between fork and exec would be unsafe beside threads.
    command = [sys.executable, "-I", __file__, *arguments]
    silent = subprocess.DEVNULL
    try:
        child = subprocess.Popen(
            command, cwd=folder, env=environment, start_new_session=True, stdin=silent, stdout=silent, stderr=silent
        )
    except OSError as error:
        return f"cannot be started: {error.strerror}"
    try:
        return _watch(child, folder, time.monotonic() + seconds, disk)
    finally:
        with contextlib.suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _watch(child: subprocess.Popen[bytes], folder: Path, until: float, disk: int) -> str | None:
    while True:
        try:
            code = child.wait(_POLL)
        except subprocess.TimeoutExpired:
            if time.monotonic() > until:
                return "took too long"
        else:
            return f"ended with status {code}" if code else _used(folder, disk)
        problem = _used(folder, disk)
        if problem is not None:
            return problem


def _used(folder: Path, disk: int) -> str | None:
    """Whether more was written than may be: blocks count, as a sparse file takes none."""
    size = count = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += Path(where, name).lstat().st_blocks * 512
            count += 1
        if size > disk or count > FILES:
            return f"wrote more than {FILES} files" if count > FILES else f"wrote more than {disk >> 20} MiB"
    return None


def _confine() -> None:
    for limit, value in (
        (resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_FSIZE, DISK),
        (resource.RLIMIT_CPU, int(SECONDS)), (resource.RLIMIT_NOFILE, 512),
    ):  # fmt: skip
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value))
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    _confine()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606  # no shell is meant
