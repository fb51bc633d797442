"""One item that crashes, hangs or eats memory costs that item and nothing else."""

from __future__ import annotations

import faulthandler
import os
import signal
import time

import pytest

from fwcheck.workers import Failure, Pool


def behave(number: int) -> int:
    if number == 3:
        faulthandler.disable()  # the dump of the dying child would litter the test's output
        os.kill(os.getpid(), signal.SIGSEGV)
    if number == 5:
        time.sleep(60)
    if number == 7:
        return len(bytearray(8 << 30))
    if number == 9:
        raise RuntimeError("a defect")
    return number * number


@pytest.mark.parametrize("jobs", [1, 2])
def test_bad_items_fail_with_a_reason_and_all_others_succeed(jobs: int) -> None:
    pool: Pool[int] = Pool(behave, jobs, seconds=1.0, memory=256 << 20)
    begun = time.monotonic()
    results = dict(pool.run([list(range(6)), list(range(6, 12))], deadline=begun + 60))
    assert sorted(results) == list(range(12))
    failures = {number: result.reason for number, result in results.items() if isinstance(result, Failure)}
    assert sorted(failures) == [3, 5, 7, 9]
    assert "signal 11" in failures[3]
    assert "longer than 1 s" in failures[5]
    assert "memory" in failures[7]
    assert "RuntimeError: a defect" in failures[9]
    assert all(results[number] == number * number for number in range(12) if number not in failures)


def test_items_after_the_deadline_fail_with_that_reason() -> None:
    def slow(number: int) -> int:
        time.sleep(0.2)
        return number

    pool: Pool[int] = Pool(slow, 1, seconds=5.0)
    results = dict(pool.run([[number] for number in range(50)], deadline=time.monotonic() + 0.5))
    assert sorted(results) == list(range(50))
    reasons = {result.reason for result in results.values() if isinstance(result, Failure)}
    assert reasons == {"not read: the time for this image was used up"}
    assert any(isinstance(result, int) for result in results.values())


def test_no_worker_outlives_the_pool() -> None:
    pool: Pool[int] = Pool(lambda _: os.getpid(), 2, seconds=5.0)
    stream = pool.run([[number] for number in range(20)], deadline=time.monotonic() + 60)
    pids = {result for _, result in (next(stream), next(stream)) if isinstance(result, int)}
    stream.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_patient_item_takes_the_time_it_needs() -> None:
    def slow(number: int) -> int:
        time.sleep(1.5)
        return number

    pool: Pool[int] = Pool(slow, 2, seconds=0.5, patient=(1,))
    results = dict(pool.run([[0], [1]], deadline=time.monotonic() + 30))
    assert isinstance(results[0], Failure)
    assert results[1] == 1
