"""Ways in that no menu shows: command pages, handlers that switch telnet on, published backdoors, scripts taken from a card.

It proves that the text or code is in the image and, for scripts, which line runs what. Whether a handler of a compiled program
can be reached without logging in, the image does not tell: so concerns, but for code that is known and that the boot starts.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.device.boot import boots
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Device, Evidence, Facts, Finding, Location, Node, PatternHit, Severity

RULES = rules_of(__name__)
_PAGE = RULES["DBG-005"]
_BACKDOOR = RULES["DBG-006"]
_TELNET = RULES["DBG-007"]
_CARD = RULES["DBG-011"]

_CODE = frozenset({"elf", "script", "php", "binary"})
_WEB = re.compile(r"/(?:www\d?|web|webs|webroot|htdocs|html|httpd|cgi|cgi-bin|webpages|wwwroot|luci|rpcd)(?:/|$)", re.IGNORECASE)
_ENDINGS = (".cgi", ".sh", ".lua", ".php", ".asp", ".htm", ".html", ".haserl", ".py", ".pl", ".ut", ".uc")
_NAMED = re.compile(r"(?i)(?:enable|open|start|switch)[_-]?telnet|telnet[_-]?(?:enable|open|start|switch|on)(?:\b|_)")
_COMMENT = re.compile(r"\s*(?:#|//|--|<!--|\*|;)")
_RUNS_TELNETD = re.compile(r"(?:^|[\s;&|(\"'`/])u?telnetd(?:\s+-\w|\s*&|\s*$|\s+start|[\"'`;)])")
# What a request says, put into a command: haserl and plain shell, PHP, Lua.
_SHELL_REQUEST = re.compile(
    r"\b(?:eval|sh\s+-c|ash\s+-c)\s[^\n]{0,160}\$\{?(?:QUERY_STRING|POST_DATA|(?:FORM|GET|POST)_\w{1,40})\b"
)
_PHP_REQUEST = re.compile(
    r"\b(?:system|exec|shell_exec|passthru|popen|proc_open|eval|assert)\s*\([^;\n]{0,120}\$_(?:GET|POST|REQUEST|COOKIE)\b"
)
_LUA_REQUEST = re.compile(r"\b(?:os\.execute|io\.popen|sys\.exec|sys\.call|util\.exec)\s*\([^\n]{0,160}\bformvalue\b")
_QUOTED = re.compile(r"escapeshell(?:arg|cmd)|intval|shellquote|shellescape|tonumber|\(int\)")
_REMOVABLE = re.compile(
    r"/(?:[\w.-]{1,64}/){0,8}(?:sd|sdcard|extsd|sd_card|tf|tfcard|mmc\w{0,16}|usb\w{0,16}|udisk\w{0,16}|sd[a-z]\d{0,2})/[\w./-]{1,160}"
)
_LINES = 4000


def analyse(firmware: Firmware, _device: Device) -> Iterable[Finding]:
    """Findings on hidden ways in."""
    return once((*_known(firmware), *_texts(firmware), *_cards(firmware)))


# --------------------------------------------------------------------------- what the patterns know


def _known(firmware: Firmware) -> Iterator[Finding]:
    started: set[tuple[tuple[str, ...], str, int]] | None = None
    for node, facts in firmware.contents():
        if not facts.yara or facts.kind not in _CODE | {"text", "html", "javascript", "xml"}:
            continue
        for hit in {hit.rule: hit for hit in reversed(facts.yara)}.values():
            if hit.rule.startswith(("backdoor-", "malware-")) and facts.kind in _CODE:
                started = _started(firmware) if started is None else started
                yield _backdoor(node, hit, runs=(node.chain, node.path, _line(facts, hit)) in started)
            elif hit.rule in ("debug-command-page", "debug-tplink-page"):
                yield _PAGE.finding(
                    _place(node, hit), f"{hit.rule} {node.path}", title=f"Hidden page: {hit.meta.get('description', hit.rule)}"
                )
            elif hit.rule in ("debug-netgear-telnetenable", "debug-telnet-from-program"):
                known = hit.rule != "debug-telnet-from-program"
                if not known and _called(facts):
                    continue  # the code shows the call: told there
                yield _TELNET.finding(
                    _place(node, hit),
                    f"{hit.rule} {node.path}",
                    title=f"{posixpath.basename(node.path) or 'A program'} can start telnetd",
                    severity=Severity.HIGH if known else Severity.LOW,
                    confidence="firm" if known else "tentative",
                )


def _called(facts: Facts) -> bool:
    """Whether a call whose argument starts telnetd was read from the program's code (DBG-020, DBG-021 rest on it)."""
    return any("telnetd" in text for call in facts.calls for text in call.arguments if isinstance(text, str))


def _backdoor(node: Node, hit: PatternHit, *, runs: bool) -> Finding:
    sure = runs or hit.rule.startswith("malware-")
    name = hit.meta.get("description", hit.rule)
    return _BACKDOOR.finding(
        _place(node, hit),
        hit.rule,
        title=f"Known backdoor: {name}"[:200],
        severity=Severity.CRITICAL if sure and hit.meta.get("severity") == "critical" else Severity.HIGH,
        verdict="violation" if sure else "concern",
        confidence="firm",
        explanation=f"{_BACKDOOR.explanation} Published as: {hit.meta.get('reference', 'see the rule')}.",
    )


