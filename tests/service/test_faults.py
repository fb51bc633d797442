"""Brokers, servers, workers and disks that fail at the worst moment: no accepted upload is lost, and none is told two ways."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import update
from support.backends import Redis, missing, postgres
from support.serving import INSECURE, REPAIRED, Served

from fwcheck.model import Image as ImageNoun
from fwcheck.pipeline import Options, unread
from fwcheck.reports.json import render
from fwcheck.service import runner
from fwcheck.service.children import Children
from fwcheck.service.context import Context
from fwcheck.service.queue import Lost
from fwcheck.service.settings import Settings
from fwcheck.service.storage import image_key
from fwcheck.service.tables import Image, Product, Scan, now

MANY = int(os.environ.get("FWCHECK_MANY", "10"))  # docs/reliability.md has the figures for fifty


def variants(count: int) -> list[bytes]:
    """Images that differ: none is answered from another one's report."""
    content = REPAIRED.read_bytes()
    return [content + number.to_bytes(4, "little") * 64 for number in range(count)]


def test_uploads_at_once_are_all_scanned(tmp_path: Path) -> None:
    service = Served(tmp_path, workers=2)
    try:
        with ThreadPoolExecutor(MANY) as many:
            answers = list(many.map(lambda each: service.upload(each, product="many"), variants(MANY)))
        assert [each.status_code for each in answers] == [202] * MANY
        scans = [service.settled(each.json()["id"], 600) for each in answers]
        assert {each["status"] for each in scans} == {"done"}
        assert {each["tries"] for each in scans} == {1}
        assert len({each["id"] for each in scans}) == MANY
    finally:
        service.stop()


def test_a_server_killed_in_the_middle_of_an_upload_leaves_nothing_half(tmp_path: Path) -> None:
    service = Served(tmp_path, workers=-1)
    try:
        target = urlsplit(service.url)
        with socket.create_connection((str(target.hostname), int(target.port or 0))) as connection:
            head = (
                f"POST /api/v1/scans HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.token}\r\nContent-Length: 99999999\r\n"
            )
            kind = "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
            part = '--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
            connection.sendall((head + kind + part).encode() + bytes(4 << 20))
            until = time.monotonic() + 30
            while not list((service.data / "incoming").iterdir()) and time.monotonic() < until:
                time.sleep(0.02)
            service.stop(signal.SIGKILL)
        service.start()
        with service.http() as http:
            assert http.get("/api/v1/products").json()["items"] == []
        assert list((service.data / "images").iterdir()) == []
        assert service.upload(REPAIRED).status_code == 202
    finally:
        service.stop(signal.SIGKILL)


@pytest.mark.skipif(bool(missing("postgresql", "redis-server")), reason=missing("postgresql", "redis-server") or "-")
def test_a_killed_broker_and_a_killed_worker_lose_no_scan(tmp_path: Path) -> None:
    with ExitStack() as stack:
        redis = Redis(tmp_path)
        stack.callback(redis.stop)
        environment = {
            "FWCHECK_DATABASE": stack.enter_context(postgres())("faults"), "FWCHECK_BROKER": redis.url, "FWCHECK_LEASE": "3",
        }  # fmt: skip
        service = Served(tmp_path, environment=environment)
        stack.callback(service.stop)
        images = variants(4)
        ids = [service.upload(each, product="faults").json()["id"] for each in images[:2]]
        redis.kill()
        ids += [service.upload(each, product="faults").json()["id"] for each in images[2:]]  # taken without a broker
        redis.start()
        with service.http() as http:
            until = time.monotonic() + 120
            while not any(http.get(f"/api/v1/scans/{id}").json()["status"] == "running" for id in ids):
                assert time.monotonic() < until, service.log.read_text()
                time.sleep(0.02)
        assert service.helper is not None
        end_tree(service.helper.pid)
        service.helper.wait()
        service.helper = service.worker()
        scans = [service.settled(id, 300) for id in ids]
        assert {each["status"] for each in scans} == {"done"}
        assert sum(each["tries"] for each in scans) <= len(ids) + 2  # a scan that was at work was tried again
        with service.http() as http:
            reports = [http.get(each["report_url"]).json() for each in scans]
        assert {report["image"]["sha256"] for report in reports} == {each["image"]["sha256"] for each in scans}
        assert all(report["findings"] for report in reports)


