"""Hardening: programs that listen count for more, a missing answer for nothing."""

from __future__ import annotations

from typing import Any

import pytest
from support.trees import firmware_of

from fwcheck.analysers import hardening
from fwcheck.device.firmware import Firmware
from fwcheck.device.hardening import hardening as rows_of
from fwcheck.model import (
    Coverage,
    Device,
    ElfFacts,
    Facts,
    Finding,
    Image,
    Listener,
    Node,
    NodeKind,
    ProgramHardening,
    Service,
)  # fmt: skip

BASE: dict[str, bytes | str] = {"/sbin/init": "x", "/bin/sh": "y", "/lib/x": "", "/etc/inittab": "::sysinit:/x\n"}
LABEL = "test.bin › squashfs@0x0"
WEAK: dict[str, Any] = {"nx": False, "pie": False, "relro": "none", "canary": False}
STRONG: dict[str, Any] = {"nx": True, "pie": True, "relro": "full", "canary": True}


def row(name: str, listens: bool = True, started: Any = "yes", **held: Any) -> ProgramHardening:
    return ProgramHardening(program=f"/usr/sbin/{name}", service=name, started=started, listens=listens, root=LABEL, **held)


def elf(**held: Any) -> ElfFacts:
    return ElfFacts(
        machine="mips", bits=32, endian="big", type="executable", needed=("libc.so.0",), interpreter="/lib/ld.so", **held
    )


def firmware(files: dict[str, bytes | str] | None = None, programs: dict[str, ElfFacts] | None = None) -> Firmware:
    base = firmware_of(BASE | (files or {}) | {path: path for path in programs or {}})
    facts = {node.sha256: base.facts_of(node) for node in base.nodes if node.sha256}
    for node in base.nodes:
        if programs and node.path in programs and node.sha256:
            facts[node.sha256] = Facts(sha256=node.sha256, size=node.size, kind="elf", elf=programs[node.path])
    return Firmware(base.image, base.nodes, {key: held for key, held in facts.items() if key and held}, base.coverage)


def found(rows: tuple[ProgramHardening, ...], programs: dict[str, ElfFacts] | None = None) -> list[Finding]:
    held = programs if programs is not None else {"/usr/bin/any": elf(**STRONG)}
    return list(hardening.analyse(firmware(programs=held), Device(hardening=rows)))


def test_a_program_that_listens_and_lacks_everything() -> None:
    (one,) = found((row("webd", **WEAK), row("sshd", **STRONG)))
    assert (one.rule, one.verdict, one.severity.value, one.location.path) == ("HRD-001", "concern", "medium", "/usr/sbin/webd")
    assert one.title == "1 of 2 programs that listen on the network lack protections of their memory"
    assert one.evidence.startswith("webd: executable stack, fixed addresses, no RELRO, no stack protector; all programs:")


def test_what_only_starts_counts_where_nothing_listens() -> None:
    (one,) = found((row("app", listens=False, **WEAK),))
    assert (one.severity.value, "that the boot starts" in one.title) == ("low", True)
    (other,) = found((row("app", listens=False, **WEAK), row("webd", **STRONG)))
    assert other.verdict == "support"


def test_one_missing_protection_or_no_answer_is_no_finding() -> None:
    assert found((row("webd", nx=True, pie=False, relro="full", canary=True),)) == []
    assert found((row("webd"),)) == []


def test_a_census_where_nothing_is_known_to_start() -> None:
    programs = {f"/usr/bin/p{number}": elf(**WEAK) for number in range(6)}
    (one,) = found((), programs)
    assert (one.severity.value, one.confidence, one.title[:7]) == ("low", "firm", "6 of 6 ")
    assert "stack protector 0/6" in one.evidence
    assert found((), dict(list(programs.items())[:3])) == []  # too few to say anything
    assert found((), {f"/usr/bin/p{number}": elf(**STRONG) for number in range(6)}) == []


def test_rows_follow_links_and_count_libraries() -> None:
    programs = {"/usr/sbin/webd": elf(**WEAK), "/lib/libc.so.0": elf(canary=False)}
    services = [
        Service(name="webd", program="/usr/sbin/webd", enabled="yes", started_by="rcS", root=LABEL),
        Service(name="idle", program="/usr/sbin/webd", enabled="no", root=LABEL),
    ]
    ports = [Listener(port=80, protocol="tcp", address="0.0.0.0", service="webd")]
    (one,) = rows_of(firmware(programs=programs), services, ports)
    assert (one.program, one.listens, one.libraries, one.weak_libraries, one.nx) == ("/usr/sbin/webd", True, 1, 1, False)


def test_kernel_options_that_are_offered_and_off() -> None:
    config = (
        "CONFIG_MMU=y\nCONFIG_X=y\n# CONFIG_STACKPROTECTOR is not set\n# CONFIG_SECCOMP is not set\nCONFIG_STRICT_KERNEL_RWX=y\n"
    )
    (one,) = hardening.analyse(firmware({"/boot/config-6.6": config}), Device())
    assert (one.rule, one.verdict, one.location.line) == ("HRD-002", "concern", 3)
    assert one.title == "Kernel built without stack protector, system call filters"
    assert list(hardening.analyse(firmware({"/boot/config-6.6": "CONFIG_MMU=y\n"}), Device())) == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("console=ttyS0 nokaslr mitigations=off", "mitigations=off, nokaslr"),
        ("console=ttyS0 apparmor=0", "apparmor=0"),
        ("console=ttyS0 mitigations=auto root=/dev/mtdblock2", ""),
    ],
)
def test_protection_that_the_command_line_switches_off(line: str, told: str) -> None:
    node = Node(chain=("x", "fdt@0x0"), path="", kind=NodeKind.CONTAINER, format="fdt", detail={"bootargs": line})
    image = Image(name="x", size=1, sha256="0" * 64, format="x")
    held = list(hardening.analyse(Firmware(image, [node], {}, Coverage()), Device()))
    assert [(each.rule, each.title.rpartition(": ")[2]) for each in held] == ([("HRD-004", told)] if told else [])


def test_address_randomisation() -> None:
    script = "#!/bin/sh\n# echo 0 > /proc/sys/kernel/randomize_va_space\necho {} > /proc/sys/kernel/randomize_va_space\n"
    (one,) = hardening.analyse(firmware({"/etc/init.d/S01": script.format(0)}), Device())
    assert (one.rule, one.location.line) == ("HRD-005", 3)
    assert list(hardening.analyse(firmware({"/etc/init.d/S01": script.format(2)}), Device())) == []
    (other,) = hardening.analyse(firmware({"/etc/sysctl.d/10.conf": "kernel.randomize_va_space = 0\n"}), Device())
    assert other.rule == "HRD-005"
