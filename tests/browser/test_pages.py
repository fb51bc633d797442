"""The pages in a real browser: filters work, evidence opens, nothing of an image runs, and those who cannot see can read them."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.reports import MIB, ROOT, coverage_of, device_of, finding_of, findings_of_router, report_of

from fwcheck.difference import compare
from fwcheck.fleet import Fleet, entry, gather
from fwcheck.model import Branch, Component, Device, Gap, Leaf, Quote, Report, Service, Severity, Span, Waiver
from fwcheck.reports import comparison, html
from fwcheck.reports import fleet as fleet_pages

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (apt-get install chromium)"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="playwright is not installed"),
]
SCRIPT = (
    "<script>window.owned=1</script><img src=x onerror='window.owned=2'>\"onmouseover='window.owned=3'javascript:window.owned=4"
)
QUOTE = Quote(kind="bytes", start=0x150, rows=("00 6c 69 67 68 74 74 70 64", "2f 31"), mark=0)
LINES = Quote(kind="lines", start=1, rows=("#!/bin/sh", "mount -a", "telnetd &"), mark=2)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        held = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield held
        held.close()


@pytest.fixture
def show(browser, tmp_path: Path) -> Iterator[Any]:
    """Opens a page in a window; what the browser complains of, and what it would load, fails the test."""
    windows: list[Any] = []
    complaints: list[str] = []

    def opened(source: str, **how: Any) -> Any:
        path = tmp_path / "page.html"
        path.write_text(source, encoding="utf-8")
        window = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **how})
        windows.append(window)
        page = window.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if request.url != path.as_uri() else None)
        page.on("dialog", lambda dialog: (complaints.append("dialog"), dialog.dismiss()))
        page.goto(path.as_uri())
        return page

    yield opened
    for window in windows:
        window.close()
    assert complaints == []


def whole() -> Report:
    found = [*findings_of_router(), msgspec.structs.replace(finding_of("NET-009", "S1.1-13", title="marked"), quote=LINES)]
    many = [finding_of("FS-003", "S1.1-11", path=f"/etc/file-{number}", cause=str(number)) for number in range(30)]
    spans = (Span(offset=0, length=8 * MIB, kind="explained", label="trx@0x0"),)
    coverage = msgspec.structs.replace(
        coverage_of(gaps=[Gap(node="x", reason="broken", bytes=3)]), spans=spans, entropy=(1.0, 7.9)
    )
    leaves = tuple(Leaf(path=f"/etc/file-{number}", mode="-rw-r--r--", size=1) for number in range(30))
    report = report_of([*found, *many], coverage)
    return msgspec.structs.replace(report, tree=(Branch(chain=ROOT, leaves=leaves),))


def fleet() -> Fleet:
    entries = [
        msgspec.structs.replace(
            entry(report_of(findings_of_router()), "bad.bin", b"s", {"html": "reports/bad.html"}), sha256="a"
        ),
        msgspec.structs.replace(entry(report_of([], device=Device()), "good.bin", b"s", {}), sha256="b"),
    ]
    return gather(entries, tool="1", rules_digest="d", target="STAR-1", database_date=None)


def shown(page: Any, what: str = "article") -> int:
    return int(page.evaluate(f"[...document.querySelectorAll('{what}')].filter(each => each.checkVisibility()).length"))


def told(page: Any, words: str) -> None:
    from playwright.sync_api import expect

    expect(page.get_by_role("status")).to_have_text(words, timeout=20_000)


def test_findings_are_filtered_by_severity_and_words(show) -> None:
    page = show(html.render(whole()))
    total = page.locator("article").count()
    page.get_by_role("button", name="critical", exact=True).click()
    assert 0 < shown(page) < total
    assert page.get_by_role("button", name="critical", exact=True).get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="all", exact=True).click()
    page.get_by_label("Search findings").fill("file-27")
    told(page, "1 shown")
    assert shown(page) == 1
    assert page.get_by_text("/etc/file-27").first.is_visible()
    page.get_by_label("Search findings").fill("no such words")
    told(page, "0 shown")
    assert shown(page) == 0


def test_what_is_new_and_what_is_waived_can_be_filtered(show) -> None:
    waiver = Waiver(reason="test jig", owner="kim", expires="2027-01-31")
    report = whole()
    found = [
        msgspec.structs.replace(each, baseline="new" if each.location.path == "/etc/file-27" else "known")
        for each in report.findings
    ]
    found[0] = msgspec.structs.replace(found[0], waived=True, waiver=waiver)
    page = show(html.render(report_of(found)))
    page.get_by_role("button", name="new since the baseline").press("Enter")
    told(page, "1 shown")
    assert page.locator("article[data-new]").is_visible()
    page.get_by_role("button", name="new since the baseline").press("Enter")
    page.get_by_role("button", name="waived", exact=True).click()
    told(page, "2 shown")
    assert page.get_by_text("test jig (Owner: kim, until: 2027-01-31)").is_visible()


def test_evidence_opens_by_keyboard(show) -> None:
    page = show(html.render(whole()))
    quote = page.locator("article", has_text="in its file").locator("details.quote")
    assert not quote.locator("pre").is_visible()
    quote.locator("summary").focus()
    page.keyboard.press("Enter")
    assert quote.locator("mark").inner_text().split() == ["3", "telnetd", "&"]


def test_a_link_to_a_finding_opens_what_hides_it(show) -> None:
    page = show(html.render(whole()))
    page.locator("details.branch > summary").click()
    page.locator("details.branch li details > summary").first.click()
    page.locator("details.branch a", has_text="file-29").click()
    assert page.locator("article:target").is_visible()


def test_names_that_are_scripts_are_shown_and_do_not_run(show) -> None:
    found = [
        msgspec.structs.replace(
            finding_of("NET-001", "S1.1-13", title=SCRIPT, path=f"/{SCRIPT}", evidence=SCRIPT),
            quote=Quote(kind="lines", start=1, rows=(SCRIPT,)), explanation=SCRIPT, remediation=SCRIPT, refuted_by=SCRIPT,
        )
    ]  # fmt: skip
    device = msgspec.structs.replace(
        device_of(), platform=SCRIPT, components=(Component(name=SCRIPT, version=SCRIPT),),
        services=(Service(name=SCRIPT, program=SCRIPT, enabled="yes", started_by=SCRIPT, condition=SCRIPT),),
    )  # fmt: skip
    report = report_of(found, coverage_of(gaps=[Gap(node=SCRIPT, reason=SCRIPT)]), device, name=SCRIPT)
    leaf = Leaf(path=f"/{SCRIPT}", mode="-rw-r--r--", size=1, target=SCRIPT)
    report = msgspec.structs.replace(report, tree=(Branch(chain=(SCRIPT,), format=SCRIPT, leaves=(leaf,)),))
    page = show(html.render(report))
    page.locator("details").evaluate_all("all => all.forEach(each => each.open = true)")
    page.mouse.move(300, 300)
    assert page.evaluate("window.owned") is None
    assert page.locator("img").count() == 0
    assert page.locator("h1").inner_text() == SCRIPT
    assert page.locator("script").count() == 1
    assert page.get_by_text("window.owned=1").count() > 8


def test_the_policy_stops_what_somebody_adds_to_the_page(browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(html.render(whole()).replace("</main>", "<script>window.owned=1</script></main>"), encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    assert page.evaluate("window.owned") is None
    page.close()


@pytest.mark.parametrize(
    "how", [{}, {"viewport": {"width": 390, "height": 800}}, {"color_scheme": "dark"}], ids=["wide", "narrow", "dark"]
)
def test_a_check_for_accessibility_finds_nothing(show, how) -> None:
    pytest.importorskip("axe_playwright_python")
    (axe,) = [each for each in files("axe_playwright_python").iterdir() if each.name == "axe.min.js"]
    page = show(html.render(whole()), bypass_csp=True, **how)
    page.evaluate(axe.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize("width", [1280, 390], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", ["comparison", "fleet"])
def test_the_other_pages_are_accessible_and_fit(show, name: str, width: int) -> None:
    pytest.importorskip("axe_playwright_python")
    (axe,) = [each for each in files("axe_playwright_python").iterdir() if each.name == "axe.min.js"]
    source = (
        comparison.html(compare(whole(), report_of([], name="new.bin"))) if name == "comparison" else fleet_pages.html(fleet())
    )
    page = show(source, bypass_csp=True, viewport={"width": width, "height": 800})
    page.locator("details").evaluate_all("all => all.forEach(each => each.open = true)")
    page.evaluate(axe.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_what_got_worse_is_shown_alone(show) -> None:
    old, new = report_of([]), report_of(findings_of_router(), device=device_of(), name="new.bin")
    page = show(comparison.html(compare(old, new)))
    worse = page.locator("tr[data-tone=worse]").count()
    page.get_by_role("button", name="worse", exact=True).press("Enter")
    told(page, f"{worse} shown")
    assert shown(page, "tbody tr") == worse > 0


def test_the_graph_shows_what_starts_and_opens_by_keyboard(show) -> None:
    page = show(html.render(whole()))
    node = page.locator("details.node", has_text="telnetd")
    assert not node.locator("code").first.is_visible()
    node.locator("summary").press("Enter")
    assert node.get_by_text("/usr/sbin/telnetd -l /bin/login").is_visible()
    boxes = [page.locator(each).first.bounding_box() for each in (".starter", "details.node", ".opens .port")]
    assert [round(each["x"]) for each in boxes] == sorted(round(each["x"]) for each in boxes)  # from left to right


def test_five_thousand_findings_are_searched_in_good_time(show) -> None:
    found = [
        finding_of(f"FS-{number % 40:03}", "S1.1-11", path=f"/etc/{number}", evidence="y" * 90, cause=str(number),
                   severity=list(Severity)[number % 4])
        for number in range(5000)
    ]  # fmt: skip
    page = show(html.render(report_of(found)))
    page.get_by_label("Search findings").fill("/etc/4711")
    told(page, "1 shown")


def test_on_paper_all_criteria_and_findings_are_there(show) -> None:
    page = show(html.render(whole()))
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert shown(page, "details.row > div") == page.locator("details.level[open] > details.row").count() >= 16
    assert not page.locator("nav").is_visible()
    assert page.locator("mark").first.is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_the_fleet_is_sorted_and_searched(show) -> None:
    page = show(fleet_pages.html(fleet()))
    names = page.locator("tbody th[scope=row]")
    assert "bad.bin" in names.first.inner_text()
    page.get_by_role("button", name="Score").click()
    assert "good.bin" in names.first.inner_text()
    page.get_by_label("Search images").fill("bad")
    assert shown(page, "#table tbody tr") == 1
