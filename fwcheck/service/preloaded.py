"""The process that has everything loaded, and forks one child for each image: the start of a scan costs a fork and no imports.

``python -m fwcheck.service.preloaded BASE``, with a socket as its standard input. A message with a job and two descriptors
(the child's standard output and standard error) starts a child and is answered with its number; the next message ends it, and is
answered with how it ended.
It never looks into an image, has no threads, and holds neither settings nor secrets nor connections: a child inherits nothing
but loaded code and tables. Everybody in the chain ends when the one above ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys
import traceback
from pathlib import Path

import msgspec

from fwcheck.service import child
from fwcheck.service.jobs import Base, Job
from fwcheck.service.rehearsal import rehearse

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LARGEST = 1 << 17  # bytes of a message


def main(arguments: list[str]) -> int:
    """Serves one worker until that closes the socket."""
    base = msgspec.json.decode(arguments[0], type=Base)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != base.parent:
        return 1
    orders = socket.socket(fileno=os.dup(0))
    rehearse(Path(base.cache) if base.cache else None, Path(base.knowledge) if base.knowledge else None)
    gc.collect()
    gc.freeze()  # a collection in a child would copy the pages that it goes over
    while True:
        message, descriptors, _, _ = socket.recv_fds(orders, _LARGEST, 2)
        if not message:
            return 0
        begun = _fork(orders, msgspec.json.decode(message, type=Job), descriptors)
        orders.send(str(begun).encode())
        over = orders.recv(_LARGEST)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(begun, signal.SIGKILL)  # with the processes that it started; it is not reaped yet, so the number is its own
        _, status = os.waitpid(begun, 0)
        if not over:
            return 0
        orders.send(str(os.waitstatus_to_exitcode(status)).encode())


def _fork(orders: socket.socket, job: Job, descriptors: list[int]) -> int:
    """A child in a process group of its own; gives its number."""
    parent = os.getpid()
    number = os.fork()
    if number:
        for each in descriptors:
            os.close(each)
        with contextlib.suppress(OSError):
            os.setpgid(number, number)  # here and in the child: it is done before anybody is ended
        return number
    status = 1
    try:
        orders.close()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for at, each in enumerate((nothing, *descriptors)):
            os.dup2(each, at)
            os.close(each)
        os.setpgid(0, 0)
        status = child.work(job, parent)
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001  # nobody is above
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)  # native libraries need not be taken down piece by piece


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
