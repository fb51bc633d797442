"""Whatever dies, no upload that was accepted is lost, none is told two ways, none runs for ever."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest
from support.serving import INSECURE, REPAIRED, Served


def test_a_service_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    service = Served(tmp_path, workers=-1)
    try:
        ids = [service.upload(image, version=str(number)).json()["id"] for number, image in enumerate((INSECURE, REPAIRED))]
        service.stop(signal.SIGKILL)
        service.workers = 1
        service.start()
        assert [service.settled(id)["status"] for id in ids] == ["done", "done"]
        assert service.stop() == 0
    finally:
        service.stop(signal.SIGKILL)


def test_two_services_do_not_share_a_folder(tmp_path: Path) -> None:
    service = Served(tmp_path, workers=-1)
    try:
        done = service.command("serve", "--data", str(service.data), "--port", "0")
        assert (done.returncode, "in use" in done.stderr) == (2, True), done.stderr
    finally:
        service.stop()


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """An image that takes long enough to be met while it is read."""
    path = tmp_path / "slow.bin"
    path.write_bytes(REPAIRED.read_bytes() + random.Random(5).randbytes(48 << 20))
    return path


def children(pid: int) -> list[int]:
    return [int(each) for task in Path(f"/proc/{pid}/task").iterdir() for each in (task / "children").read_text().split()]


def test_an_image_that_takes_its_worker_down_twice_gets_a_report_that_says_so(tmp_path: Path, slow: Path) -> None:
    service = Served(tmp_path, environment={"FWCHECK_LEASE": "2"})
    try:
        id = service.upload(slow).json()["id"]
        for tries in (1, 2):
            service.running(id, tries)
            (worker,) = children(service.process.pid)
            os.kill(worker, signal.SIGKILL)
        scan = service.settled(id)
        assert (scan["status"], scan["tries"]) == ("done", 3)
        with service.http() as http:
            report = http.get(scan["report_url"]).json()
            gate = http.get(f"/api/v1/scans/{id}/gate", params={"min_tier": "STAR-1"}).json()
        assert "its worker was lost" in report["coverage"]["gaps"][0]["reason"]
        assert gate["exit_status"] == 3
        assert service.settled(service.upload(REPAIRED).json()["id"])["tries"] == 1  # the next one is read as ever
    finally:
        service.stop()


def test_a_scan_at_hand_finishes_when_the_service_stops(tmp_path: Path, slow: Path) -> None:
    service = Served(tmp_path)
    try:
        id = service.upload(slow).json()["id"]
        service.running(id)
        assert service.stop() == 0
        assert [each["ending"] for each in service.events("scan")] == ["report"]
        service.start()
        assert (service.settled(id)["status"], service.settled(id)["tries"]) == ("done", 1)
    finally:
        service.stop()


def test_a_scan_that_would_take_too_long_goes_back_to_the_queue(tmp_path: Path, slow: Path) -> None:
    service = Served(tmp_path, environment={"FWCHECK_GRACE": "0.01"})
    try:
        id = service.upload(slow).json()["id"]
        service.running(id)
        assert service.stop() == 0
        assert [each["ending"] for each in service.events("scan")] == ["stopped"]
        service.start()
        assert (service.settled(id)["status"], service.settled(id)["tries"]) == ("done", 1)
    finally:
        service.stop()
