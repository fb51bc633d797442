"""The pages in a real browser (Chromium), by keyboard and mouse: sign in, upload, watch, read, compare, waive."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.identity import CLIENT, SECRET, Identity
from support.serving import INSECURE, REPAIRED, Served

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (apt-get install chromium)")
embedded = pytest.mark.parametrize("served", ["embedded"], indirect=True, scope="session")


@pytest.fixture
def page() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        problems: list[str] = []
        page.on("console", lambda told: problems.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.set_default_timeout(90_000)
        yield page
        browser.close()
        problems = [each for each in problems if not re.search("status of 40[01]", each)]  # which tests ask for
        assert problems == []  # nothing was blocked by the content policy, no script failed


def shot(page: Any, name: str) -> None:
    """A picture to look at, when a folder for them is named."""
    if folder := os.environ.get("FWCHECK_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def sign_in(served: Served, page: Any) -> None:
    page.goto(f"{served.url}/")
    assert page.url.endswith("/sign-in")
    shot(page, "sign-in")
    page.locator("input:focus").wait_for()  # given by the page, at its first rendering, which may come after "load"
    page.keyboard.type(served.token)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{served.url}/")


def both_ways(page: Any, name: str) -> None:
    """Pictures of a page in Japanese, in the dark, and on a narrow screen, which it fits."""
    page.get_by_role("link", name="日本語").click()
    sync_api.expect(page.locator("html")).to_have_attribute("lang", "ja")
    page.emulate_media(color_scheme="dark")
    shot(page, f"{name}-ja-dark")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 390, "height": 800})
    shot(page, f"{name}-ja-narrow")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1200, "height": 900})
    page.get_by_role("link", name="English").click()


@embedded
def test_somebody_checks_two_versions(served: Served, page: Any) -> None:
    sign_in(served, page)
    for version, image in (("1.0", INSECURE), ("1.1", REPAIRED)):
        page.goto(f"{served.url}/")
        page.get_by_label("Product", exact=True).fill("camera by browser")
        page.get_by_label("Version").fill(version)
        page.locator("input[name=image]").set_input_files(image)
        shot(page, "upload")
        page.get_by_role("button", name="Upload and check").click()
        page.wait_for_url(re.compile(r"/scans/[0-9a-f]{32}$"))
        shot(page, f"watching-{version}")
        page.get_by_role("link", name="Report", exact=True).wait_for()
        shot(page, f"scan-{version}")
    sync_api.expect(page.locator("main")).to_contain_text("The level is not refuted")
    page.get_by_role("link", name="What changed since the version before").click()
    sync_api.expect(page.locator("main")).to_contain_text("better")
    shot(page, "comparison")
    page.go_back()
    page.get_by_role("link", name="Report", exact=True).click()
    page.wait_for_url(re.compile("/report$"))
    assert page.locator("h1").inner_text()
    shot(page, "report")
    page.goto(f"{served.url}/products/camera by browser")
    page.locator("svg circle").first.wait_for()
    page.get_by_role("link", name="1.0", exact=True).first.click()
    page.get_by_text("Waive a finding").first.click()
    form = page.locator("details form").first
    form.get_by_label("Reason").fill("Laboratory build, never shipped.")
    form.get_by_label("Last day").fill((datetime.now(UTC) + timedelta(days=30)).date().isoformat())
    with page.expect_navigation():
        form.get_by_role("button").click()
    page.goto(f"{served.url}/products/camera by browser")
    assert "Laboratory build" in page.locator("main").inner_text()
    shot(page, "product")
    page.get_by_role("link", name="日本語").click()
    sync_api.expect(page.locator("html")).to_have_attribute("lang", "ja")
    page.emulate_media(color_scheme="dark")
    shot(page, "product-ja-dark")
    page.goto(f"{served.url}/search?q=busybox")
    shot(page, "search")
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{served.url}/")
    shot(page, "phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@embedded
def test_somebody_says_what_is_asked_of_a_product(served: Served, page: Any) -> None:
    for version, image in (("1.0", INSECURE), ("1.1", REPAIRED)):
        served.settled(served.upload(image, product="asked by browser", version=version).json()["id"])
    sign_in(served, page)
    page.get_by_text("Declaration, VEX, update keys").click()
    shot(page, "upload-along")
    page.goto(f"{served.url}/products/asked by browser")
    form = page.locator("form", has_text="Keep a file")
    form.get_by_label("File").set_input_files({"name": "product.toml", "mimeType": "text/plain", "buffer": b"[product]\n"})
    with page.expect_navigation():
        form.get_by_role("button", name="Save").click()
    page.get_by_label("Baseline").select_option(label="the newest released version")
    with page.expect_navigation():
        page.locator("form", has_text="Baseline").get_by_role("button").click()
    page.get_by_role("link", name="Show or change").click()
    page.get_by_label("policy.toml").fill("[all]\nmin_scor = 3\n")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("line 2").wait_for()
    shot(page, "policy-wrong")
    page.get_by_label("policy.toml").fill('[all]\nfail_on = "high"\n')
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Keep no policy here").wait_for()
    shot(page, "policy")
    both_ways(page, "policy")
    page.goto(f"{served.url}/products/asked by browser")
    shot(page, "product-asks")
    both_ways(page, "product-asks")
    page.get_by_role("link", name="1.0", exact=True).first.click()
    page.get_by_text("What is asked is not met").wait_for()
    shot(page, "scan-asked")
    with page.expect_navigation():
        page.get_by_role("button", name="Mark as released").click()
    shot(page, "scan-released")
    both_ways(page, "scan-released")


def test_somebody_signs_in_by_an_identity_provider(tmp_path: Path, page: Any) -> None:
    identity = Identity("localhost")  # for a browser another site than the service
    environment = {
        "FWCHECK_OIDC_ISSUER": identity.issuer, "FWCHECK_OIDC_CLIENT": CLIENT, "FWCHECK_OIDC_SECRET": SECRET,
        "FWCHECK_OIDC_NAME": "Example Identity", "FWCHECK_OIDC_GRANTS": '[{"value": "auditors", "role": "auditor"}]',
    }  # fmt: skip
    service = Served(tmp_path, workers=-1, environment=environment)
    try:
        page.goto(f"{service.url}/sign-in")
        shot(page, "sign-in-oidc")
        both_ways(page, "sign-in-oidc")
        page.get_by_role("link", name="Sign in by Example Identity").click()
        page.get_by_text("No image was uploaded yet").wait_for()
        assert "mika" in page.locator("header").inner_text()
        page.get_by_role("link", name="Policy").click()
        shot(page, "policy-none")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(f"{identity.issuer}/leave**")  # the content policy lets the form lead there
        page.goto(f"{service.url}/")
        assert page.url.endswith("/sign-in")
        identity.claims["groups"] = []
        page.get_by_role("link", name="Sign in by Example Identity").click()
        page.get_by_text("You have no role here").wait_for()
        shot(page, "sign-in-refused")
    finally:
        service.stop()
        identity.close()
