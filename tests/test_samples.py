"""The committed samples: their verdicts, and that they are what the builder builds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fwcheck.model import Report, Severity
from fwcheck.pipeline import Options, scan

SAMPLES = Path(__file__).parents[1] / "samples"
BUILDERS = ("mksquashfs", "mkimage", "mkenvimage", "dtc", "mkfs.jffs2")


def report_of(path: Path, **options: Any) -> Report:
    return scan(path, Options(jobs=1, **options))


def verdicts(report: Report) -> dict[str, str]:
    return {row.id: row.verdict.value for row in report.tiers[0].criteria}


@pytest.fixture(scope="module")
def insecure() -> Report:
    return report_of(SAMPLES / "router-insecure.bin", min_tier="STAR-1")


@pytest.fixture(scope="module")
def repaired() -> Report:
    return report_of(SAMPLES / "router-repaired.bin", min_tier="STAR-1", fail_on=Severity.HIGH)


def test_the_insecure_router_refutes_star_1_for_the_planted_reasons(insecure: Report) -> None:
    assert insecure.tiers[0].refuted
    assert not insecure.gate.passed
    found = {
        (finding.rule, finding.location.path) for finding in insecure.findings if finding.verdict in {"violation", "concern"}
    }
    planted = {
        ("ACC-002", "/etc/shadow"),
        ("TLS-004", "/etc/ssl/server.key"),
        ("NET-001", "/etc/init.d/rcS"),
        ("DBG-002", "/etc/inittab"),
        ("ACC-010", "/etc/hostapd.conf"),
    }
    assert planted <= found
    assert {("UPD-003", "/etc/init.d/autoupdate.sh"), ("UPD-008", "/etc/init.d/autoupdate.sh")} <= found
    assert {"S1.1-02", "S1.1-11", "S1.1-13"} <= {id for id, verdict in verdicts(insecure).items() if verdict == "violation"}


def test_what_the_device_does_is_told_apart_from_what_it_holds(insecure: Report) -> None:
    enabled = {service.name: service.enabled for service in insecure.device.services}
    assert enabled["telnetd"] == "yes"
    assert {(each.port, each.service) for each in insecure.device.listeners} >= {(23, "telnetd"), (80, "lighttpd")}
    versions = {component.name: component.version for component in insecure.components}
    assert versions["busybox"] == "1.19.4"
    assert versions["openssl"] == "1.0.1e"
    assert versions["linux_kernel"] == "3.10.14"


def test_the_repaired_router_is_not_refuted_and_raises_no_serious_finding(repaired: Report) -> None:
    assert not repaired.tiers[0].refuted
    assert repaired.gate.passed
    serious = [
        finding
        for finding in repaired.findings
        if finding.verdict in {"violation", "concern"} and finding.severity in {Severity.CRITICAL, Severity.HIGH}
    ]
    assert serious == []
    assert "signature" in {path.verified for path in repaired.device.update_paths}
    assert verdicts(repaired)["S1.1-08"] == "support"


def test_the_kernel_is_verified_in_the_repaired_router_alone(insecure: Report, repaired: Report) -> None:
    links = [{step.stage: step.verified for step in each.device.boot_chain}["kernel"] for each in (insecure, repaired)]
    assert links == ["checksum", "signature"]
    assert [each.verdict for each in repaired.findings if each.rule == "BOOT-001"] == ["support"]
    assert [each.verdict for each in insecure.findings if each.rule == "BOOT-001"] == ["info"]


def test_the_repair_raises_the_score(insecure: Report, repaired: Report) -> None:
    assert repaired.tier.score > insecure.tier.score + 25


def test_no_secret_of_the_insecure_router_stands_in_its_report(insecure: Report) -> None:
    from fwcheck.reports.registry import FORMATS

    for each in FORMATS.values():
        content = each.render(insecure)
        text = content if isinstance(content, str) else content.decode(errors="replace")
        assert "ZSbFhU3Dy" not in text, each.name  # the hash
        assert "12345678\n" not in text, each.name


@pytest.mark.skipif(
    any(shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None for tool in BUILDERS),
    reason=f"needs {', '.join(BUILDERS)}",
)
def test_rebuilt_samples_reach_the_same_verdicts(tmp_path: Path, insecure: Report, repaired: Report) -> None:
    subprocess.run([sys.executable, SAMPLES / "build.py", tmp_path], check=True, capture_output=True)
    for name, committed in (("router-insecure.bin", insecure), ("router-repaired.bin", repaired)):
        rebuilt = report_of(tmp_path / name)
        assert verdicts(rebuilt) == verdicts(committed)
        assert {finding.fingerprint for finding in rebuilt.findings} == {finding.fingerprint for finding in committed.findings}


def test_samples_stay_small() -> None:
    assert all(path.stat().st_size < 2_000_000 for path in SAMPLES.glob("*.bin"))
