"""Signing in by an identity provider, and everything that must not let anybody in."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.identity import CLIENT, SECRET, Identity, Key
from support.serving import Served

from fwcheck.service import oidc
from fwcheck.service.settings import Settings, SettingsError, load

GRANTS = [
    {"value": "auditors", "role": "auditor"},
    {"value": "camera team", "role": "uploader", "products": ["camera", "doorbell"]},
    {"value": "chiefs", "role": "admin", "products": ["camera"]},
]


@pytest.fixture(scope="module")
def identity() -> Iterator[Identity]:
    provider = Identity()
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def signing(identity: Identity, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    environment = {
        "FWCHECK_OIDC_ISSUER": identity.issuer, "FWCHECK_OIDC_CLIENT": CLIENT, "FWCHECK_OIDC_SECRET": SECRET,
        "FWCHECK_OIDC_GRANTS": json.dumps(GRANTS), "FWCHECK_OIDC_NAME": "the house",
    }  # fmt: skip
    service = Served(tmp_path_factory.mktemp("signing"), workers=-1, environment=environment)
    yield service
    service.stop()


@pytest.fixture
def provider(identity: Identity) -> Iterator[Identity]:
    """The provider as it should be; what a test spoils is mended after it."""
    yield identity
    identity.spoil, identity.signer, identity.refuse = (lambda _header, _claims: None), None, ""
    identity.claims = {"sub": "17", "preferred_username": "mika", "groups": ["auditors"]}


@pytest.fixture
def browser(signing: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=signing.url, timeout=60) as http:
        yield http


def begun(browser: httpx.Client) -> str:
    """The address at which a browser comes back from the provider."""
    there = browser.get("/sign-in/oidc")
    assert there.status_code == 303, there.text
    answer = httpx.get(there.headers["location"], timeout=60)
    assert answer.status_code == 302
    return str(answer.headers["location"])


def refused(browser: httpx.Client, address: str, status: int = 401) -> str:
    answer = browser.get(address)
    assert answer.status_code == status, answer.text
    assert "fwcheck_visit" not in browser.cookies
    assert browser.get("/").status_code == 303
    return answer.text


def test_somebody_signs_in_and_out(browser: httpx.Client, provider: Identity, signing: Served) -> None:
    assert "the house" in browser.get("/sign-in").text
    answer = browser.get(begun(browser))
    assert (answer.status_code, answer.headers["location"]) == (303, "/"), answer.text
    cookies = " ".join(answer.headers.get_list("set-cookie")).lower()
    assert cookies.count("httponly") == 1
    home = browser.get("/")
    assert "mika" in home.text
    assert f"form-action 'self' {provider.issuer.removesuffix('/realm')}" in home.headers["content-security-policy"]
    assert browser.get("/search").status_code == 200
    assert browser.get("/api/v1/tokens").status_code == 403
    with signing.http() as admin:
        (row,) = [each for each in admin.get("/api/v1/tokens").json() if each["signed_on"]]
    assert (row["name"], row["role"], row["products"]) == ("mika", "auditor", [])
    for secret in ("", "x", "_"):
        headers = {"Authorization": f"Bearer fwc_{row['id']}_{secret}"}
        assert httpx.get(f"{signing.url}/api/v1/products", headers=headers).status_code == 401
    found = re.search(r'name="mark" value="([0-9a-f]{64})"', home.text)
    assert found
    out = browser.post("/sign-out", data={"mark": found[1]})
    assert out.headers["location"].startswith(f"{provider.issuer}/leave?client_id={CLIENT}&post_logout_redirect_uri=")
    assert browser.get("/").headers["location"] == "/sign-in"


def test_a_role_is_that_of_the_last_sign_in(browser: httpx.Client, provider: Identity, signing: Served) -> None:
    for groups, role, products in (
        (["chiefs", "auditors"], "admin", ["camera"]),  # the role of one grant never goes with the products of another
        (["camera team"], "uploader", ["camera", "doorbell"]),
        (["auditors"], "auditor", []),
    ):
        provider.claims |= {"groups": groups, "sub": "23", "preferred_username": "rei\x1b[2J"}
        assert browser.get(begun(browser)).status_code == 303
        with signing.http() as admin:
            (row,) = [each for each in admin.get("/api/v1/tokens").json() if each["name"] == "rei_[2J"]
        assert (row["role"], sorted(row["products"])) == (role, products)
    provider.claims |= {"groups": ["nobody"]}
    with httpx.Client(base_url=signing.url, timeout=60) as other:
        assert "no role here" in refused(other, begun(other))
    provider.claims |= {"groups": ["auditors"]}
    with signing.http() as admin:
        assert admin.delete(f"/api/v1/tokens/{row['id']}").status_code == 204
    assert browser.get("/").headers["location"] == "/sign-in"  # at once
    with httpx.Client(base_url=signing.url, timeout=60) as other:
        assert "no role here" in refused(other, begun(other))


def test_a_state_that_is_not_of_this_browser_lets_nobody_in(browser: httpx.Client, signing: Served) -> None:
    address = begun(browser)
    with httpx.Client(base_url=signing.url, timeout=60) as stranger:
        refused(stranger, address)  # without the cookie
        begun(stranger)
        refused(stranger, address)  # with that of another try
    refused(browser, re.sub(r"state=\w+", "state=" + "0" * 64, address))
    begun(browser)
    cookie = browser.cookies.get("fwcheck_try")
    assert cookie
    browser.cookies.set("fwcheck_try", "9" + cookie[1:], domain="127.0.0.1", path="/sign-in/oidc")
    refused(browser, address)


@pytest.mark.usefixtures("provider")
def test_a_code_is_good_for_one_sign_in(browser: httpx.Client) -> None:
    address = begun(browser)
    cookie = browser.cookies.get("fwcheck_try")
    assert browser.get(address).status_code == 303
    browser.cookies.clear()
    refused(browser, address)  # the browser has forgotten the try
    browser.cookies.set("fwcheck_try", cookie or "", domain="127.0.0.1", path="/sign-in/oidc")
    refused(browser, address)  # and the provider the code


def test_a_provider_that_refuses_is_told(browser: httpx.Client, provider: Identity) -> None:
    provider.refuse = "access_denied"
    assert "refused the sign-in" in refused(browser, begun(browser))


HOUR = 3600
SPOILT: list[tuple[dict[str, Any], dict[str, Any], str]] = [  # header, claims (numbers of seconds from now; None: left out)
    ({}, {"nonce": "0" * 64}, "nonce"),
    ({}, {"nonce": None}, "nonce"),
    ({}, {"exp": -HOUR}, "expired"),
    ({}, {"exp": None}, "expired"),
    ({}, {"exp": "9999999999"}, "expired"),
    ({}, {"iat": HOUR}, "from the future"),
    ({}, {"iat": None}, "from the future"),
    ({}, {"nbf": HOUR}, "not valid yet"),
    ({}, {"aud": "other"}, "another audience"),
    ({}, {"aud": None}, "another audience"),
    ({}, {"aud": [CLIENT, "other"]}, "another party"),
    ({}, {"aud": [CLIENT, "other"], "azp": "other"}, "another party"),
    ({}, {"iss": "https://other.example"}, "another issuer"),
    ({}, {"sub": None}, "no subject"),
    ({"alg": "none"}, {}, "algorithm none"),
    ({"alg": "HS256"}, {}, "algorithm HS256"),
    ({"alg": 5}, {}, "algorithm 5"),
    ({"alg": "ES256"}, {}, "does not publish"),
    ({"kid": "unknown"}, {}, "does not publish"),
    ({"kid": 5}, {}, "does not publish"),
    ({"crit": ["x"], "x": 1}, {}, "Error"),
]


@pytest.mark.parametrize(("header", "claims", "reason"), SPOILT, ids=lambda each: str(each)[:40])
def test_a_token_that_is_not_as_it_has_to_be_lets_nobody_in(
    browser: httpx.Client, provider: Identity, signing: Served, header: dict[str, Any], claims: dict[str, Any], reason: str
) -> None:
    def spoil(head: dict[str, Any], body: dict[str, Any]) -> None:
        head.update(header)
        body.update({name: time.time() + value if isinstance(value, int) else value for name, value in claims.items()})
        for name in [name for name, value in body.items() if value is None]:
            del body[name]

    provider.spoil = spoil
    refused(browser, begun(browser))
    assert reason in signing.events("sign-in failed")[-1]["reason"]


def test_a_token_signed_by_a_stranger_lets_nobody_in(browser: httpx.Client, provider: Identity) -> None:
    stranger = Key()
    stranger.kid = provider.keys[0].kid
    provider.signer = stranger
    refused(browser, begun(browser))


def test_keys_change(tmp_path: Path, provider: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    from fwcheck.service.secret import InstallationKey

    settings = Settings(data=tmp_path, oidc_issuer=provider.issuer, oidc_client=CLIENT)
    mine = oidc.Provider(settings, InstallationKey(b"key"))
    assert mine.claims(provider.token("n"), "n")["sub"] == "17"
    old = provider.keys
    try:
        provider.keys = [Key("EC"), *old]
        before = provider.asked.count("/realm/keys")
        with pytest.raises(oidc.SignInError, match="does not publish"):
            mine.claims(provider.token("n"), "n")  # its keys were asked for a moment ago: a flood of tokens asks no more often
        assert provider.asked.count("/realm/keys") == before
        monkeypatch.setattr(oidc, "_AGAIN", 0.0)
        assert mine.claims(provider.token("n"), "n")["sub"] == "17"
        assert provider.asked.count("/realm/keys") == before + 1
    finally:
        provider.keys = old


def test_a_try_ends_after_a_while(tmp_path: Path, provider: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    from fwcheck.service.secret import InstallationKey

    settings = Settings(data=tmp_path, oidc_issuer=provider.issuer, oidc_client=CLIENT, oidc_secret=SECRET)
    mine = oidc.Provider(settings, InstallationKey(b"key"))
    cookie, _ = mine.begin("http://x/back")
    later = time.time() + 700
    monkeypatch.setattr(oidc.time, "time", lambda: later)
    with pytest.raises(oidc.SignInError, match="too long"):
        mine.finish(cookie, {"state": "x", "code": "y"}, "http://x/back")


def test_a_provider_that_is_away_leaves_tokens_good(tmp_path: Path) -> None:
    environment = {
        "FWCHECK_OIDC_ISSUER": "http://127.0.0.1:1", "FWCHECK_OIDC_CLIENT": CLIENT, "FWCHECK_OIDC_GRANTS": json.dumps(GRANTS),
    }  # fmt: skip
    service = Served(tmp_path, workers=-1, environment=environment)
    try:
        with httpx.Client(base_url=service.url, timeout=60) as http:
            answer = http.get("/sign-in/oidc")
            assert (answer.status_code, "does not answer" in answer.text) == (503, True)
            assert http.post("/sign-in", data={"token": service.token}).status_code == 303
            assert http.get("/").status_code == 200
    finally:
        service.stop()


@pytest.mark.parametrize("served", ["embedded"], indirect=True, scope="session")
def test_without_a_provider_there_is_no_such_page(served: Served) -> None:
    assert httpx.get(f"{served.url}/sign-in/oidc").status_code == 404
    assert "/sign-in/oidc" not in httpx.get(f"{served.url}/sign-in").text


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"oidc_issuer": "http://identity.example"}, "https"),
        ({"oidc_issuer": "https://identity.example"}, "oidc_client"),
        ({"oidc_issuer": "https://identity.example", "oidc_client": "x"}, "oidc_grants"),
        ({"oidc_grants": [{"value": "x", "role": "king"}]}, "role"),
        ({"public_url": "fwcheck.example"}, "public_url"),
    ],
)
def test_settings_that_would_let_nobody_or_anybody_in_are_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        load(None, given, {})


def test_claims_may_be_inside_others() -> None:
    settings = load(None, {"oidc_claim": "realm_access.roles", "oidc_grants": [{"value": "*", "role": "uploader"}, *GRANTS]}, {})
    assert oidc.granted(settings, {"realm_access": {"roles": ["auditors"]}})[0].word == "auditor"
    assert oidc.granted(settings, {"realm_access": ["auditors"]})[0].word == "uploader"
