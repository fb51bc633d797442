"""The HTML report needs nothing but itself, and runs nothing that an image put into it."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from html.parser import HTMLParser

import msgspec
import pytest
from support.reports import MIB, ROOT, coverage_of, device_of, finding_of, report_of
from support.wording import claims

from fwcheck.gate import Demands, evaluate
from fwcheck.model import (
    BootStep,
    Branch,
    Component,
    Device,
    Evidence,
    Gap,
    Leaf,
    Listener,
    Location,
    Quote,
    Report,
    Service,
    Severity,
    Span,
    Waiver,
)
from fwcheck.reports import boot_graph, html, view

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}&amp;\u202e\x1b[2J\udce9"
VOID = {"meta", "br", "img", "input", "rect", "link", "hr"}


class Page(HTMLParser):
    """Tags, attributes and texts of a page; nesting is checked on the way."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.blocks: dict[str, list[str]] = {"script": [], "style": []}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        at = self.open[-1] if self.open else ""
        self.blocks.get(at, self.texts).append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def whole(**how) -> Report:
    gaps = [Gap(node="router.bin › /usr/lib/x.so", reason="block 7 is broken", bytes=12_345)]
    report = report_of(coverage=coverage_of(unknown=MIB, gaps=gaps), **how)
    return msgspec.structs.replace(report, gate=evaluate(report, Demands(min_tier="STAR-1", min_score=90)))


def hostile() -> Report:
    found = [finding_of("NET-001", "S1.1-13", title=HOSTILE, path=f"/{HOSTILE[:-1]}", evidence=HOSTILE)]
    device = msgspec.structs.replace(
        device_of(),
        platform=HOSTILE,
        services=(Service(name=HOSTILE, program=HOSTILE, arguments=HOSTILE, enabled="yes", user=HOSTILE, started_by=HOSTILE),),
        components=(Component(name=HOSTILE, version=HOSTILE),),
    )
    coverage = coverage_of(gaps=[Gap(node=HOSTILE, reason=HOSTILE, bytes=1)])
    spans = (Span(offset=0, length=8 * MIB, kind="explained", label=HOSTILE),)
    return report_of(found, msgspec.structs.replace(coverage, spans=spans), device, name=HOSTILE)


def test_what_a_reader_needs_is_there() -> None:
    text = Page(html.render(whole())).text
    for expected in (
        "STAR-1 is refuted by 3 criteria",
        "OpenWrt 19.07.8",
        "block 7 is broken",
        "/etc/shadow:1",
        "root:$1****** (28 characters)",
        "Remove it from the image.",
        "CVE-2018-1000517 9.8",
        "support ended 2019-12-31",
        "Guessing attack against every network log-in",
        "score = 100 - points lost",
        "Proxy profile",
        "tcp/23",
        "hash (md5), cracked",
    ):
        assert expected in text


def test_every_criterion_of_every_level_is_there_once() -> None:
    ids = [attributes.get("id") for _, attributes in Page(html.render(whole())).tags]
    assert [each for each in ids if each and each.startswith(("S1.1-", "FWC"))] == [row.id for row in whole().tiers[-1].criteria]
    named = [each for each in ids if each]
    assert len(named) == len(set(named))


def test_every_link_leads_somewhere_inside_the_page() -> None:
    page = Page(html.render(whole()))
    ids = {attributes.get("id") for _, attributes in page.tags}
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links
    assert all(link.startswith("#") and link[1:] in ids for link in links)


@pytest.mark.parametrize("report", [whole(), hostile()], ids=["usual", "hostile"])
def test_nothing_is_loaded_and_nothing_foreign_runs(report: Report) -> None:
    page = Page(html.render(report))
    assert [tag for tag, _ in page.tags if tag in {"script", "style"}] == ["style", "script"]
    assert not [tag for tag, _ in page.tags if tag in {"img", "link", "iframe", "object", "embed", "base", "form"}]
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name in {"style", "src", "srcset", "action"}]


