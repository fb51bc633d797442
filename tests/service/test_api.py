"""Uploads, status, reports, gates and history over HTTP, as pipelines use them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import httpx
import jsonschema
import pytest
from support.serving import INSECURE, REPAIRED, Served

from fwcheck.reports.json import schema


def test_an_upload_becomes_a_report(served: Served, scanned: dict[str, str]) -> None:
    with served.http() as http:
        scan = http.get(f"/api/v1/scans/{scanned['insecure']}").json()
        report = http.get(scan["report_url"])
    content = INSECURE.read_bytes()
    assert scan["image"] == {"name": INSECURE.name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert (scan["status"], scan["product"], scan["version"], scan["tries"]) == ("done", "sample router", "insecure", 1)
    jsonschema.Draft202012Validator(schema()).validate(report.json())
    assert report.json()["image"]["name"] == INSECURE.name
    assert report.json()["tier"]["score"] == scan["score"]
    assert scan["tier"]["highest_not_refuted"] == report.json()["tier"]["highest_not_refuted"]


@pytest.mark.parametrize(
    ("format", "kind", "holds"),
    [
        ("html", "text/html", b"<html"),
        ("sarif", "application/sarif+json", b'"runs"'),
        ("cyclonedx", "application/vnd.cyclonedx+json", b"CycloneDX"),
        ("spdx", "application/spdx+json", b"SPDX"),
        ("junit", "application/xml", b"<testsuite"),
        ("markdown", "text/markdown", b"#"),
        ("csv", "text/csv", b","),
        ("checklist", "application/vnd.openxmlformats", b"PK"),
    ],
)
def test_reports_come_in_every_format(served: Served, scanned: dict[str, str], format: str, kind: str, holds: bytes) -> None:
    with served.http() as http:
        answer = http.get(f"/api/v1/scans/{scanned['insecure']}/report", params={"format": format})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)
    assert holds in answer.content


def test_a_gate_says_why(served: Served, scanned: dict[str, str]) -> None:
    with served.http() as http:
        bad = http.get(f"/api/v1/scans/{scanned['insecure']}/gate", params={"min_tier": "STAR-1", "fail_on": "high"}).json()
        good = http.get(f"/api/v1/scans/{scanned['repaired']}/gate", params={"min_tier": "STAR-1"}).json()
        none = http.get(f"/api/v1/scans/{scanned['insecure']}/gate").json()
    assert (bad["passed"], bad["exit_status"], bad["asked"]) == (False, 1, ["min-tier STAR-1", "fail-on high"])
    assert any("STAR-1 is refuted" in reason for reason in bad["reasons"])
    assert (good["passed"], good["reasons"], good["exit_status"]) == (True, [], 0)
    assert none["passed"]


@pytest.mark.usefixtures("scanned")
def test_products_and_their_history(served: Served) -> None:
    with served.http() as http:
        products = {each["name"]: each for each in http.get("/api/v1/products").json()["items"]}
        first = http.get("/api/v1/products/sample router/history", params={"limit": 1}).json()
        second = http.get("/api/v1/products/sample router/history", params={"limit": 1, "cursor": first["next"]}).json()
    assert products["sample router"]["latest"]["version"] == "repaired"
    assert [each["version"] for each in first["items"] + second["items"]] == ["repaired", "insecure"]
    assert second["next"] is None


@pytest.mark.usefixtures("scanned")
def test_the_same_image_is_stored_once_and_answered_from_history(served: Served) -> None:
    again = served.upload(INSECURE, product="another", version="2").json()
    assert again["status"] == "done"
    with served.http() as http:
        scan = http.get(again["status_url"]).json()
        assert scan["reused"]
        assert http.get(scan["report_url"]).json()["image"]["name"] == INSECURE.name
    fresh = served.upload(INSECURE, product="another", version="3", fresh="true").json()
    assert fresh["status"] == "queued"
    assert not served.settled(fresh["id"])["reused"]
    if served.embedded:
        stored = [path.name for path in (served.data / "images").iterdir()]
        assert stored.count(hashlib.sha256(INSECURE.read_bytes()).hexdigest()) == 1
    assert list((served.data / "incoming").iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"product": "", "version": "1"}, 400, "product"),
        ({"product": "../x", "version": "1"}, 400, "product"),
        ({"product": "a\x1b[2Jb", "version": "1"}, 400, "product"),
        ({"product": "a", "version": "x" * 101}, 400, "version"),
        ({"product": "a", "version": "1", "target": "STAR-9"}, 400, "target"),
        ({"product": "a", "version": "1", "tarot": "x"}, 400, "tarot"),
        ({"product": "a", "version": "x" * 70000}, 413, "field"),
    ],
)
def test_bad_fields_are_refused_with_a_reason(served: Served, fields: dict[str, str], status: int, says: str) -> None:
    with served.http() as http:
        answer = http.post("/api/v1/scans", data=fields, files={"image": ("a.bin", b"abc")})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.json()["detail"]
    assert answer.json()["status"] == status


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "multipart/form-data; boundary=x", 400),
        (b"junk", "multipart/form-data; boundary=x", 400),
        (b"--x\r\n", "multipart/form-data; boundary=x", 400),
        (b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nabc', "multipart/form-data; boundary=x", 400),
        (b'--x\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n\xff\r\n--x--', "multipart/form-data; boundary=x", 400),
        (b"{}", "application/json", 415),
        (b"abc", "multipart/form-data", 415),
        (b"abc", "multipart/form-data; boundary=" + "y" * 9000, 400),
    ],
)
def test_broken_forms_are_refused_and_leave_nothing(served: Served, content: bytes, kind: str, status: int) -> None:
    with served.http() as http:
        answer = http.post("/api/v1/scans", content=content, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert list((served.data / "incoming").iterdir()) == []


def test_names_of_files_are_labels_and_never_paths(served: Served) -> None:
    image = REPAIRED.read_bytes()
    with served.http() as http:
        for name in ("../../../../tmp/fwcheck-escaped", "C:\\x\\y.bin", "<script>.bin", "ルーター.bin"):
            answer = http.post("/api/v1/scans", data={"product": "names", "version": "1"}, files={"image": (name, image)}).json()
            told = http.get(answer["status_url"]).json()["image"]["name"]
            assert not set(told) & set("/\\<>")
    assert told == "ルーター.bin"
    assert not Path("/tmp/fwcheck-escaped").exists()


def test_an_image_of_noise_is_undecided_and_an_empty_one_refused(served: Served) -> None:
    noise = hashlib.shake_256(b"noise").digest(300_000)
    id = served.upload(noise, product="noise").json()["id"]
    assert served.settled(id)["status"] == "done"
    with served.http() as http:
        gate = http.get(f"/api/v1/scans/{id}/gate", params={"min_tier": "STAR-1"}).json()
    assert (gate["passed"], gate["undecided"], gate["exit_status"]) == (False, True, 3)
    assert served.upload(b"").status_code == 400


def test_what_is_not_there_is_told_as_a_problem(served: Served) -> None:
    with served.http() as http:
        for path, status in (
            ("/api/v1/scans/" + "0" * 32, 404),
            ("/api/v1/scans/" + "0" * 32 + "/report", 404),
            ("/api/v1/scans/x", 400),
            ("/api/v1/products/nothing/history", 404),
            ("/nothing", 404),
        ):
            answer = http.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), path
        assert http.delete("/api/v1/products").status_code == 405


def test_the_openapi_document_is_at_schema(served: Served) -> None:
    with served.http() as http:
        document = http.get("/schema").json()
    assert document["openapi"].startswith("3.1")
    assert {"/api/v1/scans", "/api/v1/scans/{scan}/gate", "/api/v1/products/{name}/history"} <= document["paths"].keys()
    assert "multipart/form-data" in document["paths"]["/api/v1/scans"]["post"]["requestBody"]["content"]


def test_an_upload_larger_than_allowed_is_refused(tmp_path: Path) -> None:
    service = Served(tmp_path, workers=-1, environment={"FWCHECK_MAX_IMAGE": "2000000"})
    try:
        assert service.upload(b"x" * 2_000_000).status_code == 202
        answer = service.upload(b"x" * 2_000_001)
        assert (answer.status_code, answer.json()["limit"]) == (413, 2_000_000)

        def endless() -> object:
            yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
            for _ in range(64):
                yield b"x" * 65536

        with service.http() as http:
            try:
                told = http.post("/api/v1/scans", content=endless(), headers={"Content-Type": "multipart/form-data; boundary=x"})
                assert told.status_code == 413
            except httpx.TransportError:
                pass  # the service closed the connection before all was sent
        assert list((service.data / "incoming").iterdir()) == []
        assert json.loads(json.dumps(service.events("defect"))) == []
    finally:
        service.stop()
