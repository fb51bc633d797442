"""The summary tells a person what matters, fits the width, and lets no image drive the terminal."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.cells import cell_len
from support.reports import MIB, coverage_of, device_of, finding_of, findings_of_router, report_of
from support.wording import claims

from fwcheck.gate import Demands, evaluate
from fwcheck.model import BootStep, Device, Gap, Report, Severity, Trait
from fwcheck.reports import terminal


def whole(**how) -> Report:
    gaps = [Gap(node="router.bin › /usr/lib/x.so", reason="block 7 is broken", bytes=12_345)]
    report = report_of(coverage=coverage_of(unknown=MIB, gaps=gaps), **how)
    return msgspec.structs.replace(report, gate=evaluate(report, Demands(min_tier="STAR-1", min_score=90)))


def flat(text: str) -> str:
    return " ".join(text.split())


class Tty(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_the_level_is_told_with_what_refutes_it() -> None:
    assert "STAR-1 is refuted by 3 criteria: S1.1-02, S1.1-12, S1.1-13" in flat(terminal.render(whole()))


def test_an_unrefuted_level_is_told_with_what_could_be_decided() -> None:
    report = report_of([])
    decidable = report.tiers[0].decidable
    text = flat(terminal.render(report))
    assert f"STAR-1 is not refuted: {decidable} of 16 criteria decidable from the image" in text


def test_a_proxy_level_says_that_it_is_one() -> None:
    assert "Proxy profile" in flat(terminal.render(whole(target="STAR-2")))


@pytest.mark.parametrize(
    "expected",
    [
        "router.bin",
        "8.0 MiB",
        "OpenWrt 19.07.8",
        "explained 75 %",
        "block 7 is broken",
        "telnetd /usr/sbin/telnetd -l /bin/login tcp/23",
        "root: hash (md5), cracked",
        "web upload → mtd write: checksum",
        "busybox 1.30.1 1 known exploited, 2 known vulnerabilities",
        "support ended 2019-12-31",
        "1 critical, 1 high, 2 medium",
        "/etc/init.d/telnet:12",
        "root:$1****** (28 characters)",
        "To do: Remove it from the image.",
        "INF-001 Model string in the web pages",
        "waived: 1",
        "score = 100 - points lost",
        "Gate: failed (min-tier STAR-1, min-score 90)",
        "S1.1-04 device test Guessing attack",
    ],
)
def test_what_a_person_needs_is_there(expected: str) -> None:
    assert expected in flat(terminal.render(whole()))


def test_a_microcontroller_says_what_it_is_one_line_for_each_subject() -> None:
    rows = (
        Trait(name="chip", state="yes", detail="ESP32-C3"),
        Trait(name="TLS library", state="yes", detail="mbed TLS"),
        Trait(name="TLS library", state="yes", detail="BearSSL \x1b[2J"),
        Trait(name="flash encryption", state="no", detail="no partition is marked to be encrypted"),
        *(Trait(name="endpoint", state="yes", detail=f"host-{number}") for number in range(30)),
    )
    text = flat(terminal.render(msgspec.structs.replace(whole(), device=Device(microcontroller=rows))))
    assert "chip ESP32-C3 TLS library mbed TLS; BearSSL" in text
    assert "flash encryption no: no partition is marked to be encrypted endpoint host-0; host-1; host-2; host-3" in text
    assert "host-9" not in text
    assert "\x1b" not in text


def test_all_sixteen_criteria_are_listed() -> None:
    text = terminal.render(whole())
    assert all(f"S1.1-{number:02}" in text for number in range(1, 17))


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("width", [50, 72, 110, 160])
def test_no_line_is_wider_than_asked_or_ends_in_spaces(width: int, lang) -> None:
    for line in terminal.render(whole(), width=width, lang=lang).splitlines():
        assert cell_len(line) <= width
        assert line == line.rstrip()


def test_japanese_titles_are_used() -> None:
    text = "".join(terminal.render(whole(), lang="ja").split())
    assert "不要なインタフェースの無効化" in text
    assert "3要件と矛盾" in text


def test_piped_text_has_no_escape_sequences() -> None:
    out = io.StringIO()
    terminal.show(whole(), out)
    assert "\x1b" not in out.getvalue()


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Tty()
    terminal.show(whole(), out, width=100)
    assert "\x1b[" in out.getvalue()


def test_an_encoding_without_blocks_gets_plain_marks() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", errors="replace")
    terminal.show(whole(), out)
    out.flush()
    assert b"####" in raw.getvalue()


def test_an_image_cannot_drive_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    hostile = "\x1b]0;owned\x07\x1b[2J\u202e[bold red]x[/]\udce9"
    found = [finding_of("NET-001", "S1.1-13", title=hostile, path=f"/{hostile[:-1]}", evidence=hostile)]
    device = msgspec.structs.replace(device_of(), platform=hostile)
    gaps = [Gap(node=hostile, reason=hostile)]
    out = Tty()
    terminal.show(report_of(found, coverage_of(gaps=gaps), device, name=hostile), out, width=100)
    shown = out.getvalue()
    assert "\x1b]" not in shown
    assert "\x1b[2J" not in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown
    assert "[bold red]x[/]" in shown
    shown.encode()


def test_secrets_stay_out_unless_asked_for() -> None:
    assert "hunter2secret" not in terminal.render(whole())
    assert "hunter2secret" in terminal.render(whole(), show_secrets=True)
    assert "Secret: f0und-it" in terminal.render(whole(), show_secrets=True)


def test_many_findings_of_a_rule_are_cut_with_their_number() -> None:
    found = [finding_of("FS-003", "S1.1-11", path=f"/etc/{number:03}") for number in range(100)]
    text = terminal.render(report_of(found))
    assert "and 96 more of FS-003" in text
    assert len(text.splitlines()) < 150


def test_an_unread_image_is_shown_without_praise() -> None:
    text = flat(terminal.render(report_of([], coverage_of(encrypted=7 * MIB, files=0), Device())))
    assert "0 of 16 criteria decidable" in text
    assert "Score 0/100" in text
    assert "looks encrypted 88 %" in text


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_no_text_claims_a_positive_verdict(lang) -> None:
    for report in (whole(), report_of([]), report_of(findings_of_router(), target="STAR-4")):
        assert claims(flat(terminal.render(report, lang=lang))) == []


def test_findings_come_worst_first() -> None:
    text = terminal.render(report_of([finding_of("A-1", severity=Severity.LOW), finding_of("B-1", severity=Severity.CRITICAL)]))
    assert text.index("B-1") < text.index("A-1")


def test_the_boot_chain_is_drawn_link_by_link() -> None:
    steps = (
        BootStep(stage="boot ROM", detail="chip"),
        BootStep(stage="kernel", detail="uImage", verified="checksum", checked_by="U-Boot"),
        BootStep(stage="root file system", detail="squashfs"),
        *(BootStep(stage="application", detail=f"slot {number}") for number in range(12)),
    )
    text = flat(terminal.render(report_of(device=Device(boot_chain=steps))))
    assert "Boot chain boot ROM chip ↓ kernel uImage: checksum (U-Boot) ↓ root file system squashfs: check not decidable" in text
    assert "and 3 more" in text