def test_the_policy_allows_the_two_blocks_by_hash_and_nothing_else() -> None:
    page = Page(html.render(hostile()))
    (policy,) = [each["content"] for _, each in page.tags if each.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    for tag in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256("".join(page.blocks[tag]).encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_hostile_text_is_shown_as_text() -> None:
    source = html.render(hostile())
    assert "<script>alert" not in source
    assert "<img" not in source
    text = Page(source).text
    assert "<script>alert(1)</script>" in text
    assert "{{ 7*7 }}" in text
    assert "\\u202e\\x1b[2J" in text
    assert "\\xe9" in text
    source.encode()


def test_the_page_is_well_nested() -> None:
    assert Page(html.render(hostile())).open == []


def test_the_map_shows_spans_where_there_are_any() -> None:
    spans = (
        Span(offset=0, length=2 * MIB, kind="explained", label="kernel"),
        Span(offset=2 * MIB, length=6 * MIB, kind="encrypted"),
        Span(offset=8 * MIB, length=MIB, kind="unknown"),
    )
    drawn = html.bars(report_of([], msgspec.structs.replace(coverage_of(), spans=spans)))
    assert [(each.x, each.width, each.kind, each.label) for each in drawn] == [
        (0.0, 25.0, "explained", "kernel"),
        (25.0, 75.0, "encrypted", ""),
    ]
    assert drawn[1].tip == "0x200000, 6.0 MiB: encrypted"


def test_the_map_falls_back_to_classes_of_bytes() -> None:
    drawn = html.bars(report_of([], coverage_of(unknown=MIB)))
    assert [(each.kind, each.width) for each in drawn] == [("explained", 75.0), ("padding", 12.5), ("unknown", 12.5)]


def test_an_empty_coverage_has_no_map() -> None:
    report = msgspec.structs.replace(report_of(), coverage=type(coverage_of())())
    assert html.bars(report) == []
    html.render(report)


def test_secrets_stay_out_unless_asked_for() -> None:
    assert "hunter2secret" not in html.render(whole())
    assert "HASHHASH" not in html.render(whole(), show_secrets=True)
    assert "hunter2secret" in html.render(whole(), show_secrets=True)
    assert "f0und-it" not in html.render(whole())
    assert "f0und-it" in html.render(whole(), show_secrets=True)


def test_japanese_pages_say_so_and_use_japanese_titles() -> None:
    source = html.render(whole(), lang="ja")
    assert '<html lang="ja">' in source
    assert "不要なインタフェースの無効化" in source


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_no_text_claims_a_positive_verdict(lang) -> None:
    for report in (whole(), report_of([], coverage_of(files=0), Device())):
        assert claims(Page(html.render(report, lang=lang)).text) == []


def test_the_same_report_gives_the_same_page() -> None:
    assert html.render(whole()) == html.render(whole())


def test_timing_does_not_reach_the_page() -> None:
    assert html.render(whole()) == html.render(msgspec.structs.replace(whole(), timing={"total": 99.0}))


def test_thousands_of_findings_stay_quick_and_small() -> None:
    found = [
        finding_of(f"FS-{number % 40:03}", "S1.1-11", path=f"/etc/{number}", evidence="x" * 120, cause=str(number))
        for number in range(5000)
    ]
    report = report_of(found)
    begun = time.process_time()
    source = html.render(report)
    assert time.process_time() - begun < 1
    assert len(re.findall("<article", source)) == 5000
    assert len(source.encode()) < 5_000_000


def test_what_to_mend_first_is_what_refutes_the_level() -> None:
    found = [
        finding_of("CVE-001", "S1.1-09", verdict="concern", severity=Severity.CRITICAL, title="old"),
        finding_of("NET-001", "S1.1-13", severity=Severity.MEDIUM, title="telnet", path="/a"),
        finding_of("NET-001", "S1.1-13", severity=Severity.MEDIUM, title="telnet", path="/b", cause="2"),
        finding_of("DBG-001", "S1.1-13", severity=Severity.HIGH, title="waived", waived=True),
    ]
    steps = view.fix_first(report_of(found))
    assert [(each.finding.title, each.places, each.refutes) for each in steps] == [("telnet", 2, True), ("old", 1, False)]
    assert steps[0].criteria == ("S1.1-13",)


def test_a_rule_says_once_what_all_its_findings_have_in_common() -> None:
    found = [finding_of("FS-003", "S1.1-11", path=f"/etc/{number}", cause=str(number)) for number in range(12)]
    source = html.render(report_of(found))
    assert source.count("It lets a stranger in.") == 1
    assert "12 places" in source
    assert "and 7 more" in source


def test_a_waived_finding_says_why_who_and_until_when() -> None:
    jig = Waiver(reason=f"test jig {HOSTILE}", owner="kim", expires="2027-01-31")
    lab = Waiver(reason="lab only", owner="aiko", expires="2027-02-28")
    found = [
        msgspec.structs.replace(finding_of("FS-003", "S1.1-11", path=f"/etc/{at}", cause=str(at), waived=True), waiver=waiver)
        for at, waiver in enumerate((jig, lab, lab))
    ] + [
        msgspec.structs.replace(finding_of("ACC-002", "S1.1-02", path=f"/{at}", cause=str(at), waived=True), waiver=jig)
        for at in range(2)
    ]
    page = Page(html.render(report_of(found)))
    assert page.open == []
    assert (
        page.text.count("test jig <script>alert(1)") == 2
    )  # one rule says it once; where waivers differ, each finding says its own
    assert page.text.count("lab only (Owner: aiko, until: 2027-02-28)") == 2
    assert "5 waived" in page.text
    assert [held["data-tone"] for tag, held in page.tags if tag == "section" and "data-tone" in held] == ["waived", "waived"]
    assert ("button", {"type": "button", "data-show": "waived", "aria-pressed": "false"}) in page.tags


@pytest.mark.parametrize(
    ("states", "shown", "marked"),
    [(("known", "new", "known"), "1 new since the baseline", 1), (("known",) * 3, "none new since the baseline", 0)],
)
def test_what_the_baseline_does_not_know_is_marked_and_stands_first(states, shown: str, marked: int) -> None:
    found = [
        msgspec.structs.replace(finding_of("FS-003", "S1.1-11", path=f"/etc/{at}", cause=str(at)), baseline=state)
        for at, state in enumerate(states)
    ]
    page = Page(html.render(report_of(found)))
    cards = [held for tag, held in page.tags if tag == "article"]
    assert [("data-new" in held) for held in cards] == [True] * marked + [False] * (3 - marked)
    assert shown in page.text
    assert sum(tag == "button" and "data-fresh" in held for tag, held in page.tags) == marked
    without = html.render(report_of([finding_of("FS-003", "S1.1-11")]))
    assert "baseline" not in Page(without).text


@pytest.mark.parametrize(
    ("quote", "shown"),
    [
        (Quote(kind="lines", start=9, rows=("a<b", "telnetd &"), mark=1), "10  telnetd &"),
        (Quote(kind="bytes", start=0x100, rows=("41 3c 00 ff",)), "00000100  41 3c 00 ff A<.."),
    ],
)
def test_what_stands_around_a_finding_is_there(quote: Quote, shown: str) -> None:
    found = [msgspec.structs.replace(finding_of("NET-001", "S1.1-13"), quote=quote)]
    assert shown in Page(html.render(report_of(found))).text.replace("  ", " ").replace("10 tel", "10  tel").replace(
        "100 41", "100  41"
    )


def test_services_hang_under_what_starts_them() -> None:
    services = (
        Service(name="cos", program="/usr/bin/cos", enabled="yes", started_by="/etc/init.d/rcS:76", root="r"),
        Service(name="tddp", program="/usr/bin/tddp", enabled="unknown", started_by="/usr/bin/cos", root="r"),
        Service(name="ping", program="/bin/ping", enabled="unknown", started_by="/bin/pong", root="r"),
        Service(name="pong", program="/bin/pong", enabled="unknown", started_by="/bin/ping", root="r"),
        Service(name="httpd", program="/bin/httpd", enabled="unknown", root="r"),
        Service(name="ftpd", program="/bin/ftpd", enabled="no", root="r"),
    )
    listeners = (Listener(port=23, protocol="tcp", address="::", service="tddp", root="r", reachable_from="wan"),)
    device = Device(services=services, listeners=listeners)
    found = boot_graph.graph(device)
    assert [each.name for each in found] == ["/etc/init.d/rcS", "/bin/pong", "/bin/ping", ""]
    (cos,) = found[0].starts
    assert [each.service.name for each in cos.starts] == ["tddp"]
    assert [(each.name, each.reach) for each in cos.starts[0].ports] == [("tcp/23", "wan")]
    assert [each.name for each in boot_graph.idle(device)] == ["ftpd"]
    text = Page(html.render(report_of(device=device))).text
    assert "tcp/23 from WAN" in text
    assert "services that are there and not started: 1" in text


def test_a_program_started_twice_opens_where_each_start_says_so() -> None:
    def at(line: int) -> tuple[Evidence, ...]:
        return (Evidence(location=Location(path="/etc/rcS", line=line), text="telnetd"),)

    services = tuple(
        Service(name="telnetd", program="/bin/telnetd", enabled="yes", started_by=f"/etc/rcS:{line}", root="r", evidence=at(line))
        for line in (3, 4, 5)
    )
    listeners = (
        Listener(port=23, protocol="tcp", address="::", service="telnetd", root="r", reachable_from="lan", evidence=at(3)),
        Listener(port=99, protocol="tcp", address="::", service="telnetd", root="r", reachable_from="wan", evidence=at(4)),
    )
    (starter,) = boot_graph.graph(Device(services=services, listeners=listeners))
    opened = [[port.name for port in each.ports] for each in starter.starts]
    assert opened == [["tcp/23"], ["tcp/99"], ["tcp/99", "tcp/23"]]  # what nothing tells apart is shown with all of its name
    assert boot_graph.reaches(Device(services=services, listeners=listeners)) == [("wan", 1), ("lan", 1)]


def test_a_drawing_of_many_services_keeps_those_that_open_ports() -> None:
    services = tuple(Service(name=f"s{at}", program=f"/bin/s{at}", enabled="yes", root="r") for at in range(900))
    listeners = (Listener(port=1, protocol="udp", address="::", service="s899", root="r"),)
    device, left = boot_graph.bounded(Device(services=services, listeners=listeners))
    assert (len(device.services), device.services[-1].name, left) == (boot_graph.MOST, "s899", 900 - boot_graph.MOST)
    page = Page(html.render(report_of(device=Device(services=services, listeners=listeners))))
    assert "750 more services are left out of the picture" in page.text
    assert sum(held.get("class") == "node yes" for _, held in page.tags) == boot_graph.MOST
    assert boot_graph.bounded(Device(services=services[:9])) == (Device(services=services[:9]), 0)


def test_the_files_of_the_image_are_a_tree_with_links_to_findings() -> None:
    leaves = (
        Leaf(path="/etc", mode="drwxr-xr-x", size=0),
        Leaf(path="/etc/shadow", mode="-rw-r--r--", size=99),
        Leaf(path="/bin/sh", mode="lrwxrwxrwx", size=7, target="busybox"),
        Leaf(path="/" + "/".join("d" * 300), mode="-rw-r--r--", size=1),
        Leaf(path="/<script>", mode="-rw-r--r--", size=1),
    )
    report = report_of([finding_of("ACC-002", "S1.1-02", path="/etc/shadow")])
    report = msgspec.structs.replace(report, tree=(Branch(chain=ROOT, format="squashfs", size=9, leaves=leaves, more=3),))
    page = Page(html.render(report))
    assert page.open == []
    assert "etc/ shadow -rw-r--r-- 99" in page.text
    assert "sh → busybox" in page.text
    assert "and 3 more" in page.text
    assert ("a", {"href": "#f1"}) in page.tags


@pytest.mark.parametrize(
    ("released", "today", "shown"),
    [("2016-01-01", "2026-01-01", "10"), ("2025-12-01", "2026-01-01", "<1"), (None, "2026-01-01", ""), ("x", None, "")],
)
def test_the_age_of_a_component_is_that_at_the_date_of_the_knowledge(released, today, shown: str) -> None:
    assert view.age(released, today) == shown


def test_the_boot_chain_is_a_list_of_links_in_order() -> None:
    steps = (
        BootStep(stage="boot ROM", detail="chip", starts="boot loader U-Boot"),
        BootStep(stage="boot loader", detail=HOSTILE, checked_by="boot ROM", reason="fuses decide", starts="kernel: bootm"),
        BootStep(stage="kernel", detail="uImage", verified="none", reason="go starts what it is given"),
    )
    page = Page(html.render(report_of(device=Device(boot_chain=steps))))
    chain = [held for tag, held in page.tags if tag == "ol" and held.get("class") == "chain"]
    boxes = [held["class"] for tag, held in page.tags if tag == "li" and held.get("class") in {"fixed", "unknown", "none"}]
    assert (len(chain), boxes) == (1, ["fixed", "unknown", "none"])
    assert "Checked by: boot ROM : fuses decide" in page.text.replace("ROM: fuses", "ROM : fuses")
    assert page.text.index("Starts: kernel: bootm") < page.text.index("no check")
