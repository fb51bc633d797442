"""Worker processes that survive what native parsers do: one crash or hang costs one item.

Workers are forked after the tree was explored, so they share its open sources and its parsed metadata without copying. The
parent deals out units (lists of item numbers) and knows at any time which item a worker is at, through a shared array.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import mmap
import multiprocessing
import resource
import signal
import time
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")

_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_COLLECT = 20_000  # allocations between collections: facts are many and hold no cycles
_AHEAD = 3  # units at a worker: the one it is at and those waiting behind it
_BATCH = 0.1  # seconds after which results of an unfinished unit are sent
MEMORY = 448 << 20  # bytes a worker may add to what it inherits: seven times the largest content held in one piece
_POLL = 0.25  # seconds between looks at the clock


class Failure:
    """An item that took its worker down, and why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class _Worker(Generic[Result]):
    def __init__(self, task: Callable[[int], Result], context: Any, memory: int) -> None:
        self.unit: deque[int] = deque()  # items handed out whose results are not back
        self.sent: deque[int] = deque()  # of these, how many per unit
        # Item number, monotonic time it was begun; in memory without a file, which a sandbox would not let us make.
        self.at = (ctypes.c_double * 2).from_buffer(mmap.mmap(-1, mmap.PAGESIZE))
        self.at[0] = -1.0
        here, there = context.Pipe()
        self.pipe: Connection = here
        self.process = context.Process(target=_serve, args=(task, there, here, self.at, _written() + memory), daemon=True)
        self.process.start()
        there.close()

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(task: Callable[[int], Any], pipe: Connection, other: Connection, at: Any, memory: int) -> None:
    other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGBUS, signal.SIG_DFL)  # a page of the image is gone: the parent tells it
    gc.freeze()  # what the parent built is never garbage here, and looking at it would copy its pages
    gc.set_threshold(_COLLECT)
    _confine(memory)
    with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            _work(task, pipe.recv(), pipe, at)


def _work(task: Callable[[int], Any], unit: list[int], pipe: Connection, at: Any) -> None:
    """One unit; results go back together, or after a while, since each message costs both sides."""
    done: list[tuple[int, Any]] = []
    sent = time.monotonic()
    for item in unit:
        at[1] = now = time.monotonic()
        at[0] = item
        if done and now - sent > _BATCH:
            pipe.send(done)
            done, sent = [], now
        try:
            result: Any = task(item)
        except MemoryError:
            result = Failure("needs more memory than a worker may have")
        except Exception as error:  # noqa: BLE001  # a defect on one item must not lose the others; it becomes a gap
            result = Failure(f"not read: {type(error).__name__}: {error}")
        done.append((item, result))
    at[0] = -1
    pipe.send(done)


