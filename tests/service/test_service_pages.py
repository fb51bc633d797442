"""Pages for people: sign in, upload, read, compare, waive, search; in both languages, and for nobody who has not signed in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from support.serving import INSECURE, REPAIRED, Served

pytestmark = pytest.mark.parametrize(
    "served", ["embedded"], indirect=True, scope="session"
)  # what is outside makes no difference

PAGES = (
    "/",
    "/search",
    "/products/sample%20router",
    "/scans/{insecure}",
    "/scans/{insecure}/report",
    "/scans/{repaired}/comparison",
    "/policy",
    "/products/sample%20router/policy",
)


@pytest.fixture(scope="session")
def visitor(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=60) as http:
        answer = http.post("/sign-in", data={"token": served.token})
        assert (answer.status_code, answer.headers["location"]) == (303, "/"), answer.text
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        yield http


def mark_of(http: httpx.Client) -> str:
    found = re.search(r'name="mark" value="([0-9a-f]{64})"', http.get("/").text)
    assert found
    return found[1]


def test_every_page_asks_for_a_session(served: Served, scanned: dict[str, str]) -> None:
    with httpx.Client(base_url=served.url, timeout=60) as http:
        for path in PAGES:
            answer = http.get(path.format(**scanned))
            assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in"), path
        bad = http.post("/sign-in", data={"token": "fwc_1_2"})
        assert bad.status_code == 401
        assert "not valid" in bad.text
        assert http.post("/sign-in", data={"token": served.token}, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_pages_show_what_they_are_for(visitor: httpx.Client, scanned: dict[str, str]) -> None:
    for path in PAGES:
        answer = visitor.get(path.format(**scanned))
        assert answer.status_code == 200, (path, answer.text[-500:])
        assert "<h1" in answer.text
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert ("sandbox" in policy) == path.endswith("/report")
    home = visitor.get("/").text
    assert "sample router" in home
    product = visitor.get("/products/sample%20router").text
    assert "<svg" in product
    scan = visitor.get(f"/scans/{scanned['insecure']}").text
    assert "The level is refuted" in scan
    assert "The level is not refuted" in visitor.get(f"/scans/{scanned['repaired']}").text


def test_pages_speak_japanese(visitor: httpx.Client, scanned: dict[str, str]) -> None:
    assert visitor.get("/language/ja", params={"back": "//evil.example/"}).headers["location"] == "/"
    try:
        for path in PAGES:
            text = visitor.get(path.format(**scanned)).text
            assert 'lang="ja"' in text
        assert "レベルは否定されました" in visitor.get(f"/scans/{scanned['insecure']}").text
    finally:
        visitor.get("/language/en")
    with httpx.Client(base_url=str(visitor.base_url), headers={"Accept-Language": "ja-JP,ja;q=0.9"}) as other:
        assert "サインイン" in other.get("/sign-in").text


@pytest.mark.usefixtures("scanned")
def test_forms_without_the_mark_of_the_session_do_nothing(visitor: httpx.Client) -> None:
    day = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
    fields = {"rule": "ACC-001", "reason": "x", "expires": day}
    for mark in ({}, {"mark": ""}, {"mark": "0" * 64}, {"mark": "ü"}):
        assert visitor.post("/products/sample%20router/waivers", data={**fields, **mark}).status_code == 403
        assert visitor.post("/sign-out", data=mark).status_code == 403
        parts = {"product": (None, "p"), "version": (None, "1"), **{key: (None, value) for key, value in mark.items()}}
        assert visitor.post("/upload", files={**parts, "image": ("a", b"abc")}).status_code == 403
    for method, path in (("POST", "/api/v1/scans"), ("DELETE", "/api/v1/tokens/" + "0" * 12), ("POST", "/api/v1/tokens")):
        assert visitor.request(method, path).status_code == 403
    assert "ACC-001" not in visitor.get("/products/sample%20router").text.split('id="waivers"')[1].split("<form")[0]


def test_an_image_is_uploaded_without_script(visitor: httpx.Client, served: Served) -> None:
    parts = {"mark": (None, mark_of(visitor)), "product": (None, "by hand"), "version": (None, "1"), "target": (None, "")}
    answer = visitor.post("/upload", files={**parts, "image": (REPAIRED.name, REPAIRED.read_bytes())})
    assert answer.status_code == 303, answer.text
    id = answer.headers["location"].split("/")[-1]
    served.settled(id)
    assert "by hand" in visitor.get(f"/scans/{id}").text
    wrong = visitor.post("/upload", files={**parts, "product": (None, "a/b"), "image": ("a", b"abc")})
    assert (wrong.status_code, "printable" in wrong.text) == (400, True)


def test_a_waiver_is_given_and_ended(visitor: httpx.Client, served: Served) -> None:
    id = served.upload(INSECURE, product="waived by hand").json()["id"]
    served.settled(id)
    day = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
    mark = mark_of(visitor)
    page = visitor.get(f"/scans/{id}").text
    found = re.search(r'name="fingerprint" value="([0-9a-f]{32})"><input type="hidden" name="rule" value="([A-Z]+-\d+)"', page)
    assert found
    fields = {"mark": mark, "fingerprint": found[1], "rule": found[2], "reason": "<b>known</b>", "expires": day, "back": id}
    answer = visitor.post("/products/waived%20by%20hand/waivers", data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/scans/{id}"), answer.text
    product = visitor.get("/products/waived%20by%20hand").text
    assert "&lt;b&gt;known" in product
    assert f'value="{found[1]}"' not in visitor.get(f"/scans/{id}").text  # a note names it
    ending = re.search(r'action="(/products/waived%20by%20hand/waivers/[0-9a-f]{32}/end)"', product)
    assert ending
    assert visitor.post(ending[1], data={"mark": mark}).status_code == 303
    assert visitor.post(ending[1], data={"mark": mark}).status_code == 404


def test_a_search_finds_products(visitor: httpx.Client, served: Served, scanned: dict[str, str]) -> None:
    with served.http() as http:
        report = http.get(f"/api/v1/scans/{scanned['insecure']}/report").json()
    component = report["components"][0]
    key = next(each["fingerprint"] for each in report["device"]["crypto"] if each["fingerprint"])
    vulnerability = next(one["id"] for each in report["components"] for one in each["vulnerabilities"])
    for asked in (component["name"], f"{component['name']} {component['version'] or ''}", key.upper(), vulnerability):
        assert "sample router" in visitor.get("/search", params={"q": asked}).text, asked
    assert "No report names it" in visitor.get("/search", params={"q": "<script>alert(1)</script>"}).text


def test_roles_hold_on_pages_and_a_session_ends(served: Served, scanned: dict[str, str]) -> None:
    with httpx.Client(base_url=served.url, timeout=60) as http:
        http.post("/sign-in", data={"token": served.issue("uploader", ("mine",))})
        assert http.get("/search").status_code == 403
        assert http.get(f"/scans/{scanned['insecure']}").status_code == 404
        assert "sample router" not in http.get("/").text
        assert http.post("/sign-out", data={"mark": mark_of(http)}).status_code == 303
        assert http.get("/").status_code == 303
    with httpx.Client(base_url=served.url, timeout=60) as http:
        token = served.issue("auditor")
        http.post("/sign-in", data={"token": token})
        assert http.get("/").status_code == 200
        with served.http() as admin:
            admin.delete(f"/api/v1/tokens/{token.split('_')[1]}")
        assert http.get("/").headers["location"] == "/sign-in"


def test_a_product_keeps_files_a_policy_and_a_baseline_by_hand(visitor: httpx.Client, served: Served) -> None:
    ids = [served.upload(INSECURE, product="kept by hand", version=each).json()["id"] for each in ("1", "2")]
    for id in ids:
        served.settled(id)
    mark, url = mark_of(visitor), "/products/kept%20by%20hand"
    parts = {"mark": (None, mark), "kind": (None, "declaration")}
    bad = visitor.post(f"{url}/files", files={**parts, "file": ("product.toml", b"[product]\nmodle = 1\n")})
    assert (bad.status_code, "line 2" in bad.text) == (400, True)
    good = visitor.post(f"{url}/files", files={**parts, "file": ("<i>.toml", b'[product]\nmodel = "x"\n')})
    assert (good.status_code, good.headers["location"]) == (303, f"{url}#files"), good.text
    product = visitor.get(url).text
    ending = re.search(rf'action="({url}/files/[0-9a-f]{{32}}/end)"', product)
    assert ending
    assert "_i_.toml" in product
    later = visitor.post("/upload", files={
        "mark": (None, mark), "product": (None, "kept by hand"), "version": (None, "3"),
        "declaration": ("own.toml", b'[product]\nmodel = "y"\n'), "vex": ("", b""),
        "image": (INSECURE.name, INSECURE.read_bytes()),
    })  # fmt: skip
    assert later.status_code == 303, later.text
    shown = visitor.get(later.headers["location"]).text
    assert "own.toml" in shown
    assert "came with the image" in shown
    assert visitor.post(ending[1], data={"mark": mark}).status_code == 303
    wrong = visitor.post(f"{url}/policy", data={"mark": mark, "text": "[all]\r\nmin_scor = 3\r\n"})
    assert (wrong.status_code, "line 2" in wrong.text, "min_scor = 3" in wrong.text) == (400, True, True)
    assert visitor.post(f"{url}/policy", data={"mark": mark, "text": '[all]\r\nfail_on = "high"\r\n'}).status_code == 303
    assert "What is asked is not met" in visitor.get(f"/scans/{ids[1]}").text
    assert visitor.post(f"/scans/{ids[0]}/release", data={"mark": mark, "out": "true"}).status_code == 303
    assert visitor.post(f"{url}/baseline", data={"mark": mark, "baseline": "released"}).status_code == 303
    assert "What is asked is met" in visitor.get(f"/scans/{ids[1]}").text
    assert "the newest released version (1)" in visitor.get(url).text
    assert visitor.post(f"{url}/baseline", data={"mark": mark, "baseline": ids[0]}).status_code == 303
    assert visitor.post(f"{url}/baseline", data={"mark": mark, "baseline": "0" * 32}).status_code == 404
    assert visitor.post(f"{url}/baseline", data={"mark": mark, "baseline": "none"}).status_code == 303
    held = re.search('name="end" value="([0-9a-f]{32})"', visitor.get(f"{url}/policy").text)
    assert held
    assert visitor.post(f"{url}/policy", data={"mark": mark, "end": held[1]}).status_code == 303
    assert "No policy is kept" in visitor.get(f"{url}/policy").text
    for path in (f"{url}/policy", f"{url}/baseline", f"{url}/files", "/policy", f"/scans/{ids[0]}/release"):
        assert visitor.post(path, data={"text": "[all]"}).status_code == 403, path
    with httpx.Client(base_url=served.url, timeout=60) as http:
        http.post("/sign-in", data={"token": served.issue("auditor")})
        assert http.post("/policy", data={"mark": mark_of(http), "text": "[all]"}).status_code == 403
