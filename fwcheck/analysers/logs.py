"""Logging: whether the device keeps a log, whether the log outlives a restart, who else gets it, and what must not stand in it.

It proves what start scripts and settings say. Which events are written is code and stays open: so support, information and
concerns only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fwcheck.analysers._once import once
from fwcheck.analysers.rule import rules_of
from fwcheck.device.boot import boots
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Device, Evidence, Finding, Location, Severity, Trait

RULES = rules_of(__name__)
_LOG = RULES["LOG-001"]
_KEPT = RULES["LOG-006"]
_LASTING = RULES["LOG-002"]
_REMOTE = RULES["LOG-003"]
_SECRET = RULES["LOG-004"]
_AUDIT = RULES["LOG-005"]

_LOGGED = re.compile(
    r"(?:^|[\s;&|])logger\s[^\n]{0,200}\$\{?(?:\w{0,24}(?:passwd|password|passphrase|_psk|secret|wpakey|private_key)\w{0,12})\b",
    re.IGNORECASE,
)
_LINES = 4000


def analyse(firmware: Firmware, device: Device) -> Iterable[Finding]:
    """Findings on logging."""
    return once((*_kept(firmware, device), *_lasting(device), *_forwarded(device), *_secrets(firmware), *_audit(device)))


def _of(device: Device, name: str) -> list[Trait]:
    return [each for each in device.logging if each.name == name and each.evidence]


def _kept(firmware: Firmware, device: Device) -> Iterator[Finding]:
    for trait in _of(device, "system log"):
        if trait.state == "yes":
            title = f"A system log is kept: {trait.detail}"[:160]
            yield _KEPT.finding(trait.evidence[0], "system log", title=title, witnesses=trait.evidence[1:])
    for boot in boots(firmware):
        known = {each.name for each in device.logging if each.root == boot.root.label}
        followed = boot.kind in ("busybox", "sysv", "procd", "openrc") and not boot.holes
        runs = any(each.root == boot.root.label and each.enabled == "yes" for each in device.services)
        if boot.root.is_root and followed and runs and not known & {"system log", "log page", "remote log", "audit"}:
            where = boot.root.evidence(boot.inittab or boot.init, "nothing that is started keeps a system log")
            yield _LOG.finding(where, "no system log")


def _lasting(device: Device) -> Iterator[Finding]:
    remote = {each.root for each in _of(device, "remote log")}
    for trait in _of(device, "log kept over a restart"):
        if trait.state == "no" and trait.root not in remote:
            yield _LASTING.finding(
                trait.evidence[0], "log in memory", title=f"The log is lost with every restart: {trait.detail}"[:160]
            )
        elif trait.state == "yes":
            yield _LASTING.finding(
                trait.evidence[0],
                "log on storage",
                title=f"The log outlives a restart: {trait.detail}"[:160],
                severity=Severity.INFO,
                verdict="support",
                explanation="The log lies on storage that keeps its content without power.",
                refuted_by="The directory is a memory file system on the running device.",
                remediation="Bound its size and rotate it, so that it neither fills nor wears out the storage.",
            )


def _forwarded(device: Device) -> Iterator[Finding]:
    for trait in _of(device, "remote log"):
        secure = trait.detail.startswith("TLS")
        yield _REMOTE.finding(
            trait.evidence[0],
            f"remote log {trait.detail}",
            title=f"The log is sent {'protected' if secure else 'unprotected'} to another machine: {trait.detail}"[:160],
            severity=Severity.INFO if secure else Severity.LOW,
            verdict="support" if secure else "concern",
        )


def _secrets(firmware: Firmware) -> Iterator[Finding]:
    """LOG-004: what scripts hand to logger, and formats of messages in programs (settings are written with "=" or blanks)."""
    for root in firmware.roots():
        yield from _scripts(root)
    for node, facts in firmware.contents():
        if facts.kind not in ("elf", "binary") or not facts.yara or node.path.endswith(".ko"):
            continue
        for hit in facts.yara:
            if hit.rule == "recovery-secret-in-log" and (":" in hit.text or "[" in hit.text):
                where = Evidence(location=Location(chain=node.chain, path=node.path, offset=hit.offset), text=hit.text)
                yield _SECRET.finding(
                    where,
                    f"format {hit.text}",
                    title=f"A message shows a name and its password: {hit.text}"[:160],
                    severity=Severity.LOW if facts.kind == "elf" else None,
                )
                break


def _scripts(root: FileSystem) -> Iterator[Finding]:
    for node, facts in root.files():
        if facts.text is None or facts.kind != "script" or "logger" not in facts.text:
            continue
        for number, line in enumerate(facts.text.splitlines()[:_LINES], 1):
            if "logger" in line and not line.lstrip().startswith("#") and _LOGGED.search(line[:1000]):
                yield _SECRET.finding(root.evidence(node.path, line, line=number), f"script {node.path}", confidence="firm")
                break


def _audit(device: Device) -> Iterator[Finding]:
    for name, words in (
        ("audit", "Actions are audited by a daemon of their own"),
        ("time", "The clock is set from the network for the log's times"),
    ):
        for trait in _of(device, name):
            if trait.state == "yes":
                yield _AUDIT.finding(
                    trait.evidence[0],
                    f"{name} {trait.detail}"[:80],
                    title=f"{words}: {trait.detail}"[:160],
                    verdict="support" if name == "audit" else "info",
                )
