"""What goes along with an image: declarations, VEX documents and update keys, kept by products and sent with uploads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.serving import INSECURE, REPAIRED, ROOT, Served

from fwcheck.service import attachments
from fwcheck.service.problems import Problem

DECLARATION = b'[product]\nmaker = "Example"\nmodel = "Camera"\ntype = "network-camera"\ntarget = "STAR-2"\n'
KEY = b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"
SECRET = (
    b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n"
)


def vex(cve: str, product: str) -> bytes:
    statement = {
        "vulnerability": {"name": cve}, "products": [{"@id": product}], "status": "not_affected",
        "justification": "vulnerable_code_not_in_execute_path",
    }  # fmt: skip
    return json.dumps({"@context": "https://openvex.dev/ns/v0.2.0", "statements": [statement]}, indent=1).encode()


def send(served: Served, image: Path, product: str, files: list[tuple[str, str, bytes]], **more: str) -> Any:
    parts = [(kind, (name, content)) for kind, name, content in files]
    with served.http(more.pop("token", None)) as http:
        return http.post(
            "/api/v1/scans",
            data={"product": product, "version": "1", **more},
            files=[*parts, ("image", (image.name, image.read_bytes()))],
        )


def test_what_comes_along_decides_the_report_and_whether_an_earlier_one_will_do(served: Served) -> None:
    plain = served.settled(send(served, INSECURE, "along", []).json()["id"])
    with served.http() as http:
        report = http.get(plain["report_url"]).json()
        known = {(one["id"], each["purl"] or each["name"]) for each in report["components"] for one in each["vulnerabilities"]}
        cve, part = min(known)
        files = [("declaration", "product.toml", DECLARATION), ("vex", "a.json", vex(cve, part)), ("update_key", "k.pem", KEY)]
        given = send(served, INSECURE, "along", files).json()
        assert given["status"] == "queued"  # the report without them will not do
        scan = served.settled(given["id"])
        told = http.get(scan["report_url"]).json()
        assert told["device"]["declared"]["product"]["model"] == "Camera"
        assert told["tier"]["target"] == "STAR-2"
        assert cve in {one["id"] for each in told["components"] for one in each["set_aside"]}
        listed = http.get(f"/api/v1/scans/{scan['id']}/files").json()
        assert [(each["kind"], each["name"], each["own"]) for each in listed] == [(*each[:2], True) for each in files]
        again = send(served, INSECURE, "along", files).json()
        assert again["status"] == "done"
        assert http.get(again["status_url"]).json()["reused"]
        assert send(served, INSECURE, "along", []).json()["status"] == "done"  # answered from the first


def test_a_product_keeps_files_and_an_upload_may_bring_its_own(served: Served) -> None:
    url = "/api/v1/products/keeper/files"
    with served.http() as http:
        kept = http.put(f"{url}/declaration", params={"name": "../product.toml"}, content=DECLARATION)
        assert kept.status_code == 200, kept.text
        assert (kept.json()["name"], kept.json()["by"]) == ("product.toml", "first administrator")
        for name, content in (
            ("a.json", vex("CVE-2020-0001", "pkg:generic/x")),
            ("b.json", vex("CVE-2020-0002", "pkg:generic/x")),
        ):
            assert http.put(f"{url}/vex", params={"name": name}, content=content).status_code == 200
        newer = vex("CVE-2020-0003", "pkg:generic/x")
        assert http.put(f"{url}/vex", params={"name": "b.json"}, content=newer).status_code == 200  # in place of the other
        assert http.put(f"{url}/update_key", params={"name": "k"}, content=KEY).status_code == 200
        listed = http.get(url).json()
        assert [each["name"] for each in listed] == ["product.toml", "k", "a.json", "b.json"]
        assert http.get(f"{url}/{listed[-1]['id']}").content == newer
        first = send(served, REPAIRED, "keeper", []).json()
        own = DECLARATION.replace(b"Camera", b"Other")
        second = send(served, REPAIRED, "keeper", [("declaration", "own.toml", own)]).json()
        for accepted, names, model in ((first, "product.toml", "Camera"), (second, "own.toml", "Other")):
            scan = served.settled(accepted["id"])
            files = http.get(f"/api/v1/scans/{scan['id']}/files").json()
            assert [each["name"] for each in files] == [names, "a.json", "b.json", "k"]
            assert files[0]["own"] == (model == "Other")
            assert http.get(scan["report_url"]).json()["device"]["declared"]["product"]["model"] == model
        assert http.delete(f"{url}/{listed[0]['id']}").status_code == 204
        assert http.delete(f"{url}/{listed[0]['id']}").status_code == 404
        assert http.get(f"{url}/{listed[0]['id']}").status_code == 404
        third = send(served, REPAIRED, "keeper", []).json()
        assert [each["name"] for each in http.get(f"/api/v1/scans/{third['id']}/files").json()] == ["a.json", "b.json", "k"]
        told = [each["what"] for each in http.get("/api/v1/audit", params={"limit": 200}).json()["items"] if each["what"]]
    assert any(each.startswith("declaration product.toml ") and not each.endswith("ended") for each in told)
    assert any(each.startswith("declaration product.toml ") and each.endswith("ended") for each in told)
    assert any("keeper 1: scan" in each and "declaration own.toml" in each for each in told)


WRONG = [
    ("declaration", b'[product]\nmaker = "x"\nmodle = "y"\n', 3, "modle"),
    ("declaration", b'[product]\nmaker = "x"\ntype = "toaster"\n', 3, "type"),
    ("declaration", b'[product]\nmaker = "x\n', 2, ""),
    ("declaration", b'[documents]\n"S1.1-01" = "a"\n"S9.9-99" = "b"\n', 3, "S9.9-99"),
    (
        "declaration",
        b'[[services]]\nname = "a"\nreason = "b"\n\n[[services]]\nname = "a"\nreason = "c"\nport = 70000\n',
        8,
        "65535",
    ),
    ("declaration", b"\xff\xfe", None, ""),
    ("declaration", b"a." * 20000 + b"b = 1\n", 1, "line of more"),
    ("declaration", b"a = " + b"[" * 9000 + b"\n", None, ""),
    ("policy", b"[all]\nmin_scor = 3\n", 2, "did you mean min_score"),
    ("policy", b'[all]\nforbidden_rules = [\n  "XYZ-001",\n]\n', 2, "XYZ-001"),
    ("vex", b'{\n "@context": "openvex",\n "statements": [,\n}', 3, "JSON"),
    ("vex", b"{}", None, "no OpenVEX"),
    ("vex", b'{"@context": "openvex", "statements": [1]}', None, "VEX"),
    ("update_key", b"hello", None, "no public key"),
    ("update_key", SECRET, None, "private key"),
]


@pytest.mark.parametrize(("kind", "content", "line", "says"), WRONG)
def test_what_is_no_such_file_is_named_with_its_line(kind: Any, content: bytes, line: int | None, says: str) -> None:
    with pytest.raises(Problem) as caught:
        attachments.check(kind, "file", content)
    assert caught.value.status == 400
    assert says in caught.value.detail
    if line is not None:
        assert (caught.value.more["line"], f"line {line}" in caught.value.detail) == (line, True)


@pytest.mark.parametrize("served", ["embedded"], indirect=True, scope="session")  # what is outside makes no difference
def test_bad_files_are_refused_before_the_image_is_kept(served: Served) -> None:
    for kind, content, status, says in (
        ("declaration", b"[product]\nmodle = 1\n", 400, "modle"),
        ("declaration", b"#" * 70_000, 413, "declaration"),
        ("vex", b"{}", 400, "VEX"),
        ("update_key", SECRET, 400, "private"),
    ):
        answer = send(served, REPAIRED, "never", [(kind, "given", content)])
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
        assert says in answer.json()["detail"]
    assert answer.json()["field"] == "update_key"
    twice = send(served, REPAIRED, "never", [("vex", "a", vex("CVE-2020-0001", "x"))] * 2)
    assert (twice.status_code, "two of them" in twice.json()["detail"]) == (400, True)
    with served.http() as http:
        assert http.get("/api/v1/products/never/history").status_code == 404
        wrong = http.put("/api/v1/products/never/files/declaration", content=b"x")
        assert (wrong.status_code, wrong.json()["line"]) == (400, 1)
        assert http.put("/api/v1/products/never/files/tarot", content=b"x").status_code == 400
        assert http.put("/api/v1/products/never/files/vex", content=b" " * (9 << 20)).status_code == 413
        assert http.get("/api/v1/products/never/files").status_code == 404
        assert http.put("/api/v1/products/a%1bb/files/vex", content=b"{}").status_code == 400
    with served.http(served.issue("auditor", ("mine",))) as http:
        assert http.put("/api/v1/products/never/files/update_key", content=KEY).status_code == 404
        assert http.put("/api/v1/products/mine/files/update_key", content=KEY).status_code == 200


@pytest.mark.parametrize("served", ["embedded"], indirect=True, scope="session")  # what is outside makes no difference
def test_the_command_sends_them(served: Served, tmp_path: Path) -> None:
    good, bad = tmp_path / "product.toml", tmp_path / "bad.toml"
    good.write_bytes(DECLARATION)
    bad.write_bytes(b"[product]\nmodle = 1\n")
    key = tmp_path / "key.pem"
    key.write_bytes(KEY)
    done = served.command("upload", str(REPAIRED), "--product", "by command", "--declaration", str(bad))
    assert (done.returncode, "line 2" in done.stderr) == (2, True), done.stderr
    done = served.command("upload", str(REPAIRED), "--product", "by command", "--declaration", str(tmp_path / "none"))
    assert (done.returncode, "none: No such file" in done.stderr) == (2, True), done.stderr
    arguments = ("--declaration", str(good), "--update-key", str(key), "--no-wait")
    done = served.command("upload", str(REPAIRED), "--product", "by command", *arguments)
    assert done.returncode == 0, done.stderr
    with served.http() as http:
        files = http.get(f"/api/v1/scans/{done.stdout.strip()}/files").json()
    assert [(each["kind"], each["name"]) for each in files] == [("declaration", "product.toml"), ("update_key", "key.pem")]


def test_whoever_runs_the_service_says_who_may_send_them(tmp_path: Path) -> None:
    service = Served(tmp_path, workers=-1, environment={"FWCHECK_ATTACH_ROLE": "auditor"})
    try:
        for role, status in (("uploader", 403), ("auditor", 202)):
            answer = send(service, REPAIRED, "p", [("update_key", "k", KEY)], token=service.issue(role))
            assert answer.status_code == status, answer.text
        assert (ROOT / "docs" / "service.md").read_text(encoding="utf-8").count("attach_role")
    finally:
        service.stop()
