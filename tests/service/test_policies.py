"""What the server asks: policies of products and for all, baselines; and that a client can only ask for more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from support.serving import INSECURE, REPAIRED, Served

STRICT = b'name = "house rules"\n[all]\nfail_on = "high"\n'


def version(served: Served, image: Path, product: str, version: str) -> str:
    """A version with a report: mostly answered from that of the same image."""
    id: str = served.upload(image, product=product, version=version).json()["id"]
    served.settled(id)
    return id


def gate(http: httpx.Client, scan: str, **asked: Any) -> dict[str, Any]:
    answer = http.get(f"/api/v1/scans/{scan}/gate", params=asked)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


@pytest.mark.usefixtures("scanned")
def test_what_a_client_asks_never_loosens_what_the_server_asks(served: Served) -> None:
    bad, good = version(served, INSECURE, "asked", "1.0"), version(served, REPAIRED, "asked", "1.1")
    with served.http() as http:
        assert gate(http, bad) | {"asked": [], "policy": None} == gate(http, bad)
        kept = http.put("/api/v1/products/asked/files/policy", params={"name": "policy.toml"}, content=STRICT)
        assert kept.status_code == 200, kept.text
        told = gate(http, bad)
        assert (told["passed"], told["exit_status"], told["policy"]["of"]) == (False, 1, "product")
        assert told["policy"]["name"] == "house rules"
        assert told["asked"] == ["policy house rules: fail-on high"]
        for looser in ({"fail_on": "critical"}, {"min_score": 0}, {"baseline": bad}, {"baseline": "none"}, {"baseline": good}):
            again = gate(http, bad, **looser)
            assert (again["passed"], set(told["reasons"]) <= set(again["reasons"])) == (False, True), looser
        assert gate(http, good)["passed"]
        more = gate(http, good, min_score=100)
        assert (more["passed"], more["asked"]) == (False, ["policy house rules: fail-on high", "min-score 100"])
        assert "ポリシー" in str(gate(http, bad, lang="ja")) or gate(http, bad, lang="ja")["reasons"] != told["reasons"]
        report = http.get(f"/api/v1/scans/{bad}/report").json()
        assert report["gate"]["asked"] == told["asked"]
        assert not report["gate"]["passed"]
    done = served.command("upload", str(INSECURE), "--product", "asked")
    assert (done.returncode, "or worse" in done.stderr) == (1, True), done.stderr
    waivers = served.folder / "waivers.toml"
    waivers.write_text("".join(f'[[waiver]]\nrule = "{each["rule"]}"\nreason = "x"\nowner = "me"\nexpires = 2999-01-01\n'
                               for each in {each["rule"]: each for each in report["findings"]}.values()))  # fmt: skip
    done = served.command("upload", str(INSECURE), "--product", "asked", "--waivers", str(waivers), "--fail-on", "high")
    assert done.returncode == 1, done.stderr


@pytest.mark.usefixtures("scanned")
def test_the_policy_for_all_holds_where_a_product_keeps_none(served: Served) -> None:
    bad = version(served, INSECURE, "for all", "1.0")
    url = "/api/v1/products/for all/files/policy"
    with served.http() as http:
        assert http.get("/api/v1/policy").status_code == 404
        assert http.put("/api/v1/policy", content=b"[all]\nmin_scor = 1\n").json()["line"] == 2
        assert http.put("/api/v1/policy", content=STRICT).status_code == 200
        try:
            told = gate(http, bad)
            assert (told["passed"], told["policy"]["of"]) == (False, "server")
            assert http.get("/api/v1/products/for all/policy").json()["text"] == STRICT.decode()
            mild = http.put(url, content=b"[all]\nmin_score = 1\n").json()
            told = gate(http, bad)
            assert (told["passed"], told["policy"]["of"]) == (True, "product")
            assert http.delete(f"/api/v1/products/for all/files/{mild['id']}").status_code == 204
            assert not gate(http, bad)["passed"]
        finally:
            assert http.delete("/api/v1/policy").status_code == 204
        assert http.delete("/api/v1/policy").status_code == 404
        assert gate(http, bad)["passed"]


@pytest.mark.usefixtures("scanned")
def test_a_baseline_is_a_version_or_the_newest_that_went_out(served: Served) -> None:
    first, second = version(served, INSECURE, "since", "1.0"), version(served, REPAIRED, "since", "1.1")
    url = "/api/v1/products/since/baseline"
    with served.http() as http:
        http.put("/api/v1/products/since/files/policy", content=STRICT)
        assert http.get(url).json() == {"kind": "none", "scan": None, "version": None}
        assert http.put(url, json={"version": "1.0"}).json() == {"kind": "scan", "scan": first, "version": "1.0"}
        assert not gate(http, first)["passed"]  # no version is its own baseline
        third = version(served, INSECURE, "since", "1.2")
        told = gate(http, third)
        assert (told["passed"], told["baseline"]) == (True, first)
        assert gate(http, third, fail_on="high")["passed"]
        assert not gate(http, third, fail_on="high", baseline="none")["passed"]
        assert http.put(f"/api/v1/scans/{second}/release").json()["released"]
        assert http.put(url, json={"released": True}).json() == {"kind": "released", "scan": second, "version": "1.1"}
        told = gate(http, third)
        assert (told["passed"], told["baseline"]) == (False, second)
        assert any("new finding" in each for each in told["reasons"])
        assert http.put(f"/api/v1/scans/{third}/release").status_code == 200
        assert gate(http, third)["baseline"] == second  # what went out after it is no baseline of it
        assert http.delete(f"/api/v1/scans/{third}/release").json()["released"] is None
        assert [each["released"] is not None for each in http.get("/api/v1/products/since/history").json()["items"]] == [
            False, True, False,
        ]  # fmt: skip
        for wrong, status in (
            ({}, 400),
            ({"version": "1.0", "released": True}, 400),
            ({"version": "9"}, 404),
            ({"scan": "0" * 32}, 404),
        ):
            assert http.put(url, json=wrong).status_code == status, wrong
        assert http.delete(url).status_code == 204
        assert gate(http, third)["baseline"] is None
    with served.http(served.issue("auditor", ("other",))) as other:
        assert other.put(url, json={"released": True}).status_code == 404
        assert other.put(f"/api/v1/scans/{second}/release").status_code == 404


@pytest.mark.parametrize("served", ["embedded"], indirect=True, scope="session")  # what is outside makes no difference
@pytest.mark.usefixtures("scanned")
def test_a_baseline_without_a_policy_asks_that_nothing_be_new(served: Served) -> None:
    good, bad = version(served, REPAIRED, "nothing new", "1.0"), version(served, INSECURE, "nothing new", "1.1")
    with served.http() as http:
        http.put("/api/v1/products/nothing new/baseline", json={"scan": good})
        told = gate(http, bad)
        assert (told["passed"], told["asked"]) == (False, ["baseline 1.0"])
        assert gate(http, version(served, REPAIRED, "nothing new", "1.2"))["passed"]