def _place(node: Node, hit: PatternHit) -> Evidence:
    return Evidence(location=Location(chain=node.chain, path=node.path, offset=hit.offset), text=hit.text[:240])


def _line(facts: Facts, hit: PatternHit) -> int:
    """The line of a hit in a script, 0 in a program."""
    return facts.text.count("\n", 0, hit.offset) + 1 if facts.text is not None else 0


def _started(firmware: Firmware) -> set[tuple[tuple[str, ...], str, int]]:
    """The programs that the boot runs for sure (line 0), and the lines of scripts that run something for sure."""
    runs = [run for boot in boots(firmware) for run in boot.runs if not run.conditions]
    return {(run.place.fs.chain, run.place.path, run.place.line) for run in runs} | {
        (run.found.fs.chain, run.found.node.path, 0) for run in runs if run.found is not None
    }


# --------------------------------------------------------------------------- scripts and pages


def _texts(firmware: Firmware) -> Iterator[Finding]:
    for fs in firmware.filesystems:
        daemon = any(fs.exists(path) for path in ("/bin/busybox", "/usr/sbin/telnetd", "/sbin/telnetd", "/usr/bin/telnetd"))
        for node, facts in fs.files():
            text = facts.text
            if text is None or facts.kind in ("json", "xml", "pem"):
                continue
            if "telnetd" in text and daemon and _is_handler(node, facts):
                yield from _telnet(fs, node, text)
            if ("QUERY_STRING" in text or "POST_DATA" in text or "FORM_" in text or "GET_" in text) and _is_page(node, facts):
                yield from _request(fs, node, text, _SHELL_REQUEST)
            if "$_" in text:
                yield from _request(fs, node, text, _PHP_REQUEST)
            if "formvalue" in text:
                yield from _request(fs, node, text, _LUA_REQUEST)


def _is_page(node: Node, facts: Facts) -> bool:
    return _WEB.search(node.path) is not None or node.path.endswith((".cgi", ".haserl")) or "haserl" in (facts.interpreter or "")


def _is_handler(node: Node, facts: Facts) -> bool:
    """A page or script of the web interface, or a script named after switching telnet on; never a start script of the boot."""
    if re.match(r"/(?:etc(?:_ro)?|rom/etc)/(?:init\.d|rc\.d|rc\w?\.d|rcS|rc\.local)", node.path):
        return False
    if _NAMED.search(posixpath.basename(node.path)):
        return facts.kind in ("script", "php", "text")
    return _WEB.search(posixpath.dirname(node.path) + "/") is not None and (
        facts.kind in ("script", "php") or node.path.endswith(_ENDINGS)
    )


def _telnet(fs: FileSystem, node: Node, text: str) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines()[:_LINES], 1):
        if "telnetd" in line and not _COMMENT.match(line) and _RUNS_TELNETD.search(line[:2000]):
            if re.search(r"\b(?:killall|pkill|pidof|pgrep|grep|which)\b[^;&|]{0,40}telnetd", line[:2000]):
                continue
            yield _TELNET.finding(
                fs.evidence(node.path, line, line=number),
                f"script {node.path}",
                title="The web interface has a handler that starts telnetd"
                if _WEB.search(node.path)
                else "A script is there to start telnetd",
            )
            return


def _request(fs: FileSystem, node: Node, text: str, pattern: re.Pattern[str]) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines()[:_LINES], 1):
        found = pattern.search(line[:2000])
        if found and not _COMMENT.match(line) and not _QUOTED.search(line[:2000]):
            yield _PAGE.finding(
                fs.evidence(node.path, line, line=number),
                f"request in a command {node.path}",
                title="A page puts what the request says into a command",
                criteria=("S1.1-01", "S1.1-13"),
                explanation="Whoever may send the request runs commands of their own on the device, mostly as root.",
                refuted_by="The value is checked before this line, or the page is not reachable.",
                remediation="Take named values out of the request, check each against what it may be, and quote it.",
            )
            return


# --------------------------------------------------------------------------- cards and sticks


def _cards(firmware: Firmware) -> Iterator[Finding]:
    """DBG-011: boot scripts run a program from a card or stick when one is in."""
    for boot in boots(firmware):
        for run in boot.runs:
            if run.found is None and run.present is not False and _REMOVABLE.fullmatch(run.program):
                place = run.place
                yield _card(place.fs.evidence(place.path, " ".join(run.shown), line=place.line or None), run.program)
        for hole in boot.holes:
            path = hole.reason.removeprefix("runs ").partition(", which")[0]
            if hole.reason.startswith("runs /") and _REMOVABLE.fullmatch(path):
                yield _card(hole.place.fs.evidence(hole.place.path, path, line=hole.place.line or None), path)


def _card(where: Evidence, path: str) -> Finding:
    return _CARD.finding(where, f"runs {path}", title=f"The boot runs {path} when a card or stick holds it")
