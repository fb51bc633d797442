"""What people and machines around the service rely on: retries, waivers, webhooks, search, figures, the audit log, retention."""

from __future__ import annotations

import hashlib
import hmac
import json
import lzma
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.serving import INSECURE, REPAIRED, Served

from fwcheck.service.context import Context
from fwcheck.service.housekeeping import tidy
from fwcheck.service.rates import Rate
from fwcheck.service.settings import Settings, SettingsError, load
from fwcheck.vulnerabilities.database import SHIPPED


def test_an_upload_sent_again_is_the_same_scan(served: Served) -> None:
    def send(http: httpx.Client, version: str) -> httpx.Response:
        files = {"image": (REPAIRED.name, REPAIRED.read_bytes())}
        return http.post("/api/v1/scans", data={"product": "twice", "version": version}, files=files)

    with served.http() as http:
        http.headers["Idempotency-Key"] = "job 17"
        first, second = send(http, "1"), send(http, "1")
        other = send(http, "2")
    assert first.json()["id"] == second.json()["id"]
    assert (other.status_code, "idempotency" in other.json()["detail"]) == (422, True)


def test_an_upload_goes_on_after_a_broken_connection(served: Served) -> None:
    content = INSECURE.read_bytes()
    with served.http() as http:
        upload = http.post("/api/v1/uploads", json={"name": "router.bin", "size": len(content)}).json()
        part = http.patch(upload["url"], params={"offset": 0}, content=content[:20000])
        assert part.json()["offset"] == 20000
        assert (
            http.patch(upload["url"], params={"offset": 100}, content=content[100:]).json()["offset"] == 20000
        )  # told where it is

        def broken() -> Iterator[bytes]:
            yield content[20000:40000]
            raise ConnectionError

        with pytest.raises(ConnectionError):
            http.patch(upload["url"], params={"offset": 20000}, content=broken())
        early = http.post("/api/v1/scans", data={"product": "resumed", "version": "1", "upload": upload["id"]}, files={"x": b""})
        assert early.status_code in {400, 409}
        offset = http.get(upload["url"]).json()["offset"]
        assert http.patch(upload["url"], params={"offset": offset}, content=content[offset:]).json()["offset"] == len(content)
        assert http.patch(upload["url"], params={"offset": len(content)}, content=b"more").status_code == 413
        fields = {"product": (None, "resumed"), "version": (None, "1"), "upload": (None, upload["id"])}
        entered = http.post("/api/v1/scans", files=fields)
        assert entered.status_code == 202, entered.text
        scan = http.get(entered.json()["status_url"]).json()
        assert scan["image"] == {"name": "router.bin", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        assert http.get(upload["url"]).status_code == 404
        gone = http.post("/api/v1/uploads", json={"name": "a", "size": 5}).json()
        with served.http(served.issue("uploader")) as other:
            assert other.get(gone["url"]).status_code == 404
        assert http.delete(gone["url"]).status_code == 204
        assert http.post("/api/v1/uploads", json={"name": "a", "size": 0}).status_code == 400
        assert http.post("/api/v1/uploads", json={"name": "a", "size": 1 << 40}).status_code == 413
    assert list((served.data / "incoming").iterdir()) == []


def test_progress_is_told_as_it_happens(served: Served) -> None:
    id = served.upload(INSECURE, product="watched", fresh="true").json()["id"]
    seen: list[dict[str, Any]] = []
    with served.http() as http, http.stream("GET", f"/api/v1/scans/{id}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("data:"):
                seen.append(json.loads(line[5:]))
    assert seen[-1]["status"] == "done"
    assert [each["status"] for each in seen] == sorted((each["status"] for each in seen), key=["queued", "running", "done"].index)


def test_two_versions_are_compared(served: Served, scanned: dict[str, str]) -> None:
    with served.http() as http:
        change = http.get(f"/api/v1/scans/{scanned['repaired']}/comparison").json()
        back = http.get(f"/api/v1/scans/{scanned['insecure']}/comparison", params={"old": scanned["repaired"]}).json()
        assert http.get(f"/api/v1/scans/{scanned['insecure']}/comparison").status_code == 404  # nothing is before it
    assert any(each["kind"] == "went" for each in change["findings"])
    assert len(back["findings"]) == len(change["findings"])


def test_a_waiver_counts_until_its_day(served: Served) -> None:
    id = served.upload(INSECURE, product="waived").json()["id"]
    served.settled(id)
    day = (datetime.now(UTC) + timedelta(days=20)).date().isoformat()
    with served.http() as http:
        report = http.get(f"/api/v1/scans/{id}/report").json()
        before = http.get(f"/api/v1/scans/{id}/gate", params={"fail_on": "low"}).json()
        url = "/api/v1/products/waived/waivers"
        rules = {each["rule"] for each in report["findings"] if each["verdict"] in {"violation", "concern"}}
        for rule in rules:
            made = http.post(url, json={"rule": rule, "reason": "test device", "expires": day})
            assert made.status_code == 201, made.text
        assert {each["owner"] for each in http.get(url).json()} == {"first administrator"}
        after = http.get(f"/api/v1/scans/{id}/gate", params={"fail_on": "low"}).json()
        waived = http.get(f"/api/v1/scans/{id}/report").json()
        assert (before["passed"], after["passed"]) == (False, True)
        assert any("expires on" in note for note in after["notes"])
        assert all(each["waived"] for each in waived["findings"] if each["rule"] in rules and each["verdict"] != "support")
        assert http.delete(f"{url}/{made.json()['id']}").status_code == 204
        assert not http.get(f"/api/v1/scans/{id}/gate", params={"fail_on": "low"}).json()["passed"]
        for wrong in (
            {"reason": "x", "expires": day},
            {"rule": "ACC-001", "reason": "", "expires": day},
            {"rule": "ACC-001", "reason": "x", "expires": "2020-01-01"},
            {"rule": "ACC-001", "reason": "x", "expires": "2999-01-01"},
            {"fingerprint": "zz", "reason": "x", "expires": day},
            {"rule": "ACC-001", "reason": "x", "expires": day, "path": "*" * 40},
        ):
            assert http.post(url, json=wrong).status_code == 400, wrong


def test_products_are_found_by_what_they_carry(served: Served, scanned: dict[str, str]) -> None:
    with served.http() as http:
        report = http.get(f"/api/v1/scans/{scanned['insecure']}/report").json()
        component = report["components"][0]
        hits = http.get("/api/v1/search", params={"component": component["name"]}).json()["items"]
        assert {"sample router"} <= {hit["product"] for hit in hits}
        assert any(hit["scan"] == scanned["repaired"] and hit["latest"] for hit in hits) or hits
        vulnerability = next(one["id"] for each in report["components"] for one in each["vulnerabilities"])
        assert http.get("/api/v1/search", params={"vulnerability": vulnerability.lower()}).json()["items"]
        key = next(each for each in report["device"]["crypto"] if each["fingerprint"])
        found = http.get("/api/v1/search", params={"key": key["fingerprint"]}).json()["items"]
        assert scanned["insecure"] in {hit["scan"] for hit in found}
        assert http.get("/api/v1/search", params={"key": "0" * 64}).json()["items"] == []
        assert http.get("/api/v1/search").status_code == 400
    with served.http(served.issue("auditor", ("nothing",))) as http:
        assert http.get("/api/v1/search", params={"component": component["name"]}).json()["items"] == []


class _Hearing(BaseHTTPRequestHandler):
    heard: list[tuple[str, bytes]] = []  # noqa: RUF012
    answers: list[int] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.heard.append((self.headers["X-Fwcheck-Signature"], body))
        self.send_response(self.answers.pop(0) if self.answers else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_webhooks_are_signed_and_told_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fwcheck.service import hooks
    from fwcheck.service.tables import Product, Scan, Webhook

    monkeypatch.setattr(hooks, "_FIRST", 0.1)
    monkeypatch.setattr(hooks, "_EVERY", 0.05)
    monkeypatch.setattr(_Hearing, "heard", heard := [])
    monkeypatch.setattr(_Hearing, "answers", [500, 302, 204])
    server = HTTPServer(("127.0.0.1", 0), _Hearing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    context = Context(Settings(data=tmp_path))
    context.database.migrate()
    with context.database.write() as session:
        hook = Webhook(url=f"http://127.0.0.1:{server.server_port}/x?y=1")
        from fwcheck.service.tables import Image

        product = Product(name="p")
        session.add_all([hook, product, Image(sha256="0" * 64, size=1)])
        session.flush()
        scan = Scan(product_id=product.id, image_sha256="0" * 64, image_name="i", version="1", state="done", score=7)
        session.add(scan)
        session.flush()
        hooks.enter(session, scan, "p")
    for inside, count in ((False, 0), (True, 3)):
        teller = hooks.Teller(context.database, context.key, inside=inside)
        teller.start()
        until = time.monotonic() + (1 if not inside else 20)
        while time.monotonic() < until and len(heard) < 3:
            time.sleep(0.02)
        teller.stop()
        assert len(heard) == count  # an address of this machine is asked only where that is allowed
    server.shutdown()
    server.server_close()
    signature, body = heard[-1]
    stamp, mark = (part.split("=")[1] for part in signature.split(","))
    secret = hooks.secret_of(context.key, hook.id).encode()
    assert mark == hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert (json.loads(body)["event"], json.loads(body)["score"]) == ("scan.done", 7)
    assert len({json.loads(each)["delivery"] for _, each in heard}) == 1
    context.close()


@pytest.mark.parametrize("url", ["ftp://x/", "http://", "http://u:p@x/", "file:///etc/passwd", "http://x:99999/", "http://ü/"])
def test_addresses_of_webhooks_that_are_none(served: Served, url: str) -> None:
    with served.http() as http:
        assert http.post("/api/v1/webhooks", json={"url": url}).status_code == 400


def test_webhooks_are_kept_without_their_secret(served: Served) -> None:
    with served.http() as http:
        made = http.post("/api/v1/webhooks", json={"url": "https://hooks.example/x", "product": "nobody's"}).json()
        listed = http.get("/api/v1/webhooks").json()
        assert made["webhook"] in listed
        assert made["secret"] not in json.dumps(listed)
        assert http.delete(f"/api/v1/webhooks/{made['webhook']['id']}").status_code == 204
        assert http.delete(f"/api/v1/webhooks/{made['webhook']['id']}").status_code == 404
    if served.embedded:
        with sqlite3.connect(served.data / "fwcheck.sqlite") as base:
            assert made["secret"] not in "\n".join(base.iterdump())


def test_every_access_is_in_the_audit_log(served: Served) -> None:
    token = served.issue("uploader")
    with served.http(token) as http:
        assert http.get("/api/v1/audit").status_code == 403
        assert http.post("/api/v1/uploads", json={"name": "audited", "size": 0}).status_code == 400
    with served.http("") as http:
        http.get("/api/v1/products/secret-name/history")
    time.sleep(1.5)
    with served.http() as http:
        items = http.get("/api/v1/audit").json()["items"]
        page = http.get("/api/v1/audit", params={"limit": 1}).json()
        assert http.get("/api/v1/audit", params={"limit": 1, "cursor": page["next"]}).json()["items"] != page["items"]
    told = {(each["method"], each["path"], each["status"], each["token"]) for each in items}
    own = token.split("_")[1]
    assert ("GET", "/api/v1/audit", 403, own) in told
    assert ("POST", "/api/v1/uploads", 400, own) in told
    assert ("GET", "/api/v1/products/secret-name/history", 401, None) in told


def test_figures_for_prometheus(served: Served, scanned: dict[str, str]) -> None:
    with served.http(served.issue("auditor")) as http:
        text = http.get("/metrics").text
        ready = http.get("/ready").json()
    assert ready.pop("sandbox", None) in ({"whole", "partial"} if served.embedded else {None})  # with brokers each worker tells
    assert ready.pop("status") == "ready"
    assert set(ready.values()) == {"good"}
    assert 'fwcheck_scans{state="done"}' in text
    assert 'route="/api/v1/scans/{scan}"' in text
    assert scanned["insecure"] not in text
    for line in text.splitlines():
        assert line.startswith("# TYPE ") or float(line.rsplit(" ", 1)[1]) >= 0


def test_who_asks_too_often_has_to_wait(tmp_path: Path) -> None:
    service = Served(tmp_path, workers=-1, environment={"FWCHECK_REQUESTS_PER_MINUTE": "20", "FWCHECK_FAILURES_PER_MINUTE": "5"})
    try:
        with service.http("fwc_bad_token") as http:
            statuses = [http.get("/api/v1/products").status_code for _ in range(8)]
            assert statuses == [401] * 5 + [429] * 3
            assert int(http.get("/api/v1/products").headers["retry-after"]) > 0
            assert http.get("/health").status_code == 200
    finally:
        service.stop()


def test_vulnerability_data_that_is_replaced_counts_at_once(tmp_path: Path) -> None:
    """An image is answered from its earlier report only while that would come out the same."""
    path = tmp_path / "knowledge.sqlite"
    raw = resources.files("fwcheck.vulnerabilities").joinpath(SHIPPED).read_bytes()
    path.write_bytes(lzma.decompress(raw))
    context = Context(Settings(data=tmp_path / "data", knowledge=path))
    before = context.standing
    assert context.standing == before
    fresh = tmp_path / "fresh"
    fresh.write_bytes(path.read_bytes())
    with sqlite3.connect(fresh) as base:
        base.execute("UPDATE meta SET value = '2999-01-01' WHERE key = 'date'")
    base.close()
    fresh.replace(path)
    assert context.standing == (before[0], "2999-01-01")
    context.close()


def test_a_bucket_fills_again() -> None:
    rate = Rate(6000, burst=0.05)  # five at once, a hundred each second
    assert [rate.take("a") == 0 for _ in range(6)] == [True] * 5 + [False]
    assert rate.take("b") == 0
    time.sleep(0.05)
    assert rate.take("a") == 0


def test_what_is_old_goes_and_what_is_needed_stays(tmp_path: Path) -> None:
    service = Served(tmp_path)
    try:
        ids = [service.upload(image, version=str(at)).json()["id"] for at, image in enumerate((INSECURE, REPAIRED))]
        for id in ids:
            service.settled(id)
    finally:
        service.stop()
    context = Context(Settings(data=service.data, keep_images_days=30, keep_reports_days=60))
    later = datetime.now(UTC) + timedelta(days=45)
    assert tidy(context)["images"] == 0
    assert tidy(context, later)["images"] == 2
    assert tidy(context, later)["reports"] == 0
    assert tidy(context, later + timedelta(days=45))["reports"] == 1  # the newest version of a product keeps its report
    context.close()
    service.start()
    try:
        with service.http() as http:
            assert http.get(f"/api/v1/scans/{ids[0]}/report").status_code == 410
            assert http.get(f"/api/v1/scans/{ids[1]}/report").status_code == 200
        again = service.upload(INSECURE, version="2").json()
        assert service.settled(again["id"])["status"] == "done"
    finally:
        service.stop()


@pytest.mark.parametrize(
    ("file", "environment", "says"),
    [
        ("max_image = 0", {}, "max_image"),
        ("colour = 1", {}, "colour"),
        ("tries = 'two'", {}, "tries"),
        ("", {"FWCHECK_LEASE": "x"}, "lease"),
        ("= 1", {}, "settings.toml"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, file: str, environment: dict[str, str], says: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(file)
    with pytest.raises(SettingsError, match=says):
        load(path, {}, environment)


def test_settings_come_from_file_environment_and_options(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('max_image = 5\ntries = 3\ndata = "here"')
    settings = load(path, {"data": "there", "workers": None}, {"FWCHECK_TRIES": "4"})
    assert (settings.max_image, settings.tries, settings.data, settings.workers) == (5, 4, Path("there"), 0)
