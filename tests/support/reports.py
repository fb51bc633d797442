"""Hand-made findings, devices and whole reports for tests of the judge, the reports and the gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from fwcheck.analysers.rule import fingerprint
from fwcheck.jcstar.mapper import judge, summary
from fwcheck.model import (
    SCHEMA_VERSION,
    Account,
    BootStep,
    Component,
    Console,
    Coverage,
    Device,
    Evidence,
    Finding,
    Gap,
    GateResult,
    Image,
    Listener,
    Location,
    Report,
    Service,
    Severity,
    TierSummary,
    Tool,
    UpdatePath,
    Vulnerability,
)

ROOT = ("router.bin", "trx@0x0", "squashfs@0x1c0000")
ROOT_LABEL = " › ".join(ROOT)
MIB = 1 << 20


def finding_of(
    rule: str,
    *criteria: str,
    verdict: Literal["violation", "concern", "support", "info"] = "violation",
    severity: Severity = Severity.HIGH,
    confidence: Literal["certain", "firm", "tentative"] = "firm",
    title: str = "",
    path: str = "/etc/test.conf",
    line: int | None = None,
    offset: int | None = None,
    evidence: str = "",
    waived: bool = False,
    cause: str = "",
    secret: str = "",
) -> Finding:
    """A finding of ``rule`` that bears on ``criteria``."""
    where = Location(chain=ROOT, path=path, line=line, offset=offset)
    return Finding(
        rule=rule,
        title=title or f"finding of {rule}",
        severity=severity,
        confidence=confidence,
        verdict=verdict,
        criteria=criteria,
        location=where,
        evidence=evidence,
        secret=secret,
        explanation="It lets a stranger in.",
        refuted_by="A first-boot script that replaces it.",
        remediation="Remove it from the image.",
        cause=cause or rule,
        fingerprint=fingerprint(rule, where, cause or rule),
        waived=waived,
    )


def coverage_of(unknown: int = 0, encrypted: int = 0, gaps: Sequence[Gap] = (), files: int = 812) -> Coverage:
    """A coverage of 8 MiB with 1 MiB of padding; the rest is explained."""
    return Coverage(
        bytes_total=8 * MIB,
        bytes_padding=MIB,
        bytes_unknown=unknown,
        bytes_encrypted=encrypted,
        bytes_explained=7 * MIB - unknown - encrypted,
        files=files,
        gaps=tuple(gaps),
    )


def device_of() -> Device:
    """A small router with something of everything."""
    return Device(
        platform="OpenWrt 19.07.8 (mips, Linux 4.14)",
        accounts=(
            Account(
                name="root",
                uid=0,
                shell="/bin/ash",
                password="hash",
                scheme="md5",
                cracked=True,
                login=True,
                file="/etc/shadow",
                root=ROOT_LABEL,
                secret="$1$SALTSALT$HASHHASHHASHHASH",
                plain="hunter2secret",
            ),
            Account(name="daemon", uid=1, shell="/bin/false", password="locked", login=False, file="/etc/shadow"),
        ),
        services=(
            Service(
                name="telnetd",
                program="/usr/sbin/telnetd",
                arguments="-l /bin/login",
                enabled="yes",
                user="root",
                started_by="/etc/init.d/telnet:12",
                protocol="telnet",
                authentication="password",
                reachable="yes",
            ),
            Service(name="uhttpd", program="/usr/sbin/uhttpd", enabled="yes", user="root", protocol="http"),
            Service(name="vsftpd", program="/usr/sbin/vsftpd", enabled="no", protocol="ftp"),
        ),
        listeners=(
            Listener(port=23, protocol="tcp", address="0.0.0.0", service="telnetd"),
            Listener(port=80, protocol="tcp", address="0.0.0.0", service="uhttpd"),
        ),
        consoles=(Console(tty="ttyS0", command="/usr/libexec/login.sh", authenticated=True),),
        update_paths=(UpdatePath(source="web upload", sink="mtd write", verified="checksum", mechanism="sysupgrade"),),
        boot_chain=(BootStep(stage="kernel", detail="uImage", verified="checksum"),),
        components=(
            Component(
                name="busybox",
                version="1.30.1",
                purl="pkg:generic/busybox@1.30.1",
                confidence="certain",
                evidence=(Evidence(location=Location(chain=ROOT, path="/bin/busybox", offset=0x5A2C0), text="BusyBox v1.30.1"),),
                vulnerabilities=(
                    Vulnerability(id="CVE-2021-42386", score=7.2, fixed_in="1.34.0", source="NVD"),
                    Vulnerability(id="CVE-2018-1000517", score=9.8, known_exploited=True, source="NVD"),
                ),
            ),
            Component(name="openssl", version="1.0.2u", end_of_life="2019-12-31", cpe="cpe:2.3:a:openssl:openssl:1.0.2u"),
            Component(name="zlib", version=None, confidence="tentative"),
        ),
    )


def findings_of_router() -> tuple[Finding, ...]:
    """Findings of every severity and verdict."""
    return (
        finding_of(
            "ACC-002",
            "S1.1-02",
            severity=Severity.CRITICAL,
            confidence="certain",
            title="Account root has a password that a small word list opens",
            path="/etc/shadow",
            line=1,
            evidence="root:$1****** (28 characters)",
            secret="f0und-it",
            cause="root",
        ),
        finding_of(
            "NET-001",
            "S1.1-13",
            "S1.1-12",
            title="telnetd starts by default",
            path="/etc/init.d/telnet",
            line=12,
            evidence="start_service telnetd -l /bin/login",
        ),
        finding_of(
            "UPD-003",
            "S1.1-08",
            severity=Severity.MEDIUM,
            title="Image protected by a checksum alone",
            path="0x0",
            offset=0,
            evidence="TRX header CRC32 0x8f2a11c0",
        ),
        finding_of("CVE-002", "S1.1-09", verdict="concern", severity=Severity.MEDIUM, title="openssl 1.0.2u is out of support"),
        finding_of("ACC-009", "S1.1-04", verdict="concern", severity=Severity.LOW, title="No lock-out for telnetd", waived=True),
        finding_of("INF-001", "S1.1-10", verdict="support", severity=Severity.INFO, title="Model string in the web pages"),
        finding_of("NET-010", "S1.1-13", verdict="info", severity=Severity.INFO, title="Two listeners start by default"),
    )


def report_of(
    findings: Sequence[Finding] | None = None,
    coverage: Coverage | None = None,
    device: Device | None = None,
    target: str = "STAR-1",
    name: str = "router.bin",
    gate: GateResult | None = None,
) -> Report:
    """A whole report, judged by the real judge."""
    found = findings_of_router() if findings is None else tuple(findings)
    covered = coverage if coverage is not None else coverage_of(unknown=MIB // 2)
    built = device if device is not None else device_of()
    tiers = judge(found, covered, built, target=target)
    return Report(
        schema_version=SCHEMA_VERSION,
        tool=Tool(name="fwcheck", version="0.1.0", rules_digest="d" * 64, database_date="2026-09-01"),
        image=Image(name=name, size=8 * MIB, sha256="a" * 64, format="trx"),
        coverage=covered,
        device=built,
        components=built.components,
        findings=found,
        tiers=tiers,
        tier=TierSummary(target=target, **summary(tiers, target)),
        gate=gate or GateResult(),
        timing={"extraction_and_inspection": 1.25, "total": 2.5},
    )
