"""Who may do what: every route times every role, and nothing at all without a token."""

from __future__ import annotations

import re
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from support.serving import REPAIRED, Served

pytestmark = pytest.mark.parametrize(
    "served", ["embedded"], indirect=True, scope="session"
)  # what is outside makes no difference

ROLES = ("uploader", "auditor", "admin")
# Route, and the least role that may ask. Routes that are missing here fail test_every_route_is_in_the_matrix.
MATRIX = {
    ("POST", "/api/v1/scans"): "uploader",
    ("GET", "/api/v1/scans/{scan}"): "uploader",
    ("GET", "/api/v1/scans/{scan}/report"): "uploader",
    ("GET", "/api/v1/scans/{scan}/gate"): "uploader",
    ("GET", "/api/v1/scans/{scan}/comparison"): "uploader",
    ("GET", "/api/v1/scans/{scan}/events"): "uploader",
    ("POST", "/api/v1/uploads"): "uploader",
    ("GET", "/api/v1/uploads/{upload}"): "uploader",
    ("PATCH", "/api/v1/uploads/{upload}"): "uploader",
    ("DELETE", "/api/v1/uploads/{upload}"): "uploader",
    ("GET", "/api/v1/products"): "uploader",
    ("GET", "/api/v1/products/{name}/waivers"): "uploader",
    ("POST", "/api/v1/products/{name}/waivers"): "auditor",
    ("DELETE", "/api/v1/products/{name}/waivers/{waiver}"): "auditor",
    ("GET", "/api/v1/scans/{scan}/files"): "uploader",
    ("GET", "/api/v1/products/{name}/files"): "uploader",
    ("GET", "/api/v1/products/{name}/files/{file}"): "uploader",
    ("PUT", "/api/v1/products/{name}/files/{kind}"): "auditor",
    ("DELETE", "/api/v1/products/{name}/files/{file}"): "auditor",
    ("PUT", "/api/v1/scans/{scan}/release"): "auditor",
    ("DELETE", "/api/v1/scans/{scan}/release"): "auditor",
    ("GET", "/api/v1/products/{name}/policy"): "uploader",
    ("GET", "/api/v1/products/{name}/baseline"): "uploader",
    ("PUT", "/api/v1/products/{name}/baseline"): "auditor",
    ("DELETE", "/api/v1/products/{name}/baseline"): "auditor",
    ("GET", "/api/v1/policy"): "uploader",
    ("PUT", "/api/v1/policy"): "admin",
    ("DELETE", "/api/v1/policy"): "admin",
    ("GET", "/api/v1/search"): "auditor",
    ("GET", "/metrics"): "auditor",
    ("GET", "/api/v1/audit"): "admin",
    ("GET", "/api/v1/webhooks"): "admin",
    ("POST", "/api/v1/webhooks"): "admin",
    ("DELETE", "/api/v1/webhooks/{webhook}"): "admin",
    ("GET", "/api/v1/products/{name}/history"): "uploader",
    ("GET", "/api/v1/tokens"): "admin",
    ("POST", "/api/v1/tokens"): "admin",
    ("DELETE", "/api/v1/tokens/{token}"): "admin",
}
OPEN = {("GET", "/health"), ("GET", "/ready")}


@pytest.fixture(scope="session")
def tokens(served: Served) -> dict[str, str]:
    return {role: served.issue(role) for role in ROLES}


def ask(served: Served, method: str, route: str, token: str) -> int:
    path = route.replace("{name}", "none").replace("{token}", "0" * 12)
    path = re.sub(r"\{\w+\}", "0" * 32, path)
    with served.http(token) as http:
        return http.request(method, path).status_code


@pytest.mark.parametrize(("method", "route"), MATRIX)
def test_a_route_answers_its_role_and_those_above(served: Served, tokens: dict[str, str], method: str, route: str) -> None:
    least = ROLES.index(MATRIX[method, route])
    for role, token in tokens.items():
        status = ask(served, method, route, token)
        assert (status not in {401, 403}) == (ROLES.index(role) >= least), (role, status)
        assert status < 500
    for nobody in ("", "fwc_000000000000_x", "fwc__", "x" * 5000, tokens["admin"][:-1], tokens["admin"] + "x"):
        assert ask(served, method, route, nobody) == 401


def test_every_route_is_in_the_matrix(served: Served) -> None:
    with served.http() as http:
        paths = http.get("/schema").json()["paths"]
    routes = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert routes - OPEN == set(MATRIX)


def test_nothing_is_told_without_a_token(served: Served) -> None:
    with served.http("") as http:
        for path in ("/schema", "/schema/openapi.json", "/api/v1/products"):
            assert http.get(path).status_code == 401
        answer = http.get("/health")
    assert answer.json() == {"status": "alive"}
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_grants_hide_every_other_product(served: Served, scanned: dict[str, str]) -> None:
    token = served.issue("auditor", ("mine",))
    assert served.upload(REPAIRED, product="sample router", token=token).status_code == 403
    mine = served.upload(REPAIRED, product="mine", token=token)
    assert mine.status_code == 202
    with served.http(token) as http:
        assert [each["name"] for each in http.get("/api/v1/products").json()["items"]] == ["mine"]
        assert http.get(f"/api/v1/scans/{mine.json()['id']}").status_code == 200
        for path in (
            f"/api/v1/scans/{scanned['insecure']}",
            f"/api/v1/scans/{scanned['insecure']}/report",
            f"/api/v1/scans/{scanned['insecure']}/gate",
            "/api/v1/products/sample router/history",
        ):
            assert http.get(path).status_code == 404, path


def test_revoked_and_expired_tokens_end_at_once(served: Served) -> None:
    token = served.issue("uploader")
    id = token.split("_")[1]
    assert ask(served, "GET", "/api/v1/products", token) == 200
    with served.http() as http:
        assert http.delete(f"/api/v1/tokens/{id}").status_code == 204
        own = served.token.split("_")[1]
        assert http.delete(f"/api/v1/tokens/{own}").status_code == 409
        past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        assert http.post("/api/v1/tokens", json={"name": "x", "role": "admin", "expires": past}).status_code == 400
        assert http.post("/api/v1/tokens", json={"name": "x", "role": "king"}).status_code == 400
    assert ask(served, "GET", "/api/v1/products", token) == 401
    soon = served.issue("uploader", expires=(datetime.now(UTC) + timedelta(seconds=1)).isoformat())
    assert ask(served, "GET", "/api/v1/products", soon) in {200, 401}
    import time

    time.sleep(1.1)
    assert ask(served, "GET", "/api/v1/products", soon) == 401


def test_no_secret_is_kept_or_logged(served: Served, tokens: dict[str, str]) -> None:
    secrets = [token.split("_", 2)[2] for token in (*tokens.values(), served.token)]
    dump = ""
    if served.embedded:
        with sqlite3.connect(served.data / "fwcheck.sqlite") as base:
            dump = "\n".join(base.iterdump())
    log = "".join(line for line in served.log.read_text().splitlines() if "this once" not in line)
    for secret in secrets:
        assert secret not in dump
        assert secret not in log