@pytest.mark.skipif(bool(missing("postgresql")), reason=missing("postgresql") or "-")
def test_a_database_that_goes_away_in_the_middle_costs_nothing(tmp_path: Path) -> None:
    """It ends in mid-scan with all its sessions, and comes back: the scan is done in its one try, requests may be sent again."""
    with ExitStack() as stack:
        made = stack.enter_context(postgres())
        service = Served(tmp_path, environment={"FWCHECK_DATABASE": made("away")})
        stack.callback(service.stop)
        id = service.upload(REPAIRED.read_bytes() + random.Random(3).randbytes(24 << 20)).json()["id"]
        service.running(id)
        made.crash()
        with service.http() as http:
            answers = [http.get("/ready"), http.get(f"/api/v1/scans/{id}"), service.upload(REPAIRED)]
            assert [each.status_code for each in answers] == [503] * 3
            assert all(each.headers["retry-after"] for each in answers)
            assert http.get("/health").status_code == 200
        made.start()
        scan = service.settled(id, 300)
        assert (scan["status"], scan["tries"]) == ("done", 1)
        assert service.settled(service.upload(REPAIRED).json()["id"])["tries"] == 1
        assert service.events("defect") == []
    assert list((service.data / "incoming").iterdir()) == []


class Full(Exception):
    """What an object store's library raises."""

    __module__ = "botocore.exceptions"


