"""Several servers of one installation, and what their parts say of themselves."""

from __future__ import annotations

import hashlib
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import anyio
import httpx
import pytest
from sqlalchemy import delete, func, select, update
from support.backends import Redis, missing, object_store
from support.serving import INSECURE, REPAIRED, Served

from fwcheck.service import nouns, uploads
from fwcheck.service.bucket import Bucket
from fwcheck.service.context import Context
from fwcheck.service.housekeeping import tidy
from fwcheck.service.indexing import catch_up
from fwcheck.service.settings import Settings
from fwcheck.service.tables import FoundComponent, FoundKey, FoundVulnerability, Scan
from fwcheck.service.tokens import Role, issue


def broken(content: bytes) -> Iterator[bytes]:
    yield content
    raise ConnectionError


def test_an_upload_goes_on_at_another_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = REPAIRED.read_bytes()
    with ExitStack() as stack:
        shared = stack.enter_context(object_store())
        environment = {**shared, "FWCHECK_DATABASE": f"sqlite:///{tmp_path}/shared.sqlite", "FWCHECK_SECRET": "both"}
        one, other = (tmp_path / name for name in ("one", "other"))
        one.mkdir()
        other.mkdir()
        first = Served(one, workers=-1, environment=environment)
        stack.callback(first.stop)
        second = Served(other, workers=-1, environment=environment, token=first.token)
        stack.callback(second.stop)
        here, there = stack.enter_context(first.http()), stack.enter_context(second.http(first.token))
        upload = here.post("/api/v1/uploads", json={"name": "router.bin", "size": len(content)}).json()
        assert here.patch(upload["url"], params={"offset": 0}, content=content[:20000]).json()["offset"] == 20000
        assert there.get(upload["url"]).json()["offset"] == 20000
        with pytest.raises(ConnectionError):
            there.patch(upload["url"], params={"offset": 20000}, content=broken(content[20000:40000]))
        offset = here.get(upload["url"]).json()["offset"]  # the other one may still be keeping what it got
        assert here.patch(upload["url"], params={"offset": 5}, content=b"x").status_code == 409
        assert here.patch(upload["url"], params={"offset": offset}, content=content[offset:]).json()["offset"] == len(content)
        fields = {"product": (None, "resumed"), "version": (None, "1"), "upload": (None, upload["id"])}
        entered = [each.post("/api/v1/scans", files=fields, headers={"Idempotency-Key": "k"}) for each in (there, here)]
        assert [each.status_code for each in entered] == [202, 202], entered[1].text
        assert entered[0].json()["id"] == entered[1].json()["id"]  # the second one's answer was lost, as far as we know
        scan = here.get(entered[0].json()["status_url"]).json()
        assert scan["image"]["sha256"] == hashlib.sha256(content).hexdigest()
        left = here.post("/api/v1/uploads", json={"name": "left", "size": 10}).json()
        here.patch(left["url"], params={"offset": 0}, content=b"abc")
        for name, value in shared.items():
            monkeypatch.setenv(name, value)
        settings = Settings(
            data=tmp_path / "third", database=environment["FWCHECK_DATABASE"], storage=shared["FWCHECK_STORAGE"],
            s3_endpoint=shared["FWCHECK_S3_ENDPOINT"], keep_uploads_hours=0,
        )  # fmt: skip
        context = Context(settings)
        stack.callback(context.close)
        store = context.store
        assert isinstance(store, Bucket)
        assert [store.arrived(each["id"]) for each in (upload, left)] == [0, 3]
        tidy(context)
        assert store.arrived(left["id"]) == 0


def test_what_came_before_a_connection_broke_is_kept(tmp_path: Path) -> None:
    context = Context(Settings(data=tmp_path, reserve=1))
    context.database.migrate()
    with context.database.write() as session:
        token, _ = issue(session, "job", Role.UPLOADER)
    principal = context.tokens.holder(token.id)
    assert principal is not None
    upload = uploads.begin(context, principal, nouns.NewUpload(name="a", size=10))

    async def breaks() -> AsyncIterator[bytes]:
        yield b"abc"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        anyio.run(uploads.append, context, principal, upload.id, 0, breaks())
    assert uploads.state(context, principal, upload.id).offset == 3
    context.close()