def _written() -> int:
    """Bytes of memory that this process could have written to, as RLIMIT_DATA counts them; what it forks begins with as many."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * resource.getpagesize()
    return 0


def _confine(memory: int) -> None:
    """Limits that the kernel enforces: no core files, no new privileges, bounded memory; the worker dies with its parent."""
    # RLIMIT_DATA counts what is written to (private memory, since Linux 4.7), not mappings of the image.
    for limit, value in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_DATA, memory), (resource.RLIMIT_NOFILE, 256)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value))
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Pool(Generic[Result]):
    """Runs ``task`` on item numbers in ``jobs`` forked processes.

    ``seconds`` bounds one item in wall time, ``memory`` the growth of one worker in bytes. Items of ``patient`` take the time
    they need: their work grows with the image and with the speed of its disk, and cannot hang.
    """

    def __init__(
        self, task: Callable[[int], Result], jobs: int, seconds: float, memory: int = MEMORY, patient: Container[int] = ()
    ) -> None:
        self._task = task
        self._jobs = max(1, jobs)
        self._seconds = seconds
        self._memory = memory
        self._patient = patient
        self._context: Any = multiprocessing.get_context("fork")

    def run(
        self,
        units: Sequence[Sequence[int]],
        deadline: float,
        meanwhile: Sequence[Callable[[], object]] = (),
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[int, Result | Failure]]:
        """Yields (item, result or Failure) in the order of completion, every item exactly once.

        Items not begun when the monotonic clock passes ``deadline`` fail with that reason, and so do all once ``stopped`` says
        so. The steps of ``meanwhile`` are done here, one by one, while the workers are busy.
        """
        queue = deque(deque(unit) for unit in units if unit)
        steps = deque(meanwhile)
        workers: list[_Worker[Result]] = []
        try:
            while queue and len(workers) < self._jobs:
                workers.append(self._start(queue))
            while workers:
                for worker in [each for each in workers if not self._alive(each)]:
                    yield self._culprit(worker), Failure(self._reason(worker))
                    self._replace(worker, workers, queue)
                ready = wait([worker.pipe for worker in workers], timeout=0 if steps else _POLL)
                for worker in [each for each in workers if each.pipe in ready]:
                    yield from self._receive(worker, workers, queue)
                if stopped():
                    yield from self._give_up(workers, queue, "interrupted by the user")
                elif time.monotonic() > deadline:
                    yield from self._give_up(workers, queue, "the time for this image was used up")
                if steps:
                    steps.popleft()()
        finally:
            for worker in workers:
                worker.stop()

    def _start(self, queue: deque[deque[int]]) -> _Worker[Result]:
        worker = _Worker(self._task, self._context, self._memory)
        self._feed(worker, queue)
        return worker

    def _feed(self, worker: _Worker[Result], queue: deque[deque[int]]) -> None:
        """Hands out units until the worker has one at hand behind the one it is at, so that it never waits for the parent."""
        if not worker.unit:
            worker.at[1] = time.monotonic()
        while queue and len(worker.sent) < _AHEAD:
            unit = queue.popleft()
            worker.unit.extend(unit)
            worker.sent.append(len(unit))
            with contextlib.suppress(BrokenPipeError, OSError):
                worker.pipe.send(list(unit))

    def _receive(
        self, worker: _Worker[Result], workers: list[_Worker[Result]], queue: deque[deque[int]]
    ) -> Iterator[tuple[int, Result | Failure]]:
        try:
            results = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(timeout=5)
            yield self._culprit(worker), Failure(self._reason(worker))
            self._replace(worker, workers, queue)
            return
        for item, result in results:
            worker.unit.remove(item)
            worker.sent[0] -= 1
            if worker.sent[0] == 0:
                worker.sent.popleft()
            yield item, result
        self._feed(worker, queue)
        if not worker.unit:
            worker.stop()
            workers.remove(worker)

    def _culprit(self, worker: _Worker[Result]) -> int:
        """The item a worker was at when it was lost; taken out of what it still had to do."""
        at = int(worker.at[0])
        item = at if at in worker.unit else worker.unit[0]
        worker.unit.remove(item)
        return item

    def _alive(self, worker: _Worker[Result]) -> bool:
        """Whether a worker is at work and within its time; results that already wait in its pipe count as life."""
        if worker.pipe.poll():
            return True
        begun = worker.at[1] if worker.at[0] >= 0 else time.monotonic()
        in_time = time.monotonic() - begun < self._seconds or int(worker.at[0]) in self._patient
        return worker.process.is_alive() and in_time

    def _reason(self, worker: _Worker[Result]) -> str:
        if worker.process.is_alive():
            return f"not read: took longer than {self._seconds:g} s"
        code = worker.process.exitcode
        return f"not read: its worker ended with {'signal ' + str(-code) if code is not None and code < 0 else f'status {code}'}"

    def _replace(self, worker: _Worker[Result], workers: list[_Worker[Result]], queue: deque[deque[int]]) -> None:
        worker.stop()
        workers.remove(worker)
        if worker.unit:
            queue.appendleft(worker.unit)
        if queue:
            workers.append(self._start(queue))

    def _give_up(
        self, workers: list[_Worker[Result]], queue: deque[deque[int]], why: str
    ) -> Iterator[tuple[int, Result | Failure]]:
        for unit in [worker.unit for worker in workers] + list(queue):
            for item in unit:
                yield item, Failure(f"not read: {why}")
        queue.clear()
        for worker in list(workers):
            worker.stop()
            workers.remove(worker)