@pytest.mark.parametrize("trouble", [OSError(28, "No space left on device"), Full()], ids=["disk", "store"])
def test_a_report_that_finds_no_room_is_no_fault_of_the_image(
    tmp_path: Path, trouble: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = Context(Settings(data=tmp_path / "data"))
    context.database.migrate()
    queued(context, 1)
    mine = runner.Runner(context.settings, context.database, context.store, context.queue)
    report = render(unread(ImageNoun(name="i", size=1, sha256="0" * 64, format="unread"), "so", Options())).encode()
    monkeypatch.setattr(mine, "_attempt", lambda *_: runner.Outcome(ending="report", report=report))
    put, fails = context.store.put, [trouble, trouble]

    def full(key: str, content: bytes) -> None:
        if fails:
            raise fails.pop()
        put(key, content)

    monkeypatch.setattr(context.store, "put", full)
    for ending in ("stopped", "stopped", "report"):
        held = context.queue.claim("w")
        assert held is not None
        assert held.tries == 1
        assert mine.run(held) == ending
        assert context.queue.claim("w") is None  # not at once
        with context.database.write() as session:
            session.execute(update(Scan).values(not_before=now()))
    context.close()


def end_tree(pid: int) -> None:
    """Kills a process and those that it started, the youngest first."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                end_tree(int(child))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A disk of 24 MiB; skips where none may be mounted."""
    folder = tmp_path / "data"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("may not mount a small disk here")
    return folder


def test_a_full_disk_refuses_uploads_and_goes_on(tmp_path: Path, small_disk: Path) -> None:
    service = Served(tmp_path)
    try:
        good = service.upload(INSECURE).json()["id"]
        service.settled(good)

        def endless() -> object:
            yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
            for _ in range(64):
                yield os.urandom(1 << 20)

        with service.http() as http:
            try:
                answer = http.post(
                    "/api/v1/scans", content=endless(), headers={"Content-Type": "multipart/form-data; boundary=x"}
                )
                assert (answer.status_code, answer.json()["title"]) == (507, "Insufficient Storage")
            except httpx.TransportError:
                pass  # refused before all was sent
            assert http.post("/api/v1/uploads", json={"name": "a", "size": 1 << 30}).status_code == 507
            assert http.get(f"/api/v1/scans/{good}/report").status_code == 200
        assert list((service.data / "incoming").iterdir()) == []
        assert service.settled(service.upload(REPAIRED).json()["id"])["status"] == "done"
    finally:
        service.stop()
        subprocess.run(["umount", str(small_disk)], check=False)


def test_who_lost_a_claim_is_not_heard(tmp_path: Path) -> None:
    context = Context(Settings(data=tmp_path, lease=0.05))
    context.database.migrate()
    with context.database.write() as session:
        product = Product(name="p")
        session.add_all([product, Image(sha256="0" * 64, size=1)])
        session.flush()
        session.add(Scan(product_id=product.id, image_sha256="0" * 64, image_name="i", version="1"))
    first = context.queue.claim("one")
    assert first is not None
    assert context.queue.claim("two") is None
    time.sleep(0.06)
    assert context.queue.reclaim() == 1
    second = context.queue.claim("two")
    assert second is not None
    assert second.tries == 2
    with pytest.raises(Lost):
        context.queue.renew(first, "", 0, 0)
    with pytest.raises(Lost), context.database.write() as session:
        context.queue.finish(session, first, state="done", report="x")
    with context.database.write() as session:
        context.queue.finish(session, second, state="failed", problem="so")
    assert context.queue.claim("three") is None
    context.close()


def test_a_scan_is_claimed_once_however_many_ask(tmp_path: Path) -> None:
    context = Context(Settings(data=tmp_path))
    context.database.migrate()
    with context.database.write() as session:
        product = Product(name="p")
        session.add_all([product, Image(sha256="0" * 64, size=1)])
        session.flush()
        session.add_all(Scan(product_id=product.id, image_sha256="0" * 64, image_name="i", version=str(at)) for at in range(40))
    taken: list[str] = []
    lock = threading.Lock()

    def take(_: int) -> None:
        while (held := context.queue.claim("w")) is not None:
            with lock:
                taken.append(held.id)

    with ThreadPoolExecutor(8) as many:
        list(many.map(take, range(8)))
    assert len(taken) == len(set(taken)) == 40
    context.close()


LIAR = """
import os, sys, time
from pathlib import Path
from fwcheck.service import child, preloaded

honest = child.work

def lie(job, parent):
    if job.unread:
        return honest(job, parent)
    report = Path(job.folder, "report")
    {lie}
    child._say(child.Said(end="report"))
    return 0

child.work, preloaded.rehearse = lie, lambda *_: None
sys.exit(preloaded.main(sys.argv[1:]))
"""
LIES = {
    "no report at all": "pass",
    "something else": "report.write_text('{}')",
    "a link to what it may not read": "report.symlink_to('/etc/passwd')",
    "a line without end": "os.write(1, bytes(1 << 20))",
    "an end that is none": "report.write_text('{}'); child._say(child.Said(end='report')); time.sleep(3600)",
    "a crash": "os.abort()",
}


def test_a_child_that_lies_is_not_believed(tmp_path: Path) -> None:
    """What is no report on this image counts as a crash: two tries, then a report that says so."""
    context = Context(Settings(data=tmp_path / "data"))
    context.database.migrate()
    digest = queued(context, len(LIES))
    mine = runner.Runner(context.settings, context.database, context.store, context.queue)
    for said, lie in LIES.items():
        program = tmp_path / "liar.py"
        program.write_text(LIAR.format(lie=lie))
        mine._children.close()
        mine._children = Children(None, None, ("-P", str(program)))
        held = context.queue.claim("w")
        assert held is not None
        assert mine.run(held) == "crashed", said
        with context.database.write() as session:
            session.execute(update(Scan).where(Scan.id == held.id).values(not_before=now()))
        held = context.queue.claim("w", held.id)
        assert held is not None
        assert mine.run(held) == "report", said
        with context.database.read() as session:
            scan = session.get_one(Scan, held.id)
        assert (scan.state, scan.tries, scan.image_sha256) == ("done", 2, digest)
    mine.close()
    context.close()


def queued(context: Context, count: int, image: Path = REPAIRED) -> str:
    """Scans of one image that wait, without a server; gives the digest of the image."""
    content = image.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    path = context.settings.data / image_key(digest)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with context.database.write() as session:
        product = Product(name="p")
        session.add_all([product, Image(sha256=digest, size=len(content))])
        session.flush()
        session.add_all(Scan(product_id=product.id, image_sha256=digest, image_name="i", version=str(at)) for at in range(count))
    return digest