def test_pieces_that_overlap_are_one_image_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, id = bytes(range(200)), "0" * 32
    with object_store() as shared:
        for name, value in shared.items():
            monkeypatch.setenv(name, value)
        store = Bucket(tmp_path, shared["FWCHECK_STORAGE"], shared["FWCHECK_S3_ENDPOINT"])
        for begin, end in ((0, 80), (80, 160), (160, 200), (80, 100)):  # the last one by a server whose client has left it
            store.add(id, begin, content[begin:end])
        assert store.arrived(id) == 100
        store.add(id, 100, content[100:])
        assert store.arrived(id) == 200
        staged = store.gathered(id, 200)
        assert (staged.path.read_bytes(), staged.sha256) == (content, hashlib.sha256(content).hexdigest())
        store.drop(id)
        assert store.arrived(id) == 0
        assert not staged.path.exists()
        assert store.alive()
        store._client.close()


def test_a_server_that_does_not_keep_the_bytes_says_so(tmp_path: Path) -> None:
    """With its own folder as the store, a server has the bytes that reached it alone."""
    service = Served(tmp_path, workers=-1)
    try:
        with service.http() as http:
            upload = http.post("/api/v1/uploads", json={"name": "a", "size": 5}).json()
            shutil.rmtree(service.data / "incoming")
            (service.data / "incoming").mkdir()
            answer = http.get(upload["url"])
        assert (answer.status_code, "begin again" in answer.json()["detail"]) == (410, True)
    finally:
        service.stop()


@pytest.mark.skipif(bool(missing("redis-server")), reason=missing("redis-server") or "-")
def test_readiness_tells_of_a_broker_that_is_away(tmp_path: Path) -> None:
    redis = Redis(tmp_path)
    environment = {"FWCHECK_BROKER": redis.url}
    service = Served(tmp_path, workers=-1, environment=environment, helped=False)
    try:
        with httpx.Client(base_url=service.url, timeout=60) as http:
            assert http.get("/ready").json() == {
                "status": "ready", "database": "good", "disk": "good", "store": "good", "broker": "good",
            }  # fmt: skip
            redis.kill()
            until = time.monotonic() + 60
            while (answer := http.get("/ready")).status_code == 200 and time.monotonic() < until:
                time.sleep(0.2)
            assert (answer.status_code, answer.json()["detail"]) == (503, "not ready: broker")
            uploads = http.get("/ready", params={"for": "uploads"})
            assert (uploads.status_code, uploads.json()["broker"]) == (200, "away")
            assert service.upload(REPAIRED).status_code == 202  # taken, and scanned when the broker is back
            redis.start()
            until = time.monotonic() + 60
            while (answer := http.get("/ready")).status_code != 200 and time.monotonic() < until:
                time.sleep(0.2)
            assert answer.status_code == 200
    finally:
        service.stop(signal.SIGTERM)
        redis.stop()


def test_reports_that_the_search_does_not_know_are_indexed(tmp_path: Path) -> None:
    service = Served(tmp_path)
    try:
        service.settled(service.upload(INSECURE).json()["id"])
    finally:
        service.stop()
    context = Context(Settings(data=service.data))
    tables = (FoundComponent, FoundVulnerability, FoundKey)

    def counts() -> list[int]:
        with context.database.read() as session:
            return [session.scalar(select(func.count()).select_from(each)) or 0 for each in tables]

    known = counts()
    assert all(known)
    assert catch_up(context) == 0  # a new report is indexed when it is kept
    with context.database.write() as session:
        for each in tables:
            session.execute(delete(each))
        session.execute(update(Scan).values(indexed=0))
    assert catch_up(context) == 1
    assert counts() == known
    with context.database.write() as session:
        session.execute(delete(FoundComponent))
    done = service.command("serve", "--data", str(service.data), "--reindex")
    assert (done.returncode, "1 reports indexed" in done.stderr) == (0, True), done.stderr
    assert counts() == known
    with context.database.write() as session:
        session.execute(update(Scan).values(indexed=0))
    for path in (service.data / "reports").iterdir():
        path.unlink()
    assert catch_up(context) == 1  # one that is gone is not asked for again and again
    assert (catch_up(context), counts()) == (0, [0, 0, 0])
    context.close()
